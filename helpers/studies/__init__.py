"""What only the reports need: the NumPy network, regression, the grid search, our own model."""

from helpers.base import door

HOMES = {
    "numpy_trial": "NumpyConfig stuck_from train_numpy",
    "prediction": "predict",
    "curves": "at_epoch cut_on_plateau derive mean_between",
}
__getattr__, __all__ = door(__name__, HOMES)
