"""One `trials.run`: which records it accepts, handing the rest to an engine, writing what returns."""

import contextlib
import subprocess
import time
from collections import deque
from concurrent import futures
from dataclasses import dataclass
from pathlib import Path

import filelock

from helpers import base, engine, records, worker
from helpers.base import CourseworkError
from helpers.progress import Progress

POLL = 0.2  # seconds between looks at messages, and at trials that another run is training


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


class Run:
    """One `run`: knows which records it accepts, hands the others to an engine, writes what returns."""

    def __init__(self, function, study, budget=None, fresh=False):
        self.function, self.study, self.budget = function, study, budget
        self.fresh_since = worker.now() if fresh else ""
        worker.loaded_source(function.__module__)
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

    def train(self, waiting, machine, live: bool = False) -> dict:
        """Train all of `waiting`, as many at once as the engine `machine` takes; key -> record."""
        self.machine, self.waiting = machine, deque(waiting)
        self.running, self.locks, self.found = {}, {}, {}
        self.commit = commit()
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
                stack.callback(self.machine.close, abandon=bool(self.running))
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
            task = {"records": base.RECORDS, "study": self.study, "key": trial.key, "source": self.source}
            task |= {"fingerprint": trial.config.fingerprint(), "fresh": self.fresh_since and not trial.lost}
            threads = getattr(trial.config, "threads", 1)
            arguments = (worker.train, self.function, trial.config, task)
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
        """Keep what has finished; a trial whose worker was lost waits for its second chance."""
        for key, values in self.machine.messages():
            self.progress.told(key, values)
        for future, trial in list(self.running.items()):
            if future.done():
                outcome = self._outcome(future, trial)
                if outcome:
                    self._done(trial, self._write(trial, outcome))
                else:
                    self._unlock(trial)
                    self.waiting.appendleft(trial)
                del self.running[future]  # last: what Ctrl-C interrupts above is done again

    def _outcome(self, future, trial) -> dict | None:
        try:
            return future.result()
        except engine.LOST:
            trial.lost += 1
            lost = CourseworkError("its worker was lost twice (killed by the system? out of memory?)")
            return worker.failure(lost) if trial.lost > 1 else None
        except Exception as error:  # what came back cannot be read, or a cluster gave the trial up
            return worker.failure(error)

    def _done(self, trial, record):
        self.found[trial.key] = record
        self._unlock(trial)
        self.progress.finished(trial.key)

    def _unlock(self, trial):
        if lock := self.locks.pop(trial.key, None):
            lock.release()

    def _write(self, trial, outcome: dict) -> dict:
        """Turn what a worker returned into a record on disk."""
        files = {name: outcome.pop(name, None) for name in ("arrays", "checkpoint")}
        outcome["provenance"] = self.commit | outcome["provenance"]
        record = outcome | {
            "key": trial.key,
            "study": self.study,
            "budget": self.budget,
            "function": records.qualified_name(self.function),
            "config_class": records.qualified_name(type(trial.config)),
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


def commit() -> dict:
    """The git commit of the checkout and whether files differ from it; {} outside a repository."""

    def git(*words):
        arguments = ["git", "-C", str(base.CHECKOUT), *words]
        return subprocess.run(arguments, capture_output=True, text=True, check=True).stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")).resolve() != base.CHECKOUT:
            return {}
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain"))}
    except (OSError, subprocess.CalledProcessError):
        return {}
