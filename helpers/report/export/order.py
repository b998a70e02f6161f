"""The order of the pages: what rubric.yaml says of them, how the index lists them, which stand beside each other."""

import json
import re

from helpers import base
from helpers.base import CourseworkError


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


def neighbours(name: str) -> list[tuple[str, str, str]]:
    """(word, page, title) of the pages before and after this one, in the order of the index."""
    groups = grouped({path.stem for path in base.NOTEBOOKS.glob("*.ipynb")}, load_rubric())
    order = [page for group in groups for page in group]
    if name not in order:
        return []
    place = order.index(name)
    found = [("Previous", page) for page in order[:place][-1:]] + [("Next", page) for page in order[place + 1 :][:1]]
    return [(word, page, _title(page)) for word, page in found]


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
