"""One `trials.run`: which records it accepts, handing the rest to an engine, writing what returns."""

import contextlib
import datetime
import functools
import os
import platform
import subprocess
import sys
import time
import traceback
from collections import deque
from concurrent import futures
from dataclasses import dataclass

import filelock

from helpers import base, engine, records
from helpers.base import CourseworkError
from helpers.progress import Progress

POLL = 0.2  # seconds between looks at messages, and at trials that another run is training
_loaded_source = functools.cache(records.source_hash)  # as it was when this process began to train


@dataclass
class Trial:
    """One training that somebody wants."""

    row: str
    config: object
    key: str
    lost: int = 0  # workers that died of it


def finished(record: dict | None) -> bool:
    """Whether a trial came to its end, by divergence too; a failed one is tried again."""
    return bool(record) and not record["status"].startswith("failed")


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")


class Run:
    """One `run`: knows which records it accepts, hands the others to an engine, writes what returns."""

    def __init__(self, function, study, budget=None, fresh=False):
        self.function, self.study, self.budget = function, study, budget
        self.fresh_since = _now() if fresh else ""
        _loaded_source(function.__module__)
        self.source = records.source_hash(function.__module__)

    def known(self, trial, stale=False) -> dict | None:
        """The trial's record where it may stand for a training."""
        record = records.read(self.study, trial.key, self.source)
        if not finished(record) or record["provenance"]["started"] < self.fresh_since:
            return None
        config = records.complete(trial.config)  # equal key, other default: another trial
        if any(config.get(name, ()) != value for name, value in record["config"].items()):
            return None
        if record["source"] != self.source and not stale:
            return None
        if self.budget == "full" and record["budget"] != "full":  # now worth publishing
            record = records.write(self.study, record | {"budget": "full"})
        return record

    def train(self, waiting, machine, live) -> dict:
        """Train all of `waiting`, as many at once as the machine takes; key -> record."""
        self.machine, self.waiting = machine, deque(waiting)
        self.running, self.locks, self.found = {}, {}, {}
        self.commit = _commit()
        self.progress = Progress(self.study, {trial.key: trial.config.work() for trial in waiting}, live)
        try:
            while self.waiting or self.running:
                self._start_trials()
                if self.running:
                    futures.wait(self.running, POLL, futures.FIRST_COMPLETED)
                elif self.waiting:  # another run has them
                    time.sleep(POLL)
                self._collect()
        finally:
            with contextlib.ExitStack() as stack:  # each of these, whatever the one before does
                stack.callback(self.progress.close)
                for lock in self.locks.values():
                    stack.callback(lock.release)
                stack.callback(machine.close, abandon=bool(self.running))
                self._collect()  # finished while Ctrl-C came
        return self.found

    def _start_trials(self):
        free = self.machine.capacity - sum(self._threads(trial) for trial in self.running.values())
        for trial in list(self.waiting):
            if self._threads(trial) > free:
                return
            if not self._lock(trial):
                continue
            self.waiting.remove(trial)
            if record := self.known(trial):  # another run was faster
                self._done(trial, record)
                continue
            task = {"study": self.study, "key": trial.key, "source": self.source}
            task |= {"fingerprint": trial.config.fingerprint(), "fresh": self.fresh_since and not trial.lost}
            threads = getattr(trial.config, "threads", 1)
            arguments = (_train, self.function, trial.config, task)
            future = self.machine.submit(*arguments, name=trial.key, threads=threads)
            self.running[future] = trial
            free -= self._threads(trial)

    def _threads(self, trial) -> int:
        return min(getattr(trial.config, "threads", 1), self.machine.capacity)

    def _lock(self, trial) -> bool:
        """Whether this run may train the trial: one run at a time holds its lock."""
        path = base.RECORDS / ".locks" / f"{trial.key}.lock"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = filelock.FileLock(path)
            lock.acquire(blocking=False)
        except filelock.Timeout:
            return False
        except OSError as error:
            raise CourseworkError(
                f"cannot write {path}: {error.strerror}; free some space or check permissions"
            ) from error
        self.locks[trial.key] = lock
        return True

    def _collect(self):
        for name, values in self.machine.messages():
            self.progress.told(name, values)
        for future in [future for future in self.running if future.done()]:
            trial = self.running.pop(future)
            try:
                outcome = future.result()
            except engine.LOST:
                trial.lost += 1
                if trial.lost < 2:
                    self.waiting.appendleft(trial)
                    self.locks.pop(trial.key).release()
                    continue
                outcome = {"status": "failed: its worker process died twice (killed by the system? out of memory?)"}
            except Exception as error:
                outcome = _failure(error)
            self._done(trial, self._write(trial, outcome))

    def _done(self, trial, record):
        self.found[trial.key] = record
        self.locks.pop(trial.key).release()
        self.progress.finished(trial.key)

    def _write(self, trial, outcome: dict) -> dict:
        """Turn what a trial function returned into a record on disk."""
        config, seconds, examples = trial.config, outcome.get("seconds"), outcome.get("examples")
        labels = outcome.get("predictions")
        record = {
            "key": trial.key,
            "study": self.study,
            "budget": self.budget,
            "function": records.qualified_name(self.function),
            "config_class": records.qualified_name(type(config)),
            "config": records.complete(config),
            "fingerprint": config.fingerprint(),
            "source": self.source,
            "status": outcome["status"],
            "history": outcome.get("history", {}),
            "metrics": outcome.get("metrics", {}),
            "predictions": None if labels is None else records.pack_labels(labels),
            "examples": examples,
            "seconds": seconds,
            "examples_per_second": examples / seconds if examples and seconds else None,
            "traceback": outcome.get("traceback"),
            "provenance": {"started": _now(), **self.commit, **outcome.get("provenance", {})},
        }
        if not finished(record) and finished(records.read(self.study, trial.key)):
            return record | {"files": {}, "checksum": ""}  # a stale result is worth more than a failure
        record = records.write(self.study, record, outcome.get("arrays"), outcome.get("checkpoint"))
        if finished(record):
            for state in _state_path(self.study, trial.key, "").parent.glob(f"{trial.key}-*"):
                state.unlink(missing_ok=True)
        return record


def _state_path(study, key, source):
    return base.RECORDS / study / ".state" / f"{key}-{source}.pt"


def _train(function, config, task: dict, listener=None) -> dict:
    """In a worker: train, and return the trial function's result with seconds and provenance."""
    started, clock = _now(), time.perf_counter
    state = _state_path(task["study"], task["key"], task["source"])
    context = engine.Context(state, os.environ.get("DEVICE") or "auto", listener)
    try:
        if _loaded_source(function.__module__) != task["source"]:
            raise CourseworkError("the helpers loaded here are not those on disk; restart the kernel or worker")
        if config.fingerprint() != task["fingerprint"]:
            raise CourseworkError("the data here is not the notebook's; copy its data folder to this worker")
        if task["fresh"]:
            state.unlink(missing_ok=True)
        resumed = state.exists()
        threads = getattr(config, "threads", 1)
        with engine.threads_limited(threads):
            start = clock()
            outcome = function(config, context)
            outcome = {"seconds": clock() - start} | outcome
            machine = _machine(context) | {"threads": threads}
    except Exception as error:
        return _failure(error) | {"provenance": {"started": started}}
    provenance = machine | {"started": started, "resumed": resumed} | outcome.get("provenance", {})
    return outcome | {"provenance": provenance}


def _failure(error) -> dict:
    kind = "" if isinstance(error, CourseworkError) else f"{type(error).__name__}: "
    lines = traceback.format_exception(error, limit=-6)
    return {"status": f"failed: {kind}{error}", "traceback": "".join(lines)}


def _machine(context) -> dict:
    """Provenance of a training; a NumPy training does not wait for torch to load."""
    if "torch" not in sys.modules:
        import numpy

        versions = {"python": platform.python_version(), "numpy": numpy.__version__}
        return versions | {"processor": platform.processor() or platform.machine()}
    import torch

    from helpers import device

    features = [name for name, present in torch.cpu.get_capabilities().items() if present is True]
    return device.describe(device.choose(context.device)) | {"features": sorted(features)}


def _commit() -> dict:
    """The checkout's commit, and whether files differ from it; {} outside git."""
    git = ["git", "-C", str(base.CHECKOUT)]
    try:
        commit = subprocess.check_output([*git, "rev-parse", "HEAD"], text=True, stderr=subprocess.DEVNULL)
        changes = subprocess.check_output([*git, "status", "--porcelain"], text=True)
    except (OSError, subprocess.CalledProcessError):
        return {}
    return {"commit": commit.strip(), "dirty": bool(changes.strip())}
