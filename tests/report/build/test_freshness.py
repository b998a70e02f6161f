"""What a page stands on: each change is seen, under its name."""

import copy
import json

import pytest
from tiny_notebooks import CHECKOUT

from helpers import base
from helpers.report.build import freshness

CELLS = [
    {"cell_type": "markdown", "metadata": {}, "source": ["# Title\n", "![drawn](figure.png)"]},
    {"cell_type": "code", "metadata": {"tags": ["parameters"]}, "source": "budget: str = 'smoke'"},
    {"cell_type": "markdown", "metadata": {}, "source": "Words."},
    {"cell_type": "code", "metadata": {}, "source": "%time 1\nimport helpers as mu\nmu.figures.curves"},
]


@pytest.fixture
def home(tmp_path, monkeypatch):
    for name in ("notebooks", "bench"):
        (tmp_path / name).mkdir()
    (tmp_path / "notebooks" / "figure.png").write_bytes(b"one")
    (tmp_path / "bench" / "a.py").write_text("import helpers.networks.cnn")
    monkeypatch.setattr(base, "ROOT", tmp_path)
    monkeypatch.setattr(base, "NOTEBOOKS", tmp_path / "notebooks")
    return tmp_path


def inputs(nb, **given):
    return freshness.inputs(nb, "own", "smoke", **({"parameters": {}, "author": ""} | given))


def notebook(**about):
    return {"cells": copy.deepcopy(CELLS), "metadata": {"coursework": about}}


def retag(nb):
    nb["cells"][3]["metadata"]["tags"] = ["opening"]


def retag_text(nb):
    nb["cells"][2]["metadata"]["tags"] = ["hidden"]


def reword(nb):
    nb["cells"][2]["source"] = "Other words."


def move(nb):
    nb["cells"].insert(0, nb["cells"].pop(2))


def recode(nb):
    nb["cells"][3]["source"] += "\n"


def attach(nb):
    nb["cells"][2]["attachments"] = {"a.png": {"image/png": "AA=="}}


def between(nb):  # the same texts and the same code, in another order of the two
    nb["cells"][1], nb["cells"][2] = nb["cells"][2], nb["cells"][1]


CHANGES = {retag: "tags", retag_text: "tags", reword: "prose", recode: "code", attach: "prose", between: "prose"}


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_change_of_the_notebook_is_seen(home, change):
    nb = notebook()
    before = inputs(nb)
    assert freshness.changes(inputs(nb), before) == []
    change(nb)
    assert CHANGES[change] in freshness.changes(inputs(nb), before)


def test_an_image_file_belongs_to_the_text(home):
    before = inputs(notebook())
    (home / "notebooks" / "figure.png").write_bytes(b"two")
    assert freshness.changes(inputs(notebook()), before) == ["prose"]


def test_a_new_neighbour_sets_the_page_again(home):
    """The links to the page before and the one after, with their titles, stand on the page."""
    for name in ("own", "other"):
        (home / "notebooks" / f"{name}.ipynb").write_text(json.dumps(notebook()))
    (home / "notebooks" / "rubric.yaml").write_text((CHECKOUT / "notebooks" / "rubric.yaml").read_text())
    before = inputs(notebook())
    (home / "notebooks" / "third.ipynb").write_text(json.dumps(notebook()))
    assert freshness.changes(inputs(notebook()), before) == ["template"]


def test_own_trainings_in_full_make_a_shortened_page_stale(home, monkeypatch):
    for name in ("RECORDS", "PUBLISHED"):
        monkeypatch.setattr(base, name, home / name)
    (home / "RECORDS" / "study_a").mkdir(parents=True)
    used = [["study_a", "a" * 20, "1" * 64]]
    before = freshness.records(used, "standard"), freshness.records(used, "smoke")
    (home / "RECORDS" / "study_a" / f"{'b' * 20}.json").write_text('{"budget":"standard"}')
    assert (freshness.records(used, "standard"), freshness.records(used, "smoke")) == before
    (home / "RECORDS" / "study_a" / f"{'c' * 20}.json").write_text('{"budget":"full"}')
    assert freshness.records(used, "standard") != before[0] and freshness.records(used, "smoke") == before[1]


def test_files_that_a_notebook_reads_and_what_they_import_are_seen(home):
    nb = notebook(reads=["bench/*.py", "absent.json"])
    before = inputs(nb)
    assert "helpers.networks.cnn" in before["helpers"] and "helpers.networks.cnn" not in inputs(notebook())["helpers"]
    (home / "bench" / "b.py").write_text("def broken(:")
    assert freshness.changes(inputs(nb), before) == ["reads"]
    assert inputs(notebook(reads="bench/*.py"))["reads"] == inputs(nb)["reads"]


def test_the_benchmark_page_stands_on_the_benchmark():
    path = base.CHECKOUT / "notebooks" / "benchmark.ipynb"
    nb = freshness.read_json(path)
    files = [file for pattern in nb["metadata"]["coursework"]["reads"] for file in freshness._files(pattern)]
    assert {"measure.py", "runner.py", "classic.py", "cases.py", "bench.json"} <= {file.name for file in files}


def test_a_budget_counts_for_the_notebooks_that_it_serves(home):
    path = home / "notebooks" / "budgets.yaml"
    path.write_text("smoke: {all: {epochs: 1}, other: {epochs: 3}}")
    before = inputs(notebook())
    path.write_text("smoke: {all: {epochs: 1}, other: {epochs: 4}}")
    assert freshness.changes(inputs(notebook()), before) == []
    path.write_text("smoke: {all: {epochs: 2}}")
    assert freshness.changes(inputs(notebook()), before) == ["budget"]


def test_people_read_words():
    modules = ["helpers.page", "helpers.base", "helpers.gone", "helpers.d", "helpers.e"]
    assert freshness.in_words(["code", "reads", "was failed"]) == "its notebook's code, files that it reads, was failed"
    words = freshness.in_words(["data", *modules])
    assert words == "its data, helpers/page, helpers/base.py, helpers/gone.py, 2 more modules"
    assert freshness.in_words(["parameters", "data"], ["lr", "epochs"]) == "its parameters (lr, epochs), its data"
    assert freshness.in_words(["data"], ["lr"]) == "its data"
    assert {*freshness.inputs(notebook(), "x", "smoke", parameters=1, data=1, needs=1, author=1)} - {"helpers"} <= {
        *freshness.IN_WORDS
    }


def test_the_parameters_that_differ_are_named():
    before = {"parameters": {"lr": 0.1, "epochs": 2, "budget": "smoke"}, "changed": {"epochs": 2}}
    assert freshness.other_parameters({"budget": "smoke", "epochs": 2}, before) == []
    assert freshness.other_parameters({"lr": 0.2, "epochs": 2}, before) == ["lr"]
    assert freshness.other_parameters({}, before) == ["epochs"]
    assert freshness.other_parameters({"lr": 0.1}, {}) == ["lr"]
