"""Where the time goes: one shortcut after the other, a step by its operations, and what makes a training longer."""

import contextlib
import statistics
import time
from dataclasses import replace

import pandas as pd
import torch

from helpers import data, networks, trials
from helpers.networks import fast
from helpers.training import optimisers
from helpers.training.classifier import train_classifier
from helpers.training.epoch import run_epoch
from helpers.training.loop import fit
from helpers.training.weights import Weights
from helpers.trials import engine

from . import classic
from .cases import CASES
from .measure import STUDY, threads

LADDER = {  # what each rung adds to those before it, as `rung` takes it
    "no loader": {},  # the classic loop on one resident tensor
    "one thread": {},
    "our loop": {"ours": True},  # nothing read back per batch, fused optimiser
    "patches cut once": {"cut": True},
    "mean first": {"mean_first": True},
    "bfloat16": {"precision": "bfloat16"},
    "memory not filled": {"filled": False},
    "layers as one": {"as_one": True},
    "weights as one": {"vector": True},
    "memory kept": {"kept": True},
}
OPERATIONS = {  # the first whose word is in the name of an operation counts it
    "matrix products": ("mm", "linear", "convolution"),
    "ReLU": ("relu", "clamp_min", "threshold"),
    "sums and means": ("sum", "mean"),
    "copies and casts": ("copy", "cat"),
    "normalisation": ("norm",),
    "dropout's masks, scaling": ("bernoulli", "mul", "div"),
    "optimiser": ("ptimizer", "_fused"),
    "loss": ("softmax", "nll", "entropy", "argmax", "::eq"),
    "cutting the batch": ("index",),
}


def ladder(dataset: data.Dataset, seconds: float) -> dict:
    """Report A's network at batch 64 in this process, one shortcut after the other: name -> examples per second.

    The last shortcut stays set in this process: a second ladder would have it from the first rung on.
    """
    rates, about = {}, {}
    with _deterministic():
        for name, added in LADDER.items():
            about |= added
            with threads(classic.THREADS if name == "no loader" else 1):
                rates[name] = statistics.median(rung(dataset, seconds / 3, **about) for _ in range(5))
    return rates


@contextlib.contextmanager
def _deterministic():
    before, filled = torch.are_deterministic_algorithms_enabled(), torch.utils.deterministic.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True, warn_only=True)  # as trials do
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
        torch.utils.deterministic.fill_uninitialized_memory = filled


def rung(dataset, seconds, *, ours=False, cut=False, mean_first=False, precision="float32", filled=True,
         as_one=False, vector=False, kept=False) -> float:  # fmt: skip
    """Training examples per second of report A's network, on the processor, with these shortcuts."""
    torch.utils.deterministic.fill_uninitialized_memory = filled
    if kept:
        engine.keep_freed_memory()
    config = CASES["report_a_64"].config
    net = classic.network(config, dataset.input_shape, len(dataset.classes))
    with contextlib.nullcontext() if as_one else fast.one_by_one():
        if not ours:
            return _classic_rate(net, dataset, config, seconds)
        net[1].mean_first = mean_first
        return _our_rate(net[1] if cut else net, dataset, config, seconds, cut, precision, vector)


def _classic_rate(net, dataset, config, seconds) -> float:
    resident = data.ImageDataset(data.to_tensor(dataset.train_images), dataset.train_labels)
    window = classic.Window(data.Batches(resident, config.batch_size, shuffle=True), seconds)
    classic.train_epoch(net, window, torch.nn.CrossEntropyLoss(), classic.optimiser(net, config))
    return window.examples / window.seconds


def _our_rate(net, dataset, config, seconds, cut, precision, vector) -> float:
    step, mode = _plain_step(net, config), precision
    if vector:
        weights = Weights(net, precision)
        net, mode, step = weights.network, weights.precision, _vector_step(weights, config)
    images = data.to_tensor(dataset.train_images)
    for size in (4, max(8, round(seconds * CASES["report_a_64"].guess / config.batch_size))):  # the first warms up
        size = min(size * config.batch_size, len(images))
        part = data.Resident(images[:size], dataset.train_labels[:size], patch_size=14 if cut else None)
        order, started = torch.randperm(size), time.perf_counter()
        run_epoch(net, part, order, config.batch_size, precision=mode, step=step)
    return size / (time.perf_counter() - started)


def _plain_step(net, config):
    updater = optimisers.make_optimisers(net, config)[0]

    def step(loss):
        updater.zero_grad(set_to_none=True)
        loss.backward()
        updater.step()

    return step


def _vector_step(weights, config):
    updater = optimisers.make_optimisers(weights.network, config, weights.flat)[0]

    def step(loss):
        weights.backward(loss)
        updater.step()
        weights.refresh()

    return step


def operations(name: str, dataset: data.Dataset, batches: int = 8) -> dict:
    """The share of each kind of operation in a training of a case, on one core: OPERATIONS and "everything else"."""
    config = replace(CASES[name].config, dataset=dataset.name, epochs=1, watch=(), train_limit=None)
    net = networks.build(
        config.model, config.options, input_shape=dataset.input_shape, classes=len(dataset.classes),
        initialiser=config.initialiser,
    )  # fmt: skip
    limited = replace(config, train_limit=batches * config.batch_size)
    part = data.resident_parts(limited, dataset, "cpu", getattr(net, "patch_size", None))["train"]
    with threads(1):
        fit(net, part, {}, limited)  # kernels are chosen
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
            fit(net, part, {}, limited)
    spent = dict.fromkeys([*OPERATIONS, "everything else"], 0.0)
    for event in profile.key_averages():
        spent[_kind(event.key)] += event.self_cpu_time_total
    total = sum(spent.values())
    return {kind: time / total for kind, time in spent.items()}


def _kind(operation: str) -> str:
    if operation.startswith("autograd::"):  # the engine around operations that are counted themselves
        return "everything else"
    words = ((kind, word) for kind, words in OPERATIONS.items() for word in words)
    return next((kind for kind, word in words if word in operation), "everything else")


def growth(dataset: str, size: int, steps=(1, 2, 4)) -> pd.DataFrame:
    """How long a training of C's kind takes with so many times the epochs, images, width, or trainings at once.

    Columns: what, times (as much), seconds (of one training), longer (than with 1).
    """
    first = replace(CASES["report_c_128"].config, dataset=dataset, epochs=1, train_limit=size, watch=())
    width = {"width": 64, "hidden": 128, "token_hidden": 128}
    first = replace(first, options=first.options | width)
    jobs = engine.usable_cores()
    trainings = {("epochs", n): (replace(first, epochs=n), 1) for n in steps}
    trainings |= {("images", n): (replace(first, train_limit=n * size), 1) for n in steps}
    wider = {n: first.options | {name: n * value for name, value in width.items()} for n in steps}
    trainings |= {("width", n): (replace(first, options=wider[n]), 1) for n in steps}
    trainings |= {("trainings at once", n): (first, n) for n in range(1, jobs + 1)}
    _seconds(first, jobs)  # the workers start
    rows = [(what, n, _seconds(*about)) for (what, n), about in trainings.items()]
    frame = pd.DataFrame(rows, columns=["what", "times", "seconds"])
    frame["longer"] = frame["seconds"] / frame.groupby("what")["seconds"].transform("first")
    return frame


def _seconds(config, count: int) -> float:
    options = {"study": STUDY, "seeds": count, "jobs": engine.usable_cores(), "fresh": True}
    frame = trials.run(train_classifier, {"one": config}, **options)
    return max(record["provenance"]["fit_seconds"] for record in frame["record"])
