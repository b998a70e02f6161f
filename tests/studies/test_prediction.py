"""prediction.py: a picture of one's own, made as the training images are, and what the trained network says."""

import numpy as np
import pytest
import sample_record
import tiny
from PIL import Image
from test_ours import config  # noqa: F401 - a fixture

from helpers import data, training
from helpers.base import CourseworkError
from helpers.studies import ours, prediction, test_set
from helpers.trials import records, study


def picture(background, foreground, size=(200, 300)):
    """A bar of 40 x 200 pixels, off its centre."""
    pixels = np.full((*size[::-1], 3), background, np.uint8)
    pixels[60:260, 20:60] = foreground
    return pixels


@pytest.mark.parametrize(("background", "foreground"), [(250, 20), (10, 240)])
def test_a_garment_becomes_light_on_black_in_the_middle(background, foreground):
    made = prediction.as_dataset(picture(background, foreground), (1, 28, 28))
    assert made.shape == (28, 28) and made.dtype == np.uint8
    rows, columns = (np.flatnonzero((made > 50).any(axis)) for axis in (1, 0))
    assert (rows[0], rows[-1]) == (2, 25)  # the margin of the data set
    assert columns[0] >= 11 and columns[-1] <= 16 and len(columns) in (4, 5, 6)
    assert made.max() == 255 and made[:, :8].max() == 0


def test_a_picture_of_nothing_and_one_in_colour():
    assert prediction.as_dataset(np.full((9, 5, 3), 200, np.uint8), (1, 28, 28)).max() == 0
    assert prediction.as_dataset(picture(0, 255), (3, 32, 32)).shape == (32, 32, 3)


@pytest.fixture
def network(config, tmp_path, monkeypatch):
    """The key of a trained network; the records are this test's."""
    monkeypatch.setattr(study, "_used", {})
    monkeypatch.setattr("helpers.base.PUBLISHED", tmp_path / "published")
    outcome = training.train_classifier(config, tiny.context())
    record = study_record(config)
    records.write(ours.STUDY, record, checkpoint=outcome["checkpoint"])
    return record["key"]


def study_record(config, **changed):
    record = sample_record.record(key=records.key(training.train_classifier, config))
    return record | {"trial": "classifier", "config": records.complete(config), "status": "ok", **changed}


def test_it_says_what_the_network_says_of_a_test_image(network, config):
    dataset = data.load(tiny.NAME)
    expected = test_set.read_test_set(config, tiny.context())["arrays"]["probabilities"][0].astype(float)
    made = []
    original = prediction.as_dataset
    prediction.as_dataset = lambda pixels, shape: made.append(pixels) or np.asarray(dataset.test_images[0])
    try:
        frame = prediction.predict(np.asarray(dataset.test_images[0]))
    finally:
        prediction.as_dataset = original
    order = np.argsort(-expected, kind="stable")
    assert list(frame["class"]) == [dataset.classes[place] for place in order]
    np.testing.assert_allclose(frame["probability"], expected[order], atol=1e-3)  # kept in half precision
    assert made[0].shape[2] == 3


def test_files_are_read_as_a_viewer_shows_them(network, tmp_path):
    Image.fromarray(picture(250, 20)).save(tmp_path / "my.png")
    clear = Image.fromarray(np.dstack([picture(0, 20), np.where(picture(0, 20)[..., :1] > 0, 255, 0).astype(np.uint8)]))
    clear.save(tmp_path / "clear.png")
    plain, transparent = (prediction.predict(tmp_path / name) for name in ("my.png", "clear.png"))
    assert plain["probability"].sum() == pytest.approx(1)
    np.testing.assert_allclose(plain["probability"], transparent["probability"], atol=0.05)


def test_what_cannot_be_predicted_is_one_sentence(network, tmp_path):
    (tmp_path / "text.jpg").write_text("no picture")
    Image.fromarray(np.zeros((9, 9), np.uint16)).save(tmp_path / "deep.png")
    wrong = {tmp_path / "none.jpg": "no file", tmp_path / "text.jpg": "is no image", tmp_path: "is no image"}
    wrong |= {tmp_path / "deep.png": "more than 8 bits"}
    for path, words in wrong.items():
        with pytest.raises(CourseworkError, match=words):
            prediction.predict(path)
    with pytest.raises(CourseworkError, match="expected uint8"):
        prediction.predict(np.zeros((3, 3)))
    with pytest.raises(CourseworkError, match="no trained network abc; run task 4"):
        prediction.predict(tmp_path / "none.jpg", key="abc")


def test_the_network_shown_last_is_asked(network, config, monkeypatch):
    from dataclasses import replace

    other = replace(config, seed=1)
    weights = training.train_classifier(other, tiny.context())["checkpoint"]
    second = study_record(other)
    second["provenance"] = {**second["provenance"], "started": "2999-01-01"}
    records.write(ours.STUDY, second, checkpoint=weights)
    assert prediction._trained("")["key"] == second["key"]  # the newest
    monkeypatch.setattr(study, "_used", {(ours.STUDY, network): ("", "")})
    assert prediction._trained("")["key"] == network
    assert prediction._trained(second["key"])["key"] == second["key"]
