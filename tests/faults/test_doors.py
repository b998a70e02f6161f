"""A wrong parameter through each door: make, the command line, papermill, a kernel as JupyterLab has it."""

import shutil
import subprocess
import sys

import pytest
from jupyter_client.manager import start_new_kernel
from tiny_notebooks import CHECKOUT, FINISH, PARAMETERS, environment, write_notebook

SLOW = pytest.mark.slow
WRONG = {  # name=value -> what the line says
    "epochs=0": "expected at least 1",
    "epochs=many": "expected a value of type int",
    "budget=huge": "expected one of smoke, standard, full",
    "epoch=2": "unknown parameter epoch; did you mean epochs?",
    "epochs=-1": "expected at least 1",
    "epochs=1.5": "expected a value of type int",
    "lr=0": "expected above 0",
    "lr=nan": "expected a value of type float",
    "lr=1e999": "expected a value of type float",
    "seed=-3": "expected",
}
FEW = [*list(WRONG)[2:4], *(pytest.param(pair, marks=SLOW) for pair in WRONG if pair not in list(WRONG)[2:4])]
LITERALS = {"many": "'many'", "huge": "'huge'", "nan": "float('nan')"}
BEGIN = 'import helpers as mu\n\npage = mu.begin("tiny", globals())'


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with one notebook."""
    home = tmp_path_factory.mktemp("doors")
    write_notebook(home, "tiny", 'page.publish("a", 1)', FINISH)
    return home


@pytest.fixture
def unwritten(home):
    """Holds that a test leaves no file in the folder."""
    before = sorted(home.rglob("*"))
    yield home
    assert sorted(home.rglob("*")) == before


def refusal(home, *command, **more) -> str:
    """What a command says that is refused."""
    settings = {"env": environment(home, **more), "cwd": CHECKOUT, "capture_output": True, "text": True}
    done = subprocess.run([str(word) for word in command], check=False, timeout=120, **settings)
    assert done.returncode not in (0, -6, -9, -11), done.stdout
    return done.stderr


def as_variable(pair: str) -> str:
    """SET="name=value", or the variable of its own that the name has."""
    name, _, value = pair.partition("=")
    return f"{name.upper()}={value}" if name in ("budget", "seed") else f"SET={pair}"


@pytest.mark.fault("wrong parameters, through each door")
@pytest.mark.parametrize("pair", WRONG)
def test_the_command_line_refuses_in_one_line(unwritten, pair):
    [line] = refusal(unwritten, sys.executable, "-m", "helpers.report", as_variable(pair)).splitlines()
    assert WRONG[pair] in line


@pytest.mark.skipif(not shutil.which("make"), reason="no make")
@pytest.mark.fault("wrong parameters, through each door")
@pytest.mark.parametrize("pair", FEW)
def test_make_refuses_in_one_line_beside_its_own(unwritten, pair):
    line, *more = refusal(unwritten, "make", "report", as_variable(pair), CONDA_PREFIX=sys.prefix).splitlines()
    assert WRONG[pair] in line
    assert len(more) == 1 and more[0].startswith("make: *** ")


@pytest.mark.fault("wrong parameters, through each door")
@pytest.mark.parametrize("pair", FEW)
def test_papermill_ends_in_one_line(unwritten, tmp_path, pair):
    name, _, value = pair.partition("=")
    command = [sys.executable, "-m", "papermill", "--no-progress-bar", unwritten / "notebooks" / "tiny.ipynb"]
    error = refusal(unwritten, *command, tmp_path / "out.ipynb", "-p", name, value)
    line = error.strip().splitlines()[-1]
    assert line.startswith("CourseworkError: tiny: ") and WRONG[pair] in line
    assert "helpers/" not in error  # no line of ours between


@pytest.fixture(scope="module")
def execute(home):
    """execute(code): (content of the reply, error's traceback lines) from a kernel beside the notebook."""
    settings = {"env": environment(home, PYTHONPATH=str(CHECKOUT)), "cwd": str(home / "notebooks")}
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    manager, client = start_new_kernel(**settings, **streams)

    def run(code):
        shown = []

        def keep(message):
            shown.extend(message["content"]["traceback"] if message["msg_type"] == "error" else ())

        return client.execute_interactive(code, output_hook=keep, timeout=60)["content"], shown

    yield run
    client.stop_channels()
    manager.shutdown_kernel(now=True)
    manager.cleanup_resources()


@pytest.mark.fault("wrong parameters, through each door")
@pytest.mark.parametrize("pair", [pair for pair in WRONG if pair != "epoch=2"])  # there a new parameter of one's own
def test_a_kernel_shows_one_line(unwritten, execute, pair):
    name, _, value = pair.partition("=")
    lines = [line for line in PARAMETERS.splitlines() if not line.startswith(f"{name}:")]
    kind = {"budget": "str", "lr": "float"}.get(name, "int")
    edited = "\n".join([*lines, f"{name}: {kind} = {LITERALS.get(value, value)}"])
    assert execute(edited)[0]["status"] == "ok"
    reply, shown = execute(BEGIN)
    assert (reply["status"], reply["ename"]) == ("error", "CourseworkError")
    assert len(shown) == 1 and "\n" not in shown[0] and WRONG[pair] in shown[0]
    assert execute(PARAMETERS)[0]["status"] == execute(BEGIN)[0]["status"] == "ok"  # mended, it goes on
