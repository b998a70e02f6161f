"""One `trials.run`: which records it accepts, handing the rest to an engine, writing what returns."""

import contextlib
import os
import subprocess
import sys
import time
from collections import deque
from concurrent import futures
from dataclasses import dataclass
from pathlib import Path

from helpers import base
from helpers.base import CourseworkError
from helpers.trials import adoption, engine, probe, records, worker
from helpers.trials.progress import Progress
from helpers.trials.source import source_hash

POLL = 0.2  # seconds between looks at messages, and at trials that another run is training


@dataclass
class Trial:
    """One training that somebody wants."""

    row: str
    config: object
    key: str
    stale: dict | None = None  # its record by other source, which a probe may save from being trained again
    probed: bool = False  # whether that probe has been trained in this run
    lost: int = 0  # workers that died of it

    @property
    def words(self) -> str:
        """Its row and seed, for people: "adam, seed 0"."""
        return f"{self.row}, seed {self.config.seed}"


def finished(record: dict | None) -> bool:
    """Whether a trial came to its end, by divergence too; a failed one is tried again."""
    return bool(record) and record["status"] != "failed"


class Runner:
    """One `run`: knows which records it accepts, hands the others to an engine, writes what returns."""

    def __init__(self, function, study, budget=None, fresh=False):
        self.function, self.study, self.budget = function, study, budget
        since = os.environ.get("COURSEWORK_FRESH_SINCE")  # of a build, so that its notebooks share what one trained
        self.fresh_since = (since or worker.now()) if fresh else ""
        worker.loaded_source(function.__module__)  # remembers it as this process has loaded it
        self.source = source_hash(function.__module__)

    def lookup(self, trial) -> dict | None:
        """The trial's record where it may stand for a training; one by other source becomes `trial.stale`."""
        record = records.read(self.study, trial.key, self.source)
        if not finished(record) or (self.fresh_since and not self._is_fresh(record)):
            return None
        config = records.complete(trial.config)  # equal key, other default: another trial
        if any(config.get(name, ()) != value for name, value in record["config"].items()):
            return None
        if not adoption.stands(record, self.source):
            askable = not trial.probed and adoption.is_open(record, self.source) and probe.probe_of(trial.config)
            trial.stale = record if askable else None
            return None
        if self.budget == "full" and record["budget"] != "full":  # now worth publishing
            record = records.write(self.study, record | {"budget": "full"})
        return record

    def _is_fresh(self, record) -> bool:
        return self.fresh_since <= record["provenance"].get("started", "") <= worker.now()

    def train(self, waiting, machine, live: bool = False, only_adopt: bool = False) -> dict:
        """Train all of `waiting`, as many at once as the engine `machine` takes; key -> record.

        A stale record is probed first and adopted where the probe agrees. only_adopt: then nothing else is trained,
        and what the probe does not save is left out.
        """
        self.machine, self.waiting = machine, deque(waiting)
        self.running, self.locks, self.results, self.only_adopt = {}, {}, {}, only_adopt
        self.commit, self.idle_since, self.announced = commit(), 0.0, False
        titles = {trial.key: trial.words for trial in waiting}
        work = {trial.key: self._next_config(trial).work() for trial in waiting}
        self.progress = Progress(self.study, work, titles if live else None)
        try:
            while self.waiting or self.running:
                self._start_trials()
                if self.running:
                    futures.wait(self.running, POLL, futures.FIRST_COMPLETED)
                elif self.waiting:  # another run has them
                    self._say_what_for()
                    time.sleep(POLL)
                self._collect()
        finally:
            with contextlib.ExitStack() as stack:  # each of these, whatever the one before does
                stack.callback(self.progress.close)
                for lock in self.locks.values():
                    stack.callback(lock.release)
                stack.callback(self.machine.close, abandon=bool(self.running))
                self._collect()  # finished while Ctrl-C came
        return self.results

    def _say_what_for(self):
        """After a few seconds without a trial of its own, this run says once what it waits for."""
        self.idle_since = self.idle_since or time.monotonic()
        if not self.announced and time.monotonic() - self.idle_since >= base.PATIENCE:
            count, path = len(self.waiting), _lock_path(self.waiting[0])
            print(f"waiting for {count} trials of {self.study} that another process trains ({path})", file=sys.stderr)
            self.announced = True

    def _next_config(self, trial):
        return probe.probe_of(trial.config) if trial.stale else trial.config

    def _start_trials(self):
        free = self.machine.capacity - sum(self._threads(trial) for trial in self.running.values())
        for trial in list(self.waiting):
            if self._threads(trial) > free:
                return
            if not self._lock(trial):
                continue
            self.waiting.remove(trial)
            if record := self.lookup(trial):  # another run was faster
                self._done(trial, record)
                continue
            self.running[self._submit(trial)] = trial
            free -= self._threads(trial)

    def _submit(self, trial):
        task = {"records": base.RECORDS, "study": self.study, "key": trial.key, "source": self.source}
        task |= {"fingerprint": trial.config.fingerprint(), "fresh": self.fresh_since and not trial.lost}
        work = worker.train_probe if trial.stale else worker.train
        arguments = (work, self.function, self._next_config(trial), task)
        return self.machine.submit(*arguments, name=trial.key, threads=worker.threads_of(trial.config))

    def _threads(self, trial) -> int:
        return min(worker.threads_of(trial.config), self.machine.capacity)

    def _lock(self, trial) -> bool:
        """Whether this run may train the trial: one run at a time holds its lock."""
        path = _lock_path(trial)
        try:
            lock = base.file_lock(path)
        except OSError as error:
            raise CourseworkError(
                f"cannot write {path}: {error.strerror}; free some space or check permissions"
            ) from error
        if lock:
            self.locks[trial.key] = lock
        return bool(lock)

    def _collect(self):
        """Keep what has finished; a trial whose worker was lost waits for its second chance."""
        for key, values in self.machine.messages():
            self.progress.epoch_ended(key, values)
        for future, trial in list(self.running.items()):
            if future.done():
                outcome = self._outcome(future, trial)
                if not outcome:
                    self._unlock(trial)
                    self.waiting.appendleft(trial)
                elif trial.stale:
                    self._judge_probe(trial, outcome)
                else:
                    self._done(trial, self._write(trial, outcome))
                del self.running[future]  # last: what Ctrl-C interrupts above is done again

    def _judge_probe(self, trial, outcome):
        """Adopt the stale record where its probe agrees; else the trial waits to be trained, also of a failed probe."""
        if adoption.adopt(trial.stale, self.source, outcome):
            self._done(trial, trial.stale)
            return
        trial.stale, trial.probed = None, True
        self._unlock(trial)
        if self.only_adopt:
            self.progress.finished(trial.key)
        else:
            self.progress.extend(trial.key, trial.config.work())
            self.waiting.appendleft(trial)

    def _outcome(self, future, trial) -> dict | None:
        try:
            return future.result()
        except engine.LOST:
            trial.lost += 1
            if trial.lost == 1:
                return None
            return worker.failure(CourseworkError("its worker was lost twice (killed by the system? out of memory?)"))
        except Exception as error:  # what came back cannot be read, or a cluster gave the trial up
            return worker.failure(error)

    def _done(self, trial, record):
        self.results[trial.key] = record
        self._unlock(trial)
        self.progress.finished(trial.key)

    def _unlock(self, trial):
        if lock := self.locks.pop(trial.key, None):
            lock.release()

    def _write(self, trial, outcome: dict) -> dict:
        """Turn what a worker returned into a record on disk; `outcome` stays whole, as Ctrl-C may ask for it again."""
        files = {name: outcome.get(name) for name in ("arrays", "checkpoint")}
        record = {name: value for name, value in outcome.items() if name not in files} | {
            "provenance": self.commit | outcome["provenance"],
            "key": trial.key,
            "study": self.study,
            "budget": self.budget,
            "trial": records.trial_id(self.function),
            "config": records.complete(trial.config),
            "fingerprint": trial.config.fingerprint(),
            "source": self.source,
        }
        if not finished(record) and finished(records.read(self.study, trial.key)):
            return record | {"files": {}, "checksum": ""}  # a stale result is worth more than a failure
        record = records.write(self.study, record, **files)
        if finished(record):
            worker.forget_states(base.RECORDS, self.study, trial.key)
        return record


def _lock_path(trial) -> Path:
    return base.RECORDS / ".locks" / f"{trial.key}.lock"


def commit() -> dict:
    """The git commit of the checkout and whether files differ from it; {} outside a repository."""

    def git(*words):
        arguments = ["git", "-C", str(base.CHECKOUT), *words]
        return subprocess.run(
            arguments, capture_output=True, encoding="utf-8", errors="replace", check=True
        ).stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")).resolve() != base.CHECKOUT:
            return {}
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("--no-optional-locks", "status", "--porcelain"))}
    except (OSError, subprocess.CalledProcessError):
        return {}
