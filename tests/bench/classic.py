"""The course's training loop: what every case of the benchmark is compared with.

A torchvision data set with ToTensor, a DataLoader, the network in its printed order, plain optimisers, loss and
accuracy read back after each batch. One process of its own with two threads; `Process` starts and asks it.
"""

import contextlib
import itertools
import json
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import nn

from helpers import base, data, device, networks
from helpers.networks import fast

from . import classic_numpy
from .cases import CASES, Case

THREADS = 2
WARM_UP = 10  # batches, or two and a second, before the clock starts: kernels are chosen, workers have begun


def write_idx(path: Path, array: np.ndarray) -> None:
    """A uint8 array in the idx format of MNIST."""
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">i4").tobytes()
    path.write_bytes(header + np.ascontiguousarray(array).tobytes())


def torchvision_dataset(dataset: data.Dataset, folder: Path, normalise: bool = False):
    """The training part as torchvision's own FashionMNIST (H, W) or CIFAR10 (H, W, 3), with the course's transform."""
    torchvision = device.import_torchvision()
    steps = [torchvision.transforms.ToTensor()]
    images, labels = np.asarray(dataset.train_images), np.asarray(dataset.train_labels)
    if normalise:
        pixels = torch.as_tensor(images).float().div_(255).flatten(0, 2).reshape(-1, dataset.input_shape[0])
        steps.append(torchvision.transforms.Normalize(pixels.mean(0).tolist(), pixels.std(0).tolist()))
    transform = torchvision.transforms.Compose(steps)
    if images.ndim == 4:
        made = torchvision.datasets.CIFAR10.__new__(torchvision.datasets.CIFAR10)  # its files are decoded already
        made.data, made.targets, made.transform, made.target_transform = images, labels.tolist(), transform, None
        return made
    raw = folder / "FashionMNIST" / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    for name, part in {"train": (images, labels), "t10k": (dataset.test_images, dataset.test_labels)}.items():
        write_idx(raw / f"{name}-images-idx3-ubyte", part[0])
        write_idx(raw / f"{name}-labels-idx1-ubyte", part[1])
    return torchvision.datasets.FashionMNIST(folder, train=True, transform=transform, download=False)


class Unfold(nn.Module):
    """Images (B, C, H, W) to patches (B, P, C*K*K), as the course cuts them in every forward pass."""

    def __init__(self, size: int):
        super().__init__()
        self.unfold = nn.Unfold(size, stride=size)

    def forward(self, x):
        return self.unfold(x).transpose(1, 2)


def network(config, shape, classes) -> nn.Module:
    """The network in its printed order: patches cut per batch, the last layer before the mean."""
    torch.manual_seed(config.seed)
    patched = config.model in ("report_a", "report_b", "patch_mlp")
    options = config.options | ({"mean_first": False} if patched else {})
    net = networks.build(config.model, options, input_shape=shape, classes=classes, initialiser=config.initialiser)
    return nn.Sequential(Unfold(net.patch_size), net) if patched else net


def optimiser(net: nn.Module, config) -> torch.optim.Optimizer:
    """The config's optimiser as the course calls it."""
    kind = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[config.optimiser]
    return kind(net.parameters(), lr=config.lr, weight_decay=config.weight_decay)


def train_epoch(net, batches, loss_function, updater, where="cpu") -> tuple[float, float]:
    """One epoch: mean loss and accuracy over `batches` of images and labels."""
    net.train()
    total_loss, correct, examples = 0.0, 0.0, 0
    for X, y in batches:
        X, y = X.to(where), y.to(where)
        y_hat = net(X)
        loss = loss_function(y_hat, y)
        updater.zero_grad()
        loss.backward()
        updater.step()
        total_loss += loss.item() * len(y)
        correct += (y_hat.argmax(1) == y).sum().item()
        examples += len(y)
    return total_loss / examples, correct / examples


class Window:
    """The batches of a loader, epoch after epoch, for `seconds` after the warm-up; counts examples and time."""

    def __init__(self, loader, seconds: float):
        self.loader, self.limit, self.examples, self.seconds = loader, seconds, 0, 0.0

    def __iter__(self):
        begun, endless = time.perf_counter(), itertools.chain.from_iterable(itertools.repeat(self.loader))
        warm = False
        for number, batch in enumerate(endless, 1):
            yield batch
            if not warm:
                started = time.perf_counter()
                warm = number >= WARM_UP or (number >= 2 and started - begun > 1)
                continue
            self.examples += len(batch[1])
            self.seconds = time.perf_counter() - started
            if self.seconds >= self.limit:
                return


class Classic:
    """A case's classic program, ready to train."""

    def __init__(self, case: Case, dataset: data.Dataset, folder: Path):
        self.case, self.dataset = case, dataset
        if case.numpy:
            train = np.asarray(dataset.train_images), np.asarray(dataset.train_labels)
            test = np.asarray(dataset.test_images), np.asarray(dataset.test_labels)
            self.parts = [classic_numpy.prepare(*part, len(dataset.classes)) for part in (train, test)]
            return
        config = case.config
        self.where = device.choose()
        self.images = torchvision_dataset(dataset, folder, config.normalise)
        self.net = network(config, dataset.input_shape, len(dataset.classes)).to(self.where)
        self.updater, self.loss = optimiser(self.net, config), nn.CrossEntropyLoss()

    def rate(self, workers: int, seconds: float) -> dict:
        """Training examples per second with so many loader workers; for E's loop one epoch with its evaluation.

        E's loop collects its evaluation's results by np.append; `lists` is its rate if it collected them in lists.
        """
        if self.case.numpy:
            return {"rate": self._numpy_rate(grow=True), "lists": self._numpy_rate(grow=False)}
        loader = torch.utils.data.DataLoader(
            self.images, batch_size=self.case.config.batch_size, shuffle=True, num_workers=workers
        )
        window = Window(loader, seconds)
        with fast.one_by_one():
            train_epoch(self.net, window, self.loss, self.updater, self.where)
        return {"rate": window.examples / window.seconds}

    def _numpy_rate(self, grow: bool) -> float:
        config, started = self.case.config, time.perf_counter()
        options = {"batch_size": config.batch_size, "epochs": 1, "lr": config.lr, "grow": grow}
        with np.errstate(all="ignore"):
            classic_numpy.train(*self.parts, config.layers, **options)
        return len(self.parts[0][0]) / (time.perf_counter() - started)


class Process:
    """The classic program of one case in a process of its own: threads and their settings leak nowhere."""

    def __init__(self, name: str, dataset: str, folder: Path):
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(THREADS))
        tests = Path(__file__).parent.parent  # where bench is imported from
        settings = {"COURSEWORK_HOME": str(base.ROOT), "PYTHONPATH": str(tests)}
        command = [sys.executable, "-m", "bench.classic", name, dataset, str(folder)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=base.CHECKOUT,
            env=os.environ | threads | settings,
        )  # fmt: skip

    def rate(self, workers: int, seconds: float) -> dict:
        """`Classic.rate`, measured there. Raises CourseworkError when the process has ended."""
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps([workers, seconds]) + "\n")
            self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            code = self._process.wait()
            raise base.CourseworkError(f"the classic loop ended with code {code}; see its message above")
        return json.loads(answer)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        self._process.wait()


def main(name: str, dataset: str, folder: str) -> None:
    """Answer each line [workers, seconds] of the standard input with a rate."""
    torch.set_num_threads(THREADS)
    warnings.filterwarnings("ignore", "This DataLoader will create")  # four, as the course does on any machine
    program = Classic(CASES[name], data.load(dataset), Path(folder))
    for line in sys.stdin:
        print(json.dumps(program.rate(*json.loads(line))), flush=True)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main(*sys.argv[1:])
