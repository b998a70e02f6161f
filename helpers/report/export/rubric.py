"""The order of the pages: what rubric.yaml says of them, how the index lists them, which stand beside each other."""

import json
import re

from helpers import base
from helpers.base import CourseworkError


def load_rubric() -> dict:
    """notebooks/rubric.yaml: tasks (each with its weight: its marks added up), headline, evidence, words, findings.

    Empty where the file is absent. Raises CourseworkError, with the place, where a task or an ask lacks something.
    """
    path = base.NOTEBOOKS / "rubric.yaml"
    rubric = {"tasks": [], "headline": {}, "evidence": {}, "words": {}, "findings": [], **base.read_yaml(path)}
    for place, task in enumerate(rubric["tasks"], 1):
        _demand(task, ("title", "page", "asks"), f"{path}: task {place}")
        for number, ask in enumerate(task["asks"], 1):
            _demand(ask, ("ask", "marks"), f"{path}: task {place}, ask {number}")
    weighed = [{**task, "weight": sum(ask["marks"] for ask in task["asks"])} for task in rubric["tasks"]]
    return {**rubric, "tasks": weighed}


def _demand(entry, names, where: str) -> None:
    """Raises CourseworkError unless a piece of rubric.yaml is a mapping with all `names`, its marks a number."""
    missing = [name for name in names if not isinstance(entry, dict) or name not in entry]
    if missing:
        raise CourseworkError(f"{where} has no {missing[0]}; see the file's head")
    marks = entry.get("marks", 0)
    if isinstance(marks, bool) or not isinstance(marks, int | float) or marks < 0:
        raise CourseworkError(f"{where}: marks: {marks}: expected a number of marks")
    for name in ("asks", "see", "evidence"):
        if not isinstance(entry.get(name, []), list):
            raise CourseworkError(f"{where}: {name}: expected a list; see the file's head")


def grouped(names, rubric: dict) -> tuple[list[str], list[str], list[str]]:
    """Names of pages as the index lists them: tasks in the rubric's order, studies, and others."""
    tasks = [task["page"] for task in rubric["tasks"] if task["page"] in names]
    studies = sorted(name for name in names if name.startswith("study_"))
    return tasks, studies, sorted(name for name in names if name not in tasks + studies)


def neighbours(name: str) -> list[tuple[str, str, str]]:
    """(word, page, title) of the pages before and after this one, in the order of the index."""
    groups = grouped({path.stem for path in base.NOTEBOOKS.glob("*.ipynb")}, load_rubric())
    order = [page for group in groups for page in group]
    if name not in order:
        return []
    place = order.index(name)
    beside = []
    if place > 0:
        beside.append(("Previous", order[place - 1]))
    if place < len(order) - 1:
        beside.append(("Next", order[place + 1]))
    return [(word, page, _title(page)) for word, page in beside]


def first_heading(nb: dict, name: str) -> str:
    """The first heading of a notebook's JSON; `name` where it has none."""
    prose = ["".join(cell["source"]) for cell in nb["cells"] if cell["cell_type"] == "markdown"]
    heading = re.search(r"^# +(.+)$", "\n".join(prose), re.MULTILINE)
    return heading[1].strip() if heading else name


def _title(page: str) -> str:
    """A notebook's first heading without markup; the page's name where the file is damaged, which is its own affair."""
    try:
        nb = json.loads((base.NOTEBOOKS / f"{page}.ipynb").read_text(encoding="utf-8"))
        return re.sub(r"[*`]", "", first_heading(nb, page))
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return page
