"""Small trainings for the tests of trials: a workers' process imports them from here."""

import contextlib
import os
import pickle
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from helpers.base import write_atomically


@dataclass(frozen=True, kw_only=True)
class Config:
    """Gradient descent on a straight line through noisy points."""

    epochs: int = 5
    lr: float = 0.1
    points: int = 50
    pause: float = 0.0  # seconds slept in each epoch
    log: str = ""  # a file that gets one line per training begun
    trouble: str = ""  # what goes wrong: see `fit_line`
    save_every: int = 0  # epochs between two mid-trial states
    threads: int = 1
    seed: int = 0

    def fingerprint(self):
        return f"line-{self.points}"

    def work(self):
        return self.epochs * self.points


def fit_line(config, context):
    """Fit y = 3 x + 1; `config.trouble`: raise, nan, kill (each time), kill once: <mark>, kill late: <mark>,
    raise if there: <mark>."""
    if config.log:
        with open(config.log, "a") as file:
            file.write(f"{config.seed} {os.getpid()}\n")
    generator = np.random.default_rng(config.seed)
    x = generator.normal(size=config.points)
    y = 3 * x + 1 + generator.normal(size=config.points)
    weights, first, history = np.zeros(2), 0, {"loss": []}
    if config.save_every and context.state_path.exists():
        weights, first, history = pickle.loads(context.state_path.read_bytes())
    for epoch in range(first, config.epochs):
        time.sleep(config.pause)
        _meet(config.trouble, epoch)
        error = weights[0] * x + weights[1] - y
        weights = weights - config.lr * np.array([(error * x).mean(), error.mean()])
        history["loss"].append((error**2).mean())
        done = epoch + 1
        context.epoch({"epoch": done, "epochs": config.epochs, "examples": done * config.points,
                       "loss": history["loss"][-1]})  # fmt: skip
        if config.save_every and done % config.save_every == 0:
            write_atomically(context.state_path, pickle.dumps((weights, done, history)))
    diverged = config.trouble == "nan"
    return {
        "history": history,
        "metrics": {"loss": float("nan") if diverged else history["loss"][-1], "slope": weights[0]},
        "status": "diverged" if diverged else "ok",
        "diverged_epoch": 1 if diverged else None,
        "examples": config.work(),
        "predictions": (x > 0).astype(np.uint8),
        "arrays": {"weights": weights},
    }


fit_line.trial_id = "line"


def _meet(trouble, epoch):
    if trouble == "raise":
        raise ValueError("no such luck")
    if trouble == "kill" and epoch == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    kind, _, path = trouble.partition(": ")
    if kind == "raise if there" and Path(path).exists():
        raise ValueError("no such luck")
    if epoch == {"kill once": 1, "kill late": 7}.get(kind):
        with contextlib.suppress(FileExistsError):
            Path(path).touch(exist_ok=False)  # one of two trials side by side dies, never both
            os.kill(os.getpid(), signal.SIGKILL)


def fit_torch(config, context):
    """Two linear layers in PyTorch; keeps its weights."""
    import torch

    generator = torch.Generator().manual_seed(config.seed)
    x = torch.randn(config.points, 8, generator=generator)
    weights = [torch.randn(8, 16, generator=generator), torch.randn(16, 1, generator=generator)]
    losses = []
    for _ in range(config.epochs):
        for weight in weights:
            weight.requires_grad_()
        loss = (torch.relu(x @ weights[0]) @ weights[1] - x.sum(1, keepdim=True)).square().mean()
        gradients = torch.autograd.grad(loss, weights)
        weights = [weight.detach() - 0.01 * gradient for weight, gradient in zip(weights, gradients)]
        losses.append(loss.detach())
    checkpoint = {"first": weights[0], "second": weights[1]}
    threads = {"torch_threads": torch.get_num_threads(), "precision": "float32"}
    return {"history": {"loss": losses}, "metrics": {"loss": losses[-1]}, "status": "ok", "examples": config.work(),
            "checkpoint": checkpoint, "provenance": threads}  # fmt: skip


fit_torch.trial_id = "torch"


def score_rate(config, context):
    """No training: a validation accuracy that peaks at a learning rate of 0.01 and grows with the epochs."""
    accuracy = 1 - abs(np.log10(config.lr) + 2) / 10 - 1 / (10 * config.epochs)
    curve = {"validation_accuracy": [accuracy] * config.epochs}
    return {"history": curve, "metrics": {"validation_accuracy": accuracy}, "status": "ok", "examples": 1}


score_rate.trial_id = "score"


def refuse(config, context):
    """No training, and no result."""
    raise MemoryError("always")


refuse.trial_id = "refused"
