"""Quantities read off the history of a training, defined once for all studies."""

import numpy as np
import pandas as pd

FALL = 0.1  # a test accuracy that drops this far below its best, and stays there, has fallen


def derive(frame: pd.DataFrame, curve: str = "test_accuracy") -> pd.DataFrame:
    """`frame` (one trial a line, with a `history`) with the quantities of `curve` as further columns.

    best_<curve> and its (first) best_epoch; gap: last train accuracy less last of the curve; volatility: mean absolute
    change between epochs; falls (0/1) and fall_epoch; stable_epoch: first from which the curve stays within 0.01 of
    its mean over the last five; first_cut_epoch: last epoch at the first learning rate. None where there is none.
    Epochs count from 1.
    """
    lines = [_derive(history, curve) for history in frame["history"]]
    return frame.assign(**{name: [line[name] for line in lines] for name in (lines[0] if lines else ())})


def _derive(history: pd.DataFrame, curve: str) -> dict:
    values = np.asarray(history[curve], dtype=float)
    best = int(np.argmax(values))
    fall_epoch = _holds_from(values < np.maximum.accumulate(values) - FALL)
    rates = np.asarray(history["lr"], dtype=float) if "lr" in history else np.zeros(len(values))
    cut = np.flatnonzero(rates < rates[0])
    return {
        f"best_{curve}": float(values[best]),
        "best_epoch": best + 1,
        "gap": float(np.asarray(history["train_accuracy"], dtype=float)[-1] - values[-1]),
        "volatility": float(np.abs(np.diff(values)).mean()) if len(values) > 1 else None,
        "falls": int(fall_epoch is not None),
        "fall_epoch": fall_epoch,
        "stable_epoch": _holds_from(np.abs(values - values[-5:].mean()) <= 0.01),
        "first_cut_epoch": int(cut[0]) if len(cut) else None,
    }


def _holds_from(holds: np.ndarray) -> int | None:
    """The epoch from which on all of `holds` (epochs,) is true, to the end; None where the last one is not."""
    broken = np.flatnonzero(~holds)
    first = int(broken[-1]) + 2 if len(broken) else 1
    return first if first <= len(holds) else None


def cut_on_plateau(frame: pd.DataFrame, curve: str, patience: int) -> list[int]:
    """1 for each trial whose rate was first cut after `patience` epochs in which `curve` found no better value, else 0.

    Better is higher, of a loss lower.
    """
    cuts_on_plateau = []
    for history in frame["history"]:
        values = np.asarray(history[curve], dtype=float) * (-1 if "loss" in curve else 1)
        cut = int(np.argmax(np.asarray(history["lr"]) < history["lr"].iloc[0]))  # 0: never
        cuts_on_plateau.append(int(cut > patience and values[: cut - patience].max() >= values[:cut].max()))
    return cuts_on_plateau


def at_epoch(frame: pd.DataFrame, epoch: int, curve: str = "test_accuracy") -> list[float]:
    """The curve's value after `epoch` of each trial, or its last where the training was shorter."""
    return [float(history[curve].iloc[min(epoch, len(history)) - 1]) for history in frame["history"]]


def mean_between(frame: pd.DataFrame, first: int, last: int, curve: str = "test_accuracy") -> list[float | None]:
    """The mean of the curve over epochs `first` to `last` of each trial; None where the training was shorter."""
    return [
        float(history[curve].iloc[first - 1 : last].mean()) if len(history) >= last else None
        for history in frame["history"]
    ]
