"""Looking after records: counting, removing, adopting after a harmless change, publishing."""

import importlib
import time

from helpers import base, engine, records
from helpers.base import CourseworkError
from helpers.runner import Run, Trial, finished


def result(record: dict) -> dict:
    """What a training must repeat bit for bit: all but times (columns with "second" in their name)."""

    def untimed(columns):
        return {name: value for name, value in columns.items() if "second" not in name}

    kept = {name: record.get(name) for name in ("status", "predictions", "examples", "files")}
    return kept | {name: untimed(record[name]) for name in ("history", "metrics")}


def everything() -> list[tuple]:
    """(path, record, stale) of all intact records, the committed ones first."""
    paths = [path for root in records.roots() for path in sorted(root.glob("*/*.json"))]
    found = [(path, record) for path in paths if (record := records.load(path))]
    return [(path, record, _stale(record)) for path, record in found]


def _stale(record: dict) -> bool:
    try:
        return records.source_hash(record["function"].rpartition(".")[0]) != record["source"]
    except CourseworkError:  # the function is gone
        return True


def ls() -> str:
    """A table of the records: per study and function how many, how they ended, stale ones, hours."""
    import pandas as pd

    lines = []
    for path, record, stale in everything():
        line = {name: record[name] for name in ("study", "function")}
        line["where"] = "committed" if path.is_relative_to(base.PUBLISHED) else "here"
        ends = {end: record["status"].startswith(end) for end in ("ok", "diverged", "failed")}
        lines.append(line | {"n": 1} | ends | {"stale": stale, "hours": (record["seconds"] or 0) / 3600})
    if not lines:
        return "no records yet"
    return (
        pd.DataFrame(lines).groupby(["study", "function", "where"]).sum().round(2).reset_index().to_string(index=False)
    )


def rm_stale() -> str:
    """Remove this machine's stale records with the files beside them, and what killed runs left behind."""
    stale = [path for path, _, stale in everything() if stale]
    here = [path for path in stale if path.is_relative_to(base.RECORDS)]
    for path in here:
        for suffix in (".json", ".npz", ".pt"):
            path.with_suffix(suffix).unlink(missing_ok=True)
    for path in base.RECORDS.glob("*/.*.*.*"):  # halves that write_atomically could not remove
        if path.is_file() and time.time() - path.stat().st_mtime > 3600:
            path.unlink(missing_ok=True)
    return f"{len(here)} stale records removed; {len(stale) - len(here)} committed ones are stale: adopt or train them"


def adopt(size: int = 5) -> str:
    """Stamp stale records as valid where a sample, trained again, is bit-identical; what was found, per function.

    The sample: the cheapest record of each function, then of each study, then the cheapest others, up to `size`.
    """
    stale = [(path, record) for path, record, stale in everything() if stale and finished(record)]
    able = [(path, record, *made) for path, record in stale if (made := remade(record))]
    able.sort(key=lambda entry: entry[1]["seconds"])
    lines = [f"{len(stale) - len(able)} stale records can no longer be asked for"] if len(able) < len(stale) else []
    checked = [(entry[1], _again(*entry[1:])) for entry in sample(able, size)]
    for name in sorted({record["function"] for _, record, *_ in able}):
        pairs = [(old, new) for old, new in checked if old["function"] == name]
        different = [old["key"] for old, new in pairs if result(old) != result(new)]
        mine = [entry for entry in able if entry[1]["function"] == name]
        if different:
            lines.append(
                f"{name}: {len(different)} of {len(pairs)} differ ({different[0]} ...): {len(mine)} stay stale"
            )
            continue
        for path, record, function, config in mine:
            _stamp(path, record, function, config, [old["key"] for old, _ in pairs])
        lines.append(f"{name}: all {len(pairs)} trained again are bit-identical: {len(mine)} records adopted")
    return "\n".join(lines) or "no record is stale"


def sample(entries: list, size: int) -> list:
    """At most `size` of `entries`, (path, record, ...) each: the first of each function, of each study, then others."""
    chosen = []
    for names in (["function"], ["function", "study"], ["study", "key"]):
        for entry in entries:
            kinds = [[other[1][name] for name in names] for other in chosen]
            room = len(chosen) < size or names == ["function"]
            if room and [entry[1][name] for name in names] not in kinds:
                chosen.append(entry)
    return chosen


def _again(record, function, config) -> dict:
    trial = Trial(record["key"], config, record["key"])
    run = Run(function, record["study"], record["budget"], fresh=True)
    return run.train([trial], engine.choose(None, function.__module__))[trial.key]


def _stamp(path, record, function, config, sample):
    if (now := records.load(path)) and now["source"] != (source := records.source_hash(function.__module__)):
        note = {"from": now["source"], "to": source, "sample": sample}
        stamped = {"source": source, "config": records.complete(config), "adopted": [*now.get("adopted", []), note]}
        records.write(record["study"], now | stamped, root=path.parent.parent)


def remade(record: dict):
    """(function, config) of a record; None where today's code gives them another key."""
    try:
        function, kind = (_import(record[name]) for name in ("function", "config_class"))
        config = kind(**{name: _tuples(value) for name, value in record["config"].items()})
        return (function, config) if records.key(function, config) == record["key"] else None
    except (ImportError, AttributeError, TypeError, CourseworkError):
        return None


def _import(name: str):
    module, _, name = name.rpartition(".")
    return getattr(importlib.import_module(module), name)


def _tuples(value):
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def publish(checkpoints: bool = False) -> str:
    """Copy finished records of the full budget to the committed ones; weights over 1 MB only if asked."""
    count = 0
    for path, record, stale in everything():
        target = base.PUBLISHED / "records" / record["study"] / path.name
        there = target.exists() and records.load(target)
        worthy = finished(record) and record["budget"] == "full" and not stale
        if not worthy or (there and there["source"] == record["source"]):
            continue
        for suffix in (*record["files"], "json"):
            file = path.with_suffix(f".{suffix}")
            if suffix != "pt" or checkpoints or file.stat().st_size <= 1e6:
                base.write_atomically(target.with_suffix(f".{suffix}"), file.read_bytes())
        count += 1
    return f"{count} records copied to {base.PUBLISHED / 'records'}"
