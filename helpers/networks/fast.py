"""Linear, ReLU, linear as one step of autograd: the same numbers as the three layers, less memory moved.

The plain layers write the hidden units twice (before and after the ReLU) and their gradient twice. Here bias and ReLU
belong to the first product where oneDNN offers that, the ReLU's backward overwrites its input, and rows that are not
contiguous (a transposed patch axis) are copied once. tests/networks compares values and gradients.
"""

import contextlib

import torch
from torch import nn
from torch.nn.functional import linear

_one_by_one = False


@contextlib.contextmanager
def one_by_one():
    """Run every layer by itself in the block, to compare with."""
    global _one_by_one
    before, _one_by_one = _one_by_one, True
    try:
        yield
    finally:
        _one_by_one = before


def applies(activation: nn.Module, *layers: nn.Module) -> bool:
    """Whether these layers may run as one: the activation is a ReLU, and nobody watches one of them by a hook."""
    if _one_by_one:
        return False
    return isinstance(activation, nn.ReLU) and not any(layer._forward_hooks for layer in (activation, *layers))


def two_layers(x: torch.Tensor, first: nn.Linear, second: nn.Linear, *, pool: bool = False) -> torch.Tensor:
    """second(relu(first(x))) on the last axis of `x` (..., inputs), in the type that autocast asks for.

    pool: average the hidden units of `x` (B, P, inputs) over axis 1, before the second layer; returns (B, outputs).
    """
    operands = x, first.weight, first.bias, second.weight, second.bias
    device = x.device.type
    if torch.is_autocast_enabled(device):
        operands = [operand.to(torch.get_autocast_dtype(device)) for operand in operands]
    with torch.autocast(device, enabled=False):  # on CUDA it would return the mean over axis 1 in float32
        return _TwoLayers.apply(*operands, pool)


def linear_relu(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """relu(x weight' + bias) of rows `x` (N, inputs), without a graph."""
    if _fuses(x):
        return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "relu", [], "")
    return linear(x, weight, bias).relu_()


def _fuses(x: torch.Tensor) -> bool:
    return x.device.type == "cpu" and x.dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported()


class _TwoLayers(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight1, bias1, weight2, bias2, pool):
        rows = x.reshape(-1, x.shape[-1])
        hidden = linear_relu(rows, weight1, bias1)
        pooled = hidden.view(*x.shape[:-1], -1).sum(1) / x.shape[1] if pool else hidden
        ctx.save_for_backward(x, rows, hidden, pooled, weight1, weight2)
        ctx.pool = pool
        return linear(pooled, weight2, bias2).view(*x.shape[: 1 if pool else -1], -1)

    @staticmethod
    def backward(ctx, gradient):
        x, rows, hidden, pooled, weight1, weight2 = ctx.saved_tensors
        gradient = gradient.reshape(-1, gradient.shape[-1])
        inner = gradient @ weight2
        if ctx.pool:
            inner = (inner / x.shape[1]).unsqueeze(1).expand(*x.shape[:-1], -1).reshape(hidden.shape)
        torch.ops.aten.threshold_backward.grad_input(inner, hidden, 0, grad_input=inner)
        outer = None
        if ctx.needs_input_grad[0]:  # in the layout of x, which the layer before can use as it is
            outer = (inner @ weight1).view(x.shape)
            outer = outer if x.is_contiguous() else torch.empty_like(x).copy_(outer)
        return outer, inner.t() @ rows, inner.sum(0), gradient.t() @ pooled, gradient.sum(0), None
