"""One training, in whatever process: the trial function called, timed, and its machine noted."""

import contextlib
import datetime
import functools
import os
import platform
import sys
import time
import traceback
from pathlib import Path

from helpers import base
from helpers.base import CourseworkError
from helpers.trials import engine, probe, records
from helpers.trials.source import source_hash

loaded_source = functools.cache(source_hash)  # as it was when this process began to train


def now() -> str:
    """The time in UTC, as text that sorts by time."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")


def state_path(folder: Path, study: str, key: str, source: str) -> Path:
    """Where a trial keeps its whole state while it trains; never taken up under other source."""
    return folder / study / ".state" / f"{key}-{source}.pt"


def forget_states(folder: Path, study: str, key: str):
    """Remove a trial's mid-trial states, and the halves of them that a killed process left."""
    states = state_path(folder, study, key, "").parent
    for path in [*states.glob(f"{key}-*"), *states.glob(f".{key}-*")]:
        path.unlink(missing_ok=True)


def train(function, config, task: dict, listener=None) -> dict:
    """In a worker: train, and return what the record holds beside the config, as plain types and bytes.

    task: records (the folder), study, key, source, fingerprint; fresh: start anew though a mid-trial state lies there.
    """
    started = now()
    folder = task["records"] if task["records"].is_dir() else base.RECORDS  # a cluster may not share the disk
    state = state_path(folder, task["study"], task["key"], task["source"])
    try:
        _check(function, config, task)
        if task["fresh"]:
            state.unlink(missing_ok=True)
        about = {"started": started, "resumed": state.exists()}
        with _ready(config, listener, state) as context:
            start = time.perf_counter()
            outcome = _outcome(function, config, context)
            outcome.setdefault("seconds", time.perf_counter() - start)
            machine = _machine(config, context) | about
        measured = None
        with contextlib.suppress(Exception):  # a training that has ended well is not lost to its probe
            if small := probe.probe_of(config):
                measured = _measured(function, small)
        return _plain(outcome) | {"provenance": machine | outcome.get("provenance", {}), "probe": measured}
    except Exception as error:
        return failure(error, started)


def _outcome(function, config, context) -> dict:
    """What the trial function returns; a mid-trial state that brings it down is set aside and the trial begun anew."""
    resumed = context.state_path.exists()
    try:
        return function(config, context)
    except Exception:
        if not resumed:
            raise
        with contextlib.suppress(FileNotFoundError):
            context.state_path.replace(context.state_path.with_suffix(".unreadable"))
        return function(config, context)


def train_probe(function, config, task: dict, listener=None) -> dict:
    """In a worker: train `config`, the probe of a record or a whole cheap training, as `probe.measure` returns it."""
    try:
        _check(function, config, task)
        return _measured(function, config)
    except Exception as error:
        return failure(error)


def _measured(function, config) -> dict:
    """A probe, trained on the processor also where there is a GPU: that one drops other units from the same seed, and
    the probe has to be compared on machines that have none."""
    with _ready(config, device="cpu") as context:
        return probe.measure(function, config, context, _machine(config, context))


def threads_of(config) -> int:
    """How many threads a training of `config` uses: one where its class does not say."""
    return getattr(config, "threads", 1)


@contextlib.contextmanager
def _ready(config, listener=None, state=None, device=None):
    """The context of a training, with as many threads in the block as `config` asks for."""
    with engine.threads_limited(threads_of(config)):
        yield engine.Context(state, device or os.environ.get("DEVICE") or "auto", listener)


def _check(function, config, task):
    if loaded_source(function.__module__) != task["source"]:
        raise CourseworkError("the helpers loaded here are not those on disk; restart the kernel or worker")
    if config.fingerprint() != task["fingerprint"]:
        raise CourseworkError("the data here is not the notebook's; copy its data folder to this worker")


def _plain(outcome: dict) -> dict:
    """Packed here: tensors would travel in shared memory, which is small in containers."""
    labels, examples = outcome.get("predictions"), outcome["examples"]
    if len({len(column) for column in outcome["history"].values()}) > 1:
        raise CourseworkError("the trial function returned history columns of different lengths")
    return {
        "status": outcome["status"],
        "diverged_epoch": outcome.get("diverged_epoch"),
        "reason": "",
        "history": base.plain(outcome["history"]),
        "metrics": base.plain(outcome["metrics"]),
        "predictions": None if labels is None else base.pack_labels(labels),
        "examples": examples,
        "seconds": outcome["seconds"],
        "examples_per_second": examples / outcome["seconds"],
        "arrays": records.packed("npz", outcome.get("arrays")),
        "checkpoint": records.packed("pt", outcome.get("checkpoint")),
    }


def failure(error: Exception, started: str | None = None) -> dict:
    """What the record of a trial says that raised `error`."""
    kind = "" if isinstance(error, CourseworkError) else f"{type(error).__name__}: "
    return {
        "status": "failed",
        "reason": f"{kind}{error}",
        "traceback": "".join(traceback.format_exception(error, limit=-6)),
        "provenance": {"started": started or now()},
        "history": {},
        "metrics": {},
        **dict.fromkeys(["diverged_epoch", "predictions", "examples", "seconds", "examples_per_second", "probe"]),
    }


def _machine(config, context) -> dict:
    """Provenance of a training; a training that has not loaded PyTorch does not do so for this."""
    if "torch" in sys.modules:
        import torch

        from helpers import device

        features = [name for name, here in torch.cpu.get_capabilities().items() if here and name[:3] in ("avx", "amx")]
        machine = device.describe(device.choose(context.device))
    else:
        import numpy

        name, features = base.processor()
        machine = {"python": platform.python_version(), "numpy": numpy.__version__, "processor": name}
    return machine | {"features": sorted(features), "threads": threads_of(config)}
