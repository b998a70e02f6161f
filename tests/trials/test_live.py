"""live.py: what a person in JupyterLab sees of a run, caught where IPython would display it."""

import base64
import io

import pytest
from PIL import Image

from helpers.trials import live


class Handle:
    """What was shown, and what replaced it."""

    def __init__(self):
        self.shown = []

    def update(self, output, raw):
        assert raw
        self.shown.append(output)


@pytest.fixture
def handle(monkeypatch):
    handle = Handle()

    def show(output):
        handle.shown.append(output)
        return handle

    monkeypatch.setattr(live, "_show", show)
    monkeypatch.setattr(live, "_in_callback", lambda: False)
    return handle


def epoch(number, loss=0.5):
    return {"epoch": number, "train_loss": loss, "validation_loss": None, "train_accuracy": 0.8, "examples": 10}


def dots(output):
    """How many separate dots of the first line's blue there are in the left half of a picture."""
    picture = Image.open(io.BytesIO(base64.b64decode(output["image/png"]))).convert("RGB")
    return sum(pixel == (31, 119, 180) for pixel in picture.get_flattened_data())


def test_it_says_what_it_waits_for_then_draws_from_the_first_epoch(handle):
    curve = live.Curve({"abc123": "adam, seed 0"})
    assert handle.shown[0]["text/plain"] == "Starting a worker for adam, seed 0 ..."
    curve.add("abc123", epoch(1))
    assert handle.shown[1]["text/plain"] == "adam, seed 0: loss and accuracy by epoch"  # and no key
    assert dots(handle.shown[1]) > 20  # a marker: a line of one point would show nothing
    assert (
        live.Curve({"a": "x", "b": "y"}) and handle.shown[-1]["text/plain"] == "Starting a worker for 2 trainings ..."
    )


def test_one_training_is_followed_to_its_end_and_then_the_next(handle, monkeypatch):
    drawn = []
    monkeypatch.setattr(live, "picture", lambda columns, title: drawn.append((title, columns["epoch"])) or {})
    monkeypatch.setattr(live, "REDRAW", 0)
    curve = live.Curve({"a": "first", "b": "second"})
    for name, number in [("a", 1), ("b", 1), ("a", 2), ("b", 2)]:
        curve.add(name, epoch(number))
    curve.leave("b")
    curve.leave("a")
    curve.add("b", epoch(3))
    assert drawn == [("first", [1]), ("first", [1, 2]), ("first", [1, 2]), ("second", [3])]


def test_a_check_in_vain_does_not_stay_in_the_curve(handle, monkeypatch):
    drawn = []
    monkeypatch.setattr(live, "picture", lambda columns, title: drawn.append(columns["epoch"]) or {})
    monkeypatch.setattr(live, "REDRAW", 0)
    curve = live.Curve({"a": "first"})
    for number in (1, 2, 1, 2, 3):
        curve.add("a", epoch(number))
    assert drawn[-1] == [1, 2, 3]


def test_a_training_without_an_epoch_leaves_nothing_to_draw(handle):
    curve = live.Curve({"a": "first"})
    curve.leave("a")
    assert len(handle.shown) == 1


@pytest.mark.parametrize(
    ("titles", "words"),
    [
        (["adam, seed 0"], "Nothing to train: read from its record, adam, seed 0 ("),
        (["adam, seed 0", "sgd, seed 0"], "Nothing to train: all 2 trainings are read from their records"),
    ],
)
def test_a_cached_run_says_so_and_draws_its_curve(handle, titles, words):
    live.show_cached(
        titles, [{"train_loss": [0.5, 0.4], "train_accuracy": [0.7, None], "seconds": [1, 1]}] * len(titles)
    )
    assert handle.shown[0]["text/markdown"].startswith(words)
    assert dots(handle.shown[1]) > 20 and handle.shown[1]["text/plain"].startswith("adam, seed 0")


def test_nobody_watches_outside_a_kernel():
    assert not live.is_watched()
