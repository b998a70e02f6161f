"""Trainings that cannot end well, on a page: each is recorded with its reason, and the page says it."""

import json

import pytest
import tiny
from tiny_notebooks import FINISH, report, state, write_notebook

from helpers import base, trials
from helpers.base import CourseworkError
from helpers.studies import numpy_net
from helpers.studies.grid import GridConfig, search_grid
from helpers.studies.numpy_trial import NumpyConfig, train_numpy
from helpers.studies.regression import RegressionConfig, train_regression
from helpers.trials import records

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


HUGE = numpy_net.layers("relu", 784, 10**12, 4)  # more memory than there is
OTHERS = {  # the trials of studies D and E: what is asked for, how it may end
    "NumPy: a rate of 1e9": (train_numpy, NumpyConfig, {"lr": 1e9}, "ok|diverged"),
    "NumPy: a rate of 1e300": (train_numpy, NumpyConfig, {"lr": 1e300}, "diverged"),
    "NumPy: a batch larger than the data": (train_numpy, NumpyConfig, {"batch_size": 10**6}, "ok|diverged"),
    "NumPy: one example": (train_numpy, NumpyConfig, {"train_limit": 1}, "ok|diverged"),
    "NumPy: one class": (train_numpy, NumpyConfig, {"dataset": "single"}, "ok|diverged"),
    "NumPy: no room": (train_numpy, NumpyConfig, {"layers": "huge"}, "failed"),
    "regression: a rate of 1e9": (train_regression, RegressionConfig, {"lr": 1e9}, "ok|diverged"),
    "regression: a rate of 1e38": (train_regression, RegressionConfig, {"lr": 1e38}, "diverged"),
    "regression: a batch larger than the data": (train_regression, RegressionConfig, {"batch_size": 10**6}, "ok"),
    "regression: more folds than data": (train_regression, RegressionConfig, {"folds": 1000}, "failed"),
    "regression: no such file": (train_regression, RegressionConfig, {"csv": "nowhere.csv"}, "refused"),
    "grid search: a rate of 1e9": (search_grid, GridConfig, {"lrs": (1e9,)}, "ok"),
    "grid search: one example": (search_grid, GridConfig, {"train_limit": 1}, "failed"),
}  # fmt: skip
SHORT = {  # what makes a trial of each kind short
    NumpyConfig: {"dataset": "tiny", "epochs": 2},
    RegressionConfig: {"epochs": 2, "hidden": (4, 8)},
    GridConfig: {"dataset": "tiny", "max_epochs": (1,), "lrs": (0.01,)},
}
REFUSED = [(NumpyConfig, "epochs"), (NumpyConfig, "batch_size"), (NumpyConfig, "train_limit"),
           (RegressionConfig, "epochs"), (RegressionConfig, "folds"), (RegressionConfig, "batch_size"),
           (GridConfig, "train_limit"), (GridConfig, "epoch_limit"), (GridConfig, "folds")]  # fmt: skip


@pytest.fixture
def data_sets(tmp_path, monkeypatch):
    """The tiny data set, the same with one class alone, and records of this test's own."""
    tiny.cached(tmp_path / "one", monkeypatch, classes=1)
    single = base.CACHE / tiny.NAME
    tiny.cached(tmp_path, monkeypatch)
    single.rename(base.CACHE / "single")
    monkeypatch.setattr(base, "RECORDS", tmp_path / "records")
    monkeypatch.setattr(base, "PUBLISHED", tmp_path / "published")
    monkeypatch.setenv("JOBS", "0")


@pytest.mark.fault("trainings that cannot end well")
@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.filterwarnings("ignore")  # of NumPy, scikit-learn and skorch, which say what happens in their own words
def test_a_hard_trial_of_another_kind_is_recorded_with_its_reason(data_sets, name):
    function, kind, settings, ends = OTHERS[name]
    settings = settings | ({"layers": HUGE} if "layers" in settings else {})
    if ends == "refused":
        with pytest.raises(CourseworkError, match="no such file"):
            trials.run(function, {"hard": kind(**SHORT[kind] | settings)}, study="hard")
        return
    [line] = trials.run(function, {"hard": kind(**SHORT[kind] | settings)}, study="hard").to_dict("records")
    assert line["status"] in ends.split("|"), line["reason"]
    assert bool(line["reason"]) == (ends == "failed")
    assert records.read("hard", line["key"])["status"] == line["status"]


@pytest.mark.fault("trainings that cannot end well")
@pytest.mark.parametrize("kind, field", REFUSED)
def test_what_no_trial_can_do_is_refused_before_it_starts(kind, field):
    with pytest.raises(CourseworkError, match=f"{field}=0 must be at least"):
        kind(**SHORT[kind] | {field: 0})


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


@pytest.mark.slow  # builds a report
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
    options = {"no room": {"widths": [10**12]}, "no such option": {"nope": 1}}.get(name, {})
    return record["config"]["options"] == options


@pytest.mark.slow
@pytest.mark.fault("trainings that cannot end well")
@pytest.mark.parametrize("name, words", [("lost", "allocate"), ("refused", "epochs")])
def test_a_page_without_any_training_says_why(built, name, words):
    home, done = built
    assert state(home, name)["status"] == "failed" and words in state(home, name)["reason"]
    assert words in (home / "reports" / "smoke" / f"{name}.html").read_text()
    assert done.returncode == 1 and done.stderr == ""
