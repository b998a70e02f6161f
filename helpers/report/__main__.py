"""The command line: python -m helpers.report [VERB] [NAME=VALUE ...]

    build (the default)   BUDGET=smoke DATA=real ONLY="task*" SET="lr=0.05 epochs=5" ...
    check PAGE.html ...   verify   index   submission   marking-sheet   publish   lock
    lint-notebooks   clean-notebooks   clean   distclean

The variables are make's, which hands them on after --make. A mistake gets one line and exit code 1.
"""

import importlib
import os
import sys

from helpers import base
from helpers.base import CourseworkError, run_command
from helpers.page.parameters import refuse_unknown
from helpers.report.build import variables

FOR_TRIALS = ("DEVICE", "PRECISION", "JOBS", "ENGINE", "FRESH")  # the kernels get these
ON_PAGES = ("index", "submission", "marking-sheet")  # verbs on the pages of a budget
HOUSEKEEPING = ("lint-notebooks", "clean-notebooks", "lock", "clean", "distclean")
VERBS = ("build", "check", "verify", "publish", *ON_PAGES, *HOUSEKEEPING)


def build(given: dict[str, str]):
    """The build that the variables ask for."""
    from helpers.report.build.run import Build

    pairs = variables.pairs(given.get("SET", ""))
    pairs |= {name.lower(): given[name] for name in ("SEED", "DEVICE") if name in given}
    if pairs.get("device", "auto") not in ("auto", "cpu"):
        from helpers import device  # here: loads torch

        device.choose(pairs["device"])  # refused before anything runs
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
    arguments = variables.from_make(arguments)
    verb = arguments.pop(0) if arguments and "=" not in arguments[0] else "build"
    if verb in ("help", "-h", "--help"):
        print(__doc__, *(f"    {n:10} {w}" for n, (_, w) in variables.VARIABLES.items()), sep="\n")
        return 0
    refuse_unknown([verb], VERBS, "command line", "verb")
    if verb == "check":
        return _module("check").main(arguments)
    given = variables.read(arguments)
    os.environ |= {name: given[name] for name in FOR_TRIALS if name in given}
    if verb == "build":
        return build(given).go()
    if verb == "verify":
        return _module("verify").verify(given)
    if verb == "publish":
        return _module("housekeeping").publish(given) or 0
    if verb in HOUSEKEEPING:
        return getattr(_module("housekeeping"), verb.replace("-", "_"))() or 0
    folder = base.REPORTS / given.get("BUDGET", "standard")
    if not any(folder.glob("*.html")):
        raise CourseworkError(f"no pages in {folder} yet: make report BUDGET={folder.name} first")
    index = _module("index")
    writers = {"submission": index.write_submission, "marking-sheet": index.write_marking_sheet}
    path = build(given).index() if verb == "index" else writers[verb](folder)
    print(os.path.relpath(path))
    if verb == "submission":
        print(f"SHA-256 {base.sha256(path.read_bytes())}")
    return 0


def _module(name: str):
    return importlib.import_module(f"helpers.report.{name}")  # late: most verbs need few of them


if __name__ == "__main__":
    sys.exit(run_command(lambda: main(sys.argv[1:])))
