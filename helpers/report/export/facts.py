"""What a page says of its own run: the line of facts above the title, warnings, results and provenance as rows."""

from datetime import UTC, datetime

from helpers.base import to_json
from helpers.page.markup import number, percent, with_minus_signs
from helpers.page.page import BANNER, BUNDLE

COMPLETE = ("complete", "complete, no results")  # a run that came to its end; the second of a notebook without a page


def duration(seconds: float | None) -> str:
    """Seconds in words for people: 42 s, 3 min 5 s, 2 h 10 min."""
    if seconds is None:
        return "not known"
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"


def moment(when) -> str:
    """A start time, in seconds since 1970, to the minute, in UTC."""
    if when is None:
        return "not known"
    when = datetime.fromtimestamp(when, UTC)
    return f"{when.day} {when:%B %Y, %H:%M} UTC"


def results_of(nb) -> dict:
    """The bundle that page.finish() left in an executed notebook; {} without one."""
    outputs = [output for cell in nb.cells for output in cell.get("outputs", [])]
    bundles = [output.data[BUNDLE] for output in outputs if BUNDLE in output.get("data", {})]
    return bundles[-1] if bundles else {}


def data_of(run: dict) -> list[dict]:
    """The data sets that a run noted."""
    data = run.get("data") or []
    return [item for item in (data if isinstance(data, list) else [data]) if isinstance(item, dict)]


def stand_in(run: dict) -> bool:
    """Whether a run stands on stand-in data."""
    return any(item.get("standin") for item in data_of(run))


def facts(state: dict) -> list[tuple[str, str]]:
    """What stands above the title: status, budget, data, date, duration, trainings, changed parameters, author."""
    sources = {}
    for data in data_of(state):
        sources.setdefault(data.get("title") or data.get("name"), data.get("source"))
    titles = [f"{title} ({source})" if source else str(title) for title, source in sources.items()]
    items = [
        ("Status", state.get("status") or "not known"),
        ("Budget", state.get("budget") or "none"),
        ("Data", "; ".join(titles) or "none"),
        ("Made", moment(state.get("started"))),
        ("Took", duration(state.get("duration_s"))),
        ("Trials", _trained(state)),
        ("Changed", ", ".join(f"{name} = {value}" for name, value in (state.get("changed") or {}).items())),
        ("Author", state.get("author") or ""),
    ]
    return [(name, value) for name, value in items if value]


def _trained(state: dict) -> str:
    """How many of a page's trials ran for it, and how many were read from records: 2 new, 22 from records."""
    counts = (state.get("provenance") or {}).get("trials") or {}
    new = counts.get("trained", 0)
    parts = [(new, "new"), (sum(counts.values()) - new, "from records")]
    return ", ".join(f"{count} {words}" for count, words in parts if count)


def banners(state: dict, bundle: dict) -> list[str]:
    """What a reader must know before the first number, in words."""
    lines, shares = [], [r.get("share") or 0 for r in bundle.get("results", {}).values()]
    if state.get("status") not in (*COMPLETE, None):
        why = f": {state['reason']}" if state.get("reason") else ""
        lines.append(f"This page is not a finished result. Its run is marked \u201c{state['status']}\u201d{why}.")
    if stand_in(state):
        lines.append(BANNER)
    short = [share for share in shares if share < 1]
    if state.get("budget") == "smoke":
        lines.append(
            "Smoke budget: the shortest trainings that test the machinery. No number here is a result to quote."
        )
    elif short:
        count, total, what = len(short), len(shares), "results come from"
        if "claims.shortened" in bundle["results"]:  # a page that counts claims says it of them, in one number
            counts = (bundle["results"][f"claims.{name}"]["value"] for name in ("shortened", "claims"))
            count, total = map(number, counts)
            what = "claims rest on"
        lines.append(
            f"Reduced budget ({state.get('budget')}): {count} of {total} {what} shortened trainings, the shortest with "
            f"{_share(min(short))}. The table at the end marks them."
        )
    return lines


def named(key: str, titles: dict[str, str]) -> str:
    """A result's key in words: its row by the title that the page gives it, then what is measured."""
    row, _, quantity = key.rpartition(".")
    words = [str(titles.get(row, row.replace(".", ", "))), quantity] if row else [quantity]
    return ", ".join(words).replace("_", " ")


def result_rows(bundle: dict):
    """The rows of the table of results: dicts of key, words, value (with ± its deviation and its unit), n and note."""
    titles = bundle.get("titles") or {}
    for key, result in sorted(bundle.get("results", {}).items()):
        diverged = (result.get("statuses") or []).count("diverged")
        share = result.get("share", 1.0)
        notes = []
        if result.get("budget") not in (None, bundle.get("budget")):
            notes.append(f"{result['budget']} budget")
        if share is not None and share < 1:
            notes.append(_share(share))
        if diverged:
            notes.append(f"{diverged} of {len(result['statuses'])} diverged")
        value = number(result["value"], std=result.get("std"), name=key, unit=result.get("unit") or "")
        value, words = with_minus_signs(value), named(key, titles)
        yield {"key": key, "words": words, "value": value, "n": result.get("n", 1), "note": ", ".join(notes)}


def _share(share):
    return f"{percent(share)} of the full work".replace(" %", "\u00a0%")


def provenance_rows(state: dict):
    """Provenance as (name, value) lines; groups inside become 'group, name'."""
    own = {"budget": state.get("budget"), "parameters": state.get("parameters"), "data": state.get("data")}
    for name, value in {**own, **(state.get("provenance") or {})}.items():
        for item in value if isinstance(value, list) and value and isinstance(value[0], dict) else [value]:
            if isinstance(item, dict):
                for inner, content in item.items():
                    yield f"{name}, {PLAIN.get(inner, inner)}".replace("_", " "), _words(content, inner)
            elif item is not None:
                yield OUTSIDE.get(name, name).replace("_", " "), _words(item, name)


# Names of provenance, said plainly.
PLAIN = {
    "dirty": "changed files", "standin": "stand-in", "helpers": "helpers, hash", "lock": "lock file, hash",
    "notebook": "notebook, hash",
}  # fmt: skip
OUTSIDE = PLAIN | {"seeds": "seeds of the trainings"}  # the same outside a group: a parameter is called seeds, too


def _words(value, name=""):
    if value is None or isinstance(value, (bool, float)):
        return number(value, name=name)
    if isinstance(value, list) and all(isinstance(item, (str, int, float)) for item in value):
        return ", ".join(map(str, value)) or "–"
    return (value or "–") if isinstance(value, str) else to_json(value)
