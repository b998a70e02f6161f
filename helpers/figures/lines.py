"""Lines over epochs, rates or inputs: each function draws, and makes alt text and data from the same arrays.

Lines differ in colour (a colour-blind palette) and in dashes. Trainings in full and shortened ones stand in panels
beside each other, never in one.
"""

import re

import numpy as np
import pandas as pd
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from helpers.figures.grids import COLOURS, SHORT, WIDTH, Drawing, means_of, new_figure, number, span, styled

DASHES = ["-", "--", "-.", ":"]
NEAR = 0.008  # of an axis' height: lines no farther apart than this look like one
LEGEND_ROW = 0.21  # inches
LONGEST = 60  # characters of a name that joins lines
PRINTED = "printed_"  # begins the name of the column that holds what a report prints for another column
LENGTH = r" \([^()]*(epoch|of the training)[^()]*\)$"  # ends the name of a shortened training
MARK = {"marker": "D", "ls": "", "mfc": "white", "mew": 1.6, "ms": 6, "zorder": 5}  # of what a report prints


def histories(trials: pd.DataFrame) -> pd.DataFrame:
    """The epochs of all trials in one frame: row, seed, epoch (from 1), and the history's columns.

    share and printed_<column> of the trials are repeated in every epoch, as far as there are any.
    """
    kept = ["row", "seed", *(name for name in trials if name == "share" or name.startswith(PRINTED))]
    parts = [
        history.assign(**line, epoch=range(1, len(history) + 1))
        for history, line in zip(trials["history"], trials[kept].to_dict("records"))
    ]
    return pd.concat(parts, ignore_index=True)


def _lines(frame, x, panels, by) -> pd.DataFrame:
    """Long table (panel, line, short, x, mean, std, printed): values of a line at one x are seeds, and averaged."""
    parts = []
    for panel, columns in panels.items():
        for column in columns:
            part = frame[[x]].assign(panel=panel, line=words(column), value=frame[column])
            part = part.assign(short=frame.get("share", 1.0), printed=frame.get(f"{PRINTED}{column}", np.nan))
            if by:
                start = f"{words(by)} " if pd.api.types.is_integer_dtype(frame[by]) else ""
                names = start + frame[by].astype(str).map(words)
                part["line"] = names + (", " + words(column) if len(columns) > 1 else "")
            parts.append(part.assign(short=part["short"] < 1))
    groups = pd.concat(parts).groupby(["panel", "line", "short", x], sort=False)
    means = groups.agg(mean=("value", "mean"), std=("value", "std"), printed=("printed", "first"), n=("value", "count"))
    most = means.groupby(["panel", "line", "short"], sort=False)["n"].transform("max")
    means.loc[means["n"] < most, ["mean", "std"]] = np.nan  # a mean of fewer seeds would jump where one of them ends
    return means.drop(columns="n").reset_index()


def _joined(data: pd.DataFrame) -> dict[str, str]:
    """The name of each line; lines that are equal in all panels have one name, "a = b", and are drawn as one."""
    alike = {}
    for name, line in data.groupby("line", sort=False):
        numbers = line.drop(columns=["line", "std", "printed"]).to_csv(index=False)
        alike.setdefault(numbers, []).append(name)
    joined = {}
    for names in alike.values():
        whole = " = ".join(names)
        short = f"{names[0]} = ... = {names[-1]} ({len(names)} alike)"
        joined |= dict.fromkeys(names, whole if len(whole) <= LONGEST else short)
    return joined


def words(name) -> str:
    """A name as people read it."""
    return str(name).replace("_", " ")


def cut_common_length(frame: pd.DataFrame, column: str) -> str:
    """Cut what all names of shortened trainings in `column` say at their end, " (2 epochs)", and return it; else ""."""
    names = frame.loc[frame["short"], column]
    endings = {match[0] if (match := re.search(LENGTH, name)) else "" for name in names}
    length = endings.pop() if len(endings) == 1 else ""
    frame.loc[frame["short"], column] = names.str.removesuffix(length)
    return length


def _ends_in_words(data: pd.DataFrame, x: str) -> str:
    """First, best (of a loss or error: lowest) and last value of up to six lines; else where they end."""
    phrases = []
    for (panel, name), line in data.groupby(["panel", "line"], sort=False):
        quantity = panel if re.search("loss|error|accuracy", panel.lower()) else name  # a row may be named as it likes
        falls = bool(re.search("loss|error", quantity.lower()))
        best, ends = (
            line.sort_values("mean", ascending=falls, kind="stable").iloc[0],
            line["mean"].iloc[[0, -1]].map(number),
        )
        at = f"{'lowest' if falls else 'highest'} {number(best['mean'])} at {words(x)} {number(best[x])}"
        full_name = name if re.fullmatch(rf"(\w+ )?{re.escape(panel)}", name) else f"{panel}, {name}"
        phrases.append(f"{full_name}: first {ends.iloc[0]}, {at}, last {ends.iloc[1]}")
    if len(phrases) <= 6:
        return "; ".join(phrases)
    last = data.dropna(subset="mean").drop_duplicates(["panel", "line"], keep="last").sort_values("mean")
    last["end"] = last["mean"].map(number) + " (" + last["line"] + ")"
    ends = [(panel, *rows["end"].iloc[[0, -1]], len(rows)) for panel, rows in last.groupby("panel", sort=False)]
    return "; ".join(f"{panel}: {n} lines end between {low} and {high}" for panel, low, high, n in ends)


def _alt_text(data: pd.DataFrame, marks: pd.DataFrame, x: str) -> str:
    """The alt text: trainings in full and shortened ones apart, then what the reports print."""
    kinds = {"": data[~data["short"]], "Shortened trainings: ": data[data["short"]]}
    described = " ".join(f"{start}{_ends_in_words(part, x)}." for start, part in kinds.items() if len(part))
    each = [f"{line.line} {number(line.printed)} ({line.panel})" for line in marks.itertuples()]
    described += f" Printed at the end: {', '.join(each)}." if each else ""
    return f"Line chart, {words(x)} {span(data[x])}. {described}"


def line_style(index: int) -> dict:
    """Colour and dashes of the line with this number."""
    return {"color": COLOURS[index % len(COLOURS)], "ls": DASHES[index % len(DASHES)]}


def lightened(colour: str) -> tuple:
    """The colour, half way to white."""
    return tuple((1 + part) / 2 for part in to_rgb(colour))


def _over(lines: list[np.ndarray], log: bool) -> list[int]:
    """How many later lines lie on each line; it is drawn that much wider, so that all of them are seen."""
    with np.errstate(all="ignore"):
        lines = [np.log(line) if log else line for line in lines]
    finite = np.concatenate(lines)[np.isfinite(np.concatenate(lines))]
    near = NEAR * np.ptp(finite) if finite.size else 0.0
    return [sum(_look_alike(one, two, near) for two in lines[i + 1 :]) for i, one in enumerate(lines)]


def _look_alike(one: np.ndarray, two: np.ndarray, near: float) -> bool:
    """Whether two lines of one length are no farther apart than `near` at nine points of ten."""
    return len(one) == len(two) and np.isclose(one, two, rtol=0, atol=near, equal_nan=True).mean() >= 0.9


def _draw(axis, x: str, part: pd.DataFrame, order: list, band: bool, step: bool) -> None:
    """The lines of one axis, in the colours of their places in `order`."""
    groups = list(part.groupby("line", sort=False))
    below = _over([line["mean"].to_numpy() for _, line in groups], axis.get_yscale() == "log")
    for (name, line), over in zip(groups, below):
        style, width = line_style(order.index(name)), 1.5 + 2.2 * over
        marker = {"marker": "o", "ms": 4 + width - 1.5} if len(line) <= 12 else {}
        shade = {"ls": "-", "color": lightened(style["color"])} if over else {}
        drawn = {"label": name, "drawstyle": "steps-mid" if step else "default", "lw": width}
        axis.plot(line[x], line["mean"], **style | drawn | marker | shade)
        if band:
            low, high = line["mean"] - line["std"], line["mean"] + line["std"]
            axis.fill_between(line[x], low, high, color=style["color"], alpha=0.18, lw=0)


def _mark(axis, marks: pd.DataFrame, order: list) -> None:
    """What a report prints for the end of each line, at the right edge; equal values beside each other."""
    beside = marks.groupby("printed").cumcount()
    for mark, place in zip(marks.itertuples(), beside):
        edge = {"transform": axis.get_yaxis_transform(), "clip_on": False, "label": "_printed"}
        colour = line_style(order.index(mark.line))["color"]
        axis.plot([1 + 0.025 * place], [mark.printed], mec=colour, **MARK | edge)


def put_legend(figure, handles: list) -> None:
    """One legend below the picture, which grows by its height; it stays below a third of the whole."""
    named = {handle.get_label(): handle for handle in handles}
    if len(named) < 2:
        return
    columns = max(1, min(5, int(13.5 * WIDTH) // (max(map(len, named)) + 8)))
    by_row = [handle for start in range(columns) for handle in list(named.values())[start::columns]]
    height = LEGEND_ROW * -(-len(named) // columns)
    figure.legend(handles=by_row, loc="outside lower left", ncols=columns)
    figure.set_figheight(max(figure.get_figheight() + height, 3.5 * height))


def _lines_and_marks(data: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The lines under their joined names, each once, and what the reports print for those in full."""
    data = data.assign(line=data["line"].map(_joined(data)))
    marks = data[~data["short"]].dropna(subset="printed").drop_duplicates(["panel", "line", "printed"])
    return data.drop_duplicates([name for name in data if name not in ("std", "printed")]), marks


def _plain_ticks(axis) -> None:
    """Numbers such as 0.1, 0.2, 0.5 at a logarithmic axis of at most three decades, where powers of ten are too few."""
    low, high = axis.get_view_interval()
    if low > 0 and high / low < 1000:
        axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 30 else (1, 3)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.7g}"))
        axis.set_minor_formatter(NullFormatter())


def _whole_ticks(axis, values: np.ndarray) -> None:
    """Ticks at whole numbers; at each of them where there are few."""
    if len(values) <= 6:
        axis.set_xticks(values)
    else:
        axis.xaxis.get_major_locator().set_params(integer=True)


def _grid(data: pd.DataFrame, length: str):
    """A figure with a row of axes for each panel and a column for each kind of training: in full, shortened.

    length: how much the shortened ones were trained, where that is the same for all.
    """
    kinds = [short for short in (False, True) if (data["short"] == short).any()]
    rows = data["panel"].nunique()
    ratios = {"width_ratios": (3, 2)} if len(kinds) == 2 else {}
    options = {"height": 0.6 + 2.2 * rows, "sharex": "col", "gridspec_kw": ratios}
    figure, axes = new_figure(rows, len(kinds), **options)
    if True in kinds:
        titles = {False: "in full", True: f"shortened:\n{length}" if length else "shortened"}
        for axis, short in zip(axes, kinds):  # the first row of axes
            axis.set_title(titles[short], fontsize=10)
        for axis in axes[len(kinds) - 1 :: len(kinds)]:  # the last column
            axis.set_facecolor(SHORT)
    return figure, axes, kinds


@styled
def curves(frame, x, ys, *, by=None, ylabel=None, band=False, log="", step=False) -> Drawing:
    """Lines over `x`, one panel below the other; trainings in full (share 1) and shortened ones beside each other.

    frame: wide, or long with the column `by` naming the lines (histories(trials), by="row"); several rows of a line
    at one x are seeds: their mean is drawn, with band=True mean ± standard deviation. A column printed_<y>, where
    there is one, is marked by diamonds at the right edge. ys: a column, a list of columns in one panel, or a dict
    {panel's label: column or columns}. log: "x", "y", or a panel's label. step: as a staircase.
    """
    ys = ys if isinstance(ys, dict) else {ylabel or (words(ys) if isinstance(ys, str) else "value"): ys}
    panels = {panel: [columns] if isinstance(columns, str) else list(columns) for panel, columns in ys.items()}
    data = _lines(frame, x, panels, by)
    length = cut_common_length(data, "line")
    data, marks = _lines_and_marks(data)
    order = list(dict.fromkeys(data["line"]))
    figure, axes, kinds = _grid(data, length.strip(" ()"))
    for axis, (panel, short) in zip(axes, [(panel, short) for panel in panels for short in kinds]):
        axis.set(yscale="log" if log in ("y", panel) else "linear", ylabel=panel if short == kinds[0] else "")
        part = data[(data["panel"] == panel) & (data["short"] == short)]
        _draw(axis, x, part, order, band, step)
        _mark(axis, marks[(marks["panel"] == panel) & ~short], order)
        if axis.get_yscale() == "log":
            _plain_ticks(axis.yaxis)
    for axis, short in zip(axes[-len(kinds) :], kinds):
        axis.set(xlabel=words(x), xscale="log" if log == "x" else "linear")
        if log == "x":
            _plain_ticks(axis.xaxis)
        if pd.api.types.is_integer_dtype(data[x]) and log != "x":
            _whole_ticks(axis, data.loc[data["short"] == short, x].unique())
    entries = []
    for axis in axes:
        handles, _ = axis.get_legend_handles_labels()
        if by or len(handles) > 1:  # a single line needs no name beside that of its axis
            entries += handles
    if len(marks):
        entries.append(Line2D([], [], mec="#333333", label="printed", **MARK))
    put_legend(figure, entries)
    named = data.assign(line=data["line"] + np.where(data["short"], " (shortened)", ""))
    table = named.pivot(index=x, columns=["panel", "line"], values=["mean", "std"]).dropna(axis="columns", how="all")
    table.columns = [", ".join(names) for names in table.columns]
    note = means_of(frame, by, "bands" if band else "")
    return Drawing(figure, _alt_text(data, marks, x), table.reset_index(), note)


def schedule(frame, ys, **options) -> Drawing:
    """The learning rate (log axis) over epochs above what it did; `ys` and `options` as in `curves`."""
    ys = ys if isinstance(ys, dict) else {"accuracy": ys}
    return curves(frame, "epoch", {"learning rate": "lr"} | ys, log="learning rate", **options)


@styled
def regression(points, grid, fits, *, bands=None, gaps=()) -> Drawing:
    """Samples, fitted curves on `grid`, and shaded stretches of x without training inputs.

    points: {split: (x, y)}; fits: {name: y on the grid}; bands: {name: half width on the grid}; gaps: [(from, to)].
    """
    figure, [axis] = new_figure()
    series, phrases = points | {name: (grid, y) for name, y in fits.items()}, []
    for index, (name, (x, y)) in enumerate(points.items()):
        axis.plot(x, y, "osD^"[index % 4], color=COLOURS[-1 - index], label=name, mew=0, alpha=0.7)
        phrases.append(f"{len(x)} {name} points, y {span(y)}")
    for index, (name, y) in enumerate(fits.items()):
        style, half = line_style(index), (bands or {}).get(name)
        axis.plot(np.ravel(grid), np.ravel(y), label=name, **style)
        if half is not None:
            low, high = np.ravel(y) - np.ravel(half), np.ravel(y) + np.ravel(half)
            axis.fill_between(np.ravel(grid), low, high, color=style["color"], alpha=0.18, lw=0)
        phrases.append(f"{name} {span(y)}")
    for index, (low, high) in enumerate(gaps):
        axis.axvspan(low, high, color="#888888", alpha=0.18, lw=0, label=None if index else "no training inputs")
        phrases.append(f"no training inputs between {number(low)} and {number(high)}")
    axis.set(xlabel="x", ylabel="y")
    put_legend(figure, axis.get_legend_handles_labels()[0])
    data = pd.concat(pd.DataFrame({"x": np.ravel(x), "y": np.ravel(y), "of": n}) for n, (x, y) in series.items())
    return Drawing(figure, f"Samples and fit, x {span(grid)}: {'; '.join(phrases)}.", data)
