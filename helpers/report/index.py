"""The index of a build, with the one file that checks its pages."""

import re
from pathlib import Path

from helpers.base import write_atomically
from helpers.claims.claims import load_claims
from helpers.claims.evidence import rubric_pages
from helpers.claims.ledger import VERDICTS, printed_percent
from helpers.claims.rubric import load_rubric
from helpers.page.markup import number, read_number, with_minus_signs
from helpers.page.page import BANNER
from helpers.report import check, sealed
from helpers.report.export.facts import COMPLETE, data_of, duration, facts, named, stand_in
from helpers.report.export.seal import gate, seal
from helpers.report.export.sequence import grouped
from helpers.report.readback import HEADLINES, evidence, read_pages, render

STUDIES = "Studies A to D repeat one report each, E and F the two halves of report E; G is our own search"


def write_index(folder: Path, states: list[dict]) -> Path:
    """Write folder/index.html over the pages of a build, with a copy of check.py beside it.

    `states` is what the build knows of each notebook, as page_html takes it.
    """
    rubric = load_rubric()
    read = read_pages(folder)
    pages = {state["notebook"]: {**read.get(state["notebook"], _absent(state)), "run": state} for state in states}
    summary = pages["summary"]["results"] if "summary" in pages else {}
    lines = {name: _line(page, rubric) for name, page in sorted(pages.items())}
    tasks, studies, others = grouped(lines, rubric)
    groups = [
        ("tasks", "Tasks", "The five tasks, and the results that speak for them", tasks),
        ("studies", "Studies", STUDIES, studies),
        ("other-pages", "Other pages", "Summary, benchmark, faults", others),
    ]
    groups = [(*heading, [lines[name] for name in members]) for *heading, members in groups if members]
    headline, ledger = _headline(rubric, pages, summary), _ledger(summary)
    contents = [(slug, name) for slug, name, _, _ in groups]
    if groups and headline:
        contents.insert(1, ("headline", "Ours against the reports"))  # it stands below the first group
    if ledger:
        contents.append(("ledger", "Ledger"))
    contents.append(("check", "Check these pages"))
    run = {
        "status": "index",
        "budget": folder.name,
        "data": [data for page in pages.values() for data in data_of(page["run"])],
        "pages": {f"{name}.html": page["examined"]["seal"] for name, page in pages.items() if page["examined"]},
    }
    text = render(
        "index.html.j2",
        groups=groups,
        links=contents,
        items=_facts(states, run),
        good=all(state.get("status") in COMPLETE for state in states),
        banners=_banners(states, run, summary),
        abstract=_abstract(summary),
        headline=headline,
        ledger=ledger,
        hashes=run["pages"],
        blank=sealed.BLANK,
    )
    write_atomically(folder / "check.py", standalone_check())
    return write_atomically(folder / "index.html", gate(seal(text, {}, run), "index"))


def standalone_check() -> str:
    """The text of check.py with that of sealed.py in the place of its import: one file that works alone."""
    here = Path(check.__file__)
    text = here.read_text(encoding="utf-8")
    own = here.with_name("sealed.py").read_text(encoding="utf-8")
    return re.sub(r"^from helpers\.report\.sealed import .*\n", lambda _: own, text, flags=re.MULTILINE)


def _absent(state):
    return {"name": state["notebook"], "results": {}, "titles": {}, "text": "", "examined": None}


def _line(page, rubric):
    """One row of the index: a page, its standing, and the results that speak for it."""
    run, patterns = page["run"], {task["page"]: task.get("evidence", HEADLINES) for task in rubric["tasks"]}
    patterns = (patterns | rubric["evidence"]).get(page["name"], HEADLINES)
    words = {named(key, page["titles"]): label for key, label in rubric["words"].get(page["name"], {}).items()}
    shown = evidence(page["results"], patterns, titles=page["titles"])
    return {
        "name": page["name"],
        "title": run.get("title") or page["name"],
        "exists": bool(page["text"]),
        "status": run.get("status") or "not known",
        "good": run.get("status") in COMPLETE,
        "took": duration(run.get("duration_s")),
        "evidence": [(words.get(name, name), value) for name, value in shown],
    }


def _result(pages, key, owners):
    """(result behind a full key such as study_a.a1.test_accuracy, name of its page), or (None, "") without it.

    owners: see `rubric_pages`.
    """
    short, _, inner = key.partition(".")
    name = owners.get(short, short)
    page = pages.get(name)
    return (page["results"].get(inner), name) if page and page["text"] else (None, "")


def _headline(rubric, pages, summary):
    """Rows of the headline table: what a report prints, what our trials give, the difference, and the verdict."""
    claims = {claim.id: claim for claim in load_claims()}
    owners, rows = rubric_pages(), []
    for name, network in rubric["headline"].get("claims", {}).items():
        if name in claims:
            claim = claims[name]
            readings = {reading: _result(pages, key, owners) for reading, key in claim.evidence.items()}
            answer, page = next(iter(readings.values()))
            answer = summary.get(f"ours.{name}", answer)  # under the reading that decides
            reading = reading_behind(answer, {reading: result for reading, (result, _) in readings.items()})
            network += f", {reading}" if reading else ""
            row = _row((answer, page), f"Report {claim.report}", network, claim.value)
            rows.append(row | {"verdict": _verdict(summary, name)})
    for own in rubric["headline"].get("ours", []):
        result, page = _result(pages, own["key"], owners)
        if result is None or result.get("share", 1) == 1:  # nothing shortened stands for our model
            rows.append(_row((result, page), "Our model", own["about"], ""))
    return rows


def reading_behind(answer: dict, readings: dict[str, dict | None]) -> str:
    """The name of the reading, of several with their results, whose result the summary's answer repeats; else ""."""
    alike = (name for name, result in readings.items() if answer and result and result["values"] == answer["values"])
    return next(alike, "")


def _verdict(summary, claim):
    """A claim's verdict, which the summary publishes as headline.<claim>.<verdict>; a dash where it does not."""
    start = f"headline.{claim}."
    verdicts = [key.removeprefix(start) for key in summary if key.startswith(start)]
    return verdicts[0].replace("_", " ") if verdicts else "–"


def _row(answer, who, what, printed):
    result, name = answer
    claimed = read_number(printed)
    ours, difference, trained = "not run", "–", "–"
    if result:
        ours = _mean_and_spread(result)
        trained = f"{round(100 * result.get('share', 1), 1):g} %" if printed else "–"
        if claimed is not None and result.get("value") is not None:
            difference = with_minus_signs(f"{100 * (result['value'] - claimed):+.1f}")
    row = {"who": who, "what": what, "printed": printed_percent(printed) if claimed else printed or "–", "ours": ours}
    return row | {"difference": difference, "trained": trained, "page": name, "verdict": "–"}


def _mean_and_spread(result):
    """An accuracy in percent with its deviation and its number of runs: 87.17 ± 0.24 % (n = 2)."""
    if result.get("value") is None:
        return "–"
    spread = f" ± {100 * result['std']:.2f}" if result.get("std") else ""
    return f"{100 * result['value']:.2f}{spread} % (n = {result['n']})"


def _abstract(summary):
    """What came out and how sure that is, from the summary's results; "" without them."""
    if not {"claims.claims", "claims.shortened"} <= summary.keys():
        return ""
    total, shortened = (number(summary[f"claims.{name}"]["value"]) for name in ("claims", "shortened"))
    counted = ", ".join(f"{count} {verdict}" for verdict, count in _ledger(summary) if count != "0")
    text = f"Result: of {total} claims (numbers and statements that the reports print), {counted}. "
    text += f"How sure: {shortened} claims rest on shortened trainings, and none of them is decided"
    if {"claims.expected_false", "claims.not_reproduced"} <= summary.keys():
        by_chance = summary["claims.expected_false"]["value"]
        text += f"; chance alone would refute at most about {by_chance:.1f} if every claim were true"
    return f"{text}."


def _ledger(summary):
    """(verdict, count) from the summary's results claims.<verdict>, in the ledger's order."""
    keys = {verdict: f"claims.{verdict.replace(' ', '_')}" for verdict in VERDICTS}
    return [(verdict, number(summary[key]["value"])) for verdict, key in keys.items() if key in summary]


def _facts(states, run):
    complete = sum(state.get("status") in COMPLETE for state in states)
    total = sum(state.get("duration_s") or 0 for state in states)
    last = max((state for state in states if state.get("started")), key=lambda s: s["started"], default={})
    authors = ", ".join(dict.fromkeys(state["author"] for state in states if state.get("author")))
    about = {"status": f"{complete} of {len(states)} pages complete", "budget": run["budget"], "data": run["data"]}
    items = facts({**last, **about, "duration_s": total, "author": authors, "changed": {}, "provenance": {}})
    return [("Pages made in" if name == "Took" else name, value) for name, value in items]


def _banners(states, run, summary):
    lines = []
    for state in states:
        if state.get("status") not in COMPLETE:
            why = f": {state['reason']}" if state.get("reason") else ""
            lines.append(f"{state.get('title') or state['notebook']} is marked “{state.get('status')}”{why}.")
    if stand_in(run):
        lines.append(BANNER)
    if run["budget"] == "smoke":
        lines.append("Smoke budget: the shortest trainings that test the machinery, no results to quote.")
    elif summary.get("claims.shortened", {}).get("value"):
        short, total = (number(summary[f"claims.{name}"]["value"]) for name in ("shortened", "claims"))
        lines.append(f"Reduced budget ({run['budget']}): {short} of {total} claims rest on shortened trainings.")
    return lines
