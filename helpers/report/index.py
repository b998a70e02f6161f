"""What stands around the pages: the index, the marking sheet, and the archive to hand in."""

import io
import re
import zipfile
from pathlib import Path

from helpers import base
from helpers.base import CourseworkError, write_atomically
from helpers.claims.judge import VERDICTS
from helpers.page.markup import number, read_number
from helpers.page.page import BANNER
from helpers.report import check
from helpers.report.export.facts import COMPLETE, data_of, duration, facts, stand_in
from helpers.report.export.order import grouped, load_rubric
from helpers.report.export.seal import gate, seal
from helpers.report.readback import HEADLINES, evidence, in_words, read_pages, render

FIXED = (1980, 1, 1, 0, 0, 0)  # the date of every file in the archive


def write_index(folder: Path, states) -> Path:
    """Write folder/index.html over the pages of a build, with a copy of check.py beside it.

    `states` is what the build knows of each notebook, as export_page takes it (a list, or a dict of them).
    """
    folder = Path(folder)
    rubric = load_rubric()
    read = read_pages(folder)
    states = list(states.values() if isinstance(states, dict) else states)
    pages = {state["notebook"]: {**read.get(state["notebook"], _absent(state)), "run": state} for state in states}
    lines = {name: _line(page, rubric) for name, page in sorted(pages.items())}
    tasks, studies, others = grouped(lines, rubric)
    groups = [
        ("Tasks", "The five tasks, and the results that speak for them", tasks),
        ("Studies", "The reports repeated, one study each", studies),
        ("Other pages", "Summary and benchmark", others),
    ]
    run = {
        "status": "index",
        "budget": folder.name,
        "data": [data for page in pages.values() for data in data_of(page["run"])],
        "pages": {f"{name}.html": page["examined"]["seal"] for name, page in pages.items() if page["examined"]},
    }
    text = render(
        "index.html.j2",
        groups=[(*heading, [lines[page] for page in members]) for *heading, members in groups if members],
        items=_facts(states, run),
        good=all(state.get("status") in COMPLETE for state in states),
        banners=_banners(states, run),
        headline=_headline(rubric, pages),
        ledger=_ledger(pages.get("summary", {})),
        hashes=run["pages"],
        blank=check.BLANK,
    )
    write_atomically(folder / "check.py", Path(check.__file__).read_bytes())
    return write_atomically(folder / "index.html", gate(seal(text, {}, run), "index"))


def _absent(state):
    return {"name": state["notebook"], "results": {}, "text": "", "examined": None}


def _line(page, rubric):
    """One row of the index: a page, its standing, and the results that speak for it."""
    run, patterns = page["run"], {task["page"]: task.get("evidence", HEADLINES) for task in rubric["tasks"]}
    patterns = (patterns | rubric["evidence"]).get(page["name"], HEADLINES)
    return {
        "name": page["name"],
        "title": run.get("title") or page["name"],
        "exists": bool(page["text"]),
        "status": run.get("status") or "not known",
        "good": run.get("status") in COMPLETE,
        "took": duration(run.get("duration_s")),
        "evidence": evidence(page["results"], patterns),
    }


def _result(pages, key, rubric):
    """(result behind a full key such as study_a.a1.test_accuracy, name of its page), or (None, "") without it.

    The short name stands for the page that the rubric knows by it, never for a copy.
    """
    short, _, inner = key.partition(".")
    known = [*(task["page"] for task in rubric["tasks"]), *rubric["evidence"]]
    name = next((name for name in known if name.startswith(f"{short}_")), short)
    page = pages.get(name)
    return (page["results"].get(inner), name) if page and page["text"] else (None, "")


def _headline(rubric, pages):
    """Rows of the headline table: what a report prints, what our trials give, and the difference in points."""
    claims = {claim["id"]: claim for claim in base.read_yaml(base.NOTEBOOKS / "claims.yaml").get("claims", [])}
    rows = []
    for name in rubric["headline"].get("claims", []):
        if name in claims:
            claim = claims[name]
            keys = claims[name].get("evidence", "")
            key = next(iter(keys.values())) if isinstance(keys, dict) else keys
            who, printed = f"Report {claim['report']}", str(claim["value"])
            rows.append(_row(_result(pages, key, rubric), key, who, claim["statement"], printed))
    for own in rubric["headline"].get("ours", []):
        rows.append(_row(_result(pages, own["key"], rubric), own["key"], "Ours", own["about"], ""))
    return rows


def _row(answer, key, who, what, printed):
    result, name = answer
    claimed = read_number(printed)
    ours, difference, trained = "not run", "–", "–"
    if result:
        ours = in_words(result, key)
        trained = f"{round(100 * result.get('share', 1), 1):g} %" if printed else "–"
        if claimed is not None and result.get("value") is not None:
            difference = f"{100 * (result['value'] - claimed):+.1f}"
    row = {"who": who, "what": what, "printed": printed or "–", "ours": ours, "page": name}
    return row | {"difference": difference, "trained": trained}


def _ledger(page):
    """(verdict, count) from the summary's results claims.<verdict>, in the ledger's order, and what they stand on."""
    names = {name: f"claims.{name.replace(' ', '_')}" for name in (*VERDICTS, "not run")}
    results = page.get("results", {})
    names |= {"decided on one run": "claims.one_run", "resting on shortened trainings": "claims.shortened"}
    return [(name, number(results[key]["value"])) for name, key in names.items() if key in results]


def _facts(states, run):
    complete = sum(state.get("status") in COMPLETE for state in states)
    total = sum(state.get("duration_s") or 0 for state in states)
    last = max((state for state in states if state.get("started")), key=lambda s: str(s["started"]), default={})
    authors = ", ".join(dict.fromkeys(state["author"] for state in states if state.get("author")))
    about = {"status": f"{complete} of {len(states)} pages complete", "budget": run["budget"], "data": run["data"]}
    return facts({**last, **about, "duration_s": total, "author": authors, "changed": {}})


def _banners(states, run):
    lines = []
    for state in states:
        if state.get("status") not in COMPLETE:
            why = f": {state['reason']}" if state.get("reason") else ""
            lines.append(f"{state.get('title') or state['notebook']} is marked “{state.get('status')}”{why}.")
    if stand_in(run):
        lines.append(BANNER)
    if run["budget"] == "smoke":
        lines.append("Smoke budget: the shortest trainings that test the machinery, no results to quote.")
    return lines


def write_marking_sheet(folder: Path) -> Path:
    """Write the marking sheet beside `folder`, from its pages and rubric.yaml alone: one page to print and fill in."""
    folder = Path(folder)
    tasks = []
    pages = read_pages(folder)
    for task in load_rubric()["tasks"]:
        page = pages.get(task["page"])
        links = re.findall(r'<li class="level-2"><a href="(#[^"]+)">(.*?)</a>', page["text"]) if page else []
        results = evidence(page["results"], task.get("evidence", HEADLINES)) if page else []
        tasks.append({**task, "links": links, "results": results, "checks": list(_checks(page))})
    if not tasks:
        raise CourseworkError("notebooks/rubric.yaml has no tasks; list them there to make a marking sheet")
    authors = {page["run"].get("author"): None for page in pages.values() if page["run"].get("author")}
    total = sum(task["weight"] for task in tasks)
    text = render("marking.html.j2", tasks=tasks, folder=folder.name, author=", ".join(authors), total=total)
    return write_atomically(folder.parent / f"marking-sheet-{folder.name}.html", gate(text, "marking sheet"))


def _checks(page):
    """(passed, words) for one task's page."""
    if page is None:
        yield False, "the page is there"
        return
    run, examined = page["run"], page["examined"]
    yield run.get("status") == "complete", "the run is complete"
    yield not examined["changed"], "the page is as it was exported"
    yield not examined["run"]["standin"], "it stands on the real data"
    yield bool(page["results"]), f"it publishes its results ({len(page['results'])})"
    if examined["accuracy"] is not None:
        yield not examined["refuted"], "its accuracy follows from the predictions inside"


def write_submission(folder: Path) -> Path:
    """Pack pages, index, results, notebooks and check.py into submission.zip beside `folder`; returns its path.

    The same files give the same bytes. Raises CourseworkError when there is no index.
    """
    folder = Path(folder)
    if not (folder / "index.html").exists():
        raise CourseworkError(f"{folder} has no index.html; run `make report BUDGET={folder.name}` first")
    files = {f"report/{path.name}": path for kind in ("*.html", "*.json", "check.py") for path in folder.glob(kind)}
    for kind in ("*.ipynb", "*.yaml", "*.csv"):
        files |= {f"notebooks/{path.name}": path for path in base.NOTEBOOKS.glob(kind)}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, path in sorted(files.items()):
            entry = zipfile.ZipInfo(name, FIXED)
            entry.external_attr, entry.create_system = 0o644 << 16, 3
            archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED, 9)
    return write_atomically(folder.parent / "submission.zip", packed.getvalue())
