"""A classifier's training as a trial: its config, and the function that trains, evaluates and fills a record."""

import os
import time
from dataclasses import dataclass, field, replace

import torch

from helpers import data, device, networks
from helpers.base import CourseworkError, check_at_least, check_choice
from helpers.training import optimisers
from helpers.training.epoch import evaluate
from helpers.training.loop import fit

PARTS = ("train", "validation", "test")


@dataclass(frozen=True, kw_only=True)
class ClassifierConfig:
    """Everything that decides a training's result, so that its hash can name it."""

    model: str = "patch_mlp"  # a name in networks.MODELS
    options: dict = field(default_factory=dict)  # of that model
    dataset: str = "fashion_mnist"
    validation: bool = False  # hold out a tenth of the training part (stratified), else train on all of it
    watch: tuple[str, ...] = ("test",)  # evaluated after each epoch: "test" as the reports did, or "validation"
    read_test: bool = False  # evaluate the test set once, at the end
    keep: str = "last"  # weights at the end: "last" epoch or "best" on validation accuracy
    train_limit: int | None = None  # train on the first n examples only (reduced budgets)
    test_limit: int | None = None  # evaluate on the first n test images only (the smoke budget)
    normalise: bool = False  # by mean and deviation of the training part, per channel; else [0, 1]
    augment: tuple[str, ...] = ()  # "flip", "shift", "erase"
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
    average: float = 0.0  # share that the running mean of the weights, then evaluated and kept, keeps at each step
    patience: int | None = None  # early stopping: epochs without a lower validation loss
    dropout_in_evaluation: bool = False  # never call eval(), as report E's CIFAR-10 code
    gradient_norm: bool = False  # record each epoch's largest
    checkpoint: bool = False  # keep the weights beside the record
    precision: str = field(default_factory=lambda: os.environ.get("PRECISION") or "auto")
    threads: int = 1
    seed: int = 0

    def __post_init__(self):
        """Raises CourseworkError for what no training can do, before anything is loaded."""
        check_choice("optimiser", self.optimiser, optimisers.OPTIMISERS)
        check_choice("scheduler", self.scheduler, optimisers.SCHEDULERS)
        check_choice("keep", self.keep, ("last", "best"))
        for kind in self.augment:
            check_choice("augment", kind, data.AUGMENTATIONS)
        for name in self.watch:
            check_choice("watch", name, PARTS)
        check_at_least(1, self, "epochs batch_size train_limit test_limit patience threads")
        if self.clip_norm is not None and self.clip_norm <= 0:
            raise CourseworkError(f"clip_norm={self.clip_norm} must be above 0; None leaves gradients as they are")
        if not 0 <= self.average < 1:
            raise CourseworkError(f"average={self.average} must lie in [0, 1); 0 evaluates the weights themselves")
        if "validation" in self.watch and not self.validation:
            raise CourseworkError("watch='validation' needs validation=True, which holds a part out")
        if (self.keep == "best" or self.patience is not None) and "validation" not in self.watch:
            raise CourseworkError('keep="best" and patience choose by the validation part: add "validation" to watch')

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

    def probe(self) -> "ClassifierConfig":
        """The same training cut to 2,000 images, 2 epochs and 500 test images: see trials.probe.

        It shows any change of data, network, step and evaluation. It does not reach what happens later: the cuts of
        a per-epoch scheduler, early stopping, the choice of the best epoch. tests/training shows these.
        """
        limits = {"train_limit": min(self.train_limit or 2000, 2000), "test_limit": min(self.test_limit or 500, 500)}
        return replace(self, checkpoint=False, epochs=min(self.epochs, 2), **limits)


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
    model = networks.build(
        config.model, config.options, input_shape=shape, classes=classes, initialiser=config.initialiser
    )
    parts = data.resident_parts(config, dataset, where, getattr(model, "patch_size", None))
    networks.whiten(model, parts["train"].batch(slice(0, 2000))[0].cpu())
    watched = {name: parts[name] for name in config.watch}
    started = time.perf_counter()
    history = fit(model, parts["train"], watched, config, on_epoch=context.epoch, state_path=context.state_path)
    precision = device.resolve_precision(config.precision, where)
    metrics, predictions = _final_metrics(model, parts, config, history, precision)
    return {
        "history": dict(history.columns),
        "metrics": metrics,
        "status": "diverged" if history.diverged_epoch else "ok",
        "diverged_epoch": history.diverged_epoch,
        "examples": metrics["epochs"] * len(parts["train"]),
        "predictions": predictions,
        "checkpoint": {k: v.cpu() for k, v in model.state_dict().items()} if config.checkpoint else None,
        "provenance": {
            "precision": precision,
            "device": str(where),
            "fit_seconds": time.perf_counter() - started,
        },
    }


train_classifier.trial_id = "classifier"


def _final_metrics(model, parts, config, history, precision) -> tuple[dict, object]:
    """The metrics of the weights that were kept, and the predicted test labels; None where the test set is not read."""
    last = history.best_epoch - 1
    metrics = {name: values[last] for name, values in history.columns.items() if name != "seconds"}
    metrics |= {"epochs": len(history.columns["train_loss"]), "best_epoch": history.best_epoch}
    if history.diverged_epoch:  # what every further epoch would print: the running mean still holds healthy batches
        metrics["train_accuracy"] = evaluate(model, parts["train"], precision=precision)[1]
    if not (config.read_test or "test" in config.watch):
        return metrics, None
    mode = {"precision": precision, "training_mode": config.dropout_in_evaluation}
    metrics["test_loss"], metrics["test_accuracy"], guesses = evaluate(model, parts["test"], **mode)
    return metrics, guesses.to("cpu", torch.uint8).numpy()
