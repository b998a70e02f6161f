"""What is kept of a notebook's run: the executed notebook, its page, one JSON with the results."""

import re
import shlex
import threading
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path

from helpers import base
from helpers.base import CourseworkError
from helpers.page.page import BUNDLE
from helpers.report.build import freshness

# What is taken from the kernel's results, and what the page carries about its own run.
KEPT = ("parameters", "changed", "data", "results", "predictions", "used")
TOLD = (
    *("notebook", "title", "budget", "status", "reason", "started", "duration_s", "command"),
    *("author", "parameters", "changed", "data", "inputs", "provenance"),
)
_export = threading.Lock()  # one at a time: warnings are caught for the whole process


@dataclass(kw_only=True)
class Job:
    """One notebook of a build."""

    path: Path
    nb: dict  # its JSON
    before: dict | None  # the state that the last build left
    parameters: dict = field(default_factory=dict)
    inputs: dict = field(default_factory=dict)  # what its page stands on, as hashes
    changes: list = field(default_factory=list)  # what of that differs from last time, in words
    run: object = None  # kernel.Run, once it runs
    started: float = 0.0

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def title(self) -> str:
        """The notebook's first heading."""
        prose = ["".join(c["source"]) for c in self.nb["cells"] if c["cell_type"] == "markdown"]
        found = re.search(r"^# +(.+)$", "\n".join(prose), re.MULTILINE)
        return found[1].strip() if found else self.name

    def about(self, key: str, default=None):
        """What the notebook's metadata says under "coursework": needs, data or timeout."""
        return self.nb["metadata"].get("coursework", {}).get(key, default)

    @property
    def datasets(self) -> list[str]:
        return self.about("data", ["fashion_mnist"])


def state_of(job: Job, nb, status: str, reason: str, build) -> dict:
    """The state of a notebook that has just run; `nb` is the executed notebook."""
    outputs = [output for cell in nb.cells for output in cell.get("outputs", [])]
    bundles = [o["data"][BUNDLE] for o in outputs if BUNDLE in o.get("data", {})]
    bundle = bundles[-1] if bundles else {}
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


def command(job: Job, build) -> str:
    """The command that makes this page again."""
    given = {name: value for name, value in job.parameters.items() if name not in ("budget", "data")}
    words = {"BUDGET": build.budget, "ONLY": job.name}
    words |= {"DATA": build.data} if build.data != "auto" else {}
    words |= {name.upper(): given.pop(name) for name in ("seed", "device") if name in given}
    words |= {n: v for n, v in build.environment.items() if n == "PRECISION" and v != "auto"}
    words |= {"SET": " ".join(f"{n}={v}" for n, v in given.items())} if given else {}
    return " ".join(["make report", *(f"{n}={shlex.quote(str(v))}" for n, v in words.items())])


def publish(job: Job, nb, state: dict, folder: Path) -> tuple[dict, list[str]]:
    """Write the executed notebook, its page and its JSON; returns (state, warnings).

    A page that the export refuses makes the run a failed one, and is set again as that. The JSON
    comes last: without it the next build starts over.
    """
    import nbformat

    from helpers.report.export import export  # loads nbconvert

    notebook, page = folder / f"{job.name}.ipynb", folder / f"{job.name}.html"
    base.write_atomically(notebook, nbformat.writes(nb) + "\n")
    with _export, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        for attempt in (1, 2):
            try:
                export.export_page(notebook, page, {key: state[key] for key in TOLD})
                break
            except CourseworkError as error:
                state |= {"status": "failed", "reason": state["reason"] or str(error)}
                if attempt == 2:  # not even as a failed page
                    page.unlink(missing_ok=True)
    base.write_atomically(folder / f"{job.name}.json", base.to_json(state, indent=1))
    return state, [str(w.message) for w in caught if w.category is UserWarning]
