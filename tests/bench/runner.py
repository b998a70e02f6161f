"""The whole benchmark: for each case the classic loop and our trials by turns, then the table and bench.json."""

import fnmatch
import json
import math
import os
import re
import statistics
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from helpers import base
from helpers.base import CourseworkError
from helpers.data import sources
from helpers.trials import engine

from . import classic, ladder, measure
from .cases import CASES, Case

WORKERS = (0, 4)  # of the classic loop's DataLoader; the faster counts
PROFILED = ("report_a_64", "report_b_128", "report_c_128")
DEFINITION = (
    "Examples per second: training examples by the wall time of the training part of epochs, evaluation excluded on "
    "both sides; the classic loop after up to {warm_up} batches of warm-up, our trials after their first epoch, their "
    "rates added up. E's NumPy network: whole epochs with their evaluation on both sides, as its loop was published."
)
COLUMNS = {
    "ours": "{ours:,.0f}", "classic, 0 workers": "{classic_0:,.0f}", "4 workers": "{classic_4:,.0f}",
    "ratio": "{ratio:.2f}", "target": "{target:g}", "one core": "{one_core:,.0f}",
    "of peak": "{share_of_peak:.1%}", "memory MB": "{memory[total]:.0f}",
    "2nd worker MB": "{memory[second_worker]:.0f}", "start-up s": "{start_up:.1f}",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Options:
    """What may be asked for, as NAME=VALUE on the command line or in the environment (make)."""

    only: str = "*"  # patterns of case names
    samples: int = 5
    seconds: float = 2.5  # of each sample on either side
    check: bool = True  # compare bfloat16 with float32
    data: str = "auto"
    jobs: int = 0  # trials at once; 0: one per core


def options(values) -> Options:
    """Options from text. Raises CourseworkError for a value that is none."""
    read = {"only": str, "samples": int, "seconds": float, "data": str, "jobs": int}
    read["check"] = lambda text: bool(int(text))
    given = {}
    for name, kind in read.items():
        if text := values.get(name.upper()):
            try:
                given[name] = kind(text)
            except ValueError:
                raise CourseworkError(f"{name.upper()}={text}: expected a number") from None
    settings = Options(**given)
    if settings.samples < 1 or settings.seconds <= 0 or settings.jobs < 0:
        raise CourseworkError("SAMPLES and SECONDS must be above 0, JOBS at least 0")
    return settings


def chosen(only: str) -> list[str]:
    """The cases that match `only`, patterns apart by commas or spaces. Raises CourseworkError if one matches none."""
    names = []
    for pattern in re.split(r"[,\s]+", only.strip()):
        matching = fnmatch.filter(CASES, pattern)
        if not matching:
            raise CourseworkError(f"ONLY={pattern}: no such case; there are {', '.join(CASES)}")
        names += matching
    return [name for name in CASES if name in names]


def run(path: Path, values, given=()) -> dict:
    """Measure the chosen cases; `path` is written after each, so that an interrupt keeps the finished ones."""
    valid = [name.upper() for name in Options.__dataclass_fields__]
    for name in given:
        if name not in [*valid, "DEVICE", "PRECISION"]:
            raise CourseworkError(f"unknown setting {name}; valid: {', '.join(valid)}")
    settings, started = options(values), time.time()
    names = chosen(settings.only)
    kinds = {CASES[name].data for name in names} | {"fashion_mnist"}
    obtained = {kind: sources.obtain(kind, settings.data) for kind in kinds}
    load = os.getloadavg()[0]
    if load > 0.5:
        print(f"The machine is busy (load {load:.1f}): these numbers say less than on a quiet one.")
    fashion = obtained["fashion_mnist"].name
    shared = {"machine": measure.machine(), "load": load, "threads_classic": classic.THREADS}
    shared |= {"data": {kind: dataset.title for kind, dataset in obtained.items()}, "definition": _definition()}
    costs = measure.trial_costs(fashion)
    shared |= {"cached_trial_ms": costs["cached"], "dispatch_ms": costs["dispatch"]}
    print("A trial whose record is there: {cached:.2f} ms; between two trials: {dispatch:.0f} ms.".format(**costs))
    results = _earlier(path, shared["machine"])
    for name in names:
        case = CASES[name]
        case = replace(case, config=replace(case.config, dataset=obtained[case.data].name))
        results[name] = entry(case, sample(name, case, settings), shared)
        if name in PROFILED:
            results[name]["operations"] = ladder.operations(name, measure.data.load(case.config.dataset))
        _write(path, results)
    if "report_a_64" in names:
        results["report_a_64"]["ladder"] = ladder.ladder(obtained["fashion_mnist"], settings.seconds)
        if settings.check:
            results["report_a_64"]["bfloat16_check"] = _check(fashion, settings)
        _write(path, results)
    print(table({name: results[name] for name in names}))
    print(_definition())
    print(f"Wrote {path} after {(time.time() - started) / 60:.1f} minutes.")
    return results


def _definition() -> str:
    return DEFINITION.format(warm_up=classic.WARM_UP)


def sample(name: str, case: Case, settings: Options) -> dict:
    """All measurements of one case; the classic loop and ours by turns, each alone on the machine."""
    jobs = settings.jobs or engine.usable_cores()
    size, epochs = measure.size_for(case, case.guess, settings.seconds / 2)
    alone = measure.our_rate(case, 1, size, epochs, cold=True)
    size, epochs = measure.size_for(case, alone["rate"], settings.seconds)
    whole = measure.size_for(case, alone["rate"], 3 * settings.seconds)[0]
    seen = {"alone": alone, "flop": measure.flop_per_example(case, measure.data.load(case.config.dataset))}
    seen["memory"] = {n: measure.memory(case, whole, n) for n in sorted({1, 2, jobs})}
    rounds = []
    with (
        tempfile.TemporaryDirectory(dir=base.ROOT) as folder,
        classic.Process(name, case.config.dataset, Path(folder)) as theirs,
    ):
        workers = (0,) if case.numpy else WORKERS
        for number in range(settings.samples):
            one = {n: theirs.rate(n, settings.seconds) for n in workers}
            one["ours"] = measure.our_rate(case, jobs, size, epochs)
            one["peak"] = measure.peak(alone["precision"], alone["device"], min(0.6, settings.seconds / 3))
            rounds.append(one)
            rates = ", ".join(f"{one[n]['rate']:,.0f} ({n} workers)" for n in workers)
            print(
                f"{name:20} {number + 1}/{settings.samples}: classic {rates}; "
                f"ours {one['ours']['rate']:,.0f} ({jobs} trials)",
                flush=True,
            )
    return seen | {"rounds": rounds, "jobs": jobs, "size": size, "epochs": epochs}


def entry(case: Case, seen: dict, shared: dict) -> dict:
    """A case's object in bench.json from its measurements."""
    rounds, jobs = seen["rounds"], seen["jobs"]
    rates = {n: [one[n]["rate"] for one in rounds] for n in (*WORKERS, "ours") if n in rounds[0]}
    medians = {n: statistics.median(values) for n, values in rates.items()}
    workers = max((n for n in medians if n != "ours"), key=medians.get)
    ours, peak = medians["ours"], statistics.median(one["peak"] for one in rounds)
    memory = seen["memory"][jobs] | {"second_worker": seen["memory"][2]["total"] - seen["memory"][1]["total"]}
    lists = [one[0]["lists"] for one in rounds if "lists" in one[0]]
    return {
        "title": case.title,
        "ours": ours,
        "classic": medians[workers],
        "ratio": ours / medians[workers],
        "target": case.target,
        "classic_workers": workers,
        **{f"classic_{n}": medians[n] for n in medians if n != "ours"},
        **({"classic_lists": statistics.median(lists)} if lists else {}),
        "trials": jobs,
        "one_core": seen["alone"]["rate"],
        "precision": seen["alone"]["precision"],
        "device": seen["alone"]["device"],
        "flop_per_example": seen["flop"],
        "peak": peak,
        "share_of_peak": seen["flop"] * ours / peak,
        "memory": memory,
        "start_up": seen["alone"]["start_up"],
        "examples_per_epoch": seen["size"],
        "epochs": seen["epochs"],
        "samples": {n if n == "ours" else f"classic_{n}": values for n, values in rates.items()},
        "date": time.strftime("%Y-%m-%d %H:%M %z"),
        **shared,
    }


def live(name: str, dataset: str, seconds: float) -> dict:
    """One small sample of a case on a cached data set, for a page: ours, classic (in this process), ratio, trials."""
    case, jobs = CASES[name], engine.settings()[1] or engine.usable_cores()
    case = replace(case, config=replace(case.config, dataset=dataset))
    with tempfile.TemporaryDirectory() as folder, measure.threads(classic.THREADS):
        plain = classic.Classic(case, measure.data.load(dataset), Path(folder)).rate(0, seconds)["rate"]
    measured = measure.our_rate(case, jobs, *measure.size_for(case, case.guess, seconds))
    about = {"title": case.title, "precision": measured["precision"], "trials": jobs, "start_up": measured["start_up"]}
    return about | {"ours": measured["rate"], "classic": plain, "ratio": measured["rate"] / plain}


def finished() -> tuple[Path | None, dict]:
    """The file and results of the last complete benchmark: this machine's, else the committed one; (None, {})."""
    for path in (base.REPORTS / "bench.json", base.PUBLISHED / "bench.json"):
        if path.is_file():
            return path, json.loads(path.read_text())
    return None, {}


def targets(results: dict) -> list[tuple[str, float, float, bool]]:
    """What was aimed at: (what, target, reached, whether it was met), for the cases that are in `results`."""
    lines = []  # (what, target, reached, whether more is better)
    for name, r in results.items():
        lines.append((f"{r['title']}, {name}: times the classic loop", r["target"], r["ratio"], True))
    if a := results.get("report_a_64"):
        lines += [
            ("A at 64, one core: examples per second (the report's GPU by its own total)", 8338, a["one_core"], True),
            ("A at 64, all cores: examples per second (the report's printed figure)", 21218, a["ours"], True),
            ("A at 64: MB that a second worker adds, at most", 400, a["memory"]["second_worker"], False),
            ("a cached trial: milliseconds, below", 2, a["cached_trial_ms"], False),
            ("between two trials: share of a 10 s trial, below", 0.01, a["dispatch_ms"] / 10000, False),
        ]
    for name, aim in {"report_a_64": 0.5, "report_b_128": 0.7, "report_c_128": 0.7}.items():
        if r := results.get(name):
            lines.append((f"{r['title']}, {name}: share of the measured peak", aim, r["share_of_peak"], True))
    return [(what, aim, got, got >= aim if more else got <= aim) for what, aim, got, more in lines]


def table(results: dict) -> str:
    """The results as lines of text."""
    lines = [["case", *COLUMNS]]
    for name, result in results.items():
        values = {"classic_4": math.nan} | result  # E's NumPy loop has no loader
        lines.append([name, *(form.format(**values).replace("nan", "–") for form in COLUMNS.values())])
    widths = [max(map(len, column)) for column in zip(*lines)]
    text = []
    for name, *cells in lines:
        text.append(" ".join([name.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(cells, widths[1:]))]))
    return "\n".join(["", *text, ""])


def _check(dataset: str, settings: Options) -> dict:
    short = {} if settings.seconds >= 1 else {"epochs": 1, "size": 512, "test_limit": 500}
    compared = measure.precision_check(dataset, **short)
    verdict = "agree" if compared["agree"] else "DIFFER"
    difference = "{difference:+.4f}, standard error {standard_error:.4f}, 5 seeds".format(**compared)
    print(f"bfloat16 less float32, test accuracy of A's network: {difference}: they {verdict}.")
    return compared


def _earlier(path: Path, machine: dict) -> dict:
    """The cases that an earlier run on this machine left in `path`."""
    try:
        results = json.loads(path.read_text())
        return {name: result for name, result in results.items() if result["machine"] == machine}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _write(path: Path, results: dict) -> None:
    in_order = {name: results[name] for name in CASES if name in results}
    base.write_atomically(path, base.to_json(in_order, indent=1) + "\n")
