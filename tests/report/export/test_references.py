"""Citations: numbered in the order of the text, linked to a list, and refused where nobody knows the work."""

import json
import re

import pytest
from bs4 import BeautifulSoup

from helpers import base
from helpers.base import CourseworkError
from helpers.report.export import references

ENTRIES = [
    {"id": "one", "title": "On <one>", "author": [{"family": "A", "given": "Bo"}], "issued": {"date-parts": [[1999]]}},
    {"id": "two2000", "title": "Two", "author": [{"family": name} for name in "CDEF"], "DOI": "10.1/2", "note": "late"},
    {"id": "report-x", "title": "Report X", "publisher": "coursework report"},
]


@pytest.fixture
def cited(tmp_path, monkeypatch):
    monkeypatch.setattr(base, "NOTEBOOKS", tmp_path)
    (tmp_path / "bibliography.json").write_text(json.dumps(ENTRIES), encoding="utf-8")
    return references.References("study_x")


def test_citations_are_numbered_in_the_order_of_the_text_and_linked(cited):
    text = cited.link("<p>As [@two2000] and [@one; @two2000] say; <code>[@one]</code> stays, so does a list[0].</p>")
    assert BeautifulSoup(text, "html.parser").text == "As [1] and [2, 1] say; [@one] stays, so does a list[0]."
    assert re.findall(r'href="#([^"]+)"', text) == ["reference-two2000", "reference-one", "reference-two2000"]
    assert [place for place, _ in cited.listed()] == ["reference-two2000", "reference-one"]


def test_an_entry_says_who_when_what_and_where(cited):
    words = {entry["id"]: references.in_words(entry) for entry in ENTRIES}
    assert words["one"] == "B. A (1999). On &lt;one&gt;."
    assert words["two2000"] == 'C and others. <a href="https://doi.org/10.1/2">Two</a>. late.'
    assert words["report-x"] == "Report X. coursework report."


def test_an_unknown_work_and_a_damaged_list_are_named(cited, tmp_path):
    with pytest.raises(CourseworkError, match=r"study_x: cites @three, which is not in .*bibliography\.json"):
        cited.link("<p>[@three]</p>")
    (tmp_path / "bibliography.json").write_text("{", encoding="utf-8")
    with pytest.raises(CourseworkError, match=r"bibliography\.json: expected a list of CSL-JSON entries"):
        references.bibliography()


def test_what_the_notebooks_cite_is_listed_and_the_five_reports_are_cited():
    listed = set(references.bibliography())
    files = [*base.NOTEBOOKS.glob("*.ipynb"), base.NOTEBOOKS / "references.csv"]
    texts = [path.read_text(encoding="utf-8") for path in files]
    names = {
        name for text in texts for group in references.CITED.findall(text) for name in re.findall(r"@([\w.-]+)", group)
    }
    assert {f"report-{letter}" for letter in "abcde"} <= names <= listed
