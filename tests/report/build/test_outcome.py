"""What is kept of a notebook's run: the command on its page makes it again, through a real shell and make."""

import json
import shutil
import subprocess
import sys
from types import SimpleNamespace

import pytest
from tiny_notebooks import CHECKOUT, FINISH, environment, report, state, write_notebook

from helpers.report.build import outcome, variables

VALUES = [["flip", "shift"], [0.1, -2], [], ["it's", 'a "b"'], 0.5, True, {"a": [1, "b c"]}]
VALUES += ["two words, a=b", "it's", 'a "b" c=d', "plain", "", "a\\", "ü\n x=3"]


@pytest.mark.parametrize("value", VALUES, ids=str)
def test_a_value_comes_back_from_the_printed_command(value):
    text = f"first=1 it={outcome._in_set(value)} last=[1, 2]"
    pairs = variables.pairs(text)
    assert list(pairs) == ["first", "it", "last"] and pairs["last"] == "[1, 2]"
    assert pairs["it"] == value if isinstance(value, str) else eval(pairs["it"]) == value


@pytest.mark.skipif(not shutil.which("make"), reason="no make")
def test_the_command_on_a_page_makes_it_again(tmp_path):
    homes = [tmp_path / "one", tmp_path / "two"]
    for home in homes:
        path = write_notebook(home, "good", 'page.publish("n", len(page.augment))', FINISH)
        more = r"lr: float = 0.1\nnote: str = \"\"\naugment: list = None\nwidths: list = None\nloud: bool = False"
        path.write_text(path.read_text().replace("lr: float = 0.1", more))
        (home / "notebooks" / "budgets.yaml").write_text("smoke: {all: {epochs: 1, augment: [], widths: [1]}}")
    words = "augment=['flip', 'shift'] widths=[64,\t10] note=\"it's $5, a=b\" loud=true lr=0.2"
    done = report(homes[0], "BUDGET=smoke", f"SET={words}", "SEED=3")
    assert done.returncode == 0, done.stdout + done.stderr
    before = state(homes[0], "good")
    settings = {"env": environment(homes[1], CONDA_PREFIX=sys.prefix), "cwd": CHECKOUT, "text": True}
    made = subprocess.run(before["command"], shell=True, check=False, capture_output=True, timeout=120, **settings)
    assert made.returncode == 0, made.stdout + made.stderr
    after = state(homes[1], "good")
    assert after["command"] == before["command"]
    assert after["parameters"] == before["parameters"]
    assert after["parameters"]["augment"] == ["flip", "shift"] and after["parameters"]["loud"] is True
    assert after["parameters"]["note"] == "it's $5, a=b"


def test_a_plain_notebook_is_told_from_one_that_asks_for_a_page():
    def job(*code):
        cells = [{"cell_type": "code", "source": source} for source in code]
        return outcome.Job(path=SimpleNamespace(stem="x"), nb={"cells": cells, "metadata": {}}, before=None)

    assert job("1 + 1").is_plain and job("import my_utils as mu", ["mu.train()"]).is_plain and job().is_plain
    assert not job("import helpers as mu", 'page = mu.begin("x", globals())').is_plain
    assert not job("page.finish()").is_plain
    assert job("1").datasets == [] and job("mu.begin()").datasets == ["fashion_mnist"]


NOTEBOOKS = {
    "cells": [{}, {"cells": 3, "metadata": {}}, {"cells": [], "metadata": []}, [], None, 3, "text"],
    "cell": [{"cell_type": "code"}, {"cell_type": 3, "source": ""}, {"cell_type": "code", "source": [1]}, 3],
}


def test_a_file_that_is_no_notebook_has_a_problem(tmp_path):
    wrong = NOTEBOOKS["cells"] + [{"cells": [cell], "metadata": {}} for cell in NOTEBOOKS["cell"]]
    assert not any(map(outcome._is_notebook, wrong))
    assert outcome._is_notebook({"cells": [{"cell_type": "code", "source": ["1"]}], "metadata": {}})
    for name, value in {"data": 5, "reads": "/etc/hosts"}.items():
        (tmp_path / "x.ipynb").write_text(json.dumps({"cells": [], "metadata": {"coursework": {name: value}}}))
        assert outcome.read_job(tmp_path / "x.ipynb", tmp_path).problem.startswith(f"{name} of its")
    (tmp_path / "x.ipynb").write_text('{"cells": [], "metadata": {"coursework": {"data": "cifar10"}}}')
    assert outcome.read_job(tmp_path / "x.ipynb", tmp_path).datasets == ["cifar10"]
    (tmp_path / "x.ipynb").write_text("no JSON")
    assert "not a notebook" in outcome.read_job(tmp_path / "x.ipynb", tmp_path).problem
