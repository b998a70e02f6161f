"""The training loop: `fit` trains a network epoch by epoch, and goes on where it was stopped."""

import copy
import io
import math
import time
import warnings
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from helpers import data, device
from helpers.base import write_atomically
from helpers.training import optimisers
from helpers.training.epoch import evaluate, run_epoch
from helpers.training.weights import Weights


class UnreadableState(UserWarning):
    """The state of an interrupted training cannot be used here, so the training starts anew."""


@dataclass
class History:
    """What `fit` measured: one list per column, how it ended, and the epoch whose weights the model now has."""

    columns: dict[str, list] = field(default_factory=lambda: defaultdict(list))
    diverged_epoch: int | None = None  # counted from 1, as best_epoch is
    best_epoch: int = 0

    def frame(self):
        """The history as a DataFrame, one line per epoch."""
        import pandas as pd

        return pd.DataFrame(dict(self.columns)).rename_axis("epoch").rename(index=lambda i: i + 1)


def fit(model: nn.Module, train: data.Resident, watched: dict[str, data.Resident], config, *, on_epoch=None,
        state_path=None, save_every: float = 120.0) -> History:  # fmt: skip
    """Train `model` on `train` as `config` says; evaluate it on each part of `watched` after every epoch.

    on_epoch(row) gets each epoch's numbers. With `state_path`, the whole state is saved every `save_every` seconds and
    taken up by the next call, which then ends with the same bits; a state that cannot be read is set aside with an
    UnreadableState warning. A loss that is not finite ends the training. Weights at the end: `config.keep`.
    """
    training = _Training(model, train, config)
    if state_path and Path(state_path).exists():
        training.resume(Path(state_path))
    history, saved_at = training.history, time.monotonic()
    for epoch in range(len(history.columns["train_loss"]) + 1, config.epochs + 1):
        row = training.epoch(epoch, watched)
        for name, value in row.items():
            history.columns[name].append(value)
        if on_epoch:
            on_epoch({"epoch": epoch, "epochs": config.epochs, "examples": epoch * len(train), **row})
        if not math.isfinite(row["train_loss"]):
            history.diverged_epoch = epoch
            break
        training.after_epoch(epoch, row)
        if training.patience_is_over(epoch, row):
            break
        if state_path and time.monotonic() - saved_at > save_every:
            training.save(state_path)
            saved_at = time.monotonic()
    training.keep_weights()
    return history


class _Training:
    """One `fit` under way: model, optimisers, schedulers, random states and history, which a state file holds."""

    def __init__(self, model, train, config):
        where = train.labels.device
        self.model = model.to(where, memory_format=torch.channels_last)
        self.train, self.config = train, config
        self.precision = device.resolve_precision(config.precision, where)
        self.weights = Weights(self.model, self.precision, config.average)
        self.optimisers = optimisers.make_optimisers(model, config, self.weights.flat)
        steps = -(-len(train) // config.batch_size)
        made = [optimisers.make_scheduler(optimiser, config, steps) for optimiser in self.optimisers]
        self.schedulers = [scheduler for scheduler in made if scheduler]
        self.generator = torch.Generator().manual_seed(config.seed)  # order and augmentation
        self.largest_norm = torch.zeros((), device=where)
        self.history = History()
        self.best_accuracy, self.best_state = -math.inf, None
        self.lowest_loss, self.lowest_epoch = math.inf, 0  # of early stopping

    def epoch(self, epoch: int, watched) -> dict:
        """Train one epoch, evaluate; the history's row."""
        config, started = self.config, time.perf_counter()
        row = {"lr": self.optimisers[0].param_groups[0]["lr"]}
        self.largest_norm.zero_()
        order = torch.randperm(len(self.train), generator=self.generator).to(self.train.labels.device)

        def transform(inputs, index):
            return data.augment(inputs, index, epoch - 1, config.augment, self.generator)

        network, precision = self.weights.network, self.weights.precision
        network.train()
        self.weights.swap()
        row["train_loss"], row["train_accuracy"], _ = run_epoch(
            network, self.train, order, config.batch_size, precision=precision, step=self.step,
            transform=transform if config.augment else None, label_smoothing=config.label_smoothing,
        )  # fmt: skip
        self.weights.swap()
        if config.gradient_norm:
            row["gradient_norm"] = self.largest_norm.item()
        for name, part in watched.items():
            row[f"{name}_loss"], row[f"{name}_accuracy"], _ = evaluate(
                network, part, precision=precision, training_mode=config.dropout_in_evaluation
            )
        row["seconds"] = time.perf_counter() - started
        return row

    def step(self, loss) -> None:
        """One update of the weights, and of a learning rate that changes with every step."""
        config = self.config
        self.weights.backward(loss)
        if config.clip_norm or config.gradient_norm:
            norm = nn.utils.clip_grad_norm_([self.weights.flat], config.clip_norm or math.inf)
            torch.maximum(self.largest_norm, norm.detach(), out=self.largest_norm)
        for optimiser in self.optimisers:
            optimiser.step()
        self.weights.refresh()
        if config.scheduler in optimisers.PER_STEP:
            for scheduler in self.schedulers:
                scheduler.step()

    def after_epoch(self, epoch: int, row: dict) -> None:
        """Step the schedulers that change the rate once an epoch, and keep the best weights."""
        for scheduler in self.schedulers:
            if self.config.scheduler == "plateau":
                scheduler.step(row[self.config.scheduler_input])
            elif self.config.scheduler in optimisers.PER_EPOCH:
                scheduler.step()
        if self.config.keep == "best" and row["validation_accuracy"] > self.best_accuracy:
            self.best_accuracy, self.history.best_epoch = row["validation_accuracy"], epoch
            self.best_state = copy.deepcopy(self.model.state_dict())

    def patience_is_over(self, epoch: int, row: dict) -> bool:
        """Whether early stopping ends the training: no lower validation loss for config.patience epochs."""
        if self.config.patience is None:
            return False
        if row["validation_loss"] < self.lowest_loss:
            self.lowest_loss, self.lowest_epoch = row["validation_loss"], epoch
        return epoch - self.lowest_epoch >= self.config.patience

    def keep_weights(self) -> None:
        """Leave the weights that config.keep names in the model."""
        if self.config.keep == "best" and self.best_state:
            self.model.load_state_dict(self.best_state)
        else:
            self.history.best_epoch = len(self.history.columns["train_loss"])
        self.weights.release()

    def state(self) -> dict:
        """All that decides how the training goes on, as plain types and tensors."""
        return {
            "parts": [part.state_dict() for part in self._parts()],
            "aside": self.weights.aside,
            "columns": dict(self.history.columns),
            "best": [self.history.best_epoch, self.best_accuracy, self.best_state],
            "lowest": [self.lowest_loss, self.lowest_epoch],
            "random": _random_states(self.generator),
        }

    def take_up(self, state: dict) -> None:
        """Go on from `state`; raises whatever torch does where it is of another device or form."""
        for part, saved in zip(self._parts(), state["parts"], strict=True):
            part.load_state_dict(saved)
        self.history.columns.clear()
        self.history.columns.update(state["columns"])
        self.history.best_epoch, self.best_accuracy, self.best_state = state["best"]
        self.lowest_loss, self.lowest_epoch = state["lowest"]
        self.weights.restore(state["aside"])
        _set_random_states(self.generator, state["random"])

    def save(self, path) -> None:
        """Write the whole state to `path`."""
        buffer = io.BytesIO()
        torch.save(self.state(), buffer)
        write_atomically(path, buffer.getvalue())

    def resume(self, path: Path) -> None:
        """Take up the state in `path`; where that fails, start anew and set the file aside."""
        fresh = copy.deepcopy(self.state())
        try:
            self.take_up(torch.load(path, weights_only=True, map_location=self.train.labels.device))
        except Exception as error:  # cut short, or of another device: torch and pickle raise many kinds
            self.take_up(fresh)
            path.replace(path.with_suffix(".unreadable"))
            reason = str(error).split("\n")[0]
            warnings.warn(f"{path} cannot be read ({reason}): starting anew", UnreadableState, stacklevel=3)

    def _parts(self) -> list:
        return [self.model, *self.optimisers, *self.schedulers]


def _random_states(generator: torch.Generator) -> list[torch.Tensor]:
    """The states of the order's generator, of the processor's and, where there is one, of the GPU's (dropout)."""
    gpu = [torch.cuda.get_rng_state()] if torch.cuda.is_available() else []
    return [generator.get_state(), torch.get_rng_state(), *gpu]


def _set_random_states(generator: torch.Generator, states: list[torch.Tensor]) -> None:
    order, processor, *gpu = [state.cpu() for state in states]
    generator.set_state(order)
    torch.set_rng_state(processor)
    if gpu:
        torch.cuda.set_rng_state(gpu[0])
