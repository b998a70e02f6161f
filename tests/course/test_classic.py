"""The course's names: results against plain PyTorch, printed lines, and each mended defect."""

import logging
import re
import time

import nbformat
import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt
from nbclient import NotebookClient
from torch import nn
from torch.nn import functional as F

import helpers as mu
from helpers import base
from helpers.base import CourseworkError
from helpers.course import classic

NAMES = """load_data_fashion_mnist load_array get_fashion_mnist_labels get_dataloader_workers show_images
use_svg_display set_figsize set_axes plot Timer Accumulator Animator accuracy evaluate_accuracy
evaluate_accuracy_gpu evaluate_loss train_epoch_ch3 train_ch3 predict_ch3 train_ch6 trainf try_gpu
try_all_gpus gpu cpu num_gpus sgd linreg squared_loss synthetic_data size reshape to argmax astype
transpose reduce_sum reduce_mean numpy tensor float32 plt d2l"""


@pytest.fixture(autouse=True)
def prepared():
    torch.manual_seed(0)
    torch.set_num_threads(1)
    classic._say_once.cache_clear()
    yield
    plt.close("all")


@pytest.fixture
def standin(tmp_path, monkeypatch):
    """Batches of 64 of the stand-in digits, decoded into a folder of this test."""
    monkeypatch.setattr(base, "CACHE", tmp_path / "cache")
    monkeypatch.setenv("COURSEWORK_OFFLINE", "1")
    return mu.load_data_fashion_mnist(64, data="standin")


def few(n=50, batch_size=16):
    """Batches of n noisy pictures (1, 12, 12) of three classes: bright above, in the middle, below."""
    X, y = torch.randn(n, 1, 12, 12) * 0.1, torch.arange(n) % 3
    for picture, label in zip(X, y):
        picture[0, 4 * label : 4 * label + 4] += 1
    return mu.load_array((X, y), batch_size)


class Slow:
    """Batches that take their time."""

    def __init__(self, batches, seconds):
        self.batches, self.seconds = batches, seconds

    def __iter__(self):
        time.sleep(self.seconds)
        return iter(self.batches)


def softmax_regression(inputs=144, classes=3):
    return nn.Sequential(nn.Flatten(), nn.Linear(inputs, classes))


def lenet():
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.Sigmoid(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(6 * 36, 3)
    )  # fmt: skip


def test_every_name_of_the_course_is_there():
    assert [name for name in NAMES.split() if not hasattr(mu, name)] == []
    assert mu.d2l is mu and mu.plt is plt and mu.d2l.Animator is mu.Animator
    assert set(NAMES.split()) <= set(mu.__all__)


def test_star_import_leaves_the_built_in_functions_alone():
    namespace = {}
    exec("from helpers import *", namespace)
    assert namespace["train_ch6"] is mu.train_ch6 and namespace["d2l"] is mu
    assert namespace.get("abs", abs) is abs
    assert not set(dir(namespace["__builtins__"])) & set(mu.__all__)


def test_aliases_do_what_torch_does():
    x = torch.arange(6.0).reshape(2, 3)
    assert mu.size(x) == 6 and mu.reshape(x, (3, 2)).shape == (3, 2) and mu.transpose(x).shape == (3, 2)
    assert mu.reduce_sum(x) == 15 and mu.reduce_mean(x, dim=0).tolist() == [1.5, 2.5, 3.5]
    assert mu.argmax(x, axis=1).tolist() == [2, 2] and mu.astype(x, torch.int32).dtype == mu.int32
    assert mu.to(x, "cpu") is x and mu.float32 is torch.float32 and mu.concat([x, x]).shape == (4, 3)
    weights = torch.ones(2, requires_grad=True)
    assert isinstance(mu.numpy(weights), np.ndarray)


def test_loaders_give_whole_batches_of_the_decoded_images(standin, caplog):
    train, test = standin
    found = mu.obtain("fashion_mnist", "standin")
    X, y = next(iter(test))
    assert X.shape == (64, 1, 28, 28) and X.dtype == torch.float32 and y.dtype == torch.int64
    assert np.array_equal(X[:, 0].numpy(), found.test_images[:64].astype(np.float32) / 255)
    assert len(train) == -(-len(found.train_images) // 64) and train.batch_size == 64
    assert sum(len(y) for _, y in train) == len(train.dataset) == len(found.train_images)
    assert not torch.equal(next(iter(train))[1], next(iter(train))[1])  # shuffled anew
    labels = torch.cat([y for _, y in train])
    assert labels.bincount().tolist() == np.bincount(found.train_labels).tolist()
    small, _ = mu.load_data_fashion_mnist(8, resize=40, data="standin")
    assert "says nothing about Fashion-MNIST" in caplog.text
    assert next(iter(small))[0].shape == (8, 1, 40, 40)


def test_resizing_agrees_with_torchvision(standin):
    transforms = mu.device.import_torchvision().transforms
    _, test = mu.load_data_fashion_mnist(4, resize=56, data="standin")
    _, plain = mu.load_data_fashion_mnist(4, data="standin")
    X, original = next(iter(test))[0], next(iter(plain))[0]
    assert torch.allclose(X, transforms.functional.resize(original, [56, 56], antialias=True), atol=1e-6)


def test_labels_in_words():
    assert mu.get_fashion_mnist_labels(torch.tensor([0, 9])) == ["t-shirt", "ankle boot"]
    assert mu.get_dataloader_workers() == 0


def test_linear_regression_from_scratch_finds_the_weights():
    w, b = torch.tensor([2.0, -3.4]), 4.2
    features, labels = mu.synthetic_data(w, b, 500)
    assert features.shape == (500, 2) and labels.shape == (500, 1)
    exact = torch.linalg.lstsq(torch.cat([features, torch.ones(500, 1)], 1), labels).solution
    w_hat, b_hat = torch.zeros(2, 1, requires_grad=True), torch.zeros(1, requires_grad=True)
    for _ in range(10):
        for X, y in mu.load_array((features, labels), 10):
            mu.squared_loss(mu.linreg(X, w_hat, b_hat), y).sum().backward()
            mu.sgd([w_hat, b_hat], 0.03, 10)
    assert torch.allclose(torch.cat([w_hat.detach().ravel(), b_hat.detach()]), exact.ravel(), atol=0.01)
    loss = mu.evaluate_loss(
        lambda X: mu.linreg(X, w_hat, b_hat), mu.load_array((features, labels), 64), mu.squared_loss
    )
    assert loss < 1e-3


def test_accuracy_counts_scores_and_labels():
    assert mu.accuracy(torch.tensor([[0.1, 0.9], [0.8, 0.2]]), torch.tensor([1, 1])) == 1.0
    assert mu.accuracy(torch.tensor([1, 0, 1]), torch.tensor([1, 1, 1])) == 2.0


def test_evaluation_gives_modes_back_and_builds_no_graph():
    net = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(144), nn.Dropout(0.5), nn.Linear(144, 3)).train()
    net[1].eval()  # frozen by its owner
    statistics = net[1].running_mean.clone()
    assert 0 <= mu.evaluate_accuracy(net, few()) == mu.evaluate_accuracy_gpu(net, few(), "cpu") <= 1
    assert net.training and net[2].training and not net[1].training
    assert torch.equal(net[1].running_mean, statistics)
    seen = []
    mu.evaluate_accuracy(lambda X: seen.append(torch.is_grad_enabled()) or net(X), few())
    assert not any(seen)


@pytest.mark.parametrize("reduction", ["mean", "none", "sum"])
def test_losses_of_any_reduction_are_means_per_example(reduction):
    net, data = softmax_regression(), few(50)  # 16, 16, 16 and 2 examples
    X, y = data.dataset.tensors
    expected = F.cross_entropy(net(X), y).item()
    loss = nn.CrossEntropyLoss(reduction=reduction)
    assert mu.evaluate_loss(net, data, loss) == pytest.approx(expected, rel=1e-5)
    still = torch.optim.SGD(net.parameters(), lr=0.0)
    train_loss, train_acc = mu.train_epoch_ch3(net, data, loss, still)
    assert train_loss == pytest.approx(expected, rel=1e-5)
    assert train_acc == (net(X).argmax(1) == y).double().mean().item()


def test_an_epoch_equals_a_plain_pytorch_loop():
    net, twin = softmax_regression(), softmax_regression()
    twin.load_state_dict(net.state_dict())
    data = few()
    torch.manual_seed(1)
    mu.train_epoch_ch3(net, data, nn.CrossEntropyLoss(), torch.optim.SGD(net.parameters(), lr=0.1))
    torch.manual_seed(1)
    optimizer = torch.optim.SGD(twin.parameters(), lr=0.1)
    for X, y in data:
        optimizer.zero_grad()
        F.cross_entropy(twin(X), y).backward()
        optimizer.step()
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), twin.parameters()))


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_the_updater_from_scratch_equals_torch_sgd(reduction):
    net, twin = softmax_regression(), softmax_regression()
    twin.load_state_dict(net.state_dict())
    data, loss = few(), nn.CrossEntropyLoss(reduction=reduction)
    torch.manual_seed(1)
    mu.train_epoch_ch3(net, data, loss, lambda batch_size: mu.sgd(net.parameters(), 0.1, batch_size))
    torch.manual_seed(1)
    mu.train_epoch_ch3(twin, data, loss, torch.optim.SGD(twin.parameters(), lr=0.1))
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(net.parameters(), twin.parameters()))


def test_train_ch3_learns_with_functions_instead_of_modules(capsys):
    W, b = torch.zeros(144, 3, requires_grad=True), torch.zeros(3, requires_grad=True)

    def net(X):
        return torch.softmax(X.reshape(-1, 144) @ W + b, dim=1)

    def cross_entropy(y_hat, y):
        return -torch.log(y_hat[range(len(y_hat)), y])

    assert mu.train_ch3(net, few(), few(), cross_entropy, 5, lambda n: mu.sgd([W, b], 0.1, n)) is None
    assert mu.evaluate_accuracy(net, few()) > 0.9


def test_train_ch6_prints_its_lines_and_draws_weights_anew(capsys, caplog):
    caplog.set_level(logging.INFO)
    net = lenet()
    with torch.no_grad():
        net[4].weight.fill_(7.0)
    bias = net[4].bias.detach().clone()
    start = time.perf_counter()
    mu.train_ch6(net, few(300), Slow(few(), 0.2), 2, 0.0)  # a rate of zero: what is left is the initialisation
    seconds = time.perf_counter() - start
    first, figures, speed = capsys.readouterr().out.splitlines()
    assert first == f"training on {mu.try_gpu()}"
    assert re.fullmatch(r"loss \d+\.\d{3}, train acc 0\.\d{3}, test acc 0\.\d{3}", figures)
    rate, device = re.fullmatch(r"([\d.]+) examples/sec on (\S+)", speed).groups()
    assert 600 / seconds <= float(rate) < 600 / 0.4  # by wall time, evaluation included
    limit = (6 / (6 * 36 + 3)) ** 0.5  # Glorot and Bengio, 2010
    weight = net[4].weight.detach().cpu()
    assert weight.abs().max() <= limit and weight.std() == pytest.approx(limit / 3**0.5, rel=0.1)
    assert torch.equal(net[4].bias.detach().cpu(), bias) and device == str(mu.try_gpu())
    mu.train_ch6(net, few(), few(), 1, 0.1, mu.cpu())
    assert caplog.text.count("Xavier") == 1 and caplog.text.count("validation part") == 1


def test_train_ch6_learns_and_gives_the_model_back_in_training_mode():
    net = lenet()
    mu.train_ch6(net, few(200), few(), 8, 0.5)
    assert net.training
    assert mu.evaluate_accuracy_gpu(net, few()) > 0.9


def test_fewer_than_five_batches_divide_by_nothing(capsys):
    mu.train_ch6(softmax_regression(), few(10, batch_size=10), few(), 1, 0.1)
    assert "examples/sec" in capsys.readouterr().out


def test_a_loss_that_is_not_finite_is_a_warning_after_the_figures(capsys):
    with pytest.warns(RuntimeWarning, match="training loss is (nan|inf)"):
        mu.train_ch6(softmax_regression(), few(), few(), 2, 1e38)
    assert "test acc" in capsys.readouterr().out


def test_no_epochs_at_all_is_an_error_of_ours():
    with pytest.raises(CourseworkError, match="num_epochs=0"):
        mu.train_ch6(softmax_regression(), few(), few(), 0, 0.1)
    with pytest.raises(CourseworkError, match="num_epochs=0"):
        mu.train_ch3(softmax_regression(), few(), few(), nn.CrossEntropyLoss(), 0, lambda n: None)


def test_a_bad_but_finite_result_is_no_warning(capsys):
    mu.train_ch3(softmax_regression(), few(), few(), nn.CrossEntropyLoss(), 1, lambda n: None)


def test_trainf_keeps_weights_optimiser_and_steps_schedulers_in_time(capsys):
    net = softmax_regression()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    data, loss = few(), nn.CrossEntropyLoss(reduction="none")
    once = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, epochs=2, steps_per_epoch=len(data))
    mu.trainf(net, data, few(), loss, 2, optimizer, None, once)
    assert once.last_epoch == 2 * len(data)
    each = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
    mu.trainf(net, data, few(), loss, num_epochs=3, optimizer=optimizer, scheduler=each)
    assert each.last_epoch == 3
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, "min")
    mu.trainf(net, data, few(), loss, 1, optimizer, scheduler=plateau)
    assert plateau.best == pytest.approx(float(capsys.readouterr().out.split("loss ")[-1][:5]), abs=1e-3)
    assert any("momentum_buffer" in state for state in optimizer.state.values())


def test_log_softmax_before_cross_entropy_is_told_once(caplog):
    caplog.set_level(logging.INFO)
    net = nn.Sequential(softmax_regression(), nn.LogSoftmax(dim=1))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for _ in range(2):
        mu.trainf(net, few(), few(), nn.CrossEntropyLoss(), 1, optimizer)
    assert caplog.text.count("log_softmax") == 1
    mu.trainf(net, few(), few(), nn.NLLLoss(), 1, optimizer)
    assert caplog.text.count("log_softmax") == 1


def test_timer_and_accumulator_add_up():
    timer = mu.Timer()
    time.sleep(0.01)
    assert timer.stop() >= 0.01
    timer.start()
    timer.stop()
    assert timer.sum() == pytest.approx(timer.cumsum()[-1]) == pytest.approx(2 * timer.avg())
    metric = mu.Accumulator(2)
    metric.add(1, torch.tensor(2.5))
    metric.add(1, 2)
    assert (metric[0], metric[1]) == (2.0, 4.5)
    metric.reset()
    assert metric.data == [0.0, 0.0]


def test_animator_skips_none_and_draws_a_fifth_line():
    animator = mu.Animator(xlabel="epoch", legend=list("abcde"), fmts=("-", "m--"))
    animator.add(1, (0.5, None, 0.1, 0.2, 0.3))
    animator.add(2, (0.4, 0.9, None, 0.2, 0.3))
    animator.draw()
    lines = animator.axes[0].lines
    assert [len(line.get_xdata()) for line in lines] == [2, 1, 1, 2, 2]
    assert lines[1].get_xydata().tolist() == [[2.0, 0.9]]
    assert plt.get_fignums() == []
    single = mu.Animator()
    single.add(0, torch.tensor(1.5))
    assert single.Y == [[1.5]]


def test_plot_takes_one_line_many_lines_and_tensors_with_gradients():
    x = torch.arange(0, 3, 0.1, requires_grad=True)
    mu.plot(x, [x**2, 2 * x - 3], "x", "f(x)", legend=["f(x)", "tangent"], figsize=(4, 3))
    axes = plt.gca()
    assert len(axes.lines) == 2 and axes.get_xlabel() == "x"
    assert np.allclose(axes.lines[0].get_ydata(), np.arange(0, 3, 0.1) ** 2, atol=1e-5)
    mu.plot([1, 2, 3], yscale="log")
    assert len(plt.gca().lines) == 1 and plt.gca().get_yscale() == "log"
    mu.plot([[1, 2]] * 6)
    assert len(plt.gca().lines) == 6
    assert plt.rcParams["figure.figsize"] == [3.5, 2.5]


def test_pictures_and_predictions_are_shown_under_their_names(standin):
    axes = mu.show_images(torch.rand(4, 8, 8), 2, 2, titles=list("abcd"))
    assert [axis.get_title() for axis in axes] == list("abcd")
    _, test = standin
    net = softmax_regression(784, 10)
    mu.predict_ch3(net, test, n=3)
    X, y = next(iter(test))
    titles = [axis.get_title() for axis in plt.gcf().axes]
    guesses = net(X[:3]).argmax(1).tolist()
    assert titles == [f"digit {true}\ndigit {guess}" for true, guess in zip(y.tolist(), guesses)]
    assert net.training


def test_a_notebook_is_left_with_one_figure(tmp_path):
    code = """import helpers as mu
animator = mu.Animator(xlabel="epoch", xlim=[1, 40], legend=["a", "b"])
for epoch in range(40):
    animator.add(epoch + 1, (epoch / 40, None))
    animator.add(epoch + 1, (None, 1 - epoch / 40))
mu.use_svg_display()
print("done")"""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(tmp_path)}}).execute()
    figures = [output for output in notebook.cells[0].outputs if "image/png" in output.get("data", {})]
    assert len(figures) == 1
    assert "last values 0.975, 0.025" in figures[0].metadata["image/png"]["alt"]  # drawn when the cell ended


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_model_and_batches_meet_on_the_gpu():
    net = lenet()
    mu.train_ch6(net, few(), few(), 1, 0.1)
    assert next(net.parameters()).is_cuda
    assert mu.evaluate_accuracy(net, few()) == mu.evaluate_accuracy_gpu(net, few(), "cpu")
    assert not next(net.parameters()).is_cuda
