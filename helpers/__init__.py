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
    "notebook": "begin",
    "page": "panel",
    "training": "ClassifierConfig fit train_classifier",
    "trials": "recall run run_study spot_check",
    "studies": "at_epoch cut_on_plateau derive mean_between grid numpy_net ours predict reference regression search "
    "test_set",
    "claims": "ledger",
    # The names of the course's my_utils, last: they would win over ours.
    "course": " ".join(course.__all__),
}
_load, NAMES = door(__name__, HOMES)
# A star import brings what the course's my_utils brought. Two names stay out: `abs`, which Python has and which takes
# tensors too, and `data`, which is a room here: write `from torch.utils import data` for the course's.
__all__ = sorted({*course.__all__, *HOMES["device"].split()} - {"abs", "seed_everything"})


def __getattr__(name: str):
    return getattr(course, name) if name in course.INSTEAD else _load(name)  # the former raises, and says what to use


def __dir__() -> list[str]:
    return sorted({*globals(), *NAMES})
