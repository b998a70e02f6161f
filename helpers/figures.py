"""Figures for the pages: each function draws, and makes alt text and data table from the same arrays.

Made for a telephone: 5.2 inches wide with 11-point type stays readable at 360 pixels. Lines differ in colour (a
colour-blind palette) and in dashes. No pyplot: no state, nothing to close.
"""

import io
from dataclasses import dataclass

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from helpers.base import CourseworkError

COLOURS = [f"#{c}" for c in ("0173B2", "D55E00", "029E73", "AA3F9B", "CA9161", "56B4E9", "DE8F05", "949494")]
DASHES = ["-", "--", "-.", ":"]
WIDTH = 5.2  # inches
STYLE = {"font.size": 11, "figure.titlesize": 12, "axes.titlesize": 11, "legend.fontsize": 10, "lines.markersize": 4}
STYLE |= {"axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True, "legend.frameon": False}
STYLE |= {"axes.grid": True, "grid.color": "#e4e4e4"}
styled = matplotlib.rc_context(STYLE)


@dataclass
class Drawing:
    """A figure, what it says in one or two sentences, and the numbers drawn in it (six significant digits)."""

    figure: Figure
    alt: str
    data: pd.DataFrame

    def __post_init__(self):
        for name in self.data.select_dtypes("floating"):
            self.data[name] = [float(f"{value:.6g}") for value in self.data[name]]
        self.figure.draw_without_rendering()  # ticks take their style when first drawn: now

    def png(self) -> bytes:
        """The picture as PNG bytes, 572 pixels wide."""
        file = io.BytesIO()
        self.figure.savefig(file, format="png", pil_kwargs={"optimize": True})
        return file.getvalue()

    _repr_png_ = png


def _figure(title, rows=1, columns=1, height=3.0, **options):
    figure = Figure((WIDTH, height), 110, facecolor="white", layout="constrained")
    if title:
        figure.suptitle(title, x=0.01, ha="left", weight="bold")
    return figure, figure.subplots(rows, columns, squeeze=False, **options).ravel()


def _legend(axis):
    """Labels above the data in as many columns as fit; the figure grows by their height."""
    labels = axis.get_legend_handles_labels()[1]
    columns = max(1, min(4, 46 // (max(map(len, labels)) + 6)))
    axis.legend(loc="lower left", bbox_to_anchor=(-0.02, 1), ncols=columns, borderaxespad=0.1)
    axis.figure.set_figheight(axis.figure.get_figheight() + 0.2 * -(-len(labels) // columns))


def _words(name) -> str:
    return str(name).replace("_", " ")


def _number(value) -> str:
    return f"{value:.4g}" if np.isfinite(value) else "not finite"


def _span(values) -> str:
    values = np.asarray(values, float)[np.isfinite(values)]
    return f"{_number(values.min())} to {_number(values.max())}" if values.size else "nothing finite"


def histories(trials: pd.DataFrame) -> pd.DataFrame:
    """The epochs of all trials in one frame: row, seed, epoch (from 1), and the history's columns."""
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
        best, ends = line.sort_values("mean", ascending=falls).iloc[0], line["mean"].iloc[[0, -1]].map(_number)
        at = f"{'lowest' if falls else 'highest'} {_number(best['mean'])} at {_words(x)} {_number(best[x])}"
        said.append(f"{name if panel in name else f'{panel}, {name}'}: first {ends.iloc[0]}, {at}, last {ends.iloc[1]}")
    if len(said) <= 6:
        return "; ".join(said)
    last = data.drop_duplicates(["panel", "line"], keep="last").sort_values("mean").groupby("panel", sort=False)
    ends = last.agg(n=("mean", "size"), low=("mean", "min"), high=("mean", "max"), best=("line", "last"))
    return "; ".join(f"{e.Index}: {e.n} lines end between {e.low:.4g} and {e.high:.4g}" for e in ends.itertuples())


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
    figure, axes = _figure(title, len(panels), height=0.6 + 2.2 * len(panels), sharex=True)
    for axis, (panel, part) in zip(axes, data.groupby("panel", sort=False)):
        for index, (name, line) in enumerate(part.groupby("line", sort=False)):
            style = {
                "color": COLOURS[index % len(COLOURS)],
                "ls": DASHES[index % 4],
                "marker": "o" if len(line) <= 12 else None,
            }
            axis.plot(line[x], line["mean"], label=name, drawstyle="steps-mid" if step else "default", **style)
            if band:
                low, high = line["mean"] - line["std"], line["mean"] + line["std"]
                axis.fill_between(line[x], low, high, color=style["color"], alpha=0.18, lw=0)
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
    alt = f"Line chart, {_words(x)} {_span(data[x])}. {_lines_said(data, x)}."
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
    figure, [axis] = _figure(title, height=0.9 + 0.32 * len(data))
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
    said = ", ".join(f"{name} {_number(value)}" for name, value in zip(data["name"], data["value"]))
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
    said = [f"{name}: {a.size} values, {_span(a)}, mean {_number(a.mean())}" for name, a in values.items()]
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
    panels = {"accuracy": ["measured", "perfect"], "images": "images"}
    figure = curves(data, "confidence", panels, title=title, log="images").figure
    alt = f"Accuracy against confidence, {len(frame)} images in {bins} bins: mean confidence "
    alt += f"{frame['confidence'].mean():.3f}, accuracy {frame['measured'].mean():.3f}, "
    data.attrs["ece"] = ece
    return Drawing(figure, f"{alt}expected calibration error {ece:.3f}.", data)


@styled
def regression(points, grid, fits, *, bands=None, gaps=(), title="", xlabel="x", ylabel="y") -> Drawing:
    """Samples, fitted curves on `grid`, and shaded stretches of x without samples.

    points: {split: (x, y)}; fits: {name: y on the grid}; bands: {name: half width on the grid}; gaps: [(from, to)].
    """
    data, said = pd.DataFrame({xlabel: np.ravel(grid)}), []
    figure, [axis] = _figure(title)
    for index, (name, (x, y)) in enumerate(points.items()):
        axis.plot(x, y, "osD^"[index % 4], color=COLOURS[-1 - index], label=name, mew=0, alpha=0.7)
        said.append(f"{len(x)} {name} points, {ylabel} {_span(y)}")
    for index, (name, y) in enumerate(fits.items()):
        data[name], half = np.ravel(y), np.ravel((bands or {}).get(name, np.nan))
        axis.plot(data[xlabel], data[name], color=COLOURS[index], ls=DASHES[index % 4], label=name)
        axis.fill_between(data[xlabel], data[name] - half, data[name] + half, color=COLOURS[index], alpha=0.2, lw=0)
        said.append(f"{name} {_span(y)}")
    for index, (low, high) in enumerate(gaps):
        axis.axvspan(low, high, color="#888888", alpha=0.18, lw=0, label="_" * index + "no samples")
        said.append(f"no samples between {_number(low)} and {_number(high)}")
    axis.set(xlabel=xlabel, ylabel=ylabel)
    _legend(axis)
    return Drawing(figure, f"Samples and fit, {xlabel} {_span(grid)}: {'; '.join(said)}.", data)


@styled
def images(pictures, titles=None, *, columns=5, title="", colours="gray_r") -> Drawing:
    """A grid of pictures (N, H, W) or (N, H, W, 3), uint8 or float, under their titles (may hold line breaks)."""
    pictures = np.asarray(pictures)
    titles = list(map(str, titles if titles is not None else range(1, len(pictures) + 1)))
    columns, lines = min(columns, len(pictures)), 1 + max(name.count("\n") for name in titles)
    rows = -(-len(pictures) // columns)
    figure, axes = _figure(title, rows, columns, 0.4 + rows * (WIDTH / columns + 0.17 * lines))
    for axis, picture, name in zip(axes, pictures, titles):
        axis.imshow(picture, cmap=colours, interpolation="nearest")
        axis.set_title(name, fontsize=9)
    for axis in axes:
        axis.set_axis_off()
    data = pd.DataFrame({"title": [name.replace("\n", " ") for name in titles]})
    data["mean_pixel"] = pictures.reshape(len(pictures), -1).mean(axis=1)
    alt = f"{len(data)} images of {pictures.shape[1]} × {pictures.shape[2]} pixels in rows of {columns}"
    return Drawing(figure, f"{alt}: {', '.join(data['title'])}.", data)


def patches(picture, sizes=(14, 7, 4), *, title="") -> Drawing:
    """One square image (H, H), uint8, cut into patches of each size, counted row by row.

    Raises CourseworkError for a size that does not divide the image's side.
    """
    picture, drawn, parts = np.asarray(picture, float), [], []
    for size in sizes:
        n, rest = divmod(len(picture), size)
        if rest:
            raise CourseworkError(f"patch size {size} does not divide the image side {len(picture)}")
        cut = np.arange(8 * len(picture) + 2) % (8 * size) < 2  # eight dots a pixel, two for a cut
        drawn.append(np.pad(np.kron(picture, np.ones((8, 8))), (0, 2)))
        drawn[-1][cut] = drawn[-1][:, cut] = np.nan
        means = picture.reshape(n, size, n, size).mean(axis=(1, 3)).ravel()
        parts += [(size, index, mean) for index, mean in enumerate(means)]
    names = [f"{(len(picture) // size) ** 2} of {size} × {size}" for size in sizes]
    colours = matplotlib.colormaps["gray_r"].with_extremes(bad=COLOURS[0])
    figure = images(drawn, names, columns=len(sizes), title=title, colours=colours).figure
    alt = f"One image of {len(picture)} × {len(picture)} pixels cut into patches: {', '.join(names)}."
    return Drawing(figure, alt, pd.DataFrame(parts, columns=["size", "patch", "mean_pixel"]))


@styled
def heatmap(table, *, title="", xlabel="", ylabel="", fmt=".3f", falls=False, **options) -> Drawing:
    """A table of numbers as coloured cells (a grid search): DataFrame, its index by its columns.

    Cells that are not finite are grey. falls: small values are good (a loss). options: of seaborn.heatmap.
    """
    import seaborn  # takes a second

    values = table.to_numpy(float)
    finite = np.isfinite(values)
    text = np.vectorize(lambda value: format(value, fmt))(values)
    figure, [axis] = _figure(title, height=1.3 + 0.4 * len(table))
    style = {"cmap": "cividis_r" if falls else "cividis", "cbar": False, "linewidths": 0.5, "fmt": "", "annot": text}
    seaborn.heatmap(table.where(finite), ax=axis, **style | options)
    for row, column in np.argwhere(~finite):
        axis.text(column + 0.5, row + 0.5, text[row, column], ha="center", va="center")
    axis.set(xlabel=xlabel, ylabel=ylabel, facecolor="#cccccc")
    axis.tick_params(length=0)
    axis.tick_params(axis="y", rotation=0)
    best = np.unravel_index(np.where(finite, -values if falls else values, -np.inf).argmax(), values.shape)
    alt = f"Grid of {ylabel} ({len(table)}) by {xlabel} ({table.shape[1]}): {_span(values)}, best "
    alt += f"{_number(values[best])} at {table.index[best[0]]}, {table.columns[best[1]]}; "
    return Drawing(figure, f"{alt}{(~finite).sum()} cells not finite.", table.reset_index())


def confusion(labels, predicted, classes, *, title="") -> Drawing:
    """Counts of (true class, predicted class). labels, predicted: (N,) integers; classes: their names."""
    labels, predicted, n = np.asarray(labels, int), np.asarray(predicted, int), len(classes)
    counts = np.bincount(labels * n + predicted, minlength=n * n).reshape(n, n)
    table = pd.DataFrame(counts, pd.Index(classes, name="true"), list(classes))
    style = {"cmap": "Blues", "norm": matplotlib.colors.PowerNorm(0.4), "annot_kws": {"size": 8}}
    text = np.where(counts, counts.astype(str), "")
    drawing = heatmap(table, title=title, xlabel="predicted", ylabel="true", fmt=".0f", annot=text, **style)
    recall = np.diag(counts) / np.maximum(counts.sum(axis=1), 1)
    wrong = counts - np.diag(np.diag(counts))
    true, taken = np.unravel_index(wrong.argmax(), wrong.shape)
    alt = f"Confusion matrix of {len(labels)} images, {n} classes, {np.trace(counts) / len(labels):.2%} correct; "
    alt += f"recall from {recall.min():.1%} ({classes[recall.argmin()]}) to {recall.max():.1%} "
    alt += f"({classes[recall.argmax()]}). Most frequent error: {classes[true]} taken for {classes[taken]}, "
    return Drawing(drawing.figure, f"{alt}{wrong.max()} times.", drawing.data)


@styled
def architecture(steps, *, title="") -> Drawing:
    """A network from top to bottom: boxes coloured by group, shapes beside them.

    steps: [(group, what the step does, shape after it)], such as ("stem", "cut into 49 patches", "B × 49 × 16");
    neighbours of one group share its colour and name.
    """
    data = pd.DataFrame(steps, columns=["group", "step", "shape"]).astype(str)
    colours = [COLOURS[code % len(COLOURS)] for code in pd.factorize(data["group"])[0]]
    figure, [axis] = _figure(title, height=0.5 + 0.6 * len(data))
    axis.barh(data.index, 5, 0.6, left=2.1, color=[c + "22" for c in colours], edgecolor=colours, lw=1.2)
    axis.set(xlim=(0, 10), ylim=(len(data) - 0.6, -0.5))
    axis.set_axis_off()
    for row, (group, step, shape) in enumerate(data.to_numpy()):
        axis.text(4.6, row, step, ha="center", va="center", fontsize=10)
        axis.text(7.3, row, shape, va="center", fontsize=10)
        axis.text(4.6, row - 0.5, "↓" if row else "", ha="center", va="center")
        if row == 0 or data["group"][row - 1] != group:
            axis.text(1.9, row, group, ha="right", va="center", weight="bold", color=colours[row])
    said = "; ".join(f"{group}: {step}, {shape}" for group, step, shape in data.to_numpy())
    return Drawing(figure, f"Architecture in {len(data)} steps. {said}.", data)
