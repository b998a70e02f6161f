"""Moderated deviations: against their closed forms, scipy, and simulated rows whose truth is known."""

import math

import numpy as np
import pytest
from scipy import special, stats

from helpers.claims import spread

D0, S0 = 8, 0.003
NOWHERE = 10**12  # images: the evaluation set's own error vanishes


def rows(rng, count, seeds, freedom=D0):
    """Rows of seeds whose variances vary as Smyth's model has it: d0 s0² / chi²(d0)."""
    variances = freedom * S0**2 / rng.chisquare(freedom, count)
    return rng.normal(0.86, np.sqrt(variances)[:, None], (count, seeds))


def prior_of(values):
    return spread.fit_prior(values.var(1, ddof=1), [values.shape[1] - 1] * len(values))


@pytest.mark.parametrize("seeds", [3, 4, 8])
def test_the_prior_is_found_again_in_simulated_rows(seeds):
    prior = prior_of(rows(np.random.default_rng(1), 40_000, seeds))
    assert prior.freedom == pytest.approx(D0, rel=0.15)
    assert math.sqrt(prior.variance) == pytest.approx(S0, rel=0.03)


def test_the_prior_has_the_moments_of_its_closed_form():
    variances, freedoms = [1.0, 4.0, 0.2, 9.0, 0.5], [1, 2, 3, 4, 5]
    prior = spread.fit_prior(variances, freedoms)
    half = np.array(freedoms) / 2
    e = np.log(variances) - special.digamma(half) + np.log(half)
    left = special.polygamma(1, prior.freedom / 2) + special.polygamma(1, half).mean()
    assert left == pytest.approx(e.var(ddof=1))
    d = prior.freedom / 2
    assert math.log(prior.variance) == pytest.approx(e.mean() + special.digamma(d) - math.log(d))


def test_rows_that_differ_no_more_than_chance_are_pooled():
    prior = spread.fit_prior([1.0, 1.1, 0.9, 1.0], [4, 4, 4, 4])
    assert (prior.freedom, prior.variance, prior.pooled) == (math.inf, pytest.approx(1.0), 16)
    assert spread.moderated(7.0, 3, prior) == (prior.variance, 16)  # no more degrees than all rows have


@pytest.mark.parametrize(
    ("variances", "freedoms"), [([1.0], [9]), ([1.0, 2.0], [2, 2]), ([], []), ([0.0, 0.0, 0.0], [3, 3, 3])]
)
def test_too_few_rows_give_no_prior(variances, freedoms):
    assert spread.fit_prior(variances, freedoms) is None


def test_the_moderated_variance_is_a_weighted_mean():
    prior = spread.Prior(variance=4.0, freedom=6.0, pooled=100.0)
    assert spread.moderated(1.0, 4, prior) == (pytest.approx((6 * 4 + 3 * 1) / 9), 9)
    assert spread.moderated(99.0, 1, prior) == (4.0, 6)  # one seed tells nothing of its own


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_prediction_intervals_hold_95_percent_of_new_runs_at_every_n(n):
    rng = np.random.default_rng(n)
    values = rows(rng, 4000, n + 1)
    prior = prior_of(rows(rng, 4000, 5))
    intervals = [spread.prediction(list(row[:n]), "k.test_accuracy", prior, NOWHERE) for row in values]
    inside = np.mean([abs(row[n] - one.mean) <= one.half for row, one in zip(values, intervals)])
    assert inside == pytest.approx(0.95, abs=0.012)


def test_without_a_prior_the_interval_is_students_from_three_seeds_on():
    values = [0.80, 0.84, 0.82, 0.86]
    interval = spread.prediction(values, "k.test_accuracy")
    student = stats.t(3, np.mean(values), np.std(values, ddof=1) * math.sqrt(1 + 1 / 4)).interval(0.95)
    assert (interval.mean - interval.half, interval.mean + interval.half) == pytest.approx(student)
    assert spread.prediction(values[:2], "k.test_accuracy") is None
    assert spread.prediction([], "k.test_accuracy", spread.Prior(1.0, 5.0, 9.0)) is None


@pytest.mark.parametrize("images", [500, 10_000])
def test_an_interval_is_never_below_the_evaluation_sets_own_error(images):
    interval = spread.prediction([0.86, 0.86, 0.86], "k.test_accuracy", None, images)
    assert interval.half == pytest.approx(1.96 * math.sqrt(0.86 * 0.14 / images), rel=1e-4)


def test_an_interval_for_other_images_holds_95_percent():
    """Simulated: accuracies that vary from seed to seed, ours on one set of images, theirs on another."""
    rng, prior, inside = np.random.default_rng(5), spread.Prior(0.003**2, math.inf, 1e9), []
    for _ in range(3000):
        truth = rng.normal(0.5, 0.003, 4)
        easier = rng.normal(0, math.sqrt(0.25 / 5000), 2)  # one set of 5,000 images is easier than another, for all
        interval = spread.prediction(list(truth[:3] + easier[0]), "k.test_accuracy", prior, 5000, other_images=5000)
        inside.append(abs(truth[3] + easier[1] - interval.mean) <= interval.half)
    assert np.mean(inside) == pytest.approx(0.95, abs=0.012)


def test_the_scatter_of_the_last_epochs_is_a_floor():
    values = [0.86, 0.8601, 0.8602]
    wide = spread.prediction(values, "k.test_accuracy", None, NOWHERE, floor=0.01)
    assert wide.half == pytest.approx(stats.t.ppf(0.975, 2) * 0.01 * math.sqrt(4 / 3))


def test_the_scatter_is_about_the_curves_own_line():
    rng = np.random.default_rng(0)
    line = np.linspace(0.5, 0.9, 10)
    assert spread.last_scatter(list(line)) == pytest.approx(0, abs=1e-12)
    scatter = [spread.last_scatter(list(line + rng.normal(0, 0.01, 10))) ** 2 for _ in range(4000)]
    assert math.sqrt(np.mean(scatter)) == pytest.approx(0.01, rel=0.03)
    assert spread.last_scatter([0.5] * 9) == spread.last_scatter([None] * 12) == 0.0


def test_deviations_of_losses_grow_with_the_loss():
    small, large = ([level * x for x in (0.9, 1.0, 1.1)] for level in (0.1, 1.0))
    a, b = (spread.deviation(values, "k.train_loss")[0] for values in (small, large))
    assert b == pytest.approx(10 * a)
    prior = spread.Prior(0.1**2, math.inf, 50.0)
    assert spread.deviation([0.3], "k.train_loss", prior) == (pytest.approx(0.03), 50.0)


@pytest.mark.parametrize("n", [3, 6])
def test_the_resolution_is_left_with_90_percent_power(n):
    rng = np.random.default_rng(n)
    unit = math.sqrt(1 + 1 / n)
    shift = spread.Interval(0.0, unit, n - 1).resolution  # in deviations, were they known
    values = rng.normal(0, 1, (20_000, n + 1))
    half = stats.t.ppf(0.975, n - 1) * values[:, :n].std(1, ddof=1) * unit
    power = np.mean(np.abs(values[:, n] + shift - values[:, :n].mean(1)) > half)
    assert power == pytest.approx(0.9, abs=0.01)


def test_p_values_are_two_sided_students():
    assert spread.Interval(0.5, 0.1, 4).p(0.25) == pytest.approx(2 * stats.t.sf(2.5, 4))
    assert spread.Interval(0.5, 0.0, 4).p(0.25) == 0.0


@pytest.mark.parametrize(
    ("key", "difference", "accuracy"),
    [
        ("study_c.scheduler_gain.test_accuracy", True, False),
        ("study_again.rate.test_accuracy", False, True),  # a study called "again" holds no gain
        ("study_c.again.test_accuracy", False, True),
        ("study_c.blocks1.gap", True, False),
        ("study_f.baseline.volatility", True, False),
        ("study_d.grid.best_score", False, True),
        ("study_a.a1.train_loss", False, False),
    ],
)
def test_what_a_key_names(key, difference, accuracy):
    assert (spread.is_difference(key), spread.is_accuracy(key)) == (difference, accuracy)


def test_a_row_named_after_a_loss_is_none():
    key = "study_b.fed_train_loss.best_epoch"
    assert not spread.is_relative(key) and spread.is_relative("study_b.fed_train_loss.test_loss")
    assert spread.fixed_error(key, 25.0, 10_000) == 0.0
