"""Every network by name, with its first weights: to add one, write a function and enter it in MODELS."""

import inspect

from torch import nn

from helpers.base import check_choice
from helpers.networks.cnn import fast_cnn
from helpers.networks.coursework import mlp, patch_mlp
from helpers.networks.printed import report_a, report_b, report_d_cnn

MODELS = {
    "patch_mlp": patch_mlp, "report_a": report_a, "report_b": report_b, "mlp": mlp,
    "report_d_cnn": report_d_cnn, "fast_cnn": fast_cnn,
}  # fmt: skip

INITIALISERS = {
    "xavier_uniform": nn.init.xavier_uniform_,
    "xavier_normal": nn.init.xavier_normal_,
    "kaiming_uniform": lambda w: nn.init.kaiming_uniform_(w, nonlinearity="relu"),
    "kaiming_normal": lambda w: nn.init.kaiming_normal_(w, nonlinearity="relu"),
    "normal": lambda w: nn.init.normal_(w, std=0.01),  # the course's deviation
    "normal_1": lambda w: nn.init.normal_(w, std=1.0),  # torch's default deviation
}


def initialise(model: nn.Module, initialiser: str) -> nn.Module:
    """Draw the weights of all linear and convolutional layers anew; biases and "default" stay PyTorch's."""
    if initialiser != "default":
        check_choice("initialiser", initialiser, ("default", *INITIALISERS))
        for layer in model.modules():
            if isinstance(layer, (nn.Linear, nn.Conv2d)) and layer.weight.requires_grad:
                INITIALISERS[initialiser](layer.weight)
    return model


def build(
    name: str,
    options: dict | None = None,
    *,
    input_shape=(1, 28, 28),
    classes=10,
    initialiser="default",
) -> nn.Module:
    """The network `name` for images of `input_shape` (C, H, W); weights follow PyTorch's global seed.

    Raises CourseworkError for an unknown name, option or initialiser, and for options that do not fit.
    """
    check_choice("model", name, MODELS)
    options = dict(options or {})
    names = [key for key in inspect.signature(MODELS[name]).parameters if key not in ("input_shape", "classes")]
    for key in options:
        check_choice(f"an option of {name}", key, names)
    model = MODELS[name](input_shape=tuple(input_shape), classes=classes, **options)
    return initialise(model, initialiser)
