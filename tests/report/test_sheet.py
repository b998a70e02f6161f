"""sheet.py: the marking sheet, from a folder of pages and from hand-ins."""

import csv
import io
import json
import re
import zipfile

import pytest
import sample_page
import yaml
from bs4 import BeautifulSoup

from helpers import base
from helpers.base import CourseworkError
from helpers.claims.rubric import load_rubric
from helpers.report import __main__ as command
from helpers.report import sheet

TASKS = [task["page"] for task in load_rubric()["tasks"]]


def pages(folder, names=TASKS, **state):
    """The sample exported under these names; the first publishes what task 1 would."""
    folder.mkdir(exist_ok=True)
    for name in names:
        results = sample_page.bundle()["results"]
        one = {**results["seconds"], "unit": "", "std": None}
        results |= {"learning_images": {**one, "value": 54000, "values": [54000]}, "spread": {**one, "value": 0.5}}
        sample_page.page(folder, name, content=sample_page.cells(sample_page.bundle(results=results)), **state)
    return folder


def packed(folder, path):
    with zipfile.ZipFile(path, "w") as archive:
        for page in sorted(folder.glob("*.html")):
            archive.write(page, f"report/{page.name}")
    return path


def sections(path):
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")("section")


def rubric(folder, monkeypatch, asks):
    """A rubric of one task."""
    task = {"title": "Task 4", "page": "task4_training", "asks": asks}
    (folder / "rubric.yaml").write_text(yaml.safe_dump({"tasks": [task]}), encoding="utf-8")
    monkeypatch.setattr(base, "NOTEBOOKS", folder)


def test_every_ask_has_its_marks_and_its_own_evidence(tmp_path, monkeypatch):
    folder = pages(tmp_path / "standard")
    asks = [
        {"ask": "it is accurate", "marks": 7, "evidence": ["test_accuracy"]},
        {"ask": "curves are drawn", "marks": 2.5, "see": ["Curves", "No such heading"]},
        {"ask": "<b>nothing</b> speaks for it", "marks": 1, "evidence": ["no_such_result"]},
    ]
    rubric(tmp_path, monkeypatch, asks)
    path = sheet.write_marking_sheet(folder)
    assert path == tmp_path / "marking-sheet-standard.html"  # beside the pages, not among them
    [section] = sections(path)
    lines = [[" ".join(cell.text.split()) for cell in row(["th", "td"])] for row in section.table("tr")][1:]
    assert lines == [
        ["it is accurate", "test accuracy 0.9058 ± 0.0101 (n = 3)", "___ / 7"],
        ["curves are drawn", "Curves", "___ / 2.5"],
        ["<b>nothing</b> speaks for it", "", "___ / 1"],
    ]
    assert section.find("a", string="Curves")["href"] == "standard/task4_training.html#curves"
    assert section.h2.text.split()[-1] == "10.5"


def test_what_is_wrong_with_a_page_is_said(tmp_path):
    folder = pages(tmp_path / "standard", TASKS[:1] + TASKS[2:])
    page = folder / f"{TASKS[0]}.html"
    page.write_text(page.read_text(encoding="utf-8").replace("over-fitted", "under-fitted"), encoding="utf-8")
    pages(folder, TASKS[2:3], status="failed", budget="smoke", data={"standin": True})
    texts = [
        " ".join(section.find(class_="checks").text.split()) for section in sections(sheet.write_marking_sheet(folder))
    ]
    assert "✗ no: page as exported" in texts[0]
    assert texts[1] == "✗ no: the page is there"
    assert all(words in texts[2] for words in ("✗ no: run complete", "✗ no: real data", "✗ no: budget smoke"))
    assert "✓ accuracy 0.9058 follows from its predictions" in texts[4]
    assert "✗" not in texts[4]


def test_a_sheet_from_a_hand_in_says_the_same_and_links_nowhere(tmp_path):
    folder = pages(tmp_path / "standard", author="Ada & Co")
    path = sheet.write_marking_sheet(packed(folder, tmp_path / "ada.zip"))
    assert path == tmp_path / "marking-sheet-ada.html"
    text = [" ".join(section.text.replace("“", "").replace("”", "").split()) for section in sections(path)]
    assert text == [" ".join(section.text.split()) for section in sections(sheet.write_marking_sheet(folder))]
    soup = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
    assert soup("a") == []
    assert "Ada & Co" in soup.header.text and "ada.zip" in soup.header.text


def test_thirty_hand_ins_are_one_table(tmp_path, capsys):
    folder = pages(tmp_path / "standard", author="=Ada")
    paths = [packed(folder, tmp_path / f"{n}.zip") for n in range(3)]
    assert command.main(["check", "sheet", "--csv", *map(str, paths)]) == 0
    table = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    asks = [(task["title"], ask["ask"], str(ask["marks"])) for task in load_rubric()["tasks"] for ask in task["asks"]]
    assert [(row["task"], row["criterion"], row["of"]) for row in table] == 3 * asks
    assert {(row["author"], row["mark"]) for row in table} == {("'=Ada", "")}
    assert {row["sha256"] for row in table[: len(asks)]} == {base.sha256(paths[0].read_bytes())}
    final = next(row for row in table if row["criterion"].startswith("the final accuracy"))
    assert "test accuracy: 0.9058" in final["evidence"]
    assert "yes: page as exported" in final["checks"]


def test_a_hand_in_that_cannot_be_read_stops_no_other(tmp_path, capsys):
    good = packed(pages(tmp_path / "standard"), tmp_path / "good.zip")
    (tmp_path / "cut.zip").write_bytes(good.read_bytes()[:5000])
    empty = packed(tmp_path, tmp_path / "empty.zip")
    words = "cut.zip: cannot be read: not a zip archive.*gone.zip: cannot be read: No such file.*holds no page"
    with pytest.raises(CourseworkError, match=words):
        sheet.main([str(tmp_path / "cut.zip"), str(tmp_path / "gone.zip"), str(empty), str(good)])
    assert capsys.readouterr().out == f"{tmp_path / 'marking-sheet-good.html'}\n"


@pytest.mark.parametrize(
    "results", ['{"test_accuracy":7}', '{"test_accuracy":{"value":[],"n":{}}}', "7", '"text"', "null"]
)
def test_damaged_results_make_a_sheet_all_the_same(tmp_path, results):
    folder = pages(tmp_path / "standard", TASKS[4:])
    page = folder / f"{TASKS[4]}.html"
    head, mark, rest = page.read_text(encoding="utf-8").partition('<script id="results" type="application/json">')
    page.write_text(f'{head}{mark}{{"results":{results}}}</script>{rest.partition("</script>")[2]}', encoding="utf-8")
    text = sections(sheet.write_marking_sheet(packed(folder, tmp_path / "a.zip")))[4].text
    assert "✗ no: page as exported" in text


def test_what_a_page_says_cannot_run_on_the_sheet(tmp_path):
    folder = pages(tmp_path / "standard", TASKS[:1], author="<script>alert(1)</script>")
    text = sheet.write_marking_sheet(packed(folder, tmp_path / "a.zip")).read_text(encoding="utf-8")
    assert "<script" not in text


@pytest.mark.parametrize(
    ("asks", "words"),
    [
        (["plain text"], "task 1, ask 1 has no ask"),
        ([{"ask": "it"}], "task 1, ask 1 has no marks"),
        ([{"ask": "it", "marks": "many"}], "marks: many: expected a number"),
        ([{"ask": "it", "marks": 1, "see": "Curves"}], "see: expected a list"),
        ("text", "asks: expected a list"),
    ],
)
def test_a_rubric_that_cannot_be_used_is_refused_with_the_place(tmp_path, monkeypatch, asks, words):
    rubric(tmp_path, monkeypatch, asks)
    with pytest.raises(CourseworkError, match=words):
        load_rubric()


def test_a_rubric_without_tasks_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(base, "NOTEBOOKS", tmp_path)
    with pytest.raises(CourseworkError, match=r"rubric\.yaml has no tasks"):
        sheet.write_marking_sheet(tmp_path)


def test_the_rubric_names_what_its_notebooks_hold():
    """A heading or a result that was renamed would leave its ask without evidence, and no page would say so."""
    lost = []
    for task in load_rubric()["tasks"]:
        cells = json.loads((base.NOTEBOOKS / f"{task['page']}.ipynb").read_text(encoding="utf-8"))["cells"]
        text = "\n".join("".join(cell["source"]) for cell in cells)
        for ask in task["asks"]:
            lost += [heading for heading in ask.get("see", []) if f"## {heading}\n" not in text + "\n"]
            lost += [key for key in ask.get("evidence", []) if not re.search(rf"\b{key.rpartition('.')[2]}\b", text)]
            assert ask.get("see") or ask.get("evidence"), ask
    assert lost == []
