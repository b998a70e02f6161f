"""The coursework's network, and the parts that it shares with the reports' printed ones.

B: batch, C: channels, P: patches of an image, K: side of a patch, D: features of a patch.
"""

import torch
from torch import nn

from helpers.base import CourseworkError, check_choice
from helpers.networks import fast

ACTIVATIONS = {"relu": nn.ReLU, "gelu": nn.GELU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}


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


class TwoLayers(nn.Sequential):
    """Linear, activation, (dropout,) linear; where the activation is a ReLU and nothing is dropped, in one step."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first, activation, *dropout, second = self
        drops = any(layer.p and layer.training for layer in dropout)
        fits = fast.applies(activation, first, second) and not drops
        return fast.two_layers(x, first, second) if fits else super().forward(x)


def two_layer_mlp(inputs: int, hidden: int, outputs: int, activation: str = "relu") -> TwoLayers:
    """g(X W1) W2: the coursework's MLP; works on the last axis."""
    return TwoLayers(nn.Linear(inputs, hidden), ACTIVATIONS[activation](), nn.Linear(hidden, outputs))


class Transpose(nn.Module):
    """(B, P, D) -> (B, D, P) and back."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.transpose(1, 2)


class FeatureBatchNorm(nn.BatchNorm1d):
    """Batch normalisation of every feature of (B, P, D) over batch and patches."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.flatten(0, 1)).view_as(x)


NORMS = {"none": nn.Identity, "batch": FeatureBatchNorm, "layer": nn.LayerNorm}


class PatchNetwork(nn.Module):
    """Cut patches, apply `body` to (B, P, C*K*K), average over axis 1, classify with a last linear layer.

    The mean stands before the last linear layer: the two commute (both are linear), and the layer then works on
    one row per image instead of one per patch. `mean_first=False` is the printed order. Takes images (B, C, H, W)
    or patches cut beforehand (B, P, C*K*K); returns logits (B, classes). `whitened`: see networks.whiten.
    """

    def __init__(self, patch_size: int, body: nn.Module, last: nn.Linear, *, mean_first=True, whitened=False):
        super().__init__()
        self.patch_size, self.mean_first, self.whitened = patch_size, mean_first, whitened
        self.body, self.last = body, last

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.dim() == 4:
            x = cut_patches(x, self.patch_size)
        *layers, linear, activation = self.body
        if self.mean_first and fast.applies(activation, linear, self.last):  # so does report A's body end
            for layer in layers:
                x = layer(x)
            return fast.two_layers(x, linear, self.last, pool=True)
        x = self.body(x)  # (B, P', D)
        return self.last(_mean(x)) if self.mean_first else _mean(self.last(x))


def _mean(x: torch.Tensor) -> torch.Tensor:
    """The mean over axis 1; a sum in bfloat16 does not cast its whole input first, as x.mean(1) does."""
    return x.sum(1) / x.shape[1]


class DropPath(nn.Module):
    """Sets the input (B, ...) to 0 for a random share `rate` of the batch (stochastic depth, arXiv 1603.09382)."""

    def __init__(self, rate: float):
        super().__init__()
        self.rate = rate

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not (self.training and self.rate):
            return x
        kept = torch.rand(len(x), *[1] * (x.dim() - 1), device=x.device) >= self.rate
        return x * kept / (1 - self.rate)


class Block(nn.Module):
    """One backbone block of the coursework on (B, P, D): O1 = g(X^T W1) W2, transpose, O2 = g(O1 W3) W4."""

    def __init__(self, patches, width, token_hidden, hidden, *, norm, residual, dropout, activation, drop_path=0.0):
        super().__init__()
        self.norm1 = NORMS[norm](width)
        self.norm2 = NORMS[norm](width)
        self.across_patches = two_layer_mlp(patches, token_hidden, patches, activation)
        self.across_features = two_layer_mlp(width, hidden, width, activation)
        self.dropout = nn.Sequential(nn.Dropout(dropout), DropPath(drop_path)) if drop_path else nn.Dropout(dropout)
        self.residual = residual

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mixed = self.across_patches(self.norm1(x).transpose(1, 2)).transpose(1, 2)  # (B, P, D)
        x = x + self.dropout(mixed) if self.residual else self.dropout(mixed)
        mixed = self.across_features(self.norm2(x))
        return x + self.dropout(mixed) if self.residual else self.dropout(mixed)


def patch_mlp(
    *, input_shape=(1, 28, 28), classes=10, patch_size=7, width=128, blocks=1, token_hidden=256, hidden=256,
    norm="none", residual=False, dropout=0.0, drop_path=0.0, whitened=False, activation="relu", mean_first=True,
) -> PatchNetwork:  # fmt: skip
    """The coursework's network: stem (one linear layer on each patch), `blocks` blocks, mean and classifier.

    whitened: `networks.whiten` sets the stem's first weights. drop_path: rate at which a residual branch is left out,
    image by image. Raises CourseworkError for an option that makes no such network.
    """
    check_choice("norm", norm, NORMS)
    check_choice("activation", activation, ACTIVATIONS)
    for name, value in {"width": width, "token_hidden": token_hidden, "hidden": hidden}.items():
        if value < 1:
            raise CourseworkError(f"{name}={value} must be at least 1 unit")
    if blocks < 1:
        raise CourseworkError(f"blocks={blocks} must be at least 1")
    for name, rate in {"dropout": dropout, "drop_path": drop_path}.items():
        if not 0 <= rate < 1:
            raise CourseworkError(f"{name}={rate} must lie in [0, 1)")
    if drop_path and not residual:
        raise CourseworkError("drop_path leaves out residual branches: set residual=True")
    patches, inputs = cut_patches(torch.empty(1, *input_shape), patch_size).shape[1:]
    options = {"norm": norm, "residual": residual, "dropout": dropout, "activation": activation, "drop_path": drop_path}
    backbone = [Block(patches, width, token_hidden, hidden, **options) for _ in range(blocks)]
    if norm == "layer":
        backbone.append(nn.LayerNorm(width))  # pre-norm blocks leave their sum unnormalised
    body = nn.Sequential(nn.Linear(inputs, width), *backbone)
    return PatchNetwork(patch_size, body, nn.Linear(width, classes), mean_first=mean_first, whitened=whitened)


def mlp(
    *, input_shape=(1, 28, 28), classes=10, widths=(256, 128, 64), dropout=0.0, log_softmax=False, activation="relu",
    outputs=None,
) -> nn.Sequential:  # fmt: skip
    """Fully connected network on flattened images: report D's net and report E's CIFAR-10 nets.

    dropout: one rate after every hidden layer, or one rate per hidden layer; log_softmax: end in it, as D does;
    outputs: logits, where not one a class (report E's third network ends in 128).
    """
    check_choice("activation", activation, ACTIVATIONS)
    rates = tuple(dropout) if isinstance(dropout, (tuple, list)) else (dropout,) * len(widths)
    if len(rates) != len(widths) or min(widths, default=0) < 1:
        raise CourseworkError(f"widths={widths} and dropout={dropout} need one positive width and rate per layer")
    inputs = torch.empty(input_shape).numel()
    layers: list[nn.Module] = [nn.Flatten()]
    for width, rate in zip(widths, rates):
        layers += [nn.Linear(inputs, width), ACTIVATIONS[activation]()] + ([nn.Dropout(rate)] if rate else [])
        inputs = width
    layers += [nn.Linear(inputs, outputs or classes)] + ([nn.LogSoftmax(1)] if log_softmax else [])
    return nn.Sequential(*layers)
