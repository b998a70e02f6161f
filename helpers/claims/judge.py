"""The judge: one claim, the results that test it, a verdict with its reason. Statistics only, no files.

A printed number is reproduced when it lies inside the 95 % prediction interval of our seeds, never narrower than
the test set's own error, plus half a unit of its last digit; not reproduced only when it lies outside and all
seeds lie on the same side. Results are {key: {value, values, n, seeds, statuses ...}} with full keys.
"""

import math
import re
import statistics
from decimal import Decimal

from scipy.special import ndtr, stdtr, stdtrit

VERDICTS = ("reproduced", "exceeded", "not reproduced", "inconclusive", "not comparable")
EVIDENCE = re.compile(r"(\w+\.[\w.]+)(?: ([<>~]) (\w+\.[\w.]+))?")  # a key, or two and how they compare
PRINTED = re.compile(r"nan|\d+(\.\d+)?(-\d+(\.\d+)?)?( %)?")
Z, IMAGES = 1.96, 10_000  # of a 95 % interval; test images
EPOCHS = 3  # a printed epoch is met within so many
MARGIN = 0.005  # a difference below this counts as none, unless the claim says otherwise
EARLY = 0.05  # share of the report's training below which a network need not have learnt anything
CHANCE = 0.12  # ten classes: a last test accuracy below this has learnt nothing


def printed(text: str) -> tuple[float, float, float]:
    """(lowest, highest, half a unit of the last digit) of "0.860", "90.05 %" or "20-25"; nan for "nan".

    Raises ValueError for anything else.
    """
    if not isinstance(text, str) or not PRINTED.fullmatch(text):
        raise ValueError(f"value must be like '0.860', '90.05 %', '20-25' or 'nan', in quotes, not {text!r}")
    scale = Decimal("0.01" if "%" in text else "1")
    parts = [Decimal(part) * scale for part in text.strip("% ").split("-")]
    exponents = [part.as_tuple().exponent for part in parts if part.is_finite()]
    return float(parts[0]), float(parts[-1]), float(Decimal(10) ** min(exponents, default=0) / 2)


def is_difference(key: str) -> bool:
    """Whether a results key names a difference of accuracies."""
    return any(word in key for word in ("gap", "volatility", "gain"))


def is_accuracy(key: str) -> bool:
    """Whether a results key names a share of correct answers."""
    return not is_difference(key) and any(word in key.rpartition(".")[2] for word in ("acc", "score"))


def fixed_error(key: str, mean: float) -> float:
    """The standard error that 10,000 test images alone give a result.

    An accuracy's is binomial; a difference of two accuracies has twice the variance of one at 0.9; a loss spreads
    over the images about as widely as its mean; seconds, which no image tells, by a twentieth from run to run.
    """
    if key.endswith("seconds"):
        return abs(mean) / 20
    if is_difference(key):
        return math.sqrt(2 * 0.9 * 0.1 / IMAGES)
    if is_accuracy(key):
        share = min(max(mean, 1 / IMAGES), 1 - 1 / IMAGES)
        return math.sqrt(share * (1 - share) / IMAGES)
    return abs(mean) / math.sqrt(IMAGES)


def interval(values: list[float], key: str) -> tuple[float, float]:
    """(mean, half width) of the 95 % prediction interval for one more run; below 3 values the fixed part alone."""
    n, mean = len(values), statistics.fmean(values)
    fixed = Z * fixed_error(key, mean)
    if n < 3:
        return mean, fixed
    return mean, max(stdtrit(n - 1, 0.975) * statistics.stdev(values) * math.sqrt(1 + 1 / n), fixed)


def finite(result: dict) -> list[float]:
    """The values of the seeds that have one."""
    return [value for value in result["values"] if value is not None]


def trained(result: dict, key: str, least: float = CHANCE) -> list[float]:
    """The finite values of a result; of an accuracy those that reach `least`."""
    return [value for value in finite(result) if not is_accuracy(key) or value >= least]


def judge_number(claim, key: str, results: dict, _correct=None) -> tuple[str, str]:
    """The rule at the head of this file, over the seeds that trained; the others lie below (accuracy) or above (loss).

    A seed has not trained without a finite value, or with an accuracy at chance where more is printed.
    """
    low, high, half = printed(claim.value)
    known, total = trained(results[key], key, CHANCE * (high >= CHANCE)), len(results[key]["values"])
    if not known:
        verdict = "inconclusive" if is_difference(key) else "not reproduced"
        return verdict, "no value to compare" if is_difference(key) else f"none of {total} seeds trained"
    lost, (mean, width) = total - len(known), interval(known, key)
    seeds = known + [-math.inf if is_accuracy(key) else math.inf] * lost
    reason = f"95 % of new runs: {mean:.4f} ± {width:.4f}, n = {len(known)}"
    reason += ", fixed part alone" if len(known) < 3 else ""
    reason += f"; {lost} of {total} seeds diverged or ended at chance" if lost else ""
    if low - half - width <= mean <= high + half + width:
        return "reproduced" if 2 * lost < total else "inconclusive", reason
    if min(seeds) <= high and max(seeds) >= low:
        return "inconclusive", f"{reason}; outside, but not all seeds on one side"
    return "exceeded" if claim.best and mean > high else "not reproduced", reason


def judge_bound(claim, key: str, results: dict, _correct=None) -> tuple[str, str]:
    """A printed upper bound: reproduced when the whole interval lies below it, not when it lies above."""
    bound, known = printed(claim.value)[1], finite(results[key])
    if not known:
        return "inconclusive", "no seed ended with a finite number"
    mean, width = interval(known, key)
    reason = f"95 % of new runs: {mean:.4f} ± {width:.4f}, n = {len(known)}"
    if mean + width <= bound:
        return "reproduced", reason
    return "not reproduced" if mean - width > bound else "inconclusive", reason


def judge_epoch(claim, key: str, results: dict, _correct=None) -> tuple[str, str]:
    """By the median epoch of the seeds; a seed in which it never came counts as later than any."""
    low, high, _ = printed(claim.value)
    seeds = [math.inf if value is None else value for value in results[key]["values"]]
    middle, never = statistics.median(seeds), seeds.count(math.inf)
    reason = f"median epoch {middle:g}, n = {len(seeds)}" + (f", never in {never}" if never else "")
    if low - EPOCHS <= middle <= high + EPOCHS:
        return "reproduced", reason
    if results[key]["share"] < 1:
        return "inconclusive", f"{reason}; the training was shortened"
    one_side = min(seeds) > high + EPOCHS or max(seeds) < low - EPOCHS
    return "not reproduced" if one_side else "inconclusive", reason


def flags(key: str, results: dict) -> list[bool]:
    """Per seed: was it seen? For `diverged`: the status says so, or the last test accuracy is at chance."""
    result, stem = results[key], key.removesuffix(".diverged")
    if stem == key or not result.get("statuses"):
        return [bool(value) for value in result["values"]]
    ends = results.get(f"{stem}.test_accuracy", {}).get("values") or [1] * len(result["statuses"])
    return [status == "diverged" or end is None or end < CHANCE for status, end in zip(result["statuses"], ends)]


def judge_seen(claim, key: str, results: dict, _correct=None) -> tuple[str, str]:
    """A yes/no finding: reproduced when at least half of the seeds show it, not reproduced when none does."""
    seen, result = flags(key, results), results[key]
    if (
        result["share"] < EARLY
        and key.endswith(".diverged")
        and not any(s[:8] == "diverged" for s in result["statuses"])
    ):
        return "inconclusive", "after so little training, chance says nothing about divergence"
    if not any(seen) and (result["share"] < 1 or not seen):
        return "inconclusive", "not seen, in a shortened training" if seen else "no training tells"
    reason = f"seen in {sum(seen)} of {len(seen)}"
    return "reproduced" if 2 * sum(seen) >= len(seen) else "inconclusive" if any(seen) else "not reproduced", reason


def judge_time(claim, key: str, results: dict, _correct=None) -> tuple[str, str]:
    """Speeds and times are never judged: the ratio is given, of seconds as a full training would take them."""
    shortened = results[key]["share"] if key.endswith("seconds") else 1
    ratio = (results[key]["value"] or math.nan) / shortened / statistics.fmean(printed(claim.value)[:2])
    return "not comparable", f"another machine; ours : printed = {ratio:.3g}"


def seeds_part(left: dict, right: dict) -> tuple[float, str]:
    """(half width of the 95 % interval of a difference of means, how): equal seeds are paired, others after Welch."""
    a, b = finite(left), finite(right)
    if min(len(a), len(b)) < 3:
        return 0.0, f"{min(len(a), len(b))} seed(s)"
    if left.get("seeds") and left["seeds"] == right.get("seeds") and len(a) == len(b) == len(left["seeds"]):
        spread = statistics.stdev([x - y for x, y in zip(a, b)])
        return stdtrit(len(a) - 1, 0.975) * spread / math.sqrt(len(a)), f"{len(a)} paired seeds"
    parts = [statistics.variance(side) / len(side) for side in (a, b)]
    freedom = sum(parts) ** 2 / max(sum(p * p / (len(s) - 1) for p, s in zip(parts, (a, b))), 1e-300)
    return stdtrit(max(freedom, 1), 0.975) * math.sqrt(sum(parts)), f"{len(a)} and {len(b)} seeds"


def difference(left: str, right: str, results: dict, correct=None) -> tuple[float, float, str]:
    """(left - right, half width of its 95 % interval, how), over seeds and image by image on the same test images.

    correct(key) -> which test images each run got right, (runs, images), or None. Its mean difference per image is
    McNemar's paired comparison, for one run or several. Where it is not to be had and seeds are fewer than 3, the
    fixed part stands in.
    """
    a, b = finite(results[left]), finite(results[right])
    if not a or not b:
        return math.nan, math.inf, "no finite value"
    width, how = seeds_part(results[left], results[right])
    last = all(key.endswith(".test_accuracy") for key in (left, right))
    marks = [correct(key) if correct and last else None for key in (left, right)]
    if all(mark is not None for mark in marks) and marks[0].shape[1] == marks[1].shape[1]:
        per_image = marks[0].mean(0) - marks[1].mean(0)
        images, how = Z * per_image.std() / math.sqrt(len(per_image)), f"{how}, image by image"
    else:
        fixed = [fixed_error(key, statistics.fmean(side)) for key, side in ((left, a), (right, b))]
        images = 0.0 if min(len(a), len(b)) > 2 else Z * math.hypot(*fixed)
    return statistics.fmean(a) - statistics.fmean(b), math.hypot(width, images), how


def judge_order(claim, text: str, results: dict, correct=None) -> tuple[str, str]:
    """Reproduced when the order holds significantly; not when the reverse does, or clearly no difference.

    Where the claim names a margin ("much higher"), the difference must exceed it; of a loss, 0.005 means 5 %.
    """
    left, sign, right = EVIDENCE.fullmatch(text).groups()
    gap, width, how = difference(left, right, results, correct)
    margin = claim.margin or MARGIN
    margin *= 1 if is_accuracy(left) else 0.05 / MARGIN * abs(results[left]["value"] or 0)
    reason = f"difference {gap:.4f} ± {width:.4f} over {how}"
    if math.isnan(gap):
        return "inconclusive", how
    apart, none = abs(gap) > width, abs(gap) + width < margin
    if sign == "~":
        apart = abs(gap) - width > margin
        return "reproduced" if none else "not reproduced" if apart else "inconclusive", reason
    as_said = (gap > 0) == (sign == ">")
    if apart and as_said and (not claim.margin or abs(gap) > margin):
        return "reproduced", reason
    return "not reproduced" if none or (apart and not as_said) else "inconclusive", reason


JUDGES = {
    "number": judge_number,
    "bound": judge_bound,
    "epoch": judge_epoch,
    "diverges": judge_seen,
    "statement": judge_seen,
    "order": judge_order,
    "time": judge_time,
}
LIMITS = {  # what a verdict does not establish
    "number": "that the same code, data order or machine was behind the printed value",
    "bound": "that no other setting exceeds the bound",
    "epoch": "what happens at that epoch, or why",
    "diverges": "why the printed run diverged: several causes end alike",
    "order": "that the order holds at other sizes, rates or numbers of epochs",
    "statement": "the same of other settings than ours",
    "time": "anything about the printed machine",
}


def likelihood(claim, text: str, results: dict, correct=None) -> float:
    """How probable the claim is under one reading: of the printed digits (t), of an epoch, a finding, an order.

    A share of the probability goes to runs that end at chance, by the seeds that did.
    """
    if claim.kind in ("diverges", "statement"):
        seen = flags(text, results)
        return (sum(seen) + 0.5) / (len(seen) + 1)
    if claim.kind == "order":
        left, sign, right = EVIDENCE.fullmatch(text).groups()
        gap, width, _ = difference(left, right, results, correct)
        above = float(ndtr(Z * gap / width)) if width and not math.isnan(gap) else 0.5
        return {">": above, "<": 1 - above, "~": 2 * min(above, 1 - above)}[sign]
    low, high, half = printed(claim.value)
    values, low, high = results[text]["values"], low - half, high + half
    if claim.kind == "bound":
        low, high = 0.0, high - half
    if claim.kind == "epoch":
        near = [v is not None and low - EPOCHS <= v <= high + EPOCHS for v in values]
        return (sum(near) + 0.5) / (len(near) + 1)
    known = trained(results[text], text)
    lost = (len(values) - len(known) + 0.5) / (len(values) + 1)
    fits = high - low  # nothing known: any accuracy is as probable
    if known:
        n, (mean, width) = len(known), interval(known, text)
        quantile = stdtrit(n - 1, 0.975) if n > 2 else Z
        area = (lambda x: stdtr(n - 1, x)) if n > 2 else ndtr
        unit = max(width / quantile, 1e-12)
        fits = float(area((high - mean) / unit) - area((low - mean) / unit))
    return (1 - lost) * fits + lost * (low <= 0.1 <= high)
