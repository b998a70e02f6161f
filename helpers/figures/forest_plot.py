"""A forest plot: what a report prints beside the interval of our trainings, a line a row, verdict as mark and word."""

import textwrap

import numpy as np
import pandas as pd
from matplotlib.patches import Patch

from helpers.figures.grids import SHORT, Drawing, new_figure, styled
from helpers.figures.lines import put_legend

MARKS = {  # verdict -> (marker, filled, colour): told apart without colour, dark enough for small text
    "reproduced": ("o", True, "#00694F"),
    "exceeded": ("^", True, "#0B4F8A"),
    "not reproduced": ("X", True, "#A34700"),
    "inconclusive": ("o", False, "#555555"),
    "not comparable": ("s", False, "#555555"),
}
LABEL_WIDTH = 58  # characters of a line of a row's label, which stands above its bar, the verdict to its right


@styled
def forest(lines: pd.DataFrame) -> Drawing:
    """Draw test accuracies, one a row of `lines`: label, low and high (as printed), mean, half_width, verdict, short.

    The bar is `mean` ± `half_width`, a mark alone where the width is not finite; the diamond is the printed value, a
    thick line where a range is printed. A row without a mean shows the printed value and its verdict alone. Rows of
    shortened trainings (`short`) stand last, on grey.
    """
    lines = lines.sort_values("short", kind="stable").reset_index(drop=True)
    figure, (axis,) = new_figure(height=0.8 + 0.55 * len(lines))
    for place, line in enumerate(lines.itertuples()):
        _draw_row(axis, place, line)
    whole = int((~lines["short"]).sum())
    if whole < len(lines):
        axis.axhspan(whole - 0.75, len(lines) - 0.5, color=SHORT, lw=0, zorder=0)
    axis.set(xlabel="test accuracy", ylim=(len(lines) - 0.5, -0.75), yticks=[])
    axis.margins(x=0.08)
    axis.plot([], [], "D", color="black", markersize=4.5, label="printed")
    bars = np.isfinite(lines["half_width"]).any()
    words = "ours, 95 % of new runs" if bars else "ours"
    axis.plot([], [], "o-" if bars else "o", color="#555555", mfc="white", markersize=7, label=words)
    grey = [Patch(color=SHORT, label="shortened trainings")] if whole < len(lines) else []
    put_legend(figure, axis.get_legend_handles_labels()[0] + grey)
    return Drawing(figure, _alt(lines), lines)


def _draw_row(axis, place: int, line) -> None:
    """One row: label and verdict above, our interval and the printed value below."""
    marker, filled, colour = MARKS[line.verdict]
    if np.isfinite(line.mean):
        half = line.half_width if np.isfinite(line.half_width) else None
        face = colour if filled else "white"
        axis.errorbar(line.mean, place, xerr=half, fmt=marker, color=colour, mfc=face, capsize=3, markersize=7)
    axis.plot([line.low, line.high], [place] * 2, color="black", lw=2.5, zorder=4)
    axis.plot((line.low + line.high) / 2, place, "D", color="black", markersize=4.5, zorder=4)  # seen inside our mark
    above = {"xycoords": ("axes fraction", "data"), "va": "center", "fontsize": 10}
    label = textwrap.wrap(str(line.label), LABEL_WIDTH, max_lines=2, placeholder=" …")
    axis.annotate("\n".join(label), (0.01, place - 0.4), linespacing=1.0, **above)
    axis.annotate(line.verdict, (0.99, place - 0.4), ha="right", color=colour, weight="bold", **above)


def _alt(lines: pd.DataFrame) -> str:
    counts = ", ".join(f"{count} {verdict}" for verdict, count in lines["verdict"].value_counts().items())
    each = "; ".join(
        f"{line.label}: printed {line.low:.4g}"
        + (f" to {line.high:.4g}" if line.high > line.low else "")
        + (f", ours {line.mean:.4g}" if np.isfinite(line.mean) else ", ours none")
        + (f" ± {line.half_width:.2g}" if np.isfinite(line.half_width) else "")
        + f", {line.verdict}"
        for line in lines.itertuples()
    )
    return f"Forest plot of {len(lines)} rows: {counts}. {each}."
