"""Trials: full disks, signals, files with wrong types, file systems without locks, scripts without a guard."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import warnings
from dataclasses import replace
from pathlib import Path

import fault_trials
import numpy as np
import pytest
import tiny
import torch
from trial_functions import Config, fit_line

from helpers import base, trials
from helpers.base import CourseworkError
from helpers.training.classifier import ClassifierConfig, train_classifier
from helpers.trials import adoption, kinds, records, runner, study, upkeep, worker

SLOW = pytest.mark.slow
HERE = Path(__file__).parent
PATHS = os.pathsep.join(map(str, (HERE.parent.parent, HERE.parent, HERE)))


@pytest.fixture(autouse=True)
def home(own_records):
    """Records of this test only, here and in worker processes."""
    return own_records


def script(home, code, *words, jobs="1", **settings):
    """Run `code` as a script of its own."""
    path = home / "script.py"
    path.write_text(code, encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": PATHS, "COURSEWORK_HOME": str(home), "JOBS": jobs} | settings
    command = [sys.executable, path, *map(str, words)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, encoding="utf-8", timeout=200)


def halves(home):
    """The temporary files that a write left behind."""
    return [path for path in (home / "reports").rglob(".*") if path.is_file() and path.suffix != ".lock"]


# Finished means that all its files are there

LARGE = """
import os, resource, signal, sys
from fault_trials import Config, large
from helpers import base, trials
from helpers.base import CourseworkError, run_command

fault, moment = sys.argv[1:]
count, sync = 0, os.fsync

def fsync(descriptor):
    global count
    count += 1
    if count == int(moment):
        os.kill(os.getpid(), getattr(signal, fault))
    sync(descriptor)

if __name__ == "__main__":
    if fault == "full":
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(moment), int(moment)))
    elif fault != "none":
        os.fsync = fsync
        if fault == "SIGHUP":  # tests that run under nohup would hand on that it is ignored
            signal.signal(signal.SIGHUP, signal.SIG_DFL)
    sys.exit(run_command(lambda: trials.run(large, [Config()], study="s")["status"][0]))
"""


def finished_whole(home):
    """Whether the record is there; if so, all its files must be, and no half of one may."""
    key = records.key(fault_trials.large, fault_trials.Config())
    record = records.read("s", key)
    if record:
        assert record["files"].keys() == {"npz", "pt"}
        assert len(records.arrays("s", key)["noise"]) == 125_000
        assert len(torch.load(records.checkpoint_path("s", key))["noise"]) == 125_000
    return bool(record)


@pytest.mark.fault("a full disk, or a signal, while results are written")
@pytest.mark.parametrize("room", [1_000_500, *(pytest.param(room, marks=SLOW) for room in (0, 1000, 500_000))])
def test_a_full_disk_leaves_no_record_without_its_files(home, room):
    full = script(home, LARGE, "full", room)
    assert (full.returncode, full.stdout) == (1, "")
    line = full.stderr.splitlines()[-1]
    assert "File too large; free some space" in line
    assert room == 0 or line.startswith(f"cannot write {home}/reports/records/")
    assert "Traceback" not in full.stderr
    assert not finished_whole(home) and not halves(home)
    again = script(home, LARGE, "none", 0)
    assert (again.returncode, again.stdout) == (0, "ok\n")
    assert finished_whole(home)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1.2 MB, where this may be mounted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1200k", "tmpfs", disk], capture_output=True)
    if mounted.returncode:
        pytest.skip("no file system may be mounted here")
    yield disk
    subprocess.run(["umount", disk], check=True)


@SLOW
@pytest.mark.fault("a full disk, or a signal, while results are written")
def test_a_small_file_system_that_is_full(small_disk, monkeypatch):
    monkeypatch.setattr(base, "RECORDS", small_disk / "reports" / "records")
    full = script(small_disk, LARGE, "none", 0)
    assert full.returncode == 1
    assert "No space left on device; free some space" in full.stderr.splitlines()[-1]
    assert not finished_whole(small_disk) and not halves(small_disk)


@pytest.mark.fault("a full disk, or a signal, while results are written")
@pytest.mark.parametrize("moment", [2, *(pytest.param(moment, marks=SLOW) for moment in (1, 3))])
@pytest.mark.parametrize("name", ["SIGINT", "SIGKILL", *(pytest.param(n, marks=SLOW) for n in ("SIGTERM", "SIGHUP"))])
def test_a_signal_leaves_no_record_without_its_files(home, name, moment):
    stopped = script(home, LARGE, name, moment)
    assert stopped.returncode == (130 if name == "SIGINT" else -getattr(signal, name))
    assert "Traceback" not in stopped.stderr
    has_record = finished_whole(home)
    if name == "SIGINT":  # the second pass wrote what the first was stopped at
        assert has_record and not halves(home)
    again = script(home, LARGE, "none", 0)
    assert (again.returncode, again.stdout) == (0, "ok\n")
    assert finished_whole(home)


@pytest.mark.fault("a full disk, or a signal, while results are written")
@pytest.mark.parametrize("suffix", ["npz", "pt"])
@pytest.mark.parametrize("fault", ["gone", "cut short", "a bit wrong", "a folder"])
def test_a_record_whose_files_are_not_whole_is_trained_again(home, suffix, fault):
    frame = trials.run(fault_trials.large, [fault_trials.Config()], study="s", jobs=0)
    path = base.RECORDS / "s" / f"{frame['key'][0]}.{suffix}"
    content = path.read_bytes()
    path.unlink()
    if fault == "a folder":
        path.mkdir()
    elif fault != "gone":
        path.write_bytes(content[:-9] if fault == "cut short" else content[:-9] + b"!" + content[-8:])
    with pytest.warns(records.DamagedRecord):
        assert records.read("s", frame["key"][0]) is None
    if path.is_dir():
        path.rmdir()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", records.DamagedRecord)
        again = trials.run(fault_trials.large, [fault_trials.Config()], study="s", jobs=0)
    assert again["status"][0] == "ok" and finished_whole(home)


@pytest.mark.fault("a full disk, or a signal, while results are written")
@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, SystemExit, RuntimeError])
def test_no_temporary_file_stays_whatever_interrupts_a_write(tmp_path, monkeypatch, error):
    target = base.write_atomically(tmp_path / "file", "before")

    def interrupted(descriptor):
        raise error

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(error):
        base.write_atomically(target, "after")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert target.read_text(encoding="utf-8") == "before"


# Files with wrong types, resealed

WRONG = (None, 3, -1.5, True, "x", "4:9:AAAA", [], [1], [[]], {}, {"a": 1}, {"a": [[1]]}, {"a": {"b": ["c"]}})


def probed(home):
    """A record with all parts that a record can have."""
    probe = {"status": "ok", "diverged_epoch": None, "history": {"loss": [1.0]}, "platform": {"torch": "2"}}
    record = {"key": "0" * 20, "study": "s", "trial": "classifier", "config": {"epochs": 2, "lr": 0.1}}
    record |= {"fingerprint": "f", "source": "old", "status": "ok", "budget": None, "diverged_epoch": None}
    record |= {"history": {"loss": [1.0, 0.5]}, "metrics": {"test_accuracy": 0.5}, "reason": "", "probe": probe}
    record |= {"provenance": {"started": worker.now(), "torch": "2", "features": ["avx"]}, "examples": 9}
    record |= {"predictions": base.pack_labels([1, 2, 3]), "seconds": 1.0, "examples_per_second": 9.0}
    record["adopted"] = [{"from": "a", "to": "b", "agreement": "equal"}]
    return records.write("s", record, arrays={"w": np.arange(3)}, checkpoint={"w": torch.zeros(2)})


def places(value, path=()):
    """The path of each item inside, however deep."""
    yield from [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in items:
        yield from places(item, (*path, name))


def changed(record, path, value):
    record = json.loads(json.dumps(record))
    inside = record
    for name in path[:-1]:
        inside = inside[name]
    inside[path[-1]] = value
    return record | {"checksum": records.checksum(record)} if path != ("checksum",) else record


@pytest.mark.fault("resealed files with wrong types")
def test_a_record_with_wrong_types_is_damaged_or_of_use(home, record_property, capsys, recwarn):
    warnings.simplefilter("always", records.DamagedRecord)
    record, tried, damaged = probed(home), 0, 0
    path = base.RECORDS / "s" / f"{record['key']}.json"
    for place in places(record):
        for value in WRONG:
            wrong, tried = changed(record, place, value), tried + 1
            path.write_text(json.dumps(wrong), encoding="utf-8")
            loaded = records.load(path)
            damaged += loaded is None
            if loaded:
                use(loaded)
    for text in ("", "{}", "[]", "3", "null", '"x"', "[" * 100_000, '{"key":' * 50_000, "\udcff", "{'a': 1}"):
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
        assert records.load(path) is None
        tried, damaged = tried + 1, damaged + 1
    record_property("tried", tried)
    assert damaged > 250 and len(recwarn) >= damaged


def use(record):
    """All that is done with a record that was read; none of it may raise."""
    kinds.remade(record)
    upkeep.ls()
    adoption.stands(record, "new"), adoption.is_open(record, "new"), adoption.agreement(record, "new")
    runner.finished(record)
    adoption.adopt(record, "new", {"status": "ok", "history": {"loss": [1.0]}, "platform": {}}) if record[
        "probe"
    ] else 0
    trial = study.Trial("row", ClassifierConfig(), record["key"])
    study._frame("s", [trial], {record["key"]: record}, "new", set())
    fresh_runner = runner.Runner(fit_line, "s", "full", fresh=True)
    fresh_runner._is_fresh(record)


@pytest.mark.fault("resealed files with wrong types")
@pytest.mark.parametrize("value", ["[" * 99_999, "", "[]", "3", '"x"', "{}", '{"adopted": [], "agreement": []}'])
def test_a_note_of_an_adoption_with_wrong_types_counts_as_none(home, value):
    record = probed(home)
    path = base.RECORDS / "s/.adopted" / f"{record['key']}-new.json"
    base.write_atomically(path, value)
    assert adoption.is_open(record, "new") and not adoption.stands(record, "new")
    base.write_atomically(path, json.dumps({"checksum": record["checksum"], "adopted": 3, "agreement": []}))
    assert adoption.is_open(record, "new") and not adoption.agreement(record, "new")


@pytest.mark.fault("a record that names other code")
@pytest.mark.parametrize(
    "name", ["canary", "canary:boom", "canary.boom", "os.system", "builtins:eval", "../canary", ""]
)
def test_a_record_calls_only_what_stands_in_the_table(home, monkeypatch, capsys, name):
    (home / "canary.py").write_text(f"open({str(home / 'sung')!r}, 'w')\n", encoding="utf-8")
    monkeypatch.syspath_prepend(home)
    record = probed(home)
    config = {
        "function": "canary:boom",
        "class": "canary.Boom",
        "py/object": "canary.Boom",
        "__reduce__": "canary.boom",
    }
    for wrong in (record | {"trial": name}, record | {"config": config}, record | {"trial": name, "module": "canary"}):
        records.write("s", wrong)
        assert kinds.remade(wrong) is None
    assert upkeep.verify() == 1  # it could ask for nothing
    upkeep.adopt()
    assert "1 cannot be asked for" in capsys.readouterr().out
    assert not (home / "sung").exists()


STATES = {
    f"{part} is {value!r:.20}": (part, value)
    for part in ("parts", "columns", "best", "lowest", "random")
    for value in (None, 3, "x", [], [1, 2], {}, {"train_loss": 3}, {"train_loss": ["x"]})
}


@pytest.mark.fault("resealed files with wrong types")
def test_a_mid_trial_state_with_wrong_types_is_set_aside(home, monkeypatch, record_property):
    monkeypatch.setenv("DEVICE", "cpu")
    tiny.cached(home, monkeypatch)
    config = ClassifierConfig(dataset="tiny", model="mlp", epochs=3, precision="float32")
    saved = []

    def stop(values):
        if values["epoch"] == 2:
            raise KeyboardInterrupt

    def trained(state=None):
        path = worker.state_path(base.RECORDS, "s", "k", "source")
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(state, path) if not isinstance(state, bytes) else path.write_bytes(state)
        task = {"records": base.RECORDS, "study": "s", "key": "k", "fresh": False, "fingerprint": config.fingerprint()}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return worker.train(train_classifier, config, task | {"source": "source"})

    monkeypatch.setattr(worker, "loaded_source", lambda module: "source")
    monkeypatch.setattr("helpers.training.loop._Training.save", lambda self, path: saved.append(self.state()))
    monkeypatch.setattr(
        "helpers.training.loop.fit.__kwdefaults__", {"on_epoch": None, "state_path": None, "save_every": -1}
    )
    whole = trained({})
    state = torch.load(saved_bytes(saved[0]), weights_only=True)
    resumed = trained(state)
    assert resumed["history"]["train_loss"] == whole["history"]["train_loss"]
    tried = 0
    for part, value in STATES.values():
        outcome = trained(state | {part: value})
        assert outcome["status"] == "ok", (part, value, outcome["reason"])
        assert {len(column) for column in outcome["history"].values()} == {3}
        tried += 1
    for other in (b"", b"x" * 999, [], 3, "x", {"parts": 1}, {n: v for n, v in state.items() if n != "random"}):
        outcome = trained(other)
        assert outcome["status"] == "ok" and outcome["history"]["train_loss"] == whole["history"]["train_loss"]
        tried += 1
    record_property("tried", tried)


def saved_bytes(state):
    import io

    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return buffer


# Locks, and scripts without a guard

NO_LOCKS = """
import ctypes, errno, platform, struct, sys
number = {"x86_64": 73, "aarch64": 32}[platform.machine()]
code = [(0x20, 0, 0, 0), (0x15, 0, 1, number), (6, 0, 0, 0x50000 | int(sys.argv[1])), (6, 0, 0, 0x7FFF0000)]
filters = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in code))
program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(code), ctypes.addressof(filters)))
libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, ctypes.byref(program), 0, 0):
    sys.exit(99)
from helpers import base
from helpers.data import sources
from helpers import trials
from trial_functions import Config, fit_line
if __name__ == "__main__":
    print(sources.obtain("fashion_mnist", "standin").name)
    print(trials.run(fit_line, [Config()], study="s")["status"][0])
"""


@pytest.mark.fault("a file system without locks")
@pytest.mark.parametrize("number", ["ENOLCK", *(pytest.param(n, marks=SLOW) for n in ("ENOSYS", "EOPNOTSUPP"))])
def test_without_locks_the_work_goes_on_and_a_line_says_so(home, number):
    """The kernel itself refuses flock: a seccomp filter, for this process and its children."""
    import errno

    done = script(home, NO_LOCKS, getattr(errno, number))
    if done.returncode == 99:
        pytest.skip("no seccomp filter may be set here")
    assert (done.returncode, done.stdout) == (0, "digits28\nok\n"), done.stderr
    assert "Traceback" not in done.stderr
    assert number == "ENOSYS" or "has no file locks" in done.stderr  # with ENOSYS filelock finds another way


@pytest.fixture
def hold(monkeypatch):
    """Hold a lock as another process would, for a second; people are told what is waited for before that."""
    monkeypatch.setattr(base, "PATIENCE", 0.3)

    def holding(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        threading.Timer(1.5, os.close, [descriptor]).start()
        return path

    return holding


@pytest.mark.fault("waits that say nothing")
def test_a_run_says_what_it_waits_for(hold, capsys):
    path = hold(base.RECORDS / ".locks" / f"{records.key(fit_line, Config())}.lock")
    assert trials.run(fit_line, [Config()], study="s", jobs=0)["status"][0] == "ok"
    assert capsys.readouterr().err.startswith(f"waiting for 1 trials of s that another process trains ({path})")


@pytest.mark.fault("waits that say nothing")
def test_a_lock_says_what_it_waits_for(hold, home, capsys):
    path = hold(home / "a.lock")
    assert base.file_lock(path) is None
    base.file_lock(path, "prepares this").release()
    assert capsys.readouterr().err == f"waiting for {path}: another process prepares this\n"


TOP = "from trial_functions import Config, fit_line\nfrom helpers import trials\n"
RUN = 'print(trials.run(fit_line, [Config(), Config(lr=0.2)], study="s")["status"].tolist())\n'
REFUSED = {
    "at the top": TOP + RUN,
    "in a function": TOP + "def main():\n    " + RUN + "main()\n",
    "in an unguarded if": TOP + "if True:\n    " + RUN,
    "in a loop": TOP + "for _ in range(1):\n    " + RUN,
    "in a class": TOP + "class A:\n    " + RUN,
    "in a thread pool": TOP + "def main():\n    " + RUN + "[main() for _ in (1,)]\n",
}
ALLOWED = {
    "with a guard": TOP + 'if __name__ == "__main__":\n    ' + RUN,
    "the guard's other form": TOP + "def main():\n    " + RUN + "if '__main__' == __name__:\n    main()\n",
    "in a branch of the guard": TOP + 'if __name__ != "__main__":\n    pass\nelse:\n    ' + RUN,
}


@pytest.mark.fault("scripts without a guard")
@pytest.mark.parametrize("name", [*list(REFUSED)[:2], *(pytest.param(n, marks=SLOW) for n in list(REFUSED)[2:])])
def test_a_script_without_a_guard_is_refused_in_one_line(home, name):
    done = script(home, REFUSED[name], jobs="2")
    assert (done.returncode, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    assert "each worker reads this script again" in line and 'if __name__ == "__main__":' in line
    assert not list((home / "reports").rglob("*.json"))
    done = script(home, REFUSED[name], jobs="0")
    assert (done.returncode, done.stdout) == (0, "['ok', 'ok']\n")


@pytest.mark.fault("scripts without a guard")
@pytest.mark.parametrize("name", [*list(ALLOWED)[:1], *(pytest.param(n, marks=SLOW) for n in list(ALLOWED)[1:])])
def test_a_script_with_a_guard_runs(home, name):
    done = script(home, ALLOWED[name], jobs="2")
    assert (done.returncode, done.stdout, done.stderr) == (0, "['ok', 'ok']\n", "")


# Trainings that cannot end well

HARD = {
    "a rate of 1e9": ({"lr": 1e9}, "diverged|ok"),
    "a rate of 1e38": ({"lr": 1e38}, "diverged"),
    "a rate of 1e9, adam": ({"lr": 1e9, "optimiser": "adam"}, "diverged|ok"),
    "a batch larger than the data": ({"batch_size": 100_000}, "ok"),
    "one example": ({"train_limit": 1}, "ok"),
    "one example, batch norm": ({"train_limit": 1, "model": "patch_mlp"}, "ok|failed"),
    "one test example": ({"test_limit": 1}, "ok"),
    "batches of one": ({"batch_size": 1, "train_limit": 3}, "ok"),
    "a model that does not exist": ({"model": "nope"}, "failed"),
    "options that do not exist": ({"options": {"nope": 1}}, "failed"),
    "a network without room": ({"options": {"widths": [10**12]}}, "failed"),
}


@pytest.mark.fault("trainings that cannot end well")
@pytest.mark.parametrize("name", HARD)
def test_a_hard_training_is_recorded_with_its_reason(home, monkeypatch, name):
    monkeypatch.setenv("DEVICE", "cpu")
    tiny.cached(home, monkeypatch)
    fields, ends = HARD[name]
    config = replace(ClassifierConfig(dataset="tiny", model="mlp", epochs=2, precision="float32"), **fields)
    frame = trials.run(train_classifier, [config], study="s", jobs=0)
    assert frame["status"][0] in ends.split("|")
    record = json.loads((base.RECORDS / "s" / f"{frame['key'][0]}.json").read_text(encoding="utf-8"))
    assert records.load(base.RECORDS / "s" / f"{frame['key'][0]}.json") == record
    assert bool(record["reason"]) == (record["status"] == "failed") and "\n" not in record["reason"].strip()
    assert bool(record["diverged_epoch"]) == (record["status"] == "diverged")


@pytest.mark.fault("trainings that cannot end well")
def test_one_class_trains(home, monkeypatch):
    monkeypatch.setenv("DEVICE", "cpu")
    tiny.cached(home, monkeypatch, classes=1)
    config = ClassifierConfig(dataset="tiny", model="mlp", epochs=2, precision="float32")
    frame = trials.run(train_classifier, [config], study="s", jobs=0)
    assert frame["status"][0] == "ok" and frame["test_accuracy"][0] == 1


@pytest.mark.fault("trainings that cannot end well")
@pytest.mark.parametrize("fields", [{"epochs": 0}, {"batch_size": 0}, {"train_limit": -5}, {"clip_norm": 0}])
def test_what_can_be_known_is_refused_before(fields):
    with pytest.raises(CourseworkError, match=next(iter(fields))):
        ClassifierConfig(**fields)


@pytest.mark.fault("trainings that cannot end well")
@pytest.mark.parametrize("trouble", ["memory", "torch memory"])
def test_memory_that_is_not_there_is_a_reason(home, trouble):
    frame = trials.run(fault_trials.large, [fault_trials.Config(trouble=trouble)], study="s", jobs=0)
    assert frame["status"][0] == "failed" and "alloc" in frame["reason"][0]
    again = trials.run(fault_trials.large, [fault_trials.Config()], study="s", jobs=0)
    assert again["status"][0] == "ok"


@pytest.mark.fault("a clock that is set back")
@pytest.mark.parametrize("year", ["2999", "9999", "1970"])
def test_fresh_trains_whatever_time_a_record_says(home, monkeypatch, year):
    """A record of a clock that was ahead is none of this build's, and the one written now is."""
    log = home / "log"
    first = trials.run(fit_line, [Config(log=str(log))], study="s", jobs=0)["record"][0]
    started = first["provenance"]["started"]
    records.write("s", first | {"provenance": first["provenance"] | {"started": year + started[4:]}})
    monkeypatch.setenv("COURSEWORK_FRESH_SINCE", worker.now())
    for _ in range(2):
        frame = trials.run(fit_line, [Config(log=str(log))], study="s", jobs=0, fresh=True)
        assert len(log.read_text().splitlines()) == 2
    assert frame["record"][0]["provenance"]["started"] >= started
