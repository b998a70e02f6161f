"""`python -m tests.gpu_session MINUTES [STUDY ...]`: some minutes on a machine that has a GPU and no network.

tests/test_gpu.py runs first. Then every config that has a committed record is trained in full with the next seed, the
least work first, several at once (JOBS), until the minutes are over; what has finished lies in reports/records.
"""

import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from helpers import base, trials
from helpers.base import CourseworkError, run_command
from helpers.trials import kinds, upkeep
from helpers.trials.runner import finished


def next_trainings(records: list[dict], studies=()) -> list[tuple]:
    """(study, function, config) of the next seed of each config that a full record has, the least work first."""
    latest = {}  # (study, function, config without its seed) -> the config with the largest seed
    for record in records:
        made = kinds.remade(record) if finished(record) and record["budget"] == "full" else None
        if made and hasattr(made[1], "seed") and (not studies or record["study"] in studies):
            function, config = made
            row = record["study"], function, repr(replace(config, seed=0))
            if row not in latest or latest[row].seed < config.seed:
                latest[row] = config
    waiting = [(study, function, replace(c, seed=c.seed + 1)) for (study, function, _), c in latest.items()]
    return sorted(waiting, key=lambda training: training[2].work())


def train(waiting: list[tuple], seconds: float) -> int:
    """Train one study after the other until all is done or the time is over; the number that have finished."""

    def end(*_):
        raise KeyboardInterrupt  # as Ctrl-C: what is finished is kept, and what is not keeps its state

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.1))
    try:
        for study, function in dict.fromkeys((study, function) for study, function, _ in waiting):
            configs = [config for *which, config in waiting if which == [study, function]]
            trials.run(function, configs, study=study, budget="full")
    except KeyboardInterrupt:
        print("The time is over.")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    return sum(len(trials.recall(function, [config], study=study)) for study, function, config in waiting)


def main(minutes: str, *studies: str) -> str:
    """Test, train, and say what was done. Raises CourseworkError where the GPU's tests fail or nothing is known."""
    started = time.monotonic()
    if not minutes.replace(".", "", 1).isdigit():
        raise CourseworkError(f"MINUTES={minutes}: give a number of minutes, then the studies")
    if subprocess.run([sys.executable, "-m", "pytest", "-q", "tests/test_gpu.py"], cwd=base.CHECKOUT).returncode:
        raise CourseworkError("the tests of the GPU fail, see above: nothing was trained")
    waiting = next_trainings([record for _, record, _ in upkeep.everything()], studies)
    if not waiting:
        raise CourseworkError(f"no full record of {' '.join(studies) or 'any study'} to go on from")
    done = train(waiting, 60 * float(minutes) - (time.monotonic() - started))
    return f"{done} of {len(waiting)} trainings finished; their records: {base.RECORDS}"


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__.splitlines()[0])
    sys.exit(run_command(lambda: main(*sys.argv[1:])))
