"""The README's table is what the published results say, and is written between its marks alone."""

import base64
import re

import pytest
from scipy import stats

from helpers import base
from helpers.base import CourseworkError
from helpers.claims import evidence
from helpers.claims.rubric import load_rubric
from helpers.report import readme


@pytest.mark.parametrize("name", readme.SECTIONS)
def test_the_readme_says_what_is_published(name):
    text = readme.README.read_text(encoding="utf-8")
    begin, end = readme.BEGIN.format(name), readme.END.format(name)
    assert f"{begin}\n{readme.SECTIONS[name]()}\n{end}" in text, f"the README's {name} are others: make publish"


def test_the_readme_shows_the_figure_as_it_is_published():
    """The file is the picture within the page, and the README shows no other picture."""
    name = load_rubric()["figure"]
    image = re.search(r'<img [^>]*src="data:image/webp;base64,([^"]+)"', (base.PUBLISHED / f"{name}.html").read_text())
    assert (base.PUBLISHED / readme.FIGURE).read_bytes() == base64.b64decode(image[1])
    shown = re.findall(r'(?:!\[.*?\]\(|<img src=")(.*?)[")]', readme.README.read_text())
    assert shown == ["reports/published/figure.webp"]


def test_the_published_folder_stays_small():
    """Under 16 MB in all, and nothing that no page or README shows: pictures of old pages once stayed for days."""
    files = [path for path in base.PUBLISHED.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 16e6
    pages = {path.stem for path in base.NOTEBOOKS.glob("*.ipynb")} | {"index"}
    others = {path.name for path in base.PUBLISHED.iterdir() if path.is_file() and path.stem not in pages}
    assert others == {"bench.json", "check.py", "fault_counts.json", "figure.webp"}


def test_every_count_of_the_readme_is_one_of_the_summary():
    """One source for all counts: each column adds up to the total that the summary's own sentence gives."""
    results = evidence.load_results(base.PUBLISHED.name)
    lines = [line.strip("| ").split(" | ") for line in readme.results().split("\n\n")[-1].splitlines()]
    heads, reports, last = lines[0][1:], [line[1:] for line in lines[2:-1]], lines[-1][1:]
    assert len(reports) == 5 and len(heads) > 3
    for name, column, total in zip(heads, zip(*reports), last, strict=True):
        key = "claims" if name == "all" else name.replace(" ", "_")
        assert sum(map(int, column)) == int(total) == results[f"summary.claims.{key}"]["value"]


def test_our_own_network_stands_with_its_interval_its_cost_and_what_is_missing():
    accuracy = {"value": 0.922, "std": 0.002, "n": 4, "share": 1.0}
    results = {"study_g.final.our_own_network.test_accuracy": accuracy, "study_g.final.minutes": {"values": [30.0] * 4}}
    half = stats.t.ppf(0.975, 3) * 0.002 / 2
    text = " ".join(readme._own(results))
    assert f"0.9220, 95 % interval of the mean {0.922 - half:.4f} to {0.922 + half:.4f}" in text
    assert "took 2.0 hours" in text and text.rstrip().endswith("Aimed at was 0.93, 0.0080 is missing.")
    results |= {"study_g.final.our_own_network.test_accuracy": accuracy | {"value": 0.931}}
    assert " ".join(readme._own(results)).rstrip().endswith("Aimed at was 0.93, reached.")
    accuracy["share"] = 0.5
    assert readme._own({"study_g.final.our_own_network.test_accuracy": accuracy}) == readme._own({}) == []


def test_only_what_lies_between_the_marks_is_written(tmp_path, monkeypatch):
    path = tmp_path / "README.md"
    monkeypatch.setattr(readme, "README", path)
    monkeypatch.setattr(readme, "figure_file", lambda: b"picture")
    monkeypatch.setattr(base, "PUBLISHED", tmp_path)
    monkeypatch.setattr(readme, "SECTIONS", {"results": lambda: r"| new \1 |"})
    begin, end = readme.BEGIN.format("results"), readme.END.format("results")
    path.write_text(f"before\n{begin}\n| old |\n{end}\nafter\n")
    readme.write()
    readme.write()
    assert path.read_text() == f"before\n{begin}\n| new \\1 |\n{end}\nafter\n"
    assert (tmp_path / readme.FIGURE).read_bytes() == b"picture"
    path.write_text("no marks")
    with pytest.raises(CourseworkError, match="mark where a table goes; put them back"):
        readme.write()
    assert path.read_text() == "no marks"


def test_a_page_that_is_named_and_not_published_is_an_error(monkeypatch):
    monkeypatch.setattr(readme, "load_rubric", lambda: {"figure": "study_z", "findings": ["study_z"]})
    for section in (readme.figure, readme.findings, readme.figure_file):
        with pytest.raises(CourseworkError, match=r"study_z.html is not there, but notebooks/rubric.yaml names it"):
            section()


def test_without_a_published_summary_there_is_no_table(tmp_path, monkeypatch):
    monkeypatch.setattr(base, "PUBLISHED", tmp_path / "reports" / "published")
    monkeypatch.setattr(base, "REPORTS", tmp_path / "reports")
    with pytest.raises(CourseworkError, match="holds no summary: make report, then make publish"):
        readme.results()
