"""index.py: the index of a build, and the pages read back for it."""

import shutil
import subprocess
import sys

import pytest
import sample_page
import yaml
from bs4 import BeautifulSoup

from helpers import base
from helpers.claims.rubric import load_rubric
from helpers.report import check, index
from helpers.report.readback import evidence, in_words, read_pages


def result(value, std=None, n=1, **more):
    return {"value": value, "std": std, "n": n, "values": [value], "unit": "", "share": 1.0, "statuses": [], **more}


RESULTS = {
    "task1_data_loaders": {"learning_images": result(54000), "test_images": result(10000)},
    "task5_final_accuracy": {"loss": result(0.3)},
    "study_a_sgd_sweep": {"a1.test_accuracy": result(0.8563, 0.004, 5), "a4.test_accuracy": result(None, n=0)},
    "summary": {
        "claims.not_reproduced": result(41),
        "claims.reproduced": result(151),
        "claims.exceeded": result(3),
        "headline.A1.best.not_reproduced": result(-0.4),
        "ours.D.test_accuracy": result(0.8884, 0.0025, 3),
    },
}


def build(folder):
    """Four exported pages, one that failed, one that never ran; returns the states of all."""
    states = []
    for name, results in RESULTS.items():
        content = sample_page.cells(sample_page.bundle(results={**sample_page.bundle()["results"], **results}))
        sample_page.page(folder, name, content=content, title=name.replace("_", " ").title())
        states.append({**sample_page.STATE, "notebook": name, "title": name.replace("_", " ").title()})
    failed = {
        "notebook": "study_b_deep_patch_mlp",
        "status": "failed",
        "reason": "code cell 7: ValueError",
        "author": "",
    }
    sample_page.page(folder, failed["notebook"], **failed)
    never = {
        "notebook": "study_f_cifar10",
        "title": "Study F",
        "status": "not run",
        "reason": "no CIFAR-10",
        "budget": "standard",
    }
    return [*states, {**sample_page.STATE, **failed}, never]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reports") / "standard"
    folder.mkdir()
    states = build(folder)
    path = index.write_index(folder, states)
    return folder, states, BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


def rows(soup, label):
    table = soup.find(attrs={"aria-label": label}).table
    return [[" ".join(cell.text.split()) for cell in row(["th", "td"])] for row in table("tr")][1:]


def test_tasks_and_studies_show_their_evidence(built):
    _, _, soup = built
    assert rows(soup, "Tasks") == [
        ["Task1 Data Loaders", "learning images 54,000 test images 10,000", "complete", "3 min 5 s"],
        ["Task5 Final Accuracy", "test accuracy 0.9058 ± 0.0101 (n = 3)", "complete", "3 min 5 s"],
    ]
    studies = rows(soup, "Studies")
    first, second = "rate 0.1, batch 64: test accuracy", "rate 0.1, batch 256: test accuracy"  # rubric.yaml's words
    assert studies[0][1] == f"{first} 0.8563 ± 0.0040 (n = 5) {second} –"
    assert [row[2] for row in studies] == ["complete", "failed", "not run"]
    assert rows(soup, "Other pages")[0][0] == "Summary"
    links = {a["href"] for a in soup.main("a")}
    assert {f"{name}.html" for name in RESULTS} | {"check.py"} <= links
    assert "study_f_cifar10.html" not in links


def test_what_is_unfinished_is_said_above_the_title(built):
    _, _, soup = built
    notes = [note.text for note in soup.header(role="note")]
    assert notes == [
        "Task 4: training is marked “failed”: code cell 7: ValueError.",
        "Study F is marked “not run”: no CIFAR-10.",
    ]
    assert "4 of 6 pages complete" in soup.header.text and "Trials" not in soup.header.text  # those are of a page
    assert "A. Student" in soup.header.text


def test_our_numbers_stand_beside_the_reports(built):
    _, _, soup = built
    table = rows(soup, "Ours against the reports")
    assert table[0][0] == "Report A" and table[0][1].startswith("patch network")
    assert table[0][2:] == ["86.03 %", "85.63 ± 0.40 % (n = 5)", "−0.4", "100 %", "not reproduced"]
    assert table[1][2:] == ["90.05 %", "not run", "–", "–", "–"]
    assert table[3][3] == "88.84 ± 0.25 % (n = 3)"  # under the reading that decides, not under the first
    assert [row[0] for row in table[6:]] == ["Our model"] * 3 and table[6][3].startswith("90.58")
    assert table[7][3] == "not run"


def test_a_shortened_training_does_not_speak_for_our_model(tmp_path):
    states = build(tmp_path)
    results = {"final.our_own_network.test_accuracy": result(0.6, share=0.01)}
    name = "study_g_search"
    sample_page.page(tmp_path, name, content=sample_page.cells(sample_page.bundle(results=results)), title=name)
    states.insert(0, {**sample_page.STATE, "notebook": name, "title": name})
    soup = BeautifulSoup(index.write_index(tmp_path, states).read_text(encoding="utf-8"), "html.parser")
    assert [row[0] for row in rows(soup, "Ours against the reports")[6:]] == ["Our model"] * 2


def test_a_copy_of_a_notebook_does_not_speak_for_it(tmp_path):
    states = build(tmp_path)
    for name in ("task5_final_accuracy-Copy1", "study_a_sgd_sweep-Copy1", "study_a_other"):
        results = {key: result(0.1111) for key in ("test_accuracy", "a1.test_accuracy")}
        sample_page.page(tmp_path, name, content=sample_page.cells(sample_page.bundle(results=results)), title=name)
        states.insert(0, {**sample_page.STATE, "notebook": name, "title": name})
    soup = BeautifulSoup(index.write_index(tmp_path, states).read_text(encoding="utf-8"), "html.parser")
    table = rows(soup, "Ours against the reports")
    assert table[0][3] == "85.63 ± 0.40 % (n = 5)"
    assert table[6][3].startswith("90.58")
    listed = {row[0] for label in ("Tasks", "Studies", "Other pages") for row in rows(soup, label)}
    assert {"task5_final_accuracy-Copy1", "study_a_sgd_sweep-Copy1", "Task5 Final Accuracy"} <= listed


def test_every_claim_of_the_headline_exists():
    claims = yaml.safe_load((base.CHECKOUT / "notebooks/claims.yaml").read_text(encoding="utf-8"))["claims"]
    rubric = load_rubric()
    assert set(rubric["headline"]["claims"]) <= {claim["id"] for claim in claims}
    assert [task["weight"] for task in rubric["tasks"]] == [10, 35, 10, 25, 20]
    assert len(rubric["tasks"]) == 5


def test_the_ledger_is_counted_in_its_order(built):
    _, _, soup = built
    counts = [(item.dt.text, item.dd.text) for item in soup.find(class_="counts")("div")]
    assert counts == [("reproduced", "151"), ("exceeded", "3"), ("not reproduced", "41")]


def test_the_abstract_is_the_summarys(tmp_path):
    counted = {"claims": 5, "reproduced": 2, "not_reproduced": 1, "exceeded": 0, "inconclusive": 2, "shortened": 2}
    results = {f"claims.{name}": result(value) for name, value in counted.items()}
    results["claims.expected_false"] = result(0.15)
    folder = tmp_path / "standard"
    folder.mkdir()
    content = sample_page.cells(sample_page.bundle(results=results))
    sample_page.page(folder, "summary", content=content, title="Summary")
    states = [{**sample_page.STATE, "notebook": "summary", "title": "Summary"}]
    soup = BeautifulSoup(index.write_index(folder, states).read_text(encoding="utf-8"), "html.parser")
    text = " ".join(soup.main.text.split())
    assert "of 5 claims (numbers and statements that the reports print), 2 reproduced, 1 not reproduced" in text
    assert "0 exceeded" not in text and "chance alone would refute at most about 0.1 if" in text
    assert "2 of 5 claims rest on shortened trainings" in soup.header.text
    assert "Result:" not in index.write_index(tmp_path, []).read_text(encoding="utf-8")


def test_the_index_has_words_for_results_that_it_shows():
    rubric = load_rubric()
    shown = {task["page"]: task["evidence"] for task in rubric["tasks"]} | rubric["evidence"]
    for name, words in rubric["words"].items():
        assert set(words) <= set(shown[name]), name
    for name in (page for page in shown if not page.startswith("task")):
        assert set(shown[name]) == set(rubric["words"][name]), name


def test_an_index_of_nothing_and_of_everything_stale(tmp_path):
    empty = index.write_index(tmp_path, [])
    assert "0 of 0 pages complete" in empty.read_text(encoding="utf-8")
    state = {"notebook": "task2_model", "status": "stale", "budget": "standard"}
    assert "marked “stale”" in index.write_index(tmp_path, [state]).read_text(encoding="utf-8")


def test_smoke_and_stand_in_are_announced(tmp_path):
    folder = tmp_path / "smoke"
    folder.mkdir()
    state = {**sample_page.STATE, "data": [{"name": "digits28", "title": "Digits", "standin": True}]}
    text = index.write_index(folder, [state]).read_text(encoding="utf-8")
    assert "Stand-in data: no number here" in text
    assert "Smoke budget" in text


def test_the_index_passes_its_own_check(built, capsys):
    folder, _, _ = built
    command = [sys.executable, "-I", "-S", str(folder / "check.py"), *map(str, sorted(folder.glob("*.html")))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("untouched since export") == 6


def test_a_page_exported_again_is_not_the_one_in_the_index(built, tmp_path, capsys):
    folder = shutil.copytree(built[0], tmp_path / "standard")
    sample_page.page(folder, "summary", author="Somebody else")
    assert check.main([str(path) for path in sorted(folder.glob("*.html"))]) == 1
    assert "summary.html: REFUTED" in capsys.readouterr().out


def test_reading_pages_leaves_others_out(built, tmp_path):
    folder = shutil.copytree(built[0], tmp_path / "standard")
    (folder / "notes.html").write_text("<p>mine</p>")
    (folder / "cut.html").write_bytes((folder / "summary.html").read_bytes()[:999])
    (folder / "binary.html").write_bytes(b"\xff\xfe")
    pages = read_pages(folder)
    assert set(pages) == {*RESULTS, "study_b_deep_patch_mlp"}
    assert pages["summary"]["results"]["claims.reproduced"]["value"] == 151


def test_evidence_by_pattern_and_without():
    results = {"b.test_accuracy": result(0.5), "a": result(1), "c": result(0.123456), "d": result(2), "e": result(3)}
    assert evidence(results, ["c", "?"]) == [("c", "0.1235"), ("a", "1"), ("d", "2"), ("e", "3")]
    assert evidence(results) == [("b, test accuracy", "0.5000")]
    assert evidence(results, titles={"b": "rate 0.1"}) == [("rate 0.1, test accuracy", "0.5000")]
    assert evidence(results, ["nothing"])[0] == ("a", "1")
    short = results | {"a": results["a"] | {"share": 0.011}}
    assert evidence(short, ["a"]) == [("a", "1, 1.1 % of the training")]
    assert evidence(short, ["a", "d"]) == [("d", "2")]  # what is trained in full speaks
    assert in_words(result(185.25, unit="s"), "seconds") == "185 s"
