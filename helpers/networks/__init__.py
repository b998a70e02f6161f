"""The networks of the coursework and of the reports, by name."""

from helpers.base import door

HOMES = {
    "registry": "build initialise INITIALISERS MODELS",
    "coursework": "ACTIVATIONS Block cut_patches FeatureBatchNorm mlp NORMS patch_mlp PatchNetwork Transpose "
    "two_layer_mlp",
    "printed": "report_a report_b report_d_cnn",
    "cnn": "fast_cnn ScaledLinear whiten",
}
__getattr__, __all__ = door(__name__, HOMES)
