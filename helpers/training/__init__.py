"""Training a classifier."""

from helpers.base import door

HOMES = {
    "classifier": "ClassifierConfig train_classifier",
    "loop": "fit History",
    "epoch": "evaluate run_epoch",
}
__getattr__, __all__ = door(__name__, HOMES)
