"""Linear, ReLU, linear in one step: values and gradients against the three layers and finite differences."""

import pytest
import torch
from torch import nn

from helpers import networks
from helpers.networks import fast


def layers(inputs=12, hidden=20, outputs=7, dtype=torch.float32):
    torch.manual_seed(2)
    return nn.Linear(inputs, hidden, dtype=dtype), nn.Linear(hidden, outputs, dtype=dtype)


def inputs(kind: str, dtype=torch.float32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    shape = {"rows": (30, 12), "patches": (5, 6, 12), "transposed": (5, 12, 6)}[kind]
    x = torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)
    return (x.transpose(1, 2) if kind == "transposed" else x).requires_grad_()


def plain(x, first, second, pool=False):
    hidden = torch.relu(first(x))
    return second(hidden.mean(1) if pool else hidden)


CASES = [("rows", False), ("patches", False), ("transposed", False), ("patches", True), ("transposed", True)]


@pytest.mark.parametrize("kind, pool", CASES)
@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-5), (torch.float64, 1e-12), (torch.bfloat16, 0.03)])
def test_values_and_gradients_are_those_of_the_layers(kind, pool, dtype, tolerance):
    results = []
    for function in (fast.two_layers, plain):
        x, (first, second) = inputs(kind, dtype), layers(dtype=dtype)
        y = function(x, first, second, pool=pool)
        y.square().sum().backward()
        results.append([y, x.grad, *(p.grad for layer in (first, second) for p in layer.parameters())])
    for one, other in zip(*results, strict=True):
        assert one.shape == other.shape and one.dtype == dtype
        assert (one - other).abs().max() <= tolerance * other.abs().max()


@pytest.mark.parametrize("pool", [False, True])
def test_gradients_are_those_of_finite_differences(pool):
    first, second = layers(dtype=torch.float64)
    operands = inputs("transposed", torch.float64), first.weight, first.bias, second.weight, second.bias
    assert torch.autograd.gradcheck(lambda *all: fast._TwoLayers.apply(*all, pool), operands)


def test_autocast_asks_for_its_type():
    x, (first, second) = inputs("patches"), layers()
    with torch.autocast("cpu", torch.bfloat16):
        one, other = fast.two_layers(x, first, second), plain(x, first, second)
    assert one.dtype == other.dtype == torch.bfloat16
    assert (one - other).abs().max() <= 0.03 * other.abs().max()
    one.float().sum().backward()
    assert first.weight.grad.dtype == torch.float32


def test_autocast_ends_where_its_type_is_set(monkeypatch):
    linear_relu, seen = fast.linear_relu, []

    def watched(*operands):
        seen.append(torch.is_autocast_enabled("cpu"))
        return linear_relu(*operands)

    monkeypatch.setattr(fast, "linear_relu", watched)
    with torch.autocast("cpu", torch.bfloat16):
        fast.two_layers(inputs("patches"), *layers(), pool=True)
        assert torch.is_autocast_enabled("cpu")
    assert seen == [False]


def test_layers_that_differ_run_one_by_one():
    x = torch.rand(3, 4, 12)
    for made in (networks.two_layer_mlp(12, 20, 7, "tanh"), networks.two_layer_mlp(12, 20, 7)):
        assert torch.allclose(made(x), made[2](made[1](made[0](x))), atol=1e-6)
    seen = []
    made[0].register_forward_hook(lambda *about: seen.append(about))
    made(x)
    assert len(seen) == 1  # a hook sees its layer


def test_dropout_between_the_layers_drops():
    net = networks.build("report_b", {"dropout": "hidden"})
    part = net.body[3]
    x = torch.rand(64, 49)
    assert not torch.equal(part(x), part(x))
    assert torch.equal(part.eval()(x), part(x))
