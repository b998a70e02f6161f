"""A run beside the earlier ones of its kind on this machine: what was changed, and what came of it."""

from helpers import base
from helpers.trials import records

MOST = 12  # runs in the table
READ = 300  # records at most, the newest
METRICS = ("validation_accuracy", "test_accuracy")  # the first that the present run has is compared


def earlier_runs(study: str, now: list[dict]):
    """A DataFrame with one line for each run of this kind, the present one first, then the newest.

    now: the records of the present run, of one row. Runs of one config with several seeds are one line: the mean of
    their accuracy, their seconds added up. Columns: run, what differs, the metric, seeds, seconds.
    """
    import pandas as pd

    runs = {_name(now[0]): now}
    for record in _newest(study):
        if _kind(record) == _kind(now[0]) and record["status"] != "failed":
            members = runs.setdefault(_name(record), [])
            if members is not now:
                members.append(record)
    metric = next((name for name in METRICS if name in now[0]["metrics"]), next(iter(now[0]["metrics"]), ""))
    lines = [_line(members, now[0], metric) for members in list(runs.values())[:MOST]]
    lines[0] |= {"run": "this one", "what differs": ""}
    return pd.DataFrame(lines)


def _newest(study: str) -> list[dict]:
    paths = sorted((base.RECORDS / study).glob("*.json"), key=lambda path: -path.stat().st_mtime)
    loaded = [record for path in paths[:READ] if (record := records.load(path))]
    return sorted(loaded, key=lambda record: record["provenance"].get("started", ""), reverse=True)


def _kind(record: dict) -> tuple:
    return record["trial"], record["config"].get("model")


def _name(record: dict) -> str:
    """What the seeds of one run have in common."""
    return base.to_json([{k: v for k, v in record["config"].items() if k != "seed"}, record["fingerprint"]])


def _line(members: list[dict], now: dict, metric: str) -> dict:
    values = [record["metrics"].get(metric) for record in members]
    finite = [value for value in values if value is not None]
    return {
        "run": members[0]["provenance"].get("started", "")[:16].replace("T", " "),
        "what differs": _differences(members[0], now),
        metric.replace("_", " "): sum(finite) / len(finite) if finite else None,
        "seeds": len(members),
        "seconds": sum(record["seconds"] or 0 for record in members),
    }


def _differences(record: dict, now: dict) -> str:
    """The settings in which a record's config is not the present one: 'lr 0.01, epochs 5'."""
    before, after = ({**one["config"], **one["config"].get("options", {})} for one in (record, now))
    names = [name for name in before if name in after and name not in ("options", "seed")]
    words = [f"{name} {_in_words(before[name])}" for name in names if before[name] != after[name]]
    if record["fingerprint"] != now["fingerprint"]:
        words.append("other data")
    return ", ".join(words)


def _in_words(value) -> str:
    return " and ".join(map(str, value)) or "none" if isinstance(value, list) else str(value)
