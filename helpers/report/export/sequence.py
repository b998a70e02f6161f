"""The order of the pages: how the index lists them, which stand beside each other."""

import json
import re

from helpers import base
from helpers.claims.rubric import load_rubric


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
