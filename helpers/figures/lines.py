"""Figures for the pages: each function draws, and makes alt text and data table from the same arrays.

Lines and bars are here, grids of cells and boxes in `grids`; all are reached as helpers.figures.NAME. Lines differ in
colour (a colour-blind palette) and in dashes.
"""

import numpy as np
import pandas as pd

from helpers.figures.grids import (
    COLOURS,
    Drawing,
    new_figure,
    number,
    span,
    styled,
)

DASHES = ["-", "--", "-.", ":"]


def _legend(axis):
    """Labels above the data in as many columns as fit; the figure grows by their height."""
    labels = axis.get_legend_handles_labels()[1]
    columns = max(1, min(4, 46 // (max(map(len, labels)) + 6)))
    axis.legend(loc="lower left", bbox_to_anchor=(-0.02, 1), ncols=columns, borderaxespad=0.1)
    axis.figure.set_figheight(axis.figure.get_figheight() + 0.2 * -(-len(labels) // columns))


def _line(axis, index, name, x, y, half=None, step=False):
    """One line in its colour and dashes, with a band of `half` its width above and below."""
    colour, marker = COLOURS[index % len(COLOURS)], "o" if len(x) <= 12 else None
    style = {"ls": DASHES[index % 4], "drawstyle": "steps-mid" if step else "default"}
    axis.plot(x, y, color=colour, marker=marker, label=name, **style)
    if half is not None:
        axis.fill_between(x, y - np.ravel(half), y + np.ravel(half), color=colour, alpha=0.18, lw=0)


def _words(name) -> str:
    return str(name).replace("_", " ")


def labels(trials: pd.DataFrame) -> pd.Series:
    """The row of each trial; where some were shortened more than others, these with their number of epochs."""
    epochs = trials["history"].map(len)
    marked = trials["row"] + " (" + epochs.astype(str) + " epoch" + epochs.map(lambda n: "s" * (n != 1)) + ")"
    return trials["row"].where(trials["share"] == trials["share"].max(), marked)


def histories(trials: pd.DataFrame) -> pd.DataFrame:
    """The epochs of all trials in one frame: row (see `labels`), seed, epoch (from 1), and the history's columns."""
    trials = trials.assign(row=labels(trials)) if "share" in trials else trials
    parts = [t.history.assign(row=t.row, seed=t.seed, epoch=range(1, len(t.history) + 1)) for t in trials.itertuples()]
    return pd.concat(parts, ignore_index=True)


def _lines(frame, x, panels, by) -> pd.DataFrame:
    """Long table (panel, line, x, mean, std): values of a line at one x are seeds, and averaged."""
    parts = []
    for panel, columns in panels.items():
        for column in columns:
            part = frame[[x]].assign(panel=panel, line=_words(column), value=frame[column])
            if by:
                part["line"] = frame[by].astype(str) + (", " + _words(column) if len(columns) > 1 else "")
            parts.append(part)
    groups = pd.concat(parts).groupby(["panel", "line", x], sort=False)["value"]
    return groups.agg(["mean", "std"]).reset_index()


def _lines_said(data: pd.DataFrame, x: str) -> str:
    """First, best (of a loss or error: lowest) and last value of up to six lines; else where they end."""
    said = []
    for (panel, name), line in data.groupby(["panel", "line"], sort=False):
        falls = any(word in f"{panel} {name}".lower() for word in ("loss", "error"))
        best, ends = line.sort_values("mean", ascending=falls).iloc[0], line["mean"].iloc[[0, -1]].map(number)
        at = f"{'lowest' if falls else 'highest'} {number(best['mean'])} at {_words(x)} {number(best[x])}"
        said.append(f"{name if panel in name else f'{panel}, {name}'}: first {ends.iloc[0]}, {at}, last {ends.iloc[1]}")
    if len(said) <= 6:
        return "; ".join(said)
    last = data.drop_duplicates(["panel", "line"], keep="last").sort_values("mean", na_position="first")
    last["told"] = last["mean"].map(number) + " (" + last["line"] + ")"
    ends = [(panel, *rows["told"].iloc[[0, -1]], len(rows)) for panel, rows in last.groupby("panel", sort=False)]
    return "; ".join(f"{panel}: {n} lines end between {low} and {high}" for panel, low, high, n in ends)


@styled
def curves(frame, x, ys, *, by=None, title="", ylabel=None, band=False, log="", reference=None, step=False) -> Drawing:
    """Lines over `x`, one panel below the other.

    frame: wide, or long with the column `by` naming the lines (histories(trials), by="row"); several rows of a line
    at one x are seeds: their mean is drawn, with band=True mean ± standard deviation. ys: a column, a list of columns
    in one panel, or a dict {panel's label: column or columns}. log: "x", "y", "xy", or a panel's label. reference:
    the report's value as a dotted line, a number (first panel) or {panel's label: number}. step: as a staircase.
    """
    ys = ys if isinstance(ys, dict) else {ylabel or (_words(ys) if isinstance(ys, str) else "value"): ys}
    panels = {panel: [columns] if isinstance(columns, str) else list(columns) for panel, columns in ys.items()}
    if reference is not None and not isinstance(reference, dict):
        reference = {next(iter(panels)): reference}
    data, shown = _lines(frame, x, panels, by), None
    figure, axes = new_figure(title, len(panels), height=0.6 + 2.2 * len(panels), sharex=True)
    for axis, (panel, part) in zip(axes, data.groupby("panel", sort=False)):
        for index, (name, line) in enumerate(part.groupby("line", sort=False)):
            _line(axis, index, name, line[x], line["mean"], line["std"] if band else None, step)
        if panel in (reference or {}):
            axis.axhline(reference[panel], color="#333333", ls=":", lw=1.3, label="report")
        axis.set(ylabel=panel, yscale="log" if log in ("y", "xy", panel) else "linear")
        labels = axis.get_legend_handles_labels()[1]
        if len(labels) > 1 and labels != shown:
            _legend(axis)
        shown = labels
    axes[-1].set(xlabel=_words(x), xscale="log" if log in ("x", "xy") else "linear")
    if pd.api.types.is_integer_dtype(data[x]) and log not in ("x", "xy"):
        axes[-1].xaxis.get_major_locator().set_params(integer=True)
    alt = f"Line chart, {_words(x)} {span(data[x])}. {_lines_said(data, x)}."
    alt += "".join(f" The report's {panel}: {value}." for panel, value in (reference or {}).items())
    table = data.pivot(index=x, columns=["panel", "line"], values=["mean", "std"]).dropna(axis="columns", how="all")
    table.columns = [", ".join(names) for names in table.columns]
    return Drawing(figure, alt, table.reset_index())


def schedule(frame, ys, *, x="epoch", rate="lr", **options) -> Drawing:
    """The learning rate (log axis) above what it did; `ys` and `options` as in `curves`."""
    ys = ys if isinstance(ys, dict) else {"accuracy": ys}
    return curves(frame, x, {"learning rate": rate} | ys, log="learning rate", **options)


@styled
def bars(values, *, errors=None, title="", xlabel="value", limits=None, reference=None) -> Drawing:
    """Horizontal bars, the first on top; points where `limits` leave out zero.

    values: {name: number, or list over seeds} (mean ± standard deviation); errors: {name: half width} instead of it;
    reference: {name: value} as open diamonds (a report's numbers).
    """
    seeds = {name: np.atleast_1d(np.asarray(value, float)) for name, value in values.items()}
    spread = {name: s.std(ddof=1) for name, s in seeds.items() if len(s) > 1} | (errors or {})
    data = pd.DataFrame({"name": map(str, seeds), "value": [s.mean() for s in seeds.values()]})
    data["error"] = [spread.get(name, np.nan) for name in seeds]
    data["report"] = [(reference or {}).get(name, np.nan) for name in seeds]
    figure, [axis] = new_figure(title, height=0.9 + 0.32 * len(data))
    style = {"xerr": data["error"], "color": COLOURS[0], "capsize": 3, "label": "measured"}
    if limits and limits[0] > 0:
        axis.errorbar(data["value"], data.index, fmt="o", **style)
    else:
        axis.barh(data.index, data["value"], 0.65, **style)
    if reference:
        axis.plot(data["report"], data.index, "D", mfc="white", mec=COLOURS[1], mew=1.6, ms=6, zorder=3, label="report")
        _legend(axis)
    axis.set(yticks=data.index, yticklabels=data["name"], xlabel=xlabel, xlim=limits, ylim=(len(data) - 0.4, -0.6))
    axis.grid(False, axis="y")
    said = ", ".join(f"{name} {number(value)}" for name, value in zip(data["name"], data["value"]))
    return Drawing(figure, f"Bars of {xlabel}: {said}.", data.dropna(axis="columns", how="all"))


def histogram(values, *, bins=40, title="", xlabel="value", log=False) -> Drawing:
    """How often finite values fall into common bins. values: an array, or {name: array}, of any shapes."""
    values = values if isinstance(values, dict) else {"count": values}
    values = {name: np.ravel(np.asarray(array, float)) for name, array in values.items()}
    values = {name: array[np.isfinite(array)] for name, array in values.items()}
    edges = np.histogram_bin_edges(np.concatenate(list(values.values())), bins)
    counts = {name: np.histogram(array, edges)[0] for name, array in values.items()}
    frame = pd.DataFrame({xlabel: (edges[:-1] + edges[1:]) / 2} | counts)
    drawing = curves(frame, xlabel, {"count": list(counts)}, title=title, log="y" if log else "", step=True)
    said = [f"{name}: {a.size} values, {span(a)}, mean {number(a.mean())}" for name, a in values.items()]
    return Drawing(drawing.figure, f"Histogram of {xlabel}. {'; '.join(said)}.", frame)


def reliability(confidence, correct, *, bins=10, title="") -> Drawing:
    """Accuracy against confidence in equal bins of [0, 1], and the number of images in each.

    confidence: (N,) largest probability; correct: (N,) bool. `data.attrs["ece"]` is the expected calibration error
    (Guo et al., 2017): the mean of |accuracy - confidence| of the bins, weighted by their images.
    """
    frame = pd.DataFrame({"confidence": np.asarray(confidence, float), "measured": np.asarray(correct, float)})
    groups = frame.groupby(np.minimum((frame["confidence"] * bins).astype(int), bins - 1))
    data = groups.mean().assign(images=groups.size(), perfect=groups["confidence"].mean()).reset_index(drop=True)
    ece = float(np.average((data["measured"] - data["confidence"]).abs(), weights=data["images"]))
    data.attrs["ece"] = ece
    panels = {"accuracy": ["measured", "perfect"], "images": "images"}
    alt = (
        f"Accuracy against confidence, {len(frame)} images in {bins} bins, expected calibration error {ece:.3f}: mean "
    )
    alt += f"confidence {frame['confidence'].mean():.3f}, accuracy {frame['measured'].mean():.3f}."
    return Drawing(curves(data, "confidence", panels, title=title, log="images").figure, alt, data)


@styled
def regression(points, grid, fits, *, bands=None, gaps=(), title="", xlabel="x", ylabel="y") -> Drawing:
    """Samples, fitted curves on `grid`, and shaded stretches of x without samples.

    points: {split: (x, y)}; fits: {name: y on the grid}; bands: {name: half width on the grid}; gaps: [(from, to)].
    """
    figure, [axis] = new_figure(title)
    series, said = points | {name: (grid, y) for name, y in fits.items()}, []
    for index, (name, (x, y)) in enumerate(points.items()):
        axis.plot(x, y, "osD^"[index % 4], color=COLOURS[-1 - index], label=name, mew=0, alpha=0.7)
        said.append(f"{len(x)} {name} points, {ylabel} {span(y)}")
    for index, (name, y) in enumerate(fits.items()):
        _line(axis, index, name, np.ravel(grid), np.ravel(y), (bands or {}).get(name))
        said.append(f"{name} {span(y)}")
    for index, (low, high) in enumerate(gaps):
        axis.axvspan(low, high, color="#888888", alpha=0.18, lw=0, label="_" * index + "no samples")
        said.append(f"no samples between {number(low)} and {number(high)}")
    axis.set(xlabel=xlabel, ylabel=ylabel)
    _legend(axis)
    data = pd.concat(pd.DataFrame({xlabel: np.ravel(x), ylabel: np.ravel(y), "of": n}) for n, (x, y) in series.items())
    return Drawing(figure, f"Samples and fit, {xlabel} {span(grid)}: {'; '.join(said)}.", data)
