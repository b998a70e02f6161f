"""What is seen while trials run: one bar, one live curve, or lines in a file when a page is built."""

import json
import os
import sys
import time

REDRAW = 1.0  # seconds between two drawings of the curve, or two lines in the file


class Progress:
    """Follows the trials of one `run`: trials done, examples per second, time left.

    A bar in a terminal and in JupyterLab, none while a page is built (COURSEWORK_BUILD=1: it would
    stay on the page). Where COURSEWORK_PROGRESS names a file, JSON lines are appended to it:
    {"notebook", "done", "total", "seconds_left"}. live: one running trial's curve, in JupyterLab.
    """

    def __init__(self, study: str, work: dict, live: bool = False):
        """work: trial's name -> training examples it will process."""
        self._study, self._work = study, work
        self._told = dict.fromkeys(work, 0)
        self._done = 0
        self._start = self._last_line = time.monotonic()
        building = os.environ.get("COURSEWORK_BUILD") == "1"
        in_kernel = _in_kernel() and not building
        self._curve = _Curve() if live and in_kernel else None
        self._bar = _bar(sum(work.values())) if in_kernel or (sys.stderr.isatty() and not building) else None
        self._show()

    def extend(self, name, work: int):
        """A trial whose probe was in vain is trained in full: so many examples."""
        self._work[name] = work
        if self._bar is not None:
            self._bar.total = sum(self._work.values())

    def told(self, name, values: dict):
        """A trial ended an epoch; values["examples"]: what it has processed so far."""
        if name not in self._work:  # a message of an earlier run
            return
        so_far = min(values.get("examples", 0), self._work[name])
        self._told[name] = max(so_far, self._told[name])  # late news may follow the end
        if self._curve:
            self._curve.add(name, values)
        self._show()

    def finished(self, name):
        """A trial is done, trained or found."""
        self._told[name] = self._work[name]
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
            self._bar.update(sum(self._told.values()) - self._bar.n)
        if time.monotonic() - self._last_line >= REDRAW:
            self._write_line()

    def _write_line(self):
        self._last_line = time.monotonic()
        if path := os.environ.get("COURSEWORK_PROGRESS"):
            so_far, elapsed = sum(self._told.values()), self._last_line - self._start
            left = (sum(self._work.values()) - so_far) * elapsed / so_far if so_far else None
            notebook = os.environ.get("COURSEWORK_NOTEBOOK") or self._study
            line = {"notebook": notebook, "done": self._done, "total": len(self._work)}
            with open(path, "a", encoding="utf-8") as file:
                file.write(json.dumps(line | {"seconds_left": left and round(left, 1)}) + "\n")


def _in_kernel() -> bool:
    interactive = sys.modules.get("IPython")
    return bool(interactive and getattr(interactive.get_ipython(), "kernel", None))


def _bar(total: int):
    from tqdm.auto import tqdm

    text = "{desc} |{bar}| {rate_fmt}, {remaining} left"
    return tqdm(total=total, unit=" examples", unit_scale=True, bar_format=text, file=sys.stderr)


class _Curve:
    """The losses and the accuracies of one trial, drawn again as its epochs come in."""

    def __init__(self):
        self._name, self._rows, self._handle, self._drawn = None, [], None, 0.0

    def add(self, name, values):
        self._name = self._name if self._name is not None else name
        if name == self._name:
            self._rows.append(values)
            if time.monotonic() - self._drawn >= REDRAW:
                self._draw()

    def leave(self, name):
        if name == self._name:
            self._draw()
            self._name, self._rows = None, []  # the next trial that speaks is followed

    def _draw(self):
        import pandas as pd
        from IPython.display import display
        from matplotlib.figure import Figure

        frame = pd.DataFrame(self._rows).set_index("epoch")
        figure = Figure(figsize=(8, 3), layout="constrained")
        for axes, kind in zip(figure.subplots(1, 2), ("loss", "accuracy")):
            if columns := [column for column in frame if kind in column]:
                frame[columns].plot(ax=axes, xlabel="epoch", ylabel=kind, title=self._name)
        self._drawn = time.monotonic()
        if self._handle:
            self._handle.update(figure)
        else:
            self._handle = display(figure, display_id=True)
