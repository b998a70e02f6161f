"""How much of a notebook's code only hands numbers on: calls of page.publish..., and what is built for them alone."""

import ast

COLLECTIONS = (ast.Dict, ast.List, ast.Tuple, ast.Set, ast.Constant)


def share(cells: list[str]) -> float:
    """The share of a notebook's lines of code, blank ones and comments aside, that only hand numbers on.

    cells: the code cells, without the parameters. Such lines are calls of page.publish... as a statement, loops and
    branches that hold nothing else, and plain collections, page.about(...) or aliases named for such lines only.
    """
    tree = ast.parse("\n".join(cells))
    ids = {id(node) for node in ast.walk(tree) if isinstance(node, ast.stmt) and publishes(node)}
    while more := {id(node) for node in ast.walk(tree) if id(node) not in ids and only_holds(node, tree, ids)}:
        ids |= more
    everything = [node for node in ast.walk(tree) if isinstance(node, ast.stmt)]
    return len(lines([node for node in everything if id(node) in ids])) / len(lines(everything))


def publishes(node) -> bool:
    """Whether a statement is a call of page.publish..."""
    called = node.value.func if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) else None
    return isinstance(called, ast.Attribute) and called.attr.startswith("publish")


def only_holds(node, tree, ids: set) -> bool:
    """Whether a statement is a block of nothing but found ones, or a collection that only found ones read."""
    if isinstance(node, (ast.For, ast.If, ast.With)):
        return all(id(child) in ids for child in [*node.body, *getattr(node, "orelse", [])])
    if not isinstance(node, (ast.Assign, ast.AugAssign)):
        return False
    about = isinstance(node.value, ast.Call) and getattr(node.value.func, "attr", "") == "about"
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    names = {name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)}
    return (isinstance(node.value, COLLECTIONS) or about) and not names & read_elsewhere(tree, ids)


def read_elsewhere(tree, ids: set) -> set[str]:
    """The names that are read outside the found statements."""
    names, queue = set(), [tree]
    while queue:
        node = queue.pop()
        if id(node) not in ids:
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                names.add(node.id)
            queue += ast.iter_child_nodes(node)
    return names


def lines(statements: list) -> set[int]:
    """The numbers of the lines that hold these statements; of a block also those of what it holds."""
    numbers = set()
    for node in statements:
        for child in ast.walk(node):
            if hasattr(child, "lineno"):
                numbers |= {child.lineno, child.end_lineno}
        if not hasattr(node, "body"):
            numbers |= set(range(node.lineno, node.end_lineno + 1))
    return numbers
