"""Notebooks of a few cells for the tests of the build, and the commands that build them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

CHECKOUT = Path(__file__).resolve().parent.parent
PARAMETERS = """budget: str = "standard"  # smoke, standard or full
seed: int = 0
data: str = "auto"
epochs: int = None
lr: float = 0.1"""
KERNEL = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
FINISH = "page.finish()"


def write_notebook(home: Path, name: str, *code: str, prose: str = "Prose.", **about) -> Path:
    """notebooks/<name>.ipynb below `home`: title, parameters, begin, then `code`. No data set is needed."""
    begin = f'import helpers as mu\n\npage = mu.begin("{name}", globals())'
    cells = [
        new_markdown_cell(f"# The notebook {name}\n\n{prose}", id="title"),
        new_code_cell(PARAMETERS, id="parameters", metadata={"tags": ["parameters"]}),
        *(new_code_cell(c, id=f"cell-{n}") for n, c in enumerate([begin, *code])),
    ]
    nb = new_notebook(cells=cells, metadata={"kernelspec": KERNEL, "coursework": {"data": [], **about}})
    path = home / "notebooks" / f"{name}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(nb, path)
    budgets = [f"{budget}: {{all: {{epochs: {n}}}}}" for budget, n in (("smoke", 1), ("standard", 3), ("full", 9))]
    (path.parent / "budgets.yaml").write_text("\n".join(budgets) + "\n")
    return path


def environment(home: Path, **more: str) -> dict[str, str]:
    """The variables of a clean shell, with `home` in the place of the checkout."""
    ours = ("COURSEWORK", "MAKE", "MFLAGS", "BUDGET", "DATA", "DEVICE", "PRECISION", "JOBS", "ENGINE")
    ours += ("SEED", "FRESH", "ONLY", "SET", "AUTHOR", "CONDA", "PYTEST")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return clean | {"COURSEWORK_HOME": str(home), "COURSEWORK_OFFLINE": "1"} | more


def report(home: Path, *words: str, limit: float = 120, **more: str) -> subprocess.CompletedProcess:
    """`python -m helpers.report` with these words, to its end."""
    command = [sys.executable, "-m", "helpers.report", *words]
    settings = {"capture_output": True, "text": True, "timeout": limit, "cwd": CHECKOUT}
    return subprocess.run(command, env=environment(home, **more), check=False, **settings)


def state(home: Path, name: str) -> dict:
    """The JSON that a build of the smoke budget left."""
    return json.loads((home / "reports" / "smoke" / f"{name}.json").read_text())
