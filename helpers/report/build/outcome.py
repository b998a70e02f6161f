"""What is kept of a notebook's run: the executed notebook, its page, one JSON with the results."""

import json
import re
import shlex
import threading
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path

from helpers import base
from helpers.base import CourseworkError
from helpers.page.bundle import bundle_text, read_bundle
from helpers.report.build import freshness
from helpers.report.export.facts import COMPLETE, results_of
from helpers.report.export.sequence import first_heading

FAILED = "failed"  # the folder, beside complete pages, of runs that failed and may not replace them
# What is taken from the kernel's results, and what the page carries about its own run.
KEPT = ("parameters", "changed", "data", "results", "predictions", "used")
ON_PAGE = (
    *("notebook", "title", "budget", "status", "reason", "started", "duration_s", "command"),
    *("author", "parameters", "changed", "data", "inputs", "provenance"),
)
NUMBER = (int, float)
FORM = dict.fromkeys(("notebook", "title", "budget", "author", "status", "reason", "command"), str)  # of a state
FORM |= {"started": NUMBER, "duration_s": NUMBER, "data": list, "used": list}
FORM |= dict.fromkeys(("parameters", "changed", "results", "inputs", "provenance"), dict)
_export = threading.Lock()  # one at a time: warnings are caught for the whole process


@dataclass(kw_only=True)
class Job:
    """One notebook of a build."""

    path: Path
    nb: dict  # its JSON
    before: dict | None  # the state that the last build left
    problem: str = ""  # why it cannot be run at all
    parameters: dict = field(default_factory=dict)
    inputs: dict = field(default_factory=dict)  # what its page stands on, as hashes
    changes: list = field(default_factory=list)  # the names of those that differ from last time
    run: object = None  # kernel.KernelRun, once it runs
    started: float = 0.0

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def title(self) -> str:
        """The notebook's first heading."""
        return first_heading(self.nb, self.name)

    @property
    def is_plain(self) -> bool:
        """Whether the notebook never asks for a page of ours, as a course's own: it has no results to hand over."""
        code = "\n".join("".join(c["source"]) for c in self.nb["cells"] if c["cell_type"] == "code")
        return not re.search(r"\bbegin\(|\bpage\.finish\(", code)

    def about(self, key: str, default=None):
        """What the notebook's metadata says under "coursework": needs, data, timeout or alone."""
        return self.nb["metadata"].get("coursework", {}).get(key, default)

    @property
    def datasets(self) -> list[str]:
        return freshness.listed(self.about("data", [] if self.is_plain else ["fashion_mnist"]))


def read_job(path: Path, folder: Path) -> Job:
    """The job of a notebook's file; one that cannot be a page has a problem, and no cells."""
    nb = freshness.read_json(path)
    problem = ""
    if not _is_notebook(nb):
        nb, problem = {"cells": [], "metadata": {}}, "is not a notebook: mend it in JupyterLab or remove it"
    elif path.stem.lower() == "index":
        problem = "its page would replace the index: give it another name"
    elif wrong := [name for name in ("data", "reads") if not _are_names(nb["metadata"].get("coursework", {}), name)]:
        nb = nb | {"metadata": {}}
        problem = f"{wrong[0]} of its coursework metadata: expected a list of names"
    return Job(path=path, nb=nb, before=read_state(folder / f"{path.stem}.json"), problem=problem)


def read_state(path: Path) -> dict | None:
    """The state that a build left of a notebook; None where it is absent, damaged or of another form."""
    state = read_bundle(path)
    if not state or not all(isinstance(state.get(name), kind) for name, kind in FORM.items()):
        return None
    modules = state["inputs"].get("helpers")
    used = all(isinstance(one, list) and [*map(type, one)] == [str] * 3 for one in state["used"])
    helpers = isinstance(modules, dict) and all(isinstance(code, str) for code in modules.values())
    return state if used and helpers and state["notebook"] == path.stem else None


def _is_notebook(nb) -> bool:
    """Whether the JSON has the form that a build relies on."""
    if not isinstance(nb, dict) or not isinstance(nb.get("metadata"), dict) or not isinstance(nb.get("cells"), list):
        return False
    if not isinstance(nb["metadata"].get("coursework", {}), dict):
        return False
    cells = [cell for cell in nb["cells"] if isinstance(cell, dict) and isinstance(cell.get("metadata", {}), dict)]
    sources = [cell.get("source") for cell in cells if isinstance(cell.get("cell_type"), str)]
    texts = [source if isinstance(source, list) else [source] for source in sources]
    return len(texts) == len(nb["cells"]) and all(isinstance(line, str) for text in texts for line in text)


def _are_names(about: dict, name: str) -> bool:
    """Whether an entry of the metadata is a text or a list of such; of `reads`, paths inside the project."""
    names = freshness.listed(about.get(name, []))
    texts = isinstance(names, list) and all(isinstance(text, str) and text for text in names)
    return texts and (name != "reads" or not any(Path(text).is_absolute() for text in names))


def state_of(job: Job, nb, status: str, reason: str, build) -> dict:
    """The state of a notebook that has just run; `nb` is the executed notebook."""
    bundle = results_of(nb)
    facts = ("name", "title", "source", "standin", "fingerprint")
    data = [{key: getattr(build.data_of[n], key) for key in facts} for n in job.datasets]
    state = {"notebook": job.name, "title": job.title, "budget": build.budget, "author": build.author}
    state |= {"status": status, "reason": reason, "command": command(job, build)}
    state |= {"started": job.started, "duration_s": round(time.time() - job.started, 1)}
    state |= {"parameters": job.parameters, "changed": {}, "data": data, "results": {}, "used": []}
    state |= {key: bundle[key] for key in KEPT if bundle.get(key)}
    state["inputs"] = job.inputs | {"records": freshness.records(state["used"], build.budget)}
    state["provenance"] = {
        **build.commit,
        "notebook": job.inputs["code"],
        "helpers": freshness.digest(job.inputs["helpers"]),
        "lock": job.inputs["lock"],
        "seeds": sorted({s for r in state["results"].values() for s in r.get("seeds") or []}),
        "precision": build.environment.get("PRECISION", "auto"),
        "trials": bundle.get("trials", {}),
        "machine": bundle.get("machine", {}),
    }
    return state


def failure(job: Job, reason: str, budget: str) -> dict:
    """The state of a notebook that was not run, or whose run could not be kept; an earlier page stays as it is."""
    nothing = {"notebook": job.name, "title": job.title, "budget": budget, "author": "", "results": {}}
    return nothing | (job.before or {}) | {"status": "failed", "reason": reason}


def command(job: Job, build) -> str:
    """The command that makes this page again."""
    given = {name: value for name, value in job.parameters.items() if name not in ("budget", "data")}
    words = {"BUDGET": build.budget, "ONLY": job.name}
    if build.data != "auto":
        words["DATA"] = build.data
    for name in ("seed", "device"):
        if name in given:
            words[name.upper()] = given.pop(name)
    if build.environment.get("PRECISION", "auto") != "auto":
        words["PRECISION"] = build.environment["PRECISION"]
    if given:
        words["SET"] = " ".join(f"{name}={_in_set(value)}" for name, value in given.items())
    return " ".join(["make report", *(f"{n}={shlex.quote(str(v))}" for n, v in words.items())])


def _in_set(value) -> str:
    """A parameter's value as SET reads it: see variables.pairs."""
    if isinstance(value, str):
        return value if re.fullmatch(r"[^\s'\"\[\](){}]+", value) else json.dumps(value, ensure_ascii=False)
    literal = repr(value)
    return literal if '"' in literal else literal.replace("'", '"')  # the shell's own quotes then stay outside


def write_page(job: Job, nb, state: dict, folder: Path) -> tuple[dict, list[str]]:
    """Write the executed notebook, its page and its JSON; returns (state, warnings).

    A page that the export refuses makes the run a failed one, and is set again as that. Where a complete page of the
    same parameters lies in `folder` it stays, with its JSON, and the failed run goes to the folder "failed" beside it.
    The JSON comes last: without it the next build starts over.
    """
    import nbformat

    executed = nbformat.writes(nb) + "\n"
    with _export, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        page = _set_page(executed, state) or _set_page(executed, state)  # the second time as a failed one
    warned = [str(w.message) for w in caught if w.category is UserWarning]
    keeps = _keeps_the_page_before(job, state, folder)
    place = folder / FAILED if keeps else folder
    if not keeps:
        (folder / f"{job.name}.json").unlink(missing_ok=True)
    base.write_atomically(place / f"{job.name}.ipynb", executed)
    if page:
        base.write_atomically(place / f"{job.name}.html", page)
    else:
        (place / f"{job.name}.html").unlink(missing_ok=True)
    if keeps:
        where = f"its last complete page stays, this run is {FAILED}/{job.name}.{'html' if page else 'ipynb'}"
        return job.before | {"status": state["status"], "reason": f"{state['reason']} ({where})"}, warned
    base.write_atomically(folder / f"{job.name}.json", bundle_text(state) + "\n")
    for suffix in ("html", "ipynb"):
        (folder / FAILED / f"{job.name}.{suffix}").unlink(missing_ok=True)
    return state, warned


def sign(job: Job, author: str, folder: Path) -> None:
    """Set the job's page in `folder` again with this author; nothing runs.

    Raises CourseworkError where the page cannot be set; the one before stays.
    """
    import nbformat

    nb = nbformat.read(folder / f"{job.name}.ipynb", as_version=4)
    job.inputs = job.before["inputs"] | {"author": freshness.digest(author)}
    state, _ = write_page(job, nb, job.before | {"author": author, "inputs": job.inputs}, folder)
    if state["status"] != job.before["status"]:
        raise CourseworkError(f"{job.name}: {state['reason']}")


def _set_page(executed: str, state: dict) -> str:
    """The page as HTML; "" where it cannot be set, which fails the run: `state` then says why."""
    import nbformat

    from helpers.report.export import export  # loads nbconvert

    try:
        nb = nbformat.reads(executed, as_version=4)
        return export.page_html(nb, {key: state[key] for key in ON_PAGE}, base.NOTEBOOKS)
    except Exception as error:  # ours, or any that a library finds in somebody's cells: the other pages live
        words = str(error) if isinstance(error, CourseworkError) else f"its page: {type(error).__name__}: {error}"
        if state["status"] in COMPLETE or not state["reason"]:
            state |= {"status": "failed", "reason": " ".join(words.split())}
        return ""


def _keeps_the_page_before(job: Job, state: dict, folder: Path) -> bool:
    before = job.before or {}
    whole = all((folder / f"{job.name}.{suffix}").exists() for suffix in ("html", "ipynb"))
    same = before.get("inputs", {}).get("parameters") == job.inputs["parameters"]
    return whole and same and before.get("status") in COMPLETE and state["status"] not in COMPLETE
