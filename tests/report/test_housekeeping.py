"""Publishing: complete pages only, from the budget asked for, and the README's table after them."""

import json

import pytest

from helpers import base
from helpers.base import CourseworkError
from helpers.report import housekeeping, readme


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Two notebooks, both built complete at standard."""
    places = {
        "REPORTS": "reports",
        "NOTEBOOKS": "notebooks",
        "RECORDS": "reports/records",
        "PUBLISHED": "reports/published",
    }
    for name, path in places.items():
        monkeypatch.setattr(base, name, tmp_path / path)
        (tmp_path / path).mkdir(parents=True)
    (base.REPORTS / "standard").mkdir()
    for name in ("task", "summary"):
        (base.NOTEBOOKS / f"{name}.ipynb").write_text("{}")
        (base.REPORTS / "standard" / f"{name}.json").write_text(json.dumps({"status": "complete", "results": {}}))
        (base.REPORTS / "standard" / f"{name}.html").write_text(name)
    for name in ("index.html", "check.py"):
        (base.REPORTS / "standard" / name).write_text(name)
    written = []
    monkeypatch.setattr(readme, "write", lambda: written.append("README"))
    return written


def test_complete_pages_are_copied_and_the_readme_is_written(home):
    housekeeping.publish({"BUDGET": "standard"})
    names = {path.name for path in base.PUBLISHED.iterdir()}
    assert names == {"task.html", "task.json", "summary.html", "summary.json", "index.html", "check.py"}
    assert (base.PUBLISHED / "task.html").read_text() == "task" and home == ["README"]


def test_a_damaged_page_is_one_line(home):
    (base.REPORTS / "standard" / "task.json").write_text("{")
    with pytest.raises(CourseworkError, match="is no complete page"):
        housekeeping.publish({"BUDGET": "standard"})


def test_of_a_linked_folder_the_link_is_removed_alone(home, tmp_path, monkeypatch):
    monkeypatch.setattr(base, "ROOT", tmp_path)
    (elsewhere := tmp_path / "elsewhere").mkdir()
    (link := tmp_path / "cache").symlink_to(elsewhere)
    housekeeping._remove([link])
    assert elsewhere.is_dir() and not link.exists()


def test_an_older_notebook_is_cleaned_into_a_valid_one_and_a_broken_one_stops_no_other(home, capsys):
    cell = {"cell_type": "code", "source": "1", "metadata": {}, "outputs": [], "execution_count": 3}
    older = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 4}
    (base.NOTEBOOKS / "task.ipynb").write_text(json.dumps(older))
    (base.NOTEBOOKS / "summary.ipynb").write_text("no notebook")
    with pytest.raises(CourseworkError, match=r"no notebook, mend or remove: summary\.ipynb: ") as caught:
        housekeeping.clean_notebooks()
    assert "\n" not in str(caught.value) and "cleaned task.ipynb" in capsys.readouterr().out
    path = base.NOTEBOOKS / "task.ipynb"
    assert housekeeping.cleaned(path) == path.read_text()


@pytest.mark.parametrize("given", [{"BUDGET": "standard"}, {}])
def test_nothing_is_copied_where_a_page_is_not_complete(home, given):
    (base.REPORTS / "standard" / "task.json").write_text(json.dumps({"status": "failed"}))
    with pytest.raises(CourseworkError, match="is no complete page; run make report BUDGET="):
        housekeeping.publish(given)
    assert list(base.PUBLISHED.iterdir()) == [] and home == []
