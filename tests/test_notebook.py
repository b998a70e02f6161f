"""What a notebook calls: its page begins, obtains data, trains, and says rows in words."""

import os
import re
import subprocess
import sys

import pandas as pd
import pytest
from tiny_notebooks import CHECKOUT, FINISH, environment, write_notebook

from helpers import base, notebook
from helpers.base import CourseworkError


@pytest.fixture
def a_page():
    return notebook.Notebook("tiny", {"budget": "smoke", "seed": 3, "seeds": 2, "data": "auto"}, {})


def trials(**more):
    """Four finished trials of two rows, two seeds each; the second row is shortened."""
    columns = {"row": ["a1", "a1", "b_c", "b_c"], "seed": [0, 1] * 2, "key": ["k0", "k1", "k2", "k2"]}
    columns |= {"seconds": [1800.0, 1800.0, 3600.0, 3600.0], "share": [1.0, 1.0, 0.5, 0.5], "status": "ok"}
    columns |= {"gpu": ["", "", "", ""]}
    frame = pd.DataFrame(columns | {"test_accuracy": [0.8, 0.9, 0.5, 0.6]} | more)
    frame["history"] = [pd.DataFrame({"lr": [0.1]})] * 4
    frame["record"] = [{"config": {"epochs": 1, "train_limit": 2500}}] * 4
    return frame


def test_begin_runs_again_after_other_cells_and_with_another_device(tmp_path, monkeypatch):
    path = write_notebook(tmp_path, "tiny", FINISH)
    monkeypatch.setattr(base, "NOTEBOOKS", path.parent)
    monkeypatch.setenv("DEVICE", "cpu")
    monkeypatch.setattr("helpers.notebook._outside", {})
    kinds = {"budget": str, "lr": float, "device": str, "added": int, "net": dict}
    cells = ["", 'budget: str = "smoke"\nlr: float = 0.3\ndevice: str = "auto"\nadded: int = 1', "net: dict = {}"]
    values = {"budget": "smoke", "lr": 0.3, "device": "mps", "added": 1, "net": {}, "In": cells}
    page = notebook.begin("tiny", values | {"__annotations__": kinds})
    assert page.parameters == {"budget": "smoke", "lr": 0.3, "device": "mps", "added": 1}
    assert os.environ["DEVICE"] == "mps"
    notebook.begin("tiny", values | {"device": "auto", "__annotations__": kinds})
    assert os.environ["DEVICE"] == "cpu"


def test_papermill_may_tell_its_paths(tmp_path, monkeypatch):
    path = write_notebook(tmp_path, "tiny", FINISH)
    monkeypatch.setattr(base, "NOTEBOOKS", path.parent)
    cells = ["", "# Parameters\nlr = 0.2\nPAPERMILL_INPUT_PATH = 'a'\n"]
    values = {"budget": "smoke", "lr": 0.2, "In": cells, "__annotations__": {"budget": str, "lr": float}}
    assert notebook.begin("tiny", values).changed == {"lr": 0.2}
    with pytest.raises(CourseworkError, match="unknown parameter rate"):
        notebook.begin("tiny", values | {"In": ["", "# Parameters\nrate = 0.2"]})


def test_begin_fills_from_the_budget_and_tells_what_changed(tmp_path, monkeypatch):
    write_notebook(tmp_path, "tiny", FINISH)
    monkeypatch.setattr(base, "NOTEBOOKS", tmp_path / "notebooks")
    kinds = {"budget": str, "seed": int, "lr": float, "epochs": int}
    values = {"budget": "smoke", "seed": 0, "lr": 0.3, "epochs": None, "__annotations__": kinds}
    page = notebook.begin("tiny", values)
    assert (page.budget, page.lr, page.epochs, page.changed) == ("smoke", 0.3, 1, {"lr": 0.3})
    with pytest.raises(CourseworkError, match=r"budgets\.yaml.* no value for width"):
        notebook.begin("tiny", values | {"width": None, "__annotations__": kinds | {"width": int}})


def test_begin_does_not_load_torch(tmp_path):
    write_notebook(tmp_path, "tiny", FINISH)
    code = 'budget: str = "smoke"\nimport sys, helpers as mu\nmu.begin("tiny", globals())'
    code += '\nassert not {"torch", "numpy", "IPython"} & {*sys.modules}'
    subprocess.run([sys.executable, "-c", code], env=environment(tmp_path), cwd=CHECKOUT, check=True)


def test_rows_are_told_in_words_and_say_how_short_they_are(a_page):
    a_page.titles = {"a1": "rate 0.1"}
    frame = a_page.rows(trials(), ["b_c", "a1"])
    assert frame["row"].tolist() == ["b c (1 epoch of 2,500 images)"] * 2 + ["rate 0.1"] * 2
    assert frame["share"].tolist() == [0.5, 0.5, 1, 1] and frame["test_accuracy"].tolist() == [0.5, 0.6, 0.8, 0.9]
    assert a_page.rows(trials(share=0.5))["row"].tolist() == ["rate 0.1"] * 2 + ["b c"] * 2


@pytest.mark.parametrize(
    "rows, options, text",
    [
        (["a1"], {}, "Yes."),
        (["a1", "b_c"], {}, "Not answered yet; still shortened: b c."),
        ([], {}, "Not answered yet; still shortened: b c."),
        (["gone"], {}, "Not answered yet; still shortened: gone."),
        (["b_c"], {"otherwise": "Later."}, "Later."),
        (["b_c"], {"otherwise": ""}, None),
    ],
)
def test_only_trainings_in_full_answer(a_page, monkeypatch, rows, options, text):
    texts = []
    monkeypatch.setattr(a_page, "say", texts.append)
    a_page.answer(trials(), "Yes.", *rows, **options)
    assert texts == ([] if text is None else [text])


def test_a_question_is_open_until_all_its_rows_are_trained_in_full(a_page):
    questions = {"what a1 does": ["a1"], "what both do": ["a1", "b_c"], "what a lost row does": ["gone"]}
    text = a_page.open_questions(trials(), questions)
    assert text == "Open, because those trainings are not in full yet: what both do; what a lost row does."
    assert a_page.open_questions(trials(), {"what a1 does": ["a1"]}) == ""


def test_n_says_how_many_trainings_and_what_the_deviation_is(a_page):
    frame = trials(row=["a", "a", "b", "c"])
    assert a_page.n_of(frame, "b") == "n = 1" and a_page.n_of(frame, "b", "c") == "n = 1 each"
    assert a_page.n_of(frame, "a") == "n = 2, ± their standard deviation"
    assert a_page.n_of(frame, "a", "b") == "n = 2 and 1, ± their standard deviation"
    assert a_page.n_of(frame, "b", "a", "c") == "n = 1, 2 and 1, ± their standard deviation"
    assert a_page.count_of(frame) == a_page.count_of(frame, "a", "b", "c") == "n = 2, 1 and 1"
    assert a_page.count_of(frame, "a", "b", "c", "b", "c") == "n = 1 to 2"
    assert a_page.count_of(trials()) == "n = 2 each"


def test_a_difference_may_be_luck_up_to_two_standard_errors(a_page):
    near, far, alone = [0.80, 0.90, 0.86, 0.84], [0.80, 0.81, 0.90, 0.91], {"row": ["a", "b", "c", "d"]}
    assert a_page.may_be_luck(trials(test_accuracy=near), "a1", "b_c")
    assert not a_page.may_be_luck(trials(test_accuracy=far), "a1", "b_c")
    assert a_page.may_be_luck(trials(test_accuracy=near, gap=far), "a1", "b_c")
    assert not a_page.may_be_luck(trials(test_accuracy=near, gap=far), "a1", "b_c", "gap")
    assert a_page.may_be_luck(trials(test_accuracy=far, **alone), "a", "d")  # single trainings tell no spread


@pytest.mark.parametrize(
    "gpu, seconds, words",
    [
        (["", "", "", ""], [3600.0] * 4, "3, together 3 h by the clock, each on one core; a training alone"),
        (["H100"] * 4, [float("nan")] * 4, "3, 3 of them on a GPU (H100). Those that have a record"),
        (["", "H100", "", ""], [3600.0, float("nan"), 1.0, 1.0], "3, 1 of them on a GPU (H100), the others together"),
    ],
)
def test_the_cost_tells_processors_and_gpus_apart(a_page, monkeypatch, gpu, seconds, words):
    shown = []
    monkeypatch.setattr(a_page, "say", lambda text: shown.append(a_page.fill(text)))
    a_page.tell_cost(trials(gpu=gpu, seconds=seconds))
    assert words in shown[0]


def test_the_cost_counts_every_trial_once(a_page):
    a_page.tell_cost(trials(), trials())
    assert a_page.published["cost.trials"]["value"] == 3 and a_page.published["cost.hours"]["value"] == 2.0
    a_page.tell_cost(trials(gpu=["", "H100", "", ""], seconds=[1800.0, float("nan"), 3600.0, 3600.0]))
    values = [a_page.published[f"cost.{name}"]["value"] for name in ("trials", "on_gpu", "hours")]
    assert values == [3, 1, 1.5]


def test_train_asks_for_the_seeds_and_publishes_every_row(a_page, monkeypatch):
    study_options = {}

    def run_study(function, rows, **options):
        study_options.update(options)
        return trials()

    monkeypatch.setattr("helpers.trials.run_study", run_study, raising=False)
    a_page.parameters |= {"epochs": 2, "train_limit": None}
    about = {"metrics": ["gap"], "derive": lambda frame: frame.assign(gap=0.1)}
    table = a_page.train(None, {}, study="s", titles={"a1": "one"}, prefix="p.", **about)
    assert study_options["seeds"] == [3, 4] and study_options["reduced"] == {"epochs": 2, "train_limit": None}
    assert {"p.a1.gap", "p.b_c.gap"} <= set(a_page.published) and "gap" in table and a_page.title("a1") == "one"
    a_page.published.clear()
    a_page.train(None, {}, study="s", metrics=None)
    assert a_page.published == {}


def test_begin_with_data_gives_page_and_data_set(tmp_path, monkeypatch):
    path = write_notebook(tmp_path, "tiny", FINISH)
    monkeypatch.setattr(base, "NOTEBOOKS", path.parent)
    monkeypatch.setattr(notebook.Notebook, "obtain", lambda self, name: f"{name} as {self.parameters['data']}")
    values = {"budget": "smoke", "data": "real", "__annotations__": {"budget": str, "data": str}}
    page, dataset = notebook.begin("tiny", values, data="fashion_mnist")
    assert page.notebook == "tiny" and dataset == "fashion_mnist as real"


TYPED = 'budget: str = "smoke"\nlr: float = 0.1\nepochs: int = 2\n'


@pytest.mark.parametrize(
    ("cells", "refused"),
    [
        ([TYPED + "epoch = 3"], "unknown parameter epoch; did you mean epochs?"),
        ([TYPED + "momentum = 0.9"], "unknown parameter momentum; valid: budget, lr, epochs"),
        ([TYPED, "epoch = 3\nbatch = [1]"], "did you mean epochs?"),
        ([TYPED + "epoch = 3", "mu.begin(1)", TYPED], ""),  # mended
        ([TYPED, "epoch = 3", "mu.begin(1)", "epochs = 3"], ""),
        ([TYPED, "rate = 3", "epoch = 3\nprint(epoch)", "for epoch in range(3): pass"], ""),  # a person's own names
        ([TYPED.replace("epochs: int", "epochs")], ""),  # its type is in the file
        ([TYPED, "broken ("], ""),
    ],
)
def test_a_name_that_reaches_no_parameter_is_refused(tmp_path, monkeypatch, cells, refused):
    path = write_notebook(tmp_path, "tiny", FINISH)
    monkeypatch.setattr(base, "NOTEBOOKS", path.parent)
    kinds = {"budget": str, "lr": float} | ({"epochs": int} if "epochs: int" in "".join(cells) else {})
    values = {"budget": "smoke", "lr": 0.1, "epochs": 3, "__annotations__": kinds}
    values["In"] = ["", *cells, 'mu.begin("tiny", globals())']
    if refused:
        with pytest.raises(CourseworkError, match=re.escape(refused)):
            notebook.begin("tiny", values)
    else:
        assert notebook.begin("tiny", values).epochs == 3
