"""How far one training's number lies from the next: the deviation from run to run, moderated, and what follows from it.

A few seeds tell their own deviation badly: with two, the estimate is below a fifth of the truth in one case of six,
and above twice the truth in one of twenty. But every training of one *kind* (same metric, same family of networks,
learning rate decaying or not) scatters alike. So the deviation of a row is drawn towards that of its kind, the further
the fewer seeds the row has:
G. K. Smyth (2004), Linear models and empirical Bayes methods for assessing differential expression, Statistical
Applications in Genetics and Molecular Biology 3(1), article 3. All distributions are scipy's: t from scipy.special, as
the calibration asks for it 300,000 times, and scipy.stats takes sixty times as long to answer.
"""

import functools
import math
import re
import statistics
from dataclasses import dataclass

import numpy as np
from scipy import optimize, special

CHANCE = 1.2  # times a guess: an accuracy below this has learnt nothing
LEARNT = CHANCE / 10  # that accuracy for ten classes, which every data set here has
IMAGES = 10_000  # of the test set, where nothing else is known
LEAST_FREEDOM = 5  # degrees of freedom that a kind needs, from two rows or more, to lend its deviation
LAST_EPOCHS = 10


@functools.cache
def is_difference(key: str) -> bool:
    """Whether a results key names a difference of accuracies: a word of it is gap, gain, less or volatility."""
    words = re.split(r"[._]", key.partition(".")[2] or key)  # the study's own name counts for nothing
    return not {"gap", "gain", "less", "volatility"}.isdisjoint(words)


@functools.cache
def is_accuracy(key: str) -> bool:
    """Whether a results key names a share of correct answers."""
    return not is_difference(key) and _names(key, "acc", "score")


def is_relative(key: str) -> bool:
    """Whether the deviation of such a number grows with the number itself: losses and times."""
    return not is_difference(key) and not is_accuracy(key) and _names(key, "loss", "seconds")


def _names(key: str, *words: str) -> bool:
    """Whether the metric of a results key, its last part, holds one of these words; a row may be named as it likes."""
    return any(word in key.rpartition(".")[2] for word in words)


def unit(key: str, mean: float) -> float:
    """What the deviation of such a number is counted in: of losses and times the mean, of all else 1."""
    return abs(mean) or 1.0 if is_relative(key) else 1.0


def fixed_error(key: str, mean: float, images: int = IMAGES) -> float:
    """The standard error that an evaluation set of so many images alone gives a result.

    An accuracy's is binomial; a difference of two accuracies has twice the variance of one at 0.9; a loss spreads
    over the images about as widely as its mean; seconds vary by a twentieth; an epoch owes nothing to the images.
    """
    if key.endswith("seconds"):
        return abs(mean) / 20
    if is_difference(key):
        return math.sqrt(2 * 0.9 * 0.1 / images)
    if is_accuracy(key):
        share = min(max(mean, 1 / images), 1 - 1 / images)
        return math.sqrt(share * (1 - share) / images)
    return abs(mean) / math.sqrt(images) if _names(key, "loss") else 0.0


@dataclass(frozen=True)
class Prior:
    """What the rows of one kind say of the deviation: a variance s0² that counts as much as d0 degrees of freedom."""

    variance: float
    freedom: float  # d0; inf where the rows differ no more than chance
    pooled: float  # degrees of freedom of all rows together


def fit_prior(variances, freedoms) -> Prior | None:
    """s0² and d0 from the sample variances of rows and their degrees of freedom (n - 1 each); None where too few.

    With e = log s² - digamma(d / 2) + log(d / 2) of every row (Smyth 2004, section 6.2):
    trigamma(d0 / 2) = var(e) - mean(trigamma(d / 2)), and log s0² = mean(e) + digamma(d0 / 2) - log(d0 / 2).
    Where the right side of the first is not above 0 the rows differ no more than chance: d0 is infinite, s0² pooled.
    """
    d = np.asarray(freedoms, float)
    if len(d) < 2 or d.sum() < LEAST_FREEDOM:
        return None
    s2 = np.asarray(variances, float)
    pooled = float((d * s2).sum() / d.sum())
    if pooled == 0:
        return None
    s2 = np.maximum(s2, 1e-5 * np.median(s2[s2 > 0]))  # equal seeds by accident: a logarithm needs more than 0
    e = np.log(s2) - special.digamma(d / 2) + np.log(d / 2)
    excess = e.var(ddof=1) - special.polygamma(1, d / 2).mean()
    if excess <= special.polygamma(1, 1e4):
        return Prior(pooled, math.inf, float(d.sum()))
    half = optimize.brentq(lambda x: special.polygamma(1, x) - excess, 1e-4, 1e5)
    return Prior(float(np.exp(e.mean() + special.digamma(half) - np.log(half))), 2 * half, float(d.sum()))


def moderated(variance: float, n: int, prior: Prior | None) -> tuple[float, float]:
    """(moderated variance, its degrees of freedom): (d0 s0² + (n - 1) s²) / (d0 + n - 1), of d0 + n - 1 degrees.

    No more degrees than all rows together have: s0² is an estimate itself.
    """
    if prior is None:
        return variance, n - 1
    freedom = min(prior.freedom + n - 1, prior.pooled)
    if math.isinf(prior.freedom):
        return prior.variance, freedom
    total = prior.freedom + n - 1
    return (prior.freedom * prior.variance + (n - 1) * variance) / total, freedom


def deviation(values: list[float], key: str, prior: Prior | None = None, floor: float = 0.0) -> tuple | None:
    """(moderated deviation from run to run, its degrees of freedom); None where neither seeds nor kind tell it.

    floor: the deviation is never below this; of losses and times it is relative to the mean, as in `prior`.
    """
    n = len(values)
    if n == 0 or (prior is None and n < 3):
        return None
    scale = unit(key, statistics.fmean(values))
    own = float(np.var(values, ddof=1)) / scale**2 if n > 1 else 0.0
    variance, freedom = moderated(own, n, prior)
    return scale * max(math.sqrt(variance), floor), freedom


@dataclass(frozen=True)
class Interval:
    """mean ± half is a 95 % interval; half = quantile of t(freedom) times unit."""

    mean: float
    unit: float  # standard error
    freedom: float

    @property
    def half(self) -> float:
        return float(special.stdtrit(self.freedom, 0.975) * self.unit)

    def p(self, distance: float) -> float:
        """Probability of a distance from the mean as large or larger, either way."""
        if not self.unit:
            return float(distance == 0)
        return float(2 * special.stdtr(self.freedom, -abs(distance) / self.unit))

    def below(self, value: float) -> float:
        """Probability of a value below this one; of an interval without a width, 0 or 1."""
        return float(special.stdtr(self.freedom, (value - self.mean) / (self.unit or 1e-12)))

    @property
    def resolution(self) -> float:
        """The smallest shift that leaves the interval with 90 % probability: from the noncentral t distribution."""
        freedom = min(self.freedom, 1000)
        shift = special.nctdtrinc(freedom, 0.1, special.stdtrit(freedom, 0.975))
        return float(shift * self.unit)


def prediction(
    values, key, prior: Prior | None = None, images: int = IMAGES, floor: float = 0.0, other_images: int = 0
) -> Interval | None:
    """The 95 % prediction interval for one more run; None where the deviation cannot be told (see `deviation`).

    half = t(d0 + n - 1) × moderated deviation × sqrt(1 + 1/n), never below the evaluation set's own error. Where the
    new run is evaluated on another set, of `other_images`, the errors of both sets add to its variance.
    """
    estimate = deviation(values, key, prior, floor)
    if estimate is None:
        return None
    mean, (spread, freedom) = statistics.fmean(values), estimate
    wide = Interval(mean, spread * math.sqrt(1 + 1 / len(values)), freedom)
    if other_images:
        sets = [fixed_error(key, mean, count) for count in (images, other_images)]
        unit = math.hypot(wide.unit, *sets)
        return Interval(mean, unit, freedom * (unit / wide.unit) ** 4 if wide.unit else math.inf)  # Satterthwaite
    least = Interval(mean, fixed_error(key, mean, images), math.inf)
    return max(wide, least, key=lambda interval: interval.half)


def last_scatter(curve: list) -> float:
    """The deviation of a curve's last ten epochs about their own straight line; 0.0 for fewer or infinite ones."""
    last = np.array([math.nan if value is None else value for value in curve[-LAST_EPOCHS:]], float)
    if len(last) < LAST_EPOCHS or not np.isfinite(last).all():
        return 0.0
    epochs = np.arange(LAST_EPOCHS)
    rest = last - np.polyval(np.polyfit(epochs, last, 1), epochs)
    return float(np.sqrt((rest**2).sum() / (LAST_EPOCHS - 2)))
