"""The single measurements of the benchmark: our trials, the machine's peak, memory, and a trial's other costs."""

import contextlib
import os
import statistics
import threading
import time
from dataclasses import replace
from datetime import datetime
from itertools import pairwise

import psutil
import torch
from torch.utils.flop_counter import FlopCounterMode

from helpers import data, device, networks, trials
from helpers.base import CourseworkError
from helpers.training.classifier import train_classifier
from helpers.trials import engine

from .cases import CASES, Case

STUDY = "bench"
MB = 1e6


def our_rate(case: Case, jobs: int, size: int | None, epochs: int, *, cold: bool = False, **about) -> dict:
    """Train `jobs` trials at once through trials.run, none of them from a record; `cold`: in new worker processes.

    rate: training examples per second, the sum over the trials; of a torch trial the time of its epochs but the
    first, of E's NumPy network its whole time. start_up: seconds of the run beside the epochs of its longest trial.
    """
    if cold:  # workers wait for the next run, but only in the environment in which they began
        os.environ["BENCH_RUN"] = str(time.monotonic_ns())
    config, started = case.sized(size, epochs, **about), time.perf_counter()
    frame = trials.run(case.function, {"case": config}, study=STUDY, seeds=jobs, jobs=jobs, fresh=True)
    wall = time.perf_counter() - started
    for record in frame["record"]:
        if record["status"].startswith("failed"):
            raise CourseworkError(f"{case.title}: {record['status']}")
    spent = [sum(record["history"].get("seconds", [record["seconds"]])) for record in frame["record"]]
    provenance = frame["record"][0]["provenance"]
    return {
        "rate": sum(_rate(record) for record in frame["record"]),
        "start_up": wall - max(spent),
        "precision": "float32" if case.numpy else provenance["precision"],
        "device": provenance.get("device", "cpu"),
    }


def _rate(record: dict) -> float:
    seconds = record["history"].get("seconds")
    if not seconds or len(seconds) == 1:
        return record["examples_per_second"]
    return record["examples"] / len(seconds) * (len(seconds) - 1) / sum(seconds[1:])


def size_for(case: Case, rate: float, seconds: float) -> tuple[int, int]:
    """Examples per epoch and epochs for about `seconds` at `rate`, and a first epoch that is not counted."""
    whole = len(data.load(case.config.dataset).train_labels)
    if case.numpy:  # an epoch has one evaluation of the test images, whatever the size
        return whole, max(1, round(rate * seconds / whole))
    batch = case.config.batch_size
    size = min(whole, batch * max(4, round(rate * seconds / 3 / batch)))
    return size, 1 + max(1, round(rate * seconds / size))


def flop_per_example(case: Case, dataset: data.Dataset) -> float:
    """Floating point operations in matrix products and convolutions to learn from one example.

    Of the network as we train it, with the mean before the last layer: less than the printed order needs.
    """
    config = case.config
    if case.numpy:
        nodes = [layer["input_nodes"] for layer in config.layers]
        products = [2 * n * m for n, m in pairwise(nodes)]
        return 3.0 * sum(products) - products[0]  # the first layer needs no gradient by its input
    net = networks.build(config.model, config.options, input_shape=dataset.input_shape, classes=len(dataset.classes))
    images = torch.rand(config.batch_size, *dataset.input_shape)
    with FlopCounterMode(display=False) as counter:
        net(images).sum().backward()
    return counter.get_total_flops() / config.batch_size


def peak(precision: str, where: str = "cpu", seconds: float = 1.0) -> float:
    """Floating point operations per second of the best large matrix product, all cores or the GPU at work."""
    best, synchronise = 0.0, torch.cuda.synchronize if where.startswith("cuda") else lambda: None
    with threads(engine.usable_cores()):
        for side in (1024, 2048, 4096):
            a, b = (torch.rand(side, side, device=where).to(getattr(torch, precision)) for _ in range(2))
            until = time.perf_counter() + seconds / 3
            while (started := time.perf_counter()) < until:
                torch.mm(a, b)
                synchronise()
                best = max(best, 2 * side**3 / (time.perf_counter() - started))
    return best


@contextlib.contextmanager
def threads(number: int):
    """Let PyTorch use so many threads in the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Memory(threading.Thread):
    """The largest memory of this process and all below it, in MB: proportional set size, where the system tells it.

    Shared pages count once, in parts, so that processes can be added up. In other systems than Linux: unique pages.
    """

    def __init__(self):
        super().__init__(daemon=True)
        self.total, self.parent, self.workers, self._end = 0.0, 0.0, [], threading.Event()

    def run(self):
        this = psutil.Process()
        while not self._end.wait(0.1):
            sizes = [_memory(process) for process in (this, *this.children(recursive=True))]
            if sum(sizes) > self.total:
                self.total, (self.parent, *self.workers) = sum(sizes), sizes

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        self.join()


def _memory(process) -> float:
    try:
        usage = process.memory_full_info()
    except psutil.Error:  # it has just ended
        return 0.0
    return getattr(usage, "pss", usage.uss) / MB


def memory(case: Case, size: int, jobs: int) -> dict:
    """Peak memory in MB of the parent and `jobs` workers that train on `size` examples and evaluate.

    What the rest of the data set would add to each worker, its uint8 images, is added: `computed`.
    """
    dataset = data.load(case.config.dataset)
    tested = min(2000, len(dataset.test_labels))
    with Memory() as seen:
        our_rate(case, jobs, size, 1, cold=True, evaluate=True, test_limit=tested)
    left_out = len(dataset.train_labels) - size + (0 if case.numpy else len(dataset.test_labels) - tested)
    computed = jobs * left_out * dataset.train_images[0].nbytes / MB
    small = [worker for worker in seen.workers if worker > 30]  # the others look after the workers
    return {"total": seen.total + computed, "parent": seen.parent, "workers": small, "computed": computed}


def trial_costs(dataset: str, count: int = 20, repeats: int = 5) -> dict:
    """What a trial costs beside its training, in milliseconds.

    cached: one whose record is there. dispatch: from the end of one training to the start of the next in the same
    worker, the record written in between.
    """
    config = replace(CASES["report_d_fc_256"].config, dataset=dataset, train_limit=256, epochs=3)
    rows, options = {"small": config}, {"study": STUDY, "seeds": count, "jobs": 1}
    frame = trials.run(train_classifier, rows, fresh=True, **options)
    begun = [datetime.fromisoformat(record["provenance"]["started"]).timestamp() for record in frame["record"]]
    ended = [start + seconds for start, seconds in zip(begun, frame["seconds"])]
    gaps = [start - end for start, end in zip(begun[1:], ended)]
    cached = []
    for _ in range(repeats):
        started = time.perf_counter()
        trials.run(train_classifier, rows, **options)
        cached.append((time.perf_counter() - started) / count)
    return {"cached": 1000 * statistics.median(cached), "dispatch": 1000 * statistics.median(gaps)}


def precision_check(dataset: str, epochs: int = 3, seeds=5, size: int | None = None, **about) -> dict:
    """Report A's network in float32 and in bfloat16: test accuracies over seeds, and the difference of their means.

    A seed draws the same weights and order in both, so the standard error is that of the paired differences.
    Agree: the difference is at most 0.003, or within three standard errors.
    """
    config = replace(CASES["report_a_64"].config, dataset=dataset, epochs=epochs, train_limit=size, **about)
    rows = {name: replace(config, precision=name) for name in ("float32", "bfloat16")}
    frame = trials.run(train_classifier, rows, study=STUDY, seeds=seeds)
    accuracies = {name: part["test_accuracy"].tolist() for name, part in frame.groupby("row")}
    differences = [b - f for b, f in zip(accuracies["bfloat16"], accuracies["float32"])]
    mean, error = statistics.fmean(differences), statistics.stdev(differences) / len(differences) ** 0.5
    own = {f"{name}_own_total": part["examples_per_second"].median() for name, part in frame.groupby("row")}
    return accuracies | own | {
        "difference": mean, "standard_error": error, "epochs": epochs, "agree": abs(mean) <= max(0.003, 3 * error),
    }  # fmt: skip


def machine() -> dict:
    """What the numbers were measured on."""
    facts = device.describe()
    return {name: facts.get(name) for name in ("processor", "gpu", "cores", "capability", "torch", "numpy", "python")}
