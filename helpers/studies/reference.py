"""Two classifiers without a network, as trials: what the same images give to methods that need no training loop."""

import time
from dataclasses import dataclass, replace

import numpy as np

from helpers import data
from helpers.base import check_at_least, check_choice

METHODS = ("nearest neighbour", "logistic regression")


@dataclass(frozen=True, kw_only=True)
class ReferenceConfig:
    """One of METHODS on the pixels, scaled to [0, 1]."""

    method: str = "nearest neighbour"
    dataset: str = "fashion_mnist"
    train_limit: int | None = None  # learn from the first n examples only
    test_limit: int | None = None  # classify the first n test images only
    threads: int = 1
    seed: int = 0  # of the order in which logistic regression visits the images

    def __post_init__(self):
        """Raises CourseworkError for what cannot be asked for."""
        check_choice("method", self.method, METHODS)
        check_at_least(1, self, "train_limit test_limit threads")

    def fingerprint(self) -> str:
        """The hash of the data set that this trial uses."""
        return data.fingerprint(self.dataset)

    def work(self) -> int:
        """Examples that are learnt from."""
        size = len(data.load(self.dataset).train_labels)
        return min(size, self.train_limit or size)

    def probe(self) -> "ReferenceConfig":
        """The same method on 2,000 images: see trials.probe."""
        return replace(self, train_limit=min(self.work(), 2000), test_limit=min(self.test_limit or 500, 500))


def train_reference(config: ReferenceConfig, context) -> dict:
    """The trial of a reference: fit on the training part, read the test set once; what a record holds.

    `predictions`: uint8 labels (N,) of the test images.
    """
    dataset, started = data.load(config.dataset), time.perf_counter()
    images, labels = _rows(dataset.train_images, config.train_limit), dataset.train_labels[: config.train_limit]
    model = _model(config).fit(images, labels)
    guesses = model.predict(_rows(dataset.test_images, config.test_limit)).astype(np.uint8)
    accuracy = float((guesses == dataset.test_labels[: len(guesses)]).mean())
    context.epoch({"epoch": 1, "epochs": 1, "examples": len(images), "test_accuracy": accuracy})
    return {
        "history": {"test_accuracy": [accuracy]},
        "metrics": {"test_accuracy": accuracy},
        "status": "ok",
        "diverged_epoch": None,
        "examples": len(images),
        "predictions": guesses,
        "provenance": {"precision": "float32", "fit_seconds": time.perf_counter() - started},
    }


train_reference.trial_id = "reference"


def _rows(images, limit: int | None) -> np.ndarray:
    """Images (N, H, W) or (N, H, W, C) as float32 rows (N, features) in [0, 1]."""
    images = np.asarray(images[:limit])
    return images.reshape(len(images), -1).astype(np.float32) / 255


def _model(config: ReferenceConfig):
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier

    if config.method == "nearest neighbour":
        return KNeighborsClassifier(1, algorithm="brute", n_jobs=config.threads)
    return LogisticRegression(solver="saga", tol=0.01, max_iter=100, C=1.0, random_state=config.seed)
