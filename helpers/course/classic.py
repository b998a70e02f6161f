"""The course's names with their classic signatures: a notebook written for `import my_utils as mu` (or for d2l, the
package of Zhang et al., Dive into Deep Learning) runs after `import helpers as mu`.

As in the course, an evaluation of the accuracy, hence train_ch3, train_ch6 and trainf, leaves the network in evaluation
mode; evaluate_loss and predict_ch3 change no mode. Mended everywhere: model and batch are moved to one device, chosen
when a function is called; evaluation runs without gradients; a loss may average, add or do neither (reduction="none");
a finished run is not lost to an assert: a training loss that is not finite is a warning. So is log_softmax taken twice.
"""

import logging
import sys
import warnings
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.optim import lr_scheduler

from helpers.base import CourseworkError
from helpers.course.tools import Accumulator, Animator, Timer, show_images
from helpers.data.dataset import Batches, ImageDataset, to_tensor
from helpers.data.recipes import RECIPES
from helpers.data.sources import obtain
from helpers.device import choose
from helpers.trials.engine import keep_freed_memory

d2l = sys.modules["helpers"]  # notebooks say d2l.plt, d2l.Animator ...
LABELS = ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
PER_BATCH = (lr_scheduler.OneCycleLR, lr_scheduler.CyclicLR)  # schedulers that step after each batch


def get_dataloader_workers() -> int:
    """Worker processes for a DataLoader. Mended: 0 instead of 4, which is faster for data that lie in memory."""
    return 0


def load_array(data_arrays, batch_size, is_train=True) -> Batches:
    """Batches of tensors of one length, shuffled for training."""
    return Batches(torch.utils.data.TensorDataset(*data_arrays), batch_size, shuffle=is_train)


def _fashion_mnist_recipe():
    """Where Fashion-MNIST may lie, and last the course's own folder beside that of the notebook."""
    recipe = RECIPES["fashion_mnist"]
    folder = Path("../data/FashionMNIST/raw").resolve()
    remedy = f"put its idx files into {folder}, go online, or ask for small digits in its place with data='standin'"
    return replace(recipe, places=(*recipe.places, replace(recipe.places[0], where=str(folder))), remedy=remedy)


def load_data_fashion_mnist(batch_size, resize=None, *, data="real") -> tuple[Batches, Batches]:
    """Training (shuffled) and test batches: float32 (B, 1, H, W) in [0, 1] and int64 (B,), on the CPU.

    Whole batches cut from one resident array instead of single images collated by four workers. `.dataset` has
    `data`, `targets` and `classes`. The files are looked for in the data folder and in the course's own ../data; data:
    "real"; "standin", which asks for small digits in their place; "auto", which takes them where nothing else is, and
    logs a warning. Raises CourseworkError where the data are not to be had.
    """
    dataset = obtain("fashion_mnist", data, recipes={"fashion_mnist": _fashion_mnist_recipe()})
    if dataset.standin:
        logging.getLogger("helpers").warning("%s: it says nothing about Fashion-MNIST", dataset.title)
    train = ImageDataset(to_tensor(dataset.train_images), dataset.train_labels, resize)
    test = ImageDataset(to_tensor(dataset.test_images), dataset.test_labels, resize)
    train.classes = test.classes = list(dataset.classes)
    return Batches(train, batch_size, shuffle=True), Batches(test, batch_size)


def get_fashion_mnist_labels(labels) -> list[str]:
    """The course's names of Fashion-MNIST labels."""
    return [LABELS[int(label)] for label in labels]


def accuracy(y_hat, y) -> float:
    """The number of correct predictions. y_hat: scores (B, classes), or labels (B,)."""
    if y_hat.dim() > 1 and y_hat.shape[1] > 1:
        y_hat = y_hat.argmax(dim=1)
    return float((y_hat.type(y.dtype) == y).sum())


@contextmanager
def _evaluating(net):
    """`net` without gradients and in evaluation mode; each of its modules gets its own mode back."""
    modules = list(net.modules()) if isinstance(net, nn.Module) else []
    modes = [module.training for module in modules]
    try:
        for module in modules:
            module.eval()
        with torch.no_grad():
            yield
    finally:
        for module, mode in zip(modules, modes):
            module.training = mode


def _device(net):
    """Where the parameters of `net` are; None where it has none: then its batches stay where they are."""
    parameter = next(net.parameters(), None) if isinstance(net, nn.Module) else None
    return None if parameter is None else parameter.device


def _moved(X, device):
    """A batch of inputs, one tensor or several, on `device`."""
    return [x.to(device) for x in X] if isinstance(X, (list, tuple)) else X.to(device)


def evaluate_accuracy_gpu(net, data_iter, device=None) -> float:
    """The share of correct predictions on `device`, to which the model moves (default: where it is).

    The network is left in evaluation mode.
    """
    if isinstance(net, nn.Module):
        net.eval()
        if device is not None:
            net.to(device)
    device = device or _device(net)
    metric = Accumulator(2)
    with torch.no_grad():
        for X, y in data_iter:
            y = y.to(device)
            metric.add(accuracy(net(_moved(X, device)), y), y.numel())
    return metric[0] / metric[1]


def evaluate_accuracy(net, data_iter) -> float:
    """The share of correct predictions; `net`: a module or a function."""
    return evaluate_accuracy_gpu(net, data_iter)


def _total(loss, value, n):
    """The batch's summed loss, from a loss that averages over n, adds, or does neither."""
    return value.sum() if value.dim() or getattr(loss, "reduction", "") == "sum" else value * n


def evaluate_loss(net, data_iter, loss) -> float:
    """The mean loss of `net`. Mended: a loss that averages is weighted by its batch; class labels keep their shape."""
    device = _device(net)
    metric = Accumulator(2)
    with _evaluating(net):
        for X, y in data_iter:
            out = net(_moved(X, device))
            y = y.to(device)
            if y.numel() == out.numel():
                y = y.reshape(out.shape)
            metric.add(_total(loss, loss(out, y), y.numel()), y.numel())
    return metric[0] / metric[1]


def _check_outputs(loss, y_hat) -> None:
    """Warn where CrossEntropyLoss gets logarithms of probabilities: then the exponentials of each row add to 1."""
    if not isinstance(loss, nn.CrossEntropyLoss):
        return
    sums = y_hat.exp().sum(dim=1)
    if sums.dim() == 1 and torch.allclose(sums, torch.ones_like(sums), atol=1e-4):
        warnings.warn("the network ends in log_softmax and CrossEntropyLoss takes it again: leave it out", stacklevel=4)


def _steps(net, train_iter, loss, updater, metric):
    """One epoch, one batch a turn; after each turn `metric` has summed loss, correct predictions and examples.

    updater: an optimiser, or a function of the batch size that expects summed gradients (`sgd`).
    """
    if isinstance(net, nn.Module):
        net.train()
    device = _device(net)
    for X, y in train_iter:
        X, y = _moved(X, device), y.to(device)
        y_hat = net(X)
        value = loss(y_hat, y)
        total = _total(loss, value, y.numel())
        if isinstance(updater, torch.optim.Optimizer):
            updater.zero_grad()
            value.mean().backward()
            updater.step()
        else:
            total.backward()
            updater(len(y))
        if metric[2] == 0:  # the first batch
            _check_outputs(loss, y_hat.detach())
        metric.add(total.detach(), accuracy(y_hat, y), y.numel())
        yield


def train_epoch_ch3(net, train_iter, loss, updater) -> tuple[float, float]:
    """One epoch; returns mean training loss and training accuracy (taken while the weights still move)."""
    metric = Accumulator(3)
    for _ in _steps(net, train_iter, loss, updater, metric):
        pass
    return metric[0] / metric[2], metric[1] / metric[2]


def _warn_unless_finite(train_loss: float) -> None:
    if not np.isfinite(train_loss):
        warnings.warn(f"the training loss is {train_loss}: try a smaller learning rate", RuntimeWarning, stacklevel=3)


def _epochs(num_epochs: int) -> range:
    if num_epochs < 1:
        raise CourseworkError(f"num_epochs={num_epochs} must be at least 1")
    return range(num_epochs)


def train_ch3(net, train_iter, test_iter, loss, num_epochs, updater) -> None:
    """Train and plot loss and accuracies. Mended: no asserts at the end, and no limits that hide a loss above 0.9."""
    epochs = _epochs(num_epochs)
    keep_freed_memory()
    animator = Animator(xlabel="epoch", legend=["train loss", "train acc", "test acc"])
    for epoch in epochs:
        train_metrics = train_epoch_ch3(net, train_iter, loss, updater)
        animator.add(epoch + 1, (*train_metrics, evaluate_accuracy(net, test_iter)))
    _warn_unless_finite(train_metrics[0])


def predict_ch3(net, test_iter, n=6) -> None:
    """Show the first n test images under their true and predicted names."""
    X, y = next(iter(test_iter))
    names = getattr(getattr(test_iter, "dataset", None), "classes", LABELS)
    with _evaluating(net):
        predicted = net(X[:n].to(_device(net))).argmax(dim=1)
    titles = [f"{names[int(true)]}\n{names[int(guess)]}" for true, guess in zip(y, predicted)]
    show_images(X[:n].movedim(1, -1).squeeze(-1), 1, len(titles), titles)


def trainf(net, train_iter, test_iter, loss, num_epochs, optimizer, device=None, scheduler=None) -> None:
    """Train with the caller's loss and optimiser, plot, and print the final figures and examples per second.

    device: default what DEVICE names, else the first GPU, else the CPU. scheduler: OneCycleLR and CyclicLR step after
    each batch, others after each epoch, ReduceLROnPlateau on the training loss. Mended: speed is by wall time, loading
    and evaluation included (the course timed the batches' arithmetic alone); fewer than five batches do not divide by
    zero. The test accuracy drawn after each epoch is not for choosing anything: take a validation part for that.
    """
    epochs = _epochs(num_epochs)
    device = torch.device(device or choose())
    keep_freed_memory()
    print("training on", device)
    net.to(device)
    if isinstance(loss, nn.Module):
        loss.to(device)  # class weights
    animator = Animator(xlabel="epoch", xlim=[0, num_epochs], legend=["train loss", "train acc", "test acc"])
    num_batches = len(train_iter)
    timer = Timer()
    examples = 0
    for epoch in epochs:
        metric = Accumulator(3)
        for i, _ in enumerate(_steps(net, train_iter, loss, optimizer, metric)):
            train_l, train_acc = metric[0] / metric[2], metric[1] / metric[2]
            if (i + 1) % max(1, num_batches // 5) == 0 or i == num_batches - 1:
                animator.add(epoch + (i + 1) / num_batches, (train_l, train_acc, None))
            if isinstance(scheduler, PER_BATCH):
                scheduler.step()
        examples += metric[2]
        test_acc = evaluate_accuracy_gpu(net, test_iter)
        animator.add(epoch + 1, (None, None, test_acc))
        if isinstance(scheduler, lr_scheduler.ReduceLROnPlateau):
            scheduler.step(train_l)
        elif scheduler is not None and not isinstance(scheduler, PER_BATCH):
            scheduler.step()
    print(f"loss {train_l:.3f}, train acc {train_acc:.3f}, test acc {test_acc:.3f}")
    print(f"{examples / timer.stop():.1f} examples/sec on {device}")
    _warn_unless_finite(train_l)


def train_ch6(net, train_iter, test_iter, num_epochs, lr, device=None) -> None:
    """`trainf` with cross entropy and its own plain SGD, from weights that it draws anew.

    As in the course, the weights of Linear and Conv2d are drawn again (Xavier, uniform),
    whatever the caller had set or trained before; momentum and weight decay of another optimiser have no part in it.
    """
    for module in net.modules():
        if type(module) in (nn.Linear, nn.Conv2d):
            nn.init.xavier_uniform_(module.weight)
    optimizer = torch.optim.SGD(net.parameters(), lr=lr, fused=True)
    trainf(net, train_iter, test_iter, nn.CrossEntropyLoss(), num_epochs, optimizer, device)
