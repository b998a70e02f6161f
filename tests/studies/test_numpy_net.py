"""The NumPy network against PyTorch autograd, finite differences and report E's own loop; its trial function."""

import dataclasses
import gzip
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch

sys.path.insert(0, str(Path(__file__).parent.parent / "bench"))
import classic_numpy

from helpers import base, studies
from helpers.base import CourseworkError
from helpers.studies import numpy_net
from helpers.studies.numpy_net import ARCHITECTURES, PUBLISHED, Network, Rules, layers
from helpers.trials import engine

TORCH = {"relu": torch.relu, "sigmoid": torch.sigmoid, "tanh": torch.tanh, "softmax": lambda z: torch.softmax(z, -1)}
MIXED = ({"input_nodes": 12, "activation": "relu"}, {"input_nodes": 9, "activation": "tanh"},
         {"input_nodes": 8, "activation": "softmax"}, {"input_nodes": 7, "activation": "sigmoid"},
         {"input_nodes": 11, "activation": "relu"}, {"input_nodes": 5, "activation": "softmax"})  # fmt: skip


def sample(n=23, inputs=12, classes=5, seed=1):
    """Inputs in [0, 1], labels, one-hot labels."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, n)
    return generator.random((n, inputs)), labels, np.eye(classes)[labels]


def pictures(n=300, seed=0):
    """uint8 images (n, 28, 28) of ten learnable classes (a bright column each, under noise), and their labels."""
    generator = np.random.default_rng(seed)
    labels = np.arange(n) % 10
    images = generator.integers(0, 100, (n, 28, 28), dtype=np.uint8)
    for image, label in zip(images, labels):
        image[:, 2 * label + 3] += 120
    return images, labels.astype(np.uint8)


def by_autograd(net, architecture, x, labels, rules, classes):
    """Gradients of the loss by every parameter, from PyTorch in the network's own precision."""
    parameters = [torch.tensor(p, requires_grad=True) for p in net.parameters]
    a, depth = torch.tensor(x.astype(net.dtype)), len(net.weights)
    for i, layer in enumerate(architecture[1:]):
        z = a @ parameters[i].T + (parameters[depth + i] if net.biases else 0)
        a = TORCH[layer["activation"]](z)
    if rules.delta == "cross_entropy":
        loss = torch.nn.functional.nll_loss(torch.log_softmax(z, -1), torch.tensor(labels), reduction=rules.reduction)
    else:
        targets = torch.eye(classes, dtype=a.dtype)[labels]
        loss = (a - targets).square().mean(-1)
        loss = loss.mean() if rules.reduction == "mean" else loss.sum()
    loss.backward()
    return [p.grad.numpy() for p in parameters]


@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-10), ("float32", 1e-5)])
@pytest.mark.parametrize("delta", ["cross_entropy", "squared"])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("biases", [True, False])
@pytest.mark.parametrize("number", ["mixed", 8])
def test_gradient_equals_autograd(number, biases, reduction, delta, dtype, tolerance):
    architecture = MIXED if number == "mixed" else ARCHITECTURES[number]
    inputs, classes = architecture[0]["input_nodes"], architecture[-1]["input_nodes"]
    x, labels, targets = sample(inputs=inputs, classes=classes)
    rules = Rules(delta=delta, reduction=reduction, biases=biases, dtype=dtype)
    net = Network(architecture, biases=biases, dtype=dtype, initialiser="xavier")
    ours = numpy_net.gradients(net, x.astype(dtype), targets.astype(dtype), rules)
    expected = by_autograd(net, architecture, x, labels, rules, classes)
    assert len(ours) == len(expected) == len(net.weights) * (2 if biases else 1)
    for gradient, theirs in zip(ours, expected):
        assert gradient.dtype == dtype and gradient.shape == theirs.shape
        assert np.abs(gradient - theirs).max() <= tolerance * np.abs(theirs).max()


@pytest.mark.parametrize("delta", ["cross_entropy", "squared"])
def test_gradient_equals_finite_differences(delta):
    x, labels, targets = sample()
    rules = Rules(delta=delta, dtype="float64")
    net = Network(MIXED, dtype="float64", seed=3)

    def loss():
        p = net.forward(net.affine(0, x))[-1]
        return -np.log(p[np.arange(len(x)), labels]).mean() if delta != "squared" else np.square(p - targets).mean()

    for parameter, gradient in zip(net.parameters, numpy_net.gradients(net, x, targets, rules)):
        for place in list(np.ndindex(parameter.shape))[:: max(1, parameter.size // 5)]:
            kept, step = parameter[place], 1e-6
            parameter[place] = kept + step
            above = loss()
            parameter[place] = kept - step
            slope = (above - loss()) / (2 * step)
            parameter[place] = kept
            assert gradient[place] == pytest.approx(slope, rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("number", [1, 3, 5])
@pytest.mark.parametrize("batch_size", [1, 7, 128])
def test_published_mode_repeats_the_published_loop(number, batch_size):
    images, labels = pictures(200)
    net = Network(ARCHITECTURES[number], biases=False, dtype="float64", seed=2)
    order = np.random.default_rng([4, 1]).permutation(len(labels))
    start = [w.copy() for w in net.weights]
    data = classic_numpy.prepare(images, labels)
    expected, history = classic_numpy.train(
        data, data, ARCHITECTURES[number], batch_size=batch_size, epochs=2, lr=0.01, weights=start, order=order
    )
    options = {"batch_size": batch_size, "rules": Rules(**PUBLISHED), "seed": 4}
    list(numpy_net.fit(net, images, labels, epochs=2, lr=0.01, **options))
    for weights, theirs in zip(net.weights, expected):
        assert np.abs(weights - theirs).max() < 1e-6 * np.abs(theirs).max()  # its pixels are float32, ours float64
    seen = numpy_net.evaluate(net, images, labels)
    assert seen["accuracy"] == history[-1][0] and seen["loss"] == pytest.approx(history[-1][1], rel=1e-6)


def test_classic_lists_and_growing_arrays_hold_the_same_numbers():
    data = classic_numpy.prepare(*pictures(50))
    options = {"batch_size": 10, "epochs": 1, "lr": 0.01}
    grown, listed = (classic_numpy.train(data, data, ARCHITECTURES[1], grow=g, **options)[1] for g in (True, False))
    assert grown == listed


@pytest.mark.parametrize(
    "rules",
    [Rules(dtype="float64"), Rules(**PUBLISHED), Rules(dtype="float64", clip_norm=0.1)],
    ids=["exact", "published", "clipped"],
)
@pytest.mark.parametrize("batch_size", [1, 5])
def test_block_of_steps_equals_step_by_step(rules, batch_size):
    images, labels = pictures(203)
    nets = []
    for block in (numpy_net.BLOCK, 1):
        nets.append(Network(ARCHITECTURES[4], biases=rules.biases, dtype="float64"))
        options = {"lr": 0.02, "batch_size": batch_size, "rules": rules, "block": block}
        for _ in range(2):
            numpy_net.train_epoch(nets[-1], images, labels, np.arange(203), **options)
    for quick, plain in zip(nets[0].parameters, nets[1].parameters):
        np.testing.assert_allclose(quick, plain, rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize("batch_size", [1, 32])
def test_stacked_learning_rates_equal_one_by_one(batch_size):
    images, labels = pictures(200)
    rates, rules = [0.1, 0.01, 0.005, 0.001], Rules(dtype="float64")
    stack = Network(ARCHITECTURES[1], dtype="float64", copies=len(rates))
    list(numpy_net.fit(stack, images, labels, epochs=2, lr=rates, batch_size=batch_size, rules=rules))
    together = numpy_net.evaluate(stack, images, labels)
    assert together["predictions"].shape == (4, 200)
    for i, lr in enumerate(rates):
        net = Network(ARCHITECTURES[1], dtype="float64")
        list(numpy_net.fit(net, images, labels, epochs=2, lr=lr, batch_size=batch_size, rules=rules))
        alone = numpy_net.evaluate(net, images, labels)
        np.testing.assert_allclose(stack.weights[0][i], net.weights[0], rtol=1e-9, atol=1e-12)
        assert together["loss"][i] == pytest.approx(alone["loss"], rel=1e-9)
        assert (together["predictions"][i] == alone["predictions"]).all()


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_clipping_limits_each_step_of_each_stacked_network(reduction):
    images, labels = pictures(64)
    rules, rates = Rules(dtype="float64", clip_norm=0.25, reduction=reduction), np.array([0.5, 0.001])
    net = Network(ARCHITECTURES[1], dtype="float64", copies=2)
    before = [p.copy() for p in net.parameters]
    numpy_net.train_epoch(net, images, labels, np.arange(64), lr=rates, batch_size=64, rules=rules)
    squares = [np.square(after - start).sum(axis=(-2, -1)) for after, start in zip(net.parameters, before)]
    np.testing.assert_allclose(np.sqrt(sum(squares)), rates * 0.25, rtol=1e-9)


@pytest.mark.parametrize("biases", [True, False])
def test_clipping_measures_the_norm_of_the_whole_gradient(biases):
    x, _, targets = sample()
    net, rules = Network(MIXED, dtype="float64", biases=biases), Rules(dtype="float64", biases=biases)
    expected = sum(np.square(g).sum() for g in numpy_net.gradients(net, x, targets, rules))
    outputs = net.forward(net.affine(0, x))
    deltas = numpy_net.backward(net, outputs, numpy_net.output_error(outputs[-1], targets, rules.delta) / len(x))
    squares = [numpy_net.weight_square(a, d, biases) for a, d in zip([x, *outputs], deltas)]
    assert sum(squares).item() == pytest.approx(expected)


def test_sum_is_the_mean_times_the_batch():
    x, _, targets = sample()
    net = Network(MIXED, dtype="float64")
    total, mean = (numpy_net.gradients(net, x, targets, Rules(reduction=r)) for r in ("sum", "mean"))
    for a, b in zip(total, mean):
        np.testing.assert_allclose(a, b * len(x))


def test_diagonal_delta_differs_from_the_exact_one_and_moves_all_logits_together():
    _, _, targets = sample()
    p = numpy_net.softmax(np.random.default_rng(0).normal(size=targets.shape))
    exact = numpy_net.output_error(p, targets, "squared")
    diagonal = numpy_net.output_error(p, targets, "diagonal")
    np.testing.assert_allclose(exact.sum(axis=-1), 0, atol=1e-15)  # softmax does not see a common shift
    assert np.abs(diagonal.sum(axis=-1)).max() > 1e-3


def test_saturated_softmax_gives_no_gradient_through_the_diagonal_but_cross_entropy_does():
    p, target = np.array([[1.0, 0.0, 0.0]]), np.array([[0.0, 1.0, 0.0]])
    assert np.abs(numpy_net.output_error(p, target, "diagonal")).max() == 0
    assert np.abs(numpy_net.output_error(p, target, "cross_entropy")).max() == 1


def test_one_maximum_for_the_batch_underflows_where_each_row_has_its_own():
    z = np.array([[0.0, 1.0], [900.0, 901.0]])
    assert np.isfinite(numpy_net.softmax(z)).all()
    with np.errstate(invalid="ignore"):
        assert np.isnan(numpy_net.softmax(z, "batch")[0]).all()


def test_order_repeats_unless_reshuffled():
    images, labels = pictures(100)
    seen = {}
    for reshuffle in (True, False):
        net = Network(ARCHITECTURES[1], seed=0)
        epochs = numpy_net.fit(net, images, labels, epochs=2, seed=5, rules=Rules(reshuffle=reshuffle), batch_size=10)
        seen[reshuffle] = [net.weights[0].copy() for _ in epochs]
    assert (seen[True][0] == seen[False][0]).all() and (seen[True][1] != seen[False][1]).any()
    net, order = Network(ARCHITECTURES[1], seed=0), np.random.default_rng([5, 1]).permutation(100)
    for _ in range(2):
        numpy_net.train_epoch(net, images, labels, order, lr=0.1, batch_size=10, rules=Rules())
    assert (net.weights[0] == seen[False][1]).all()


def test_activation_of_the_input_entry_is_never_applied():
    images, labels = pictures(60)
    results = []
    for name in numpy_net.ACTIVATIONS:
        net = Network(({"input_nodes": 784, "activation": name}, *ARCHITECTURES[1][1:]))
        list(numpy_net.fit(net, images, labels, epochs=1))
        results.append(net.weights[0])
    assert all((w == results[0]).all() for w in results)


def test_appendix_a():
    sizes = {number: [layer["input_nodes"] for layer in a] for number, a in ARCHITECTURES.items()}
    assert sizes[2] == [784, 64, 10] and sizes[8] == [784, 512, 256, 128, 64, 10] and len(sizes) == 8
    assert {a[1]["activation"] for n, a in ARCHITECTURES.items() if n in (2, 3)} == {"sigmoid"}
    assert {a[1]["activation"] for n, a in ARCHITECTURES.items() if n not in (2, 3)} == {"relu"}
    assert ARCHITECTURES[1] == (
        {"input_nodes": 784, "activation": "relu"}, {"input_nodes": 64, "activation": "relu"},
        {"input_nodes": 10, "activation": "softmax"},
    )  # fmt: skip


def test_initialisers_and_seeds():
    he, xavier, plain = (Network(layers("relu", 784, 400, 10), initialiser=i) for i in ("he", "xavier", 1.0))
    assert he.weights[0].std() == pytest.approx((2 / 784) ** 0.5, rel=0.01)
    assert xavier.weights[0].std() == pytest.approx((2 / 1184) ** 0.5, rel=0.01)
    assert plain.weights[0].std() == pytest.approx(1, rel=0.01)
    double = Network(layers("relu", 784, 400, 10), dtype="float64")
    assert he.weights[0].dtype == np.float32 and (double.weights[0].astype("float32") == he.weights[0]).all()
    assert (Network(layers("relu", 784, 400, 10), seed=1).weights[0] != he.weights[0]).any()


def test_float32_network_learns_and_stays_float32():
    images, labels = pictures(600)
    net = Network(layers("tanh", 784, 32, 10))
    list(numpy_net.fit(net, images, labels, epochs=30, lr=0.2, batch_size=32))
    assert all(p.dtype == np.float32 for p in net.parameters)
    seen = numpy_net.evaluate(net, *pictures(300, seed=9))
    assert seen["accuracy"] > 0.95 and seen["predictions"].dtype == np.uint8


def test_early_stopping_brings_the_best_epoch_back():
    images, labels = pictures(100)
    held = (pictures(80, seed=3)[0], np.random.default_rng(0).permutation(80) % 10)  # unlearnable labels: loss rises
    net, losses, weights = Network(ARCHITECTURES[1]), [], []
    for _ in numpy_net.fit(net, images, labels, epochs=50, lr=0.2, batch_size=10, validation=held, patience=3):
        losses.append(float(numpy_net.evaluate(net, *held)["loss"]))
        weights.append(net.weights[0].copy())
    assert len(losses) < 50 and int(np.argmin(losses)) == len(losses) - 4
    assert (net.weights[0] == weights[int(np.argmin(losses))]).all()


def test_a_training_that_ends_in_nan_has_its_best_epoch_back():
    images, labels = pictures(100)
    net, first = Network(ARCHITECTURES[1]), None
    epochs = numpy_net.fit(
        net, images, labels, epochs=9, lr=0.2, batch_size=10, validation=(images, labels), patience=9
    )
    for epoch in epochs:
        first = [parameter.copy() for parameter in net.parameters] if epoch == 1 else first
        if epoch == 2:
            net.weights[0][...] = np.nan
            break
    epochs.close()
    assert all((parameter == kept).all() for parameter, kept in zip(net.parameters, first))


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: Network(layers("swish", 784, 64, 10)), "swish"),
        (lambda: Network(({"input_nodes": 784, "activation": "relu"}, {"input_nodes": 10})), "layer 1"),
        (lambda: Network(layers("relu", 784, 0, 10)), "input_nodes=0"),
        (lambda: Network(({"input_nodes": 9, "activation": "relu"},) * 2), "softmax"),
        (lambda: Network(()), "softmax"),
        (lambda: Network(ARCHITECTURES[1], initialiser="best"), "initialiser='best'"),
        (lambda: Rules(delta="guess"), "cross_entropy, squared, diagonal"),
        (lambda: studies.NumpyConfig(reduction="median"), "mean, sum"),
    ],
)  # fmt: skip
def test_a_mistake_gives_one_line(make, words):
    with pytest.raises(CourseworkError, match=words) as error:
        make()
    assert "\n" not in str(error.value)


SMALL = {"layers": layers("relu", 784, 16, 4), "dataset": tiny.NAME, "epochs": 4, "batch_size": 20, "lr": 0.2}


def test_trial_of_a_network_that_learns(tmp_path, monkeypatch):
    made = tiny.cached(tmp_path, monkeypatch)
    context, config = tiny.context(), studies.NumpyConfig(**SMALL)
    result = studies.train_numpy(config, context)
    assert result["status"] == "ok" and result["metrics"]["epochs"] == 4
    assert result["examples"] == config.work() == 4 * 120 == context.rows[-1]["examples"]
    assert (result["predictions"] == made["test_labels"]).mean() == result["metrics"]["test_accuracy"] > 0.9
    assert {len(column) for column in result["history"].values()} == {4}
    assert dataclasses.replace(config, train_limit=50, epochs=2).work() == 100
    again = studies.train_numpy(config, tiny.context())
    assert again["history"] == result["history"] and (again["predictions"] == result["predictions"]).all()


def test_trial_that_overflows_ends_and_says_when(tmp_path, monkeypatch):
    tiny.cached(tmp_path, monkeypatch)
    config = studies.NumpyConfig(**SMALL | PUBLISHED | {"lr": 1e200, "initialiser": 1.0})
    result = studies.train_numpy(config, tiny.context())
    assert (result["status"], result["diverged_epoch"]) == ("diverged", 1) and result["metrics"]["epochs"] == 1
    assert np.isnan(result["metrics"]["test_loss"]) and result["metrics"]["test_accuracy"] == 0.25


def test_trial_with_patience_holds_validation_images_out(tmp_path, monkeypatch):
    tiny.cached(tmp_path, monkeypatch)
    config = studies.NumpyConfig(**SMALL | {"patience": 2, "epochs": 50})
    assert config.work() == 50 * 108
    result = studies.train_numpy(config, tiny.context())
    assert result["examples"] == result["metrics"]["epochs"] * 108
    assert result["metrics"]["test_accuracy"] in result["history"]["test_accuracy"]


def test_stuck_tells_dead_from_slow():
    def history(accuracy, saturated=0.0, size=0.1, loss=2.0):
        n = len(accuracy)
        columns = {"saturated_share": [saturated] * n, "gradient_norm": [size] * n, "test_loss": [loss] * n}
        return {"test_accuracy": accuracy, **columns}

    assert studies.stuck_from(history([0.1, 0.1]), 10) == 0  # slow: the gradient is alive
    assert studies.stuck_from(history([0.8, 0.1, 0.1], saturated=1.0), 10) == 2
    assert studies.stuck_from(history([0.1, 0.8, 0.1], size=0.0), 10) == 3
    assert studies.stuck_from(history([0.1, 0.8], size=0.0), 10) == 0
    assert studies.stuck_from(history([0.8], loss=float("nan")), 10) == 1


@pytest.fixture(scope="module")
def fashion():
    """Fashion-MNIST from the data folder: train images and labels, test images and labels."""
    folder, arrays = base.data_folder() / "FashionMNIST" / "raw", []
    for part in ("train", "t10k"):
        for kind, header in (("images-idx3", 16), ("labels-idx1", 8)):
            path = folder / f"{part}-{kind}-ubyte.gz"
            if not path.exists():
                pytest.skip("no Fashion-MNIST in the data folder")
            arrays.append(np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8, offset=header))
    return [a.reshape(-1, 28, 28) if i % 2 == 0 else a for i, a in enumerate(arrays)]


def published_run(fashion, *, epochs, copies=None, lr, batch_size=128, **changes):
    """Evaluations on the test images after every epoch of a published-mode training with some defects removed.

    On one thread, as in a trial: another number adds in another order, and an explosion takes another course.
    """
    rules = Rules(**PUBLISHED | changes)
    net = Network(ARCHITECTURES[1], biases=rules.biases, dtype=rules.dtype, copies=copies)
    fit = numpy_net.fit(net, *fashion[:2], epochs=epochs, lr=lr, batch_size=batch_size, rules=rules)
    seen = []
    with engine.threads_limited(1):
        for _ in fit:
            seen.append(numpy_net.evaluate(net, *fashion[2:]))
            if np.isnan(seen[-1]["loss"]).all():
                break
    return seen


@pytest.mark.realdata
def test_published_batch_128_dies_at_once_at_a_rate_of_a_tenth_and_the_exact_jacobian_saves_it(fashion):
    assert published_run(fashion, epochs=1, lr=0.1)[-1]["accuracy"] == pytest.approx(0.1, abs=0.01)
    assert published_run(fashion, epochs=1, lr=0.1, reduction="mean")[-1]["accuracy"] > 0.55
    assert published_run(fashion, epochs=1, lr=0.1, delta="squared")[-1]["accuracy"] > 0.6


@pytest.mark.realdata
@pytest.mark.slow
@pytest.mark.parametrize("lr, epochs", [(0.1, 12), (0.01, 14), (0.005, 25)])
def test_published_rates_above_a_thousandth_explode_at_batch_128(fashion, lr, epochs):
    assert np.isnan(published_run(fashion, epochs=epochs, lr=lr)[-1]["loss"])


@pytest.mark.realdata
@pytest.mark.slow
def test_which_defects_removed_let_a_rate_of_a_hundredth_train(fashion):
    for innocent in ({"biases": True}, {"reshuffle": True}):
        assert np.isnan(published_run(fashion, epochs=12, lr=0.01, **innocent)[-1]["loss"])
    vanished = published_run(fashion, epochs=12, lr=0.01, shift="row")[-1]  # finite now, and dead
    assert vanished["accuracy"] == pytest.approx(0.1, abs=0.01) and vanished["saturated_share"] > 0.9
    assert published_run(fashion, epochs=12, lr=0.01, delta="squared")[-1]["accuracy"] > 0.84
    assert published_run(fashion, epochs=12, lr=0.01, reduction="mean")[-1]["accuracy"] > 0.5


@pytest.mark.realdata
@pytest.mark.slow
def test_published_accuracy_at_30_epochs(fashion):
    assert 0.825 <= published_run(fashion, epochs=30, lr=0.001)[-1]["accuracy"] <= 0.85


@pytest.mark.realdata
@pytest.mark.slow
def test_published_batch_1_saturates_at_a_rate_of_a_tenth_in_one_pass_with_a_thousandth(fashion):
    last = published_run(fashion, epochs=6, lr=[0.1, 0.001], batch_size=1, copies=2)[-1]
    assert last["accuracy"][0] == pytest.approx(0.1, abs=0.01)
    assert last["saturated_share"][0] > 0.9 and np.isfinite(last["loss"][0])  # the vanishing kind
    assert last["accuracy"][1] > 0.75 and last["saturated_share"][1] < 0.1
