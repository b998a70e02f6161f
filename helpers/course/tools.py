"""The course's tools that know no data and no model: timer, sums, plots. The door of this folder hands them on."""

import itertools
import time
from base64 import b64encode

import numpy as np
import torch
from IPython import get_ipython
from IPython.display import display
from matplotlib import pyplot as plt

from helpers.figures.grids import png

FORMATS = ("-", "m--", "g-.", "r:")


class Timer:
    """Seconds of several runs, by the clock on the wall. It starts when it is made."""

    def __init__(self):
        self.times = []
        self.start()

    def start(self):
        self.tik = time.perf_counter()

    def stop(self):
        self.times.append(time.perf_counter() - self.tik)
        return self.times[-1]

    def avg(self):
        return sum(self.times) / len(self.times)

    def sum(self):
        return sum(self.times)

    def cumsum(self):
        return np.array(self.times).cumsum().tolist()


class Accumulator:
    """n sums."""

    def __init__(self, n):
        self.data = [0.0] * n

    def add(self, *args):
        self.data = [a + float(b) for a, b in zip(self.data, args)]

    def reset(self):
        self.data = [0.0] * len(self.data)

    def __getitem__(self, idx):
        return self.data[idx]


def use_svg_display() -> None:
    """SVG figures in a notebook. Mended: IPython 9 has no display.set_matplotlib_formats; a script stays as it is."""
    if get_ipython():
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        set_matplotlib_formats("svg")


def set_figsize(figsize=(3.5, 2.5)) -> None:
    """The default figure size in inches."""
    use_svg_display()
    plt.rcParams["figure.figsize"] = figsize


def set_axes(axes, xlabel, ylabel, xlim, ylim, xscale, yscale, legend) -> None:
    """Labels, limits, scales, legend and grid of `axes`. Mended: a limit of None leaves room for points to come."""
    axes.set(xlabel=xlabel, ylabel=ylabel, xscale=xscale, yscale=yscale)
    if xlim is not None:
        axes.set_xlim(xlim)
    if ylim is not None:
        axes.set_ylim(ylim)
    if legend:
        axes.legend(legend)
    axes.grid(True)


def _values(x):
    """A tensor as an array; anything else as it is."""
    return x.detach().cpu().numpy() if torch.is_tensor(x) else x


def _lines(values) -> list:
    """Values of one line, or of a list of lines, as a list of lines."""
    return list(values) if np.ndim(_values(next(iter(values)))) else [values]


def plot(
    X, Y=None, xlabel=None, ylabel=None, legend=None, xlim=None, ylim=None, xscale="linear", yscale="linear",
    fmts=FORMATS, figsize=(3.5, 2.5), axes=None,
):  # fmt: skip
    """Lines of Y over X, each one line or a list of lines. Mended: a fifth line is not dropped; any tensor will do."""
    xs, ys = ([[]], _lines(X)) if Y is None else (_lines(X), _lines(Y))
    set_figsize(figsize)
    axes = axes if axes is not None else plt.gca()
    axes.cla()
    for x, y, fmt in zip(itertools.cycle(xs), ys, itertools.cycle(fmts)):  # one x may serve every line
        if len(x):
            axes.plot(_values(x), _values(y), fmt)
        else:
            axes.plot(_values(y), fmt)
    set_axes(axes, xlabel, ylabel, xlim, ylim, xscale, yscale, legend)


def show_images(imgs, num_rows, num_cols, titles=None, scale=1.5):
    """A grid of images (tensors, arrays or PIL); returns its axes (num_rows * num_cols,)."""
    _, axes = plt.subplots(num_rows, num_cols, figsize=(num_cols * scale, num_rows * scale), squeeze=False)
    for axis, img, title in zip(axes.ravel(), imgs, titles if titles is not None else itertools.repeat("")):
        axis.imshow(_values(img), cmap="gray")
        axis.set_title(title)
    for axis in axes.ravel():
        axis.set_axis_off()
    return axes.ravel()


def _one_per_line(value, count):
    """A number as a list of `count` equal ones; a sequence as a list."""
    if isinstance(value, (list, tuple)) or getattr(value, "ndim", 0):
        return list(value)
    return [value] * count


class Animator:
    """A plot that grows. `add` takes None among the values: no point there.

    `fig` is pyplot's current figure, in a script until it is closed, in a notebook until the cell ends, so that
    plt.savefig saves the curve. A notebook shows it while the cell runs and keeps one PNG; `add` in a later cell shows
    it there. Mended: the course drew the whole figure anew at each call; this one shows it for at most a twentieth of
    the time, and once more when the cell ends.
    """

    def __init__(
        self, xlabel=None, ylabel=None, legend=None, xlim=None, ylim=None, xscale="linear", yscale="linear",
        fmts=FORMATS, nrows=1, ncols=1, figsize=(3.5, 2.5),
    ):  # fmt: skip
        options = {"figsize": figsize, "dpi": 110, "layout": "constrained", "squeeze": False}
        self.fig, axes = plt.subplots(nrows, ncols, **options)
        self.axes = axes.ravel()
        self.config_axes = lambda: set_axes(self.axes[0], xlabel, ylabel, xlim, ylim, xscale, yscale, legend)
        self.X, self.Y, self.fmts = None, None, fmts
        self._lines = []
        self._shell = get_ipython() if getattr(get_ipython(), "kernel", None) else None
        self._handle = None  # of the display that this cell updates
        self._in_cell = False  # whether a cell that adds points is running
        self._is_shown = True  # whether the display has the newest points
        self._next_show = 0.0  # by time.perf_counter

    def add(self, x, y):
        """One point for each line: `y` a number or one per line, `x` a number or one per line."""
        y = _one_per_line(y, 1)
        x = _one_per_line(x, len(y))
        if self.X is None:
            self.X, self.Y = [[] for _ in y], [[] for _ in y]
        for line, (a, b) in enumerate(zip(x, y)):
            if a is not None and b is not None:
                self.X[line].append(float(a))
                self.Y[line].append(float(b))
        self._draw()
        if self._shell:
            self._show_while_it_grows()

    def _draw(self):
        """Bring the lines in `axes[0]` up to date; titles and other additions of the caller stay.

        A line of one point is shown as a dot.
        """
        axes = self.axes[0]
        if not self._lines:
            self._lines = [axes.plot([], [], fmt)[0] for _, fmt in zip(self.Y, itertools.cycle(self.fmts))]
            self.config_axes()
            self._markers = [line.get_marker() for line in self._lines]
        for line, marker, x, y in zip(self._lines, self._markers, self.X, self.Y):
            line.set_data(x, y)
            line.set_marker("o" if len(x) == 1 else marker)
        axes.relim()
        axes.autoscale_view()

    def _show_while_it_grows(self):
        if not self._in_cell:
            plt.figure(self.fig)  # the current figure again, should an earlier cell have closed it
            self.fig._ipython_display_ = self._show  # what IPython shows of it at the cell's end is our one PNG
            self._shell.events.register("post_execute", self._end_of_cell)
            self._in_cell, self._handle = True, None
        self._is_shown = False
        if time.perf_counter() >= self._next_show:
            self._show()

    def _end_of_cell(self):
        self._shell.events.unregister("post_execute", self._end_of_cell)
        self._in_cell = False
        self._show()
        del self.fig._ipython_display_
        plt.close(self.fig)

    def _show(self):
        if self._is_shown:
            return
        start = time.perf_counter()
        ends = ", ".join(f"{y[-1]:.4g}" for y in self.Y if y)
        alt = f"Lines that grew while the cell ran; last values {ends}."
        shown = {"image/png": b64encode(png(self.fig)).decode(), "text/plain": alt}
        options = {"raw": True, "metadata": {"image/png": {"alt": alt}}}
        if self._handle is None:
            self._handle = display(shown, display_id=True, **options)
        else:
            self._handle.update(shown, **options)
        self._is_shown = True
        self._next_show = time.perf_counter() + 20 * (time.perf_counter() - start)
