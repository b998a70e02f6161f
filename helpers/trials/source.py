"""What a module imports inside helpers, and the hash of that source: it tells stale records."""

import ast
import functools
import importlib
import importlib.util
from pathlib import Path

import helpers
from helpers.base import CourseworkError, sha256, to_json


def source_hash(module: str) -> str:
    """16 hexadecimal digits: hash of a module and of what it imports, however far, from helpers.

    Comments, docstrings, formatting and the modules' own names do not count, nor does the Python version that reads
    them. Local modules outside helpers are hashed only when they are `module` itself, not when imported.
    Raises CourseworkError for a module without a source file.
    """
    texts, queue = {}, [module]
    while queue:
        name = queue.pop()
        if name not in texts:
            path = _path_in_helpers(name) or _find(name)
            state = path.stat()  # a file edited since is parsed again
            texts[name], imports = _parse(path, name, state.st_mtime_ns, state.st_size)
            queue += imports
    return sha256(to_json(sorted(texts.values())).encode())[:16]


@functools.cache
def _find(module: str) -> Path:
    try:
        return Path(importlib.util.find_spec(module).origin)
    except (ImportError, AttributeError, TypeError, ValueError):
        raise CourseworkError(f"module {module} has no source file here; is its folder on the path?") from None


@functools.cache
def _parse(path: Path, module: str, modified: int, size: int) -> tuple[str, list[str]]:
    """A source file without docstrings and formatting, and the modules of helpers it imports."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imports = imported(tree, module if path.name == "__init__.py" else module.rpartition(".")[0])
    return ast.unparse(ast.fix_missing_locations(_Bare().visit(tree))), sorted(imports)


class _Bare(ast.NodeTransformer):
    """Drops docstrings; writes f-strings as calls: each Python version quotes them its own way."""

    def _drop_docstring(self, node):
        self.generic_visit(node)
        if ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
        return node

    visit_Module = visit_ClassDef = visit_FunctionDef = visit_AsyncFunctionDef = _drop_docstring

    def visit_JoinedStr(self, node):
        self.generic_visit(node)
        parts = [part for part in node.values if getattr(part, "value", None) != ""]  # 3.12 adds empty ones
        return ast.Call(ast.Name("fstring"), parts, [])

    def visit_FormattedValue(self, node):
        self.generic_visit(node)
        parts = [node.value, ast.Constant(node.conversion), node.format_spec or ast.Constant(None)]
        return ast.Tuple(parts)


def imported(tree: ast.AST, package: str = "") -> set[str]:
    """The modules of helpers that a source tree reaches: by import, and through the doors, as in `mu.data.load`.

    `mu` is whatever name the source gives to helpers or to one of its rooms. package: where relative imports start.
    """
    names, nicknames = set(), {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names.add(alias.name)
                if alias.name.split(".")[0] == "helpers":
                    nicknames[alias.asname or "helpers"] = alias.name if alias.asname else "helpers"
        elif isinstance(node, ast.ImportFrom):
            start = package.rsplit(".", node.level - 1)[0] if node.level else ""
            origin = ".".join(filter(None, [start, node.module]))
            for alias in node.names:
                names |= {origin, f"{origin}.{alias.name}"}
                nicknames[alias.asname or alias.name] = f"{origin}.{alias.name}"
    names |= {f"{nicknames[first]}.{rest}" for first, rest in _attributes(tree) if first in nicknames}
    return {module for name in names if (module := _module_of(name))}


def _attributes(tree: ast.AST):
    """(name, "attribute.attribute ...") of each dotted name in a source tree, however long."""
    for node in ast.walk(tree):
        parts = []
        while isinstance(node, ast.Attribute):
            parts.insert(0, node.attr)
            node = node.value
        if parts and isinstance(node, ast.Name):
            yield node.id, ".".join(parts)


def _module_of(name: str) -> str | None:
    """The module of helpers with code of its own that `name` leads to, through as many doors as it takes.

    None for what is not in helpers, and for a room itself: it only hands names on.
    """
    module, *rest = name.split(".")
    while rest and _is_room(module):  # else what is left are names inside that module
        home = _through_door(module, rest[0])
        if home is None:
            break
        module, *more = home
        rest = [*more, *rest[1:]]
    return module if _path_in_helpers(module) and not _is_room(module) else None


def _is_room(module: str) -> bool:
    path = _path_in_helpers(module)
    return path is not None and path.name == "__init__.py"


def _through_door(package: str, name: str) -> list[str] | None:
    """Where a room's door leads for `name`: [module], or [module, name in it]; None where it has no such name."""
    room = importlib.import_module(package)
    for module, names in getattr(room, "HOMES", {}).items():
        if name in names.split():
            return [f"{package}.{module}", name]
    return [f"{package}.{name}"] if _path_in_helpers(f"{package}.{name}") else None


def _path_in_helpers(module: str) -> Path | None:
    """The file of a module of helpers, or the door of a room; None for anything else."""
    top, *rest = module.split(".")
    if top != "helpers":
        return None
    path = Path(helpers.__file__).parent.joinpath(*rest)
    choices = [path / "__init__.py", path.with_suffix(".py")]
    return next((choice for choice in choices if choice.is_file()), None)
