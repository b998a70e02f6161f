"""Keeping the checkout clean: notebooks without outputs, and room on the disk again."""

import contextlib
import json
import shutil
import sys
import warnings
from importlib import metadata
from pathlib import Path

from helpers import base
from helpers.base import CourseworkError
from helpers.report.export.facts import COMPLETE

CODE_KEYS = ("tags", "jupyter")  # metadata of a cell that is kept
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def problems(path: Path) -> list[str]:
    """What is wrong with a notebook as it lies in the repository, one line each."""
    import nbformat

    try:
        text = path.read_text(encoding="utf-8")
        with warnings.catch_warnings():  # double ids are mended as they are read, with a warning: found below
            warnings.simplefilter("ignore")
            nb = nbformat.reads(text, as_version=nbformat.NO_CONVERT)
        nbformat.validate(nb)
    except Exception as error:  # nbformat has many
        return [f"{path.name}: not a valid notebook: {str(error).splitlines()[0]}"]
    wrong = []
    if nb.metadata.get("kernelspec", {}).get("name") != "python3" or "widgets" in nb.metadata:
        wrong.append("its metadata is not that of a clean Python 3 notebook")
    ids = [cell.get("id") for cell in json.loads(text)["cells"]]
    if None in ids or len(set(ids)) < len(ids):
        wrong.append("cell ids are missing or double")
    for number, cell in enumerate(nb.cells, 1):
        if cell.get("outputs") or cell.get("execution_count") is not None:
            wrong.append(f"cell {number} ({cell.get('id')}) holds an output or an execution count")
        extra = set(cell.metadata) - set(CODE_KEYS)
        if extra:
            wrong.append(f"cell {number} ({cell.get('id')}) holds metadata: {', '.join(sorted(extra))}")
    return [f"{path.name}: {line}; make clean-notebooks mends it" for line in wrong]


def lint_notebooks() -> int:
    """Print what `problems` finds in notebooks/; the exit code says whether anything was."""
    wrong = [line for path in sorted(base.NOTEBOOKS.glob("*.ipynb")) for line in problems(path)]
    print("\n".join(wrong) or "The notebooks are clean.")
    return int(bool(wrong))


def clean_notebooks() -> None:
    """Take outputs, counts and editors' metadata out of the notebooks; give an id to cells without.

    Raises CourseworkError naming those that cannot be read, after the others are clean.
    """
    import nbformat

    broken = []
    for path in sorted(base.NOTEBOOKS.glob("*.ipynb")):
        try:
            nb = nbformat.read(path, as_version=4)
        except Exception as error:  # nbformat has many
            broken.append(f"{path.name}: {str(error).splitlines()[0]}")
            continue
        nb.nbformat_minor, seen = 5, set()  # the first version whose cells have ids; ids
        kept = {"coursework": nb.metadata["coursework"]} if "coursework" in nb.metadata else {}
        nb.metadata = nbformat.from_dict(METADATA | kept)
        for number, cell in enumerate(nb.cells, 1):
            cell.metadata = nbformat.from_dict({k: v for k, v in cell.metadata.items() if k in CODE_KEYS})
            if cell.get("id") in seen or not cell.get("id"):
                cell["id"] = f"cell-{number}"
            seen.add(cell["id"])
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        text = nbformat.writes(nb) + "\n"
        if text != path.read_text(encoding="utf-8"):
            base.write_atomically(path, text)
            print(f"cleaned {path.name}")
    if broken:
        raise CourseworkError(f"no notebook, mend or remove: {'; '.join(broken)}")


def lock() -> None:
    """Write names and public versions of what is installed to requirements.lock.

    Local parts such as +cpu are left out: no registry has them. The file is used as constraints, so
    that a machine with a GPU may add its packages.
    """
    installed = {d.name.lower().replace("_", "-"): d.version for d in metadata.distributions()}
    ours = ("neural-network-coursework", "pip", "setuptools", "wheel")
    lines = [f"{n}=={v.split('+')[0]}" for n, v in sorted(installed.items()) if n not in ours]
    base.write_atomically(base.CHECKOUT / "requirements.lock", "\n".join(lines) + "\n")
    print(f"{len(lines)} versions written to requirements.lock")


def publish(given: dict[str, str]) -> None:
    """Copy a budget's pages (BUDGET, full if not given), if all are complete, with results, benchmark and records.

    They go to reports/published, and the README's table is written from them. Raises CourseworkError where a page is
    absent or not complete.
    """
    from helpers.report import readme
    from helpers.trials.upkeep import copy_to_published

    folder = base.REPORTS / given.get("BUDGET", "full")
    names = sorted(path.stem for path in base.NOTEBOOKS.glob("*.ipynb"))
    for name in names:
        state = folder / f"{name}.json"
        if not _is_complete(state):
            raise CourseworkError(f"{state} is no complete page; run make report BUDGET={folder.name} first")
    for name in [f"{name}.{kind}" for name in names for kind in ("json", "html")] + ["index.html", "check.py"]:
        base.write_atomically(base.PUBLISHED / name, (folder / name).read_bytes())
    if (folder / "search.json").exists():  # what study G found, for tasks 3 to 5
        base.write_atomically(base.NOTEBOOKS / "search.json", (folder / "search.json").read_bytes())
    if (base.REPORTS / "bench.json").exists():
        base.write_atomically(base.PUBLISHED / "bench.json", (base.REPORTS / "bench.json").read_bytes())
    print(f"{len(names)} pages copied to {base.PUBLISHED}")
    print(copy_to_published())
    readme.write()


def _is_complete(state: Path) -> bool:
    """Whether a page's JSON says that it is complete; not where it is absent or damaged."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        return json.loads(state.read_text(encoding="utf-8")).get("status") in COMPLETE
    return False


def clean() -> None:
    """Remove the pages built here and the tools' caches; trained records and data stay."""
    built = [p for p in base.REPORTS.glob("*") if p not in (base.RECORDS, base.PUBLISHED)]
    tools = [base.ROOT / name for name in ("build", ".pytest_cache", ".ruff_cache")]
    caches = [p for top in ("helpers", "tests") for p in (base.ROOT / top).rglob("__pycache__")]
    _remove([*built, *tools, *caches])


def distclean() -> None:
    """Remove also what this machine trained, the decoded data and the environment."""
    clean()
    _remove([base.RECORDS, base.CACHE, base.ROOT / ".venv", *base.ROOT.glob("*.egg-info")])


def _agrees(question: str) -> bool:
    with contextlib.suppress(EOFError):  # Ctrl-D is no yes
        return input(question).strip().lower() in ("y", "yes")
    return False


def _remove(paths: list[Path]) -> None:
    """Say what goes and how large it is; remove it after a yes where a person can give one."""
    paths = [path for path in paths if path.exists()]
    for path in paths:
        files = [path, *path.rglob("*")] if path.is_dir() else [path]
        size = sum(file.lstat().st_size for file in files if not file.is_dir())
        print(f"{size / 1e6:10.1f} MB  {path.relative_to(base.ROOT)}")
    if not paths:
        print("nothing to remove")
    elif sys.stdin.isatty() and not _agrees("Remove this? [y/N] "):
        raise CourseworkError("nothing was removed")
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
