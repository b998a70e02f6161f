"""Probes: small trainings that tell whether today's code still trains what a record holds.

A full training costs minutes to an hour and its record has to outlive the code. So it carries a probe: the same config
cut to at most a tenth of the work (`config.probe()`), trained by the same code in the same process. Where the source
has changed since, the probe is trained again here: the same code gives equal bits on the same platform, and close
numbers on another one. A probe sees what its two epochs reach; each config class says what they do not.
"""

import math
import warnings

from helpers.base import plain

FULL_COST = 10  # a training that costs less than so many probes carries none: it is trained again instead
CLOSE = 0.02  # of an accuracy or another share, absolutely; of every other number, relatively
PLATFORM = ("torch", "numpy", "capability", "features", "gpu", "device", "precision", "threads")
SHARES = ("accuracy", "acc", "share")  # the last word of a column that holds a share


def probe_of(config):
    """The config of a training's probe; None where the config class has none or the whole training is cheap."""
    small = config.probe() if hasattr(config, "probe") else None
    return small if small is not None and config.work() >= FULL_COST * small.work() else None


def measure(function, config, context, machine: dict) -> dict:
    """Train `config`, a probe, in this process: its history and how it ended, with the platform that it ran on."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the whole training has given them
        outcome = function(config, context)
    platform = machine | outcome.get("provenance", {})
    return plain(
        {name: outcome.get(name) for name in ("status", "diverged_epoch", "history")}
        | {"platform": {name: platform[name] for name in PLATFORM if name in platform}}
    )


def same_platform(one: dict, other: dict) -> bool:
    """Whether equal bits can be expected: nothing that both provenances tell of their platform differs."""
    return all(one[name] == other[name] for name in PLATFORM if name in one and name in other)


def of_absent_gpu(record: dict) -> bool:
    """Whether a GPU trained it and none is here: then its times and its bits have nothing to be compared with."""
    if not record["provenance"].get("gpu"):
        return False
    from helpers import device  # loads PyTorch

    return not device.num_gpus()


def compare(old: dict, new: dict) -> str:
    """How two trainings of one config agree, probes or whole records: "equal" bits, "close" or "different".

    Times do not count. Close: the same end, and every number of the history within CLOSE.
    """
    if repeatable(old) == repeatable(new):
        return "equal"
    one, other = old["history"], new["history"]
    alike = old["status"] == new["status"] and one.keys() == other.keys()
    alike = alike and all(_close(name, one[name], other[name]) for name in _untimed(one))
    return "close" if alike else "different"


def vouches(agreement: str, alike: bool) -> bool:
    """Whether an agreement vouches for a training: equal bits do on the same platform, closeness does elsewhere."""
    return agreement == "equal" or (agreement == "close" and not alike)


def repeatable(training: dict) -> dict:
    """What the same training repeats bit for bit: all that it tells but times."""
    kept = {name: training.get(name) for name in ("status", "diverged_epoch", "predictions", "examples", "files")}
    return kept | {name: _untimed(training.get(name) or {}) for name in ("history", "metrics")}


def _untimed(columns: dict) -> dict:
    return {name: value for name, value in columns.items() if "second" not in name}


def _close(name: str, one: list, other: list) -> bool:
    within = {"rel_tol": 0, "abs_tol": CLOSE} if name.rpartition("_")[2] in SHARES else {"rel_tol": CLOSE}
    return len(one) == len(other) and all(
        a == b if None in (a, b) else math.isclose(a, b, **within) for a, b in zip(one, other)
    )
