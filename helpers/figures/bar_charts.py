"""Bars, histograms and reliability: each function draws, and makes alt text and data from the same arrays."""

import numpy as np
import pandas as pd
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from helpers.figures.grids import COLOURS, SHORT, Drawing, means_of, new_figure, number, span, styled
from helpers.figures.lines import MARK, PRINTED, curves, cut_common_length, put_legend, words

HATCHED = {"facecolor": SHORT, "edgecolor": COLOURS[0], "hatch": "///"}  # bars of shortened trainings


@styled
def bars(values, column="", *, xlabel="", limits=None, reference=None, diamond="printed"):
    """Horizontal bars, the first on top; points where `limits` leave out zero.

    values: {name: number, or list over seeds} (mean ± standard deviation).
    reference: {name: value} as open diamonds, `diamond` in the legend (a report's numbers). Or values are trials, of
    which `column` is drawn by row: trainings in full first, then the shortened ones, hatched; printed_<column> gives
    the diamonds.
    """
    short, length, reference, note = {}, "", reference or {}, ""
    if column:
        note = means_of(values, "row", "whiskers")
        values, short, printed, length = _by_row(values, column)
        reference = printed or reference
    xlabel = xlabel or words(column) or "value"
    seeds = {name: np.atleast_1d(np.asarray(value, float)) for name, value in values.items()}
    hatched = [short.get(name, False) for name in seeds]
    spread = {name: s.std(ddof=1) for name, s in seeds.items() if len(s) > 1}
    data = pd.DataFrame({"name": map(str, seeds), "value": [s.mean() for s in seeds.values()]})
    data["error"] = [spread.get(name, np.nan) for name in seeds]
    data["shortened"] = ["yes" if is_short else np.nan for is_short in hatched]
    data[diamond] = [reference.get(name, np.nan) for name in seeds]
    figure, [axis] = new_figure(height=0.7 + 0.32 * len(data))
    errorbars = {"capsize": 3, "ecolor": "#222222"}
    if limits and limits[0] > 0:
        axis.errorbar(data["value"], data.index, xerr=data["error"], fmt="o", color=COLOURS[0], **errorbars)
    else:
        for place, (value, is_short) in enumerate(zip(data["value"], hatched)):
            axis.barh(place, value, 0.65, **HATCHED if is_short else {"color": COLOURS[0]})
        axis.errorbar(data["value"], data.index, xerr=data["error"], fmt="none", **errorbars)
    ends = data["value"] + data["error"].fillna(0)
    if not reference:  # a diamond may stand there
        for place, (value, end) in enumerate(zip(data["value"], ends)):
            beside = {"xytext": (4, 0), "textcoords": "offset points", "va": "center", "fontsize": 9}
            axis.annotate(_at_end(value), (max(end, value), place), **beside)
        axis.margins(x=0.12)
    entries = []
    if not all(hatched):
        entries.append(Patch(color=COLOURS[0], label="ours"))
    if any(hatched):
        entries.append(Patch(**HATCHED, label=f"ours, shortened{length}"))
    if data[diamond].notna().any():
        entries += axis.plot(data[diamond], data.index, mec=COLOURS[1], label=diamond, **MARK)
    put_legend(figure, entries)
    if not limits:
        axis.xaxis.set_major_locator(MaxNLocator(4))
    axis.set(yticks=data.index, yticklabels=data["name"], xlabel=xlabel, xlim=limits, ylim=(len(data) - 0.4, -0.6))
    axis.grid(False, axis="y")
    marks = [", shortened" if is_short else "" for is_short in hatched]
    heights = ", ".join(
        f"{name} {number(value)}{mark}" for name, value, mark in zip(data["name"], data["value"], marks)
    )
    with_printed = data.dropna(subset=diamond)
    printed = ", ".join(f"{name} {number(value)}" for name, value in zip(with_printed["name"], with_printed[diamond]))
    alt = f"Bars of {xlabel}: {heights}." + (f" {diamond.capitalize()}: {printed}." if printed else "")
    return Drawing(figure, alt, data.dropna(axis="columns", how="all"), note)


def _by_row(trials: pd.DataFrame, column: str) -> tuple[dict, dict, dict, str]:
    """By row, those in full first: values over seeds, whether shortened, what a report prints; the common length."""
    frame = trials.assign(short=trials["share"] < 1, name=trials["row"].map(words))
    length = cut_common_length(frame, "name")
    both = frame["short"] & frame["name"].isin(frame.loc[~frame["short"], "name"])
    frame["name"] += np.where(both, ", shortened", "")
    groups = dict(list(frame.sort_values("short", kind="stable").groupby("name", sort=False)))
    values = {name: part[column] for name, part in groups.items()}
    short = {name: part["short"].iloc[0] for name, part in groups.items()}
    printed = {}
    if f"{PRINTED}{column}" in frame:
        printed = {name: part[f"{PRINTED}{column}"].iloc[0] for name, part in groups.items() if not short[name]}
    return values, short, printed, length


def _at_end(value: float) -> str:
    """A bar's value: a share to four decimals."""
    return f"{value:.4f}" if 0 < value < 1 else number(value)


@styled
def histogram(values, *, bins=40, xlabel="value", log=False) -> Drawing:
    """How often finite values fall into bins. values: an array, or {name: array}, of any shapes.

    All in one panel and in common bins.
    """
    values = values if isinstance(values, dict) else {"count": values}
    values = {name: np.ravel(np.asarray(array, float)) for name, array in values.items()}
    values = {name: array[np.isfinite(array)] for name, array in values.items()}
    phrases = [f"{name}: {a.size} values, {span(a)}, mean {number(a.mean())}" for name, a in values.items()]
    alt = f"Histogram of {xlabel}. {'; '.join(phrases)}."
    edges = np.histogram_bin_edges(np.concatenate(list(values.values())), bins)
    counts = {name: np.histogram(array, edges)[0] for name, array in values.items()}
    frame = pd.DataFrame({xlabel: (edges[:-1] + edges[1:]) / 2} | counts)
    drawing = curves(frame, xlabel, {"count": list(counts)}, log="y" if log else "", step=True)
    return Drawing(drawing.figure, alt, frame)


def reliability(confidence, correct) -> Drawing:
    """Accuracy against confidence in ten equal bins of [0, 1], and the number of images in each.

    confidence: (N,) largest probability; correct: (N,) bool. `data.attrs["ece"]` is the expected calibration error
    (Guo et al., 2017): the mean of |accuracy - confidence| of the bins, weighted by their images.
    """
    frame = pd.DataFrame({"confidence": np.asarray(confidence, float), "measured": np.asarray(correct, float)})
    groups = frame.groupby(np.minimum((frame["confidence"] * 10).astype(int), 9))
    data = groups.mean().assign(images=groups.size(), perfect=groups["confidence"].mean()).reset_index(drop=True)
    ece = float(np.average((data["measured"] - data["confidence"]).abs(), weights=data["images"]))
    data.attrs["ece"] = ece
    panels = {"accuracy": ["measured", "perfect"], "images": "images"}
    alt = f"Accuracy against confidence, {len(frame)} images in 10 bins, expected calibration error {ece:.3f}: mean "
    alt += f"confidence {frame['confidence'].mean():.3f}, accuracy {frame['measured'].mean():.3f}."
    return Drawing(curves(data, "confidence", panels, log="images").figure, alt, data)
