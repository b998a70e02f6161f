"""What is seen while trials run: one bar, one live curve, or lines in a file when a page is built."""

import json
import os
import sys
import time

from helpers.trials.live import REDRAW, Curve, is_watched


class Progress:
    """Follows the trials of one `run`: trials done, examples per second, time left.

    A bar in a terminal and in JupyterLab, none while a page is built (COURSEWORK_BUILD=1: it would
    stay on the page). Where COURSEWORK_PROGRESS names a file, JSON lines are appended to it:
    {"done", "total", "seconds_left"}. With titles: one running trial's curve, in JupyterLab.
    """

    def __init__(self, study: str, work: dict, titles: dict | None = None):
        """work: trial's name -> training examples it will process; titles: its words, where a curve is to be drawn."""
        self._study, self._work = study, work
        self._processed = dict.fromkeys(work, 0)
        self._done = 0
        self._start = self._last_line = time.monotonic()
        watched = is_watched()
        terminal = sys.stderr.isatty() and os.environ.get("COURSEWORK_BUILD") != "1"
        self._bar = _bar(sum(work.values())) if watched or terminal else None
        self._curve = Curve(titles) if titles and watched else None
        self._show()

    def extend(self, name, work: int):
        """A trial whose probe was in vain is trained in full: so many examples."""
        self._work[name] = work
        if self._bar is not None:
            self._bar.total = sum(self._work.values())

    def epoch_ended(self, name, values: dict):
        """A trial ended an epoch; values["examples"]: what it has processed so far."""
        if name not in self._work:  # a message of an earlier run
            return
        so_far = min(values.get("examples", 0), self._work[name])
        self._processed[name] = max(so_far, self._processed[name])  # late news may follow the end
        if self._curve:
            self._curve.add(name, values)
        self._show()

    def finished(self, name):
        """A trial is done, trained or found."""
        self._processed[name] = self._work[name]
        self._done += 1
        if self._curve:
            self._curve.leave(name)
        self._show()

    def close(self):
        self._write_line()
        if self._bar is not None:
            self._bar.close()

    def _show(self):
        if self._bar is not None:
            self._bar.set_description_str(f"{self._study} {self._done}/{len(self._work)}", refresh=False)
            self._bar.update(sum(self._processed.values()) - self._bar.n)
        if time.monotonic() - self._last_line >= REDRAW:
            self._write_line()

    def _write_line(self):
        self._last_line = time.monotonic()
        if path := os.environ.get("COURSEWORK_PROGRESS"):
            so_far, elapsed = sum(self._processed.values()), self._last_line - self._start
            left = (sum(self._work.values()) - so_far) * elapsed / so_far if so_far else None
            line = {"done": self._done, "total": len(self._work)}
            with open(path, "a", encoding="utf-8") as file:
                file.write(json.dumps(line | {"seconds_left": left and round(left, 1)}) + "\n")


def _bar(total: int):
    from tqdm.auto import tqdm

    text = "{desc} |{bar}| {rate_fmt}, {remaining} left"
    return tqdm(total=total, unit=" examples", unit_scale=True, bar_format=text, file=sys.stderr)
