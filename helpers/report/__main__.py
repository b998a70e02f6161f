"""The command line: python -m helpers.report [VERB] [NAME=VALUE ...]

    build (the default)   BUDGET=smoke DATA=real ONLY="task*" SET="lr=0.05 epochs=5" ...
    check PAGE.html ...   check sheet HAND-IN.zip ...   marking-sheet   submission AUTHOR="Your Name"
    verify   index   publish   lock
    lint-notebooks   clean-notebooks   clean   distclean

The variables are make's, which hands them on after --make. A mistake gets one line and exit code 1.
"""

import contextlib
import importlib
import os
import sys
from pathlib import Path

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
    if verb == "check" and arguments[:1] == ["sheet"]:
        return _module("sheet").main(arguments[1:])
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
    if verb == "submission":
        return submission(given, folder)
    path = build(given).index() if verb == "index" else _module("sheet").write_marking_sheet(folder)
    print(os.path.relpath(path))
    return 0


def submission(given: dict[str, str], folder: Path) -> int:
    """Set the pages in `folder` again where they name another author, pack the archive, print its hash."""
    pages = [page["run"] for page in _module("readback").read_pages(folder).values()]
    author = given.get("AUTHOR") or _author({str(page.get("author") or "") for page in pages})
    build({**given, "AUTHOR": author}).sign()
    path = _module("submission").write_submission(folder)
    print(f"{os.path.relpath(path)}: {len(pages)} pages by {author}")
    print(f"SHA-256 {base.sha256(path.read_bytes())}")
    return 0


def _author(named: set[str]) -> str:
    """The author whom every page names, else whoever is typed in; CourseworkError where nobody can be asked."""
    if len(named) == 1 and "" not in named:
        return named.pop()
    name = ""
    if sys.stdin.isatty():
        with contextlib.suppress(EOFError):
            name = input("Author, as it shall stand on every page: ").strip()
    if not name:
        raise CourseworkError('the pages name no author: make submission AUTHOR="Your Name"')
    return name


def _module(name: str):
    return importlib.import_module(f"helpers.report.{name}")  # late: most verbs need few of them


if __name__ == "__main__":
    sys.exit(run_command(lambda: main(sys.argv[1:])))
