"""What a module imports inside helpers, and the hash of that source: it tells stale records."""

import ast
import functools
import hashlib
import importlib.util
from pathlib import Path

import helpers
from helpers.base import CourseworkError, to_json


def source_hash(module: str) -> str:
    """16 hexadecimal digits: hash of a module and of what it imports, however far, from helpers.

    Comments, docstrings and formatting do not count, nor does the Python version that reads it.
    Local modules outside helpers are hashed only when they are `module` itself, not when imported.
    Raises CourseworkError for a module without a source file.
    """
    texts, queue = {}, [module]
    while queue:
        name = queue.pop()
        if name not in texts:
            path = _file(name)
            state = path.stat()  # a file edited since is parsed again
            texts[name], imports = _parse(path, name, state.st_mtime_ns, state.st_size)
            queue += imports
    return hashlib.sha256(to_json(texts).encode()).hexdigest()[:16]


@functools.cache
def _find(module: str) -> Path:
    try:
        return Path(importlib.util.find_spec(module).origin)
    except (ImportError, AttributeError, TypeError, ValueError):
        raise CourseworkError(f"module {module} has no source file here; is its folder on the path?") from None


def _file(module: str) -> Path:
    return _path_in_helpers(module) or _find(module)


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
    """The modules of helpers that a source tree reaches: by import, and by `mu.NAME`.

    `mu` is whatever name the source gives to helpers. package: where relative imports start.
    """
    names, nicknames = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
            nicknames |= {a.asname or a.name for a in node.names if a.name == "helpers"}
        elif isinstance(node, ast.ImportFrom):
            start = package.rsplit(".", node.level - 1)[0] if node.level else ""
            origin = ".".join(filter(None, [start, node.module]))
            names |= {origin} | {f"{origin}.{alias.name}" for alias in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", None) in nicknames:
            names.add(f"helpers.{node.attr}")
    return {found for name in names if (found := _module_in_helpers(name))}


def _module_in_helpers(name: str) -> str | None:
    """The module that `name` ("helpers.something[.more]") is, or in which that lazy name lives."""
    top, _, rest = name.partition(".")
    if top != "helpers" or not rest:  # the package itself only hands names on
        return None
    home = "helpers." + helpers._HOME_OF.get(rest, rest)
    return home if _path_in_helpers(home) else None


def _path_in_helpers(module: str) -> Path | None:
    top, *rest = module.split(".")
    path = Path(helpers.__file__).parent.joinpath(*rest)
    choices = [path.with_suffix(".py"), path / "__init__.py"]
    if top != "helpers" or not rest:
        return None
    return next((choice for choice in choices if choice.is_file()), None)
