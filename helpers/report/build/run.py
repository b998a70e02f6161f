"""The build: each notebook whose inputs changed is run, two at a time, and set as a page; then the index.

Whatever lies in notebooks/ is built. A notebook's metadata may say `"coursework": {"needs": "all" or
names, "data": ["fashion_mnist", "cifar10"], "reads": other files, "timeout": seconds for one cell,
"alone": true}`; one that measures speed runs alone.
"""

import contextlib
import fnmatch
import os
import re
import signal
import tempfile
import threading
import time
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout

from helpers import base, page
from helpers.base import CourseworkError
from helpers.data import sources
from helpers.page import parameters
from helpers.report.build import console, freshness, outcome
from helpers.report.build.outcome import Job
from helpers.trials import runner

AT_ONCE = 2  # notebooks; a kernel's start and a page's setting fill the gaps of the other


@dataclass(kw_only=True)
class Build:
    """What is asked for, and the state of the build; `go` does it all."""

    budget: str = "standard"
    data: str = "auto"
    only: str = ""  # patterns of notebook names; all notebooks if empty
    given: dict = field(default_factory=dict)  # parameters, for the notebooks that have them
    author: str = ""
    fresh: bool = False
    environment: dict = field(default_factory=dict)  # variables for the kernels

    def go(self) -> int:
        """Build; returns the exit code: 0 when all selected pages are complete, else 1.

        Raises CourseworkError on bad parameters or data, and where another build is at work.
        """
        self._look()
        self.selected, self.warnings = self._select(), []
        self.stopped, self.commit = threading.Event(), runner.commit()
        self.folder.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(FileLock(self.folder / ".lock", timeout=0))
            except Timeout:
                where = f"another build is writing to {self.folder}"
                raise CourseworkError(f"{where}; wait for it or stop it") from None
            stack.enter_context(_sigterm_as_interrupt())
            names = dict.fromkeys(name for job in self.selected for name in job.datasets)
            self.data_of = {name: sources.obtain(name, self.data) for name in names}
            self.log = stack.enter_context(console.Log(self.folder / "build.log"))
            self.scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cw-")))
            self._schedule(stack.enter_context(ThreadPoolExecutor(AT_ONCE)))
            return self._close()

    def index(self) -> Path:
        """Write the index of what lies in the folder, and build nothing."""
        from helpers.report import index

        self._look()
        self.data_of = {}
        return index.write_index(self.folder, [self._state(job) for job in self.jobs.values()])

    def _look(self) -> None:
        self.folder, self.states = base.REPORTS / self.budget, {}
        self.jobs = {p.stem: self._job(p) for p in sorted(base.NOTEBOOKS.glob("*.ipynb"))}

    def _job(self, path: Path) -> Job:
        nb = freshness.read_json(path)
        if nb is None or "cells" not in nb:
            raise CourseworkError(f"{path} is not a notebook: mend it in JupyterLab or remove it")
        return Job(path=path, nb=nb, before=freshness.read_json(self.folder / f"{path.stem}.json"))

    def _select(self) -> list[Job]:
        """The notebooks that ONLY names, long ones first, with the parameters each declares."""
        chosen = {}
        for pattern in re.split(r"[,\s]+", self.only or "*"):
            names = fnmatch.filter(self.jobs, pattern.removesuffix(".ipynb"))
            if not names:
                there = ", ".join(self.jobs) or f"none in {base.NOTEBOOKS}"
                raise CourseworkError(f"ONLY={pattern}: no such notebook; there are {there}")
            chosen |= {name: self.jobs[name] for name in names}
        declared = {name: parameters.declared(job.path) for name, job in chosen.items()}
        known = dict.fromkeys(name for names in declared.values() for name in names)
        parameters.refuse_unknown(self.given, known, "SET")
        asked = {"budget": self.budget, "data": self.data, **self.given}
        for name, job in chosen.items():
            mine = {key: value for key, value in asked.items() if key in declared[name]}
            job.parameters = page.check_parameters(job.path, mine)
        return sorted(chosen.values(), key=lambda job: -self._usual_seconds(job))

    def _usual_seconds(self, job: Job) -> float:
        """How long the notebook took last time, here or for the committed pages."""
        committed = freshness.read_json(base.PUBLISHED / f"{job.name}.json")
        return (job.before or committed or {}).get("duration_s", 0.0)

    def _schedule(self, pool) -> None:
        """Start what is ready until all is done; an interrupt stops the kernels and marks their pages."""
        pending, running = list(self.selected), {}
        if pending:  # before any thread: Jupyter's packages import each other, and two threads at once may lose
            from helpers.report.export import export  # noqa: F401
        try:
            while pending or running:
                for job in [job for job in pending if self._ready(job, pending, running)]:
                    if len(running) < AT_ONCE:
                        pending.remove(job)
                        self._start(job, pool, running)
                done, _ = wait(running, timeout=0.5, return_when=FIRST_COMPLETED)
                for future in done:
                    self._report(running.pop(future), *future.result())
                for job in running.values():
                    if job.run:
                        job.run.check_time()
                self.log.live(running.values())
        except BaseException as error:
            self._stop(running)
            if not isinstance(error, KeyboardInterrupt):
                raise

    def _ready(self, job: Job, pending, running) -> bool:
        alone = [other for other in [job, *running.values()] if other.about("alone")]
        if alone and running:
            return False
        unfinished = {other.name for other in [*pending, *running.values()] if other is not job}
        return not unfinished & set(self._needs(job))

    def _needs(self, job: Job) -> list[str]:
        """The notebooks whose results this one reads: those it lists, or all that do not need all."""
        needs = job.about("needs", [])
        return [n for n, j in self.jobs.items() if n in needs or (needs == "all" != j.about("needs"))]

    def _start(self, job: Job, pool, running) -> None:
        """Hand the job to a thread, unless its page is up to date."""
        self._compare(job)
        if job.changes or self.fresh:
            job.started = time.time()
            running[pool.submit(self._make, job)] = job
        else:
            self.states[job.name] = job.before

    def _compare(self, job: Job) -> None:
        """Note what the job's page would stand on now, and what of that changed since its last run."""
        before = job.before or {}
        states = {name: self.states.get(name) or other.before for name, other in self.jobs.items()}
        job.inputs = freshness.inputs(
            job.nb,
            job.name,
            self.budget,
            parameters=[job.parameters, self.environment.get("PRECISION")],
            data=[getattr(self.data_of.get(name), "fingerprint", None) for name in job.datasets],
            needs=[(states[name] or {}).get("results") for name in self._needs(job)],
            reads=[freshness.file_hash(base.ROOT / name) for name in job.about("reads", [])],
            author=self.author,
        )
        now = job.inputs | {"records": freshness.records(before.get("used", []), self.budget)}
        job.changes = freshness.changes(now, before.get("inputs"))
        if before and before.get("status") != "complete":
            job.changes.append(f"was {before.get('status')}")
        if before and not (self.folder / f"{job.name}.html").exists():
            job.changes.append("template")  # the page is gone: set it again

    def _make(self, job: Job) -> tuple[dict, list[str]]:
        """Run the notebook, or take its last run where only prose changed; set the page. In a thread."""
        executed = self.folder / f"{job.name}.ipynb"
        if executed.exists() and not self.fresh and {*job.changes} <= {*freshness.SET_AGAIN}:
            nb = freshness.with_new_prose(executed, job.path)
            new = {"title": job.title, "author": self.author, "inputs": job.before["inputs"] | job.inputs}
            return outcome.publish(job, nb, job.before | new, self.folder)
        from helpers.report.build.kernel import Run  # here: papermill loads when a notebook needs it

        with tempfile.TemporaryDirectory(dir=self.scratch) as scratch:
            told = {"COURSEWORK_BUILD": "1", "COURSEWORK_NOTEBOOK": job.name}
            told["COURSEWORK_PROGRESS"] = str(Path(scratch, "progress"))
            job.run = Run(
                notebook=job.path,
                scratch=Path(scratch),
                log=self.log.file,
                environment=self.environment | told,
                timeout=job.about("timeout"),
                stopped=self.stopped,
            )
            nb, status, reason = job.run.execute(job.parameters)
        state = outcome.state_of(job, nb, status, reason, self)
        return outcome.publish(job, nb, state, self.folder)

    def _report(self, job: Job, state: dict, warned: list[str]) -> None:
        self.states[job.name] = state
        self.warnings += warned
        seconds = f"{time.time() - job.started:6.1f} s"
        what = ", ".join(job.changes) or "FRESH=1"
        how = f"  ({'' if job.run else 'page only, '}changed: {what})" if job.before else ""
        trials = ", ".join(f"{count} {origin}" for origin, count in state["provenance"].get("trials", {}).items())
        shown = f"  [trials: {trials}]" if trials and job.run else ""
        self.log.say(f"{job.name:40} {state['status']:12} {seconds}  {state['reason']}{how}{shown}".rstrip())

    def _stop(self, running: dict) -> None:
        """Interrupt the kernels, kill those that do not heed it, mark their pages."""
        from helpers.report.build.kernel import GRACE

        self.stopped.set()
        self.log.say(f"Stopping {len(running)} notebooks; finished trials are kept.")
        with contextlib.suppress(KeyboardInterrupt):  # a second one: kill at once
            for job in running.values():
                if job.run:
                    job.run.interrupt()
            wait(running, timeout=GRACE)
        for future, job in running.items():
            if job.run and not future.done():
                job.run.kill()
        for future, job in running.items():
            self._report(job, *future.result())

    def _close(self) -> int:
        """Write the index and the last lines; returns the exit code."""
        from helpers.report import index

        built = [job for job in self.selected if job.started]
        states = [self._state(job) for job in self.jobs.values()]
        path = index.write_index(self.folder, states)
        mine = [state for state in states if state["notebook"] in {j.name for j in self.selected}]
        counts = {s: sum(state["status"] == s for state in mine) for s in dict.fromkeys(s["status"] for s in mine)}
        if not built:
            self.log.say(f"Nothing to do: {len(mine)} pages are up to date.")
        else:
            self.log.say(", ".join(f"{number} {status}" for status, number in counts.items()))
        for line in self.warnings:
            self.log.say(f"Warning: {line}")
        self.log.say(f"Open {os.path.relpath(path)}")
        if any(entry["standin"] for state in mine for entry in state.get("data", [])):
            self.log.say(page.BANNER)
        return int(set(counts) != {"complete"})

    def _state(self, job: Job) -> dict:
        """The state for the index: of this build, else of an earlier one, stale where inputs changed since."""
        if job.name in self.states:
            return self.states[job.name]
        nothing = {"notebook": job.name, "title": job.title, "budget": self.budget, "status": "not run"}
        if job.before is None:
            return nothing | {"reason": "", "results": {}}
        if not job.inputs:
            self._compare(job)
        unasked = ("parameters", "author", "data")  # these are of a build that selects it
        changes = [change for change in job.changes if change not in unasked]
        if job.before.get("status") != "complete" or not changes:
            return nothing | job.before
        return job.before | {"status": "stale", "reason": "changed since: " + ", ".join(changes)}


@contextlib.contextmanager
def _sigterm_as_interrupt():
    """SIGTERM ends the build as Ctrl-C does, so that no kernel outlives it."""

    def stop(number, frame):
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
