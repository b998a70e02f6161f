"""The build: each notebook whose inputs changed is run, two at a time, and set as a page; then the index.

Whatever lies in notebooks/ is built. A notebook's metadata may say `"coursework": {"needs": "all" or
names, "data": ["fashion_mnist", "cifar10"], "reads": other files or patterns, "timeout": seconds for one
cell, "alone": true}`; one that measures speed runs alone.
"""

import contextlib
import fnmatch
import os
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path

from helpers import base, page
from helpers.base import CourseworkError
from helpers.data import sources
from helpers.page import parameters
from helpers.report.build import console, freshness, order, outcome
from helpers.report.build.outcome import Job
from helpers.report.export.facts import COMPLETE
from helpers.trials import runner, worker

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
    states: dict = field(default_factory=dict, init=False)  # of the notebooks that are done, by name
    data_of: dict = field(default_factory=dict, init=False)  # name of a data set -> the data set
    warnings: list = field(default_factory=list, init=False)
    stopped: threading.Event = field(default_factory=threading.Event, init=False)

    def go(self) -> int:
        """Build; returns the exit code: 0 when all selected pages are complete, else 1.

        Raises CourseworkError on bad parameters or data, and where another build is at work.
        """
        self._look()
        self.selected = self._select()
        self.commit = runner.commit()
        if self.fresh:  # what one notebook trains from now on is fresh for all others
            self.environment |= {"FRESH": "1", "COURSEWORK_FRESH_SINCE": worker.now()}
        self.folder.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            stack.enter_context(console.locked(self.folder))
            stack.enter_context(console.signals_as_interrupt())
            names = dict.fromkeys(name for job in self.selected for name in job.datasets)
            self.data_of = {name: sources.obtain(name, self.data) for name in names}
            self.log = stack.enter_context(console.Log(self.folder / "build.log"))
            self.scratch = Path(stack.enter_context(console.scratch_folder(self.folder)))
            self._schedule(stack.enter_context(ThreadPoolExecutor(AT_ONCE)))
            return self._close()

    def index(self) -> Path:
        """Write the index of what lies in the folder, and build nothing."""
        from helpers.report import index

        self._look()
        return index.write_index(self.folder, [self._state(job) for job in self.jobs.values()])

    def sign(self) -> None:
        """Set pages of another author again, and the index; CourseworkError where one cannot be set or a build runs."""
        with console.locked(self.folder):
            self._look()
            for job in self.jobs.values():
                has_page = job.before and (self.folder / f"{job.name}.ipynb").exists()
                if has_page and job.before.get("author") != self.author:
                    outcome.sign(job, self.author, self.folder)
            self.index()

    @property
    def folder(self) -> Path:
        """Where the pages of this budget lie."""
        return base.REPORTS / self.budget

    def _look(self) -> None:
        self.jobs = {p.stem: outcome.read_job(p, self.folder) for p in sorted(base.NOTEBOOKS.glob("*.ipynb"))}
        named = {(job.before or {}).get("author") for job in self.jobs.values()} - {None, ""}
        if not self.author and len(named) == 1:  # who has signed pages once need not say so at every build
            self.author = named.pop()

    def _select(self) -> list[Job]:
        """The notebooks that ONLY names, long ones first, with the parameters each declares."""
        chosen = {}
        for pattern in self.only.replace(",", " ").split() or ["*"]:
            names = fnmatch.filter(self.jobs, pattern.removesuffix(".ipynb"))
            if not names:
                names_there = ", ".join(self.jobs) or f"none in {base.NOTEBOOKS}"
                raise CourseworkError(f"ONLY={pattern}: no such notebook; there are {names_there}")
            chosen |= {name: self.jobs[name] for name in names}
        order.check(list(chosen.values()), self.jobs)
        declared = {name: self._declared(job) for name, job in chosen.items()}
        accepted = dict.fromkeys(name for names in declared.values() for name in names)
        parameters.refuse_unknown(self.given, accepted, "SET")
        values = {"budget": self.budget, "data": self.data, **self.given}
        for name, job in chosen.items():
            accepted_values = {key: value for key, value in values.items() if key in declared[name]}
            job.parameters = page.check_parameters(job.path, accepted_values) if accepted_values else {}
        return sorted(chosen.values(), key=lambda job: -self._usual_seconds(job))

    def _declared(self, job: Job) -> dict:
        """The job's parameters; a notebook whose own cell is wrong has a problem, and the others are built."""
        try:
            return {} if job.problem else parameters.declared(job.path)
        except CourseworkError as error:
            job.problem = str(error)
            return {}

    def _usual_seconds(self, job: Job) -> float:
        """How long the notebook took last time, here or for the committed pages."""
        committed = outcome.read_state(base.PUBLISHED / f"{job.name}.json")
        return (job.before or committed or {}).get("duration_s", 0.0)

    def _schedule(self, pool) -> None:
        """Start what is ready until all is done; an interrupt stops the kernels and marks their pages."""
        pending = list(self.selected)
        running = {}  # future -> its job
        if pending:  # before any thread: Jupyter's packages import each other, and two threads at once may lose
            from helpers.report.export import export  # noqa: F401
        try:
            while pending or running:
                for job in list(pending):
                    if len(running) < AT_ONCE and self._ready(job, pending, running):
                        pending.remove(job)
                        self._start(job, pool, running)
                done, _ = wait(running, timeout=0.5, return_when=FIRST_COMPLETED)
                for future in done:
                    self._collect(running.pop(future), future)
                for job in running.values():
                    if job.run:
                        job.run.check_time()
                self.log.live(running.values())
                if self.log.gone:
                    raise KeyboardInterrupt
        except BaseException as error:
            self._stop(running)
            if not isinstance(error, KeyboardInterrupt):
                raise

    def _ready(self, job: Job, pending, running) -> bool:
        alone = [other for other in [job, *running.values()] if other.about("alone")]
        if alone and running:
            return False
        unfinished = {other.name for other in [*pending, *running.values()] if other is not job}
        return not unfinished & set(order.needs(job, self.jobs))

    def _start(self, job: Job, pool, running) -> None:
        """Hand the job to a thread, unless its page is up to date or the notebook cannot be run."""
        if job.problem:
            job.started = time.time()
            self._report(job, outcome.failure(job, job.problem, self.budget), [])
            return
        self._compare(job)
        if not (job.changes or self.fresh):
            self.states[job.name] = job.before
            return
        job.started = time.time()
        if job.before:
            others = freshness.other_parameters(job.parameters, job.before)
            why = "FRESH=1" if self.fresh else freshness.in_words(job.changes, others)
            self.log.say(f"{'Setting' if self._page_only(job) else 'Running'} {job.name} again, changed: {why}")
        running[pool.submit(self._make, job)] = job

    def _page_only(self, job: Job) -> bool:
        """Whether the last run still stands and only its page is set again."""
        has_run = freshness.read_json(self.folder / f"{job.name}.ipynb") is not None
        return has_run and not self.fresh and {*job.changes} <= {*freshness.SET_AGAIN}

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
            needs=[(states[name] or {}).get("results") for name in order.needs(job, self.jobs)],
            author=self.author,
        )
        now = job.inputs | {"records": freshness.records(before.get("used", []), self.budget)}
        job.changes = freshness.changes(now, before.get("inputs"))
        if before and before.get("status") not in COMPLETE:
            job.changes.append(f"was {before.get('status')}")
        if before and not (self.folder / f"{job.name}.html").exists():
            job.changes.append("page")

    def _make(self, job: Job) -> tuple[dict, list[str]]:
        """Run the notebook, or take its last run where only prose changed; set the page. In a thread."""
        if self._page_only(job):
            nb = freshness.with_new_prose(self.folder / f"{job.name}.ipynb", job.path)
            new = {"title": job.title, "author": self.author, "inputs": job.before["inputs"] | job.inputs}
            return outcome.write_page(job, nb, job.before | new, self.folder)
        from helpers.report.build.kernel import KernelRun  # here: papermill loads when a notebook needs it

        with tempfile.TemporaryDirectory(dir=self.scratch) as scratch:
            ours = {"COURSEWORK_BUILD": "1"}
            ours["COURSEWORK_PROGRESS"] = str(Path(scratch, "progress"))
            job.run = KernelRun(
                notebook=job.path,
                scratch=Path(scratch),
                log=self.log.file,
                environment=self.environment | ours,
                timeout=job.about("timeout"),
                stopped=self.stopped,
                is_plain=job.is_plain,
            )
            nb, status, reason = job.run.execute(job.parameters)
        state = outcome.state_of(job, nb, status, reason, self)
        return outcome.write_page(job, nb, state, self.folder)

    def _collect(self, job: Job, future) -> None:
        """Note how a notebook ended. What nobody expected fails its page, and the others live."""
        try:
            state, warned = future.result()
        except Exception as error:
            words = str(error) if isinstance(error, CourseworkError) else f"{type(error).__name__}: {error}"
            state, warned = outcome.failure(job, " ".join(words.split()), self.budget), []
        self._report(job, state, warned)

    def _report(self, job: Job, state: dict, warned: list[str]) -> None:
        self.states[job.name] = state
        self.warnings += warned
        seconds = f"{time.time() - job.started:6.1f} s"
        how = "" if job.run or job.problem else "page only  "
        counts = state.get("provenance", {}).get("trials", {})
        trials = ", ".join(f"{count} {origin}" for origin, count in counts.items())
        shown = f"  [trials: {trials}]" if trials and job.run else ""
        self.log.say(f"{job.name:40} {state['status']:12} {seconds}  {how}{state['reason']}{shown}".rstrip())

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
            self._collect(job, future)

    def _close(self) -> int:
        """Write the index and the last lines; returns the exit code."""
        from helpers.report import index

        built = [job for job in self.selected if job.started]
        states = [self._state(job) for job in self.jobs.values()]
        path = index.write_index(self.folder, states)
        selected = [state for state in states if state["notebook"] in {j.name for j in self.selected}]
        counts = Counter(state["status"] for state in selected)
        if not built and not self.stopped.is_set():
            self.log.say(f"Nothing to do: {len(selected)} pages are up to date.")
        else:
            self.log.say("; ".join(f"{number} {status}" for status, number in counts.items()))
        for line in self.warnings:
            self.log.say(f"Warning: {line}")
        self.log.say(f"Open {os.path.relpath(path)}")
        if any(entry["standin"] for state in selected for entry in state.get("data", [])):
            self.log.say(page.BANNER)
        return int(self.stopped.is_set() or not {*counts} <= {*COMPLETE})

    def _state(self, job: Job) -> dict:
        """The state for the index: of this build, else of an earlier one, stale where inputs changed since."""
        if job.name in self.states:
            return self.states[job.name]
        nothing = {"notebook": job.name, "title": job.title, "budget": self.budget, "status": "not run"}
        if job.before is None:
            return nothing | {"reason": "", "results": {}}
        if job.problem:
            return nothing | job.before | {"status": "stale", "reason": job.problem}
        if not job.inputs:
            self._compare(job)
        unasked = ("parameters", "author", "data")  # these are of a build that selects it
        changes = [change for change in job.changes if change not in unasked]
        if job.before.get("status") not in COMPLETE or not changes:
            return nothing | job.before
        return job.before | {"status": "stale", "reason": f"changed since: {freshness.in_words(changes)}"}
