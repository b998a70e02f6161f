"""A small convolutional network that trains fast, for reference beside the patch networks."""

import torch
from torch import nn

from helpers.networks.coursework import cut_patches


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
    left = tuple((side - 1) // 2 ** len(widths) for side in input_shape[1:])
    whole = nn.MaxPool2d(left)  # AdaptiveMaxPool2d(1) is the same, but its gradient does not repeat on CUDA
    return nn.Sequential(*layers, whole, nn.Flatten(), ScaledLinear(inputs, classes))


@torch.no_grad()
def whiten(model: nn.Module, inputs: torch.Tensor, eps: float = 5e-4) -> None:
    """Set the first layer of a fast_cnn, or of a patch network made with whitened=True, by what it will see.

    inputs: float images (N, C, H, W), or for a patch network patches (N, P, C*K*K). The filters are the eigenvectors of
    the patches' covariance over the root of their eigenvalue: of a fast_cnn's 2x2 patches with both signs and for good;
    of a stem with its mean taken off, the largest first, and free to learn. Other networks stay as they are.
    """
    first = model[0] if isinstance(model, nn.Sequential) else None
    if isinstance(first, nn.Conv2d) and not first.weight.requires_grad:
        patches = inputs.unfold(2, 2, 1).unfold(3, 2, 1).permute(0, 2, 3, 1, 4, 5)
        filters = _whitening(patches.reshape(-1, inputs.shape[1] * 4), eps).view(-1, inputs.shape[1], 2, 2)
        first.weight.copy_(torch.cat([filters, -filters]))
    elif getattr(model, "whitened", False):
        rows = (cut_patches(inputs, model.patch_size) if inputs.dim() == 4 else inputs).flatten(0, 1)
        stem = model.body[0]
        filters = _whitening(rows, eps).flip(0)[: stem.out_features].to(stem.weight)
        stem.weight[: len(filters)] = filters
        stem.bias[: len(filters)] = -filters @ rows.mean(0)


def _whitening(rows: torch.Tensor, eps: float) -> torch.Tensor:
    """Filters (F, F), one a line, that make the features of rows (N, F) uncorrelated with variance 1."""
    values, vectors = torch.linalg.eigh(torch.cov(rows.double().T))
    return (vectors / (values + eps).sqrt()).T
