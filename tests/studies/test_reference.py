"""References without a network: loops of our own as oracle, records that repeat."""

import numpy as np
import pytest
import tiny
import torch

from helpers import data
from helpers.base import CourseworkError
from helpers.studies.reference import METHODS, ReferenceConfig, train_reference


@pytest.fixture(autouse=True)
def made(tmp_path, monkeypatch):
    tiny.cached(tmp_path, monkeypatch)


def train(method, **options):
    return train_reference(ReferenceConfig(method=method, dataset=tiny.NAME, **options), tiny.context())


def test_the_nearest_neighbour_is_that_of_a_loop():
    dataset = data.load(tiny.NAME)
    images = dataset.train_images.astype(float).reshape(len(dataset.train_images), -1)
    expected = []
    for image in dataset.test_images.astype(float):
        distances = [np.sqrt(((image.ravel() - other) ** 2).sum()) for other in images]
        expected.append(dataset.train_labels[int(np.argmin(distances))])
    outcome = train("nearest neighbour")
    assert outcome["predictions"].tolist() == expected
    assert outcome["metrics"]["test_accuracy"] == np.mean(expected == dataset.test_labels)


def test_logistic_regression_labels_as_the_same_problem_solved_by_pytorch():
    """The convex problem has one solution, which scikit-learn approaches up to its tolerance."""
    dataset = data.load(tiny.NAME)
    rows = torch.tensor(dataset.train_images.reshape(len(dataset.train_images), -1) / 255, dtype=torch.float32)
    labels = torch.tensor(dataset.train_labels).long()
    layer = torch.nn.Linear(rows.shape[1], len(dataset.classes))
    optimiser = torch.optim.LBFGS(layer.parameters(), max_iter=300)

    def loss():
        optimiser.zero_grad()
        total = (
            torch.nn.functional.cross_entropy(layer(rows), labels, reduction="sum") + layer.weight.square().sum() / 2
        )
        total.backward()
        return total

    optimiser.step(loss)
    tests = torch.tensor(dataset.test_images.reshape(len(dataset.test_images), -1) / 255, dtype=torch.float32)
    predictions = train("logistic regression")["predictions"]
    assert np.mean(layer(tests).argmax(1).numpy() == predictions) > 0.9


@pytest.mark.parametrize("method", METHODS)
def test_a_reference_repeats_and_obeys_its_limits(method):
    one, again = (train(method, train_limit=40, test_limit=30) for _ in range(2))
    assert len(one["predictions"]) == 30 and one["examples"] == 40
    assert np.array_equal(one["predictions"], again["predictions"]) and one["metrics"] == again["metrics"]


@pytest.mark.parametrize(
    "options, sentence",
    [({"method": "oracle"}, "method=oracle is unknown; choose one of nearest"), ({"train_limit": 0}, "train_limit=0")],
)
def test_what_cannot_be_asked_for_is_refused(options, sentence):
    with pytest.raises(CourseworkError, match=sentence):
        ReferenceConfig(**options)
