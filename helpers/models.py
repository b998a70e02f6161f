"""The networks of the coursework and of the five reports, built from the same few parts.

B: batch, C: channels, P: patches of an image, K: side of a patch, D: features of a patch.
"""

import inspect

import torch
from torch import nn

from helpers.base import CourseworkError

ACTIVATIONS = {"relu": nn.ReLU, "gelu": nn.GELU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}
NORMS = ("none", "batch", "layer")
INITIALISERS = {
    "xavier_uniform": nn.init.xavier_uniform_,
    "xavier_normal": nn.init.xavier_normal_,
    "kaiming_uniform": lambda w: nn.init.kaiming_uniform_(w, nonlinearity="relu"),
    "kaiming_normal": lambda w: nn.init.kaiming_normal_(w, nonlinearity="relu"),
    "normal": lambda w: nn.init.normal_(w, std=0.01),  # the course's deviation
    "normal_1": lambda w: nn.init.normal_(w, std=1.0),  # torch's default deviation
}


def _one_of(what: str, value, valid) -> None:
    if value not in valid:
        raise CourseworkError(f"{what}={value!r} is unknown; choose one of {', '.join(map(str, valid))}")


def cut_patches(images: torch.Tensor, size: int) -> torch.Tensor:
    """Non-overlapping patches of (B, C, H, W) images, any dtype: (B, P, C*size*size), row by row.

    Equals nn.Unfold(size, stride=size) with its last two axes swapped, but works on uint8 too, so that a
    training cuts its patches once instead of once per batch. Raises CourseworkError when `size` does not divide
    height and width.
    """
    batch, channels, height, width = images.shape
    if size < 1 or height % size or width % size:
        raise CourseworkError(f"patch_size={size} does not divide a {height}x{width} image; choose a divisor of both")
    rows, columns = height // size, width // size
    tiles = images.reshape(batch, channels, rows, size, columns, size)
    return tiles.permute(0, 2, 4, 1, 3, 5).reshape(batch, rows * columns, channels * size * size)


def initialise(model: nn.Module, initialiser: str) -> nn.Module:
    """Draw the weights of all linear and convolutional layers anew; biases and "default" stay PyTorch's."""
    if initialiser != "default":
        _one_of("initialiser", initialiser, ("default", *INITIALISERS))
        for layer in model.modules():
            if isinstance(layer, (nn.Linear, nn.Conv2d)) and layer.weight.requires_grad:
                INITIALISERS[initialiser](layer.weight)
    return model


def two_layer_mlp(inputs: int, hidden: int, outputs: int, activation: str = "relu") -> nn.Sequential:
    """g(X W1) W2: the coursework's MLP; works on the last axis."""
    return nn.Sequential(nn.Linear(inputs, hidden), ACTIVATIONS[activation](), nn.Linear(hidden, outputs))


class Transpose(nn.Module):
    """(B, P, D) -> (B, D, P) and back."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.transpose(1, 2)


class FeatureBatchNorm(nn.BatchNorm1d):
    """Batch normalisation of every feature of (B, P, D) over batch and patches."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.flatten(0, 1)).view_as(x)


class PatchNetwork(nn.Module):
    """Cut patches, apply `body` to (B, P, C*K*K), average over axis 1, classify with a last linear layer.

    The mean stands before the last linear layer: the two commute (both are linear), and the layer then works on
    one row per image instead of one per patch. `mean_first=False` is the printed order. Takes images (B, C, H, W)
    or patches cut beforehand (B, P, C*K*K); returns logits (B, classes).
    """

    def __init__(self, patch_size: int, body: nn.Module, last: nn.Linear, *, mean_first: bool = True):
        super().__init__()
        self.patch_size, self.mean_first = patch_size, mean_first
        self.body, self.last = body, last

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.dim() == 4:
            x = cut_patches(x, self.patch_size)
        x = self.body(x)  # (B, P', D)
        return self.last(x.mean(1)) if self.mean_first else self.last(x).mean(1)


class Block(nn.Module):
    """One backbone block of the coursework on (B, P, D): O1 = g(X^T W1) W2, transpose, O2 = g(O1 W3) W4."""

    def __init__(self, patches, width, token_hidden, hidden, *, norm, residual, dropout, activation):
        super().__init__()
        norms = {"none": nn.Identity, "batch": FeatureBatchNorm, "layer": nn.LayerNorm}
        self.norm1 = norms[norm](width)
        self.norm2 = norms[norm](width)
        self.across_patches = two_layer_mlp(patches, token_hidden, patches, activation)
        self.across_features = two_layer_mlp(width, hidden, width, activation)
        self.dropout = nn.Dropout(dropout)
        self.residual = residual

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mixed = self.across_patches(self.norm1(x).transpose(1, 2)).transpose(1, 2)  # (B, P, D)
        x = x + self.dropout(mixed) if self.residual else self.dropout(mixed)
        mixed = self.across_features(self.norm2(x))
        return x + self.dropout(mixed) if self.residual else self.dropout(mixed)


def patch_mlp(
    *, input_shape=(1, 28, 28), classes=10, patch_size=7, width=128, blocks=1, token_hidden=256, hidden=256,
    norm="none", residual=False, dropout=0.0, activation="relu", mean_first=True,
) -> PatchNetwork:  # fmt: skip
    """The coursework's network: stem (one linear layer on each patch), `blocks` blocks, mean and classifier.

    Raises CourseworkError for an option that makes no such network.
    """
    _one_of("norm", norm, NORMS)
    _one_of("activation", activation, ACTIVATIONS)
    for name, value in {"width": width, "token_hidden": token_hidden, "hidden": hidden}.items():
        if value < 1:
            raise CourseworkError(f"{name}={value} must be at least 1 unit")
    if blocks < 1 or not 0 <= dropout < 1:
        raise CourseworkError(f"blocks={blocks} must be at least 1 and dropout={dropout} in [0, 1)")
    patches, inputs = cut_patches(torch.empty(1, *input_shape), patch_size).shape[1:]
    options = {"norm": norm, "residual": residual, "dropout": dropout, "activation": activation}
    backbone = [Block(patches, width, token_hidden, hidden, **options) for _ in range(blocks)]
    if norm == "layer":
        backbone.append(nn.LayerNorm(width))  # pre-norm blocks leave their sum unnormalised
    body = nn.Sequential(nn.Linear(inputs, width), *backbone)
    return PatchNetwork(patch_size, body, nn.Linear(width, classes), mean_first=mean_first)


def report_a(*, input_shape=(1, 28, 28), classes=10, dropout=0.0, mean_first=True) -> PatchNetwork:
    """Report A as printed: 14x14 patches, 196-784-200, transpose, 4-64-10, mean over 200 features.

    Its Dropout is built inside forward and never called: the default 0 is what ran, 0.1 what was meant.
    """
    patches, inputs = cut_patches(torch.empty(1, *input_shape), 14).shape[1:]
    first = two_layer_mlp(inputs, 784, 200)
    body = nn.Sequential(first, nn.Dropout(dropout), Transpose(), nn.Linear(patches, 64), nn.ReLU())
    return PatchNetwork(14, body, nn.Linear(64, classes), mean_first=mean_first)


def report_b(*, input_shape=(1, 28, 28), classes=10, dropout="block", norm="batch", mean_first=True) -> PatchNetwork:
    """Report B as its printed modules and layer table say: 4x4 patches, stem 16-256, two blocks, batch norms.

    Dropout (0.1 in block 1, 0.2 in block 2) is in the modules but not in the table. `dropout`: "block" (after each
    block's batch norm, the assumption), "hidden" (after each block's ReLUs), "none". `norm`: "batch" or "none".
    """
    _one_of("dropout", dropout, ("block", "hidden", "none"))
    _one_of("norm", norm, ("batch", "none"))
    normalise = nn.BatchNorm1d if norm == "batch" else nn.Identity
    patches, inputs = cut_patches(torch.empty(1, *input_shape), 4).shape[1:]

    def part(*widths, rate):
        first, second = nn.Linear(*widths[:2]), nn.Linear(*widths[1:])
        return nn.Sequential(first, nn.ReLU(), nn.Dropout(rate * (dropout == "hidden")), second)

    body = nn.Sequential(
        nn.Linear(inputs, 256),  # (B, 49, 256)
        normalise(patches),
        Transpose(),  # (B, 256, 49)
        part(patches, 512, 256, rate=0.1),  # (B, 256, 256)
        Transpose(),
        part(256, 128, 64, rate=0.1),  # (B, 256, 64)
        normalise(256),
        nn.Dropout(0.1 * (dropout == "block")),
        Transpose(),  # (B, 64, 256)
        part(256, 64, 128, rate=0.2),  # (B, 64, 128)
        Transpose(),  # (B, 128, 64)
        part(64, 32, 16, rate=0.2),  # (B, 128, 16)
        normalise(128),
        nn.Dropout(0.2 * (dropout == "block")),
    )
    return PatchNetwork(4, body, nn.Linear(16, classes), mean_first=mean_first)


def mlp(
    *, input_shape=(1, 28, 28), classes=10, widths=(256, 128, 64), dropout=0.0, log_softmax=False, activation="relu"
) -> nn.Sequential:
    """Fully connected network on flattened images: report D's net and report E's CIFAR-10 nets.

    dropout: one rate after every hidden layer, or one rate per hidden layer; log_softmax: end in it, as D does.
    """
    _one_of("activation", activation, ACTIVATIONS)
    rates = tuple(dropout) if isinstance(dropout, (tuple, list)) else (dropout,) * len(widths)
    if len(rates) != len(widths) or min(widths, default=0) < 1:
        raise CourseworkError(f"widths={widths} and dropout={dropout} need one positive width and rate per layer")
    inputs = torch.empty(input_shape).numel()
    layers: list[nn.Module] = [nn.Flatten()]
    for width, rate in zip(widths, rates):
        layers += [nn.Linear(inputs, width), ACTIVATIONS[activation]()] + ([nn.Dropout(rate)] if rate else [])
        inputs = width
    layers += [nn.Linear(inputs, classes)] + ([nn.LogSoftmax(1)] if log_softmax else [])
    return nn.Sequential(*layers)


def report_d_cnn(*, input_shape=(1, 28, 28), classes=10) -> nn.Sequential:
    """Report D's convolutional network as printed (padding 2 follows from its printed shapes)."""

    def layer(inputs, outputs, kernel, padding=0):
        return [
            nn.Conv2d(inputs, outputs, kernel, padding=padding),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
        ]

    features = nn.Sequential(
        *layer(input_shape[0], 16, 5, padding=2), nn.MaxPool2d(2),  # (B, 16, 14, 14)
        *layer(16, 32, 3), *layer(32, 64, 3), nn.MaxPool2d(2), nn.Flatten(),  # (B, 64, 10, 10) -> (B, 64*5*5)
    )  # fmt: skip
    with torch.no_grad():
        flat = features.eval()(torch.zeros(1, *input_shape)).shape[1]
    return features.train().append(nn.Linear(flat, classes))


class ScaledLinear(nn.Linear):
    """A bias-free classifier whose logits are divided by 9: steadier large steps in the first epochs."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__(inputs, outputs, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) / 9


def fast_cnn(*, input_shape=(3, 32, 32), classes=10, widths=(64, 256, 256)) -> nn.Sequential:
    """A small convolutional network after the recipe of airbench (K. Jordan, arXiv 2404.00498).

    A 2x2 first layer whose fixed filters whiten the training images (`whiten`), then groups of two 3x3
    convolutions, each with max pooling, batch norm and GELU. Takes (B, C, H, W), returns logits.
    """
    channels = input_shape[0]
    first = nn.Conv2d(channels, 2 * 4 * channels, 2, padding=0)
    first.weight.requires_grad = False
    layers, inputs = [first, nn.GELU()], first.out_channels
    for width in widths:
        for position, (i, o) in enumerate([(inputs, width), (width, width)]):
            conv = nn.Conv2d(i, o, 3, padding=1, bias=False)
            nn.init.dirac_(conv.weight[:i])  # starts as the identity where it can
            layers += [conv] + ([nn.MaxPool2d(2)] if position == 0 else [])
            layers += [nn.BatchNorm2d(o, momentum=0.4), nn.GELU()]
        inputs = width
    return nn.Sequential(*layers, nn.AdaptiveMaxPool2d(1), nn.Flatten(), ScaledLinear(inputs, classes))


@torch.no_grad()
def whiten(model: nn.Module, images: torch.Tensor, eps: float = 5e-4) -> None:
    """Set a fast_cnn's first layer to the whitening filters of `images` (N, C, H, W), float: +/- eigenvectors of the
    2x2 patches' covariance over the root of their eigenvalue. Other networks stay as they are."""
    first = model[0] if isinstance(model, nn.Sequential) else None
    if not isinstance(first, nn.Conv2d) or first.weight.requires_grad:
        return
    channels = images.shape[1]
    patches = images.unfold(2, 2, 1).unfold(3, 2, 1).permute(0, 2, 3, 1, 4, 5).reshape(-1, channels * 4)
    values, vectors = torch.linalg.eigh(torch.cov(patches.double().T))
    filters = (vectors / (values + eps).sqrt()).T.reshape(-1, channels, 2, 2).to(first.weight)
    first.weight.copy_(torch.cat([filters, -filters]))


MODELS = {
    "patch_mlp": patch_mlp, "report_a": report_a, "report_b": report_b, "mlp": mlp,
    "report_d_cnn": report_d_cnn, "fast_cnn": fast_cnn,
}  # fmt: skip


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
    _one_of("model", name, MODELS)
    options = dict(options or {})
    known = [key for key in inspect.signature(MODELS[name]).parameters if key not in ("input_shape", "classes")]
    for key in options:
        _one_of(f"an option of {name}", key, known)
    model = MODELS[name](input_shape=tuple(input_shape), classes=classes, **options)
    return initialise(model, initialiser)
