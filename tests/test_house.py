"""The rules of the house, read from the source: floors, sizes, doors, the map, clean notebooks."""

import ast
import functools
import graphlib
import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import plumbing
import pytest
from tiny_notebooks import environment

import helpers
from helpers.report import housekeeping
from helpers.trials import source

CHECKOUT = Path(__file__).resolve().parent.parent
SOURCES = sorted((CHECKOUT / "helpers").rglob("*.py"))
# What else lies in notebooks/ is somebody's own, in a style of theirs.
OURS = r"task\d_|study_[a-z]_|summary$|benchmark$|faults$"
NOTEBOOKS = sorted(path for path in (CHECKOUT / "notebooks").glob("*.ipynb") if re.match(OURS, path.stem))
# A room imports from the lines above its own, or from rooms to its left; inside a room there is no circle.
FLOORS = """
base
device networks page figures
data trials
notebook
training course
studies claims
report.sealed report.check report.export report report.build report.__main__
"""
EMPTY_NAMES = {"told", "said", "known", "found", "asked", "there", "mine", "wanted"}  # they say not what they hold
HEAVY = ("torch", "papermill", "nbconvert", "matplotlib", "pandas")
LIGHT = {  # modules that may not make a reader wait, and what they may load all the same
    "base": "",
    "page.parameters": "",
    "page.markup": "",
    "page": "",
    "trials.records": "",
    "trials.kinds": "",
    "data.sources": "",
    "claims": "pandas",
    "report.sealed": "",
    "report.check": "",
    "report.build.run": "",
}
DOORS = ("networks", "data", "training", "figures", "page", "trials", "studies", "claims", "course")


def module_of(path):
    return ".".join(path.relative_to(CHECKOUT / "helpers").with_suffix("").parts).removesuffix(".__init__")


def room_of(module):
    """The folder of a module, "report.build" for one in there; a file that FLOORS names is a room by itself."""
    return module if module in FLOORS.split() else module.rpartition(".")[0] or module


@functools.cache
def imports():
    """module -> the modules of helpers that it imports, for every file of helpers."""
    reached = {}
    for path in SOURCES:
        name = module_of(path)
        package = f"helpers.{name}" if path.name == "__init__.py" else f"helpers.{name}".rpartition(".")[0]
        modules = source.imported(ast.parse(path.read_text()), package)
        reached[name] = {module.removeprefix("helpers.") for module in modules} - {name}
    return reached


def test_imports_point_downwards():
    order, upwards = FLOORS.split(), []
    assert {room_of(name) for name in imports() if "." in name} | {"base", "device", "notebook"} == set(order)
    for name, reached in imports().items():
        if name in order or "." in name:  # the package itself hands on from every room
            below = order[: order.index(room_of(name)) + 1]
            upwards += [(name, other) for other in reached if room_of(other) not in below]
    assert upwards == []


def test_imports_run_in_no_circle():
    graphlib.TopologicalSorter(imports()).prepare()


def test_trials_know_no_model_and_trainings_no_download():
    for name, forbidden in [("trials.study", "networks training"), ("training.classifier", "data.sources trials")]:
        reached, queue = set(), [name]
        while queue:
            module = queue.pop()
            if module not in reached:
                reached.add(module)
                queue += imports()[module]
        assert not [m for m in reached if m in forbidden.split() or room_of(m) in forbidden.split()]


@pytest.mark.parametrize("path", SOURCES, ids=module_of)
def test_a_file_is_at_most_300_lines(path):
    assert len(path.read_text().splitlines()) <= 300


def test_light_modules_load_nothing_heavy():
    code = "import sys, importlib; importlib.import_module('helpers.' + sys.argv[1])"
    code += "\nsys.exit(' '.join({*sys.argv[2:]} & {*sys.modules}) or 0)"
    running = {}
    for name, allowed in LIGHT.items():
        heavy = [word for word in HEAVY if word not in allowed.split()]
        command = [sys.executable, "-c", code, name, *heavy]
        running[name] = subprocess.Popen(command, cwd=CHECKOUT, stderr=subprocess.PIPE, text=True)
    loaded = {name: process.communicate()[1].strip() for name, process in running.items()}
    assert loaded == dict.fromkeys(LIGHT, "")


@pytest.mark.parametrize("name", sorted({*helpers.NAMES} - {*helpers.course.__all__}))
def test_every_lazy_name_is_there(name):
    assert getattr(helpers, name) is not None


@pytest.mark.parametrize("room", DOORS)
def test_every_door_opens(room):
    door = getattr(helpers, room)
    for name in door.__all__:
        assert getattr(door, name) is not None
        assert name not in {path.stem for path in Path(door.__file__).parent.glob("*.py")}  # a file would hide it
    for path in Path(door.__file__).parent.glob("[a-z]*.py"):
        assert getattr(door, path.stem) is importlib.import_module(f"helpers.{room}.{path.stem}")
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = door.no_such_name


def test_an_unknown_name_is_refused():
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = helpers.no_such_name


READERS = ("read_text", "write_text", "open", "run", "Popen", "check_output", "fdopen", "NamedTemporaryFile")


def reads_text(call):
    """Whether a call reads or writes text without naming its encoding, as far as the source tells."""
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    owner = getattr(getattr(call.func, "value", None), "id", "")
    given = {word.arg: word.value for word in call.keywords}
    if name not in READERS or "encoding" in given or owner in ("os", "Image", "tarfile", "archive", "zipfile", "gzip"):
        return False
    if name in ("run", "Popen", "check_output"):
        return "text" in given or "universal_newlines" in given
    constants = [argument.value for argument in call.args if isinstance(argument, ast.Constant)]
    if name.endswith("_text"):
        return "utf-8" not in constants
    mode = given["mode"].value if "mode" in given else "".join(str(value) for value in constants[-1:])
    return "b" not in mode


@pytest.mark.parametrize("path", SOURCES, ids=module_of)
def test_whoever_reads_text_names_its_encoding(path):
    calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    assert [f"line {call.lineno}" for call in calls if reads_text(call)] == []


def test_text_without_an_encoding_is_noticed():
    bad = [
        "p.read_text()",
        "open('a')",
        "open('a', 'w')",
        "p.open()",
        "subprocess.run(a, text=True)",
        "p.write_text(x)",
    ]
    good = ["p.read_text(encoding='utf-8')", "open('a', 'rb')", "os.open('a', 1)", "subprocess.run(a)"]
    for lines, noticed in ((bad, True), (good, False)):
        assert {line: reads_text(ast.parse(line).body[0].value) for line in lines} == dict.fromkeys(lines, noticed)


MAP = (CHECKOUT / "helpers" / "README.md").read_text()


def test_the_map_has_a_line_for_every_module_and_no_other():
    listed = set(re.findall(r"^\| `([\w./]+)` \|", MAP, re.MULTILINE))
    files = {str(path.relative_to(CHECKOUT / "helpers")) for path in SOURCES if path.name != "__init__.py"}
    assert listed == files


def test_every_place_that_the_map_sends_to_exists():
    changes = MAP.split("## To change")[1]
    rows = [line for line in changes.splitlines() if line.startswith("| ") and "`" in line]
    assert len(rows) >= 15
    for place in re.findall(r"`((?:helpers|notebooks|tests)/[\w./]+)`", changes):
        assert (CHECKOUT / place).exists(), place
    for file, name in re.findall(r"`(helpers/[\w/]+\.py)`: `(\w+)`", changes):
        assert re.search(rf"\b{name}\b", (CHECKOUT / file).read_text()), (file, name)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_clean(path):
    assert housekeeping.cleaned(path) == path.read_text()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_keep_to_the_house_style(path):
    nb = nbformat.read(path, as_version=4)
    code = [cell for cell in nb.cells if cell.cell_type == "code"]
    assert nb.cells[0].source.startswith("# ")
    assert code[0].metadata.get("tags") == ["parameters"]
    parameters = ast.parse(code[0].source).body
    assert all(isinstance(line, ast.AnnAssign) and line.value for line in parameters)
    assert {"budget", "seed", "device", "data"} <= {line.target.id for line in parameters}
    assert f'mu.begin("{path.stem}", globals()' in code[1].source
    assert code[-1].source.strip().endswith("page.finish()")
    for cell in code:
        short = len(cell.source.splitlines()) <= 12 or cell is code[0]  # parameters are a list, one a line
        assert short, f"{cell.id} is longer than 12 lines"
        assert not [n for n in ast.walk(ast.parse(cell.source)) if isinstance(n, ast.ClassDef)]
        if "mu.claims.conclude(" in cell.source:  # a page opens with what was found
            assert cell.metadata.get("tags") == ["opening"], f"{cell.id} says what was found and needs the tag opening"


def names(tree):
    """Every name that a source tree gives or uses: of variables, parameters, attributes, functions and classes."""
    fields = {ast.Name: "id", ast.arg: "arg", ast.Attribute: "attr", ast.FunctionDef: "name", ast.ClassDef: "name"}
    return {getattr(node, fields[type(node)]) for node in ast.walk(tree) if type(node) in fields}


def test_a_name_says_what_it_holds():
    code = {path: [path.read_text()] for path in [*SOURCES, *(CHECKOUT / "tests").rglob("*.py")]}
    code |= {path: [c.source for c in nbformat.read(path, 4).cells if c.cell_type == "code"] for path in NOTEBOOKS}
    for path, sources in code.items():
        empty = {name for source in sources for name in names(ast.parse(source)) if name.strip("_") in EMPTY_NAMES}
        assert not empty, f"{path}: {empty}"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_at_most_a_fifth_of_a_notebook_is_plumbing(path):
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert plumbing.share([cell.source for cell in cells[1:]]) < 0.2  # the first are the parameters


def test_plumbing_is_counted():
    work = "import a\nfor b in a:\n    c = b\npage.say(f'{c}', {'d': c})"
    handed = "e = [c, c]\nf = page.about(a)\nif c:\n    page.publish('e', e,\n        **f)"
    assert plumbing.share([work]) == 0 and plumbing.share([handed]) == 1
    assert plumbing.share([work, handed]) == 5 / 9
    assert plumbing.share(["e = [c, c]\nprint(e)", "page.publish('e', e)"]) == 1 / 3


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_accuracy_stands_in_a_notebook(path):
    text = "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells)
    text = re.sub(r"momentum=[\d.]+|ppf\([\d.]+", "", text)  # settings that look like accuracies
    assert re.findall(r"\b0\.(?:[5-8]\d+|9\d\d+)\b|\b\d\d\.\d+ ?%", text) == []


def test_two_cells_with_one_id_are_noticed_and_told_apart(tmp_path):
    nb = nbformat.v4.new_notebook(metadata=housekeeping.METADATA)
    nb.cells = [nbformat.v4.new_markdown_cell("words", id="same") for _ in range(2)]
    path = tmp_path / "double.ipynb"
    path.write_text(json.dumps(nb))
    ids = [cell["id"] for cell in json.loads(housekeeping.cleaned(path))["cells"]]
    assert ids[0] == "same" and len(set(ids)) == 2


def test_a_soiled_notebook_is_noticed_and_cleaned(tmp_path, monkeypatch):
    nb = nbformat.v4.new_notebook(metadata={"coursework": {"data": []}, "widgets": {}})
    nb.cells = [nbformat.v4.new_code_cell("1", execution_count=3, id="one", metadata={"scrolled": True})]
    nb.cells[0].outputs = [nbformat.v4.new_output("stream", text="1")]
    nbformat.write(nb, tmp_path / "soiled.ipynb")
    monkeypatch.setattr(housekeeping.base, "NOTEBOOKS", tmp_path)
    assert housekeeping.lint_notebooks() == 1
    housekeeping.clean_notebooks()
    assert housekeeping.lint_notebooks() == 0
    cleaned = nbformat.read(tmp_path / "soiled.ipynb", as_version=4)
    assert cleaned.cells[0].id == "one"
    assert cleaned.metadata.coursework == {"data": []}


def test_make_prints_what_can_be_made():
    made = subprocess.run(["make"], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    for target in ("report", "test", "lab", "bench", "verify", "submission", "lint", "new-study", "clean"):
        assert f"make {target} " in made.stdout


@pytest.mark.skipif(not (CHECKOUT / ".venv/bin/python").exists(), reason="make has made no .venv here")
def test_make_refuses_an_unknown_variable(tmp_path):
    command = ["make", "-o", ".venv/.ready", "report", "BUGDET=full", "AUTHOR=O'Neil & Co"]
    settings = {"env": environment(tmp_path), "capture_output": True, "text": True, "check": False}
    made = subprocess.run(command, cwd=CHECKOUT, **settings)
    assert made.returncode == 2
    assert "unknown variable BUGDET; did you mean BUDGET?" in made.stderr.splitlines()[0]
    assert made.stdout == ""


def test_the_lock_has_only_versions_that_registries_have():
    lines = (CHECKOUT / "requirements.lock").read_text().splitlines()
    names = [line.split("==")[0] for line in lines]
    assert names == sorted(set(names))
    assert not [line for line in lines if "+" in line or "@" in line or "/" in line]
    assert {"torch", "papermill", "nbconvert", "pytest"} <= set(names)
    assert not {"pip", "setuptools", "neural-network-coursework"} & set(names)
