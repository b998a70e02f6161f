"""The test set, read once by a trained network: a trial of its own, so that the answers stay with the records.

A training of our own model holds no number of the test set. Its reading is asked for with the same config, and its
record keeps the answers, so that they outlive the weights, which are too large to be committed for every seed.
"""

import time
from dataclasses import replace

import numpy as np
import torch

from helpers import data, networks
from helpers.base import CourseworkError
from helpers.training.classifier import ClassifierConfig, train_classifier
from helpers.trials import records

STUDY = "ours"  # where the trainings, their weights and their readings lie


def has_weights(key: str) -> bool:
    """Whether the weights of a training lie on this machine; of a committed record they may not."""
    try:
        return bool(records.checkpoint_path(STUDY, key))
    except CourseworkError:
        return False


def trained_network(config: ClassifierConfig, key: str = "") -> torch.nn.Module:
    """The network of a training with the weights that it kept, in evaluation mode, on the processor.

    key: of the training's record, by default that of `config`. Raises CourseworkError where the weights are absent or
    damaged.
    """
    path = records.checkpoint_path(STUDY, key or records.key(train_classifier, replace(config, test_limit=None)))
    return _with(config, torch.load(path, weights_only=True))


def read_test_set(config: ClassifierConfig, context) -> dict:
    """The trial of a reading: what the kept weights of the training `config` answer on the test images.

    config.test_limit: on the first so many of them. Metrics: test_accuracy, and mirrored_test_accuracy, where the
    probabilities of an image and of its mirror image are averaged. `predictions`: uint8 labels (N,); arrays:
    probabilities (N, classes), float16. In float32 on the processor, so that every machine reads the same weights
    alike. Where there are no weights, the network is trained.
    """
    try:
        network = trained_network(config)
    except CourseworkError:
        training = replace(config, test_limit=None, checkpoint=True)
        network = _with(config, train_classifier(training, context)["checkpoint"])
    torch.set_num_threads(config.threads)
    started = time.perf_counter()
    test = data.resident_parts(config, data.load(config.dataset), torch.device("cpu"), None)["test"]
    straight, mirrored = _probabilities(network, test), _probabilities(network, test, mirror=True)
    labels, both = test.batch(slice(None))[1].numpy(), (straight + mirrored) / 2
    metrics = {
        "test_accuracy": float((straight.argmax(1) == labels).mean()),
        "mirrored_test_accuracy": float((both.argmax(1) == labels).mean()),
    }
    return {
        "history": {name: [value] for name, value in metrics.items()},
        "metrics": metrics,
        "status": "ok",
        "examples": len(labels),
        "predictions": straight.argmax(1).astype(np.uint8),
        "arrays": {"probabilities": straight.astype(np.float16)},
        "provenance": {"precision": "float32", "device": "cpu", "fit_seconds": time.perf_counter() - started},
    }


read_test_set.trial_id = "test_set"


def _with(config: ClassifierConfig, weights: dict) -> torch.nn.Module:
    dataset = data.load(config.dataset)
    shape, classes = dataset.input_shape, len(dataset.classes)
    network = networks.build(config.model, config.options, input_shape=shape, classes=classes)
    network.load_state_dict(weights)
    return network.eval()


def _probabilities(network, test, mirror: bool = False) -> np.ndarray:
    """Softmax output (N, classes), float32, for images (N, C, H, W), mirrored left to right if asked."""
    parts = []
    with torch.inference_mode():
        for start in range(0, len(test), 500):
            images, _ = test.batch(slice(start, min(start + 500, len(test))))
            parts.append(network(images.flip(-1) if mirror else images).softmax(1))
    return torch.cat(parts).numpy()
