"""Report E's NumPy network as a trial: its config, and the function that trains it and fills a record."""

import math
from collections import defaultdict
from dataclasses import dataclass, replace

import numpy as np

from helpers import data
from helpers.base import check_at_least
from helpers.studies import numpy_net

NORM_IMAGES = 1000  # training images on which the gradient's norm is taken


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

    def __post_init__(self):
        """Raises CourseworkError for what cannot be trained."""
        super().__post_init__()
        check_at_least(1, self, "epochs batch_size train_limit patience")

    def fingerprint(self) -> str:
        """The hash of the data set that this trial uses."""
        return data.fingerprint(self.dataset)

    def work(self) -> int:
        """Training examples processed in all epochs (an early stop aside)."""
        return self.epochs * len(_training_part(self, data.load(self.dataset))[0])

    def probe(self) -> "NumpyConfig":
        """The same training cut to 2,000 images and 2 epochs: see trials.probe. It does not reach early stopping."""
        return replace(self, train_limit=min(self.train_limit or 2000, 2000), epochs=min(self.epochs, 2))


def _training_part(config: NumpyConfig, dataset: data.Dataset):
    """Indices of the training images and, with patience, of those held out for validation."""
    if config.patience is None:
        train, validation = np.arange(len(dataset.train_labels)), None
    else:
        train, validation = data.split(dataset.train_labels, dataset.validation)
    return train[: config.train_limit], validation


def stuck_from(history: dict, classes: int) -> int:
    """First epoch (from 1) after which a network only guesses, to the end, and cannot learn any more; 0 if none.

    Guesses: accuracy within 0.02 of chance. Cannot learn: most test images have a saturated output or the gradient
    has a norm below 1e-4, under a hundredth of any first epoch's. A loss that is not finite is enough by itself.
    """
    columns = ("test_loss", "test_accuracy", "saturated_share", "gradient_norm")
    dead = [
        not math.isfinite(loss) or (accuracy < 1 / classes + 0.02 and (saturated > 0.5 or size < 1e-4))
        for loss, accuracy, saturated, size in zip(*(history[name] for name in columns))
    ]
    alive = [epoch for epoch, lost in enumerate(dead, 1) if not lost]
    return max(alive, default=0) + 1 if dead[-1] else 0


def train_numpy(config: NumpyConfig, context) -> dict:
    """The trial of a NumPy network, which watches the test set after every epoch as report E did.

    History and metrics: loss and accuracy on all training and all test images, saturated_share of the test images,
    gradient_norm per image. It ends at a loss that is not finite; diverged_epoch: see stuck_from.
    """
    dataset, history = data.load(config.dataset), defaultdict(list)
    images, labels = np.asarray(dataset.train_images), np.asarray(dataset.train_labels)
    test = (np.asarray(dataset.test_images), np.asarray(dataset.test_labels))
    index, held_out = _training_part(config, dataset)
    train = images[index], labels[index]
    validation = None if held_out is None else (images[held_out], labels[held_out])
    net = numpy_net.Network(
        config.layers, seed=config.seed, initialiser=config.initialiser, biases=config.biases, dtype=config.dtype
    )
    options = {name: getattr(config, name) for name in ("epochs", "lr", "batch_size", "seed", "patience")}
    epochs = numpy_net.fit(net, *train, rules=config, validation=validation, **options)
    for epoch in epochs:
        row, predictions = _measure(net, config, train, test)
        for name, value in row.items():
            history[name].append(value)
        context.epoch({"epoch": epoch, "epochs": config.epochs, "examples": epoch * len(index), **row})
        if not math.isfinite(row["test_loss"]):
            break
    epochs.close()
    if held_out is not None:  # the best epoch's weights are back
        row, predictions = _measure(net, config, train, test)
    stuck = stuck_from(history, len(dataset.classes))
    return {
        "history": dict(history), "metrics": row | {"epochs": epoch}, "examples": epoch * len(index),
        "status": "diverged" if stuck else "ok", "diverged_epoch": stuck or None, "predictions": predictions,
    }  # fmt: skip


train_numpy.trial_id = "numpy"


def _measure(net, config, train, test) -> tuple[dict, np.ndarray]:
    """The history's columns for the network as it is, and its labels for the test images."""
    x = numpy_net.pixels(train[0][:NORM_IMAGES], net.dtype)
    y = np.eye(net.classes, dtype=net.dtype)[train[1][:NORM_IMAGES]]
    mean = replace(config, shift="row", reduction="mean")  # comparable across batch sizes and rules
    with np.errstate(all="ignore"):
        size = math.sqrt(sum(float(np.square(g).sum()) for g in numpy_net.gradients(net, x, y, mean)))
    on_train, on_test = numpy_net.evaluate(net, *train), numpy_net.evaluate(net, *test)
    row = {f"train_{name}": float(on_train[name]) for name in ("loss", "accuracy")}
    row |= {f"test_{name}": float(on_test[name]) for name in ("loss", "accuracy")}
    row |= {"saturated_share": float(on_test["saturated_share"]), "gradient_norm": size}
    return row, on_test["predictions"]
