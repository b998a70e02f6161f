"""Train a sample of the recorded trials again, whole, and compare: bit for bit, or by closeness elsewhere."""

import tempfile
from collections import defaultdict
from pathlib import Path

from helpers import base
from helpers.base import CourseworkError
from helpers.trials import engine, kinds, probe, upkeep
from helpers.trials.runner import Runner, Trial, finished

SAMPLE = 5  # records, and at least one of each kind of trial


def verify(given: dict) -> int:
    """Print a table of trials, reproduced or not; 0 when all of them are. ALL=1 takes every record.

    The records stay as they are. Trainings on a GPU are left out where there is none: from the same seed it drops other
    units, so that hours would show nothing. Raises CourseworkError if there is nothing to verify.
    """
    entries, candidates = upkeep.everything(), {}  # key -> (path, record, trial function, config)
    upkeep.obtain_data([record for _, record, _ in entries])
    for path, record, _ in entries:
        made = kinds.remade(record) if finished(record) else None
        if made:
            candidates[record["key"]] = (path, record, *made)
    here = [one for one in candidates.values() if not probe.of_absent_gpu(one[1])]
    if len(here) < len(candidates):
        print(f"{len(candidates) - len(here)} trainings on a GPU are left out: none is here")
    cheap = sorted(here, key=lambda entry: entry[1]["seconds"])
    sample = cheap if given.get("ALL") == "1" else upkeep.sample(cheap, SAMPLE)
    if not sample:
        raise CourseworkError("there is no record to verify yet: run make report first")
    groups = defaultdict(list)
    for _, record, function, config in sample:
        groups[function, record["study"]].append(Trial(record["key"], config, record["key"]))
    print(f"{'study':12} {'record':20}  {'compared by':11}  {'recorded':>8}  {'again':>8}")
    same = []
    home = base.RECORDS
    with tempfile.TemporaryDirectory() as scratch:
        base.RECORDS = Path(scratch)  # what is trained here replaces nothing
        try:
            for (function, study), trials in groups.items():
                again = Runner(function, study, fresh=True).train(trials, engine.start())
                same += [_print_line(candidates[key][1], record) for key, record in again.items()]
        finally:
            base.RECORDS = home
    print(f"{sum(same)} of {len(same)} trials reproduced")
    return int(not all(same))


def _print_line(old: dict, new: dict) -> bool:
    """Print the line of one trial; whether it was reproduced."""
    alike = probe.same_platform(old["provenance"], new["provenance"])
    same = probe.vouches(probe.compare(old, new), alike)
    names = [name for name in old["metrics"] if "second" not in name]
    name = next((name for name in names if name.endswith("accuracy")), names[0])
    pair = (old["metrics"][name], new["metrics"].get(name))
    values = "  ".join(f"{'–' if value is None else format(value, '.4f'):>8}" for value in pair)
    how = "equal bits" if alike else "closeness"
    verdict = "reproduced" if same else "NOT reproduced"
    print(f"{old['study']:12} {old['key']:20}  {how:11}  {values}  {verdict}")
    return same
