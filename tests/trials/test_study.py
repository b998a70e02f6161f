"""Trials: run in parallel, once, whatever happens meanwhile."""

import contextlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import termios
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from trial_functions import Config, fit_line, fit_torch

from helpers import base, trials
from helpers.base import CourseworkError
from helpers.trials import engine, kinds, probe, progress, records, study, upkeep
from helpers.trials.__main__ import main

TESTS = Path(__file__).parent.parent
PATHS = os.pathsep.join([str(TESTS.parent), str(TESTS)])

# Trains seeds 0 .. n-1 of one config and prints status, result and the files' hashes of each.
DRIVER = """
import json, sys
from helpers import trials
from helpers.base import CourseworkError
from helpers.trials import probe
from trial_functions import Config, fit_line
if __name__ == "__main__":
    settings = json.loads(sys.argv[1])
    try:
        frame = trials.run(fit_line, {"row": Config(**settings["config"])}, study="study", seeds=settings["seeds"],
                           jobs=settings.get("jobs", 2))
    except CourseworkError as error:
        sys.exit(str(error))
    print(json.dumps([probe.repeatable(record) for record in frame["record"]]))
"""


@pytest.fixture(autouse=True)
def home(own_records):
    """Records of this test only, here and in worker processes."""
    return own_records


@pytest.fixture
def drive(home):
    """Start the driver in a process (and session) of its own: drive(seeds, home=..., **config)."""
    driver, started = home / "driver.py", []
    driver.write_text(DRIVER)

    def start(seeds, jobs=2, home=home, limit=None, **config):
        settings = json.dumps({"seeds": seeds, "jobs": jobs, "config": config})
        environment = os.environ | {"PYTHONPATH": PATHS, "COURSEWORK_HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
        process = subprocess.Popen(
            [sys.executable, driver, settings], env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
            preexec_fn=limit,
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def begun(log: Path) -> list[int]:
    """The seeds of the trainings begun, in order, as the trial function logged them."""
    return [int(line.split()[0]) for line in log.read_text().splitlines()] if log.exists() else []


def stored(home=None) -> dict[int, dict]:
    """seed -> record of what lies on disk in study "study"."""
    folder = (home / "reports" / "records" if home else base.RECORDS) / "study"
    loaded = [records.load(path) for path in folder.glob("*.json")]
    return {record["config"]["seed"]: record for record in loaded}


def workers_of(session: int) -> list[str]:
    """The processes alive in a session."""
    listed = subprocess.run(["ps", "-o", "pid=,stat=", "-s", str(session)], capture_output=True, text=True)
    return [line for line in listed.stdout.splitlines() if " Z" not in line]


def wait_until(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


# What run returns


def test_lines_come_in_the_order_asked_with_metrics_and_history():
    rows = {"slow": Config(pause=0.05, points=60), "quick": Config(points=70)}
    frame = trials.run(fit_line, rows, study="study", seeds=[3, 1], jobs=2)
    assert list(frame["row"]) == ["slow", "slow", "quick", "quick"] and list(frame["seed"]) == [3, 1, 3, 1]
    assert set(frame["status"]) == {"ok"} and set(frame["share"]) == {1.0} and set(frame["adopted"]) == {""}
    for line in frame.itertuples():
        assert list(line.history["loss"])[-1] == line.loss == line.record["metrics"]["loss"]
        assert line.examples_per_second == pytest.approx(line.record["examples"] / line.seconds)
        assert line.seconds > (0.25 if line.row == "slow" else 0)


def test_the_result_is_the_plain_computation():
    config = Config(seed=4)
    frame = trials.run(fit_line, [config], study="study", jobs=1)
    alone = fit_line(config, engine.Context())
    assert list(frame["history"][0]["loss"]) == alone["history"]["loss"]
    assert np.array_equal(records.arrays("study", frame["key"][0])["weights"], alone["arrays"]["weights"])
    assert np.array_equal(base.unpack_labels(frame["record"][0]["predictions"]), alone["predictions"])


def test_seeds_and_names():
    rows = [Config(seed=5), Config(seed=6)]
    assert list(trials.run(fit_line, rows, study="study", jobs=0)["seed"]) == [5, 6]
    frame = trials.run(fit_line, rows, study="study", seeds=2, jobs=0)
    assert list(zip(frame["row"], frame["seed"])) == [("0", 0), ("0", 1), ("1", 0), ("1", 1)]
    assert len(trials.run(fit_line, {}, study="study")) == 0


def test_provenance(home):
    about = trials.run(fit_line, [Config()], study="study", jobs=1)["record"][0]["provenance"]
    assert {"python", "numpy", "processor", "features", "threads", "started", "commit"} <= set(
        about
    ) and "torch" not in about
    frame = trials.run(fit_torch, [Config(threads=2)], study="study", jobs=1)
    about = frame["record"][0]["provenance"]
    assert about["torch_threads"] == about["threads"] == 2 and about["precision"] == "float32"
    assert {"python", "torch", "numpy", "processor", "capability", "features", "started"} <= set(about)
    assert len(about["commit"]) == 40 and isinstance(about["dirty"], bool)


def test_torch_results_are_the_same_in_a_worker_and_here(home):
    import torch

    config, before = Config(points=500), torch.get_num_threads()
    here = trials.run(fit_torch, [config], study="here", jobs=0)
    in_worker = trials.run(fit_torch, [config], study="there", jobs=2)
    assert probe.repeatable(here["record"][0])["files"] == probe.repeatable(in_worker["record"][0])["files"] != {}
    assert list(here["history"][0]["loss"]) == list(in_worker["history"][0]["loss"])
    assert torch.get_num_threads() == before


# Once


def test_finished_trials_are_not_run_again_unless_fresh(home, monkeypatch):
    log = home / "log"
    config = Config(log=str(log))
    first = trials.run(fit_line, [config], study="study", seeds=3, jobs=0)
    again = trials.run(fit_line, [config], study="study", seeds=4, jobs=0)
    assert begun(log) == [0, 1, 2, 3] and first["record"][1] == again["record"][1]
    trials.run(fit_line, [config], study="study", seeds=2, jobs=0, fresh=True)
    monkeypatch.setenv("FRESH", "1")
    trials.run(fit_line, [config], study="study", seeds=1, jobs=0)
    assert begun(log) == [0, 1, 2, 3, 0, 1, 0]
    used = trials.used()
    assert len(used) == len(set(used)) and ("study", again["key"][3], again["record"][3]["checksum"]) in used


def test_no_worker_starts_for_cached_trials(home, monkeypatch):
    """What one costs is measured by `make bench`."""
    rows = [Config(epochs=100)]
    trials.run(fit_line, rows, study="study", seeds=20, jobs=0)
    monkeypatch.setattr("helpers.trials.engine.start", None)  # a worker would fail
    frame = trials.run(fit_line, rows, study="study", seeds=20, jobs=2)
    assert len(frame) == 20
    assert not (set(frame["status"]) - {"ok"})


def test_the_same_trial_asked_twice_trains_once(home):
    log = home / "log"
    frame = trials.run(fit_line, [Config(log=str(log))] * 2, study="study", jobs=2)
    assert begun(log) == [0] and frame["key"].nunique() == 1 and len(frame) == 2


def test_two_runs_at_once_share_the_trials(home, drive):
    log = home / "log"
    both = [drive(8, jobs=1, log=str(log), pause=0.04) for _ in range(2)]
    outputs = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert outputs[0][0] == outputs[1][0]
    assert sorted(begun(log)) == list(range(8))


# Ends of every kind


def test_diverged_is_finished_and_failed_is_tried_again(home):
    log = home / "log"
    rows = {"diverged": Config(trouble="nan", log=str(log)), "failed": Config(trouble="raise", log=str(log), seed=1)}
    for _ in range(2):
        frame = trials.run(fit_line, rows, study="study", jobs=1)
        assert list(frame["status"]) == ["diverged", "failed"]
        assert list(frame["diverged_epoch"].dropna()) == [1] and frame["reason"][1] == "ValueError: no such luck"
        assert frame["loss"].isna().all() and frame["slope"].notna().tolist() == [True, False]
    assert begun(log) == [0, 1, 1]
    assert "no such luck" in stored()[1]["traceback"]


def test_a_failure_does_not_replace_a_stale_result(home):
    config = Config(trouble=f"raise if there: {home}/mark")
    trials.run(fit_line, [config], study="study", jobs=0)
    records.write("study", stored()[0] | {"source": "older"})
    (home / "mark").write_text("")
    frame = trials.run(fit_line, [config], study="study", jobs=0)
    assert frame["status"][0] == "failed" and stored()[0]["status"] == "ok"


def test_a_killed_worker_costs_its_trial_one_retry(home):
    log, rows = home / "log", {"killed": Config(trouble=f"kill once: {home}/mark"), "other": Config()}
    rows = {name: replace(config, log=str(log), pause=0.02) for name, config in rows.items()}
    frame = trials.run(fit_line, rows, study="study", seeds=2, jobs=2)
    assert set(frame["status"]) == {"ok"} and len(begun(log)) == 5


def test_a_trial_that_kills_its_worker_twice_fails_and_the_others_go_on(home):
    rows = {"killer": Config(trouble="kill"), "other": Config()}
    frame = trials.run(fit_line, rows, study="study", seeds=2, jobs=2).set_index("row")
    assert set(frame.loc["other", "status"]) == {"ok"}
    assert set(frame.loc["killer", "status"]) == {"failed"}
    assert frame.loc["killer", "reason"].str.startswith("its worker was lost twice").all()


def test_ctrl_c_stops_within_5_seconds_and_keeps_what_is_finished(home, drive):
    process = drive(20, pause=0.1)
    wait_until(lambda: len(list((base.RECORDS / "study").glob("*.json"))) >= 2)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to every process
    start = time.monotonic()
    _, errors = process.communicate(timeout=10)
    assert time.monotonic() - start < 5 and process.returncode != 0
    assert errors.count("Traceback") == 1 and "KeyboardInterrupt" in errors  # the workers say nothing
    wait_until(lambda: not workers_of(process.pid), 5)
    kept = stored()
    assert 2 <= len(kept) < 20 and all(record["status"] == "ok" for record in kept.values())


def test_workers_die_with_their_parent(home, drive):
    process = drive(4, pause=5)
    wait_until(lambda: len(workers_of(process.pid)) >= 3)
    process.kill()
    wait_until(lambda: not workers_of(process.pid), 5)


def kill_at_random_moments(drive, home, moments: int):
    """Run until killed, again and again, then to the end: the results of a run that was never killed."""
    log, config = home / "log", {"epochs": 8, "pause": 0.05, "save_every": 2}
    calm = home / "calm"
    expected = drive(6, home=calm, **config).communicate(timeout=60)[0]
    assert expected
    for _ in range(moments):
        before, finished = len(begun(log)), set(stored())
        process = drive(6, log=str(log), **config)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(random.uniform(0.2, 1.6))
        process.kill()
        assert not finished & set(begun(log)[before:])  # a finished trial never begins again
    output, errors = drive(6, log=str(log), **config).communicate(timeout=60)
    assert json.loads(output) == json.loads(expected), errors
    assert len(stored()) == 6 and not list(base.RECORDS.glob("study/.state/*"))


def test_killed_at_random_moments_the_results_are_the_same(drive, home):
    kill_at_random_moments(drive, home, 3)


@pytest.mark.slow
def test_killed_at_ten_random_moments_the_results_are_the_same(drive, home):
    kill_at_random_moments(drive, home, 10)


def test_a_trial_goes_on_from_its_state(home):
    config = Config(epochs=10, save_every=3, trouble="kill")  # dies in epoch 1, before the first state
    trials.run(fit_line, [config], study="study", jobs=1)
    config = replace(config, trouble=f"kill late: {home}/mark")
    frame = trials.run(fit_line, [config], study="study", jobs=1)
    calm = fit_line(replace(config, trouble="", save_every=0), engine.Context())
    assert frame["record"][0]["provenance"]["resumed"] and list(frame["history"][0]["loss"]) == calm["history"]["loss"]
    assert not list(base.RECORDS.glob("study/.state/*"))


@pytest.mark.parametrize("damage", ["cut", "edited"])
def test_a_damaged_record_is_reported_and_trained_again(home, damage):
    first = trials.run(fit_line, [Config()], study="study", jobs=0)
    (path,) = (base.RECORDS / "study").glob("*.json")
    text = path.read_text()
    path.write_text(text[:-20] if damage == "cut" else text.replace('"status":"ok"', '"status":"OK"'))
    with pytest.warns(records.DamagedRecord, match=path.stem):
        again = trials.run(fit_line, [Config()], study="study", jobs=0)
    assert probe.repeatable(first["record"][0]) == probe.repeatable(again["record"][0]) == probe.repeatable(stored()[0])


@pytest.mark.parametrize("room", [100, 500])  # bytes: not even the arrays, the arrays but not the record
def test_a_full_disk_gives_one_line_and_no_half_record(home, drive, room):
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    _, errors = drive(3, limit=limit).communicate(timeout=60)
    assert errors.startswith("cannot write ") and errors.count("\n") == 1
    assert not list(base.RECORDS.rglob("*.json")) and not list(base.RECORDS.rglob(".*.json*"))
    _, errors = drive(3).communicate(timeout=60)
    assert errors == "" and len(stored()) == 3


# Settings


@pytest.mark.parametrize(
    ("name", "value"),
    [("JOBS", "two"), ("JOBS", "-1"), ("JOBS", "1.5"), ("ENGINE", "dask"), ("ENGINE", "tcp://x"), ("FRESH", "yes")],
)
def test_bad_settings_are_refused_in_one_line(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(CourseworkError, match=f"^{name}={value}: give [^\n]*$"):
        trials.run(fit_line, [Config()], study="study")


def test_jobs_default_to_the_cores_this_process_may_use():
    cores = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(cores)})
        assert engine.usable_cores() == engine.start().capacity == 1
    finally:
        os.sched_setaffinity(0, cores)


def test_a_trial_of_two_threads_takes_two_places(home):
    log = home / "log"
    config = Config(threads=2, pause=0.05, log=str(log))
    start = time.monotonic()
    trials.run(fit_line, [config], study="study", seeds=4, jobs=2)
    assert time.monotonic() - start > 4 * 5 * 0.05


def test_worker_start_and_dispatch_cost_little(home):
    """Under 1 % of a 10 s trial, once the workers run."""
    frame = trials.run(fit_line, [Config()], study="study", seeds=40, jobs=1)
    starts = sorted(record["provenance"]["started"] for record in frame["record"])
    first, last = (float(text[17:23]) + 60 * float(text[14:16]) for text in (starts[0], starts[-1]))
    assert (last - first) % 3600 / 39 < 0.1


def test_workers_stay_for_the_next_run_unless_what_they_inherit_has_changed(home, monkeypatch):
    log = home / "log"
    for seed, device in enumerate(["auto", "auto", "cpu"]):
        monkeypatch.setenv("DEVICE", device)
        trials.run(fit_line, [Config(log=str(log), seed=seed)], study="study", jobs=1)
    first, second, third = (line.split()[1] for line in log.read_text().splitlines())
    assert first == second != third and first != str(os.getpid())


# Progress


def test_progress_is_written_for_a_build_without_a_bar(home, monkeypatch, capfd):
    monkeypatch.setenv("COURSEWORK_BUILD", "1")
    monkeypatch.setenv("COURSEWORK_PROGRESS", str(home / "progress"))
    monkeypatch.setattr(progress, "REDRAW", 0.0)
    trials.run(fit_line, [Config(epochs=10, pause=0.12)], study="study", seeds=2, jobs=2)
    lines = [json.loads(line) for line in (home / "progress").read_text().splitlines()]
    assert all(set(line) == {"done", "total", "seconds_left"} for line in lines)
    assert lines[-1] == {"done": 2, "total": 2, "seconds_left": 0.0}
    assert [line["done"] for line in lines] == sorted(line["done"] for line in lines)
    assert any(line["seconds_left"] for line in lines)  # the workers told their epochs
    assert capfd.readouterr() == ("", "")


def test_a_terminal_gets_one_bar(home, monkeypatch):
    pty = pytest.importorskip("pty")
    main, far = pty.openpty()
    termios.tcsetwinsize(far, (24, 100))
    seen = []

    def watch():  # as a terminal does: a full buffer would stop the bar
        with contextlib.suppress(OSError):  # nobody has it open any more
            while True:
                seen.append(os.read(main, 4096).decode())

    threading.Thread(target=watch, daemon=True).start()
    with os.fdopen(far, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        trials.run(fit_line, [Config(epochs=4, pause=0.12)], study="study", seeds=2, jobs=2)
        wait_until(lambda: "\n" in "".join(seen))
    text = "".join(seen)
    assert "study 2/2" in text and "examples/s" in text and "left" in text and text.count("\n") == 1


NOTEBOOK = """
import nbformat
from nbclient import NotebookClient
run = "frame = mu.run(fit_line, [Config(epochs=12, pause=0.1)], study='study', seeds=2, jobs=2, live=True, fresh=True)"
cells = ["import helpers as mu, os; from trial_functions import Config, fit_line", run,
         "os.environ['COURSEWORK_BUILD'] = '1'", run, "print(*frame['status'])"]
notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
NotebookClient(notebook, kernel_name="python3").execute()
print([[sorted(output.get("data", ["text"])) for output in cell.outputs] for cell in notebook.cells])
"""


def test_a_notebook_gets_one_bar_and_one_curve_and_a_built_page_neither(home):
    environment = os.environ | {"PYTHONPATH": PATHS, "IPYTHONDIR": str(home)}
    done = subprocess.run([sys.executable, "-c", NOTEBOOK], env=environment, capture_output=True, text=True, check=True)
    bar, curve = ["application/vnd.jupyter.widget-view+json", "text/plain"], ["image/png", "text/plain"]
    table = ["text/html", "text/plain"]
    assert done.stdout == f"{[[], [bar, curve, table], [], [], [['text']]]}\n"


# Stale records: probed, adopted, or trained again

MODULE = """
import time
from dataclasses import dataclass, replace

@dataclass(frozen=True, kw_only=True)
class Config:
    epochs: int = 30
    widths: tuple = (2, 3)
    seed: int = 0

    def fingerprint(self):
        return "none"

    def work(self):
        return self.epochs * 100

    def probe(self):
        return replace(self, epochs=2)

def train(config, context):
    "Count."
    loss = [config.seed + config.widths[0] / (epoch + 1) for epoch in range(config.epochs)]
    return {"history": {"loss": loss, "seconds": [time.time()] * config.epochs}, "metrics": {"test_accuracy": loss[-1]},
            "status": "ok", "examples": config.work()}

train.trial_id = "own"
"""
EPOCHS = 25, 30, 35  # of trainings that are worth a probe


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module with a trial function of its own, known as a kind, and a way to edit its source."""
    import importlib

    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / f"own_{tmp_path.name}.py"
    path.write_text(MODULE)
    loaded = importlib.import_module(path.stem)
    monkeypatch.setitem(kinds.KINDS, "own", (path.stem, "train", "Config"))

    def edit(old, new):
        path.write_text(path.read_text().replace(old, new, 1))

    yield loaded, edit
    sys.modules.pop(path.stem)


def test_a_comment_makes_nothing_stale(module):
    own, edit = module
    run = {"study": "study", "seeds": 2, "jobs": 1}
    first = trials.run(own.train, [own.Config()], **run)
    edit('"Count."', '"Count down."  # as in the report')
    again = trials.run(own.train, [own.Config()], **run)
    assert list(again["record"]) == list(first["record"]) and set(again["adopted"]) == {""}


@pytest.mark.parametrize("ask", [trials.run, trials.recall])
def test_a_record_whose_probe_repeats_is_adopted_and_not_trained_again(module, ask):
    own, edit = module
    first = trials.run(own.train, [own.Config(epochs=n) for n in EPOCHS], study="study", jobs=1)
    edit("config.widths[0] /", "1 * config.widths[0] /")
    frame = ask(own.train, [own.Config(epochs=n) for n in EPOCHS], study="study")
    assert list(frame["record"]) == list(first["record"]) and set(frame["adopted"]) == {"equal"}


def test_a_probe_that_failed_is_no_probe_that_differed(module, tmp_path):
    """A lack of memory passes; the record is asked again."""
    own, edit = module
    first = trials.run(own.train, [own.Config(epochs=n) for n in EPOCHS], study="study", jobs=1)
    room = tmp_path / "room"
    edit('"Count."', f'"Count."\n    if not __import__("os").path.exists({str(room)!r}):\n        raise MemoryError')
    assert trials.recall(own.train, [own.Config(epochs=n) for n in EPOCHS], study="study").empty
    room.touch()
    frame = trials.recall(own.train, [own.Config(epochs=n) for n in EPOCHS], study="study")
    assert list(frame["record"]) == list(first["record"]) and set(frame["adopted"]) == {"equal"}


def test_a_run_whose_probe_fails_trains_once_and_ends(module, tmp_path):
    own, edit = module
    trials.run(own.train, [own.Config()], study="study", jobs=1)
    noted = tmp_path / "noted"
    edit('"Count."', f'"Count."\n    open({str(noted)!r}, "a").write(f"{{config.epochs}} ")\n    raise MemoryError')
    frame = trials.run(own.train, [own.Config()], study="study", jobs=1)
    assert noted.read_text() == "2 30 " and list(frame["status"]) == ["failed"]
    assert "" not in study.own()  # the older result stays on disk; the failure has no checksum


@pytest.mark.parametrize("change", ["2 * config.seed +", "1.0001 * config.seed +"])
def test_a_record_whose_probe_differs_is_trained_again(module, change):
    """On the platform of its probe the smallest change counts."""
    own, edit = module
    trials.run(own.train, [own.Config()], study="study", seeds=[1, 2], jobs=1)
    edit("config.seed +", change)
    assert trials.recall(own.train, [own.Config()], study="study", seeds=[1, 2]).empty
    frame = trials.run(own.train, [own.Config()], study="study", seeds=[1, 2], jobs=1)
    assert list(frame["test_accuracy"]) == pytest.approx([float(change[:6].split()[0]) * n + 1 / 15 for n in (1, 2)])
    assert set(frame["adopted"]) == {""}


@pytest.mark.parametrize("change, taken", [("1.001 * config.seed +", True), ("1.1 * config.seed +", False)])
def test_on_another_platform_closeness_is_enough(module, change, taken):
    own, edit = module
    trials.run(own.train, [own.Config()], study="study", seeds=[1], jobs=1)
    [path] = (base.RECORDS / "study").glob("*.json")
    record = records.load(path)
    record["probe"]["platform"]["numpy"] = "1.0"
    records.write("study", record)
    edit("config.seed +", change)
    frame = trials.run(own.train, [own.Config()], study="study", seeds=[1], jobs=1)
    assert list(frame["adopted"]) == ["close" if taken else ""]
    assert (frame["test_accuracy"][0] == pytest.approx(1 + 1 / 15)) == taken


def test_a_cheap_training_carries_no_probe_and_is_trained_again(module):
    own, edit = module
    frame = trials.run(own.train, [own.Config(epochs=5)], study="study", jobs=1)
    assert frame["record"][0]["probe"] is None
    edit("config.seed +", "1 + config.seed +")
    assert trials.recall(own.train, [own.Config(epochs=5)], study="study").empty
    assert trials.run(own.train, [own.Config(epochs=5)], study="study", jobs=1)["test_accuracy"][0] == 1 + 2 / 5


def test_a_config_that_has_no_probe_any_more_is_trained_again(module, monkeypatch, capsys):
    own, edit = module
    trials.run(own.train, [own.Config()], study="study", jobs=1)
    edit("replace(self, epochs=2)", "None")
    monkeypatch.setattr(own.Config, "probe", lambda self: None)
    assert trials.recall(own.train, [own.Config()], study="study").empty
    assert main(["verify"]) == 1 and "1 cannot be asked for" in capsys.readouterr().out
    frame = trials.run(own.train, [own.Config()], study="study", jobs=1)
    assert frame["status"][0] == "ok" and frame["adopted"][0] == "" and frame["record"][0]["probe"] is None


def test_training_here_with_source_that_was_edited_since_fails_clearly(module):
    own, edit = module
    trials.run(own.train, [own.Config(epochs=5)], study="study", jobs=0)
    edit("config.seed +", "2 * config.seed +")
    frame = trials.run(own.train, [own.Config(epochs=5)], study="study", jobs=0)
    assert frame["reason"][0].startswith("the helpers loaded here are not those on disk")


def published(own, rows, seeds, capsys):
    trials.run(own.train, rows, study="study", seeds=seeds, budget="full", jobs=1)
    assert main(["publish"]) == 0
    assert f"{len(rows) * seeds} records copied" in capsys.readouterr().out
    shutil.rmtree(base.RECORDS)


def test_verify_probes_every_record_and_exits_by_it(module, capsys, monkeypatch):
    own, edit = module
    published(own, [own.Config(), own.Config(epochs=5)], 4, capsys)
    assert main(["verify"]) == 0
    assert "own          8 equal, 0 close, 0 different, 0 cannot be asked for" in capsys.readouterr().out
    edit("/ (epoch + 1)", "/ (epoch + 1.001)")
    assert main(["verify"]) == 0
    assert "0 equal, 8 close" in capsys.readouterr().out
    edit("/ (epoch + 1.001)", "/ (epoch + 2)")
    assert main(["verify"]) == 1
    assert "8 different" in capsys.readouterr().out
    monkeypatch.delitem(kinds.KINDS, "own")
    assert main(["verify"]) == 1  # nothing could be asked for: that is no agreement
    assert "8 cannot be asked for" in capsys.readouterr().out


def test_adopt_writes_close_probes_into_the_records(module, capsys):
    """For a change that is meant to move bits by rounding; what differs stays stale."""
    own, edit = module
    published(own, [own.Config(), own.Config(epochs=25)], 2, capsys)
    assert main(["adopt"]) == 0 and "no record is stale" in capsys.readouterr().out
    edit("/ (epoch + 1)", "/ (epoch + 1.001)")
    assert main(["adopt"]) == 0
    assert capsys.readouterr().out == "4 close\n"
    frame = trials.recall(own.train, [own.Config(), own.Config(epochs=25)], study="study", seeds=2)
    assert len(frame) == 4 and set(frame["adopted"]) == {""}
    assert [note["agreement"] for record in frame["record"] for note in record["adopted"]] == ["close"] * 4
    assert main(["verify"]) == 0 and "4 equal" in capsys.readouterr().out
    edit("/ (epoch + 1.001)", "/ (epoch + 3)")
    assert main(["adopt"]) == 0 and capsys.readouterr().out == "4 different\n"
    assert trials.recall(own.train, [own.Config()], study="study", seeds=2).empty


def test_adopt_writes_both_copies_of_a_training(module, capsys):
    """The committed one, and the one that the same machine still has."""
    own, edit = module
    trials.run(own.train, [own.Config()], study="study", seeds=2, budget="full", jobs=1)
    assert main(["publish"]) == 0
    edit("/ (epoch + 1)", "/ (epoch + 1.001)")
    capsys.readouterr()
    assert main(["adopt"]) == 0 and capsys.readouterr().out == "4 close\n"
    assert main(["adopt"]) == 0 and capsys.readouterr().out == "no record is stale\n"


def test_times_of_a_gpu_are_left_out_where_none_is(home, monkeypatch):
    frame = trials.run(fit_line, [Config()], study="study", seeds=2, jobs=0)
    record = frame["record"][1]
    records.write("study", record | {"provenance": record["provenance"] | {"gpu": "H100"}})
    for gpus, seconds in {0: [frame["seconds"][0], np.nan], 1: list(frame["seconds"])}.items():
        monkeypatch.setattr("helpers.device.num_gpus", lambda gpus=gpus: gpus)
        again = trials.recall(fit_line, [Config()], study="study", seeds=2)
        assert np.array_equal(again["seconds"], seconds, equal_nan=True) and list(again["gpu"]) == ["", "H100"]
        assert np.isnan(again["examples_per_second"][1]) == np.isnan(seconds[1])


def test_rm_stale_and_ls(module, capsys):
    own, edit = module
    assert main(["ls"]) == 0 and "no records yet" in capsys.readouterr().out
    trials.run(own.train, [own.Config()], study="study", seeds=3, jobs=1)
    trials.run(fit_line, [Config(), Config(trouble="nan"), Config(trouble="raise")], study="lines", jobs=0)
    edit("config.seed +", "1 + config.seed +")
    assert main(["ls"]) == 0
    table = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert table[0] == ["study", "trial", "where", "n", "ok", "diverged", "failed", "stale", "hours"]
    assert table[1] == ["lines", "line", "here", "3", "1", "1", "1", "0", "0.0"]
    assert table[2] == ["study", "own", "here", "3", "3", "0", "0", "3", "0.0"]
    assert main(["rm", "--stale"]) == 0
    assert "3 stale records removed; 0 committed" in capsys.readouterr().out
    assert len(list(base.RECORDS.glob("*/*.json"))) == 3 and len(list(base.RECORDS.glob("*/*.npz"))) == 2


def test_publish_leaves_out_large_weights_and_other_budgets(home, capsys):
    trials.run(fit_torch, [Config()], study="study", budget="full", jobs=0)
    trials.run(fit_torch, [Config(points=51)], study="study", budget="standard", jobs=0)
    key = trials.recall(fit_torch, [Config()], study="study")["key"][0]
    path = base.RECORDS / "study" / f"{key}.json"
    assert upkeep.copy_to_published() and len(list(base.PUBLISHED.rglob("*.json"))) == 1
    assert len(list(base.PUBLISHED.rglob("*.pt"))) == 1 and path.exists()
    trials.run(fit_torch, [Config(points=51)], study="study", budget="full", jobs=0)  # asked again, by a full run
    assert "1 records copied" in upkeep.copy_to_published()


@dataclass
class Page:
    budget: str


def test_a_study_trains_reduced_rows_until_there_are_full_records(home):
    rows = {"a": Config(epochs=8), "b": Config(epochs=4, points=40)}

    def study(budget):
        return trials.run_study(
            fit_line, rows, study="study", seeds=3, page=Page(budget), reduced={"epochs": 4, "points": 25}
        )

    frame = study("standard")
    assert list(frame["row"]) == ["a", "b"] and list(frame["seed"]) == [0, 0]
    assert list(frame["share"]) == [0.25, 0.625] and set(frame["budget"]) == {"standard"}
    trials.run(fit_line, {"b": rows["b"]}, study="study", seeds=2, jobs=0)
    frame = study("standard")
    assert list(frame["row"]) == ["a", "b", "b"] and list(frame["budget"]) == ["standard", "full", "full"]
    assert list(frame["share"]) == [0.25, 1.0, 1.0]
    assert set(study("smoke")["budget"]) == {"smoke"}
    frame = study("full")
    assert list(frame["seed"]) == [0, 1, 2] * 2 and set(frame["budget"]) == {"full"} and set(frame["share"]) == {1.0}
    assert {record["budget"] for record in frame["record"]} == {"full"}
    assert len(study("standard")) == 6


@pytest.mark.parametrize(
    ("own", "least", "used"), [(50, None, 50), (50, 25, 25), (20, 25, 20), (None, 25, 25), (None, None, None)]
)
def test_a_limit_of_a_row_and_one_of_the_budget_reduce_to_the_smaller(own, least, used):
    assert study._reduced(Config(points=own), {"points": least}).points == used


def test_a_committed_record_that_differs_is_not_shown_and_trained_again_by_a_full_run(module, capsys):
    own, edit = module
    published(own, [own.Config()], 2, capsys)
    edit("config.seed +", "2 * config.seed +")
    arguments = {"study": "study", "seeds": 2, "reduced": {"epochs": 5}}
    frame = trials.run_study(own.train, [own.Config()], page=Page("standard"), **arguments)
    assert set(frame["budget"]) == {"full", "standard"} or set(frame["budget"]) == {"full"}
    frame = trials.run_study(own.train, [own.Config()], page=Page("full"), **arguments)
    assert frame["test_accuracy"][1] > 2
    frame = trials.run_study(own.train, [own.Config()], page=Page("standard"), **arguments)
    assert set(frame["budget"]) == {"full"} and frame["test_accuracy"][1] > 2


def test_a_spot_check_trains_committed_rows_again(module, capsys):
    own, edit = module
    published(own, {"a": own.Config(), "b": own.Config(epochs=4)}, 1, capsys)
    rows = {"a": own.Config(), "b": own.Config(epochs=4), "never trained": own.Config(epochs=9)}
    frame = trials.spot_check(own.train, rows, study="study")
    assert list(frame["row"]) == ["a", "b"] and (frame["agreement"] == "equal").all() and frame["comparable"].all()
    assert set(frame["difference"]) == {0.0} and set(frame["agreement"]) == {"equal"}
    edit("config.seed +", "1 +")
    frame = trials.spot_check(own.train, {"a": own.Config()}, study="study")
    assert (
        frame["agreement"][0] != "equal" and not frame["comparable"][0] and frame["difference"][0] == pytest.approx(1)
    )


# A cluster


@pytest.fixture
def cluster(home):
    """A Dask scheduler and two worker processes on this machine: (address, workers)."""
    pytest.importorskip("distributed")
    environment = os.environ | {"PYTHONPATH": PATHS, "PYTHONWARNINGS": "ignore"}
    started = []

    def start(module, *arguments):
        call = [sys.executable, "-m", f"distributed.cli.dask_{module}", *arguments]
        process = subprocess.Popen(call, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                   cwd=home, start_new_session=True)  # fmt: skip
        started.append(process)
        return process

    file = home / "scheduler.json"
    start("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file))
    wait_until(file.exists)
    wait_until(lambda: file.read_text().endswith("}"))
    address = json.loads(file.read_text())["address"]
    workers = [start("worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard") for _ in range(2)]
    yield address, workers
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_a_cluster_trains_the_same_and_loses_nothing_with_a_worker(home, cluster, monkeypatch):
    address, workers = cluster
    log, config = home / "log", Config(pause=0.1)
    expected = trials.run(fit_line, [config], study="local", seeds=8, jobs=2)
    monkeypatch.setenv("ENGINE", address)

    def kill():
        wait_until(lambda: len(begun(log)) >= 3)
        workers[0].kill()

    killer = threading.Thread(target=kill)
    killer.start()
    frame = trials.run(fit_line, [replace(config, log=str(log))], study="study", seeds=8)
    killer.join()
    assert set(frame["status"]) == {"ok"} and list(frame["seed"]) == list(range(8))
    assert list(frame["loss"]) == list(expected["loss"]) and len(begun(log)) > 8
    assert [record["files"] for record in frame["record"]] == [record["files"] for record in expected["record"]]


def test_no_scheduler_is_said_in_one_line(monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setenv("ENGINE", "tcp://127.0.0.1:9")
    with pytest.raises(CourseworkError, match=r"^ENGINE=tcp://127\.0\.0\.1:9: [^\n]*$"):
        trials.run(fit_line, [Config()], study="study")
