"""The variables of make and of the command line: their names and values, checked."""

import ast
import contextlib
import os
import re

from helpers.base import CourseworkError
from helpers.page.parameters import BOUNDS, refuse_unknown

OF_OTHERS = ("NAME", "PYTHON")  # new-study's, make's own
# A quoted text where one can begin, else one letter.
PART = re.compile(r"""(?<=[=(\[{,: ])(?:"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|.""", re.DOTALL)
MOST_JOBS = max(16, 4 * (os.cpu_count() or 1))  # more processes than that only wait for each other
VARIABLES = {name: BOUNDS[name.lower()] for name in ("BUDGET", "DATA", "DEVICE", "PRECISION")}
FORMS = {  # of the others: what a value looks like, in a pattern and in words
    "JOBS": (r"\d{1,4}", f"how many trainings at once, at most {MOST_JOBS}; 0 trains in the notebook itself"),
    "ENGINE": (r"local|(tcp|tls)://\S+:\d+", "local, or a Dask scheduler as tcp://host:port"),
    "SEED": (r"\d{1,9}", "a whole number"),
    "FRESH": ("[01]", "1 to run everything again, or 0"),
    "ALL": ("[01]", "1 to verify every record, or 0"),
    "ONLY": (r"\S.*", "names or patterns of notebooks"),
    "SET": (r"\s*\w+=.*", '"name=value name=value", parameters of the notebooks'),
    "AUTHOR": (".*", "the name on the pages"),
}
VARIABLES |= {name: (re.compile(pattern).fullmatch, words) for name, (pattern, words) in FORMS.items()}


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
        text = given[name].encode(errors="replace").decode()
        if not fits(given[name]) or (name == "JOBS" and int(text) > MOST_JOBS):
            origin = "" if name in of_command else f" (from the environment; `unset {name}` there, or give {name}=...)"
            raise CourseworkError(f"{name}={text}{origin}: expected {expected}")
        if text != given[name]:
            raise CourseworkError(f"{name}={text}: not UTF-8; give it in that encoding")
    pairs(given.get("SET", ""))
    return given


def pairs(text: str) -> dict[str, str]:
    """SET's names and values; a value may hold spaces inside quotes or brackets: augment=['flip', 'shift'].

    Quotes around a whole value are taken off. Raises CourseworkError on a word that is no pair, and on names that
    have a variable of their own.
    """
    words = [""]
    brackets = 0  # that are open
    for part in PART.findall(text):
        brackets += (part in "([{") - (part in ")]}")
        if part.isspace() and brackets <= 0:
            words.append("")
        else:
            words[-1] += part
    values = {}
    for word in filter(None, words):
        name, mark, value = word.partition("=")
        if not (mark and value and re.fullmatch(r"\w+", name)):
            raise CourseworkError(f"SET: {word}: expected {VARIABLES['SET'][1]}")
        if name in ("budget", "data"):
            raise CourseworkError(f"SET: {word}: give it as {name.upper()}={value}, for all notebooks alike")
        values[name] = _unquoted(value)
    return values


def _unquoted(value: str) -> str:
    if value[0] in "'\"" and value[-1] == value[0]:
        with contextlib.suppress(ValueError, SyntaxError):
            literal = ast.literal_eval(value)
            return literal if isinstance(literal, str) else value
    return value
