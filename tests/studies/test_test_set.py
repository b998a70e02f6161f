"""The test set read once, by the weights that a training kept: against a forward pass by hand."""

from dataclasses import replace

import numpy as np
import pytest
import sample_record
import tiny
import torch

from helpers import base, data, networks, training
from helpers.base import CourseworkError
from helpers.studies import test_set
from helpers.trials import probe, records

CONFIG = training.ClassifierConfig(
    model="patch_mlp", options={"patch_size": 14, "width": 8, "token_hidden": 8, "hidden": 8}, dataset=tiny.NAME,
    epochs=2, batch_size=20, optimiser="adamw", lr=0.01, normalise=True, validation=True, watch=("validation",),
    keep="best", checkpoint=True, augment=("flip",),
)  # fmt: skip


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """A training with record and checkpoint where `trials` would leave them; its outcome."""
    tiny.cached(tmp_path, monkeypatch)
    monkeypatch.setattr(base, "RECORDS", tmp_path / "records")
    outcome = training.train_classifier(CONFIG, tiny.context())
    key = records.key(training.train_classifier, CONFIG)
    records.write(test_set.STUDY, sample_record.record(key=key), checkpoint=outcome["checkpoint"])
    return outcome


def by_hand(weights, mirror: bool) -> np.ndarray:
    """Softmax output of the network with these weights on the test images."""
    model = networks.build("patch_mlp", CONFIG.options, input_shape=(1, 28, 28), classes=4)
    model.load_state_dict(weights)
    dataset = data.load(tiny.NAME)
    train, _ = data.split(dataset.train_labels, dataset.validation)
    pixels = torch.as_tensor(np.asarray(dataset.train_images[train])) / 255
    images = torch.as_tensor(np.asarray(dataset.test_images))[:, None] / 255
    images = torch.flip(images, [3]) if mirror else images
    with torch.inference_mode():
        return torch.softmax(model.eval()((images - pixels.mean()) / pixels.std()), 1).numpy()


def test_a_reading_is_the_forward_pass_of_the_kept_weights(trained):
    reading, labels = test_set.read_test_set(CONFIG, tiny.context()), data.load(tiny.NAME).test_labels
    straight, mirrored = (by_hand(trained["checkpoint"], mirror) for mirror in (False, True))
    assert np.array_equal(reading["predictions"], straight.argmax(1))
    assert reading["arrays"]["probabilities"] == pytest.approx(straight, abs=1e-3)  # float16
    assert reading["metrics"]["test_accuracy"] == (straight.argmax(1) == labels).mean()
    assert reading["metrics"]["mirrored_test_accuracy"] == ((straight + mirrored).argmax(1) == labels).mean()
    few = test_set.read_test_set(replace(CONFIG, test_limit=7), tiny.context())
    assert np.array_equal(few["predictions"], reading["predictions"][:7]) and few["examples"] == 7


def test_without_weights_the_network_is_trained_to_the_same_bits(trained):
    reading = test_set.read_test_set(CONFIG, tiny.context())
    path = records.checkpoint_path(test_set.STUDY, records.key(training.train_classifier, CONFIG))
    path.unlink()
    path.with_suffix(".json").unlink()
    with pytest.raises(CourseworkError, match="FRESH=1"):
        test_set.trained_network(CONFIG)
    again = test_set.read_test_set(CONFIG, tiny.context())
    assert again["metrics"] == reading["metrics"]
    assert np.array_equal(again["arrays"]["probabilities"], reading["arrays"]["probabilities"])


def test_a_reading_and_its_training_have_keys_of_their_own_and_a_probe(trained):
    config = replace(CONFIG, epochs=1000)
    keys = {records.key(function, config) for function in (test_set.read_test_set, training.train_classifier)}
    assert len(keys) == 2 and probe.probe_of(config).test_limit


def test_the_weights_are_those_of_the_record_that_is_named(trained):
    with pytest.raises(CourseworkError):
        test_set.trained_network(CONFIG, "0" * 20)
    assert isinstance(test_set.trained_network(CONFIG), torch.nn.Module)
