"""The kinds of trials by their frozen ids, and a record's own trial made again from its file.

A kind's id stands in every key and record, and never changes; where its function lies may. Only what stands in KINDS
is ever called for a record, whatever its file says.
"""

import importlib

from helpers.trials import records

KINDS = {  # id -> module, trial function, config class
    "classifier": ("helpers.training.classifier", "train_classifier", "ClassifierConfig"),
    "grid_search": ("helpers.studies.grid", "search_grid", "GridConfig"),
    "numpy": ("helpers.studies.numpy_trial", "train_numpy", "NumpyConfig"),
    "test_set": ("helpers.studies.test_set", "read_test_set", "ClassifierConfig"),
    "reference": ("helpers.studies.reference", "train_reference", "ReferenceConfig"),
    "regression": ("helpers.studies.regression", "train_regression", "RegressionConfig"),
}


def remade(record: dict):
    """(function, config) of a record; None where today's code has no such kind, config or data, or another key."""
    try:
        module, *names = KINDS[record["trial"]]
        function, config_class = (getattr(importlib.import_module(module), name) for name in names)
        config = restored(config_class, record["config"])
        return (function, config) if records.key(function, config) == record["key"] else None
    except Exception:  # whatever a config from a file brings about
        return None


def restored(config_class, fields: dict):
    """A config from its fields as JSON holds them: lists are tuples again. Raises what the class raises."""
    return config_class(**{name: _tuples(value) for name, value in fields.items()})


def _tuples(value):
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
