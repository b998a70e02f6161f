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

from helpers.claims import judge, orders, pool
from helpers.claims.judge import LEVEL, Sample
from helpers.claims.spread import is_relative

SIZES = (1, 2, 3, 5, 9)  # numbers of our seeds that are tried
CELLS = {  # what is tried, and the words in a results key that it stands for; the first that fits
    "volatility": ("volatility",), "gap": ("gap", "gain", "less"), "seconds": ("seconds",), "best_epoch": ("epoch",),
    "train_loss": ("loss",), "train_accuracy": ("train_acc",), "test_accuracy": ("acc", "score"),
}  # fmt: skip
LEAST = 10  # left-out seeds below which a cell counts as not tried
SHIFT, SPLITS = 0.02, 10
SOUND, ERRS, NOT_TRIED = "is sound", "errs too often", "was not tried"
COLUMNS = ["metric", "n", "seeds", "refuted", "low", "high", "power", "different", "different_low", "different_high",
           "sets", "numbers", "orders"]  # fmt: skip


def cell(key: str) -> str:
    """The metric whose calibration answers for a results key; "" for none."""
    key = key.rpartition(".")[2] if not pool.spread.is_difference(key) else key
    if "acc" in key and not pool.spread.is_difference(key):
        return "train_accuracy" if "train_acc" in key else "test_accuracy"
    return next((name for name, words in CELLS.items() if any(word in key for word in words)), "")


def doubt(basis: pool.Basis, what: str, key: str, n: int) -> str:
    """Why the judge's word on numbers or orders of such a key is not given at n seeds; "" where it may be."""
    if not basis.strict:
        return ""
    name = cell(key)
    tried = [row for row in rows(basis) if row["metric"] == name and row["n"] <= n and row[f"{what}s"] != NOT_TRIED]
    if n < 3:
        tried = [row for row in tried if row["n"] == n]
    state = max(tried, key=lambda row: row["n"])[f"{what}s"] if tried else NOT_TRIED
    return "" if state == SOUND else f"the judge {state} on left-out seeds of such a number (n = {n})"


def table(basis: pool.Basis) -> pd.DataFrame:
    """One line a metric and number of seeds: shares of false refutations, of power at 0.02, of self-differences.

    seeds: left-out seeds judged; sets: seeds that stood in comparisons with themselves; low, high: 95 % binomial
    intervals, as if each seed were one case. numbers, orders: "is sound", "errs too often" (the whole interval
    above 5 %) or "was not tried" (fewer than 10 seeds, or a deviation that is not known).
    """
    return pd.DataFrame(rows(basis), columns=COLUMNS)


def rows(basis: pool.Basis) -> list[dict]:
    """The lines of `table`."""
    return _rows(_Key(basis))


class _Key:
    """A basis by its identity, so that its table is computed once."""

    def __init__(self, basis):
        self.basis = basis

    def __hash__(self):
        return id(self.basis)

    def __eq__(self, other):
        return self.basis is other.basis


@functools.lru_cache(maxsize=4)
def _rows(key: _Key) -> list[dict]:
    lines = []
    for metric in CELLS:
        for n in SIZES:
            numbers, sets = _left_out(key.basis, metric, n), _self_compared(key.basis, metric, n)
            line = {"metric": metric, "n": n, "seeds": len(numbers["refuted"]), "sets": sets["seeds"]}
            line |= dict(zip(("refuted", "low", "high"), _share(numbers["refuted"], len(numbers["refuted"]))))
            line |= {"power": float(np.mean(numbers["power"])) if numbers["power"] else None}
            names = ("different", "different_low", "different_high")
            line |= dict(zip(names, _share(sets["different"], sets["seeds"])))
            line |= {"numbers": _state(line["seeds"], line["low"])}
            lines.append(line | {"orders": _state(line["sets"], line["different_low"])})
    return lines


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


def _kept(basis: pool.Basis, metric: str, least: int):
    """(row, prior of the other rows) of every row of a metric with so many seeds."""
    for kind, members in basis.rows.items():
        for row in members if kind[0] == metric else ():
            if len(row.values) >= least:
                yield row, pool.prior([other.values for other in members if other is not row], metric)


def _left_out(basis: pool.Basis, metric: str, n: int) -> dict:
    """Each seed left out once, as it is and moved either way, against the n that follow it in the row."""
    outcomes = {"refuted": [], "power": []}
    decide = judge.judge_epoch if metric == "best_epoch" else judge.judge_number
    for row, prior in _kept(basis, metric, n + 1):
        values = row.values
        for i, left_out in enumerate(values):
            ours = [values[(i + k) % len(values)] for k in range(1, n + 1)]
            sample = Sample(key=f"k.{metric}", values=ours, prior=prior, images=row.images, floor=row.floor)
            if sample.interval(ours) is None:
                continue
            shift = 10 if metric == "best_epoch" else SHIFT * (10 * abs(left_out) if is_relative(metric) else 1)
            shifts = [move for move in (0, -shift, shift) if left_out + move >= 0 or move == 0]
            refuted = [decide(_claim(left_out + move), sample).verdict == "not reproduced" for move in shifts]
            outcomes["refuted"].append(refuted[0])
            outcomes["power"] += refuted[1:]
    return outcomes


def _claim(value: float) -> SimpleNamespace:
    return SimpleNamespace(value=f"{max(value, 0):.4f}", best=False, margin=None)


def _self_compared(basis: pool.Basis, metric: str, n: int) -> dict:
    """n seeds of a row against n others of the same row, in ten orders drawn at random."""
    rng, outcomes = np.random.default_rng(0), {"different": [], "seeds": 0}
    for row, prior in _kept(basis, metric, 2 * n):
        apart = []
        for _ in range(SPLITS):
            order = rng.permutation(len(row.values))
            halves = [_part(row, metric, order[start : start + n], prior) for start in (0, n)]
            interval, _ = orders.difference(*halves)
            apart += [abs(interval.mean) > interval.half] if interval else []
        outcomes["different"] += apart
        outcomes["seeds"] += len(row.values) if apart else 0
    return outcomes


def _part(row: pool.Row, metric: str, places, prior) -> Sample:
    marks = None if row.marks is None else row.marks[places]
    values = [row.values[place] for place in places]
    return Sample(
        key=f"k.{metric}", values=values, prior=prior, images=row.images, floor=row.floor, marks=marks,
        records=tuple(map(str, places)),
    )  # fmt: skip
