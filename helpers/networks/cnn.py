"""A small convolutional network that trains fast, for reference beside the patch networks."""

import torch
from torch import nn


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
