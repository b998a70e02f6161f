"""Looking after records: counting, verifying by probes, adopting after a change of code, removing, publishing."""

import time
from collections import Counter, defaultdict, deque
from concurrent import futures

from helpers import base
from helpers.base import CourseworkError
from helpers.data import sources
from helpers.trials import adoption, engine, kinds, probe, records, worker
from helpers.trials.runner import finished
from helpers.trials.source import source_hash


def everything() -> list[tuple]:
    """(path, record, source of its trial function today) of all intact records, the committed ones first.

    The source is "" for a kind of trial that is not ours, whose function only its user can name.
    """
    paths = [path for root in records.roots() for path in sorted(root.glob("*/*.json"))]
    intact = [(path, record) for path in paths if (record := records.load(path))]
    return [(path, record, _source(record)) for path, record in intact]


def _source(record: dict) -> str:
    kind = kinds.KINDS.get(record["trial"])
    return source_hash(kind[0]) if kind else ""


def _is_stale(record: dict, source: str) -> bool:
    return bool(source) and not adoption.stands(record, source)


def ls() -> str:
    """A table of the records: per study and kind of trial how many, how they ended, stale ones, hours."""
    import pandas as pd

    lines = []
    for path, record, source in everything():
        line = {"study": record["study"], "trial": record["trial"]}
        line["where"] = "committed" if path.is_relative_to(base.PUBLISHED) else "here"
        ends = {end: record["status"] == end for end in ("ok", "diverged", "failed")}
        stale = _is_stale(record, source)
        lines.append(line | {"n": 1} | ends | {"stale": stale, "hours": (record["seconds"] or 0) / 3600})
    if not lines:
        return "no records yet"
    groups = pd.DataFrame(lines).groupby(["study", "trial", "where"])
    return groups.sum().round(2).reset_index().to_string(index=False)


def rm_stale() -> str:
    """Remove this machine's stale records with the files beside them, and what killed runs left behind."""
    stale = [path for path, record, source in everything() if _is_stale(record, source)]
    here = [path for path in stale if path.is_relative_to(base.RECORDS)]
    for path in here:
        for suffix in (".json", ".npz", ".pt"):
            path.with_suffix(suffix).unlink(missing_ok=True)
    halves = base.RECORDS.glob("*/.*.*.*")  # that write_atomically could not remove
    for path in [*halves, *base.RECORDS.glob("*/.state/*.pt")]:  # and what an interrupted training would go on from
        if path.is_file() and time.time() - path.stat().st_mtime > 3600:
            path.unlink(missing_ok=True)
    return f"{len(here)} stale records removed; {len(stale) - len(here)} committed ones are stale: adopt or train them"


def verify() -> int:
    """Train the probe of every record again and print, per kind of trial, how many agree.

    Returns 0 where none differs; 1 also where there are records and none of them could be asked for.

    A record without a probe is cheap, and is trained again whole. A probe does not reach late epochs: the cuts of a
    per-epoch scheduler, early stopping and the choice of the best epoch are the business of the unit tests.
    """
    entries = {record["key"]: record for _, record, _ in reversed(everything()) if finished(record)}  # committed first
    counts, able = defaultdict(Counter), 0
    for record, made, measured in _probed(list(entries.values())):
        agreement = probe.compare(_evidence(record), measured) if made else "cannot be asked for"
        counts[record["trial"]][agreement] += 1
        able += made is not None
        if agreement == "different":
            print(f"different: {record['study']} {record['key']} {measured.get('reason', '')}".rstrip())
    for name, count in sorted(counts.items()):
        words = ("equal", "close", "different", "cannot be asked for")
        print(f"{name:12} " + ", ".join(f"{count[word]} {word}" for word in words), flush=True)
    nothing_asked = bool(entries) and not able
    return int(nothing_asked or any(count["different"] for count in counts.values()))


def adopt() -> str:
    """Write today's source into stale records whose probes, trained again, are equal or close; what became of them.

    A run adopts by itself only what is equal where equal bits can be expected. This is for a change that is meant to
    move bits by rounding alone: close probes are taken too, and noted as close.
    """
    copies = defaultdict(list)  # of one training, committed and here
    for path, record, source in everything():
        if finished(record) and source not in ("", record["source"]):
            copies[record["key"]].append((path, record))
    counts = Counter()
    for first, made, measured in _probed([places[0][1] for places in copies.values()]):
        if not made:
            counts["cannot be asked for"] += 1
            continue
        for path, record in copies[first["key"]]:
            agreement = probe.compare(_evidence(record), measured)
            counts[agreement] += 1
            if agreement != "different":
                _write_source(path, record, *made, agreement, measured)
    return ", ".join(f"{count} {word}" for word, count in counts.items()) or "no record is stale"


def obtain_data(trainings) -> None:
    """Bring the data sets that the configs of these records name into the cache, where `kinds.remade` looks."""
    for name in sources.RECIPES:
        if any(record["config"].get("dataset") == name for record in trainings):
            sources.obtain(name)


def _write_source(path, record, function, config, agreement, measured):
    source = source_hash(function.__module__)
    note = {"from": record["source"], "to": source, "agreement": agreement}
    changed = {"source": source, "config": records.complete(config), "adopted": [*record.get("adopted", []), note]}
    if record["probe"]:
        changed["probe"] = measured
    records.write(record["study"], record | changed, root=path.parent.parent)


def _evidence(record: dict) -> dict:
    """What a probe trained again is compared with: the record's own probe, or the whole of a cheap training."""
    return record["probe"] or {name: record[name] for name in ("status", "diverged_epoch", "history")}


def _probed(trainings: list[dict]):
    """(record, (function, config), its probe trained again) of each record, as they finish.

    Those that today's code cannot ask for come first: (record, None, None).
    """
    obtain_data(trainings)
    waiting, running = deque(), {}
    for record in trainings:
        made = kinds.remade(record)
        small = made and (probe.probe_of(made[1]) if record["probe"] else made[1])
        if small:
            waiting.append((record, made, small))
        else:
            yield record, None, None
    machine = engine.start(None, *{function.__module__ for _, (function, _), _ in waiting})
    try:
        while waiting or running:
            while waiting and len(running) < max(1, machine.capacity):
                record, (function, config), small = waiting.popleft()
                task = {"source": source_hash(function.__module__), "fingerprint": config.fingerprint()}
                arguments = (worker.train_probe, function, small, task)
                threads = worker.threads_of(config)
                running[machine.submit(*arguments, name=record["key"], threads=threads)] = record, (function, config)
            done, _ = futures.wait(running, return_when=futures.FIRST_COMPLETED)
            for future in done:
                try:
                    measured = future.result()
                except engine.LOST:
                    measured = worker.failure(CourseworkError("its worker was lost (killed by the system?)"))
                except Exception as error:  # what came back cannot be read, or a cluster gave the trial up
                    measured = worker.failure(error)
                yield *running.pop(future), measured
    finally:
        machine.close(abandon=bool(running))


def sample(entries: list, size: int) -> list:
    """At most `size` of `entries`, (path, record, ...) each: the first of each kind, of each study, then others."""
    chosen = []
    for names in (["trial"], ["trial", "study"], ["study", "key"]):
        for entry in entries:
            taken = [[other[1][name] for name in names] for other in chosen]
            room = len(chosen) < size or names == ["trial"]
            if room and [entry[1][name] for name in names] not in taken:
                chosen.append(entry)
    return chosen


def copy_to_published(checkpoints: bool = False) -> str:
    """Copy finished records of the full budget to the committed ones; weights over 1 MB only if asked."""
    count = 0
    for path, record, source in everything():
        target = base.PUBLISHED / "records" / record["study"] / path.name
        copy = records.load(target)
        worthy = finished(record) and record["budget"] == "full" and not _is_stale(record, source)
        if not worthy or (copy and copy["source"] == record["source"]):
            continue
        for suffix in (*record["files"], "json"):
            file = path.with_suffix(f".{suffix}")
            if suffix != "pt" or checkpoints or file.stat().st_size <= 1e6:
                base.write_atomically(target.with_suffix(f".{suffix}"), file.read_bytes())
        count += 1
    return f"{count} records copied to {base.PUBLISHED / 'records'}"
