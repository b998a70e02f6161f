"""`make new-study NAME=mine`: a claims file and a notebook that runs as it is, for a report of your own."""

import re
from pathlib import Path

from helpers import base
from helpers.base import CourseworkError

TEMPLATES = Path(__file__).parent / "template"  # in them NAME stands for the study's name


def new_study(name: str) -> list[Path]:
    """Write notebooks/claims_NAME.yaml and notebooks/study_NAME.ipynb; returns their paths.

    Raises CourseworkError on a name that is taken or not one word of small letters, digits and _.
    """
    if not re.fullmatch(r"[a-z][a-z0-9][a-z0-9_]*", name):  # study_a_... is study A
        raise CourseworkError(
            f"NAME={name}: expected small letters, digits or _, the first a letter, the second no _, e.g. NAME=mine"
        )
    files = {f"claims_{name}.yaml": "claims.yaml", f"study_{name}.ipynb": "study.ipynb"}
    for file in files:
        if (base.NOTEBOOKS / file).exists():
            raise CourseworkError(f"NAME={name}: notebooks/{file} exists already; choose another name")
    texts = {file: (TEMPLATES / template).read_text(encoding="utf-8") for file, template in files.items()}
    return [base.write_atomically(base.NOTEBOOKS / file, text.replace("NAME", name)) for file, text in texts.items()]
