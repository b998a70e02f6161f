"""What a build says while it works: lines that stay, lines redrawn in a terminal, and build.log."""

import json
import shutil
import sys
import time
from pathlib import Path

QUIET = 60.0  # seconds between lines about running notebooks where the output is no terminal


class Log:
    """Prints, and writes with the time of day to a file, which also takes what kernels print."""

    def __init__(self, path: Path):
        self.file = open(path, "a", encoding="utf-8", buffering=1)  # noqa: SIM115 - see __exit__
        self.terminal, self.lines, self.told = sys.stdout.isatty(), 0, time.monotonic()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.file.close()

    def say(self, text: str) -> None:
        """One line that stays."""
        self._clear()
        print(text, flush=True)
        self.file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n")

    def live(self, jobs) -> None:
        """One line for each running notebook, in place; without a terminal, one now and then."""
        if self.terminal:
            self._clear()
            width = shutil.get_terminal_size().columns - 1
            print("".join(f"{describe(job)[:width]}\n" for job in jobs), end="", flush=True)
            self.lines = len(jobs)
        elif time.monotonic() - self.told > QUIET:
            self.told = time.monotonic()
            for job in jobs:
                self.say(describe(job))

    def _clear(self) -> None:
        if self.lines:
            print(f"\x1b[{self.lines}A\x1b[J", end="")
            self.lines = 0


def describe(job) -> str:
    """A running notebook: 'task4_training   41 s, cell 5 of 14, trial 3 of 12, about 2 min left'."""
    elapsed = time.time() - job.started
    told = [f"{job.name:40} {elapsed:4.0f} s"]
    if job.run is None or job.run.finished:
        return f"{told[0]}, setting the page"
    trials = _trials(job.run.scratch / "progress")
    cells = len(job.nb["cells"]) + bool(job.parameters)  # papermill adds a cell for them
    told.append(f"cell {job.run.cell} of {cells}" if job.run.cell else "starting")
    told += [f"trial {trials['done']} of {trials['total']}"] if trials else []
    left = max((job.before or {}).get("duration_s", 0) - elapsed, trials.get("seconds_left") or 0)
    if left > 90:
        told.append(f"about {left / 60:.0f} min left")
    elif left >= 1:
        told.append(f"about {left:.0f} s left")
    return ", ".join(told)


def _trials(path: Path) -> dict:
    """The last whole line of what the notebook's trials wrote (helpers.progress); {} if nothing yet."""
    try:
        return json.loads(path.read_text(encoding="utf-8").splitlines()[-1])
    except (OSError, ValueError, IndexError):
        return {}
