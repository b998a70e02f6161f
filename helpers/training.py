"""Training a classifier: one epoch function for training and evaluation, `fit`, and the trial of a classifier."""

import copy
import io
import math
import os
import time
from collections import defaultdict
from dataclasses import dataclass, field

import torch
from torch import nn

from helpers import data, device, models, optimisers
from helpers.base import CourseworkError, write_atomically
from helpers.epoch import evaluate, run_epoch


@dataclass(frozen=True, kw_only=True)
class ClassifierConfig:
    """Everything that decides a training's result, so that its hash can name it."""

    model: str = "patch_mlp"  # a name in models.MODELS
    options: dict = field(default_factory=dict)  # of that model
    dataset: str = "fashion_mnist"
    validation: bool = False  # hold out a tenth of the training part (stratified), else train on all of it
    watch: tuple[str, ...] = ("test",)  # evaluated after each epoch: "test" as the reports did, or "validation"
    read_test: bool = False  # evaluate the test set once, at the end
    keep: str = "last"  # weights at the end: "last" epoch or "best" on validation accuracy
    train_limit: int | None = None  # train on the first n examples only (reduced budgets)
    test_limit: int | None = None  # evaluate on the first n test images only (the smoke budget)
    normalise: bool = False  # by mean and deviation of the training part, per channel; else [0, 1]
    augment: tuple[str, ...] = ()  # "flip", "shift"
    epochs: int = 10
    batch_size: int = 64
    optimiser: str = "sgd"
    lr: float = 0.1
    momentum: float = 0.0  # of sgd, rmsprop and muon
    weight_decay: float = 0.0
    optimiser_options: dict = field(default_factory=dict)
    scheduler: str = "none"  # none, plateau, multistep (per epoch), one_cycle, cosine, triangle (per step)
    scheduler_options: dict = field(default_factory=dict)
    scheduler_input: str = "train_loss"  # the history column that plateau watches
    initialiser: str = "default"
    label_smoothing: float = 0.0
    clip_norm: float | None = None  # largest gradient norm
    patience: int | None = None  # early stopping: epochs without a lower validation loss
    dropout_in_evaluation: bool = False  # never call eval(), as report E's CIFAR-10 code
    gradient_norm: bool = False  # record each epoch's largest
    checkpoint: bool = False  # keep the weights beside the record
    precision: str = field(default_factory=lambda: os.environ.get("PRECISION") or "auto")
    threads: int = 1
    seed: int = 0

    def fingerprint(self) -> str:
        """The hash of the data set that this trial uses."""
        return data.fingerprint(self.dataset)

    def training_size(self) -> int:
        """Examples in the part that is trained on."""
        dataset = data.load(self.dataset)
        size = len(dataset.train_labels) - self.validation * dataset.validation
        return min(size, self.train_limit or size)

    def work(self) -> int:
        """Training examples processed in all epochs."""
        return self.epochs * self.training_size()


@dataclass
class History:
    """What `fit` saw: one list per column, how it ended, and the epoch whose weights the model now has."""

    columns: dict[str, list] = field(default_factory=lambda: defaultdict(list))
    status: str = "ok"
    best_epoch: int = 0  # counted from 1

    def frame(self):
        """The history as a DataFrame, one line per epoch."""
        import pandas as pd

        return pd.DataFrame(dict(self.columns)).rename_axis("epoch").rename(index=lambda i: i + 1)


class _Run:
    """The moving parts of one `fit`: all that a state file holds, so that a training can go on where it stopped."""

    def __init__(self, model, config, steps_per_epoch):
        self.model = model
        self.optimisers = optimisers.make_optimisers(model, config)
        self.schedulers = [optimisers.make_scheduler(o, config, steps_per_epoch) for o in self.optimisers]
        self.schedulers = [s for s in self.schedulers if s]
        self.generator = torch.Generator().manual_seed(config.seed)  # order and augmentation
        self.history, self.best, self.best_state, self.patience_from = (
            History(),
            -math.inf,
            None,
            (math.inf, 0),
        )

    def save(self, path) -> None:
        buffer = io.BytesIO()
        parts = [o.state_dict() for o in [self.model, *self.optimisers, *self.schedulers]]
        told = [
            dict(self.history.columns),
            self.history.best_epoch,
            self.best,
            self.best_state,
            self.patience_from,
        ]
        torch.save(
            {
                "parts": parts,
                "told": told,
                "rng": _random_states(self.generator),
            },
            buffer,
        )
        write_atomically(path, buffer.getvalue())

    def load(self, path) -> None:
        state = torch.load(path, weights_only=True)
        for part, saved in zip([self.model, *self.optimisers, *self.schedulers], state["parts"]):
            part.load_state_dict(saved)
        columns, self.history.best_epoch, self.best, self.best_state, self.patience_from = state["told"]
        self.history.columns.update(columns)
        order, processor, *gpu = state["rng"]
        self.generator.set_state(order)
        torch.set_rng_state(processor)
        if gpu and torch.cuda.is_available():
            torch.cuda.set_rng_state(gpu[0])


def _random_states(generator: torch.Generator) -> list[torch.Tensor]:
    """The states of the order's generator, of the processor's and, where there is one, of the GPU's (dropout)."""
    gpu = [torch.cuda.get_rng_state()] if torch.cuda.is_available() else []
    return [generator.get_state(), torch.get_rng_state(), *gpu]


def fit(model: nn.Module, train: data.Resident, watched: dict[str, data.Resident], config, *, on_epoch=None,
        state_path=None, save_every: float = 120.0) -> History:  # fmt: skip
    """Train `model` on `train` as `config` says; evaluate it on each part of `watched` after every epoch.

    on_epoch(row) gets each epoch's numbers. With `state_path`, the whole state is saved every `save_every` seconds
    and found again by the next call, which then ends with the same bits. A loss that is not finite ends the
    training with status "diverged at epoch k". Weights at the end: `config.keep`.
    """
    where = train.labels.device
    precision = device.resolve_precision(config.precision, where)
    model.to(where, memory_format=torch.channels_last)
    run = _Run(model, config, -(-len(train) // config.batch_size))
    history, parameters, saved_at = (
        run.history,
        [p for p in model.parameters() if p.requires_grad],
        time.monotonic(),
    )
    if state_path and os.path.exists(state_path):
        run.load(state_path)
    per_step = [s for s in run.schedulers if config.scheduler in optimisers.PER_STEP]
    largest_norm = torch.zeros((), device=where)

    def step(loss):
        for optimiser in run.optimisers:
            optimiser.zero_grad(set_to_none=True)
        loss.backward()
        if config.clip_norm or config.gradient_norm:
            norm = nn.utils.clip_grad_norm_(parameters, config.clip_norm or math.inf)
            torch.maximum(largest_norm, norm.detach(), out=largest_norm)
        for part in [*run.optimisers, *per_step]:
            part.step()

    def transform(inputs, index):
        return data.augment(inputs, index, epoch, config.augment, run.generator)

    for epoch in range(len(history.columns["train_loss"]), config.epochs):
        started = time.perf_counter()
        row = {"lr": run.optimisers[0].param_groups[0]["lr"]}
        largest_norm.zero_()
        order = torch.randperm(len(train), generator=run.generator).to(where)
        model.train()
        row["train_loss"], row["train_accuracy"], _ = run_epoch(
            model, train, order, config.batch_size, precision=precision, step=step,
            transform=transform if config.augment else None, label_smoothing=config.label_smoothing,
        )  # fmt: skip
        if config.gradient_norm:
            row["gradient_norm"] = largest_norm.item()
        for name, part in watched.items():
            row[f"{name}_loss"], row[f"{name}_accuracy"], _ = evaluate(
                model, part, precision=precision, training_mode=config.dropout_in_evaluation
            )
        row["seconds"] = time.perf_counter() - started
        for name, value in row.items():
            history.columns[name].append(value)
        if on_epoch:
            on_epoch(
                {
                    "epoch": epoch + 1,
                    "epochs": config.epochs,
                    "examples": (epoch + 1) * len(train),
                    **row,
                }
            )
        if not math.isfinite(row["train_loss"]):
            history.status = f"diverged at epoch {epoch + 1}"
            break
        if _after_epoch(run, config, row, epoch + 1):
            break
        if state_path and time.monotonic() - saved_at > save_every:
            run.save(state_path)
            saved_at = time.monotonic()
    if config.keep == "best" and run.best_state:
        model.load_state_dict(run.best_state)
    else:
        history.best_epoch = len(history.columns["train_loss"])
    return history


def _after_epoch(run: _Run, config, row: dict, epoch: int) -> bool:
    """Step the per-epoch schedulers, keep the best weights, and say whether patience has run out."""
    for scheduler in run.schedulers:
        if config.scheduler == "plateau":
            scheduler.step(row[config.scheduler_input])
        elif config.scheduler in optimisers.PER_EPOCH:
            scheduler.step()
    if config.keep == "best" and row["validation_accuracy"] > run.best:
        run.best, run.history.best_epoch = row["validation_accuracy"], epoch
        run.best_state = copy.deepcopy(run.model.state_dict())
    if config.patience is None:
        return False
    if row["validation_loss"] < run.patience_from[0]:
        run.patience_from = (row["validation_loss"], epoch)
    return epoch - run.patience_from[1] >= config.patience


def train_classifier(config: ClassifierConfig, context) -> dict:
    """The trial of a classifier: train as `config` says, evaluate, and return what a record holds.

    `predictions`: uint8 labels (N,) of the test set at the end, if this trial reads it. `context` offers device,
    state_path and epoch(row).
    """
    torch.set_num_threads(config.threads)
    where = device.choose(context.device)
    device.seed_everything(config.seed)
    dataset = data.load(config.dataset)
    shape, classes = dataset.input_shape, len(dataset.classes)
    model = models.build(
        config.model,
        config.options,
        input_shape=shape,
        classes=classes,
        initialiser=config.initialiser,
    )
    parts = data.resident_parts(config, dataset, where, getattr(model, "patch_size", None))
    models.whiten(model, parts["train"].batch(slice(0, 2000))[0].cpu())
    if (config.keep == "best" or config.patience is not None) and "validation" not in config.watch:
        raise CourseworkError('keep="best" and patience choose by the validation part: add "validation" to watch')
    for name in config.watch:
        if name not in parts:
            raise CourseworkError(f"watch={name!r} needs validation=True or is none of {', '.join(parts)}")
    watched = {name: parts[name] for name in config.watch}
    started = time.perf_counter()
    history = fit(
        model,
        parts["train"],
        watched,
        config,
        on_epoch=context.epoch,
        state_path=context.state_path,
    )
    last = history.best_epoch - 1
    metrics = {k: v[last] for k, v in history.columns.items() if k != "seconds"}
    metrics |= {"epochs": len(history.columns["train_loss"]), "best_epoch": history.best_epoch}
    predictions = None
    precision = device.resolve_precision(config.precision, where)
    if history.status != "ok":  # what every further epoch would print: the running mean still holds healthy batches
        metrics["train_accuracy"] = evaluate(model, parts["train"], precision=precision)[1]
    if config.read_test or "test" in config.watch:
        mode = {"precision": precision, "training_mode": config.dropout_in_evaluation}
        metrics["test_loss"], metrics["test_accuracy"], guesses = evaluate(model, parts["test"], **mode)
        predictions = guesses.to("cpu", torch.uint8).numpy()
    return {
        "history": dict(history.columns),
        "metrics": metrics,
        "status": history.status,
        "examples": metrics["epochs"] * len(parts["train"]),
        "predictions": predictions,
        "checkpoint": {k: v.cpu() for k, v in model.state_dict().items()} if config.checkpoint else None,
        "provenance": {
            "precision": precision,
            "device": str(where),
            "fit_seconds": time.perf_counter() - started,
        },
    }
