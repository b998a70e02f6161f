"""`make new-study`: the files that it writes, under names that YAML would read as something else."""

import ast

import nbformat
import pytest

from helpers import base
from helpers.base import CourseworkError
from helpers.claims import claims, new_study
from helpers.report import housekeeping


@pytest.fixture
def notebooks(tmp_path, monkeypatch):
    monkeypatch.setattr(base, "NOTEBOOKS", tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["mine", "no", "null", "yes", "on", "off", "true", "nan", "e1_2"])
def test_a_name_stays_a_name(notebooks, name):
    paths = new_study.new_study(name)
    assert {path.name for path in paths} == {f"claims_{name}.yaml", f"study_{name}.ipynb"}
    assert {claim.report for claim in claims.load_claims()} == {name}
    assert all(key.startswith(f"study_{name}.") for claim in claims.load_claims() for key in claim.needs())
    [path] = notebooks.glob("*.ipynb")
    assert housekeeping.cleaned(path) == path.read_text()
    nb = nbformat.read(path, as_version=4)
    code = [cell for cell in nb.cells if cell.cell_type == "code"]
    assert all(ast.parse(cell.source) and len(cell.source.splitlines()) <= 12 for cell in code)
    assert f'mu.begin("study_{name}", globals(), data="fashion_mnist")' in code[1].source
    assert "NAME" not in path.read_text()


@pytest.mark.parametrize("name", ["a", "a_b", "My", "é1", "../x", "a b", "", "1a", "ab\n"])
def test_a_name_that_no_file_or_word_can_have_is_refused(notebooks, name):
    with pytest.raises(CourseworkError, match="small letters"):
        new_study.new_study(name)
    assert list(notebooks.iterdir()) == []


def test_nothing_is_overwritten(notebooks):
    (notebooks / "claims_mine.yaml").write_text("mine")
    with pytest.raises(CourseworkError, match=r"claims_mine.yaml exists already"):
        new_study.new_study("mine")
    assert [path.name for path in notebooks.iterdir()] == ["claims_mine.yaml"]
