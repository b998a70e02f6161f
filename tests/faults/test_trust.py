"""What others wrote is read as data, and what is shown is text: files with wrong types, markup, code in a value."""

import ast
import copy
import getpass
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from tiny_notebooks import CHECKOUT, FINISH, environment, report, state, write_notebook

from helpers import base
from helpers.claims.evidence import load_results
from helpers.report.build.run import Build

WRONG = (None, 3, "x", [[]], {"a": [[1]]})
MARKUP = "<script>alert(1)</script><img src=x onerror=alert(2)>"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Two pages, one of which needs the other; what is printed, raised and published holds markup."""
    home = tmp_path_factory.mktemp("trust")
    write_notebook(home, "tiny", f'print("""{MARKUP}""")', 'page.publish("a<b>&amp;", 1)', FINISH)
    error = f'import json\n\njson.loads("")  # {MARKUP}'
    warn = 'import warnings\n\nwarnings.warn_explicit("careful", UserWarning, mu.base.__file__, 3)\n'
    warn += "print(mu.base.CHECKOUT / 'x', mu.base.Path.home() / 'x')\nmu.base.Path.home() / 'y'"
    write_notebook(home, "fails", warn, f'raise ValueError("""{MARKUP}""")', error, FINISH)
    write_notebook(home, "lost", warn, "mu.figures.bars(3)", error, FINISH, needs=["tiny"])
    done = report(home, "BUDGET=smoke", f"AUTHOR={MARKUP}")
    assert done.returncode == 1 and state(home, "tiny")["status"] == "complete", done.stdout + done.stderr
    return home


def places(value, path=()):
    """The path of each item inside, however deep."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in items:
        yield from places(item, (*path, name))


def changed(value, path, new):
    """`value` with `new` at this path."""
    if not path:
        return new
    value = copy.copy(value)
    value[path[0]] = changed(value[path[0]], path[1:], new)
    return value


@pytest.mark.fault("states of pages with wrong types")
def test_a_state_with_wrong_types_is_of_use_or_counts_as_none(built, monkeypatch, record_property):
    for name, folder in (("ROOT", ""), ("NOTEBOOKS", "notebooks"), ("REPORTS", "reports"), ("PUBLISHED", "none")):
        monkeypatch.setattr(base, name, built / folder)
    path = built / "reports" / "smoke" / "tiny.json"
    text, tried = path.read_text(), 0
    wrong = [changed(json.loads(text), place, new) for place in places(json.loads(text)) for new in WRONG]
    for content in ["", "[" * 99_999, "\udcff", *map(json.dumps, wrong)]:
        path.write_bytes(content.encode("utf-8", "surrogateescape"))
        build = Build(budget="smoke")
        build._look()
        for job in build._select():
            build.data_of = {}
            build._compare(job)
        for result in load_results("smoke").values():
            assert isinstance(result["n"], int) and isinstance(result["values"], list)
        tried += 1
    path.write_text(text)
    record_property("tried", tried)
    assert tried > 200


@pytest.mark.fault("states of pages with wrong types")
@pytest.mark.parametrize("field", ["author", "results", "reason", "title", "provenance", "data", "inputs", "used"])
@pytest.mark.parametrize("value", [None, [[1]], {"a": [[1]]}])
def test_an_index_of_states_with_wrong_types_is_written(built, monkeypatch, field, value):
    for name, folder in (("ROOT", ""), ("NOTEBOOKS", "notebooks"), ("REPORTS", "reports")):
        monkeypatch.setattr(base, name, built / folder)
    path = built / "reports" / "smoke" / "tiny.json"
    text = path.read_text()
    path.write_text(json.dumps(json.loads(text) | {field: value}))
    assert "fails" in Build(budget="smoke").index().read_text()
    path.write_text(text)


@pytest.mark.fault("markup where text is expected")
@pytest.mark.parametrize("page", ["tiny.html", "fails.html", "lost.html", "index.html", "../marking-sheet-smoke.html"])
def test_markup_in_a_text_is_shown_as_text(built, page):
    if page.startswith("../"):
        (built / "notebooks" / "rubric.yaml").write_text((CHECKOUT / "notebooks" / "rubric.yaml").read_text())
        assert report(built, "marking-sheet", "BUDGET=smoke").returncode == 0
    text = (built / "reports" / "smoke" / page).read_text()
    assert "alert" in text  # it is said
    soup = BeautifulSoup(text, "html.parser")
    assert {script["type"] for script in soup("script")} <= {"application/json"}
    assert not [tag for tag in soup(True) if any(name.startswith("on") for name in tag.attrs)]


@pytest.mark.fault("names of the machine on a page")
@pytest.mark.parametrize("page", ["tiny.html", "fails.html", "lost.html", "index.html"])
def test_no_page_names_the_user_or_the_folders_of_this_machine(built, page):
    text = (built / "reports" / "smoke" / page).read_text()
    folders = {
        str(Path.home()),
        str(CHECKOUT),
        str(built),
        sys.prefix,
        str(Path(sys.prefix).resolve()),
        sys.base_prefix,
    }
    assert not [folder for folder in folders if f"{folder}/" in text]
    assert not re.search(rf"(/home/|/Users/|\\Users\\){re.escape(getpass.getuser())}", text)


@pytest.mark.skipif(not shutil.which("make"), reason="no make")
@pytest.mark.fault("code in a value")
@pytest.mark.parametrize(
    "name, value",
    [
        ("AUTHOR", "$(shell touch CANARY)"),
        ("SET", "lr=$(shell touch CANARY)"),
        ("NAME", "$(shell touch CANARY)$$(touch CANARY)"),
    ],
)
@pytest.mark.parametrize("quoting", ["{}", "'{}'", '"`{}`"'])
def test_make_runs_nothing_that_stands_in_a_value(tmp_path, name, value, quoting):
    canary = tmp_path / "canary"
    word = f"{name}={quoting.format(value.replace('CANARY', str(canary)))}"
    settings = {"env": environment(tmp_path, CONDA_PREFIX=sys.prefix), "cwd": CHECKOUT, "capture_output": True}
    words = ["new-study"] if name == "NAME" else ["report", "BUDGET=huge"]
    subprocess.run(["make", *words, word], check=False, timeout=60, **settings)
    assert not canary.exists()


def calls() -> list[tuple]:
    """(file, function called, keywords that are True) of each call in helpers and notebooks."""
    sources = {path: path.read_text() for path in (CHECKOUT / "helpers").rglob("*.py")}
    for path in (CHECKOUT / "notebooks").glob("*.ipynb"):
        cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
        sources[path] = "\n".join("".join(cell["source"]) for cell in cells)
    all_calls = []
    for path, source in sources.items():
        for node in [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]:
            true = {word.arg for word in node.keywords if ast.unparse(word.value) == "True"}
            if isinstance(node.func, ast.Attribute):
                all_calls.append((path.name, f"{ast.unparse(node.func.value)[-9:]}.{node.func.attr}", true))
    return all_calls


@pytest.mark.fault("files that could call code")
def test_nothing_is_read_in_a_way_that_calls_code():
    all_calls = calls()
    loads = [true for _, name, true in all_calls if name == "torch.load"]
    assert loads and all("weights_only" in true for true in loads)
    assert {file for file, name, _ in all_calls if name.startswith("pickle.")} == {"decoders.py"}  # after their hashes
    assert not [name for _, name, _ in all_calls if name in ("yaml.load", "torch.hub.load", "joblib.load", "os.system")]
    assert not [name for _, name, true in all_calls if "allow_pickle" in true]


@pytest.mark.fault("doors to the network")
def test_jupyter_and_the_dashboard_listen_on_this_machine_alone():
    makefile, readme = (CHECKOUT / "Makefile").read_text(), (CHECKOUT / "README.md").read_text()
    [lab] = [line for line in makefile.splitlines() if "jupyterlab" in line]
    assert "--ip=127.0.0.1" in lab
    assert '"dashboard_address": "127.0.0.1:8787"' in readme
