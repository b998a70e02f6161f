"""The course's loaders and loops: results against plain PyTorch, printed lines, and each mended defect."""

import dataclasses
import re
import time

import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt
from sample_files import clothes, idx_files, own_folders, sha, write  # noqa: F401, the fixture
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Subset

import helpers as mu
from helpers.base import CourseworkError
from helpers.data.dataset import Batches
from helpers.data.recipes import RECIPES


@pytest.fixture(autouse=True)
def prepared():
    torch.manual_seed(0)
    torch.set_num_threads(1)
    yield
    plt.close("all")


@pytest.fixture
def standin():
    """Batches of 64 of the stand-in digits."""
    return mu.load_data_fashion_mnist(64, data="standin")


@pytest.fixture
def small_files(tmp_path, monkeypatch):
    """A notebook's folder, beside which ../data may lie; Fashion-MNIST is four small files, which lie nowhere yet."""
    files = idx_files(clothes())
    hashes = {name: sha(content) for name, content in files.items()}
    place = dataclasses.replace(RECIPES["fashion_mnist"].places[0], hashes=hashes)
    monkeypatch.setitem(RECIPES, "fashion_mnist", dataclasses.replace(RECIPES["fashion_mnist"], places=(place,)))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setenv("COURSEWORK_DATA", str(tmp_path / "elsewhere"))
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    return files


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


def test_loaders_give_whole_batches_of_the_decoded_images(standin, caplog):
    train, test = standin
    dataset = mu.obtain("fashion_mnist", "standin")
    X, y = next(iter(test))
    assert X.shape == (64, 1, 28, 28) and X.dtype == torch.float32 and y.dtype == torch.int64
    assert np.array_equal(X[:, 0].numpy(), dataset.test_images[:64].astype(np.float32) / 255)
    assert len(train) == -(-len(dataset.train_images) // 64) and train.batch_size == 64
    assert sum(len(y) for _, y in train) == len(train.dataset) == len(dataset.train_images)
    assert not torch.equal(next(iter(train))[1], next(iter(train))[1])  # shuffled anew
    labels = torch.cat([y for _, y in train])
    assert labels.bincount().tolist() == np.bincount(dataset.train_labels).tolist()
    small, _ = mu.load_data_fashion_mnist(8, resize=40, data="standin")
    assert "says nothing about Fashion-MNIST" in caplog.text
    assert next(iter(small))[0].shape == (8, 1, 40, 40)


def test_resizing_agrees_with_torchvision(standin):
    transforms = mu.device.import_torchvision().transforms
    _, test = mu.load_data_fashion_mnist(4, resize=56, data="standin")
    _, plain = mu.load_data_fashion_mnist(4, data="standin")
    X, original = next(iter(test))[0], next(iter(plain))[0]
    assert torch.allclose(X, transforms.functional.resize(original, [56, 56], antialias=True), atol=1e-6)


def test_batches_pass_for_a_data_loader_and_a_torchvision_data_set(standin):
    train, _ = standin
    dataset = mu.obtain("fashion_mnist", "standin")
    assert isinstance(train, DataLoader) and train.num_workers == 0 and not train.drop_last
    assert train.dataset.data.dtype == torch.uint8 and np.array_equal(train.dataset.data, dataset.train_images)
    assert train.dataset.targets.tolist() == list(dataset.train_labels)
    picture, label = train.dataset[np.int64(7)]
    assert picture.shape == (1, 28, 28) and label == int(dataset.train_labels[7]) and isinstance(label, int)
    assert torch.equal(picture, train.dataset[7][0]) and torch.equal(picture, train.dataset[np.array([7])][0][0])
    part = Subset(train.dataset, np.arange(10))
    assert next(iter(DataLoader(part, 5)))[0].shape == (5, 1, 28, 28)
    again = DataLoader(train.dataset, train.batch_size, sampler=train.sampler)
    assert next(iter(again))[0].shape == (64, 1, 28, 28)


def test_the_stand_in_comes_only_where_it_is_asked_for(small_files, tmp_path, caplog):
    with pytest.raises(CourseworkError, match=rf"{tmp_path}/data/FashionMNIST/raw.* data='standin'") as failure:
        mu.load_data_fashion_mnist(64)
    assert "\n" not in str(failure.value) and caplog.text == ""
    for data in ("auto", "standin"):
        assert mu.load_data_fashion_mnist(64, data=data)[0].dataset.classes[0] == "digit 0"
        assert "says nothing about Fashion-MNIST" in caplog.text
        caplog.clear()


def test_the_courses_own_data_folder_is_found(small_files, tmp_path):
    for name, content in small_files.items():
        write(tmp_path / "data" / "FashionMNIST" / "raw" / name, content)
    train_iter, test_iter = mu.load_data_fashion_mnist(8)
    images, labels, test_images, _ = clothes()
    assert np.array_equal(train_iter.dataset.data, images) and np.array_equal(test_iter.dataset.data, test_images)
    assert train_iter.dataset.targets.tolist() == list(labels) and train_iter.dataset.classes[9] == "Ankle boot"


def test_labels_in_words():
    assert mu.get_fashion_mnist_labels(torch.tensor([0, 9])) == ["t-shirt", "ankle boot"]
    assert mu.get_dataloader_workers() == 0


def test_accuracy_counts_scores_and_labels():
    assert mu.accuracy(torch.tensor([[0.1, 0.9], [0.8, 0.2]]), torch.tensor([1, 1])) == 1.0
    assert mu.accuracy(torch.tensor([1, 0, 1]), torch.tensor([1, 1, 1])) == 2.0


def dropping():
    """A network that tells its mode by what it predicts."""
    return nn.Sequential(nn.Flatten(), nn.BatchNorm1d(144), nn.Dropout(0.5), nn.Linear(144, 3))


@pytest.mark.parametrize("evaluate", [mu.evaluate_accuracy, mu.evaluate_accuracy_gpu])
def test_an_evaluation_leaves_the_network_in_evaluation_mode(evaluate):
    net, data = dropping(), few()
    statistics = net[1].running_mean.clone()
    accuracy = evaluate(net, data)
    X, y = data.dataset.tensors
    assert accuracy == (net(X).argmax(1) == y).double().mean().item()  # no mode is set here
    assert not any(module.training for module in net.modules())
    assert torch.equal(net[1].running_mean, statistics)


def test_training_leaves_the_network_in_evaluation_mode():
    net, data = dropping(), few()
    optimizer, loss = torch.optim.SGD(net.parameters(), lr=0.1), nn.CrossEntropyLoss()
    trainings = [
        lambda: mu.train_ch3(net, data, data, loss, 1, optimizer),
        lambda: mu.train_ch6(net, data, data, 1, 0.1),
        lambda: mu.trainf(net, data, data, loss, 1, optimizer),
    ]
    for train in trainings:
        net.train()
        train()
        assert not any(module.training for module in net.modules())


def test_a_loss_or_a_prediction_changes_no_mode_and_builds_no_graph():
    net = dropping()
    net[1].eval()  # frozen by its owner
    loss, still = nn.CrossEntropyLoss(), net[1].running_mean.clone()
    data = few()
    X, y = data.dataset.tensors
    measured = mu.evaluate_loss(net, data, loss)
    assert net.training and net[2].training and not net[1].training
    assert measured == pytest.approx(loss(net.eval()(X), y).item(), rel=1e-5)  # without dropout
    assert torch.equal(net[1].running_mean, still)
    seen = []
    mu.evaluate_accuracy(lambda X: seen.append(torch.is_grad_enabled()) or net(X), few())
    mu.evaluate_loss(lambda X: seen.append(torch.is_grad_enabled()) or net(X), few(), loss)
    assert seen and not any(seen)


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


def test_train_ch3_learns_with_functions_instead_of_modules():
    W, b = torch.zeros(144, 3, requires_grad=True), torch.zeros(3, requires_grad=True)

    def net(X):
        return torch.softmax(X.reshape(-1, 144) @ W + b, dim=1)

    def cross_entropy(y_hat, y):
        return -torch.log(y_hat[range(len(y_hat)), y])

    assert mu.train_ch3(net, few(), few(), cross_entropy, 5, lambda n: mu.sgd([W, b], 0.1, n)) is None
    assert mu.evaluate_accuracy(net, few()) > 0.9


def test_train_ch6_prints_its_lines_and_draws_weights_anew(capsys):
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


def test_train_ch6_learns():
    net = lenet()
    mu.train_ch6(net, few(200), few(), 8, 0.5)
    assert mu.evaluate_accuracy_gpu(net, few()) > 0.9


def test_train_ch6_equals_the_published_loop_and_prints_its_figures(capsys):
    net, twin = lenet(), lenet()
    twin.load_state_dict(net.state_dict())
    data, test = few(300), few(100)
    torch.manual_seed(1)
    mu.train_ch6(net, data, test, 3, 0.3, mu.cpu())
    torch.manual_seed(1)
    for module in twin:
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            nn.init.xavier_uniform_(module.weight)
    optimizer = torch.optim.SGD(twin.parameters(), lr=0.3)
    for _ in range(3):
        total = correct = 0
        for X, y in data:
            optimizer.zero_grad()
            loss = F.cross_entropy(twin(X), y)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(y)
        correct += sum((twin(X).argmax(1) == y).sum().item() for X, y in test)
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(net.parameters(), twin.parameters()))
    figures = capsys.readouterr().out.splitlines()[1]
    assert figures.startswith(f"loss {total / 300:.3f}, train acc ")
    assert figures.endswith(f"test acc {correct / 100:.3f}")


class Counted(torch.utils.data.TensorDataset):
    """Tells how often it was asked, and whether gradients were wanted then."""

    def __init__(self, *tensors):
        super().__init__(*tensors)
        self.with_grad = []

    def __getitem__(self, index):
        self.with_grad.append(torch.is_grad_enabled())
        return super().__getitem__(index)


@pytest.mark.parametrize("train", ["train_ch3", "train_ch6"])
def test_a_training_asks_once_a_batch_and_not_once_an_example(train):
    parts = [Counted(*few(n).dataset.tensors) for n in (50, 40)]
    batches, test = (Batches(part, 16) for part in parts)
    net = softmax_regression()
    if train == "train_ch6":
        mu.train_ch6(net, batches, test, 2, 0.1)
    else:
        mu.train_ch3(net, batches, test, nn.CrossEntropyLoss(), 2, torch.optim.SGD(net.parameters(), lr=0.1))
    assert parts[0].with_grad == [True] * 8 and parts[1].with_grad == [False] * 6  # two epochs of 4 and of 3 batches


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


def test_a_bad_but_finite_result_is_no_warning():
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


def test_log_softmax_before_cross_entropy_is_a_warning():
    net = nn.Sequential(softmax_regression(), nn.LogSoftmax(dim=1))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with pytest.warns(UserWarning, match="log_softmax"):
        mu.trainf(net, few(), few(), nn.CrossEntropyLoss(), 1, optimizer)
    mu.trainf(net, few(), few(), nn.NLLLoss(), 1, optimizer)


def test_outputs_of_one_are_no_log_softmax_where_the_loss_takes_none():
    W = torch.zeros(3, requires_grad=True)
    batches = mu.load_array((torch.rand(8, 3), torch.ones(8)), 4)
    mu.train_epoch_ch3(lambda X: X @ W + 1, batches, nn.MSELoss(), torch.optim.SGD([W], lr=0.1))


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
