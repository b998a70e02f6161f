"""The page's parameters, results, prose and displays, as a notebook meets them."""

import json
import math
import statistics
import subprocess
import sys
from types import SimpleNamespace

import nbformat
import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from matplotlib.figure import Figure
from tiny_notebooks import CHECKOUT, FINISH, environment, write_notebook
from traitlets.config import Config

from helpers import base, page
from helpers.base import CourseworkError
from helpers.figures import Drawing
from helpers.page import markup, parameters
from helpers.page.results import Result


@pytest.fixture
def a_page():
    return page.Page("tiny", {"budget": "smoke", "seed": 0, "lr": 0.1, "data": "auto"}, {})


@pytest.fixture(scope="module")
def shell():
    """IPython as in a kernel, so that displays can be read."""
    yield InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
    InteractiveShell.clear_instance()


def displayed(function, *arguments):
    with capture_output() as captured:
        function(*arguments)
    return [(output.data, output.metadata) for output in captured.outputs]


@pytest.mark.parametrize(
    ("name", "kind", "given", "value"),
    [
        ("lr", "float", "0.05", 0.05),
        ("lr", "float", "1e-3", 0.001),
        ("lr", "float", 1, 1.0),
        ("epochs", "int", "2", 2),
        ("standardise", "bool", "false", False),
        ("activation", "str", "0.1", "0.1"),
        ("widths", "list", "[64, 10]", [64, 10]),
        ("lr", "list", [0.1, 0.2], [0.1, 0.2]),
        ("patch_size", "int", "7", 7),
        ("epochs", "int", "None", None),
    ],
)
def test_a_value_is_read_as_its_type(name, kind, given, value):
    checked = parameters.check_value(name, kind, given, "here")
    assert checked == value
    assert type(checked) is type(value)


@pytest.mark.parametrize(
    ("name", "kind", "given", "word"),
    [
        ("lr", "float", "abc", "float"),
        ("lr", "float", "0", "above 0"),
        ("lr", "float", float("nan"), "float"),
        ("lr", "float", "1e999", "float"),
        ("lr", "float", True, "float"),
        ("lr", "list", [0.1, -1], "above 0"),
        ("epochs", "int", 2.5, "int"),
        ("epochs", "int", True, "int"),
        ("epochs", "int", 0, "at least 1"),
        ("patch_size", "int", 5, "28x28"),
        ("patch_size", "int", 0, "28x28"),
        ("seed", "int", -1, "at least 0"),
        ("momentum", "float", 1.0, "below 1"),
        ("budget", "str", "huge", "smoke, standard, full"),
        ("device", "str", "gpu", "auto, cpu"),
        ("standardise", "bool", "maybe", "bool"),
        ("augment", "list", "[1]", "one of flip, shift"),
        ("augment", "list", [["flip"]], "one of flip, shift"),
        ("lr", "list", ["a", 0.1], "above 0"),
        ("lr", "list", [True], "above 0"),
        ("lr", "float", "[0.1", "float"),
        ("seed", "int", 10**30, "int"),
        ("seed", "int", 10**10, "at most"),
        ("epochs", "int | None", "x", "int"),
        ("epochs", "dict", {"a": 1}, "at least 1"),
    ],
)
def test_a_bad_value_is_refused_with_what_is_expected(name, kind, given, word):
    with pytest.raises(CourseworkError, match=word) as caught:
        parameters.check_value(name, kind, given, "here")
    assert f"{name}={given}" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["9" * 400, "9" * 5000, "[" * 5000, "1e400", "\0"])
@pytest.mark.parametrize("kind", ["float", "int", "list"])
def test_a_monstrous_number_is_refused_in_one_short_line(text, kind):
    with pytest.raises(CourseworkError, match="expected") as caught:
        parameters.check_value("rate", kind, text, "here")
    assert len(str(caught.value)) < 200


DEFAULTS = {
    "lr: float = 1e-3": 0.001,
    "%matplotlib inline\nlr: float = -1e-3": -0.001,
    "lr: float | None = None": None,
    "lr: list = [1, 'a']": [1, "a"],
    "self.x: int = 3\nlr: float = 1.0": 1.0,
}


def notebook_with(tmp_path, cell):
    cells = [{"cell_type": "code", "metadata": {"tags": ["parameters"]}, "source": cell}]
    path = tmp_path / "own.ipynb"
    path.write_text(json.dumps({"cells": cells}))
    return path


@pytest.mark.parametrize("cell", DEFAULTS)
def test_a_default_is_a_literal(tmp_path, cell):
    assert parameters.declared(notebook_with(tmp_path, cell))["lr"][1] == DEFAULTS[cell]


WRONG_DEFAULTS = [
    "lr: float",
    "lr: float = x",
    "lr: float = 10 ** -3",
    "lr: float = 9 ** 9 ** 9",
    "lr: float = 1 / 0",
    "lr: float =",
]


@pytest.mark.parametrize("cell", [*WRONG_DEFAULTS, "lr: float = 1 << 3", "lr: float = [1] * 3", "lr: str = 'a' + 1"])
def test_a_parameter_without_a_plain_value_is_one_line(tmp_path, cell):
    with pytest.raises(CourseworkError, match=r"lr|no Python") as caught:
        parameters.declared(notebook_with(tmp_path, cell))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"cells": 3}', '{"cells": [1]}', "\xff"])
def test_a_file_that_is_no_notebook_is_one_line(tmp_path, text):
    (tmp_path / "own.ipynb").write_text(text, encoding="latin-1")
    with pytest.raises(CourseworkError, match="is not a notebook"):
        parameters.declared(tmp_path / "own.ipynb")


@pytest.mark.parametrize(
    ("text", "words"), [("smoke: 3", "smoke: expected names"), ("smoke: {all: [1]}", "smoke, all")]
)
def test_budgets_edited_by_hand_are_refused_in_one_line(tmp_path, monkeypatch, text, words):
    monkeypatch.setattr(base, "NOTEBOOKS", tmp_path)
    (tmp_path / "budgets.yaml").write_text(text)
    with pytest.raises(CourseworkError, match=words):
        parameters.budget_values("smoke", "tiny")


def test_in_a_notebook_a_mistake_ends_in_its_sentence(shell):
    code = "import helpers as mu\nmu.begin('none', {'budget': 'huge', '__annotations__': {'budget': str}})"
    with capture_output() as captured:
        shell.run_cell(code)
    assert captured.stdout == "CourseworkError: none: budget=huge: expected one of smoke, standard, full\n"


@pytest.mark.parametrize("name", ["results", "data", "table", "parameters", "changed", "notebook", "finish"])
def test_a_parameter_overwrites_nothing_of_the_page(name):
    own = page.Page("tiny", {"budget": "smoke", name: 3}, {})
    own.publish("a", 1)
    assert own.published["a"]["value"] == 1 and own.parameters[name] == 3
    assert own.fill("{a}") == "1" and own.notebook == "tiny" and own.changed == {} and callable(own.table)


@pytest.mark.parametrize("value", ["0.9", [0.1, "x"], {"a": 1}])
def test_only_numbers_are_published(a_page, value):
    with pytest.raises(CourseworkError, match="expected numbers"):
        a_page.publish("a", value)


def test_the_parameters_cell_is_read_without_running_it(tmp_path):
    path = write_notebook(tmp_path, "tiny", FINISH)
    assert parameters.declared(path)["lr"] == ("float", 0.1)
    assert page.check_parameters(path, {"lr": "0.5"}) == {"lr": 0.5}
    with pytest.raises(CourseworkError, match="did you mean epochs"):
        page.check_parameters(path, {"epoch": "2"})


def test_papermill_alone_gives_and_checks_parameters(tmp_path):
    publish = 'import sys\n\npage.publish("torch", "torch" in sys.modules)'
    path = write_notebook(tmp_path, "tiny", publish, FINISH)
    command = [sys.executable, "-m", "papermill", "--no-progress-bar", path, tmp_path / "out.ipynb"]
    settings = {"env": environment(tmp_path), "cwd": CHECKOUT, "capture_output": True, "text": True}
    refused = subprocess.run([*command, "-p", "epoch", "2"], check=False, **settings)
    assert refused.returncode == 1
    assert "CourseworkError: tiny: unknown parameter epoch; did you mean epochs?" in refused.stderr
    cells = nbformat.read(tmp_path / "out.ipynb", as_version=4).cells
    assert [cell.execution_count for cell in cells if cell.source == publish] == [None]
    subprocess.run([*command, "-p", "epochs", "2"], check=True, **settings)
    bundle = nbformat.read(tmp_path / "out.ipynb", as_version=4).cells[-1].outputs[0].data[page.BUNDLE]
    assert bundle["changed"] == {"epochs": 2}
    assert bundle["results"]["torch"]["value"] == 0


def test_publish_keeps_mean_deviation_and_what_was_not_finite(a_page):
    a_page.publish("accuracy", [0.8, 0.9, 0.85], seeds=[0, 1, 2], unit="share")
    result = a_page.published["accuracy"]
    assert result["value"] == pytest.approx(statistics.mean([0.8, 0.9, 0.85]))
    assert result["std"] == pytest.approx(statistics.stdev([0.8, 0.9, 0.85]))
    assert (result["n"], result["seeds"], result["unit"]) == (3, [0, 1, 2], "share")
    a_page.publish("loss", [1.0, math.nan, math.inf])
    result = a_page.published["loss"]
    assert (result["value"], result["std"], result["n"]) == (1.0, None, 1)
    assert result["values"] == [1.0, None, None]
    a_page.publish("nothing", math.nan)
    assert a_page.published["nothing"]["value"] is None
    with pytest.raises(CourseworkError, match="seeds"):
        a_page.publish("a", 1, seed=[0])


def test_publish_trials_makes_keys_of_one_row(a_page):
    columns = {"seed": [0, 1, 2], "key": ["k0", "k1", "k2"], "seconds": [1.0, 2.0, 3.0]}
    status = ["ok", "diverged", "failed"]
    frame = pd.DataFrame({**columns, "status": status, "share": 0.5, "test_accuracy": [0.8, 0.1, None]})
    a_page.publish_trials("a1", frame)
    assert set(a_page.published) == {"a1.test_accuracy", "a1.seconds", "a1.diverged"}
    result = a_page.published["a1.test_accuracy"]
    assert (result["values"], result["share"], result["records"]) == ([0.8, 0.1], 0.5, ["k0", "k1"])
    assert a_page.published["a1.diverged"]["values"] == [0, 1]
    assert a_page.fill("{a1.diverged.sum} of {a1.diverged.n} diverged").startswith("1† of 2 diverged (†: shortened")
    with pytest.raises(CourseworkError, match="validation_accuracy"):
        a_page.publish_trials("a1", frame, ["validation_accuracy"])
    with pytest.raises(CourseworkError, match="no trial has finished"):
        a_page.publish_trials("a1", frame[2:])


def test_prose_takes_its_numbers_from_results(a_page):
    a_page.publish("a.acc", [0.88, 0.89])
    a_page.publish("n", 12345)
    a_page.publish("x", 0.000123456)
    text = a_page.fill("{a.acc}, {a.acc:.3f}, {a.acc%}, {a.acc.std:.2f}, {a.acc.n}, {n}, {x}, {{n}}")
    assert text == "0.8850 ± 0.0071, 0.885, 88.5 %, 0.01, 2, 12,345, 0.0001235, {n}"
    assert a_page.fill(r"$\frac12$ and $x^{2}$") == r"$\frac12$ and $x^{2}$"
    with pytest.raises(CourseworkError, match=r"a\.ac; did you mean a\.acc"):
        a_page.fill("{a.ac}")


def test_shortened_trainings_are_marked_alone_and_beside_whole_ones(a_page):
    a_page.publish("whole", [0.9], records=["k0"])
    a_page.publish("short", [0.5], share=0.02, records=["k1"])
    a_page.publish("count", 3)
    assert a_page.fill("{whole}, {short}.") == "0.9, 0.5†. (†: shortened to 2 % of the training)"
    legend = " (†: shortened to 2 % of the training)"
    assert a_page.fill("{short} of {count}") == "0.5† of 3" + legend
    assert a_page.fill("{short.sum} of {short.n}") == "0.5† of 1" + legend
    assert a_page.fill("{whole} of {count}") == "0.9 of 3"
    a_page.publish("shorter", [0.5], share=0.01, records=["k1"])
    assert a_page.fill("{short}, {shorter}").endswith("(†: shortened, the least to 1 % of the training)")


def test_shortened_trainings_say_their_epochs_and_images(a_page):
    frame = pd.DataFrame({"seed": [0], "key": ["k"], "status": ["ok"], "share": 0.02, "history": [[1, 2]]})
    frame["record"] = [{"config": {"epochs": 2, "train_limit": 2500}}]
    a_page.publish("short", [0.5], **a_page.about(frame))
    assert a_page.fill("{short}") == "0.5† (†: shortened to 2 epochs of 2,500 images)"


def test_a_sentence_whose_number_is_missing_is_left_out(a_page, shell):
    a_page.publish("none", None)
    [(output, _)] = displayed(a_page.say, "It has {n}. At epoch {none} it fell. Hot: {hot:yes}.", {"n": 3, "hot": 1})
    assert output["text/markdown"] == "It has 3. Hot: yes." and a_page.published["n"]["value"] == 3
    missing = Result(name="loss", values=(None,))
    [(output, _)] = displayed(a_page.say, f"The loss is {missing}. There is {{n}}.")
    assert output["text/markdown"] == "There is 3."
    assert displayed(a_page.say, "At epoch {none} it fell.") == []


def test_numbers_with_a_unit_say_it(a_page):
    a_page.publish("seconds", 786.5817, unit="s")
    assert a_page.fill("{seconds}, {seconds:.0f}") == "787 s, 787"


def test_a_table_has_caption_scopes_and_escaped_text():
    frame = pd.DataFrame({"name": ["a<b", "c"], "value": [0.123456, math.nan], "ok": [True, None]})
    table = markup.table(frame, "A & B", "Note.")
    assert "<caption>A &amp; B</caption>" in table
    assert table.count('scope="col"') == 3
    assert table.count('scope="row"') == 2
    assert "a&lt;b" in table
    assert "<td>0.1235</td>" in table and ">yes</td>" in table
    assert table.count("–") == 2
    assert "<p>Note.</p>" in table
    indexed = markup.table(frame.set_index("name"), "")
    assert indexed.count('scope="row"') == 2
    assert ">name</th>" in indexed


TABLES = {
    "infinities": (pd.DataFrame({"a": ["x", "y"], "b": [math.inf, -math.inf]}), ["a b", "x ∞", "y −∞"]),
    "NA": (pd.DataFrame({"a": ["x", pd.NA], "b": pd.array([1, None], "Int64")}), ["a b", "x 1", "– –"]),
    "times": (pd.DataFrame({"a": ["x"], "b": [pd.NaT]}), ["a b", "x –"]),
    "series": (pd.Series([1, 2], index=["x", "y"], name="b"), ["b", "x 1", "y 2"]),
    "nameless series": (pd.Series([0.5]), ["value", "0.5"]),
    "columns of two levels": (pd.DataFrame([[1, 2]], columns=[["a", "b"], ["c", ""]], index=["x"]), ["a c b", "x 1 2"]),
    "index of two levels": (pd.DataFrame({"b": [1]}, index=[["x"], ["y"]]), ["b", "x y 1"]),
    "an index named like a column": (pd.DataFrame({"b": [1]}, index=pd.Index(["x"], name="b")), ["b b", "x 1"]),
    "histories": (pd.DataFrame({"a": ["x"], "h": [pd.DataFrame()], "r": [{}]}), ["a", "x"]),
    "yes and no": (pd.DataFrame({"a": ["x"], "b": [True]}), ["a b", "x yes"]),
    "arrays": (pd.DataFrame({"a": ["x"], "b": [np.array([1, 2])]}), ["a b", "x [1 2]"]),
    "nothing": (pd.DataFrame({"a": []}), ["a"]),
}


@pytest.mark.parametrize(("frame", "lines"), TABLES.values(), ids=TABLES)
def test_whatever_pandas_holds_becomes_a_table(frame, lines):
    rows = BeautifulSoup(markup.table(frame, "caption"), "html.parser")("tr")
    assert [" ".join(" ".join(cell.text for cell in row(["th", "td"])).split()) for row in rows] == lines


def test_a_table_may_say_what_its_fractions_are():
    frame = pd.DataFrame({"epoch": [1, 2], "Adam": [0.11, 1.0]})
    table = markup.table(frame, "T", of="accuracy")
    assert ">0.1100</td>" in table and ">1.0000</td>" in table and ">1</th>" in table
    assert ">0.11</td>" in markup.table(frame, "T")


def test_a_share_in_percent_is_never_all_where_some_is_missing(a_page):
    shares = [markup.percent(share) for share in (0.0014, 0.02, 0.333, 0.98, 0.997, 0.9999, 1)]
    assert shares == ["0.14 %", "2 %", "33 %", "98 %", "99.7 %", "99.9 %", "100 %"]
    with pytest.raises(CourseworkError, match="as a fraction of 1"):
        a_page.publish("gap", 12.3, unit="%")


def test_rounded_numbers_end_in_a_digit_and_nouns_agree_with_theirs():
    rounded = [markup.digits(value, 1) for value in (4.4e-5, 1.1e-16, 1.04, 6.02)]
    assert rounded == ["4 × 10⁻⁵", "1 × 10⁻¹⁶", "1", "6"]
    assert [markup.counted(n, "epoch") for n in (0, 1, 1200)] == ["0 epochs", "1 epoch", "1,200 epochs"]


def test_a_printed_number_is_read_as_it_reads():
    assert [markup.read_number(text) for text in ("0.86", "86 %", "86.5%", "86-87", "nan")] == [
        0.86,
        0.86,
        0.865,
        None,
        None,
    ]


def test_a_figure_travels_with_alt_text_and_data(a_page, shell):
    a_page.publish("n", 3)
    figure = Figure(figsize=(1, 1))
    figure.subplots().plot([1, 2])
    drawing = Drawing(figure, "A line.", pd.DataFrame({"x": [1, 2]}), "One training each.")
    (image, about), (caption, role) = displayed(a_page.show, drawing, "Shows {n}.")
    assert about["image/png"] == {"alt": "A line.", "caption": "Shows 3. One training each.", "data": "x\n1\n2\n"}
    assert image["image/png"].startswith("iVBOR")
    assert caption["text/markdown"] == "*Shows 3. One training each.*"
    assert role == {"coursework": {"role": "caption"}}


def test_source_is_shown_as_it_stands_in_its_file(a_page, shell):
    [(data, _)] = displayed(a_page.source, markup.read_number, page.Page.finish)[:1]
    words, _, code = data["text/markdown"].partition("```python\n")
    assert words == "From `helpers/page/markup.py`:\n\n"
    assert code.removesuffix("\n```") in (CHECKOUT / "helpers/page/markup.py").read_text()
    shown = displayed(a_page.source, page.Page.finish, page.Page.say)
    [code] = [data["text/markdown"] for data, _ in shown]  # of one file: one block
    assert '\ndef finish(self) -> None:\n    """' in code and "\n\n\ndef say(" in code


def test_source_of_a_cell_is_shown(a_page, shell):
    shell.run_cell("def twice(x):\n    return 2 * x")
    [(data, _)] = displayed(a_page.source, shell.user_ns["twice"])
    assert data["text/markdown"] == "From this notebook:\n\n```python\ndef twice(x):\n    return 2 * x\n```"


def test_finish_hands_over_what_was_published(a_page, shell):
    with pytest.raises(CourseworkError, match="nothing published"):
        a_page.finish()
    dataset = {"name": "digits28", "title": "Digits", "source": "here", "standin": True}
    dataset["fingerprint"] = "f"
    banner = displayed(a_page.data, SimpleNamespace(**dataset))
    assert page.BANNER in banner[0][0]["text/markdown"]
    a_page.publish("test_accuracy", math.nan)
    a_page.predictions([0, 1, 2], [0, 1, 1])
    [(output, _)] = displayed(a_page.finish)
    bundle = output[page.BUNDLE]
    assert output["text/plain"] == ""
    assert bundle["data"] == [dataset]
    assert bundle["results"]["test_accuracy"]["value"] is None
    assert len(bundle["predictions"]["predicted"]) == 1


def test_results_of_one_row_and_of_several_are_published_as_they_are_read(a_page):
    columns = {"seed": [0, 1], "key": ["k0", "k1"], "status": ["ok", "ok"], "share": 1.0, "test_accuracy": [0.8, 0.9]}
    frame = pd.DataFrame({"row": "ours", **columns})
    ours = a_page.results(frame)
    assert a_page.published == {}
    assert a_page.fill(f"It reaches {ours.test_accuracy}.") == "It reaches 0.8500 ± 0.0707."
    result = a_page.published["test_accuracy"]
    assert (result["values"], result["records"], result["seeds"]) == ([0.8, 0.9], ["k0", "k1"], [0, 1])
    rows = a_page.results(pd.concat([frame, frame.assign(row="plain", test_accuracy=0.7, share=0.5)]))
    a_page.publish("gain", rows.ours.test_accuracy - rows.plain.test_accuracy)
    assert {"ours.test_accuracy", "plain.test_accuracy", "gain"} <= set(a_page.published)
    assert a_page.published["gain"]["values"] == pytest.approx([0.1, 0.2]) and a_page.published["gain"]["share"] == 0.5
    assert "†" in a_page.fill(f"{rows.plain.test_accuracy}") and "†" not in a_page.fill(f"{rows.ours.test_accuracy}")
