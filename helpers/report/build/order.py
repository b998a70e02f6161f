"""Which notebooks wait for which: the `needs` of their metadata, "all" or a list of names, checked before any runs."""

import graphlib

from helpers.base import CourseworkError
from helpers.page.parameters import refuse_unknown


def needs(job, jobs: dict) -> list[str]:
    """The notebooks whose results `job` reads: those it lists, or all that do not themselves need all."""
    names = job.about("needs", [])
    if names == "all":
        return [name for name, other in jobs.items() if other.about("needs") != "all"]
    return [name for name in names if name in jobs] if isinstance(names, list) else []


def check(selected: list, jobs: dict) -> None:
    """Raises CourseworkError on a name that no notebook has, and where notebooks wait for each other in a circle."""
    for job in selected:
        names = job.about("needs", [])
        if names == "all":
            continue
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise CourseworkError(f'{job.name}: needs is {names!r}; give "all" or a list of notebooks')
        refuse_unknown(names, jobs, f"{job.name}, needs", "notebook")
    try:
        graphlib.TopologicalSorter({job.name: needs(job, jobs) for job in selected}).prepare()
    except graphlib.CycleError as error:
        circle = " -> ".join(error.args[1])
        raise CourseworkError(f"notebooks that need each other: {circle}; take one out of `needs`") from None
