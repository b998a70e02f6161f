"""The README's table is what the published results say, and is written between its marks alone."""

import pytest

from helpers import base
from helpers.base import CourseworkError
from helpers.report import readme


def test_the_readme_says_what_the_published_results_say():
    text = readme.README.read_text(encoding="utf-8")
    assert readme.table() in text, "the README's table is not that of reports/published: make publish writes it"
    for page in base.PUBLISHED.glob("*.html"):
        assert page.with_suffix(".json").exists() or page.stem == "index"


def test_the_counts_of_the_published_summary_are_those_of_the_readme():
    """One source for every count: the summary's own results, and the last line of the README's table."""
    summary = base.PUBLISHED / "summary.json"
    results = readme.evidence.load_results(base.PUBLISHED.name)
    line = readme.table().splitlines()[-1].split("|")
    heads = readme.table().splitlines()[-8:][0].split("|")
    found = {head.strip(): int(cell) for head, cell in zip(heads[2:-1], line[2:-1], strict=True)}
    assert summary.exists() and found.pop("all") == results["summary.claims.claims"]["value"]
    for name, value in found.items():
        assert value == results[f"summary.claims.{name.replace(' ', '_')}"]["value"]


def test_only_what_lies_between_the_marks_is_written(tmp_path, monkeypatch):
    path = tmp_path / "README.md"
    monkeypatch.setattr(readme, "README", path)
    monkeypatch.setattr(readme, "table", lambda: "| new |")
    path.write_text(f"before\n{readme.BEGIN}\n| old |\n{readme.END}\nafter\n")
    readme.write()
    assert path.read_text() == f"before\n{readme.BEGIN}\n| new |\n{readme.END}\nafter\n"
    path.write_text("no marks")
    with pytest.raises(CourseworkError, match="mark where the table goes; put them back"):
        readme.write()
    assert path.read_text() == "no marks"


def test_without_a_published_summary_there_is_no_table(tmp_path, monkeypatch):
    monkeypatch.setattr(base, "PUBLISHED", tmp_path)
    with pytest.raises(CourseworkError, match=r"has no summary\.json: make report"):
        readme.table()
