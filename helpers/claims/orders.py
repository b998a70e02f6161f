"""Orders: is one result above another, by more than seeds and images explain?

The difference of two means stands against the moderated deviations of both rows (see `spread`) and, where both rows
have predictions, against the images on which they part. A seed that failed counts as the lowest accuracy, and of all
else as the highest.
"""

import math
import statistics

from scipy import special, stats

from helpers.claims import spread
from helpers.claims.judge import DEAD, LEVEL, NOT_MEASURED, Sample, Verdict, inconclusive, shortened, too_few
from helpers.claims.spread import Interval, is_accuracy
from helpers.claims.values import plus_minus

BY_RANKS = "seeds failed; ranks: p ="  # in the reason of an order that was told by ranks
NONE_TRAINED = "no seed trained"
SAME = "the same training stands on both sides"  # why no order is told
MARGIN = 0.005  # a difference below this counts as none, unless the claim says otherwise; of what is no accuracy 5 %


def difference(left: Sample, right: Sample) -> tuple[Interval | None, str]:
    """(the interval of left - right, how it was told); None where too few seeds tell a deviation."""
    if left.records and left.records == right.records:
        return _within(left.values, right.values)
    a, b = left.alive(), right.alive()
    estimates = [spread.deviation(values, side.key, side.prior, side.floor) for values, side in ((a, left), (b, right))]
    untold = [values for values, estimate in zip((a, b), estimates) if estimate is None]
    if untold:
        return None, too_few(min(untold, key=len))
    parts = [deviation**2 / len(values) for values, (deviation, _) in zip((a, b), estimates)]
    freedoms = [freedom for _, freedom in estimates]
    error, how = images_error(left, right)
    total = sum(parts) + error**2
    squares = sum(part**2 / freedom for part, freedom in zip(parts, freedoms))  # Welch and Satterthwaite
    joint = total**2 / squares if squares > 0 else math.inf
    if left.prior and right.prior:  # one prior serves both: what is wrong with it on one side is on the other, too
        joint = min(joint, *freedoms)
    seeds = "one seed each" if len(a) == len(b) == 1 else f"{len(a)} and {len(b)} seeds"
    return Interval(statistics.fmean(a) - statistics.fmean(b), math.sqrt(total), joint), f"{seeds}{how}"


def _within(a: list, b: list) -> tuple[Interval | None, str]:
    """Two numbers of the same trainings: the differences within each, as in a paired t test."""
    pairs = [x - y for x, y in zip(a, b) if x is not None and y is not None]
    if len(pairs) < 3:
        return None, f"{len(pairs)} training{'s' * (len(pairs) != 1)} with both"
    unit = statistics.stdev(pairs) / math.sqrt(len(pairs))
    return Interval(statistics.fmean(pairs), unit, len(pairs) - 1), f"{len(pairs)} trainings, each with itself"


def images_error(left: Sample, right: Sample) -> tuple[float, str]:
    """The standard error that the images give a difference of accuracies.

    Image by image where both rows' predictions are known: for one run each, McNemar's paired comparison. Else that of
    two independent sets of images, which is larger. Other results than accuracies have none.
    """
    if left.marks is not None and right.marks is not None and left.marks.shape[1] == right.marks.shape[1]:
        apart = left.marks.mean(0) - right.marks.mean(0)
        return float(apart.std() / math.sqrt(len(apart))), ", image by image"
    if not is_accuracy(left.key):
        return 0.0, ""
    errors = [spread.fixed_error(s.key, statistics.fmean(s.alive()), s.images) for s in (left, right)]
    return math.hypot(*errors), ", images not paired"


def by_rank(claim, sign: str, left: Sample, right: Sample) -> Verdict:
    """The order where seeds failed: the Mann-Whitney test, in which a failed seed is the lowest (a loss's highest).

    Where the claim names a margin, the left side must win though it is moved by it towards the right one.
    """
    worst = -math.inf if is_accuracy(left.key) else math.inf
    a, b = (_with_failures(sample, worst) for sample in (left, right))
    if claim.margin:
        shift = margin_of(claim, left) * (-1 if sign == ">" else 1)
        a = [value + shift for value in a]
    test = stats.mannwhitneyu(a, b, method="exact")  # of ties it knows nothing: with some p is a little off
    p = float(test.pvalue)
    reason = f"{a.count(worst)} of {len(a)} against {b.count(worst)} of {len(b)} {BY_RANKS} {p:.2g}"
    if p > LEVEL or sign == "~":
        return inconclusive(reason)
    higher = test.statistic > len(a) * len(b) / 2  # the left side wins most of the pairs
    as_claimed = higher == (sign == ">")
    return Verdict(verdict="reproduced" if as_claimed else "not reproduced", reason=reason, p=1.0 if as_claimed else p)


def _with_failures(sample: Sample, worst: float) -> list[float]:
    least = sample.chance if is_accuracy(sample.key) else -math.inf
    return [worst if value is None or value < least else value for value in sample.values]


def judge_order(claim, sign: str, left: Sample, right: Sample, printed_gap: float | None = None) -> Verdict:
    """Reproduced when the whole 95 % interval lies as claimed; not when the reverse does, or clearly no difference.

    Where the claim names a margin ("much higher"), the whole interval must exceed it. No difference is shown by two
    one-sided tests: the 90 % interval lies within the margin. It refutes a claimed difference where ours does not lie
    as claimed, if the interval also lies within the printed difference. Of what is no accuracy, 0.005 means 5 %.
    """
    if min(left.share, right.share) < 1:
        return inconclusive(shortened(min(left, right, key=lambda sample: sample.share)))
    if left.unmeasured() or right.unmeasured():
        return inconclusive(f"{NOT_MEASURED}: a training that succeeded gives no such number")
    if left.is_dead() or right.is_dead():
        return inconclusive(DEAD)
    same = set(left.records) & set(right.records)
    if same and (left.records != right.records or left.values == right.values):
        return inconclusive(SAME)
    alive = [len(sample.alive()) for sample in (left, right)]
    if alive != [len(left.values), len(right.values)]:
        return by_rank(claim, sign, left, right) if sum(alive) else inconclusive(NONE_TRAINED)
    if not all(alive):
        return inconclusive("no value to compare")
    interval, how = difference(left, right)
    if interval is None:
        return inconclusive(how)
    margin = margin_of(claim, left)
    if not claim.margin and printed_gap and sign != "~":
        margin = min(margin, abs(printed_gap))
    return _decide(claim, sign, interval, margin, how)


def margin_of(claim, left: Sample) -> float:
    """A claim's margin; of what is no accuracy, 0.005 stands for 5 % of the left value."""
    margin = claim.margin or MARGIN
    level = statistics.fmean(left.finite()) if left.finite() else 0.0
    return margin if is_accuracy(left.key) else margin / MARGIN * 0.05 * abs(level)


def _decide(claim, sign: str, interval: Interval, margin: float, how: str) -> Verdict:
    gap, half = interval.mean, interval.half
    outside = float(abs(gap) >= margin)
    if interval.unit:
        outside = float(special.stdtr(interval.freedom, (abs(gap) - margin) / interval.unit))
    about = {"half_width": half, "resolution": interval.resolution, "gap": gap}
    reason = f"difference {plus_minus(gap, half)} over {how}"
    if sign == "~":
        p = interval.p(max(abs(gap) - margin, 0))
        if outside <= LEVEL:
            return Verdict(verdict="reproduced", reason=reason, p=p, **about)
        apart = abs(gap) - half > margin
        return Verdict(verdict="not reproduced" if apart else "inconclusive", reason=reason, p=p, **about)
    ahead = gap if sign == ">" else -gap  # above 0 as claimed
    needed = margin if claim.margin else 0.0
    none = outside if ahead <= needed else 1.0  # p of a difference that counts; small, but as claimed, is not none
    p = min(interval.p(min(ahead - needed, 0)), none)
    if ahead - half > needed:
        return Verdict(verdict="reproduced", reason=reason, p=p, **about)
    refuted = ahead + half < needed or none <= LEVEL
    return Verdict(verdict="not reproduced" if refuted else "inconclusive", reason=reason, p=p, **about)
