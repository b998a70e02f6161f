"""The JSON of a page: its results, and `used`, which has the (study, key, source) of each training behind them once.

In the file a result names its records by their places in `used`, as many results rest on the same trainings.
"""

import json
from pathlib import Path

from helpers.base import to_json

RESULT = {  # what each result holds, and of which type
    "value": int | float | None, "std": int | float | None, "n": int, "values": list, "share": int | float,
    "standin": bool, "budget": str | None, "unit": str, "records": list, "seeds": list | None, "statuses": list,
}  # fmt: skip


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


def read_bundle(path: Path) -> dict | None:
    """The bundle in a file, its results naming their records by key; None where it is absent, damaged or no bundle."""
    try:
        bundle = json.loads(path.read_text(encoding="utf-8"))
        used, results = bundle.get("used", []), {}
        for name, result in bundle["results"].items():
            keys = [record if isinstance(record, str) else used[record][1] for record in result["records"]]
            results[name] = result | {"records": keys}
    except (OSError, ValueError, RecursionError, LookupError, TypeError, AttributeError):
        return None
    return bundle | {"results": results} if all(map(_is_result, results.values())) else None


def _is_result(result: dict) -> bool:
    if not all(isinstance(result.get(name), kind) for name, kind in RESULT.items()):
        return False
    return all(isinstance(value, int | float | None) for value in result["values"])
