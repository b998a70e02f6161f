"""What a page stands on, as named hashes: what differs says whether to run again, or only to set the page again."""

import ast
import json
import platform
import re
from pathlib import Path

from helpers import base
from helpers.page.parameters import budget_values, without_magics
from helpers.report.export.sequence import neighbours
from helpers.trials.source import imported, source_hash

SET_AGAIN = ("prose", "template", "author", "page")  # a change of these needs no kernel
IN_WORDS = {
    "code": "its notebook's code", "tags": "its cells' tags", "prose": "its notebook's text",
    "budget": "its values in budgets.yaml",
    "claims": "claims or published results", "lock": "requirements.lock or Python", "template": "how pages are set",
    "parameters": "its parameters", "data": "its data", "needs": "results that it needs",
    "reads": "files that it reads", "author": "the author", "records": "records that it shows",
    "page": "its page, which is gone",
}  # fmt: skip
MODULES = 3  # of helpers, named in one line


def digest(value) -> str:
    """16 hexadecimal digits of bytes, text or anything that JSON holds."""
    if not isinstance(value, bytes):
        value = (value if isinstance(value, str) else base.to_json(value)).encode()
    return base.sha256(value)[:16]


def inputs(nb: dict, name: str, budget: str, **given) -> dict:
    """Named hashes of all that the page of notebook `nb` (its JSON) stands on.

    given: parameters, data (fingerprints), needs (results of other notebooks), author; they are hashed as they
    are. Records are `records`' business: a run says what it used when it ends.
    """
    about = nb["metadata"].get("coursework", {})
    files = [file for pattern in listed(about.get("reads", [])) for file in _files(pattern)]
    code = ["".join(cell["source"]) for cell in nb["cells"] if cell["cell_type"] == "code"]
    python = [file.read_text(encoding="utf-8") for file in files if file.suffix == ".py"]
    modules = _modules(["\n".join(code), *python])
    return {
        "code": digest(code),
        "tags": digest([cell.get("metadata", {}).get("tags", []) for cell in nb["cells"]]),
        "budget": digest(budget_values(budget, name)),
        "helpers": {module: source_hash(module) for module in modules},
        "claims": _claims() if any(name.startswith("helpers.claims.") for name in modules) else "",
        "lock": f"{file_hash(base.CHECKOUT / 'requirements.lock')}, Python {platform.python_version()}",
        "prose": digest([_prose(cell) for cell in nb["cells"]]),
        "reads": digest([file_hash(file) for file in files]),
        "template": digest([_template(), neighbours(name)]),
        **{key: digest(value) for key, value in given.items()},
    }


def records(used: list, budget: str) -> str:
    """Hash of the records a page was made from, as far as they are still there, and of those in full since.

    used: [study, key, checksum] each. At smoke nothing committed is read, so none is looked at.
    """
    present = [[study, key, checksum if _stands(study, key, checksum) else ""] for study, key, checksum in used]
    studies = {study for study, _, _ in used} if budget != "smoke" else ()
    return digest([sorted(present), {study: _whole(study) for study in studies}])


def _whole(study: str) -> list[str]:
    """The keys of a study's trainings in full, committed or of this machine: a page shows them for shortened ones."""
    committed, here = (root.glob("*.json") for root in (base.PUBLISHED / "records" / study, base.RECORDS / study))
    own = {path.stem for path in here if b'"budget":"full"' in path.read_bytes()}
    return sorted(own | {path.stem for path in committed})


def changes(now: dict, before: dict | None) -> list[str]:
    """The names of the inputs that differ; for helpers, the modules."""
    if before is None:
        return ["never built"]
    differ = [name for name in now if name != "helpers" and now[name] != before.get(name)]
    old = before.get("helpers", {})
    return differ + sorted(m for m in {*now["helpers"], *old} if now["helpers"].get(m) != old.get(m))


def with_new_prose(executed: Path, source: Path):
    """The executed notebook with the Markdown of its source, whose code is the same."""
    import nbformat

    ran, new = nbformat.read(executed, as_version=4), nbformat.read(source, as_version=4)
    injected = [c for c in ran.cells if "injected-parameters" in c.metadata.get("tags", [])]
    code = iter([c for c in ran.cells if c.cell_type == "code" and c not in injected])
    ran.cells = []
    for cell in new.cells:
        ran.cells.append(next(code) if cell.cell_type == "code" else cell)
        if "parameters" in cell.metadata.get("tags", []):
            ran.cells += injected
    return ran


def in_words(changed: list[str], parameters: list[str] = ()) -> str:
    """What of `changes` a person reads: its parameters (lr), helpers/training/loop.py; `parameters`: which differ."""
    modules = [name for name in changed if name.startswith("helpers.")]
    words = [IN_WORDS.get(name, name) for name in changed if name not in modules]
    if parameters and "parameters" in changed:
        words[words.index(IN_WORDS["parameters"])] += f" ({', '.join(parameters)})"
    words += [_file(name) for name in modules[:MODULES]]
    if len(modules) > MODULES:
        words.append(f"{len(modules) - MODULES} more modules")
    return ", ".join(words)


def other_parameters(given: dict, before: dict) -> list[str]:
    """The parameters whose values are not those of the state `before`, given now or then."""
    shown, changed = before.get("parameters") or {}, before.get("changed") or {}
    return [n for n, value in given.items() if shown.get(n) != value] + [n for n in changed if n not in given]


def _file(module: str) -> str:
    """helpers.page, helpers.base -> the folder or the file from the checkout on: helpers/page, helpers/base.py."""
    path = module.replace(".", "/")
    return path if (base.CHECKOUT / path).is_dir() else f"{path}.py"


def _prose(cell: dict) -> list:
    """A cell's text with the images that it shows; of code only its place."""
    if cell["cell_type"] == "code":
        return []
    text = "".join(cell["source"])
    images = re.findall(r"!\[[^\]]*\]\(([^)\s]+)|<img\b[^>]*?src=[\"']([^\"']+)", text)
    files = [file_hash(base.NOTEBOOKS / name) for pair in images for name in pair if name and len(name) < 256]
    return [cell["cell_type"], text, cell.get("attachments", {}), files]


def listed(names):
    """Names as a list, also where the metadata give one alone."""
    return [names] if isinstance(names, str) else names


def _files(pattern: str) -> list[Path]:
    """The files that a path or pattern such as tests/bench/*.py names, in the project or else in the checkout."""
    return sorted(base.ROOT.glob(pattern)) or sorted(base.CHECKOUT.glob(pattern))


def _modules(sources: list[str]) -> list[str]:
    """The modules of helpers that these sources reach themselves (theirs are in their hash)."""
    modules = set()
    for text in sources:
        try:
            modules |= imported(ast.parse(without_magics(text)))
        except (SyntaxError, ValueError, RecursionError, MemoryError):  # it fails where its author sees it
            continue
    return sorted(modules)


def _claims() -> str:
    """Claims, printed numbers, and what the judge also reads: results of published pages, and which records exist."""
    files = [*base.NOTEBOOKS.glob("claims*.yaml"), *base.NOTEBOOKS.glob("*.csv"), *base.PUBLISHED.glob("*.json")]
    trials = sorted(path.stem for path in (base.PUBLISHED / "records").glob("*/*.json"))
    return digest([[file_hash(file) for file in sorted(files)], trials])


def _stands(study: str, key: str, checksum: str) -> bool:
    """Whether the record is there, committed or here, as it was."""
    for root in (base.PUBLISHED / "records", base.RECORDS):
        path = root / study / f"{key}.json"
        if path.is_file() and checksum.encode() in path.read_bytes():
            return True
    return False


def _template() -> str:
    files = sorted((base.CHECKOUT / "helpers" / "report" / "export" / "template").glob("*"))
    files += [base.NOTEBOOKS / "bibliography.json"]
    return digest([source_hash("helpers.report.export.export"), *(file_hash(file) for file in files)])


def file_hash(path: Path) -> str:
    """16 hexadecimal digits of a file's content; "" where there is none."""
    return digest(path.read_bytes()) if path.is_file() else ""


def read_json(path: Path) -> dict | None:
    """The JSON in a file; None where it is absent or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
