"""The JSON of a page: its results, and `used`, which has the (study, key, source) of each training behind them once.

In the file a result names its records by their places in `used`, as many results rest on the same trainings.
"""

from helpers.base import to_json


def bundle_text(bundle: dict) -> str:
    """The JSON of a bundle, a line for each entry and each result; a record not in `used` keeps its key."""
    places = {key: place for place, (_, key, _) in enumerate(bundle.get("used", []))}
    lines = [f"{to_json(name)}:{to_json(value)}" for name, value in sorted(bundle.items()) if name != "results"]
    results = []
    for name, result in sorted(bundle.get("results", {}).items()):
        if result.get("records"):
            result = result | {"records": [places.get(key, key) for key in result["records"]]}
        results.append(f"{to_json(name)}:{to_json(result)}")
    return "{" + ",\n".join([*lines, '"results":{\n' + ",\n".join(results) + "}"]) + "}"


def with_record_keys(bundle: dict) -> dict:
    """A bundle that was read, its results naming their records by key again.

    Raises LookupError, TypeError or AttributeError where a place is not in `used`, or a result is none.
    """
    used, results = bundle.get("used", []), {}
    for name, result in bundle["results"].items():
        if result.get("records"):
            keys = [record if isinstance(record, str) else used[record][1] for record in result["records"]]
            result = result | {"records": keys}
        results[name] = result
    return bundle | {"results": results}
