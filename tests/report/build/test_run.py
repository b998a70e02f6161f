"""The build, with real kernels: how runs end, what makes a page stale, what stops before a kernel."""

import json
import os
import signal
import subprocess
import sys
import time

import nbformat
import pytest
from tiny_notebooks import CHECKOUT, FINISH, environment, report, state, write_notebook

from helpers import base
from helpers.report.build.run import Build

GOOD = (
    'page.publish("lr", [page.lr, 3 * page.lr], seeds=[0, 1])\npage.say("{lr.n} values")',
    f'import sys\n\npage.publish("pinned", sys.executable == {sys.executable!r})\nprint("printed")',
    FINISH,
)
TOTAL = """import json
from pathlib import Path

states = [json.loads(path.read_text()) for path in Path("../reports/smoke").glob("*.json")]
page.publish("others", len(states))"""
ENDS = {"good": "complete", "bad": "failed", "slow": "timed out", "silent": "failed", "dead": "failed"}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Notebooks that end in every way, and a kernel registered that cannot start."""
    home = tmp_path_factory.mktemp("home")
    write_notebook(home, "good", *GOOD)
    write_notebook(home, "bad", 'page.publish("a", 1)', "undefined_name", FINISH)
    write_notebook(home, "slow", "import time\ntime.sleep(60)", FINISH, timeout=1)
    write_notebook(home, "silent", "1 + 1")
    write_notebook(home, "dead", "import os\nos._exit(3)", FINISH)
    write_notebook(home, "total", TOTAL, FINISH, needs="all")
    rogue = home / "jupyter" / "kernels" / "python3"
    rogue.mkdir(parents=True)
    spec = {"argv": ["/bin/false"], "display_name": "Python 3", "language": "python"}
    (rogue / "kernel.json").write_text(json.dumps(spec))
    return home


@pytest.fixture(scope="module")
def first(home):
    """The first build of all of them."""
    return report(home, "BUDGET=smoke", "AUTHOR=A. Reader", JUPYTER_PATH=str(home / "jupyter"))


def page_of(home, name):
    return (home / "reports" / "smoke" / f"{name}.html").read_text()


def test_each_run_ends_as_it_did(home, first):
    assert first.returncode == 1, first.stderr
    assert {name: state(home, name)["status"] for name in ENDS} == ENDS
    assert "undefined_name" in state(home, "bad")["reason"]
    assert "1 s" in state(home, "slow")["reason"]
    assert "died" in state(home, "dead")["reason"]
    assert "page.finish()" in state(home, "silent")["reason"]


def test_every_run_leaves_a_page_that_says_how_it_ended(home, first):
    for name, status in ENDS.items():
        assert status in page_of(home, name)
    assert "NameError" in page_of(home, "bad")
    assert "A. Reader" in page_of(home, "good")
    assert "papermill" not in page_of(home, "bad").lower()


def test_a_registered_kernel_is_not_used(home, first):
    assert state(home, "good")["results"]["pinned"]["value"] == 1


def test_the_terminal_and_the_log_have_a_line_for_each_notebook(home, first):
    log = (home / "reports" / "smoke" / "build.log").read_text()
    for name in ENDS:
        assert sum(line.startswith(name) for line in first.stdout.splitlines()) == 1
        assert f" {name} " in log
    assert first.stdout.splitlines()[-1].endswith("reports/smoke/index.html")
    assert first.stderr == ""


def test_what_needs_all_runs_last(home, first):
    assert state(home, "total")["results"]["others"]["value"] == len(ENDS)


def test_the_state_holds_results_and_provenance(home, first):
    built = state(home, "good")
    assert built["results"]["lr"]["values"] == pytest.approx([0.1, 0.3])
    assert built["parameters"]["epochs"] == 1  # filled from budgets.yaml
    assert built["provenance"]["seeds"] == [0, 1]
    assert built["provenance"]["machine"]["python"]
    assert built["command"] == "make report BUDGET=smoke ONLY=good"


def test_the_executed_notebook_is_free_of_papermill(home, first):
    nb = nbformat.read(home / "reports" / "smoke" / "bad.ipynb", as_version=4)
    nbformat.validate(nb)
    assert "papermill" not in nbformat.writes(nb)
    assert "injected-parameters" in [cell["id"] for cell in nb.cells]


def test_a_second_build_does_nothing(home, first):
    stamp = (home / "reports" / "smoke" / "good.html").stat().st_mtime_ns
    began = time.monotonic()
    second = report(home, "BUDGET=smoke", "ONLY=good", "AUTHOR=A. Reader")
    assert time.monotonic() - began < 10
    assert second.returncode == 0, second.stderr
    assert "Nothing to do" in second.stdout
    assert (home / "reports" / "smoke" / "good.html").stat().st_mtime_ns == stamp


@pytest.fixture
def small(tmp_path):
    """A folder with one notebook, built."""
    write_notebook(tmp_path, "good", *GOOD)
    built = report(tmp_path, "BUDGET=smoke")
    assert built.returncode == 0, built.stderr
    return tmp_path


def test_what_changed_decides_what_is_done(small):
    started = state(small, "good")["started"]
    write_notebook(small, "good", *GOOD, prose="Other words.")
    built = report(small, "BUDGET=smoke")
    assert "page only" in built.stdout and "Setting good again, changed: its notebook's text\n" in built.stdout
    assert "Other words." in page_of(small, "good")
    assert "printed" in page_of(small, "good")  # the outputs of the run are still there
    assert state(small, "good")["started"] == started

    (small / "reports" / "smoke" / "good.html").unlink()
    assert "page only" in report(small, "BUDGET=smoke").stdout

    write_notebook(small, "added", 'page.publish("b", 2)', FINISH, reads=["reports/bench.json"])  # registered nowhere
    built = report(small, "BUDGET=smoke")
    assert "added" in built.stdout
    assert "Setting good again, changed: how pages are set\n" in built.stdout  # it has a neighbour now
    assert "added.html" in (small / "reports" / "smoke" / "index.html").read_text()
    assert state(small, "good")["started"] == started

    (small / "reports" / "bench.json").write_text("{}")
    built = report(small, "BUDGET=smoke").stdout
    assert "Running added again, changed: files that it reads" in built and "good" not in built

    write_notebook(small, "good", GOOD[0].replace("3 *", "5 *"), *GOOD[1:], prose="Other words.")
    report(small, "ONLY=added", "BUDGET=smoke")
    assert "stale" in (small / "reports" / "smoke" / "index.html").read_text()
    built = report(small, "BUDGET=smoke", "SET=lr=0.2")
    assert built.returncode == 0
    assert "Running good again, changed: its notebook's code, its parameters (lr)\n" in built.stdout
    assert state(small, "good")["results"]["lr"]["values"] == pytest.approx([0.2, 1.0])
    assert state(small, "good")["changed"] == {"lr": 0.2}
    assert report(small, "BUDGET=smoke").returncode == 0
    assert state(small, "good")["changed"] == {}


WRONG = {
    "BUGDET=full": "BUDGET",
    "BUDGET=huge": "smoke, standard, full",
    "DATA=fake": "auto, real, standin",
    "JOBS=many": "JOBS=many",
    "ENGINE=cloud": "tcp://",
    "ONLY=task9": "good",
    "ALL=yes": "ALL=yes",
    "SET=lr=abc": "lr=abc",
    "SET=lr=-1": "above 0",
    "SET=epochs=0": "at least 1",
    "SET=eposch=2": "epochs",
    "SET=lr": "name=value",
    "SET=budget=full": "BUDGET=full",
    "SET=epochs=[1]": "epochs=[1]",
    "biuld": "build",
}


@pytest.mark.parametrize("word", WRONG)
def test_a_mistake_gets_one_line_before_a_kernel_starts(tmp_path, word):
    write_notebook(tmp_path, "good", *GOOD)
    done = report(tmp_path, word)
    assert done.returncode == 1
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert WRONG[word] in done.stderr
    assert not (tmp_path / "reports" / "standard" / "good.json").exists()


CIRCLES = {
    "misspelt": ({"good": ["task9"]}, "good, needs: unknown notebook task9"),
    "each other": ({"good": ["other"], "other": ["good"]}, "need each other: "),
    "itself": ({"good": ["good"]}, "good -> good"),
    "all and back": ({"good": ["other"], "other": "all"}, "need each other: "),
    "no list": ({"good": "other", "other": []}, 'give "all" or a list'),
    "no names": ({"good": [3]}, 'give "all" or a list'),
}


@pytest.mark.parametrize(("needs", "words"), CIRCLES.values(), ids=CIRCLES)
def test_needs_that_cannot_be_met_are_refused_before_anything_runs(tmp_path, needs, words):
    for name, names in needs.items():
        write_notebook(tmp_path, name, *GOOD, needs=names)
    done = report(tmp_path, "BUDGET=smoke", limit=30)
    assert done.returncode == 1 and done.stdout == ""
    assert words in done.stderr and len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.rglob("good.json"))


TRAINS = """from trial_functions import Config, fit_line

trials = mu.run(fit_line, {"a": Config(log=LOG), "b": Config(log=LOG, lr=0.2)}, study="shared")
page.publish_trials("a", trials)"""


def test_fresh_trains_once_for_all_notebooks_and_the_next_build_does_nothing(tmp_path):
    log = tmp_path / "trainings"
    for name, needs in {"one": [], "two": ["one"], "beside": []}.items():
        write_notebook(tmp_path, name, TRAINS.replace("LOG", repr(str(log))), FINISH, needs=needs)
    settings = {"PYTHONPATH": str(CHECKOUT / "tests")}
    for number, words in enumerate([[], ["FRESH=1"], ["FRESH=1"]], 1):
        done = report(tmp_path, "BUDGET=smoke", *words, **settings)
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.count("again, changed: FRESH=1") == 3 * len(words)
        assert len(log.read_text().splitlines()) == 2 * number
    again = report(tmp_path, "BUDGET=smoke", **settings)
    assert "Nothing to do" in again.stdout
    assert len(log.read_text().splitlines()) == 6


def test_a_notebook_that_measures_speed_has_none_beside_it(tmp_path):
    for name in ("bench", "other", "third"):
        write_notebook(tmp_path, name, "import time\ntime.sleep(1)", *GOOD, alone=name == "bench")
    assert report(tmp_path, "BUDGET=smoke").returncode == 0
    states = {name: state(tmp_path, name) for name in ("bench", "other", "third")}
    times = {name: (one["started"], one["started"] + one["duration_s"]) for name, one in states.items()}
    begun, ended = times.pop("bench")
    assert all(end <= begun + 0.1 or start >= ended - 0.1 for start, end in times.values())


def plain_notebook(home, name="plain"):
    """A course's own notebook: an old format without cell ids, a figure without words, a kernel that is not here."""
    figure = "%matplotlib inline\nimport matplotlib.pyplot as plt\n\nplt.plot([1, 3])"
    code = {"cell_type": "code", "metadata": {}, "execution_count": 3, "outputs": []}
    cells = [{"cell_type": "markdown", "metadata": {}, "source": ["# Lab 3\n", "Words."]}]
    cells += [code | {"source": source} for source in (figure, "1 + 41")]
    kernel = {"kernelspec": {"name": "conda-env-d2l", "display_name": "d2l", "language": "python"}}
    path = home / "notebooks" / f"{name}.ipynb"
    path.write_text(json.dumps({"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 2}))


def test_any_notebook_becomes_a_page_and_a_bad_one_stops_no_other(tmp_path):
    write_notebook(tmp_path, "good", *GOOD)
    write_notebook(tmp_path, "lost", 'page.publish("a", 1)', FINISH, prose="![a picture](attachment:gone.png)")
    path = write_notebook(tmp_path, "odd", *GOOD)
    path.write_text(path.read_text().replace("lr: float = 0.1", "lr: float = 9 ** 999"))
    write_notebook(tmp_path, "index", *GOOD)
    (tmp_path / "notebooks" / "broken.ipynb").write_text('{"cells": [3], "metadata": {}}')
    plain_notebook(tmp_path)
    done = report(tmp_path, "BUDGET=smoke")
    assert done.returncode == 1 and done.stderr == ""
    assert state(tmp_path, "good")["status"] == "complete"
    assert state(tmp_path, "plain")["status"] == "complete, no results"
    assert state(tmp_path, "lost")["status"] == "failed" and "gone.png" in state(tmp_path, "lost")["reason"]
    for name, word in {"lost": "gone.png", "odd": "lr = ", "index": "another name", "broken": "not a notebook"}.items():
        [line] = [line for line in done.stdout.splitlines() if line.startswith(f"{name} ")]
        assert " failed " in line and word in line
    index = page_of(tmp_path, "index")
    assert "odd" in index and "plain.html" in index and "2 of 6 pages complete" in index
    page = page_of(tmp_path, "plain")
    assert "Lab 3" in page and ">42<" in page.replace("\n", "") and "not a finished result" not in page
    again = report(tmp_path, "BUDGET=smoke", "ONLY=plain, good,")
    assert again.returncode == 0 and "Nothing to do" in again.stdout


def test_a_failed_run_leaves_the_complete_page_of_the_same_parameters(small):
    before, stood = page_of(small, "good"), state(small, "good")
    write_notebook(small, "good", *GOOD[:2], "undefined_name", FINISH)
    done = report(small, "BUDGET=smoke")
    assert done.returncode == 1 and "undefined_name" in done.stdout and "failed/good.html" in done.stdout
    assert page_of(small, "good") == before and state(small, "good") == stood
    assert "undefined_name" in page_of(small, "failed/good")
    assert "undefined_name" in page_of(small, "index")  # which says that the page is not of the last run
    assert "undefined_name" in report(small, "BUDGET=smoke").stdout  # tried again
    write_notebook(small, "good", *GOOD, prose=r"$\undefinedcommand$")
    assert "undefinedcommand" in report(small, "BUDGET=smoke").stdout
    assert page_of(small, "good") == before
    assert report(small, "BUDGET=smoke", "SET=epochs=2 lr=0.2").returncode == 1  # others: no page of these was complete
    assert state(small, "good")["status"] == "failed"
    write_notebook(small, "good", *GOOD)
    assert report(small, "BUDGET=smoke").returncode == 0
    assert state(small, "good")["status"] == "complete"
    assert not (small / "reports" / "smoke" / "failed" / "good.html").exists()


def test_a_reader_that_goes_away_ends_the_build_and_leaves_no_kernel(tmp_path):
    note = tmp_path / "pid"
    wait = f'import os\nimport time\n\nopen({str(note)!r}, "w").write(str(os.getpid()))\ntime.sleep(90)'
    write_notebook(tmp_path, "a_short", 'page.publish("a", 1)', FINISH)
    write_notebook(tmp_path, "long", 'page.publish("a", 1)', wait, FINISH)
    write_notebook(tmp_path, "next", *GOOD)
    command = [sys.executable, "-m", "helpers.report", "BUDGET=smoke"]
    pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=environment(tmp_path), cwd=CHECKOUT, **pipe) as build:
        deadline = time.monotonic() + 60
        while not (note.exists() and note.read_text()) and time.monotonic() < deadline:
            time.sleep(0.1)
        build.stdout.close()  # the next line, of a notebook that ends, finds nobody
        assert build.stderr.read() == ""
        assert build.wait(timeout=60) == 1
    assert state(tmp_path, "a_short")["status"] == "complete"
    assert (tmp_path / "reports" / "smoke" / "index.html").exists()
    with pytest.raises(ProcessLookupError):
        os.kill(int(note.read_text()), 0)


def test_a_log_on_a_full_disk_stops_no_build(tmp_path):
    write_notebook(tmp_path, "good", *GOOD)
    (tmp_path / "reports" / "smoke").mkdir(parents=True)
    (tmp_path / "reports" / "smoke" / "build.log").symlink_to("/dev/full")
    done = report(tmp_path, "BUDGET=smoke")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert state(tmp_path, "good")["status"] == "complete"


@pytest.mark.parametrize("verb", ["build", "submission"])
def test_a_folder_that_cannot_be_written_is_one_line(tmp_path, verb):
    write_notebook(tmp_path, "good", *GOOD)
    (tmp_path / "reports").write_text("in the way")
    done = report(tmp_path, verb, "BUDGET=smoke")
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1 and "reports" in done.stderr


def test_make_hands_its_variables_on(tmp_path):
    write_notebook(tmp_path, "good", *GOOD)
    done = report(tmp_path, "build", "--make", r"SET=lr=0.5\ epochs=x ONLY=good AUTHOR=O'Neil\ $$1")
    assert "epochs=x" in done.stderr


def test_a_page_that_cannot_be_set_is_a_failed_one(tmp_path):
    figure = "from IPython.display import Image, display\nfrom PIL import Image as P\nimport io"
    figure += '\nb = io.BytesIO()\nP.new("L", (2, 2)).save(b, "png")\ndisplay(Image(b.getvalue()))'
    write_notebook(tmp_path, "bare", 'page.publish("a", 1)', figure, FINISH)
    done = report(tmp_path, "BUDGET=smoke")
    assert done.returncode == 1
    assert "alt text" in state(tmp_path, "bare")["reason"]
    assert "alt text" in page_of(tmp_path, "bare")


@pytest.mark.parametrize(
    "number", [signal.SIGINT, *(pytest.param(n, marks=pytest.mark.slow) for n in (signal.SIGTERM, signal.SIGHUP))]
)
def test_an_interrupt_stops_kernels_and_marks_their_pages(tmp_path, number):
    note = tmp_path / "pid"
    wait = f'import os\nimport time\n\nopen({str(note)!r}, "w").write(str(os.getpid()))\ntime.sleep(90)'
    write_notebook(tmp_path, "long", 'page.publish("a", 1)', wait, FINISH)
    command = [sys.executable, "-m", "helpers.report", "BUDGET=smoke"]
    settings = {"env": environment(tmp_path), "cwd": CHECKOUT, "text": True}
    with subprocess.Popen(command, stdout=subprocess.PIPE, **settings) as build:
        deadline = time.monotonic() + 60
        while not (note.exists() and note.read_text()) and time.monotonic() < deadline:
            time.sleep(0.1)
        build.send_signal(number)
        output, _ = build.communicate(timeout=20)
    assert build.returncode == 1
    assert "1 interrupted" in output
    assert state(tmp_path, "long")["status"] == "interrupted"
    assert "interrupted" in page_of(tmp_path, "long")
    with pytest.raises(ProcessLookupError):
        os.kill(int(note.read_text()), 0)


def test_a_build_that_is_stopped_before_a_kernel_starts_has_not_done_its_work(tmp_path, monkeypatch, capsys):
    """Even where the pages of an earlier build lie there."""
    write_notebook(tmp_path, "good", *GOOD)
    assert report(tmp_path, "BUDGET=smoke").returncode == 0
    for name, path in {"ROOT": "", "NOTEBOOKS": "notebooks", "REPORTS": "reports", "CACHE": "data/cache"}.items():
        monkeypatch.setattr(base, name, tmp_path / path)

    compare, calls = Build._compare, []

    def interrupted_once(*arguments):
        calls.append(arguments)
        if len(calls) == 1:
            raise KeyboardInterrupt
        compare(*arguments)

    monkeypatch.setattr(Build, "_compare", interrupted_once)
    assert Build(budget="smoke", data="standin", fresh=True).go() == 1
    assert "Nothing to do" not in capsys.readouterr().out


def test_stand_in_data_is_the_last_word(tmp_path):
    cells = ('page.data(mu.obtain("fashion_mnist", page.parameters["data"]))', 'page.publish("a", 1)')
    write_notebook(tmp_path, "small", *cells, FINISH, data=["fashion_mnist"])
    done = report(tmp_path, "BUDGET=smoke", "DATA=standin")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "tand-in data" in done.stdout.splitlines()[-1]
    assert "tand-in data" in page_of(tmp_path, "small")
    assert "tand-in" in (tmp_path / "reports" / "smoke" / "index.html").read_text()
    (tmp_path / "none").mkdir()
    refused = report(tmp_path, "BUDGET=smoke", "DATA=real", COURSEWORK_DATA=str(tmp_path / "none"))
    assert refused.returncode == 1
    assert len(refused.stderr.splitlines()) == 1
