"""The coursework's helpers: `import helpers as mu`.

Names load on first use, so that checking a page or a parameter never waits for torch. The table says which
module a name lives in; `mu.trials`, `mu.data` ... are the modules themselves.
"""

import importlib
import importlib.util

_HOMES = {
    "analysis": "at_epoch derive mean_between",
    "base": "CourseworkError",
    "device": "cpu gpu num_gpus seed_everything try_all_gpus try_gpu",
    "models": "build cut_patches",
    "data": "load split",
    "page": "begin",
    "sources": "obtain",
    "training": "ClassifierConfig fit train_classifier",
    "trials": "recall run run_study spot_check",
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names.split()}

__all__ = [*_HOME_OF]


def __getattr__(name: str):
    if name in _HOME_OF:
        value = getattr(importlib.import_module(f"helpers.{_HOME_OF[name]}"), name)
    elif not name.startswith("_") and importlib.util.find_spec(f"helpers.{name}"):
        value = importlib.import_module(f"helpers.{name}")
    else:
        raise AttributeError(f"module 'helpers' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
