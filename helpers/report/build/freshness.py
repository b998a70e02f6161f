"""What a page stands on, as named hashes: what differs says whether to run again, or only to set the page again."""

import ast
import hashlib
import json
import platform
import re
from pathlib import Path

import yaml

from helpers import base
from helpers.trials.source import imported, source_hash

SET_AGAIN = ("prose", "template", "author")  # a change of these needs no kernel


def digest(value) -> str:
    """16 hexadecimal digits of bytes, text or anything that JSON holds."""
    if not isinstance(value, bytes):
        value = (value if isinstance(value, str) else base.to_json(value)).encode()
    return hashlib.sha256(value).hexdigest()[:16]


def inputs(nb: dict, name: str, budget: str, **given) -> dict:
    """Named hashes of all that the page of notebook `nb` (its JSON) stands on.

    given: parameters, data (name -> fingerprint), needs (results of other notebooks), reads (files), author;
    they are hashed as they are. Records are `records`' business: a run says what it used when it ends.
    """
    sources = {kind: _sources(nb, kind) for kind in ("code", "markdown")}
    modules = _modules(sources["code"])
    return {
        "code": digest(sources["code"]),
        "budget": digest(_budget(budget, name)),
        "helpers": {module: source_hash(module) for module in modules},
        "claims": _claims() if any(name.startswith("helpers.claims.") for name in modules) else "",
        "lock": file_hash(base.CHECKOUT / "requirements.lock") + platform.python_version(),
        "prose": digest(sources["markdown"]),
        "template": _template(),
        **{key: digest(value) for key, value in given.items()},
    }


def records(used: list, budget: str) -> str:
    """Hash of the records a page was made from, as far as they are still there, and of those committed since.

    used: [study, key, checksum] each. At smoke nothing committed is read, so none is looked at.
    """
    present = [[study, key, check if _stands(study, key, check) else ""] for study, key, check in used]
    folders = {study: base.PUBLISHED / "records" / study for study, _, _ in used}
    committed = {s: sorted(p.stem for p in f.glob("*.json")) for s, f in folders.items()}
    return digest([sorted(present), committed if budget != "smoke" else {}])


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


def _sources(nb: dict, kind: str) -> list[str]:
    return ["".join(cell["source"]) for cell in nb["cells"] if cell["cell_type"] == kind]


def _modules(code: list[str]) -> list[str]:
    """The modules of helpers that a notebook's code reaches itself (theirs are in their hash)."""
    text = re.sub(r"^\s*[%!?].*$", "", "\n".join(code), flags=re.MULTILINE)  # IPython's own lines
    try:
        return sorted(imported(ast.parse(text)) - {"helpers."})  # the names it reaches are there
    except SyntaxError:  # it fails when it runs, where its author sees it
        return []


def _budget(budget: str, name: str) -> list:
    path = base.NOTEBOOKS / "budgets.yaml"
    table = yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {}
    chosen = (table or {}).get(budget) or {}
    return [chosen.get("all"), chosen.get(name)]


def _claims() -> str:
    """Claims, printed numbers, and what the judge also reads: results of published pages, and which records exist."""
    files = [*base.NOTEBOOKS.glob("claims*.yaml"), *base.NOTEBOOKS.glob("*.csv"), *base.PUBLISHED.glob("*.json")]
    trials = sorted(path.stem for path in (base.PUBLISHED / "records").glob("*/*.json"))
    return digest([[file_hash(file) for file in sorted(files)], trials])


def _stands(study: str, key: str, check: str) -> bool:
    for root in (base.PUBLISHED / "records", base.RECORDS):
        path = root / study / f"{key}.json"
        if path.is_file() and check.encode() in path.read_bytes():
            return True
    return False


def _template() -> str:
    files = sorted((base.CHECKOUT / "helpers" / "report" / "export" / "template").glob("*"))
    return digest([source_hash("helpers.report.export.export"), *(file_hash(file) for file in files)])


def file_hash(path: Path) -> str:
    """16 hexadecimal digits of a file's content; "" where there is none."""
    return digest(path.read_bytes()) if path.is_file() else ""


def read_json(path: Path) -> dict | None:
    """The JSON in a file; None where it is absent or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
