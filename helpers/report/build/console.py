"""What a build says while it works: lines that stay, lines redrawn in a terminal, build.log; and its scratch folder."""

import contextlib
import json
import shutil
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

from helpers import base
from helpers.base import CourseworkError

QUIET = 60.0  # seconds between lines about running notebooks where the output is no terminal


class Log:
    """Prints, and writes with the time of day to a file, which also takes what kernels print."""

    def __init__(self, path: Path):
        self.file = open(path, "a", encoding="utf-8", buffering=1)  # noqa: SIM115 - see __exit__
        self.terminal = sys.stdout.isatty()
        self.gone = False  # whether nobody reads what is printed any more
        self.lines = 0  # that `live` has drawn
        self.spoken = time.monotonic()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        with contextlib.suppress(OSError):  # a full disk
            self.file.close()

    def say(self, text: str) -> None:
        """One line that stays."""
        self._clear()
        self._print(f"{text}\n")
        with contextlib.suppress(OSError):  # a full disk: what is built says so where it matters
            self.file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n")

    def live(self, jobs) -> None:
        """One line for each running notebook, in place; without a terminal, one now and then."""
        if self.terminal:
            self._clear()
            width = shutil.get_terminal_size().columns - 1
            self._print("".join(f"{describe(job)[:width]}\n" for job in jobs))
            self.lines = len(jobs)
        elif time.monotonic() - self.spoken > QUIET:
            self.spoken = time.monotonic()
            for job in jobs:
                self.say(describe(job))

    def _clear(self) -> None:
        if self.lines:
            self._print(f"\x1b[{self.lines}A\x1b[J")
            self.lines = 0

    def _print(self, text: str) -> None:
        """Print unless the reader has gone away (`| head`, a closed terminal); the build then ends by `gone`."""
        try:
            print(text, end="", flush=True)
        except OSError:
            self.gone = True
            base.silence()


def describe(job) -> str:
    """A running notebook: 'task4_training   41 s, cell 5 of 14, trial 3 of 12, about 2 min left'."""
    elapsed = time.time() - job.started
    parts = [f"{job.name:40} {elapsed:4.0f} s"]
    if job.run is None or job.run.finished:
        return f"{parts[0]}, setting the page"
    cells = len(job.nb["cells"]) + bool(job.parameters)  # papermill adds a cell for them
    parts.append(f"cell {job.run.cell} of {cells}" if job.run.cell else "starting")
    trials = _trials(job.run.scratch / "progress")
    if trials:
        parts.append(f"trial {trials['done']} of {trials['total']}")
    left = max((job.before or {}).get("duration_s", 0) - elapsed, trials.get("seconds_left") or 0)
    if left > 90:
        parts.append(f"about {left / 60:.0f} min left")
    elif left >= 1:
        parts.append(f"about {left:.0f} s left")
    return ", ".join(parts)


def _trials(path: Path) -> dict:
    """The last whole line of what the notebook's trials wrote (see helpers.trials.progress); {} if nothing yet."""
    try:
        return json.loads(path.read_text(encoding="utf-8").splitlines()[-1])
    except (OSError, ValueError, IndexError):
        return {}


@contextlib.contextmanager
def locked(folder: Path):
    """Hold the lock of a folder of pages; CourseworkError where another build holds it."""
    lock = base.file_lock(folder / ".lock")
    if lock is None:
        raise CourseworkError(f"another build is writing to {folder}; wait for it or stop it")
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def signals_as_interrupt():
    """SIGTERM, and SIGHUP of a closed terminal, end the build as Ctrl-C does, so that no kernel outlives it."""

    def stop(number, frame):
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    heard = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]  # nohup ignores SIGHUP
    before = {number: signal.signal(number, stop) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def scratch_folder(folder: Path) -> tempfile.TemporaryDirectory:
    """A temporary folder for the build that holds the lock of `folder`; what a killed one has left there is removed."""
    note, usual = folder / ".scratch", Path(tempfile.gettempdir())
    with contextlib.suppress(OSError, UnicodeDecodeError):
        left = Path(note.read_text(encoding="utf-8"))
        if left.parent == usual and left.name.startswith("cw-"):
            shutil.rmtree(left, ignore_errors=True)
    scratch = tempfile.TemporaryDirectory(prefix="cw-")
    base.write_atomically(note, scratch.name)
    return scratch
