"""The coursework's helpers: `import helpers as mu`.

Names load on first use, so that checking a page or a parameter never waits for torch. README.md beside this file is
the map; the table says which room hands a name on, and `mu.trials`, `mu.data` ... are the rooms themselves.
"""

from helpers import course
from helpers.base import door

HOMES = {
    "base": "CourseworkError",
    "device": "cpu gpu num_gpus seed_everything try_all_gpus try_gpu",
    "networks": "build cut_patches",
    "data": "load obtain split",
    "page": "begin",
    "training": "ClassifierConfig fit train_classifier",
    "trials": "recall run run_study spot_check",
    "studies": "at_epoch cut_on_plateau derive mean_between grid numpy_net ours regression",
    "claims": "ledger",
    # The names of the course's my_utils, last: they would win over ours.
    "course": " ".join(course.__all__),
}
# Modules by the names that notebooks written before the rooms use.
ALIASES = {
    "analysis": "studies.curves",
    "engine": "trials.engine",
    "models": "networks",
    "records": "trials.records",
    "sources": "data.sources",
    "verdicts": "claims.judge",
}
__getattr__, __all__ = door(__name__, HOMES, ALIASES)
__all__ = [name for name in __all__ if name != "abs"]  # a star import leaves the built-in function alone


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
