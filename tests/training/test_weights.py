"""Weights as one vector: the updates of plain autocast and of plain parameters, in memory that goes back."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from helpers import networks
from helpers.training import optimisers
from helpers.training.classifier import ClassifierConfig
from helpers.training.weights import Weights

NETS = {"report_a": {}, "report_b": {"dropout": "none"}, "patch_mlp": {"norm": "layer", "residual": True},
        "report_d_cnn": {}, "fast_cnn": {"widths": (8, 8)}, "mlp": {"log_softmax": True}}  # fmt: skip
CONFIG = ClassifierConfig(lr=0.01)


def network(name) -> nn.Module:
    torch.manual_seed(4)
    return networks.build(name, NETS[name], classes=4).to(memory_format=torch.channels_last)


def batches(count=4):
    generator = torch.Generator().manual_seed(1)
    for _ in range(count):
        yield torch.rand(5, 1, 28, 28, generator=generator), torch.randint(4, (5,), generator=generator)


def loss_of(net, images, labels):
    return nn.functional.cross_entropy(net(images).float(), labels)


def by_autocast(model, config, precision) -> list[float]:
    """The losses of the plain loop, whose weights autocast casts wherever they are used."""
    updaters, losses = optimisers.make_optimisers(model, config), []
    for images, labels in batches():
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            logits = model(images)
        loss = nn.functional.cross_entropy(logits.float(), labels)
        for updater in updaters:
            updater.zero_grad()
        loss.backward()
        for updater in updaters:
            updater.step()
        losses.append(loss.item())
    return losses


def by_weights(model, config, precision) -> list[float]:
    weights, losses = Weights(model, precision), []
    updaters = optimisers.make_optimisers(model, config, weights.flat)
    for images, labels in batches():
        loss = loss_of(weights.network, images, labels)
        weights.backward(loss)
        for updater in updaters:
            updater.step()
        weights.refresh()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("name", NETS)
def test_the_updates_are_those_of_the_plain_loop(name):
    for precision, tolerance in {"float32": 1e-5, "bfloat16": 0.02}.items():
        plain, ours = network(name), network(name)
        expected = by_autocast(plain, CONFIG, precision)
        losses = by_weights(ours, CONFIG, precision)
        assert losses == pytest.approx(expected, rel=tolerance)
        assert expected[0] != expected[-1]
        for one, other in zip(ours.parameters(), plain.parameters(), strict=True):
            assert one.dtype == torch.float32 and one.stride() == other.stride()
        moved = torch.cat([(a - b).detach().flatten() for a, b in zip(ours.parameters(), network(name).parameters())])
        apart = torch.cat([(a - b).detach().flatten() for a, b in zip(ours.parameters(), plain.parameters())])
        assert apart.norm() <= (1e-3 if precision == "float32" else 0.1) * moved.norm()


def test_running_means_and_modes_are_shared_and_norms_stay_float32():
    model = network("report_b")
    weights = Weights(model, "bfloat16")
    norms = [m for m in weights.network.modules() if isinstance(m, nn.BatchNorm1d)]
    assert norms and all(m.weight.dtype == torch.float32 for m in norms)
    before = model.body[1].running_mean.clone()
    weights.network(next(batches())[0])
    assert not torch.equal(model.body[1].running_mean, before)


def test_muon_steps_matrices_of_the_same_memory():
    config = replace(CONFIG, optimiser="muon")
    losses = by_weights(network("report_a"), config, "bfloat16")
    assert losses == pytest.approx(by_autocast(network("report_a"), config, "bfloat16"), rel=0.02)
    assert losses[-1] != losses[0]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_running_mean_is_that_of_a_loop_and_is_computed_with_after_a_swap(precision):
    model, images = network("patch_mlp"), next(batches())[0]
    weights = Weights(model, precision, average=0.9)
    updaters = optimisers.make_optimisers(model, CONFIG, weights.flat)
    mean = weights.flat.detach().clone()
    for _, labels in batches():
        weights.backward(loss_of(weights.network, images, labels))
        updaters[0].step()
        weights.refresh()
        mean = 0.9 * mean + 0.1 * weights.flat.detach()
    learning, seen = weights.flat.detach().clone(), weights.network(images)
    weights.swap()
    torch.testing.assert_close(weights.flat.detach(), mean)
    assert not torch.equal(weights.network(images), seen)
    weights.swap()
    assert torch.equal(weights.flat.detach(), learning) and torch.equal(weights.network(images), seen)


def test_parameters_have_memory_of_their_own_again():
    model = network("report_a")
    kept = [p.detach().clone() for p in model.parameters()]
    weights = Weights(model, "float32")
    first = next(model.parameters())
    assert first.untyped_storage().nbytes() == weights.flat.untyped_storage().nbytes()
    weights.release()
    assert all(p.untyped_storage().nbytes() == 4 * p.numel() for p in model.parameters())
    assert all(torch.equal(a, b) for a, b in zip(kept, model.parameters()))
