"""Run many trainings in parallel, each once: finished trials are read from their records.

    frame = run(train_classifier, {"A1": config_1, "A2": config_2}, study="study_a", seeds=3)

A trial function, importable, maps (config, context) to a dict: history (column -> value per epoch),
metrics, status ("ok", "diverged at epoch k"), examples, and if it likes predictions (test labels),
arrays, checkpoint, provenance, seconds. Ctrl-C keeps what is finished; runs started side by side share
the work. `python -m helpers.trials ls | rm --stale | adopt | publish` looks after the records.
"""

import argparse
import os
import sys
from dataclasses import replace

from helpers import base, engine, records, upkeep
from helpers.base import CourseworkError
from helpers.parameters import run_command
from helpers.runner import Run, Trial

_used = {}  # (study, key) -> checksum of the records this process has shown


def run(function, rows, *, study, seeds=None, budget=None, jobs=None, fresh=None, live=False):
    """A DataFrame with one line per trial, in the order asked: trains what has no valid record.

    rows: dict name -> config, or a list of configs, named "0", "1" ... seeds: n for 0..n-1, or a list;
    None keeps each config's own. budget: noted in the records. jobs, fresh: default to JOBS and FRESH
    (train all again). live: draw one running trial's curve in JupyterLab.
    Columns: row, seed, status, the metrics, seconds, examples_per_second, history (a DataFrame), key,
    share (1.0), stale, record. Raises CourseworkError for bad settings and where the disk is full.
    """
    engine.settings(jobs)  # refused before anything is read
    trials = _trials(function, rows, seeds)
    study_run = Run(function, study, budget, _fresh(fresh))
    found = {trial.key: study_run.known(trial) for trial in trials}
    missing = {trial.key: trial for trial in trials if found[trial.key] is None}
    if missing:
        found |= study_run.train(list(missing.values()), engine.choose(jobs, function.__module__), live)
    return _frame(study, trials, found, study_run.source)


def recall(function, rows, *, study, seeds=None, stale=False):
    """The lines of `run` whose trials are finished; trains nothing.

    stale: also those that ran with other source than today's; the column stale tells them.
    """
    trials = _trials(function, rows, seeds)
    study_run = Run(function, study)
    found = {trial.key: study_run.known(trial, stale) for trial in trials}
    return _frame(study, trials, found, study_run.source)


def run_study(function, rows, *, study, seeds=None, page, reduced: dict):
    """The lines of `run` as far as the budget allows, with the columns share and budget.

    page.budget "full": all rows, all seeds; stale records are trained again. Else a row with at least
    one record of its full config is recalled, stale or not (training it again may take hours; the
    column stale tells), and the others train with the fields of `reduced` (numbers: at most those),
    on their first seed; share is the part of the full work. "smoke" and FRESH=1 recall nothing.
    """
    if page.budget == "full":
        return run(function, rows, study=study, seeds=seeds, budget="full").assign(budget="full")
    import pandas as pd

    rows = _named(rows)
    recalled = {} if page.budget == "smoke" or _fresh(None) else rows
    known = recall(function, recalled, study=study, seeds=seeds, stale=True).assign(budget="full")
    small = {name: _reduced(rows[name], reduced) for name in rows if name not in set(known["row"])}
    seeds = seeds if seeds is None else _seeds(seeds)[:1]
    trained = run(function, small, study=study, seeds=seeds, budget=page.budget)
    shares = {name: config.work() / rows[name].work() for name, config in small.items()}
    trained = trained.assign(share=trained["row"].map(shares), budget=page.budget)
    parts = [part for part in (known, trained) if len(part)] or [trained]
    place = {name: number for number, name in enumerate(rows)}
    return pd.concat(parts).sort_values("row", key=lambda row: row.map(place), kind="stable", ignore_index=True)


def spot_check(function, rows, *, study, seeds=(0,)):
    """Train again the rows that have committed records and compare: one line per trial.

    Columns: row, seed, same (equal bits but for times), difference (again - published), published and
    again (test_accuracy, else the first metric), comparable (equal bits can be expected: same versions,
    processor, GPU, precision and source).
    """
    import pandas as pd

    trials = _trials(function, rows, seeds)
    folder = base.PUBLISHED / "records" / study
    committed = {trial.key: records.load(folder / f"{trial.key}.json") for trial in trials}
    trials = [trial for trial in trials if committed[trial.key]]
    frame = run(function, [trial.config for trial in trials], study=study, fresh=True)
    lines = []
    for trial, again in zip(trials, frame["record"]):
        old = committed[trial.key]
        metric = "test_accuracy" if "test_accuracy" in old["metrics"] else next(iter(old["metrics"]))
        values = {"published": old["metrics"][metric], "again": again["metrics"].get(metric)}
        line = {"row": trial.row, "seed": trial.config.seed, **values}
        line["same"] = upkeep.result(old) == upkeep.result(again)
        line["difference"] = None if None in values.values() else values["again"] - values["published"]
        lines.append(line | {"comparable": _platform(old) == _platform(again)})
    columns = ["row", "seed", "same", "difference", "published", "again", "comparable"]
    return pd.DataFrame(lines, columns=columns)


def used() -> list[tuple[str, str, str]]:
    """(study, key, checksum) of every record that this process has shown."""
    return [(*name, checksum) for name, checksum in sorted(_used.items())]


def _platform(record: dict) -> list:
    names = ("torch", "numpy", "processor", "capability", "features", "gpu", "device", "precision")
    return [record["source"]] + [record["provenance"].get(name) for name in names]


def _trials(function, rows, seeds) -> list[Trial]:
    trials = []
    for name, config in _named(rows).items():
        for seed in [config.seed] if seeds is None else _seeds(seeds):
            config = replace(config, seed=seed)
            trials.append(Trial(name, config, records.key(function, config)))
    return trials


def _named(rows) -> dict:
    return rows if isinstance(rows, dict) else {str(n): config for n, config in enumerate(rows)}


def _seeds(seeds) -> list[int]:
    return list(range(seeds)) if isinstance(seeds, int) else list(seeds)


def _fresh(fresh) -> bool:
    asked = os.environ.get("FRESH") or "0"
    if asked not in ("0", "1"):
        raise CourseworkError(f"FRESH={asked}: give 1 to train finished trials again, else 0")
    return asked == "1" if fresh is None else bool(fresh)


def _reduced(config, reduced: dict):
    """`config` with the fields of `reduced`; a number never grows."""
    values = {}
    for name, value in reduced.items():
        own = getattr(config, name)
        values[name] = value if own is None or isinstance(own, (bool, str)) else min(own, value)
    return replace(config, **values)


def _frame(study, trials, found, source):
    import pandas as pd

    lines = []
    for trial in trials:
        if record := found[trial.key]:
            _used[study, trial.key] = record["checksum"]
            line = {"row": trial.row, "seed": trial.config.seed, "status": record["status"]}
            line |= {name: float("nan") if value is None else value for name, value in record["metrics"].items()}
            line |= {name: record[name] for name in ("seconds", "examples_per_second")}
            history = pd.DataFrame(record["history"])
            line |= {"history": history, "key": trial.key, "share": 1.0}
            lines.append(line | {"stale": record["source"] != source, "record": record})
    columns = ["row", "seed", "status", "seconds", "examples_per_second", "history", "key", "share", "stale", "record"]
    return pd.DataFrame(lines, columns=None if lines else columns)


def main(arguments=None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m helpers.trials", description="Look after trial records.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("ls", help="count the records")
    verbs.add_parser("rm", help="remove records").add_argument("--stale", action="store_true", required=True)
    verbs.add_parser("adopt", help="keep stale records where a sample trained again is bit-identical")
    verbs.add_parser("publish", help="copy full-budget records to be committed").add_argument(
        "--checkpoints", action="store_true"
    )
    asked = parser.parse_args(arguments)
    verb = {"ls": upkeep.ls, "rm": upkeep.rm_stale, "adopt": upkeep.adopt, "publish": upkeep.publish}[asked.verb]
    return run_command(lambda: verb(asked.checkpoints) if asked.verb == "publish" else verb())


if __name__ == "__main__":
    sys.exit(main())
