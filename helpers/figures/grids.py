"""Drawings that are grids of cells or boxes, and what all drawings share: style, size, the Drawing itself.

As wide as the text of a page on a desk, and as the whole screen of a telephone, where 11-point type stays readable. No
pyplot: no state, nothing to close. Notebooks reach these through helpers.figures.
"""

import io
from dataclasses import dataclass

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from helpers.base import CourseworkError
from helpers.page import markup

COLOURS = [f"#{c}" for c in ("0173B2", "D55E00", "029E73", "AA3F9B", "A5682A", "56B4E9", "DE8F05", "949494")]
WIDTH = 5.8  # inches
DPI = 144
SHORT = "#ececec"  # behind shortened trainings
STYLE = {"font.size": 11, "figure.titlesize": 12, "axes.titlesize": 11, "legend.fontsize": 10, "lines.markersize": 4}
STYLE |= {"axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True, "legend.frameon": False}
STYLE |= {"axes.grid": True, "grid.color": "#e4e4e4"}
styled = matplotlib.rc_context(STYLE)


def png(figure: Figure) -> bytes:
    """PNG bytes in at most 128 colours: a third of the usual size."""
    drawn, file = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png")
    Image.open(drawn).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(file, "png", optimize=True)
    return file.getvalue()


@dataclass
class Drawing:
    """A figure, what it says in one or two sentences, and the numbers drawn in it (six significant digits).

    note: what its means and bands stand on, for the end of its caption (see `means_of`).
    """

    figure: Figure
    alt: str
    data: pd.DataFrame
    note: str = ""

    def __post_init__(self):
        for name in self.data.select_dtypes("floating"):
            self.data[name] = [float(f"{value:.6g}") for value in self.data[name]]
        self.figure.draw_without_rendering()  # ticks take their style when first drawn: now

    def png(self) -> bytes:
        """The picture as PNG bytes."""
        return png(self.figure)

    _repr_png_ = png


def new_figure(rows=1, columns=1, height=3.0, **options) -> tuple[Figure, np.ndarray]:
    """A figure of our width, and its axes row by row; its title is the caption that `page.show` asks for."""
    figure = Figure((WIDTH, height), DPI, facecolor="white", layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **options).ravel()


def number(value) -> str:
    """Four significant digits, thousands in full."""
    return markup.digits(value, 4) if np.isfinite(value) else "not finite"


def span(values) -> str:
    """Smallest to largest finite value."""
    values = np.asarray(values, float)[np.isfinite(values)]
    return f"{number(values.min())} to {number(values.max())}" if values.size else "nothing finite"


def means_of(frame: pd.DataFrame, by: str | None, spread: str = "") -> str:
    """On how many trainings (values of `seed`) the means by `by` stand, and what `spread`, bands or bars, is."""
    if "seed" not in frame:
        return ""
    keys = [name for name in (by, "share") if name in frame]
    counts = frame.groupby(keys)["seed"].nunique() if keys else pd.Series([frame["seed"].nunique()])
    fewest, most = counts[counts > 0].min(), counts.max()
    if most == 1:
        return "One training each."
    number_of = f"{most}" if fewest == most else f"{fewest} to {most}"
    return f"Means of n = {number_of} trainings{f'; {spread}: one standard deviation' if spread else ''}."


@styled
def images(pictures, titles=None, *, columns=5, colours="gray_r") -> Drawing:
    """A grid of pictures (N, H, W) or (N, H, W, 3), uint8 or float, under their titles (may hold line breaks)."""
    pictures = np.asarray(pictures)
    titles = list(map(str, titles if titles is not None else range(1, len(pictures) + 1)))
    columns, lines = min(columns, len(pictures)), 1 + max(name.count("\n") for name in titles)
    rows = -(-len(pictures) // columns)
    figure, axes = new_figure(rows, columns, 0.4 + rows * (WIDTH / columns + 0.17 * lines))
    for axis, picture, name in zip(axes, pictures, titles):
        axis.imshow(picture, cmap=colours, interpolation="nearest")
        axis.set_title(name, fontsize=9)
    for axis in axes:
        axis.set_axis_off()
    data = pd.DataFrame({"title": [name.replace("\n", " ") for name in titles]})
    data["mean_pixel"] = pictures.reshape(len(pictures), -1).mean(axis=1)
    alt = f"{len(data)} images of {pictures.shape[1]} × {pictures.shape[2]} pixels in rows of {columns}"
    return Drawing(figure, f"{alt}: {', '.join(data['title'])}.", data)


def patches(picture, sizes=(14, 7, 4)) -> Drawing:
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
    figure = images(drawn, names, columns=len(sizes), colours=colours).figure
    alt = f"One image of {len(picture)} × {len(picture)} pixels cut into patches: {', '.join(names)}."
    return Drawing(figure, alt, pd.DataFrame(parts, columns=["size", "patch", "mean_pixel"]))


@styled
def heatmap(table, *, xlabel="", ylabel="", fmt=".3f", falls=False, **options) -> Drawing:
    """A table of numbers as coloured cells (a grid search): DataFrame, its index by its columns.

    Cells that are not finite are grey. falls: small values are good (a loss). options: of seaborn.heatmap.
    """
    import seaborn  # takes a second

    values = table.to_numpy(float)
    finite = np.isfinite(values)
    text = np.vectorize(lambda value: format(value, fmt))(values)
    figure, [axis] = new_figure(height=1.3 + 0.4 * len(table))
    style = {"cmap": "cividis_r" if falls else "cividis", "cbar": False, "linewidths": 0.5, "fmt": "", "annot": text}
    style |= {} if finite.any() else {"vmin": 0, "vmax": 1}
    seaborn.heatmap(table.where(finite), ax=axis, **style | options)
    faces = axis.collections[0].get_facecolors().reshape(*values.shape, 4)
    for written in axis.texts:  # black or white, whichever stands out more from the cell
        column, row = np.ravel(written.get_position()).astype(int)
        luminance = seaborn.utils.relative_luminance(faces[row, column])
        written.set_color("black" if luminance > 0.18 else "white")
    for row, column in np.argwhere(~finite):
        axis.text(column + 0.5, row + 0.5, text[row, column], ha="center", va="center")
    axis.set(xlabel=xlabel, ylabel=ylabel, facecolor="#cccccc")
    axis.tick_params(length=0)
    axis.tick_params("y", rotation=0)
    best = np.unravel_index(np.where(finite, -values if falls else values, -np.inf).argmax(), values.shape)
    alt = f"Grid of {ylabel} ({len(table)}) by {xlabel} ({table.shape[1]}): {span(values)}, best "
    alt += f"{number(values[best])} at {table.index[best[0]]}, {table.columns[best[1]]}; "
    return Drawing(figure, f"{alt}{(~finite).sum()} cells not finite.", table.reset_index())


def confusion(labels, predicted, classes) -> Drawing:
    """Counts of (true class, predicted class). labels, predicted: (N,) integers; classes: their names."""
    labels, predicted, n = np.asarray(labels, int), np.asarray(predicted, int), len(classes)
    counts = np.bincount(labels * n + predicted, minlength=n * n).reshape(n, n)
    table = pd.DataFrame(counts, pd.Index(classes, name="true"), list(classes))
    style = {"cmap": "Blues", "norm": matplotlib.colors.PowerNorm(0.4), "annot_kws": {"size": 8}}
    text = np.where(counts, counts.astype(str), "")
    drawing = heatmap(table, xlabel="predicted", ylabel="true", fmt=".0f", annot=text, **style)
    recall = np.diag(counts) / np.maximum(counts.sum(axis=1), 1)
    wrong = counts - np.diag(np.diag(counts))
    true, taken = np.unravel_index(wrong.argmax(), wrong.shape)
    alt = f"Confusion matrix of {len(labels)} images, {n} classes, {np.trace(counts) / len(labels):.2%} correct; "
    alt += f"recall from {recall.min():.1%} ({classes[recall.argmin()]}) to {recall.max():.1%} "
    alt += f"({classes[recall.argmax()]}). Most frequent error: {classes[true]} taken for {classes[taken]}, "
    return Drawing(drawing.figure, f"{alt}{wrong.max()} times.", drawing.data)


@styled
def architecture(steps) -> Drawing:
    """A network from top to bottom: boxes coloured by group, shapes beside them.

    steps: [(group, what the step does, shape after it)], such as ("stem", "cut into 49 patches", "B × 49 × 16");
    neighbours of one group share its colour and name.
    """
    data = pd.DataFrame(steps, columns=["group", "step", "shape"]).astype(str)
    colours = [COLOURS[code % len(COLOURS)] for code in pd.factorize(data["group"])[0]]
    figure, [axis] = new_figure(height=0.5 + 0.6 * len(data))
    axis.barh(data.index, 5, 0.6, left=2.1, color=[c + "22" for c in colours], edgecolor=colours, lw=1.2)
    axis.set(xlim=(0, 10), ylim=(len(data) - 0.6, -0.5))
    axis.set_axis_off()
    for row, (group, step, shape) in enumerate(data.to_numpy()):
        axis.text(4.6, row, step, ha="center", va="center", fontsize=10)
        axis.text(7.3, row, shape, va="center", fontsize=10)
        axis.text(4.6, row - 0.5, "↓" if row else "", ha="center", va="center")
        if row == 0 or data["group"][row - 1] != group:
            axis.text(1.9, row, group, ha="right", va="center", weight="bold", color=colours[row])
    phrases = "; ".join(f"{group}: {step}, {shape}" for group, step, shape in data.to_numpy())
    return Drawing(figure, f"Architecture in {len(data)} steps. {phrases}.", data)
