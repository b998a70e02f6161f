"""A network's trainable weights as one vector, and on a processor with bfloat16 a copy of it that computes.

The optimiser steps the float32 vector `flat`: one tensor, whatever the number of layers. In bfloat16 the matrices and
their biases are cast once a step, all together, into the weights of a second network, instead of one by one in every
forward and backward pass as autocast does. Normalisation layers compute with their float32 weights, and both networks
share the running means. The numbers are those of autocast; tests/training compares them.
"""

import copy

import torch
from torch import nn


class Weights:
    """The weights of one training: `network` computes, in the mode `precision` of run_epoch; `flat` learns.

    average: the share that the running mean of the weights keeps at each step; 0 for none. Outside an epoch, between
    two calls of `swap`, the network computes with the mean (running means of batch normalisation are not averaged).
    """

    def __init__(self, model: nn.Module, precision: str, average: float = 0.0):
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.flat = nn.Parameter(torch.cat([_line(p.detach()) for p in self.parameters]))
        self.flat.grad = torch.zeros_like(self.flat)
        self.average = average
        # In an epoch the running mean; outside of one, where `flat` holds the mean, the weights that learn.
        self.aside = self.flat.detach().clone() if average else None
        self.gradients = _views(self.flat.grad, self.parameters)
        for parameter, view in zip(self.parameters, _views(self.flat.detach(), self.parameters)):
            parameter.data = view
        self.network, self.precision, self.half, self.computing = model, precision, None, self.parameters
        if precision == "bfloat16" and self.flat.device.type == "cpu":
            self._compute_in_bfloat16(model)

    def _compute_in_bfloat16(self, model):
        self.half = self.flat.detach().bfloat16()
        normalising = (nn.modules.batchnorm._BatchNorm, nn.LayerNorm)
        kept = {id(p) for m in model.modules() if isinstance(m, normalising) for p in m.parameters()}
        views = zip(self.parameters, _views(self.half, self.parameters))
        self.computing = [p if id(p) in kept else nn.Parameter(view) for p, view in views]
        shared = {id(p): nn.Parameter(p.bfloat16(), False) for p in model.parameters() if not p.requires_grad}
        shared |= {id(p): other for p, other in zip(self.parameters, self.computing)}
        shared |= {id(buffer): buffer for buffer in model.buffers()}
        self.network, self.precision = InBfloat16(copy.deepcopy(model, shared)), "float32"

    def backward(self, loss: torch.Tensor) -> None:
        """Write the gradients of `loss`, float32, to `flat.grad`, which the parameters' own are views of."""
        for parameter in self.computing:
            parameter.grad = None  # else autograd adds to what is there
        loss.backward()
        torch._foreach_copy_(self.gradients, [parameter.grad for parameter in self.computing])
        for parameter, view in zip(self.parameters, self.gradients):
            parameter.grad = view

    def refresh(self) -> None:
        """Let `network` compute with what the optimiser has made of `flat`, and the mean follow."""
        if self.aside is not None:
            self.aside.lerp_(self.flat.detach(), 1 - self.average)
        self._compute_with_flat()

    def swap(self) -> None:
        """Exchange the weights that learn with their running mean, before an epoch and after it."""
        if self.aside is not None:
            flat = self.flat.detach()
            before = flat.clone()
            flat.copy_(self.aside)
            self.aside.copy_(before)
            self._compute_with_flat()

    def restore(self, aside: torch.Tensor | None) -> None:
        """Go on from weights loaded into the model, and from what was set aside when they were saved."""
        if self.aside is not None:
            self.aside.copy_(aside)
        self._compute_with_flat()

    def _compute_with_flat(self) -> None:
        if self.half is not None:
            self.half.copy_(self.flat.detach())

    def release(self) -> None:
        """Give every parameter memory of its own again: one that is saved then brings no other with it."""
        for parameter in self.parameters:
            parameter.data = parameter.data.clone()


class InBfloat16(nn.Module):
    """A network whose weights are bfloat16: its inputs have to be."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.network(x.bfloat16())


def _line(parameter: torch.Tensor) -> torch.Tensor:
    """The numbers of a dense tensor in the order in which they lie in memory."""
    return parameter.as_strided((parameter.numel(),), (1,))


def _views(flat: torch.Tensor, parameters) -> list[torch.Tensor]:
    """`flat` cut into tensors of the shapes and memory formats of `parameters`."""
    parts = flat.split([p.numel() for p in parameters])
    return [part.as_strided(p.shape, p.stride(), part.storage_offset()) for part, p in zip(parts, parameters)]
