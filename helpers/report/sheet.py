"""The marking sheet: what rubric.yaml asks for, what the pages say to it, and room for the marks.

check sheet HAND-IN.zip ...          marking-sheet-HAND-IN.html beside each hand-in, one A4 page to print
check sheet --csv HAND-IN.zip ...    one line for each criterion of each hand-in, to be filled in
"""

import argparse
import csv
import html
import re
import sys
from pathlib import Path

from helpers import base
from helpers.base import CourseworkError, write_atomically
from helpers.claims.rubric import load_rubric
from helpers.report import check, sealed
from helpers.report.export.seal import gate
from helpers.report.readback import evidence, read_pages, render

COLUMNS = ("file", "author", "task", "criterion", "mark", "of", "evidence", "checks", "sha256")


def main(arguments: list[str]) -> int:
    """`check sheet`: a sheet for each hand-in, or with --csv all their criteria as one table on standard output.

    Returns 1 where a hand-in cannot be read; the others get their sheets.
    """
    parser = argparse.ArgumentParser(prog="check sheet", description=__doc__.split("\n")[0])
    parser.add_argument("files", nargs="+", metavar="HAND-IN.zip", type=Path)
    parser.add_argument("--csv", action="store_true", help="one line of comma-separated values for each criterion")
    options = parser.parse_args(arguments)
    sys.stdout.reconfigure(errors="backslashreplace")  # a terminal may not know a name's letters
    table, wrong = [COLUMNS], []
    for path in options.files:
        try:
            if options.csv:
                table += _lines(path)
            else:
                print(write_marking_sheet(path))
        except CourseworkError as error:
            wrong.append(str(error))
    if options.csv:
        csv.writer(sys.stdout, lineterminator="\n").writerows(table)
    if wrong:
        raise CourseworkError("; ".join(wrong))
    return 0


def write_marking_sheet(source: Path) -> Path:
    """Write the marking sheet beside `source`, a folder of pages or a hand-in (.zip); returns its path.

    Raises CourseworkError where rubric.yaml has no tasks, or the hand-in cannot be read.
    """
    tasks, author = _read(source)
    folder = source.name if source.is_dir() else ""  # a sheet links to pages that lie open beside it
    total = sum(task["weight"] for task in tasks)
    name = sealed.plain(source.name)
    text = render("marking.html.j2", tasks=tasks, folder=folder, name=name, author=author, total=total)
    path = source.parent / f"marking-sheet-{source.name if folder else source.stem}.html"
    return write_atomically(path, gate(text, "marking sheet"))


def _read(source: Path) -> tuple[list[dict], str]:
    """(the rubric's tasks, each with its page's evidence and checks; the author as the pages name one)."""
    rubric = load_rubric()
    if not rubric["tasks"]:
        raise CourseworkError(f"{base.NOTEBOOKS}/rubric.yaml has no tasks; list them there to make a marking sheet")
    pages = read_pages(source)
    if not pages:
        raise CourseworkError(f"{source} holds no page of this project; name another hand-in, or build the pages")
    tasks = [_task(task, pages.get(task["page"])) for task in rubric["tasks"]]
    authors = dict.fromkeys(page["examined"]["run"]["author"] for page in pages.values())
    return tasks, ", ".join(filter(None, authors))


def _task(task: dict, page: dict | None) -> dict:
    """A task of the rubric with what its page says: each ask's evidence, and the checks as (passed, words)."""
    headings = re.findall(r'<li class="level-2"><a href="(#[^"]+)">(.*?)</a>', page["text"]) if page else []
    slugs = {html.unescape(re.sub("<[^>]*>", "", heading)): slug for slug, heading in headings}
    asks = []
    for ask in task["asks"]:
        sections = [(heading, slugs[heading]) for heading in ask.get("see", []) if heading in slugs]
        asks.append({**ask, "results": _results(page, ask.get("evidence", [])), "sections": sections})
    return {**task, "asks": asks, "checks": list(_checks(page))}


def _results(page: dict | None, patterns: list[str]) -> list[tuple[str, str]]:
    """(name in words, value in words) of the page's results that match; a damaged one says so."""
    try:
        return evidence(page["results"], patterns, otherwise=False) if page and patterns else []
    except sealed.DAMAGED:
        return [("results", "damaged")]


def _checks(page: dict | None):
    """(passed, words) for one task's page."""
    if page is None:
        yield False, "the page is there"
        return
    examined = page["examined"]
    yield examined["run"]["status"] == "complete", "run complete"
    yield not examined["changed"], "page as exported"
    yield not examined["run"]["standin"], "real data"
    yield examined["run"]["budget"] != "smoke", f"budget {examined['run']['budget'] or 'unknown'}"
    if examined["accuracy"] is not None:
        yield not examined["refuted"], f"accuracy {examined['accuracy']:.4f} follows from its predictions"


def _lines(path: Path) -> list[list[str]]:
    """The rows of COLUMNS for one hand-in, the mark left empty; cells are safe for a spreadsheet."""
    tasks, author = _read(path)
    seal = base.sha256(path.read_bytes()) if path.is_file() else ""
    rows = []
    for task in tasks:
        checks = "; ".join(f"{'yes' if passed else 'NO'}: {words}" for passed, words in task["checks"])
        for ask in task["asks"]:
            facts = [f"{name}: {value}" for name, value in ask["results"]]
            facts += [f"see: {heading}" for heading, _ in ask["sections"]]
            row = (str(path), author, task["title"], ask["ask"], "", str(ask["marks"]), "; ".join(facts), checks, seal)
            rows.append([check.cell(text) for text in row])
    return rows
