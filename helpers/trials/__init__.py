"""Trainings as trials: each trained once, kept as a record, shown again from it."""

from helpers.base import door

HOMES = {
    "study": "recall run run_study spot_check used",
}
__getattr__, __all__ = door(__name__, HOMES)
