"""The forest plot: every number of the frame is drawn where it belongs, and said in the alt text."""

import numpy as np
import pandas as pd
import pytest

from helpers import figures
from helpers.figures import forest_plot

LINES = pd.DataFrame(
    {
        "label": ["rate 0.1", "rate 0.9, which destroys the training altogether and for ever", "no scheduler", "range"],
        "low": [0.86, 0.1, 0.89, 0.82],
        "high": [0.86, 0.1, 0.89, 0.85],
        "mean": [0.87, 0.858, np.nan, 0.83],
        "half_width": [0.012, 0.02, np.nan, np.inf],
        "verdict": ["reproduced", "not reproduced", "not comparable", "inconclusive"],
        "short": False,
    }
)


def test_means_intervals_and_printed_values_stand_where_they_belong():
    axis = figures.forest(LINES).figure.axes[0]
    bars = [container for container in axis.containers if container.has_xerr or container.lines[0] is not None]
    assert [bar.lines[0].get_xdata()[0] for bar in bars] == [0.87, 0.858, 0.83]
    [[left, right]] = [[point[0] for point in segment] for segment in bars[0].lines[2][0].get_segments()]
    assert (left, right) == pytest.approx((0.858, 0.882))
    diamonds = [line for line in axis.lines if line.get_marker() == "D" and len(line.get_xdata())]
    assert [line.get_xdata()[0] for line in diamonds] == pytest.approx([0.86, 0.1, 0.89, 0.835])
    assert all(diamond.get_zorder() > bar.lines[0].get_zorder() for diamond in diamonds for bar in bars)  # seen inside
    words = [text.get_text() for text in axis.texts]
    assert words[1::2] == list(LINES["verdict"]) and words[0] == "rate 0.1" and words[2].count("\n") == 1
    top, bottom = axis.get_ylim()[1], axis.get_ylim()[0]
    assert top < 0 < 3 < bottom  # the first row stands on top


def test_alt_text_and_data_say_what_is_drawn():
    drawing = figures.forest(LINES)
    assert (
        "Forest plot of 4 rows" in drawing.alt
        and "rate 0.1: printed 0.86, ours 0.87 ± 0.012, reproduced" in drawing.alt
    )
    assert "range: printed 0.82 to 0.85" in drawing.alt and "no scheduler: printed 0.89, ours none" in drawing.alt
    assert list(drawing.data["mean"][:2]) == [0.87, 0.858]


def test_verdicts_differ_without_colour():
    assert len({(marker, filled) for marker, filled, _ in forest_plot.MARKS.values()}) == len(forest_plot.MARKS)


def test_many_rows_do_not_overlap():
    many = pd.concat([LINES] * 6)
    assert figures.forest(many).figure.get_figheight() > 2.5 * figures.forest(LINES).figure.get_figheight()


def test_shortened_trainings_stand_last_on_grey():
    drawing = figures.forest(LINES.assign(short=[True, False, False, False]))
    assert drawing.data["label"].tolist()[-1] == "rate 0.1"
    axis = drawing.figure.axes[0]
    grey = axis.patches[0].get_extents().transformed(axis.transData.inverted())
    assert sorted([grey.y0, grey.y1]) == pytest.approx([2.25, 3.5])
    assert "shortened trainings" in [text.get_text() for text in drawing.figure.legends[0].texts]
    assert not figures.forest(LINES).figure.axes[0].patches
