"""The README's table is what the published results say, and is written between its marks alone."""

import pytest

from helpers import base
from helpers.base import CourseworkError
from helpers.claims import evidence
from helpers.report import readme


@pytest.mark.parametrize("name", readme.SECTIONS)
def test_the_readme_says_what_is_published(name):
    text = readme.README.read_text(encoding="utf-8")
    begin, end = readme.BEGIN.format(name), readme.END.format(name)
    assert f"{begin}\n{readme.SECTIONS[name]()}\n{end}" in text, f"the README's {name} are others: make publish"


def test_every_count_of_the_readme_is_one_of_the_summary():
    """One source for all counts: each column adds up to the total that the summary's own sentence gives."""
    results = evidence.load_results(base.PUBLISHED.name)
    lines = [line.strip("| ").split(" | ") for line in readme.results().split("\n\n")[1].splitlines()]
    heads, reports, last = lines[0][1:], [line[1:] for line in lines[2:-1]], lines[-1][1:]
    assert len(reports) == 5 and len(heads) > 3
    for name, column, total in zip(heads, zip(*reports), last, strict=True):
        key = "claims" if name == "all" else name.replace(" ", "_")
        assert sum(map(int, column)) == int(total) == results[f"summary.claims.{key}"]["value"]


def test_only_what_lies_between_the_marks_is_written(tmp_path, monkeypatch):
    path = tmp_path / "README.md"
    monkeypatch.setattr(readme, "README", path)
    monkeypatch.setattr(readme, "SECTIONS", {"results": lambda: r"| new \1 |"})
    begin, end = readme.BEGIN.format("results"), readme.END.format("results")
    path.write_text(f"before\n{begin}\n| old |\n{end}\nafter\n")
    readme.write()
    readme.write()
    assert path.read_text() == f"before\n{begin}\n| new \\1 |\n{end}\nafter\n"
    path.write_text("no marks")
    with pytest.raises(CourseworkError, match="mark where a table goes; put them back"):
        readme.write()
    assert path.read_text() == "no marks"


def test_without_a_published_summary_there_is_no_table(tmp_path, monkeypatch):
    monkeypatch.setattr(base, "PUBLISHED", tmp_path / "reports" / "published")
    monkeypatch.setattr(base, "REPORTS", tmp_path / "reports")
    with pytest.raises(CourseworkError, match="holds no summary: make report, then make publish"):
        readme.results()
