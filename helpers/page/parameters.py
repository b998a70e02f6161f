"""The parameters of a notebook: names, types and bounds, checked before anything heavy loads.

The same checks serve JupyterLab and papermill's command line (both through `helpers.notebook.begin`, in
the second cell) and `python -m helpers.report` (check_parameters, before a kernel starts).
"""

import ast
import contextlib
import difflib
import json
import math
import re
from pathlib import Path

from helpers import base
from helpers.base import CourseworkError

BUDGETS = ("smoke", "standard", "full")
TYPES = {"int": int, "float": float, "str": str, "bool": bool, "list": list, "dict": dict}
MOST = 10**9  # of every whole number: seeds are 32 bits, and nothing here is counted further
UNREADABLE = (ValueError, SyntaxError, TypeError, ArithmeticError, RecursionError, MemoryError)  # of ast, by text


def _one_of(pattern: str):
    words = pattern.replace("|", ", ").replace(r"(:\d+)?", "")
    return lambda value: re.fullmatch(pattern, value), f"one of {words}"


def _at_least(least: float, names: str) -> dict:
    return dict.fromkeys(names.split(), (lambda value: least <= value <= MOST, f"at least {least}, at most {MOST:,}"))


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
    "augment": _one_of("flip|shift|erase"),
    "network": _one_of("ours|report_a|report_b|report_c"),
    **_at_least(1, "epochs batch_size blocks width hidden token_hidden seeds train_limit test_limit folds trials"),
    **_at_least(0, "seed weight_decay patience"),
    **dict.fromkeys(("momentum", "dropout"), (lambda v: 0 <= v < 1, "at least 0 and below 1")),
}


def refuse_unknown(names, valid, where: str, what: str = "parameter") -> None:
    """Raises CourseworkError on the first of `names` that is not `valid`, with the nearest one."""
    for name in [name for name in names if name not in valid]:
        near = difflib.get_close_matches(name, list(valid), 1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise CourseworkError(f"{where}: unknown {what} {name[:80]}; {hint}valid: {', '.join(valid)}")


def bare(annotation: str) -> str:
    """An annotation's type alone: list for list[str], float for float | None."""
    return re.sub(r"\[.*\]|\s*\|\s*None", "", annotation)


def check_value(name: str, kind: str, value, where: str):
    """`value` as the type named by its annotation and inside its bound; text is read as that type.

    None passes: not given. Raises CourseworkError with what was given and what is expected.
    """
    given = f"{name}={value}"
    given = given if len(given) < 100 else f"{given[:80]} ..."
    kind = bare(kind)
    if isinstance(value, str) and kind != "str":
        with contextlib.suppress(*UNREADABLE):  # refused below as it was given
            value = ast.literal_eval(value.capitalize() if kind == "bool" else value)
    if value is None:
        return None
    if kind == "float" and type(value) is int:
        value = float(value) if abs(value) < 2**1000 else math.inf
    out_of_range = not math.isfinite(value) if type(value) is float else type(value) is int and abs(value) > 2**63
    if kind in TYPES and (type(value) is not TYPES[kind] or out_of_range):
        raise CourseworkError(f"{where}: {given}: expected a value of type {kind}")
    items = value if isinstance(value, list) else [value]
    if name in BOUNDS and not all(_fits(BOUNDS[name][0], item) for item in items):
        raise CourseworkError(f"{where}: {given}: expected {BOUNDS[name][1]}")
    return value


def _fits(test, item) -> bool:
    try:
        return not isinstance(item, bool) and bool(test(item))
    except TypeError:  # of another type than the bound compares with
        return False


def without_magics(code: str) -> str:
    """A cell's code as Python alone: IPython's own lines (%, ! and ?) are left out."""
    return re.sub(r"^\s*[%!?].*$", "", code, flags=re.MULTILINE)


def source(notebook: Path) -> str:
    """The text of a notebook's cell tagged `parameters`. Raises CourseworkError where the file is no notebook."""
    try:
        cells = json.loads(Path(notebook).read_text(encoding="utf-8"))["cells"]
        tagged = [c for c in cells if "parameters" in c.get("metadata", {}).get("tags", [])]
        return "\n".join("".join(cell["source"]) for cell in tagged)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise CourseworkError(f"{notebook} is not a notebook: mend it in JupyterLab or remove it") from None


def declared(notebook: Path) -> dict[str, tuple[str, object]]:
    """Parameter -> (annotation, default), read from the cell tagged `parameters`; nothing runs.

    Raises CourseworkError where the file is no notebook, and on a parameter without a plain value.
    """
    where = Path(notebook).stem
    try:
        lines = _annotated(source(notebook))
    except UNREADABLE as error:
        raise CourseworkError(f"{where}: its parameters cell is no Python: {error}") from None
    return {line.target.id: (ast.unparse(line.annotation), _default(line, where)) for line in lines}


def _annotated(source: str) -> list[ast.AnnAssign]:
    """The lines `name: type = value` of a cell."""
    lines = ast.parse(without_magics(source)).body
    return [line for line in lines if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name)]


def _default(line: ast.AnnAssign, where: str):
    name = line.target.id
    if line.value is None:
        raise CourseworkError(f"{where}: parameter {name} has no value; give it one, or None for that of the budget")
    try:
        return ast.literal_eval(line.value)
    except UNREADABLE:
        words = f"{where}: {name} = {ast.unparse(line.value)}: a parameter's value is a plain number, text or list"
        raise CourseworkError(words) from None


def check_parameters(notebook: Path, values: dict) -> dict:
    """`values` (typed, or text from a command line) checked against the notebook's parameters cell.

    Returns the typed values. Raises CourseworkError on an unknown name, a wrong type, a bad value.
    """
    where = Path(notebook).stem
    own = declared(notebook)
    refuse_unknown(values, own, where)
    return {name: check_value(name, own[name][0], value, where) for name, value in values.items()}


def read_namespace(namespace: dict, notebook: str) -> tuple[dict, dict]:
    """(values, changed) of the annotated parameters among a notebook's globals.

    `changed` holds those that differ from the parameters cell's default. A None is filled from
    notebooks/budgets.yaml. Raises CourseworkError on a refused value.
    """
    late = namespace.get("__annotate__")  # Python 3.14 keeps annotations in a function until asked
    annotations = namespace.get("__annotations__") or (late(1) if late else {})
    path = base.NOTEBOOKS / f"{notebook}.ipynb"
    own = declared(path) if path.exists() else {}
    names = _parameter_names(namespace.get("In", []), own, annotations, notebook)
    kinds = {name: annotations.get(name) or own[name][0] for name in names}
    kinds = {name: getattr(kind, "__name__", str(kind)) for name, kind in kinds.items()}
    for name in kinds:
        if name not in namespace:
            raise CourseworkError(f"{notebook}: parameter {name} has no value; give it one, or None")
    values = {name: check_value(name, kind, namespace[name], notebook) for name, kind in kinds.items()}
    before = {name: default for name, (_, default) in own.items()} if path.exists() else values
    changed = {name: value for name, value in values.items() if name != "budget" and value != before.get(name)}
    return _fill(values, kinds, notebook), changed


def _parameter_names(cells: list[str], own: dict, annotations: dict, notebook: str) -> list[str]:
    """The names that are parameters: the annotated ones of the file, and of the cell as it was run in JupyterLab.

    One of the file's counts, too, where that cell gives it a value without its type. Other cells may annotate names as
    well, and have done so where `begin` runs again. Raises CourseworkError as `_refuse_mistyped` does.
    """
    names, untyped = {*(own if cells and own else annotations)}, []
    for cell in cells:
        with contextlib.suppress(SyntaxError):
            shown = {line.target.id for line in _annotated(cell)}
            names |= shown if "budget" in shown else set()
            untyped = _assigned(cell)[0] if "budget" in shown else untyped  # as the cell was run last
    accepted = [name for name in annotations if name in names]
    accepted += [name for name in untyped if name in own and name not in accepted]
    _refuse_mistyped(cells, untyped, accepted, notebook)
    return accepted


def _refuse_mistyped(cells: list[str], untyped: list[str], accepted: list[str], notebook: str) -> None:
    """Raises CourseworkError on a value that would reach no parameter.

    That is any name that papermill gives (which itself only warns) or that the parameters cell sets; and, in a cell
    that does nothing but set values, one that is nearly a parameter's: epoch = 3.
    """
    given, beside = [], []
    for place, cell in enumerate(cells):
        with contextlib.suppress(SyntaxError):
            assigned, is_all = _assigned(cell)
            given += assigned if cell.startswith("# Parameters") else []
            beside += assigned if is_all else []
            beside = [] if "begin(" in cell and place < len(cells) - 1 else beside  # told then, perhaps mended since
    given = [name for name in given if not name.startswith("PAPERMILL_")]
    likely = [name for name in beside if difflib.get_close_matches(name, accepted, cutoff=0.85)]
    refuse_unknown(given + untyped + likely, accepted, notebook)


def _assigned(cell: str) -> tuple[list[str], bool]:
    """(the names that a cell sets without a type, whether it does nothing but set names to plain values)."""
    body = ast.parse(without_magics(cell)).body
    lines = [line for line in body if isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name)]
    plain = [line for line in lines if isinstance(line.value, ast.Constant | ast.List | ast.UnaryOp)]
    return [line.targets[0].id for line in lines], len(plain) == len(body)


def budget_values(budget: str, notebook: str) -> dict:
    """What budgets.yaml offers a notebook: its own values before those of `all`."""
    path = base.NOTEBOOKS / "budgets.yaml"
    chosen = _mapping(base.read_yaml(path).get(budget), path, budget)
    parts = [_mapping(chosen.get(name), path, f"{budget}, {name}") for name in ("all", notebook)]
    return parts[0] | parts[1]


def _mapping(value, path: Path, where: str) -> dict:
    if isinstance(value, (dict, type(None))):
        return value or {}
    raise CourseworkError(f"{path}, {where}: expected names and values, found {value}")


def _fill(values: dict, kinds: dict, notebook: str) -> dict:
    """`values` with each None replaced from budgets.yaml[budget][notebook], else from its `all`."""
    budget = values.get("budget") or "standard"
    where = f"notebooks/budgets.yaml, {budget}, {notebook}"
    offered = budget_values(budget, notebook)
    filled = dict(values)
    for name in [name for name, value in values.items() if value is None]:
        if name not in offered:
            raise CourseworkError(f"{where}: no value for {name}")
        filled[name] = check_value(name, kinds[name], offered[name], where)
    return filled
