"""Exported pages read back: their results, what marks them, and how both are worded for index and marking sheet."""

import fnmatch
from pathlib import Path

import jinja2

from helpers import base
from helpers.base import CourseworkError
from helpers.page.markup import number
from helpers.report import check

TEMPLATES = Path(__file__).parent / "export" / "template"
EVIDENCE = 4  # results shown of a page
HEADLINES = ("test_accuracy", "*.test_accuracy")  # the results that speak for a page which rubric.yaml does not know


def read_pages(folder: Path) -> dict[str, dict]:
    """Page name -> {name, run, results, text, examined}, from the exported files alone; other files are left out."""
    pages = {}
    for path in sorted(Path(folder).glob("*.html")):
        try:
            text = path.read_text(encoding="utf-8")
            run, bundle = check.embedded(text, "run"), check.embedded(text, "results")
            examined = check.examine(text.encode())
        except (check.Unreadable, UnicodeDecodeError):
            continue
        if run.get("status") != "index":
            results = bundle.get("results", {})
            pages[path.stem] = {"name": path.stem, "run": run, "results": results, "text": text, "examined": examined}
    return pages


def load_rubric() -> dict:
    """notebooks/rubric.yaml: tasks (a list), evidence and headline; empty where the file is absent."""
    path = base.NOTEBOOKS / "rubric.yaml"
    rubric = {"tasks": [], "headline": {}, "evidence": {}, **base.read_yaml(path)}
    for place, task in enumerate(rubric["tasks"], 1):
        missing = [
            name for name in ("title", "page", "weight", "asks") if not isinstance(task, dict) or name not in task
        ]
        if missing:
            raise CourseworkError(f"{path}: task {place} has no {missing[0]}; see the file's head")
    return rubric


def grouped(names, rubric: dict) -> tuple[list[str], list[str], list[str]]:
    """Names of pages as the index lists them: tasks in the rubric's order, studies, and others."""
    tasks = [task["page"] for task in rubric["tasks"] if task["page"] in names]
    studies = sorted(name for name in names if name.startswith("study_"))
    return tasks, studies, sorted(name for name in names if name not in tasks + studies)


def neighbours(name: str) -> list[tuple[str, str]]:
    """(word, page) of the pages before and after this one, in the order of the index."""
    groups = grouped({path.stem for path in base.NOTEBOOKS.glob("*.ipynb")}, load_rubric())
    order = [page for group in groups for page in group]
    if name not in order:
        return []
    place = order.index(name)
    return [*(("Previous", page) for page in order[:place][-1:]), *(("Next", page) for page in order[place + 1 :][:1])]


def render(template: str, **content) -> str:
    """A template of this package, filled in."""
    loader = jinja2.FileSystemLoader(TEMPLATES)
    return jinja2.Environment(loader=loader, trim_blocks=True).get_template(template).render(**content)


def evidence(results: dict, patterns=HEADLINES) -> list[tuple[str, str]]:
    """(name, value in words) of the results that match `patterns`, in their order; else of the first few.

    Where trainings were shortened the words say to how much.
    """
    keys = dict.fromkeys(key for pattern in patterns for key in fnmatch.filter(sorted(results), pattern))
    shown = {key: results[key] for key in list(keys or sorted(results))[:EVIDENCE]}
    shares = {key: result.get("share", 1) for key, result in shown.items()}
    short = {key: f", {100 * share:.2g} % of the training" if share < 1 else "" for key, share in shares.items()}
    return [(key, in_words(result, key) + short[key]) for key, result in shown.items()]


def in_words(result: dict, key: str) -> str:
    """The result of this key: 0.8934 ± 0.0021 (n = 5), or 54,000 images."""
    words = number(result.get("value"), std=result.get("std"), name=key, unit=result.get("unit") or "")
    return f"{words} (n = {result['n']})" if result.get("std") else words
