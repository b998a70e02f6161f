"""Keeping the checkout: clean notebooks, locked versions, published pages, and room on the disk again."""

import contextlib
import shutil
import sys
import warnings
from importlib import metadata
from pathlib import Path

from helpers import base
from helpers.base import CourseworkError
from helpers.page.bundle import read_bundle
from helpers.report.export.facts import COMPLETE

CODE_KEYS = ("tags", "jupyter")  # metadata of a cell that is kept
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def cleaned(path: Path) -> str:
    """The text of a notebook without outputs, counts and editors' metadata, with an id for each cell.

    Raises CourseworkError on what is no notebook.
    """
    import nbformat

    try:
        with warnings.catch_warnings():  # double ids are mended as they are read, with a warning
            warnings.simplefilter("ignore")
            nb = nbformat.read(path, as_version=4)
        nbformat.validate(nb)
    except Exception as error:  # nbformat has many
        raise CourseworkError(f"{path.name}: {str(error).splitlines()[0]}") from error
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
    return nbformat.writes(nb) + "\n"


def soiled() -> tuple[dict[Path, str], list[str]]:
    """({notebook: its text as it should be} of those that differ from it, one line on each that cannot be read)."""
    texts, broken = {}, []
    for path in sorted(base.NOTEBOOKS.glob("*.ipynb")):
        try:
            if (text := cleaned(path)) != path.read_text(encoding="utf-8"):
                texts[path] = text
        except CourseworkError as error:
            broken.append(str(error))
    return texts, broken


def lint_notebooks() -> int:
    """Print which notebooks are not clean; the exit code says whether any is."""
    texts, broken = soiled()
    lines = [f"{path.name}: holds outputs, counts or other metadata; make clean-notebooks mends it" for path in texts]
    lines += [f"no notebook, mend or remove: {line}" for line in broken]
    print("\n".join(lines) or "The notebooks are clean.")
    return int(bool(lines))


def clean_notebooks() -> None:
    """Write the notebooks that are not clean as they should be.

    Raises CourseworkError naming those that cannot be read, after the others are clean.
    """
    texts, broken = soiled()
    for path, text in texts.items():
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
        path = folder / f"{name}.json"
        if (read_bundle(path) or {}).get("status") not in COMPLETE:
            raise CourseworkError(f"{path} is no complete page; run make report BUDGET={folder.name} first")
    for name in [f"{name}.{kind}" for name in names for kind in ("json", "html")] + ["index.html", "check.py"]:
        base.write_atomically(base.PUBLISHED / name, (folder / name).read_bytes())
    if (folder / "search.json").exists():  # what study G found, for tasks 3 to 5
        base.write_atomically(base.NOTEBOOKS / "search.json", (folder / "search.json").read_bytes())
    if (base.REPORTS / "bench.json").exists():
        base.write_atomically(base.PUBLISHED / "bench.json", (base.REPORTS / "bench.json").read_bytes())
    print(f"{len(names)} pages copied to {base.PUBLISHED}")
    print(copy_to_published())
    readme.write()


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
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
