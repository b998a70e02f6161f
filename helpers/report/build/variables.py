"""The variables of make and of the command line: their names and values, checked."""

import os
import re

from helpers.base import CourseworkError
from helpers.page.parameters import BOUNDS, refuse_unknown

OF_OTHERS = ("ALL", "NAME", "PYTHON")  # verify's, new-study's, make's own
VARIABLES = {name: BOUNDS[name.lower()] for name in ("BUDGET", "DATA", "DEVICE", "PRECISION")}
for _name, _pattern, _words in [
    ("JOBS", r"\d{1,4}", "how many trainings at once; 0 trains in the notebook itself"),
    ("ENGINE", r"local|\w+://\S+", "local, or a Dask scheduler as tcp://host:port"),
    ("SEED", r"\d{1,9}", "a whole number"),
    ("FRESH", "[01]", "1 to run everything again, or 0"),
    ("ONLY", r"\S.*", "names or patterns of notebooks"),
    ("SET", r"\s*(\w+=\S+\s*)+", '"name=value name=value", parameters of the notebooks'),
    ("AUTHOR", ".*", "the name on the pages"),
]:
    VARIABLES[_name] = (re.compile(_pattern).fullmatch, _words)


def from_make(arguments: list[str]) -> list[str]:
    r"""The words, also those after --make: MAKEOVERRIDES, where make writes "\ " for " " and $$ for $."""
    if "--make" not in arguments:
        return list(arguments)
    place = arguments.index("--make")
    words = re.findall(r"(?:\\.|[^\\\s])+", " ".join(arguments[place + 1 :]))
    return arguments[:place] + [re.sub(r"\\(.)|\$(\$)", r"\1\2", word) for word in words]


def read(words: list[str]) -> dict[str, str]:
    """NAME=VALUE words, checked; what is not given comes from the environment.

    Raises CourseworkError on an unknown name and on a value that the variable cannot have.
    """
    for word in words:
        if not re.match(r"\w+=", word):
            raise CourseworkError(f"{word}: expected NAME=VALUE")
    given = dict(word.split("=", 1) for word in words)
    refuse_unknown(given, [*VARIABLES, *OF_OTHERS], "command line", "variable")
    of_command = set(given)
    given = {name: os.environ.get(name, "") for name in VARIABLES} | given
    given = {name: value for name, value in given.items() if value}
    for name in given.keys() & VARIABLES.keys():
        fits, expected = VARIABLES[name]
        if not fits(given[name]):
            origin = "" if name in of_command else f" (from the environment; `unset {name}` there, or give {name}=...)"
            raise CourseworkError(f"{name}={given[name]}{origin}: expected {expected}")
    return given
