"""`make new-study NAME=mine`: a claims file and a notebook that runs as it is, for a report of your own."""

import re
from pathlib import Path

from helpers import base
from helpers.base import CourseworkError

CLAIMS = """# What the report NAME claims. The fields are explained at the head of claims.yaml.
assumptions:
  sizes: "the network's sizes are those of this study's notebook"

causes:
  one_run: "one run is printed; another seed moves an accuracy by several thousandths"

claims:
- id: NAME1.test_accuracy
  report: NAME
  kind: number
  statement: "test accuracy at learning rate 0.1"
  value: "0.86"
  evidence: study_NAME.rate_0_1.test_accuracy
  assumes: [sizes]
  causes: [one_run]
- id: S-NAME1
  report: NAME
  kind: order
  statement: "learning rate 0.1 is more accurate than 0.01"
  evidence: study_NAME.rate_0_1.test_accuracy > study_NAME.rate_0_01.test_accuracy
  assumes: [sizes]
"""

CELLS = {
    "title": "# Study NAME\n\nWhat does the report claim, and does it hold? Its claims stand in `claims_NAME.yaml`.",
    "parameters": """budget: str = "standard"  # smoke, standard or full
seed: int = 0
device: str = "auto"
data: str = "auto"  # auto, real or standin
seeds: int = 3  # how many seeds a row gets
epochs: int = 10  # those of the report""",
    "begin": """import helpers as mu

page = mu.begin("study_NAME", globals())
dataset = mu.obtain("fashion_mnist", page.parameters["data"])
page.data(dataset)""",
    "rows": "## The rows of the report\n\nOne configuration a row. At budgets below `full` they are shortened.",
    "train": """rows = {
    "rate_0_1": mu.ClassifierConfig(dataset=dataset.name, lr=0.1, epochs=page.epochs),
    "rate_0_01": mu.ClassifierConfig(dataset=dataset.name, lr=0.01, epochs=page.epochs),
}
seeds = list(range(page.seed, page.seed + page.seeds))
reduced = {"epochs": 2, "train_limit": 6000}
frame = mu.run_study(mu.train_classifier, rows, study="study_NAME", seeds=seeds, page=page, reduced=reduced)
for name, trials in frame.groupby("row"):
    page.publish_trials(name, trials)""",
    "result": 'page.say("Test accuracy at rate 0.1: {rate_0_1.test_accuracy}; at 0.01: {rate_0_01.test_accuracy}.")',
    "verdicts": "## What the judge says",
    "judge": """mine = [claim for claim in mu.claims.load_claims() if claim.report == "NAME"]
results = {"study_NAME": {"results": page.results, "data": [dataset.describe()]}}
mu.claims.check_answered(mine, results)
columns = ["claim", "statement", "printed", "measured", "n", "share", "verdict", "reason"]
page.table(mu.claims.judge_all(mine, results)[columns], "Claims of the report and their verdicts")""",
    "finish": "page.finish()",
}


def new_study(name: str) -> list[Path]:
    """Write notebooks/claims_NAME.yaml and notebooks/study_NAME.ipynb; returns their paths.

    Raises CourseworkError on a name that is taken or not one word of small letters, digits and _.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]\w*", name, re.ASCII) or name != name.lower():  # study_a_... is study A
        raise CourseworkError(f"NAME={name}: expected two small letters or digits, then also _, e.g. NAME=mine")
    cells = [_cell(role, source.replace("NAME", name)) for role, source in CELLS.items()]
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    about = {"coursework": {"data": ["fashion_mnist"]}, "kernelspec": kernel, "language_info": {"name": "python"}}
    notebook = {"cells": cells, "metadata": about, "nbformat": 4, "nbformat_minor": 5}
    files = {f"study_{name}.ipynb": base.to_json(notebook, indent=1) + "\n"}
    files[f"claims_{name}.yaml"] = CLAIMS.replace("NAME", name)
    for file in files:
        if (base.NOTEBOOKS / file).exists():
            raise CourseworkError(f"NAME={name}: notebooks/{file} exists already; choose another name")
    return [base.write_atomically(base.NOTEBOOKS / file, text) for file, text in files.items()]


def _cell(role: str, source: str) -> dict:
    """One notebook cell, named after its role; Markdown where it holds a heading."""
    shared = {"id": role, "metadata": {}, "source": source.splitlines(keepends=True)}
    if source.startswith("#"):
        return shared | {"cell_type": "markdown"}
    tags = {"tags": ["parameters"]} if role == "parameters" else {}
    return shared | {"cell_type": "code", "metadata": tags, "execution_count": None, "outputs": []}
