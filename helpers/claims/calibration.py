"""The judge judged, where it is used: on seeds of our own trainings that it has not seen.

One seed of a row is left out and claimed as if a report had printed it; so many of the others are ours. It should not
be refuted; moved by 0.02 (a loss by a fifth, an epoch by ten) it should be. And a setting set against itself, some
seeds against others, should not come out as different. The prior comes from the other rows of the kind alone.
"""

import functools
from types import SimpleNamespace

import numpy as np
import pandas as pd
from scipy import stats

from helpers.claims import judge, orders, pool, spread
from helpers.claims.judge import LEVEL, Sample

SIZES = (1, 2, 3, 5, 9)  # numbers of our seeds that are tried
CELLS = {  # what is tried, and the words in a results key that it stands for; the first that fits
    "volatility": ("volatility",), "gap": ("gap", "gain", "less"), "seconds": ("seconds",), "best_epoch": ("epoch",),
    "train_loss": ("loss",), "train_accuracy": ("train_acc",), "test_accuracy": ("acc", "score"),
}  # fmt: skip
LEAST = 10  # left-out seeds below which a cell counts as not tried
SHIFT, SPLITS = 0.02, 10
SOUND, ERRS, NOT_TRIED = "is sound", "errs too often", "was not tried"


def cell(key: str) -> str:
    """The metric whose calibration answers for a results key; "" for none."""
    if not spread.is_difference(key):
        key = key.rpartition(".")[2]
        if "acc" in key:  # also where an epoch is named: accuracy_epoch5
            return "train_accuracy" if "train_acc" in key else "test_accuracy"
    return next((name for name, words in CELLS.items() if any(word in key for word in words)), "")


def doubt(basis: pool.Basis, what: str, key: str, n: int) -> str:
    """Why the judge's word on numbers or orders of such a key is not given at n seeds; "" where it may be."""
    if not basis.strict:
        return ""
    sizes = [size for size in reversed(SIZES) if min(n, 3) <= size <= n]  # what holds at three holds at more
    states = (line(basis, cell(key), size)[f"{what}s"] for size in sizes)
    state = next((state for state in states if state != NOT_TRIED), NOT_TRIED)
    return "" if state == SOUND else f"the judge {state} on left-out seeds of such a number (n = {n})"


def table(basis: pool.Basis) -> pd.DataFrame:
    """One line a metric and number of seeds: shares of false refutations, of power at 0.02, of self-differences.

    seeds: left-out seeds judged; sets: seeds that stood in comparisons with themselves; low, high: 95 % binomial
    intervals, as if each seed were one case. numbers, orders: "is sound", "errs too often" (the whole interval
    above 5 %) or "was not tried" (fewer than 10 seeds, or a deviation that is not known).
    """
    return pd.DataFrame([line(basis, metric, n) for metric in CELLS for n in SIZES])


@functools.lru_cache(maxsize=4 * len(CELLS) * len(SIZES))
def line(basis: pool.Basis, metric: str, n: int) -> dict:
    """The line of `table` on one metric and number of seeds."""
    judged = _with_priors(basis, metric)
    refuted, moved = _left_out(judged, metric, n)
    different, sets = _self_compared(judged, metric, n)
    about = {"metric": metric, "n": n, "seeds": len(refuted), "sets": sets}
    about["refuted"], about["low"], about["high"] = _share(refuted, len(refuted))
    about["power"] = float(np.mean(moved)) if moved else None
    about["different"], about["different_low"], about["different_high"] = _share(different, sets)
    about["numbers"], about["orders"] = _state(len(refuted), about["low"]), _state(sets, about["different_low"])
    return about


def _state(cases: int, low: float | None) -> str:
    if cases < LEAST:
        return NOT_TRIED
    return SOUND if low <= LEVEL else ERRS


def _share(hits: list[bool], cases: int) -> tuple:
    """(share, its 95 % interval) as of so many cases; three None without any."""
    if not hits:
        return None, None, None
    share = float(np.mean(hits))
    ends = stats.binomtest(round(share * cases), cases).proportion_ci(0.95)
    return share, float(ends.low), float(ends.high)


@functools.lru_cache(maxsize=4 * len(CELLS))
def _with_priors(basis: pool.Basis, metric: str) -> list[tuple]:
    """(row, prior of the other rows of its kind) of every row of a metric with two seeds or more."""
    pairs = []
    for members in (members for kind, members in basis.rows.items() if kind[0] == metric):
        for row in (row for row in members if len(row.values) > 1):
            pairs.append((row, pool.prior([other.values for other in members if other is not row], metric)))
    return pairs


def _left_out(judged: list, metric: str, n: int) -> tuple[list[bool], list[bool]]:
    """(was each seed, left out once, refuted by the n that follow it in its row; was it when moved either way)."""
    refuted, moved = [], []
    decide = judge.judge_epoch if metric == "best_epoch" else judge.judge_number
    for row, prior in judged:
        values = row.values
        if len(values) <= n:
            continue
        for i, left_out in enumerate(values):
            ours = [values[(i + k) % len(values)] for k in range(1, n + 1)]
            sample = Sample(key=f"k.{metric}", values=ours, prior=prior, images=row.images, floor=row.floor)
            if sample.interval(ours) is None:
                continue
            if metric == "best_epoch":
                shift = 10
            else:
                shift = SHIFT * 10 * abs(left_out) if spread.is_relative(metric) else SHIFT
            refuted.append(decide(_claim(left_out), sample).verdict == "not reproduced")
            for value in (left_out - shift, left_out + shift):
                if value >= 0 or spread.is_difference(metric):
                    moved.append(decide(_claim(value), sample).verdict == "not reproduced")
    return refuted, moved


def _claim(value: float) -> SimpleNamespace:
    return SimpleNamespace(value=f"{value:.4f}", best=False)


def _self_compared(judged: list, metric: str, n: int) -> tuple[list[bool], int]:
    """(do n seeds of a row differ from n others of it, in ten orders drawn at random; how many seeds took part)."""
    rng, different, seeds = np.random.default_rng(0), [], 0
    for row, prior in judged:
        if len(row.values) < 2 * n:
            continue
        apart = []
        for _ in range(SPLITS):
            order = rng.permutation(len(row.values))
            halves = [_part(row, metric, order[start : start + n], prior) for start in (0, n)]
            interval, _ = orders.difference(*halves)
            if interval:
                apart.append(abs(interval.mean) > interval.half)
        different += apart
        seeds += len(row.values) if apart else 0
    return different, seeds


def _part(row: pool.Row, metric: str, places, prior) -> Sample:
    marks = None if row.marks is None else row.marks[places]
    values = [row.values[place] for place in places]
    return Sample(key=f"k.{metric}", values=values, prior=prior, images=row.images, floor=row.floor, marks=marks)
