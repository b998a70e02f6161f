"""The networks of reports A, B and D as they are printed. B: batch; the shapes are those of one image."""

import torch
from torch import nn

from helpers.base import check_choice
from helpers.networks.coursework import PatchNetwork, Transpose, TwoLayers, cut_patches, two_layer_mlp


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
    check_choice("dropout", dropout, ("block", "hidden", "none"))
    check_choice("norm", norm, ("batch", "none"))
    normalise = nn.BatchNorm1d if norm == "batch" else nn.Identity
    patches, inputs = cut_patches(torch.empty(1, *input_shape), 4).shape[1:]

    def part(*widths, rate):
        first, second = nn.Linear(*widths[:2]), nn.Linear(*widths[1:])
        return TwoLayers(first, nn.ReLU(), nn.Dropout(rate * (dropout == "hidden")), second)

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
