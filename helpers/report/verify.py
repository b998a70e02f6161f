"""Train a sample of the recorded trials again and compare: bit for bit, or by tolerance elsewhere."""

import tempfile
from collections import defaultdict
from pathlib import Path

from helpers import base, engine, upkeep
from helpers.base import CourseworkError
from helpers.runner import Run, Trial, finished

SAMPLE = 5  # records, and at least one of each trial function
TOLERANCE = 0.01  # of an accuracy or a loss, where another platform need not give equal bits
PLATFORM = ("torch", "numpy", "capability", "features", "gpu", "device", "precision", "threads")


def verify(given: dict) -> int:
    """Print a table of trials, reproduced or not; 0 when all of them are. ALL=1 takes every record.

    The records stay as they are. Raises CourseworkError if there is nothing to verify.
    """
    known = [(path, record) for path, record, stale in upkeep.everything() if not stale and finished(record)]
    known = {r["key"]: (path, r, *made) for path, r in known if (made := upkeep.remade(r))}
    cheap = sorted(known.values(), key=lambda entry: entry[1]["seconds"])
    sample = cheap if given.get("ALL") == "1" else upkeep.sample(cheap, SAMPLE)
    if not sample:
        raise CourseworkError("there is no record to verify yet: run make report first")
    groups = defaultdict(list)
    for _, record, function, config in sample:
        groups[function, record["study"]].append(Trial(record["key"], config, record["key"]))
    print(f"{'study':12} {'record':20}  {'compared by':11}  {'recorded':>8}  {'again':>8}")
    same, home = [], base.RECORDS
    with tempfile.TemporaryDirectory() as scratch:
        base.RECORDS = Path(scratch)  # what is trained here replaces nothing
        try:
            for (function, study), wanted in groups.items():
                again = Run(function, study, fresh=True).train(wanted, engine.choose(), live=False)
                same += [_tell(known[key][1], record) for key, record in again.items()]
        finally:
            base.RECORDS = home
    print(f"{sum(same)} of {len(same)} trials reproduced")
    return int(not all(same))


def _tell(old: dict, new: dict) -> bool:
    """Print the line of one trial; whether it was reproduced."""
    bits = _alike(old, new)
    names = [name for name in old["metrics"] if "second" not in name]
    names = [name for name in names if name.endswith("accuracy")] or names
    pairs = [(old["metrics"][name], new["metrics"].get(name)) for name in names]
    same = upkeep.result(old) == upkeep.result(new) if bits else all(_close(*pair) for pair in pairs)
    same &= old["status"].split()[0] == new["status"].split()[0]
    values = "  ".join(f"{'–' if value is None else format(value, '.4f'):>8}" for value in pairs[0])
    how, verdict = "equal bits" if bits else "tolerance", "reproduced" if same else "NOT reproduced"
    print(f"{old['study']:12} {old['key']:20}  {how:11}  {values}  {verdict}")
    return same


def _alike(old: dict, new: dict) -> bool:
    """Whether equal bits can be expected: nothing that both records tell of their platform differs."""
    here, there = old["provenance"], new["provenance"]
    return all(here[n] == there[n] for n in PLATFORM if n in here and n in there)


def _close(a: float | None, b: float | None) -> bool:
    return a == b or (None not in (a, b) and abs(a - b) <= TOLERANCE * max(1, abs(a)))
