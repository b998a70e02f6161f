"""Evidence outlives the code: what a person edits, what a build then does, and what the probes notice."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest
import tiny
from tiny_notebooks import environment, write_notebook

from helpers import base
from helpers.data import sources
from helpers.trials import engine, kinds, probe, records

STUDY = """rows = {name: mu.ClassifierConfig(dataset="tiny", options={"patch_size": 14, "width": 8}, epochs=60, lr=lr)
        for name, lr in (("slow", 0.01), ("fast", 0.1))}
trials = mu.trials.run_study(mu.train_classifier, rows, study="tiny", page=page, reduced={"epochs": 1})
for name, row in trials.groupby("row"):
    page.publish_trials(name, row)"""
SHARES = "page.publish('share', trials['share'].min())\npage.finish()"


def add_a_network(helpers):
    registry = helpers / "networks" / "registry.py"
    network = "def mine(*, input_shape, classes):\n    return None\n\n\n"
    registry.write_text(registry.read_text().replace("MODELS = {", f'{network}MODELS = {{\n    "mine": mine,', 1))


def move_a_file(helpers):
    (helpers / "training" / "epoch.py").rename(helpers / "training" / "one_epoch.py")
    for path in helpers.rglob("*.py"):
        text = path.read_text().replace("helpers.training.epoch", "helpers.training.one_epoch")
        path.write_text(text.replace('"epoch": "evaluate run_epoch"', '"one_epoch": "evaluate run_epoch"'))


def edit_a_comment(helpers):
    loop = helpers / "training" / "loop.py"
    loop.write_text(loop.read_text() + "\n# A comment more.\n")


def edit_a_downloader(helpers):
    recipes = helpers / "data" / "recipes.py"
    recipes.write_text(recipes.read_text() + "\nMIRROR = None\n")


def change_the_step(helpers):
    optimisers = helpers / "training" / "optimisers.py"
    text = optimisers.read_text()
    assert '"lr": config.lr,' in text
    optimisers.write_text(text.replace('"lr": config.lr,', '"lr": 1.0001 * config.lr,'))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A project with a study that was trained in full, its records committed, its pages gone."""
    home = tmp_path_factory.mktemp("project")
    shutil.copytree(base.CHECKOUT / "helpers", home / "helpers", ignore=shutil.ignore_patterns("__pycache__"))
    tiny.write(home / "data" / "cache", train=300)
    write_notebook(home, "study", STUDY, SHARES)
    (home / "requirements.lock").touch()
    assert build(home, "full").returncode == 0
    (home / "reports" / "records").rename(home / "reports" / "published-records")
    (home / "reports" / "published").mkdir()
    (home / "reports" / "published-records").rename(home / "reports" / "published" / "records")
    return home


def build(home, budget):
    command = [sys.executable, "-m", "helpers.report", f"BUDGET={budget}"]
    variables = environment(home, PYTHONPATH=str(home), PYTHONDONTWRITEBYTECODE="1", PRECISION="float32")
    return subprocess.run(command, cwd=home, env=variables, capture_output=True, text=True, timeout=240, check=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    "edit, origin",
    [
        (add_a_network, "2 adopted, equal"),
        (move_a_file, "2 adopted, equal"),
        (edit_a_comment, "2 from records"),
        (edit_a_downloader, "2 from records"),
        (change_the_step, "2 trained"),
    ],
)
def test_only_an_edit_that_changes_the_training_trains_again(trained, tmp_path, edit, origin):
    home = tmp_path / "edited"
    shutil.copytree(trained, home)
    edit(home / "helpers")
    made = build(home, "standard")
    assert made.returncode == 0, made.stdout + made.stderr
    assert f"[trials: {origin}]" in made.stdout
    state = json.loads((home / "reports" / "standard" / "study.json").read_text())
    assert state["results"]["share"]["value"] == (1 if "trained" not in origin else pytest.approx(1 / 60))
    assert origin.split(" ", 1)[1] in (home / "reports" / "standard" / "study.html").read_text()


def committed(study: str, kind: str = "classifier"):
    """The committed record of a study with the smallest training, made again: (record, function, config)."""
    for name in ("fashion_mnist", "cifar10"):
        sources.obtain(name)  # a fresh checkout has nothing decoded yet
    paths = (base.PUBLISHED / "records" / study).glob("*.json")
    stored = [record for path in paths if (record := records.load(path)) and record["trial"] == kind]
    record = min((r for r in stored if r["probe"]), key=lambda r: r["seconds"])
    return record, *kinds.remade(record)


@pytest.mark.realdata
@pytest.mark.parametrize(
    "study, kind",
    [(f"study_{letter}", "classifier") for letter in "abcdf"] + [("study_e", "numpy"), ("study_d", "regression")],
)
def test_the_probes_of_every_study_notice_a_rate_used_times_1_0001(study, kind):
    """The same on this machine: bits of its own processor, whatever kind the records come from."""
    record, function, config = committed(study, kind)
    small = probe.probe_of(config)
    with engine.threads_limited(1):
        plain, again, changed = (
            probe.measure(function, variant, engine.Context(device="cpu"), {})
            for variant in (small, small, replace(small, lr=1.0001 * small.lr))
        )
    assert probe.compare(plain, again) == "equal"
    assert probe.compare(plain, changed) in ("close", "different")
    assert probe.compare(record["probe"], plain) in ("equal", "close")
