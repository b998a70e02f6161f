"""Quantities read off histories, against values counted by hand."""

import pandas as pd
import pytest

from helpers import page
from helpers.studies import curves


def frame_of(accuracies, rates=None, train=0.9):
    columns = {"test_accuracy": accuracies, "train_accuracy": [train] * len(accuracies)}
    if rates:
        columns["lr"] = rates
    return pd.DataFrame({"history": [pd.DataFrame(columns)]})


def test_best_gap_and_volatility():
    line = curves.derive(frame_of([0.5, 0.8, 0.7])).iloc[0]
    assert line["best_test_accuracy"] == 0.8 and line["best_epoch"] == 2
    assert line["gap"] == pytest.approx(0.2)
    assert line["volatility"] == pytest.approx((0.3 + 0.1) / 2)


def test_a_fall_counts_only_if_it_lasts():
    fallen = curves.derive(frame_of([0.8, 0.85, 0.1, 0.1])).iloc[0]
    assert fallen["falls"] == 1 and fallen["fall_epoch"] == 3
    recovered = curves.derive(frame_of([0.8, 0.1, 0.85])).iloc[0]
    assert recovered["falls"] == 0 and pd.isna(recovered["fall_epoch"])


def test_first_cut_is_the_last_epoch_at_the_first_rate():
    cut = curves.derive(frame_of([0.5] * 4, rates=[0.1, 0.1, 0.01, 0.01])).iloc[0]
    assert cut["first_cut_epoch"] == 2
    assert curves.derive(frame_of([0.5] * 2, rates=[0.1, 0.1])).iloc[0]["first_cut_epoch"] is None


def test_stable_epoch():
    assert curves.derive(frame_of([0.1, 0.5, 0.8, 0.8, 0.8, 0.8, 0.8])).iloc[0]["stable_epoch"] == 3
    assert curves.derive(frame_of([0.8] * 6)).iloc[0]["stable_epoch"] == 1


def test_a_curve_that_never_settles_has_no_stable_epoch_and_its_page_says_so():
    frame = curves.derive(frame_of([0.1, 0.5, 0.9]))
    assert frame.iloc[0]["stable_epoch"] is None
    own = page.Page("tiny", {"budget": "smoke"}, {})
    frame = frame.assign(status="ok", seed=0, key="k", share=1.0, seconds=1.0)
    own.publish_trials("row", frame, ["stable_epoch"])
    assert own.published["row.stable_epoch"]["value"] is None and own.fill("{row.stable_epoch}") == "–"


def test_a_cut_on_a_plateau():
    rates = [0.1, 0.1, 0.1, 0.1, 0.01]
    assert curves.cut_on_plateau(frame_of([0.5, 0.8, 0.7, 0.7, 0.9], rates), "test_accuracy", 2) == [1]
    assert curves.cut_on_plateau(frame_of([0.5, 0.6, 0.7, 0.8, 0.9], rates), "test_accuracy", 2) == [0]  # still rose
    assert curves.cut_on_plateau(frame_of([0.5] * 5, [0.1] * 5), "test_accuracy", 2) == [0]  # never cut
    frame = frame_of([0.5] * 5, rates)
    frame["history"][0]["test_loss"] = [1.0, 0.5, 0.6, 0.7, 0.4]
    assert curves.cut_on_plateau(frame, "test_loss", 2) == [1]


def test_values_at_and_between_epochs():
    frame = frame_of([0.1, 0.2, 0.3, 0.4])
    assert curves.at_epoch(frame, 2) == [0.2] and curves.at_epoch(frame, 9) == [0.4]
    assert curves.mean_between(frame, 2, 3) == [pytest.approx(0.25)]
    assert curves.mean_between(frame, 4, 6) == [None]
