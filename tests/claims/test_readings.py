"""Readings of a sentence: how they are joined, and how probable each makes what is printed."""

import pytest
from made_up import FREE, claim, line, result
from scipy import stats

from helpers.claims import orders, readings
from helpers.claims.judge import Verdict

KEYS = {"applied": "study_a.a8_applied.test_accuracy", "not applied": "study_a.a8_plain.test_accuracy"}
DEAD, ALIVE = result(*[0.1] * 5), result(0.856, 0.859, 0.862)


@pytest.mark.parametrize(
    ("verdicts", "joined", "words"),
    [
        (["reproduced", "reproduced"], "reproduced", ""),
        (["not reproduced", "reproduced"], "reproduced", "under one of two readings"),
        (["reproduced", "inconclusive", "reproduced"], "reproduced", "under two of three readings"),
        (["not reproduced", "inconclusive"], "inconclusive", "under one of two readings"),
        (["not reproduced", "not reproduced"], "not reproduced", ""),
        (["not reproduced", "exceeded"], "exceeded", "under one of two readings"),
    ],
)
def test_a_report_is_not_refuted_where_one_reading_reproduces(verdicts, joined, words):
    named = {str(i): Verdict(verdict=name, reason=str(i)) for i, name in enumerate(verdicts)}
    reading, counted = readings.join(named)
    assert (named[reading].verdict, counted) == (joined, words)


def test_the_reading_that_decides_is_the_one_that_is_shown():
    row = line(claim(evidence=KEYS, value="0.8595"), dict(zip(KEYS.values(), (DEAD, ALIVE))))
    assert (row["verdict"], row["joined"], row["n"]) == ("reproduced", "under one of two readings", 3)
    assert row["readings"] == "applied: not reproduced; not applied: reproduced"
    assert row["value"] == pytest.approx(0.859)
    first, second = map(float, row["likelihood_ratio"].split(" : "))
    share_of_dead, share_of_alive = 0.5 / (len(DEAD["values"]) + 1), (len(ALIVE["values"]) + 0.5) / 4
    assert second == 1 and first == pytest.approx(share_of_dead / share_of_alive, rel=0.05)  # of seeds that train


@pytest.mark.parametrize(
    "seeds, verdicts",
    [
        ((0.880, 0.881, 0.882), ("not reproduced", "inconclusive")),
        ((0.920, 0.921, 0.922), ("exceeded", "inconclusive")),
        ((0.901, 0.902, 0.903), ("reproduced", "reproduced")),
    ],
)
def test_what_hangs_on_an_unprinted_setting_is_not_refuted(seeds, verdicts):
    printed, unprinted = (claim(value="0.902", best=True, unprinted=unprinted) for unprinted in (False, True))
    rows = [line(entry, {entry.evidence[""]: result(*seeds)}) for entry in (printed, unprinted)]
    assert tuple(row["verdict"] for row in rows) == verdicts
    assert rows[1]["p"] is None and rows[1]["half_width"] == rows[0]["half_width"]
    assert rows[1]["reason"].startswith(readings.UNPRINTED) == (verdicts[1] == "inconclusive")


def test_printed_chance_is_judged_and_weighed_by_seeds_at_chance():
    """Where chance itself is printed, seeds at chance are no failures."""
    key, seeds = "study_d.grid.valid_acc_epoch10", [0.0998, 0.0999, 0.0997, 0.1, 0.0996]
    entry = claim(evidence={"near": key, "far": f"{key}0"}, value="0.0998")
    row = line(entry, {key: result(*seeds), f"{key}0": result(*[0.01 + value for value in seeds])})
    assert (row["verdict"], row["reading"]) == ("reproduced", "near")
    near, far = map(float, row["likelihood_ratio"].split(" : "))
    assert near == 1 and far < 0.5


def test_no_reading_fits_where_all_likelihoods_vanish():
    far = result(0.5000, 0.5001, 0.5002)
    row = line(claim("bound", KEYS, value="1 %"), dict(zip(KEYS.values(), (far, far))))
    assert "0 : 0" not in row["likelihood_ratio"]
    assert readings.ratio({"a": 0.0, "b": 0.0}) == "no reading fits"
    assert readings.ratio({"a": 0.25, "b": 0.5}) == "0.5 : 1"
    assert readings.ratio({"a": None, "b": 0.5}) == ""


def test_likelihood_of_digits_is_students_mass():
    key, values = "study_a.a1.test_accuracy", [0.855, 0.866, 0.861, 0.858, 0.851]
    student = stats.t(4, 0.8582, stats.tstd(values) * 1.2**0.5)
    share = 1 - 0.5 / 6  # of seeds that do not end at chance
    likelihood = readings.likelihood(claim(value="0.860"), key, {key: result(*values)}, FREE)
    assert likelihood == pytest.approx(share * (student.cdf(0.8605) - student.cdf(0.8595)))


def test_likelihood_of_an_order_is_that_of_a_difference_above_0():
    left, right = "study_a.a1.gap", "study_a.a4.gap"
    results = {left: result(0.05, 0.06, 0.07), right: result(0.05, 0.06, 0.07)}
    assert readings.likelihood(claim("order", f"{left} > {right}"), f"{left} > {right}", results, FREE) == 0.5
    ahead = results | {left: result(0.15, 0.16, 0.17)}
    assert readings.likelihood(claim("order", f"{left} < {right}"), f"{left} < {right}", ahead, FREE) < 0.01


def test_likelihood_of_no_difference_is_that_of_one_within_the_margin():
    left, right = "study_a.a1.test_accuracy", "study_a.a4.test_accuracy"
    results = {left: result(0.85, 0.86, 0.87), right: result(0.851, 0.861, 0.871)}
    entry, text = claim("order", f"{left} ~ {right}", margin=0.02), f"{left} ~ {right}"
    interval, _ = orders.difference(*readings.samples_of(entry, text, results, FREE))
    student = stats.t(interval.freedom, interval.mean, interval.unit)
    likelihood = readings.likelihood(entry, text, results, FREE)
    assert likelihood == pytest.approx(student.cdf(0.02) - student.cdf(-0.02)) and 0.5 < likelihood < 1


def test_likelihoods_of_counts_and_epochs_are_shares_of_the_seeds_that_match():
    keys = {"printed": "study_d.grid_printed.best_lr", "mended": "study_d.grid_mended.best_lr"}
    row = line(claim("count", keys, value="0.001"), dict(zip(keys.values(), (result(0.01), result(0.001)))))
    assert row["likelihood_ratio"] == "0.33 : 1"
    key, epochs = "study_b.final.best_epoch", result(21, 24, 30, None)
    likelihood = readings.likelihood(claim("epoch", value="22"), key, {key: epochs}, FREE)
    assert likelihood == 2.5 / 5


def test_log_odds_weigh_the_second_reading_against_the_first():
    entry = claim(evidence=KEYS, value="0.8595")
    assert readings.log_odds([entry], dict(zip(KEYS.values(), (DEAD, ALIVE))), FREE) > 1
    assert readings.log_odds([entry], dict(zip(KEYS.values(), (ALIVE, DEAD))), FREE) < -1
    few, short = result(0.859), ALIVE | {"share": 0.5}
    for second in (few, short):
        assert readings.log_odds([entry], dict(zip(KEYS.values(), (DEAD, second))), FREE) is None


def test_a_result_that_is_missing_is_a_field_not_a_sentence():
    row = line(claim(value="0.86"), {})
    assert row["answered"] is False and row["verdict"] == "not comparable"
    assert line(claim(value="0.86"), {"study_a.a1.test_accuracy": ALIVE})["answered"] is True


def test_arithmetic_takes_the_printed_values():
    entry = claim("arithmetic", evidence={}, check="A1.a = 2 * A1.b")
    assert line(entry, {}, values={"A1.a": "0.86", "A1.b": "0.43"})["verdict"] == "consistent"
    assert line(entry, {}, values={"A1.a": "0.88", "A1.b": "0.43"})["verdict"] == "inconsistent"
