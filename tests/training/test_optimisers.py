"""Optimisers and schedulers by name, against their textbook formulas and against PyTorch's own."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from helpers import networks
from helpers.base import CourseworkError
from helpers.training import optimisers
from helpers.training.classifier import ClassifierConfig

PLAIN = {
    "sgd": torch.optim.SGD, "asgd": torch.optim.ASGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW,
    "radam": torch.optim.RAdam, "rmsprop": torch.optim.RMSprop, "adagrad": torch.optim.Adagrad,
}  # fmt: skip


def network() -> nn.Sequential:
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))


def descend(model, chosen, steps=4):
    """A few steps on one batch; the weights after it."""
    inputs, labels = torch.linspace(-1, 1, 35).view(7, 5), torch.arange(7) % 3
    for _ in range(steps):
        model.zero_grad()
        nn.functional.cross_entropy(model(inputs), labels).backward()
        for optimiser in chosen:
            optimiser.step()
    return [parameter.detach().clone() for parameter in model.parameters()]


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_steps_are_those_of_pytorch(name, weight_decay):
    config = ClassifierConfig(optimiser=name, lr=0.05, weight_decay=weight_decay)
    ours, theirs = network(), network()
    before = [parameter.detach().clone() for parameter in ours.parameters()]
    after = descend(ours, optimisers.make_optimisers(ours, config))
    plain = PLAIN[name](theirs.parameters(), lr=0.05, weight_decay=weight_decay)
    for weights, expected, start in zip(after, descend(theirs, [plain]), before):
        torch.testing.assert_close(weights, expected, atol=1e-6, rtol=1e-5)
        assert not torch.equal(weights, start)


@pytest.mark.parametrize("name", ["sgd", "rmsprop"])
def test_momentum_reaches_the_optimiser(name):
    ours, theirs = network(), network()
    config = ClassifierConfig(optimiser=name, lr=0.05, momentum=0.9)
    plain = PLAIN[name](theirs.parameters(), lr=0.05, momentum=0.9)
    for a, b in zip(descend(ours, optimisers.make_optimisers(ours, config)), descend(theirs, [plain])):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)


def one_weight(start, **options):
    """A function(gradient) -> weight: the optimiser of `options` on a single float64 weight."""
    model = nn.Linear(1, 1, bias=False).double()
    nn.init.constant_(model.weight, start)
    [optimiser] = optimisers.make_optimisers(model, ClassifierConfig(**options))

    def step(gradient):
        model.weight.grad = torch.full_like(model.weight, gradient)
        optimiser.step()
        return model.weight.item()

    return step


GRADIENTS = [0.3, -1.2, 0.7, 2.0]


def test_sgd_with_momentum_and_weight_decay_by_hand():
    step, weight, velocity = one_weight(0.5, optimiser="sgd", lr=0.1, momentum=0.9, weight_decay=0.02), 0.5, 0.0
    for gradient in GRADIENTS:
        velocity = 0.9 * velocity + gradient + 0.02 * weight
        weight -= 0.1 * velocity
        assert step(gradient) == pytest.approx(weight, rel=1e-12)


@pytest.mark.parametrize("name, decoupled", [("adam", False), ("adamw", True)])
def test_adam_and_adamw_by_hand(name, decoupled):
    step, weight, mean, square = one_weight(0.5, optimiser=name, lr=0.01, weight_decay=0.1), 0.5, 0.0, 0.0
    for t, given in enumerate(GRADIENTS, start=1):
        gradient = given if decoupled else given + 0.1 * weight
        mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2
        weight -= 0.01 * 0.1 * weight * decoupled
        weight -= 0.01 * (mean / (1 - 0.9**t)) / (math.sqrt(square / (1 - 0.999**t)) + 1e-8)
        assert step(given) == pytest.approx(weight, rel=1e-9)


def test_adagrad_by_hand():
    step, weight, square = one_weight(0.5, optimiser="adagrad", lr=0.1), 0.5, 0.0
    for gradient in GRADIENTS:
        square += gradient**2
        weight -= 0.1 * gradient / (math.sqrt(square) + 1e-10)
        assert step(gradient) == pytest.approx(weight, rel=1e-9)


def test_options_reach_the_optimiser():
    config = ClassifierConfig(optimiser="adam", optimiser_options={"betas": (0.5, 0.6), "eps": 1e-3})
    [optimiser] = optimisers.make_optimisers(network(), config)
    assert optimiser.defaults["betas"] == (0.5, 0.6) and optimiser.defaults["eps"] == 1e-3


def test_frozen_weights_stay():
    model = networks.build("fast_cnn", {"widths": (8,)})
    [optimiser] = optimisers.make_optimisers(model, ClassifierConfig())
    assert all(p is not model[0].weight for group in optimiser.param_groups for p in group["params"])


@pytest.mark.parametrize("name, options", [("patch_mlp", {"blocks": 2, "norm": "layer"}), ("report_b", {})])
def test_muon_takes_hidden_matrices_and_adamw_all_the_rest(name, options):
    model = networks.build(name, options)
    muon, adamw = optimisers.make_optimisers(model, ClassifierConfig(optimiser="muon", lr=0.01, momentum=0.9))
    assert isinstance(muon, torch.optim.Muon) and isinstance(adamw, torch.optim.AdamW)
    ours = {id(p) for group in muon.param_groups for p in group["params"]}
    rest = {id(p) for group in adamw.param_groups for p in group["params"]}
    names = {id(p): name for name, p in model.named_parameters()}
    assert not ours & rest and ours | rest == set(names)
    matrices = {name for name, p in model.named_parameters() if p.dim() == 2 and not name.startswith("last")}
    assert {names[key] for key in ours} == matrices
    assert muon.defaults["momentum"] == 0.9 and muon.defaults["lr"] == adamw.defaults["lr"] == 0.01


def test_a_muon_step_is_orthogonal_and_as_large_as_one_of_adamw():
    model = network()
    muon, _ = optimisers.make_optimisers(model, ClassifierConfig(optimiser="muon", lr=0.1))
    before = model[2].weight.detach().clone()
    for layer in model[:-1:2]:
        layer.weight.grad = nn.init.orthogonal_(torch.empty_like(layer.weight)) * torch.rand(layer.in_features)
    muon.step()
    change = (before - model[2].weight.detach()) / 0.1
    singular = torch.linalg.svdvals(change) / (0.2 * math.sqrt(8))  # match_rms_adamw: 0.2 sqrt(larger side)
    assert ((singular > 0.6) & (singular < 1.3)).all()  # five Newton-Schulz steps bring them near 1


@pytest.mark.parametrize("precision, expected", [("bfloat16", "Muon"), ("float32", "Float32Muon")])
def test_muon_takes_bfloat16_rounds_only_where_the_hardware_multiplies_them(precision, expected, monkeypatch):
    monkeypatch.setattr(optimisers.device, "resolve_precision", lambda precision_, device=None: precision)
    muon, _ = optimisers.make_optimisers(network(), ClassifierConfig(optimiser="muon"))
    assert type(muon).__name__ == expected


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (5, 5)])
def test_newton_schulz_rounds_are_a_polynomial_of_each_singular_value(shape):
    torch.manual_seed(1)
    matrix, (a, b, c) = torch.randn(shape, dtype=torch.float64), (3.4445, -4.775, 2.0315)
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    values = values / values.norm()  # the Frobenius norm
    for _ in range(5):
        values = a * values + b * values**3 + c * values**5
    expected = left @ torch.diag(values) @ right
    torch.testing.assert_close(optimisers.orthogonalise(matrix, (a, b, c), 5, 1e-7), expected)


@pytest.mark.parametrize(
    "options", [{}, {"adjust_lr_fn": "match_rms_adamw"}, {"nesterov": False, "weight_decay": 0.0, "momentum": 0.5}]
)
def test_float32_muon_steps_as_pytorchs_within_bfloat16(options):
    start, ours, theirs = network(), network(), network()
    for model, muon in ((ours, optimisers.Float32Muon), (theirs, torch.optim.Muon)):
        torch.manual_seed(2)
        chosen = muon([model[0].weight, model[2].weight], lr=0.05, **options)
        for _ in range(3):
            model[0].weight.grad = torch.randn(8, 5)
            assert chosen.step(lambda: torch.tensor(4.0)) == 4
        assert torch.equal(model[2].weight, start[2].weight)  # no gradient, no step
    moved = (theirs[0].weight - start[0].weight).norm()
    assert 0 < (ours[0].weight - theirs[0].weight).norm() < 0.02 * moved


def test_an_unknown_optimiser_is_refused():
    with pytest.raises(CourseworkError, match="optimiser=adma is unknown; choose one of sgd, asgd, adam, adamw"):
        optimisers.make_optimisers(network(), ClassifierConfig(optimiser="adma"))


# Schedulers


def rates(steps_per_epoch=1, metric=None, **options):
    """The learning rate of each step (or epoch) under the scheduler of `options`."""
    config = ClassifierConfig(**options)
    [optimiser] = optimisers.make_optimisers(network(), config)
    scheduler, seen = optimisers.make_scheduler(optimiser, config, steps_per_epoch), []
    for step in range(config.epochs * steps_per_epoch):
        seen.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        if scheduler:
            scheduler.step(*[] if metric is None else [metric(step)])
    return np.array(seen)


def test_no_scheduler_by_default():
    assert optimisers.make_scheduler(None, ClassifierConfig(), 10) is None


def test_cosine_follows_its_formula():
    expected = 0.5 * 0.3 * (1 + np.cos(np.pi * np.arange(12) / 12))
    np.testing.assert_allclose(rates(steps_per_epoch=3, epochs=4, lr=0.3, scheduler="cosine"), expected, rtol=1e-6)


def test_one_cycle_rises_to_the_rate_and_falls_far_below_where_it_began():
    seen = rates(steps_per_epoch=10, epochs=10, lr=0.4, scheduler="one_cycle")
    assert len(seen) == 100 and seen.max() == pytest.approx(0.4)
    assert seen[0] == pytest.approx(0.4 / 25) and seen[-1] == pytest.approx(0.4 / 25 / 1e4)
    peak = seen.argmax()
    assert peak == 29  # pct_start 0.3
    assert (np.diff(seen[: peak + 1]) > 0).all() and (np.diff(seen[peak:]) < 0).all()


def test_triangle_rises_and_falls_in_straight_lines():
    seen = rates(
        steps_per_epoch=10, epochs=10, lr=1.0, scheduler="triangle", scheduler_options={"rise": 0.2, "end": 0.1}
    )
    np.testing.assert_allclose(seen[:20], 0.2 + 0.8 * np.arange(20) / 20)
    np.testing.assert_allclose(seen[20:], 1 - 0.9 * np.arange(80) / 80)


def test_multistep_cuts_at_its_milestones():
    seen = rates(epochs=6, lr=1.0, scheduler="multistep", scheduler_options={"milestones": [2, 5], "gamma": 0.1})
    np.testing.assert_allclose(seen, [1, 1, 0.1, 0.1, 0.1, 0.01])


def test_a_second_stage_has_the_momentum_that_it_asks_for_and_the_first_none():
    """As two optimisers one after the other, which is how report E's final model trains."""
    ours, theirs, stage = network(), network(), {"milestones": [2], "gamma": 0.1, "momentum": 0.9}
    config = ClassifierConfig(lr=0.5, scheduler="multistep", scheduler_options=stage)
    [optimiser] = optimisers.make_optimisers(ours, config)
    scheduler = optimisers.make_scheduler(optimiser, config, 1)
    for _ in range(5):
        after = descend(ours, [optimiser], steps=1)
        scheduler.step()
    descend(theirs, [torch.optim.SGD(theirs.parameters(), lr=0.5)], steps=2)
    expected = descend(theirs, [torch.optim.SGD(theirs.parameters(), lr=0.05, momentum=0.9)], steps=3)
    for weights, expected_weights in zip(after, expected):
        torch.testing.assert_close(weights, expected_weights, atol=1e-6, rtol=1e-5)


def test_a_stage_with_momentum_is_refused_where_the_optimiser_has_none():
    config = ClassifierConfig(
        optimiser="adam", scheduler="multistep", scheduler_options={"milestones": [1], "momentum": 0.9}
    )
    [optimiser] = optimisers.make_optimisers(network(), config)
    with pytest.raises(CourseworkError, match=r"momentum=0\.9, which this optimiser has not"):
        optimisers.make_scheduler(optimiser, config, 1)


def cuts(seen) -> list[int]:
    """The last epochs, from 1, at a rate that the next one undercuts."""
    return (np.flatnonzero(np.diff(seen) < 0) + 1).tolist()


def test_plateau_fed_with_an_accuracy_under_mode_min_cuts_by_the_calendar():
    """Report C's reading: the first accuracy is the lowest, so that no epoch ever counts as better."""
    seen = rates(
        metric=lambda epoch: 0.5 + 0.4 * epoch / 60, epochs=60, lr=0.001, optimiser="adam", scheduler="plateau"
    )
    assert cuts(seen) == [12, 23, 34, 45, 56]
    np.testing.assert_allclose(seen[[0, 12, 23, 34, 45, 56]], 0.001 * 0.1 ** np.arange(6))


def test_plateau_with_patience_fifteen_cuts_after_epoch_seventeen():
    """Report B's reading: patience 15, threshold 1e-8, fed with a quantity that rises."""
    options = {"patience": 15, "threshold": 1e-8}
    seen = rates(metric=lambda e: 0.7 + 0.006 * e, epochs=30, lr=0.001, scheduler="plateau", scheduler_options=options)
    assert cuts(seen) == [17]


def test_plateau_never_cuts_a_loss_that_falls():
    assert cuts(rates(metric=lambda epoch: 1 / (1 + epoch), epochs=60, lr=0.001, scheduler="plateau")) == []


def test_an_unknown_scheduler_is_refused():
    with pytest.raises(
        CourseworkError, match="scheduler=step is unknown; choose one of none, plateau, multistep, one_cycle"
    ):
        optimisers.make_scheduler(None, ClassifierConfig(scheduler="step"), 10)


def test_muon_without_a_hidden_linear_layer_is_refused():
    with pytest.raises(CourseworkError, match="this network has none"):
        optimisers.make_optimisers(nn.Linear(5, 3), ClassifierConfig(optimiser="muon"))


@pytest.mark.parametrize("name", sorted({*optimisers.OPTIMISERS}))
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_one_cycle_moves_no_momentum_that_was_not_asked_for(name, momentum):
    config = ClassifierConfig(optimiser=name, momentum=momentum, scheduler="one_cycle", epochs=2, lr=0.1)
    for optimiser in optimisers.make_optimisers(network(), config):
        before = {key: optimiser.param_groups[0].get(key) for key in ("momentum", "betas")}
        scheduler = optimisers.make_scheduler(optimiser, config, 5)
        for _ in range(9):
            optimiser.step()
            scheduler.step()
            assert {key: optimiser.param_groups[0].get(key) for key in before} == before


def test_one_cycle_cycles_the_momentum_where_the_options_ask_for_it():
    options = {"cycle_momentum": True, "base_momentum": 0.7, "max_momentum": 0.9}
    config = ClassifierConfig(momentum=0.8, scheduler="one_cycle", scheduler_options=options, epochs=2)
    (optimiser,) = optimisers.make_optimisers(network(), config)
    scheduler = optimisers.make_scheduler(optimiser, config, 5)
    seen = []
    for _ in range(9):
        seen.append(optimiser.param_groups[0]["momentum"])
        optimiser.step()
        scheduler.step()
    assert seen[0] == pytest.approx(0.9) and min(seen) == pytest.approx(0.7)
