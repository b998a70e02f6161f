"""notebooks/rubric.yaml: the tasks and their marks, and what the pages show of their results."""

from helpers import base
from helpers.base import CourseworkError


def load_rubric() -> dict:
    """notebooks/rubric.yaml: tasks (each with its weight: its marks added up), headline, evidence, words, figure,
    findings.

    Empty where the file or a part of it is absent. Raises CourseworkError, with the place, where a task or an ask lacks
    something.
    """
    path = base.NOTEBOOKS / "rubric.yaml"
    given = {name: part for name, part in base.read_yaml(path).items() if part is not None}
    rubric = {"tasks": [], "headline": {}, "evidence": {}, "words": {}, "figure": "", "findings": [], **given}
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
