"""The parameters of a notebook: names, types and bounds, checked before anything heavy loads.

The same checks serve JupyterLab and papermill's command line (both through page.begin, in the first
cell) and `python -m helpers.report` (check_parameters, before a kernel starts).
"""

import ast
import contextlib
import difflib
import json
import math
import re
from pathlib import Path

import yaml

from helpers import base
from helpers.base import CourseworkError

BUDGETS = ("smoke", "standard", "full")
TYPES = {"int": int, "float": float, "str": str, "bool": bool, "list": list, "dict": dict}


def _one_of(pattern: str):
    words = pattern.replace("|", ", ").replace(r"(:\d+)?", "")
    return lambda value: re.fullmatch(pattern, value), f"one of {words}"


def _at_least(least: float, names: str) -> dict:
    return dict.fromkeys(names.split(), (lambda value: value >= least, f"at least {least}"))


# The bound of each parameter, whichever notebook has it: a test, and what is expected in words.
BOUNDS = {
    "budget": _one_of("|".join(BUDGETS)),
    "data": _one_of("auto|real|standin"),
    "device": _one_of(r"auto|cpu|mps|cuda(:\d+)?"),
    "precision": _one_of("auto|float32|bfloat16"),
    "patch_size": (
        lambda v: v > 0 and 28 % v == 0,
        "a divisor of 28, for 28x28 images",
    ),
    "lr": (lambda v: v > 0, "above 0"),
    "optimiser": _one_of("sgd|asgd|adam|adamw|radam|rmsprop|adagrad|muon"),
    "augment": _one_of("flip|shift"),
    **_at_least(1, "epochs batch_size blocks width hidden token_hidden seeds train_limit test_limit folds trials"),
    **_at_least(0, "seed weight_decay patience"),
    **dict.fromkeys(("momentum", "dropout"), (lambda v: 0 <= v < 1, "at least 0 and below 1")),
}


def refuse_unknown(names, known, where: str, what: str = "parameter") -> None:
    """Raises CourseworkError on the first of `names` that is not `known`, with the nearest one."""
    for name in [name for name in names if name not in known]:
        near = difflib.get_close_matches(name, list(known), 1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise CourseworkError(f"{where}: unknown {what} {name}; {hint}valid: {', '.join(known)}")


def check_value(name: str, kind: str, value, where: str):
    """`value` as the type named by its annotation and inside its bound; text is read as that type.

    None passes: not given. Raises CourseworkError with what was given and what is expected.
    """
    given = value
    if isinstance(value, str) and kind != "str":
        with contextlib.suppress(ValueError, SyntaxError):  # refused below as it was given
            value = ast.literal_eval(value.capitalize() if kind == "bool" else value)
    if value is None:
        return None
    if kind == "float" and type(value) is int:
        value = float(value)
    infinite = isinstance(value, float) and not math.isfinite(value)
    if kind in TYPES and (type(value) is not TYPES[kind] or infinite):
        raise CourseworkError(f"{where}: {name}={given}: expected a value of type {kind}")
    test, words = BOUNDS.get(name, (lambda v: True, ""))
    if not all(test(item) for item in (value if isinstance(value, list) else [value])):
        raise CourseworkError(f"{where}: {name}={given}: expected {words}")
    return value


def declared(notebook: Path) -> dict[str, tuple[str, object]]:
    """Parameter -> (annotation, default), read from the cell tagged `parameters`; nothing runs."""
    cells = json.loads(Path(notebook).read_text(encoding="utf-8"))["cells"]
    tagged = [c for c in cells if "parameters" in c.get("metadata", {}).get("tags", [])]
    source = "\n".join("".join(cell["source"]) for cell in tagged)
    lines = [node for node in ast.parse(source).body if isinstance(node, ast.AnnAssign)]
    return {n.target.id: (ast.unparse(n.annotation), ast.literal_eval(n.value)) for n in lines}


def check_parameters(notebook: Path, values: dict) -> dict:
    """`values` (typed, or text from a command line) checked against the notebook's parameters cell.

    Returns the typed values. Raises CourseworkError on an unknown name, a wrong type, a bad value.
    """
    known, where = declared(notebook), Path(notebook).stem
    refuse_unknown(values, known, where)
    return {name: check_value(name, known[name][0], value, where) for name, value in values.items()}


def read_namespace(namespace: dict, notebook: str) -> tuple[dict, dict]:
    """(values, changed) of the annotated parameters among a notebook's globals.

    `changed` holds those that differ from the parameters cell's default. A None is filled from
    notebooks/budgets.yaml. Raises CourseworkError on a refused value.
    """
    late = namespace.get("__annotate__")  # Python 3.14 keeps annotations in a function until asked
    annotations = namespace.get("__annotations__") or (late(1) if late else {})
    kinds = {name: getattr(kind, "__name__", str(kind)) for name, kind in annotations.items()}
    for cell in namespace.get("In", []):  # papermill only warns about a name that it does not know
        if cell.startswith("# Parameters"):
            given = [n.targets[0].id for n in ast.parse(cell).body if isinstance(n, ast.Assign)]
            refuse_unknown(given, kinds, notebook)
    values = {n: check_value(n, kind, namespace[n], notebook) for n, kind in kinds.items()}
    path = base.NOTEBOOKS / f"{notebook}.ipynb"
    defaults = {n: pair[1] for n, pair in declared(path).items()} if path.exists() else values
    changed = {n: v for n, v in values.items() if n != "budget" and v != defaults.get(n)}
    return _fill(values, kinds, notebook), changed


def _fill(values: dict, kinds: dict, notebook: str) -> dict:
    """`values` with each None replaced from budgets.yaml[budget][notebook], else from its `all`."""
    path, budget = base.NOTEBOOKS / "budgets.yaml", values.get("budget") or "standard"
    table = yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {}
    chosen = table.get(budget) or {}
    offered = {**(chosen.get("all") or {}), **(chosen.get(notebook) or {})}
    where, filled = f"notebooks/budgets.yaml, {budget}, {notebook}", dict(values)
    for name in [name for name, value in values.items() if value is None]:
        if name not in offered:
            raise CourseworkError(f"{where}: no value for {name}")
        filled[name] = check_value(name, kinds[name], offered[name], where)
    return filled
