"""Trainings that cannot end well, on a page: each is recorded with its reason, and the page says it."""

import json

import pytest
import tiny
from tiny_notebooks import FINISH, report, state, write_notebook

ROWS = """from helpers.training import ClassifierConfig

def row(**fields):
    plain = {"dataset": "tiny", "model": "mlp", "epochs": 2, "precision": "float32"}
    return ClassifierConfig(**plain | fields)

rows = ROWS
trials = page.train(mu.train_classifier, rows, study="hard", seeds=[0], whole=True)"""
HARD = {  # row -> (what differs from a plain training, how it ends, a word of the reason)
    "good": ("", "ok", ""),
    "a rate of 1e9": ("lr=1e9", "ok|diverged", ""),
    "a loss that is not finite": ("lr=1e38", "diverged", ""),
    "a batch larger than the data": ("batch_size=100_000", "ok", ""),
    "one example": ("train_limit=1", "ok", ""),
    "one test example": ("test_limit=1", "ok", ""),
    "one class": ("dataset='single'", "ok", ""),
    "no room": ("options={'widths': [10**12]}", "failed", "allocate"),
    "no such network": ("model='<b>nope</b>'", "failed", "nope"),
    "no such option": ("options={'nope': 1}", "failed", "nope"),
}


pytestmark = pytest.mark.slow  # builds a report


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A build of one page with all these trainings: (folder, what the build printed)."""
    home = tmp_path_factory.mktemp("hard")
    tiny.write(home / "data" / "cache", classes=1)
    (home / "data" / "cache" / "tiny").rename(home / "data" / "cache" / "single")
    tiny.write(home / "data" / "cache")
    rows = ", ".join(f"{name!r}: row({fields})" for name, (fields, _, _) in HARD.items())
    write_notebook(home, "hard", ROWS.replace("ROWS", f"{{{rows}}}"), FINISH)
    write_notebook(home, "lost", ROWS.replace("ROWS", "{'no room': row(options={'widths': [10**12]})}"), FINISH)
    write_notebook(home, "refused", ROWS.replace("ROWS", "{'none': row(epochs=0)}"), FINISH)
    return home, report(home, "BUDGET=smoke")


@pytest.mark.fault("trainings that cannot end well")
@pytest.mark.parametrize("name", HARD)
def test_a_hard_training_is_recorded_and_the_page_says_why(built, name):
    home, done = built
    assert state(home, "hard")["status"] == "complete", done.stdout + done.stderr
    _, ends, word = HARD[name]
    loaded = [json.loads(path.read_text()) for path in (home / "reports" / "records" / "hard").glob("*.json")]
    key = name.replace(" ", "_")
    results = state(home, "hard")["results"]
    text = (home / "reports" / "smoke" / "hard.html").read_text()
    if ends == "failed":
        assert f"{key}.test_accuracy" not in results
        [reason] = [r["reason"] for r in loaded if r["status"] == "failed" and word in r["reason"] and fits(name, r)]
        assert name in text and word in text and "<b>nope" not in text and reason
    else:
        assert results[f"{key}.test_accuracy"]["statuses"][0] in ends.split("|")
        assert results[f"{key}.diverged"]["value"] == (results[f"{key}.diverged"]["statuses"] == ["diverged"])


def fits(name, record) -> bool:
    """Whether a record is of the row of this name, by what only that row asks for."""
    asked = {"no room": {"widths": [10**12]}, "no such option": {"nope": 1}}.get(name, {})
    return record["config"]["options"] == asked


@pytest.mark.fault("trainings that cannot end well")
@pytest.mark.parametrize("name, words", [("lost", "allocate"), ("refused", "epochs")])
def test_a_page_without_any_training_says_why(built, name, words):
    home, done = built
    assert state(home, name)["status"] == "failed" and words in state(home, name)["reason"]
    assert words in (home / "reports" / "smoke" / f"{name}.html").read_text()
    assert done.returncode == 1 and done.stderr == ""
