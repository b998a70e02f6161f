"""Trial functions of the studies that do not train a PyTorch classifier."""

import math
from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from helpers import data, numpy_net

PROBE = 1000  # training images on which the gradient's norm is taken


@dataclass(frozen=True, kw_only=True)
class NumpyConfig(numpy_net.Rules):
    """A training in NumPy alone: a network and its data, after the rules of a step (see numpy_net.Rules)."""

    layers: tuple[dict, ...] = numpy_net.ARCHITECTURES[1]
    initialiser: str | float = "he"  # he, xavier, or a standard deviation
    dataset: str = "fashion_mnist"
    train_limit: int | None = None  # train on the first n images only (reduced budgets)
    epochs: int = 30
    batch_size: int = 128
    lr: float = 0.1
    patience: int | None = None  # hold out a tenth; stop after so many epochs without a lower loss on it
    seed: int = 0

    def fingerprint(self) -> str:
        """The hash of the data set that this trial uses."""
        return data.fingerprint(self.dataset)

    def work(self) -> int:
        """Training examples processed in all epochs (an early stop aside)."""
        return self.epochs * len(_training_part(self, data.load(self.dataset))[0])


def _training_part(config: NumpyConfig, dataset: data.Dataset):
    """Indices of the training images and, with patience, of those held out for validation."""
    if config.patience is None:
        train, validation = np.arange(len(dataset.train_labels)), None
    else:
        train, validation = data.split(dataset.train_labels, dataset.validation)
    return train[: config.train_limit], validation


def stuck_from(history: dict, classes: int) -> int:
    """First epoch (from 1) from which a network guesses to the end with a dead softmax; 0 if it does not.

    Guesses: accuracy within 0.02 of chance. Dead: the outputs for most test images are saturated, so that the
    published gradient is zero there; or a loss that is not finite.
    """
    rows = zip(history["test_accuracy"], history["saturated_share"], history["test_loss"])
    dead = [not math.isfinite(loss) or (a < 1 / classes + 0.02 and s > 0.5) for a, s, loss in rows]
    alive = [epoch for epoch, lost in enumerate(dead, 1) if not lost]
    return (alive[-1] if alive else 0) + 1 if dead[-1] else 0


def train_numpy(config: NumpyConfig, context) -> dict:
    """The trial of a NumPy network, which watches the test set after every epoch as report E did.

    History and metrics: loss and accuracy on all training and all test images, saturated_share of the test images,
    gradient_norm per image. It ends at a loss that is not finite; status: "diverged at epoch k", see stuck_from.
    """
    dataset, history = data.load(config.dataset), defaultdict(list)
    images, labels = np.asarray(dataset.train_images), np.asarray(dataset.train_labels)
    index, held_out = _training_part(config, dataset)
    validation = None if held_out is None else (images[held_out], labels[held_out])
    images, labels = images[index], labels[index]
    net = numpy_net.Network(
        config.layers, seed=config.seed, initialiser=config.initialiser, biases=config.biases, dtype=config.dtype
    )
    options = {"lr": config.lr, "batch_size": config.batch_size, "seed": config.seed, "patience": config.patience}
    options |= {"epochs": config.epochs, "rules": config, "validation": validation}
    for epoch in numpy_net.fit(net, images, labels, **options):
        row, predictions = _measure(net, config, (images, labels), (dataset.test_images, dataset.test_labels))
        for name, value in row.items():
            history[name].append(value)
        context.epoch({"epoch": epoch, "epochs": config.epochs, "examples": epoch * len(labels), **row})
        if not math.isfinite(row["test_loss"]):
            break
    if held_out is not None:  # the best epoch's weights are back
        row, predictions = _measure(net, config, (images, labels), (dataset.test_images, dataset.test_labels))
    stuck = stuck_from(history, len(dataset.classes))
    return {
        "history": dict(history),
        "metrics": row | {"epochs": epoch},
        "status": f"diverged at epoch {stuck}" if stuck else "ok",
        "examples": epoch * len(labels),
        "predictions": predictions,
    }


def _measure(net, config, train, test) -> tuple[dict, np.ndarray]:
    """The history's columns for the network as it is, and its labels for the test images."""
    x, y = numpy_net.pixels(train[0][:PROBE], net.dtype), np.eye(net.classes, dtype=net.dtype)[train[1][:PROBE]]
    with np.errstate(all="ignore"):
        size = numpy_net.norm(numpy_net.gradients(net, x, y, config)).item()
    seen, watched = numpy_net.evaluate(net, *train), numpy_net.evaluate(net, *test)
    row = {f"train_{name}": float(seen[name]) for name in ("loss", "accuracy")}
    row |= {f"test_{name}": float(watched[name]) for name in ("loss", "accuracy")}
    row["saturated_share"] = float(watched["saturated_share"])
    row["gradient_norm"] = size / (len(x) if config.reduction == "sum" else 1)
    return row, watched["predictions"]
