"""Every task's notebook, a study and the summary, as they stand: real kernels, stand-in data, the smoke budget."""

import inspect
import re
import shutil
import subprocess
import sys
import textwrap

import pytest
import reading
from bs4 import BeautifulSoup
from tiny_notebooks import CHECKOUT, environment, report, state

from helpers import networks, training
from helpers.report import sealed
from helpers.trials import records

TASKS = sorted(path.stem for path in (CHECKOUT / "notebooks").glob("task*.ipynb"))
PUBLISHED = {  # what other pages and the marking sheet look for
    "task4_training": {"validation_accuracy", "train_accuracy", "train_loss", "epochs", "best_epoch", "diverged"},
    "task5_final_accuracy": {"test_accuracy", "validation_accuracy", "diverged", "calibration_error"},
    "summary": {"claims.reproduced", "claims.exceeded", "claims.not_reproduced", "claims.inconclusive"},
}
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home with all notebooks, in which the tasks, one study and the summary have been built."""
    home = tmp_path_factory.mktemp("home")
    shutil.copytree(CHECKOUT / "notebooks", home / "notebooks")
    words = ("BUDGET=smoke", "DATA=standin", "ONLY=task*,study_e*,summary")
    built = report(home, *words, COURSEWORK_DATA=str(home / "nothing"), JOBS="1", limit=580)
    assert built.returncode == 0, built.stdout + built.stderr
    return home


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", [*TASKS, "summary"])
def test_it_runs_from_top_to_bottom(home, name):
    built = state(home, name)
    assert built["status"] == "complete", built["reason"]
    assert PUBLISHED.get(name, set()) <= {*built["results"]}
    assert all(data["standin"] for data in built["data"])


def shown(home, name):
    """The unfolded code of a page, without its colours."""
    soup = BeautifulSoup((home / "reports" / "smoke" / f"{name}.html").read_text(encoding="utf-8"), "html.parser")
    return "\n".join(code.text for code in soup.select("main > .highlight"))


@pytest.mark.parametrize("name", [*TASKS, "study_e_numpy_network", "summary"])
def test_a_page_is_written_for_people(home, name):
    assert reading.offences((home / "reports" / "smoke" / f"{name}.html").read_text(encoding="utf-8")) == []


def test_tasks_2_and_4_show_what_runs_and_prove_it_plain(home):
    network, loop = shown(home, "task2_model"), shown(home, "task4_training")
    for source in (networks.Block.forward, networks.PatchNetwork.forward):
        assert inspect.getsource(source) in network
    steps = training.loop._Training
    for source in (training.fit, steps.epoch, steps.step, training.run_epoch):
        assert textwrap.dedent(inspect.getsource(source)) in loop
    assert "def plain_network(" in network and "def plain_loop(" in loop
    for name in ("task2_model", "task4_training"):
        results = state(home, name)["results"]
        assert results["plain.difference"]["value"] <= results["plain.tolerance"]["value"]
    assert results["plain.steps"]["value"] == 3
    assert results["plain.moved"]["value"] > 10 * results["plain.tolerance"]["value"]


def test_the_course_counts_as_task_5_does(home):
    results = state(home, "task5_final_accuracy")["results"]
    assert results["course.accuracy"]["values"] == results["test_accuracy"]["values"]
    assert results["course.images_apart"]["value"] == 0


def test_task_5_tests_what_task_4_trained(home):
    task4, task5 = state(home, "task4_training"), state(home, "task5_final_accuracy")
    for key in ("validation_accuracy", "best_epoch"):
        assert task4["results"][key]["values"] == task5["results"][key]["values"]
    [training], reading = task4["used"], [used for used in task5["used"] if used not in task4["used"]]
    assert training in task5["used"] and len(reading) == 1  # trained once, and the test set read once
    assert "test_accuracy" not in task4["results"]
    loaded = {path.stem: records.load(path) for path in (home / "reports" / "records" / "ours").glob("*.json")}
    assert {key: record["trial"] for key, record in loaded.items()} == {
        training[1]: "classifier", reading[0][1]: "test_set",
    }  # fmt: skip


def test_the_page_gives_its_accuracy_again(home):
    page = home / "reports" / "smoke" / "task5_final_accuracy.html"
    examined = sealed.examine(page.read_bytes())
    assert not examined["refuted"] and not examined["changed"]
    assert examined["accuracy"] == pytest.approx(
        state(home, "task5_final_accuracy")["results"]["test_accuracy"]["value"]
    )


def test_without_studies_the_summary_says_that_they_were_not_run(home):
    results = state(home, "summary")["results"]
    assert results["claims.not_run"]["value"] > 0 and results["claims.reproduced"]["value"] == 0
    page = (home / "reports" / "smoke" / "summary.html").read_text()
    assert '<tr class="claim report-A verdict-not-run" id="claim-A1.best">' in page
    assert re.search(r"No result yet: [^.]*study B", page)


def test_papermill_alone_runs_task_4(home, tmp_path):
    notebook, output = home / "notebooks" / "task4_training.ipynb", tmp_path / "out.ipynb"
    given = ["-p", "budget", "smoke", "-p", "data", "standin", "-p", "epochs", "1", "-p", "augment", "[]"]
    command = [sys.executable, "-m", "papermill", notebook, output, *given, "--no-progress-bar"]
    done = subprocess.run(command, env=environment(home), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "kept epoch is 1 of 1" in output.read_text()
