"""The judge: one claim, the seeds that test it, a verdict with its reason. Statistics only, no files.

A printed number is reproduced when it lies in the 95 % prediction interval of our seeds (see `spread`), plus half a
unit of its last digit, and the interval is narrow enough to have refuted something; not reproduced when it lies
outside and all seeds lie on the same side. Shortened trainings and too few seeds say nothing: inconclusive.
"""

import math
import statistics
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from helpers.claims import spread
from helpers.claims.spread import is_accuracy, is_difference
from helpers.claims.values import middle, parse, plus_minus
from helpers.page.markup import digits, percent

VERDICTS = (
    "reproduced", "exceeded", "not reproduced", "inconclusive", "not comparable", "consistent", "inconsistent",
)  # fmt: skip
EPOCHS = 3  # a printed epoch is met within so many
# An accuracy's interval that no shift below this would leave reproduces nothing. Of a loss: a quarter of the loss; of a
# difference: nor one that holds 0, where a difference is printed.
COARSE = 0.05
COARSE_EPOCHS = 10  # the same of an epoch
# Why nothing is told, as reasons begin.
NOT_MEASURED = "it is not measured"
DEAD = "a training ended at chance, where accuracies neither differ nor change"
LEVEL = 0.05


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What our trials give for one results key, one value a seed; None where a seed has none."""

    key: str
    values: list
    share: float = 1.0  # of the report's training
    statuses: tuple = ()  # "ok", "diverged" of each seed; () where no trial stands behind the values
    records: tuple = ()
    fact: bool = False  # no training behind it: the same every time
    images: int = spread.IMAGES  # of the evaluation set
    other_images: int = 0  # of the report's, where it is not the same set
    classes: int = 10
    prior: spread.Prior | None = None
    floor: float = 0.0  # scatter of a run's last epochs
    marks: np.ndarray | None = None  # (runs, images): which test images each run got right
    ends: tuple = ()  # last test accuracy of each seed, where this is another result of its training

    @property
    def chance(self) -> float:
        """An accuracy below this has learnt nothing."""
        return spread.CHANCE / self.classes

    def finite(self) -> list[float]:
        """The values of the seeds that have one."""
        return [value for value in self.values if value is not None]

    def alive(self, least: float | None = None) -> list[float]:
        """The finite values; of an accuracy those that reach `least`, chance if not given."""
        least = self.chance if least is None else least
        return [value for value in self.finite() if not is_accuracy(self.key) or value >= least]

    def interval(self, values: list[float]) -> spread.Interval | None:
        """The prediction interval of one more run, from these of the sample's values."""
        return spread.prediction(values, self.key, self.prior, self.images, self.floor, self.other_images)

    def at_chance(self) -> list[bool]:
        """Per seed: did its training end at chance? Nothing where its last test accuracy is not known."""
        return [end is None or end < self.chance for end in self.ends]

    def is_dead(self) -> bool:
        """Whether it is a difference or a change of accuracies and a training behind it ended at chance."""
        return is_difference(self.key) and any(self.at_chance())

    def counted(self, claim) -> list[float]:
        """The values that count against a printed number: of seeds that trained, where more than chance is printed."""
        return self.alive(None if parse(claim.value)[1] >= self.chance else 0.0)

    def unmeasured(self) -> bool:
        """Whether a training came to a good end without such a number, as one of 30 epochs has no accuracy after 40."""
        return any(value is None and status == "ok" for value, status in zip(self.values, self.statuses))

    def flags(self, nan_only: bool = False) -> list[bool]:
        """Per seed that tells: was it seen? For `diverged`: the status says so, or after a whole training chance.

        nan_only: chance is no sighting, only a loss that is not finite.
        """
        if not self.key.endswith(".diverged") or not self.statuses:
            return [bool(value) for value in self.finite()]
        diverged = [status == "diverged" for status in self.statuses]
        if self.share < 1 or not self.ends or nan_only:
            return diverged
        return [one or other for one, other in zip(diverged, self.at_chance())]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the judge says of a claim under one reading, and the numbers behind it."""

    verdict: str
    reason: str
    half_width: float | None = None
    resolution: float | None = None  # the smallest shift that would have been refuted with 90 % power
    p: float | None = None  # of evidence as strong against the claim, if it were true; None where nothing was tested
    gap: float | None = None  # of an order: left less right
    mean: float | None = None  # of a number: over the seeds that trained
    lost: int = 0  # of a number: seeds that did not


def inconclusive(reason: str, **about) -> Verdict:
    return Verdict(verdict="inconclusive", reason=reason, **about)


def shortened(sample: Sample) -> str:
    return f"trained to {percent(sample.share)}: no verdict"


def never(count: int, what: str) -> Verdict:
    """None of `count` seeds shows what one run of the report showed: refuted from 5 on (see `by_half`)."""
    reason = f"{what} in none of {count}"
    return by_half(0, count, reason) if count else inconclusive(reason)


def by_half(seen: int, of: int, reason: str) -> Verdict:
    """Refuted where so few of the seeds show it, or fewer, once in twenty at most, if half of all runs do.

    p is given where that could have happened at all, from five seeds on: fewer test nothing.
    """
    p = float(stats.binomtest(seen, of, 0.5, alternative="less").pvalue)
    verdict = "not reproduced" if p <= LEVEL else "inconclusive"
    return Verdict(verdict=verdict, reason=reason, p=p if 0.5**of <= LEVEL else None)


def matches(claim, sample: Sample, slack: float | None = None) -> list[bool]:
    """Per seed: does its value lie within `slack` of what is printed, by default half a unit of the last digit?"""
    low, high, half = parse(claim.value)
    slack = half if slack is None else slack
    return [value is not None and low - slack <= value <= high + slack for value in sample.values]


def judge_number(claim, sample: Sample) -> Verdict:
    """The rule at the head of this file, over the seeds that trained; the others only bar a refutation on their side.

    A seed has not trained without a finite value, or with an accuracy at chance where more is printed.
    """
    low, high, half = parse(claim.value)
    alive = sample.counted(claim)
    total, lost = len(sample.values), len(sample.values) - len(alive)
    if sample.share < 1:
        return inconclusive(shortened(sample))
    if sample.unmeasured():
        return inconclusive(f"{NOT_MEASURED}: a training that succeeded gives no such number")
    if sample.is_dead():
        return inconclusive(DEAD)
    if not alive:
        return inconclusive("no value to compare") if is_difference(sample.key) else never(total, "a training succeeds")
    interval = sample.interval(alive)
    if interval is None:
        return inconclusive(too_few(alive), mean=statistics.fmean(alive), lost=lost)
    mean, width, resolution = interval.mean, interval.half, interval.resolution + half
    p = interval.p(max(low - half - mean, mean - high - half, 0))
    about = {"half_width": width, "resolution": resolution, "p": p, "mean": mean, "lost": lost}
    reason = f"95 % of new runs: {plus_minus(mean, width)}, n = {len(alive)}"
    reason += f"; refutes shifts from {digits(resolution, 2)} on"
    reason += f"; {lost} of {total} seeds diverged or ended at chance" if lost else ""
    if low - half - width <= mean <= high + half + width:
        limit = COARSE if is_accuracy(sample.key) or is_difference(sample.key) else 5 * COARSE * abs(mean)
        may_be_none = is_difference(sample.key) and abs(mean) <= width and not low - half <= 0 <= high + half
        if interval.resolution > limit or may_be_none:
            return inconclusive(f"{reason}; too coarse", **about)
        if 2 * lost >= total:
            return inconclusive(f"{reason}; half of the seeds fail", **about)
        return Verdict(verdict="reproduced", reason=reason, **about)
    seeds = alive + [-math.inf if is_accuracy(sample.key) else math.inf] * lost
    if min(seeds) <= high and max(seeds) >= low:
        return inconclusive(f"{reason}; outside, but not all seeds on one side", **about)
    verdict = "exceeded" if claim.best and mean > high else "not reproduced"
    return Verdict(verdict=verdict, reason=reason, **about)


def too_few(values: list) -> str:
    return f"{len(values)} run{'s' * (len(values) != 1)}: the deviation from run to run is not known"


def judge_bound(claim, sample: Sample) -> Verdict:
    """A printed upper bound: reproduced when the whole interval lies below it, not when it lies above."""
    bound, alive = parse(claim.value)[1], sample.alive()
    if sample.share < 1:
        return inconclusive(shortened(sample))
    if 2 * len(alive) <= len(sample.values):
        return inconclusive(f"{len(alive)} of {len(sample.values)} seeds trained")
    interval = sample.interval(alive)
    if interval is None:
        return inconclusive(too_few(alive))
    mean, width = interval.mean, interval.half
    about = {"half_width": width, "resolution": interval.resolution, "p": interval.p(max(mean - bound, 0))}
    about |= {"mean": mean, "lost": len(sample.values) - len(alive)}
    reason = f"95 % of new runs: {plus_minus(mean, width)}, n = {len(alive)}"
    if mean + width <= bound:
        return Verdict(verdict="reproduced", reason=reason, **about)
    return Verdict(verdict="not reproduced" if mean - width > bound else "inconclusive", reason=reason, **about)


def judge_epoch(claim, sample: Sample) -> Verdict:
    """Within three epochs in more than half of the seeds; a seed in which it never came counts as later than any."""
    low, high, _ = parse(claim.value)
    came, total = sample.finite(), len(sample.values)
    if sample.share < 1:
        return inconclusive(shortened(sample))
    if not came:
        return never(total, "it came")
    near = sum(matches(claim, sample, EPOCHS))
    reason = f"within {EPOCHS} epochs in {near} of {total}, median {statistics.median(came):g}"
    interval = sample.interval(came)
    if interval is None:
        return inconclusive(f"{reason}; {too_few(came)}")
    about = {"half_width": interval.half, "resolution": interval.resolution + EPOCHS}
    p = interval.p(max(low - EPOCHS - interval.mean, interval.mean - high - EPOCHS, 0))
    if 2 * near > total:
        if interval.resolution > COARSE_EPOCHS:
            return inconclusive(f"{reason}; refutes {about['resolution']:.0f} epochs or more: too coarse", **about)
        return Verdict(verdict="reproduced", reason=reason, p=p, **about)
    one_side = min(came) > high + EPOCHS or (max(came) < low - EPOCHS and len(came) == total)
    return Verdict(verdict="not reproduced" if p < LEVEL and one_side else "inconclusive", reason=reason, p=p, **about)


def judge_count(claim, sample: Sample) -> Verdict:
    """An exact number, a count or a setting: equal to the printed one, to its digits, or not."""
    equal = matches(claim, replace(sample, values=sample.finite()))
    return _sighting(equal, sample, f"equal in {sum(equal)} of {len(equal)}")


def judge_seen(claim, sample: Sample) -> Verdict:
    """A yes/no finding: reproduced when half of at least two seeds show it, not when significantly fewer do.

    A fact of the code, which no training stands behind, is the same every time. Of a printed nan only a loss that is
    not finite is a sighting: a seed that ends at chance with a finite loss is neither for nor against it.
    """
    is_nan = claim.value == "nan"
    seen, either = sample.flags(nan_only=is_nan), sample.flags()
    if is_nan and sum(seen) < sum(either) and 2 * sum(seen) < len(seen):
        finite = sum(either) - sum(seen)
        return inconclusive(f"nan in {sum(seen)} of {len(seen)}, {finite} at chance with a finite loss")
    return _sighting(seen, sample, f"seen in {sum(seen)} of {len(seen)}")


def _sighting(seen: list[bool], sample: Sample, reason: str) -> Verdict:
    if not seen:
        return inconclusive("no training tells")
    if sample.share < 1:
        return inconclusive(f"{reason}; {shortened(sample)}")
    by_most = 2 * sum(seen) >= len(seen)
    if sample.fact:
        return Verdict(verdict="reproduced" if by_most else "not reproduced", reason=reason)
    if len(seen) == 1:
        return inconclusive(f"{reason}; one training")
    tested = by_half(sum(seen), len(seen), reason)
    return replace(tested, verdict="reproduced") if by_most else tested


def judge_time(claim, sample: Sample) -> Verdict:
    """Speeds and times are never judged: the ratio is given, of seconds as a full training would take them."""
    share = sample.share if sample.key.endswith("seconds") else 1
    ours = statistics.fmean(sample.finite()) if sample.finite() else math.nan
    ratio = ours / share / middle(claim.value)
    compared = "; not measured" if math.isnan(ratio) else f"; ours is {ratio:.3g} of the printed"
    return Verdict(verdict="not comparable", reason=f"another machine{compared}")


JUDGES = {
    "number": judge_number,
    "bound": judge_bound,
    "epoch": judge_epoch,
    "count": judge_count,
    "diverges": judge_seen,
    "statement": judge_seen,
    "time": judge_time,
}
KINDS = (*JUDGES, "order", "arithmetic")  # an order: see `orders`; arithmetic: see `values`
LIMITS = {  # what a verdict does not establish
    "number": "that the same code, data order or machine was behind the printed value",
    "bound": "that no other setting exceeds the bound",
    "epoch": "what happens at that epoch, or why",
    "count": "that the rest of the code is the same",
    "diverges": "why the printed run diverged: several causes end alike",
    "order": "that the order holds at other sizes, rates or numbers of epochs",
    "statement": "the same of other settings than ours",
    "time": "anything about the printed machine",
    "arithmetic": "which of the printed values is the slip",
}
