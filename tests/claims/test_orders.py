"""Orders: against scipy's tests, McNemar's, and the odd verdicts found with made-up results."""

import math

import numpy as np
import pytest
from made_up import FREE, claim, line, result, verdict
from scipy import stats

from helpers.claims import orders, readings, spread
from helpers.claims.judge import DEAD, Sample

LEFT, RIGHT = "study_e.left.test_accuracy", "study_e.right.test_accuracy"
GAPS = "study_c.blocks1.gap", "study_c.blocks3.gap"


def order(sign, left, right, **about):
    keys = about.pop("keys", (LEFT, RIGHT))
    sides = [side if isinstance(side, dict) else result(*side) for side in (left, right)]
    return verdict(claim("order", f"{keys[0]} {sign} {keys[1]}", **about), dict(zip(keys, sides)))


def test_two_numbers_of_the_same_trainings_are_paired():
    a, b = [0.80, 0.82, 0.84], [0.78, 0.81, 0.83]
    samples = [Sample(key=GAPS[0], values=values, records=("x", "y", "z")) for values in (a, b)]
    interval, how = orders.difference(*samples)
    paired = stats.ttest_rel(a, b).confidence_interval(0.95)
    assert (interval.mean - interval.half, interval.mean + interval.half) == pytest.approx((paired.low, paired.high))
    assert "with itself" in how
    assert orders.difference(*(Sample(key=GAPS[0], values=v[:2], records=("x", "y")) for v in (a, b)))[0] is None


def test_seeds_of_two_rows_are_welchs():
    a, b = [0.80, 0.82, 0.84, 0.81], [0.70, 0.77, 0.74]
    interval, _ = orders.difference(*(Sample(key=key, values=v) for key, v in zip(GAPS, (a, b))))
    welch = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    assert (interval.mean - interval.half, interval.mean + interval.half) == pytest.approx((welch.low, welch.high))


def test_one_run_each_stands_against_the_moderated_deviation_of_its_kind():
    prior = spread.Prior(0.01**2, math.inf, 1e9)
    interval, _ = orders.difference(*(Sample(key=k, values=[v], prior=prior) for k, v in zip(GAPS, (0.05, 0.02))))
    assert interval.half == pytest.approx(1.96 * 0.01 * math.sqrt(2), rel=1e-3)
    assert orders.difference(*(Sample(key=key, values=[0.1]) for key in GAPS))[0] is None


def test_a_prior_that_serves_both_sides_is_counted_once():
    prior = spread.Prior(0.01**2, 3.0, 50.0)
    interval, _ = orders.difference(*(Sample(key=k, values=[0.1], prior=prior) for k in GAPS))
    assert interval.freedom == 3.0  # Welch's 6 would take the two for independent


def test_images_count_one_by_one():
    marks = np.ones((2, 10_000), bool)
    marks[0, :1300] = marks[1, 100:1460] = False  # 100 images lost by one, 160 by the other
    prior = spread.Prior(1e-12, math.inf, 1e9)
    samples = [
        Sample(key=key, values=[mark.mean()], prior=prior, marks=mark[None]) for key, mark in zip((LEFT, RIGHT), marks)
    ]
    interval, how = orders.difference(*samples)
    mcnemar = math.sqrt(260 - 60**2 / 10_000) / 10_000
    assert interval.half == pytest.approx(1.96 * mcnemar, rel=1e-3) and "image by image" in how
    blind = orders.difference(*(Sample(key=s.key, values=s.values, prior=prior) for s in samples))[0]
    assert blind.half > 1.3 * interval.half


def test_no_difference_refutes_an_order_and_supports_equality():
    same = (0.0501, 0.0499, 0.0500), (0.0500, 0.0501, 0.0499)
    apart = (0.0901, 0.0899, 0.0900), same[1]
    assert order(">", *same, keys=GAPS) == "not reproduced"
    assert order("~", *same, keys=GAPS) == "reproduced"
    assert order("~", *apart, keys=GAPS) == "not reproduced"
    assert order(">", *apart, keys=GAPS) == "reproduced"
    assert order("<", *apart, keys=GAPS) == "not reproduced"


def test_a_small_difference_as_claimed_is_never_none():
    """However well it is measured: wider than itself it is open, narrower it is reproduced."""
    for seeds, expected in [(0.003, "inconclusive"), (0.0012, "inconclusive"), (0.00001, "reproduced")]:
        left, right = (Sample(key=key, values=[0.05 + gap + step for step in (-seeds, 0, seeds)]) for key, gap in
                       zip(GAPS, (0.001, 0.0)))  # fmt: skip
        entry = claim("order", f"{GAPS[0]} > {GAPS[1]}")
        assert orders.judge_order(entry, ">", left, right).verdict == expected


def test_a_printed_difference_inside_our_interval_is_not_refuted():
    left, right = (0.0500, 0.0503, 0.0498), (0.0501, 0.0502, 0.0500)
    samples = [Sample(key=key, values=list(values)) for key, values in zip(GAPS, (left, right))]
    entry = claim("order", f"{GAPS[0]} > {GAPS[1]}")
    assert orders.judge_order(entry, ">", *samples).verdict == "not reproduced"
    assert orders.judge_order(entry, ">", *samples, printed_gap=0.0003).verdict == "inconclusive"
    assert orders.judge_order(entry, ">", *samples, printed_gap=0.1).verdict == "not reproduced"


def test_networks_at_chance_neither_over_fit_nor_waver():
    keys = "study_f.adam.volatility", "study_f.baseline.volatility"
    ends = {"study_f.adam.test_accuracy": result(*[0.1] * 3), "study_f.baseline.test_accuracy": result(*[0.45] * 3)}
    sides = dict(zip(keys, (result(0.0, 0.0, 0.0001), result(0.03, 0.031, 0.029))))
    entry = claim("order", f"{keys[0]} < {keys[1]}")
    assert verdict(entry, sides) == "reproduced"
    assert verdict(entry, sides | ends) == "inconclusive"
    lost = {keys[1]: result(0.03, 0.031, None, statuses=["ok", "ok", "diverged"])}
    row = line(entry, sides | ends | lost)  # nor by their ranks
    assert row["verdict"] == "inconclusive" and row["reason"] == DEAD
    assert readings.likelihood(entry, entry.evidence[""], sides | ends, FREE) is None


def test_a_side_without_any_number_has_a_margin_all_the_same():
    keys = "study_c.normal.train_loss", "study_c.xavier.train_loss"
    lost = result(None, None, None, statuses=["diverged"] * 3)
    assert order(">", lost, (0.1, 0.11, 0.12), keys=keys, margin=0.02) == "inconclusive"  # three against three
    lost = result(*[None] * 5, statuses=["diverged"] * 5)
    assert order(">", lost, (0.1, 0.11, 0.12, 0.1, 0.1), keys=keys, margin=0.02) == "reproduced"


def test_a_small_printed_difference_refutes_no_equality():
    left, right = [0.050, 0.0501, 0.0499], [0.051, 0.0511, 0.0509]
    samples = [Sample(key=key, values=values) for key, values in zip(GAPS, (left, right))]
    entry = claim("order", f"{GAPS[0]} ~ {GAPS[1]}")
    assert orders.judge_order(entry, "~", *samples, printed_gap=0.0001).verdict == "reproduced"


def test_where_seeds_failed_a_margin_moves_the_ranks():
    dead, half = [0.1] * 6, (0.45, 0.46, 0.455, 0.452, 0.458, 0.451)
    assert order(">", half, dead, margin=0.02) == "reproduced"
    left, right = np.linspace(0.45, 0.46, 8), [*np.linspace(0.44, 0.445, 7), 0.1]
    assert order(">", left, right) == "reproduced" and order(">", left, right, margin=0.05) == "not reproduced"


def test_equality_is_two_one_sided_tests():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.860, 0.002, 8), rng.normal(0.861, 0.002, 8)
    margin = 0.01 * 10 * a.mean()  # of what is no accuracy, 0.01 stands for a tenth
    low = stats.ttest_ind(a + margin, b, equal_var=False, alternative="greater").pvalue
    high = stats.ttest_ind(a - margin, b, equal_var=False, alternative="less").pvalue
    row = line(claim("order", f"{GAPS[0]} ~ {GAPS[1]}", margin=0.01), dict(zip(GAPS, (result(*a), result(*b)))))
    assert (max(low, high) < 0.05) == (row["verdict"] == "reproduced")
    tight = line(claim("order", f"{GAPS[0]} ~ {GAPS[1]}", margin=0.0001), dict(zip(GAPS, (result(*a), result(*b)))))
    assert tight["verdict"] == "inconclusive"


@pytest.mark.parametrize(
    ("margin", "expected"), [(0.02, "reproduced"), (0.0485, "inconclusive"), (0.10, "not reproduced")]
)
def test_a_margin_holds_for_the_whole_interval(margin, expected):
    keys = "study_a.a1.train_accuracy", "study_a.a4.train_accuracy"
    sides = [0.9051, 0.8999, 0.8950], [0.8500, 0.8501, 0.8499]
    assert order(">", *sides, margin=margin, keys=keys) == expected


def test_survivors_alone_never_win_an_order():
    right = 0.85, 0.851, 0.852
    assert order(">", (None, None, 0.90), right) == "inconclusive"
    assert order("<", (None, None, 0.90), right) == "inconclusive"
    assert order(">", (0.1, 0.1, 0.1), right) == "inconclusive"  # three against three are one in ten by chance
    assert order("<", (0.1, 0.1, 0.1, None), (*right, 0.853)) == "reproduced"
    assert order(">", (0.1, 0.1, 0.1, None), (*right, 0.853)) == "not reproduced"
    assert order(">", (None, None, None), (None, None, None)) == "inconclusive"
    assert order("~", (0.1, 0.1, 0.1, None), (*right, 0.853)) == "inconclusive"


def test_the_side_that_fails_less_often_is_the_higher_one():
    half, none = (*[0.85] * 6, *[0.1] * 6), (0.1,) * 12
    assert order(">", half, none) == "reproduced" and order("<", half, none) == "not reproduced"


def test_what_a_good_training_does_not_reach_has_not_failed():
    thirty, forty = result(0.887, statuses=["ok"]), result(None, statuses=["ok"])
    row = line(claim("order", f"{LEFT} > {RIGHT}"), {LEFT: thirty, RIGHT: forty})
    assert row["verdict"] == "inconclusive" and row["reason"].startswith(orders.NOT_MEASURED)
    lost = result(None, statuses=["diverged"])
    assert "1 of 1 seeds failed" in line(claim("order", f"{LEFT} > {RIGHT}"), {LEFT: thirty, RIGHT: lost})["reason"]


def test_a_failed_loss_is_the_highest():
    keys = "study_a.a2.train_loss", "study_a.a1.train_loss"
    assert order(">", [None] * 4, (0.1, 0.11, 0.12, 0.1), keys=keys) == "reproduced"


def test_the_same_training_on_both_sides_is_no_evidence():
    one = result(0.860, 0.861, 0.862, records=["a", "b", "c"])
    assert order("~", one, one) == order(">", one, one) == "inconclusive"
    part = result(0.870, 0.871, 0.872, records=["c", "d", "e"])
    assert order("<", one, part) == "inconclusive"


def test_the_printed_gap_stands_beside_ours():
    entry = claim("order", f"{LEFT} > {RIGHT}")
    results = {LEFT: result(0.880, 0.8801, 0.8799), RIGHT: result(0.850, 0.8501, 0.8499)}
    row = line(entry, results, values={LEFT: "0.87", RIGHT: "0.86"})
    assert "the printed difference is 0.0100, ours 0.0300" in row["reason"]
