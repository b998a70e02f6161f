"""Data sets: where they come from, and how a training reads them."""

from helpers.base import door

HOMES = {
    "dataset": "augment AUGMENTATIONS Batches Dataset fingerprint ImageDataset load Resident resident_parts "
    "split to_tensor",
    "sources": "obtain",
}
__getattr__, __all__ = door(__name__, HOMES)
