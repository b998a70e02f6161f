"""The command line: python -m helpers.report [VERB] [NAME=VALUE ...]

    build (the default)   BUDGET=smoke DATA=real ONLY="task*" SET="lr=0.05 epochs=5" ...
    check PAGE.html ...   index   submission   verify   publish   lock
    lint-notebooks   clean-notebooks   clean   distclean

The variables are make's, which hands them on after --make. A mistake gets one line and exit code 1.
"""

import importlib
import os
import re
import sys

from helpers.base import CourseworkError
from helpers.parameters import BOUNDS, refuse_unknown

FOR_TRIALS = ("DEVICE", "PRECISION", "JOBS", "ENGINE", "FRESH")  # the kernels get these
FOR_OTHERS = ("ALL", "NAME", "PYTHON")  # other verbs, other targets, make itself
VARIABLES = {
    **{name: BOUNDS[name.lower()] for name in ("BUDGET", "DATA", "DEVICE", "PRECISION")},
    **{
        name: (re.compile(pattern).fullmatch, words)
        for name, pattern, words in [
            ("JOBS", r"\d{1,4}", "how many trainings at once; 0 trains in the notebook itself"),
            ("ENGINE", r"local|\w+://\S+", "local, or a Dask scheduler as tcp://host:port"),
            ("SEED", r"\d{1,9}", "a whole number"),
            ("FRESH", "[01]", "1 to run everything again, or 0"),
            ("ONLY", r"\S.*", "names or patterns of notebooks"),
            ("SET", r"\s*(\w+=\S+\s*)+", '"name=value name=value"'),
            ("AUTHOR", ".*", "a name"),
        ]
    },
}
MODULES = {"check": "check", "index": "run", "submission": "submission", "verify": "verify"}
MODULES |= dict.fromkeys(("lint-notebooks", "clean-notebooks", "lock", "publish", "clean", "distclean"), "housekeeping")


def variables(words: list[str]) -> dict[str, str]:
    """NAME=VALUE words, checked; what is not given comes from the environment.

    Raises CourseworkError on an unknown name and on a value that the variable cannot have.
    """
    for word in words:
        if not re.match(r"\w+=", word):
            raise CourseworkError(f"{word}: expected NAME=VALUE")
    given = dict(word.split("=", 1) for word in words)
    refuse_unknown(given, [*VARIABLES, *FOR_OTHERS], "command line", "variable")
    given = {name: os.environ.get(name, "") for name in VARIABLES} | given
    given = {name: value for name, value in given.items() if value}
    for name in given.keys() & VARIABLES.keys():
        fits, words = VARIABLES[name]
        if not fits(given[name]):
            raise CourseworkError(f"{name}={given[name]}: expected {words}")
    return given


def build(given: dict[str, str]):
    """The build that the variables ask for."""
    from helpers.report.run import Build

    os.environ |= {name: given[name] for name in FOR_TRIALS if name in given}
    pairs = dict(pair.split("=", 1) for pair in given.get("SET", "").split())
    pairs |= {name.lower(): given[name] for name in ("SEED", "DEVICE") if name in given}
    return Build(
        budget=given.get("BUDGET", "standard"),
        data=given.get("DATA", "auto"),
        only=given.get("ONLY", ""),
        given=pairs,
        author=given.get("AUTHOR", ""),
        fresh=given.get("FRESH") == "1",
        environment={name: given[name] for name in FOR_TRIALS if name in given},
    )


def main(arguments: list[str]) -> int:
    """Do what the command line says; returns the exit code."""
    arguments = _from_make(arguments)
    verb = arguments.pop(0) if arguments and "=" not in arguments[0] else "build"
    if verb in ("help", "-h", "--help"):
        print(__doc__, *(f"    {name:10} {words}" for name, (_, words) in VARIABLES.items()), sep="\n")
        return 0
    refuse_unknown([verb], ["build", *MODULES], "command line", "verb")
    if verb == "check":
        return importlib.import_module("helpers.report.check").main(arguments)
    given = variables(arguments)
    if verb == "build":
        return build(given).go()
    if verb == "index":
        print(os.path.relpath(build(given).index()))
        return 0
    module = importlib.import_module(f"helpers.report.{MODULES[verb]}")
    return getattr(module, verb.replace("-", "_"))(given) or 0


def _from_make(arguments: list[str]) -> list[str]:
    """What follows --make is make's MAKEOVERRIDES, with a backslash before each blank in a value."""
    if "--make" not in arguments:
        return list(arguments)
    place = arguments.index("--make")
    words = re.findall(r"(?:\\.|[^\\\s])+", " ".join(arguments[place + 1 :]))
    return arguments[:place] + [re.sub(r"\\(.)|\$(\$)", r"\1\2", word) for word in words]


if __name__ == "__main__":
    try:
        code = main(sys.argv[1:])
    except CourseworkError as error:
        code = f"{' '.join(str(error).split())}"  # one line on stderr, exit code 1
    except KeyboardInterrupt:
        code = "interrupted"
    sys.exit(code)
