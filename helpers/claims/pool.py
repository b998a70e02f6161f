"""The committed trainings as the judge reads them: rows of several seeds by kind, and the priors that they give.

A kind is metric x family of networks (and data set) x whether the learning rate decays. Only whole trainings count,
not the short ones that pages repeat in front of the reader.
"""

import contextlib
import functools
import json
from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from helpers import base
from helpers.claims import spread
from helpers.studies import curves
from helpers.trials import records

LEAST_EPOCHS = 5  # of a training that stands for its kind
METRICS = (
    "test_accuracy", "train_accuracy", "train_loss", "validation_accuracy", "best_test_accuracy", "best_epoch", "gap",
    "volatility", "stable_epoch", "seconds",
)  # fmt: skip


def kind(metric: str, record: dict) -> tuple[str, str, bool]:
    """(metric, family, decays) of a record: the family is its network, else what trained it, and its data set.

    Of Fashion-MNIST, which most are trained on, the data set is not named: "report_a", but "mlp on cifar10".
    """
    config = record["config"]
    family, dataset = config.get("model") or record["trial"], config.get("dataset") or "fashion_mnist"
    family += f" on {dataset}" if dataset != "fashion_mnist" else ""
    return metric, family, config.get("scheduler", "none") != "none"


@dataclass
class Row:
    """The seeds of one setting: their values, and which test images each got right where that is known."""

    values: list[float]
    marks: np.ndarray | None = None
    images: int = spread.IMAGES
    floor: float = 0.0


@dataclass(eq=False)  # told apart by identity, so that what is computed from one is kept
class Basis:
    """Rows by kind, and their priors."""

    rows: dict[tuple, list[Row]] = field(default_factory=dict)
    strict: bool = True  # no verdict where left-out seeds have not tried the judge (see `calibration`)

    def prior_of(self, of: tuple) -> spread.Prior | None:
        """The prior of a kind, see `kind`; None where its rows are too few."""
        return prior([row.values for row in self.rows.get(of, ())], of[0])


def prior(rows: list[list[float]], metric: str) -> spread.Prior | None:
    """The prior from rows of values; of losses and times the deviations are relative to the row's mean."""
    several = [np.asarray(values) for values in rows if len(values) > 1]
    variances = [v.var(ddof=1) / spread.unit(metric, v.mean()) ** 2 for v in several]
    return spread.fit_prior(variances, [len(values) - 1 for values in several])


def committed() -> Basis:
    """The basis from the committed records of this project."""
    paths = tuple(sorted((base.PUBLISHED / "records").glob("*/*.json")))
    return _read(paths, max((path.stat().st_mtime_ns for path in paths), default=0))


@functools.lru_cache(maxsize=4)
def _read(paths: tuple, _modified: int) -> Basis:
    settings = defaultdict(list)
    for record in filter(None, map(records.load, paths)):
        if len(record["history"].get("train_loss") or record["history"].get("test_accuracy") or ()) >= LEAST_EPOCHS:
            same = {name: value for name, value in record["config"].items() if name != "seed"}
            settings[base.to_json([record["trial"], same, record["fingerprint"]])].append(record)
    rows = defaultdict(list)
    for group in settings.values():
        for metric, row in _measured(group).items():
            rows[kind(metric, group[0])].append(row)
    return Basis(dict(rows))


def _measured(group: list[dict]) -> dict[str, Row]:
    """metric -> row of the seeds of one setting that neither failed nor ended at chance."""
    alive = [record for record in group if record["status"] == "ok" and not _at_chance(record)]
    if not alive:
        return {}
    frame = pd.DataFrame([r["metrics"] | {"seconds": r["seconds"]} for r in alive])
    histories = [pd.DataFrame(record["history"]) for record in alive]
    curve = next((name for name in ("test_accuracy", "validation_accuracy") if name in histories[0]), "")
    if curve and "train_accuracy" in histories[0]:
        frame = curves.derive(frame.assign(history=histories), curve)
    measured = {}
    for metric in [name for name in METRICS if name in frame]:
        values = pd.to_numeric(frame[metric]).tolist()
        if np.isfinite(values).all():
            marks = marks_of(alive) if metric == "test_accuracy" else None
            floor = max(scatter(metric, record) for record in alive)
            measured[metric] = Row(values, marks, images_of(metric, alive[0]), floor)
    return measured


def _at_chance(record: dict) -> bool:
    accuracy = record["metrics"].get("test_accuracy")
    return accuracy is not None and accuracy < spread.LEARNT


def marks_of(group: list[dict]) -> np.ndarray | None:
    """Which test images each record got right, (records, images); None where predictions or labels are missing."""
    labels = labels_of(group[0]["fingerprint"])
    if labels is None or not all(record["predictions"] for record in group):
        return None
    guesses = [base.unpack_labels(record["predictions"]) for record in group]
    return np.stack(guesses) == labels if all(len(guess) == len(labels) for guess in guesses) else None


def labels_of(fingerprint: str) -> np.ndarray | None:
    """The test labels of a data set in the cache, uint8 (N,); None where it is not there."""
    for meta in base.CACHE.glob("*/meta.json"):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # of another, damaged data set
            if json.loads(meta.read_text(encoding="utf-8"))["fingerprint"] == fingerprint:
                return np.load(meta.with_name("test_labels.npy"))
    return None


def images_of(metric: str, record: dict | None) -> int:
    """How many images an evaluation behind a metric read: the test images, the trained ones, or the validation part."""
    if record is None:
        return spread.IMAGES
    trained = (record["examples"] or 0) // (len(record["history"].get("train_loss") or ()) or 1)
    if metric.startswith("train_") and trained:
        return trained
    if metric.startswith("validation_") and trained:
        return max(trained // 9, 1)  # a tenth of the training part is held out
    if record["predictions"]:
        return int(record["predictions"].split(":")[1])
    return record["config"].get("test_limit") or spread.IMAGES


def scatter(metric: str, record: dict) -> float:
    """The floor of a deviation: the scatter of the last ten epochs, where the rate did not decay; relative for losses.

    0.0 for metrics without a curve, and for a training that did not end well.
    """
    curve = record["history"].get(metric) or []
    if kind(metric, record)[2] or record["status"] != "ok" or not curve or metric == "seconds":
        return 0.0
    return spread.last_scatter(curve) / spread.unit(metric, curve[-1] or 0.0)
