"""Builds that are killed, disturbed or given hopeless notebooks: nothing stays behind, and the next one goes on.

KILLS=20 tries twenty moments instead of three, KILLS_SEED=n the same ones again.
"""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from tiny_notebooks import CHECKOUT, FINISH, environment, report, state, write_notebook

from helpers.report import sealed
from helpers.trials import records

SLOW = pytest.mark.slow
pytestmark = SLOW  # each of these builds a report in processes of its own
SEED = os.environ.get("KILLS_SEED") or str(random.SystemRandom().randrange(10**6))
KILLS = int(os.environ.get("KILLS") or 3)
SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGKILL")
TESTS = {"PYTHONPATH": str(CHECKOUT / "tests"), "JOBS": "2"}  # where the trial functions of the tests lie
TRAINS = """from trial_functions import Config, fit_line

same = {"log": "../log", "epochs": 8, "pause": 0.05, "save_every": 2}
trials = mu.run(fit_line, [Config(lr=PART * rate, **same) for rate in (0.1, 0.2, 0.3)], study="killed", seeds=[1, 2])
page.publish("loss", trials["loss"].tolist())
page.say("The loss is {loss}.")"""
NAMES = {"one": (1, []), "two": (2, ["one"]), "beside": (0.5, [])}


def trains(home):
    """Three notebooks of six trainings each, some of which they share."""
    for name, (part, needs) in NAMES.items():
        write_notebook(home, name, TRAINS.replace("PART", str(part)), FINISH, needs=needs)
    return home


def started(home, *words, **more):
    """A build in a session of its own."""
    command = [sys.executable, "-m", "helpers.report", "BUDGET=smoke", *words]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "start_new_session": True}
    return subprocess.Popen(command, env=environment(home, **TESTS, **more), cwd=CHECKOUT, **pipes)


def processes(home) -> list[str]:
    """What runs for builds in `home`: themselves, their kernels, their workers."""
    commands = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("COURSEWORK_HOME") == str(home) and process.status() != psutil.STATUS_ZOMBIE:
                commands.append(" ".join(process.cmdline()))
    return commands


def wait_until(condition, seconds):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.1)
    assert condition()


def begun(home) -> list[str]:
    """A line for each training begun."""
    return (home / "log").read_text().splitlines() if (home / "log").exists() else []


def trained(home) -> dict:
    """file -> history of each finished training; every record that is there is whole."""
    loaded = {path.name: records.load(path) for path in (home / "reports").glob("records/killed/*.json")}
    return {name: record["history"] for name, record in loaded.items()}


def outcome(home) -> dict:
    """name -> (results, hashes of what its page says) of each page; no file is a half one."""
    pages = {}
    for name in NAMES:
        result = state(home, name)["results"]["loss"]
        text = (home / "reports" / "smoke" / f"{name}.html").read_text()
        assert sealed.examine(text.encode()) is not None and text.rstrip().endswith("</html>")
        sections = sealed.embedded(text, "manifest")["sections"]
        pages[name] = result, [part for part in sections if part[0] in ("code", "prose", "table", "printed", "figure")]
    return pages


def assert_no_half_file(home):
    """Every file that a reader may open is whole, also right after the kill."""
    for path in (home / "reports").rglob("[!.]*"):
        if path.suffix in (".json", ".ipynb"):
            json.loads(path.read_text())
        elif path.suffix == ".html":
            assert path.read_text().rstrip().endswith("</html>")


@pytest.fixture(scope="module")
def calm(tmp_path_factory):
    """What a build gives that nobody disturbs, and the seconds that it takes."""
    home = trains(tmp_path_factory.mktemp("calm"))
    begin = time.monotonic()
    done = report(home, "BUDGET=smoke", **TESTS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(begun(home)) == len(trained(home)) == 14
    return SimpleNamespace(seconds=time.monotonic() - begin, outcome=outcome(home), trained=trained(home))


def killed(home, name, moment):
    """A build that gets the signal at this moment, unless it ends before; returns its exit code."""
    with started(home) as build:
        with contextlib.suppress(subprocess.TimeoutExpired):
            build.wait(moment)
        build.send_signal(getattr(signal, name))
        build.communicate(timeout=60)
    wait_until(lambda: not processes(home), 10)
    assert_no_half_file(home)
    return build.returncode


@SLOW
@pytest.mark.fault("builds that are killed")
@pytest.mark.parametrize("number", range(KILLS))
def test_a_build_killed_at_a_random_moment_is_finished_by_the_next(calm, tmp_path, number):
    draw = random.Random(f"{SEED} {number}")
    name, moment = draw.choice(SIGNALS), draw.uniform(0.2, calm.seconds)
    print(f"KILLS_SEED={SEED}: {name} after {moment:.2f} s of {calm.seconds:.1f}")
    home = trains(tmp_path)
    killed(home, name, moment)
    lines, finished = begun(home), trained(home)
    again = report(home, "BUDGET=smoke", **TESTS)
    assert again.returncode == 0, again.stdout + again.stderr
    assert outcome(home) == calm.outcome and trained(home) == calm.trained
    assert len(begun(home)) - len(lines) == 14 - len(finished)  # no finished trial is trained again
    assert not processes(home) and "Nothing to do" in report(home, "BUDGET=smoke", **TESTS).stdout


@pytest.mark.fault("builds that are killed")
def test_a_build_killed_while_it_trains_is_finished_by_the_next(calm, tmp_path):
    home = trains(tmp_path)
    with started(home) as build:
        wait_until(lambda: len(trained(home)) >= 2, 60)
        build.kill()
        build.communicate(timeout=60)
    wait_until(lambda: not processes(home), 10)
    assert_no_half_file(home)
    left = Path((home / "reports" / "smoke" / ".scratch").read_text())
    assert left.is_dir()
    lines, finished = begun(home), trained(home)
    again = report(home, "BUDGET=smoke", **TESTS)
    assert again.returncode == 0, again.stdout + again.stderr
    assert outcome(home) == calm.outcome and trained(home) == calm.trained
    assert len(begun(home)) - len(lines) == 14 - len(finished)
    assert not left.exists()  # the killed build's temporary folder


@pytest.mark.fault("two builds at once")
def test_of_two_builds_at_once_the_second_is_refused_in_one_line(tmp_path):
    write_notebook(tmp_path, "waits", "import time\ntime.sleep(4)", 'page.publish("a", 1)', FINISH)
    with started(tmp_path) as first:
        wait_until(lambda: (tmp_path / "reports" / "smoke" / "build.log").exists(), 60)
        second = report(tmp_path, "BUDGET=smoke")
        assert second.returncode == 1 and second.stdout == ""
        assert "another build" in second.stderr and len(second.stderr.splitlines()) == 1
        output, errors = first.communicate(timeout=60)
    assert first.returncode == 0, output + errors
    assert state(tmp_path, "waits")["status"] == "complete"


BACK = """import time

_time, _start = time.time, time.monotonic()
time.time = lambda: _time() - 86400 * (time.monotonic() - _start > 2)
"""


@SLOW
@pytest.mark.fault("a clock that is set back")
def test_a_clock_that_is_set_back_stops_nothing(calm, tmp_path):
    home = trains(tmp_path)
    (home / "clock").mkdir()
    (home / "clock" / "sitecustomize.py").write_text(BACK)
    done = report(home, "BUDGET=smoke", JOBS="2", PYTHONPATH=f"{home / 'clock'}{os.pathsep}{TESTS['PYTHONPATH']}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert outcome(home) == calm.outcome
    for path in (home / "reports").rglob("*"):  # what a clock left that was ahead by a year
        os.utime(path, (time.time() + 3e7, time.time() + 3e7))
    again = report(home, "BUDGET=smoke", **TESTS)
    assert again.returncode == 0 and "Nothing to do" in again.stdout and len(begun(home)) == 14


@pytest.mark.fault("no home folder")
@pytest.mark.parametrize("place", ["", *(pytest.param(place, marks=SLOW) for place in ("/nonexistent", "a file"))])
def test_a_build_needs_no_home_folder(tmp_path, place):
    write_notebook(tmp_path, "good", 'page.publish("a", 1)', FINISH)
    (tmp_path / "file").touch()
    outside = {name: value for name, value in os.environ.items() if name.startswith("XDG_")}
    variables = environment(tmp_path, HOME=str(tmp_path / "file") if place == "a file" else place)
    variables = {name: value for name, value in variables.items() if value and name not in outside}
    command = [sys.executable, "-m", "helpers.report", "BUDGET=smoke"]
    done = subprocess.run(command, env=variables, cwd=CHECKOUT, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    assert state(tmp_path, "good")["status"] == "complete"


@pytest.mark.fault("no room for sockets")
def test_a_folder_too_long_for_a_socket(tmp_path):
    write_notebook(tmp_path, "good", 'page.publish("a", 1)', FINISH)
    long = tmp_path / ("long" * 25)
    long.mkdir()
    done = report(tmp_path, "BUDGET=smoke", TMPDIR=str(long))
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr


STUBBORN = """import time

while True:
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        pass"""
HOPELESS = {  # name -> (code of its cell, how it ends, a word of the reason)
    "killed": ("import os\nos.kill(os.getpid(), 9)", "failed", "died"),
    "stubborn": (STUBBORN, "timed out", "more than 2 s"),
    "one_line": ("print('x' * 50_000_000)", "complete", ""),
    "many_pieces": (
        "import sys\nfor n in range(3000):\n    print(n, flush=True)\n    print(n, file=sys.stderr)", "complete", ""),
    "long_error": ("raise ValueError('x' * 50_000_000)", "failed", "ValueError: xxx"),
}  # fmt: skip
RARE = {
    "exits": ("import os\nos._exit(0)", "failed", "died"),
    "exits_politely": ("exit()", "complete", ""),
    "many_lines": ("for n in range(1_000_000):\n    print('x' * 99)", "complete", ""),
    "one_value": ("'x' * 50_000_000", "complete", ""),
    "many_returns": ("for n in range(100_000):\n    print(n, end='\\r')", "complete", ""),
    "no_text": ("import os\nfor n in range(1000):\n    os.write(1, bytes(range(256)))", "complete", ""),
    "nested": ("x = " + "-" * 50_000 + "1", "failed", "Error"),
    "deep": ("def f(n):\n    return f(n + 1)\nf(0)", "failed", "RecursionError"),
}
ENDS = [*HOPELESS, *(pytest.param(name, marks=SLOW) for name in RARE)]
FILES = {"empty": b"", "half": b'{"cells": [', "bytes": bytes(range(256)) * 99, "deep_json": b"[" * 99_999}


@pytest.fixture(scope="module")
def hopeless(tmp_path_factory, request):
    """One build of the hopeless notebooks that tests here ask for, beside a good one."""
    home = tmp_path_factory.mktemp("hopeless")
    write_notebook(home, "good", 'page.publish("a", 1)', FINISH)
    names = {item.callspec.params.get("name") for item in request.session.items if hasattr(item, "callspec")}
    for name, (code, _, _) in (HOPELESS | RARE).items():
        about = {"timeout": 2} if name == "stubborn" else {}
        if name in names:
            write_notebook(home, name, 'page.publish("a", 1)', code, FINISH, **about)
    for name, content in FILES.items():
        (home / "notebooks" / f"{name}.ipynb").write_bytes(content)
    (home / "notebooks" / "folder.ipynb").mkdir()
    done = report(home, "BUDGET=smoke", limit=280)
    return SimpleNamespace(home=home, done=done)


@pytest.mark.fault("notebooks that end badly")
@pytest.mark.parametrize("name", ENDS)
def test_a_hopeless_notebook_ends_and_says_how(hopeless, name):
    _, status, word = (HOPELESS | RARE)[name]
    built = state(hopeless.home, name)
    assert (built["status"], word in built["reason"]) == (status, True), built["reason"]
    assert len(built["reason"]) < 400
    assert (hopeless.home / "reports" / "smoke" / f"{name}.html").stat().st_size < 1e6
    assert (hopeless.home / "reports" / "smoke" / f"{name}.ipynb").stat().st_size < 2e6


@pytest.mark.fault("notebooks that end badly")
def test_of_many_pieces_printed_by_turns_none_is_lost(hopeless):
    text = (hopeless.home / "reports" / "smoke" / "many_pieces.ipynb").read_text()
    [cell] = [cell for cell in json.loads(text)["cells"] if "file=sys.stderr" in "".join(cell["source"])]
    printed = {output["name"]: "".join(output["text"]).split() for output in cell["outputs"]}
    assert printed == {name: [str(n) for n in range(3000)] for name in ("stdout", "stderr")}
    assert len(cell["outputs"]) == 2


@pytest.mark.fault("notebooks that end badly")
@pytest.mark.parametrize("name", [*FILES, "folder"])
def test_a_file_that_is_no_notebook_is_said_in_one_line(hopeless, name):
    [line] = [line for line in hopeless.done.stdout.splitlines() if line.startswith(f"{name} ")]
    assert " failed " in line and "is not a notebook: mend it in JupyterLab or remove it" in line


@pytest.mark.fault("notebooks that end badly")
def test_beside_hopeless_notebooks_the_good_one_is_a_page(hopeless):
    assert (hopeless.done.returncode, hopeless.done.stderr) == (1, "")
    assert state(hopeless.home, "good")["status"] == "complete"
    assert not processes(hopeless.home)
    assert (hopeless.home / "reports" / "smoke" / "build.log").stat().st_size < 1e6


@SLOW
@pytest.mark.fault("builds that are killed")
def test_ctrl_c_ends_a_build_whose_notebook_prints_one_long_line(tmp_path):
    code = f'open({str(tmp_path / "mark")!r}, "w").close()\nprint("x" * 50_000_000)'
    write_notebook(tmp_path, "long", 'page.publish("a", 1)', code, "import time\ntime.sleep(90)", FINISH)
    with started(tmp_path) as build:
        wait_until((tmp_path / "mark").exists, 60)
        time.sleep(2)
        build.send_signal(signal.SIGINT)
        begin = time.monotonic()
        output, errors = build.communicate(timeout=60)
    assert time.monotonic() - begin < 20 and build.returncode == 1, output + errors
    assert state(tmp_path, "long")["status"] == "interrupted"
    assert not processes(tmp_path)
