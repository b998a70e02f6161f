"""controls.py: the panel of a notebook's parameters, pressed as a person would."""

import ipywidgets
import nbformat
import pytest
from tiny_notebooks import FINISH, write_notebook

from helpers import base, page
from helpers.base import CourseworkError
from helpers.page import controls

CELL = """budget: str = "smoke"
data: str = "auto"
seed: int = 0
epochs: int = 4  # passes over the data
lr: float = 0.01
dropout: float = 0.1
weight_decay: float = 0.0
patch_size: int = 7
optimiser: str = "adam"
augment: list = ["flip"]
train_limit: int = None
fast: bool = True
note: str = "a"
"""
VALUES = {
    "budget": "smoke", "data": "auto", "seed": 0, "epochs": 4, "lr": 0.01, "dropout": 0.1, "weight_decay": 0.0,
    "patch_size": 7, "optimiser": "adam", "augment": ["flip"], "train_limit": None, "fast": True, "note": "a",
}  # fmt: skip


@pytest.fixture
def made(tmp_path, monkeypatch):
    """(widgets by name, button, output, pages that the action got) of a panel."""
    path = write_notebook(tmp_path, "tiny", FINISH)
    nb = nbformat.read(path, as_version=4)
    nb.cells[1].source = CELL
    nbformat.write(nb, path)
    monkeypatch.setattr(base, "NOTEBOOKS", path.parent)
    monkeypatch.delenv("COURSEWORK_BUILD", raising=False)
    shown, got = [], []

    def action(own):
        got.append(own)
        if own.parameters["seed"] == 9:
            raise CourseworkError("seed 9 is refused")
        if own.parameters["seed"] == 8:
            raise ValueError("unexpected")

    monkeypatch.setattr("IPython.display.display", shown.append)
    controls.panel(page.Page("tiny", dict(VALUES), {}), action)
    [box] = shown
    grid, button, below = box.children
    return {widget.description.replace(" ", "_"): widget for widget in grid.children}, button, below, got


def test_each_parameter_has_the_widget_that_fits_it(made):
    widgets, *_ = made
    kinds = {name: type(widget).__name__ for name, widget in widgets.items()}
    assert kinds == {
        "seed": "IntSlider", "epochs": "IntSlider", "lr": "FloatLogSlider", "dropout": "FloatSlider",
        "weight_decay": "FloatText", "patch_size": "SelectionSlider", "optimiser": "Dropdown",
        "augment": "SelectMultiple", "train_limit": "SelectionSlider", "fast": "Checkbox", "note": "Text",
    }  # fmt: skip
    assert widgets["patch_size"].options == (1, 2, 4, 7, 14, 28)
    assert (widgets["epochs"].min, widgets["epochs"].tooltip) == (1, "passes over the data")


def test_nothing_chosen_is_the_page_as_it_was(made):
    _, button, _, [*_] = made
    button.click()
    [own] = made[3]
    assert own.parameters == VALUES and own.changed == {}
    assert not button.disabled


def test_what_is_chosen_reaches_the_action(made):
    widgets, button, _, got = made
    widgets["epochs"].value, widgets["lr"].value, widgets["patch_size"].value = 9, 10**-1.3, 14
    widgets["augment"].value, widgets["train_limit"].value, widgets["optimiser"].value = (), 1000, "sgd"
    button.click()
    chosen = {"epochs": 9, "lr": 0.0501, "patch_size": 14, "augment": [], "train_limit": 1000, "optimiser": "sgd"}
    assert got[0].changed == chosen
    assert got[0].parameters == VALUES | chosen
    assert got[0].epochs == 9


def test_a_refused_value_is_a_sentence_and_a_defect_is_told_whole(made, capsys):
    widgets, button, _, got = made
    for seed, words in ((9, "seed 9 is refused\n"), (8, "ValueError: unexpected")):
        widgets["seed"].max = 9
        widgets["seed"].value = seed
        button.click()
        printed = "".join(capsys.readouterr())
        assert words in printed and ("Traceback" in printed) == (seed == 8)
        assert not button.disabled
    widgets["weight_decay"].value = -1.0
    button.click()
    assert "weight_decay=-1.0: expected at least 0" in capsys.readouterr().out
    assert len(got) == 2


def test_a_page_that_is_built_has_no_panel(monkeypatch):
    monkeypatch.setenv("COURSEWORK_BUILD", "1")
    monkeypatch.setattr(ipywidgets, "Button", None)
    controls.panel(page.Page("tiny", {}, {}), None)
