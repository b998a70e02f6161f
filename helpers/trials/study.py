"""The trials of a study: run in parallel, each once; finished ones are read from their records.

    frame = run(train_classifier, {"A1": config_1, "A2": config_2}, study="study_a", seeds=3)

A trial function, importable and with a trial_id, maps (config, context) to a dict: history (column -> value per epoch),
metrics, status ("ok", "diverged"), diverged_epoch, examples, and if it likes predictions (test labels), arrays,
checkpoint, provenance, seconds. Ctrl-C keeps what is finished; runs started side by side share the work.
"""

import ast
import os
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

from helpers import base
from helpers.base import CourseworkError
from helpers.trials import adoption, earlier, engine, probe, records
from helpers.trials import live as watching
from helpers.trials.runner import Runner, Trial

_used = {}  # (study, key) -> (checksum, origin) of the records that this process has shown, see `origins`


def run(function, rows, *, study, seeds=None, budget=None, jobs=None, fresh=None, live=False):
    """A DataFrame with one line per trial, in the order asked: trains what has no valid record.

    rows: dict name -> config, or a list of configs, named "0", "1" ... seeds: n for 0..n-1, or a list;
    None keeps each config's own. budget: noted in the records. jobs, fresh: default to JOBS and FRESH
    (train all again). live: in JupyterLab, draw one running trial's curve and, after the run of a single row, a table
    that compares it with earlier ones of this machine.
    Columns: row, seed, status, diverged_epoch, reason (why it failed, else ""), the metrics, seconds,
    examples_per_second, gpu (its name, or "" for a training on a processor), key, history (a DataFrame), share (1.0),
    adopted ("equal" or "close" where a probe saved a record of other source, see `probe`), record.
    Raises CourseworkError for bad settings and where the disk is full.
    """
    engine.settings(jobs)  # refused before anything is read
    return _lines(function, rows, study, seeds, Runner(function, study, budget, _fresh(fresh)), jobs=jobs, live=live)


def recall(function, rows, *, study, seeds=None):
    """The lines of `run` whose trials are finished; trains nothing but the probes of stale records."""
    return _lines(function, rows, study, seeds, Runner(function, study), only_adopt=True)


def _lines(function, rows, study, seeds, runner, *, jobs=None, live=False, only_adopt=False):
    trials = _trials(function, rows, seeds)
    by_key = {trial.key: runner.lookup(trial) for trial in trials}
    missing = {trial.key: trial for trial in trials if by_key[trial.key] is None and (trial.stale or not only_adopt)}
    if missing:
        _refuse_without_guard(*engine.settings(jobs))
        machine = engine.start(jobs, function.__module__)
        by_key |= runner.train(list(missing.values()), machine, live, only_adopt)
    if live and watching.is_watched():
        trained = [key for key in missing if by_key.get(key) and not adoption.agreement(by_key[key], runner.source)]
        _tell(study, trials, by_key, bool(trained))
    return _frame(study, trials, by_key, runner.source, set(missing))


def _tell(study, trials, by_key, trained: bool):
    """What a person in JupyterLab reads after a run: that it was cached; how it compares with earlier ones."""
    done = [(trial.words, by_key[trial.key]) for trial in trials if by_key.get(trial.key)]
    if done and not trained:
        watching.show_cached([words for words, _ in done], [record["history"] for _, record in done])
    finished = [record for _, record in done if record["status"] != "failed"]
    if finished and len({trial.row for trial in trials}) == 1:
        caption = "This run beside your earlier ones on this machine"
        watching.show_table(earlier.earlier_runs(study, finished), caption)


def _refuse_without_guard(address, jobs):
    """Ends a script that trains at its top level with one line: each local worker would read it again."""
    main = sys.modules["__main__"]
    path, name = getattr(main, "__file__", None), getattr(main.__spec__, "name", "")
    frame, lines = sys._getframe(), []
    while path and not name.endswith("__main__") and frame:
        if frame.f_code.co_name == "<module>" and os.path.abspath(frame.f_code.co_filename) == os.path.abspath(path):
            lines.append(frame.f_lineno)
        frame = frame.f_back
    if not lines or address != "local" or jobs == 0:
        return
    for block in ast.parse(Path(path).read_bytes()).body:
        asks = isinstance(block, ast.If) and any(getattr(n, "id", "") == "__name__" for n in ast.walk(block.test))
        if asks and block.lineno <= lines[0] <= block.end_lineno:
            return
    remedy = 'put what the script does below `if __name__ == "__main__":`, or choose JOBS=0'
    sys.exit(f"{path}, line {lines[0]}: each worker reads this script again and would train too; {remedy}")


def run_study(function, rows, *, study, seeds=None, page, reduced: dict):
    """The lines of `run` as far as the budget allows, with the columns share and budget.

    page.budget "full": all rows, all seeds. Else a row with at least one record of its full config is recalled, and
    the others train with the fields of `reduced` (numbers: at most those; None: as they are), on their first seed;
    share is the part of the full work. "smoke" and FRESH=1 recall nothing.
    """
    if page.budget == "full":
        return run(function, rows, study=study, seeds=seeds, budget="full").assign(budget="full")
    import pandas as pd

    rows = _named(rows)
    recallable = {} if page.budget == "smoke" or _fresh(None) else rows
    recalled = recall(function, recallable, study=study, seeds=seeds).assign(budget="full")
    small = {name: _reduced(rows[name], reduced) for name in rows if name not in set(recalled["row"])}
    seeds = seeds if seeds is None else _seeds(seeds)[:1]
    trained = run(function, small, study=study, seeds=seeds, budget=page.budget)
    shares = {name: config.work() / rows[name].work() for name, config in small.items()}
    trained = trained.assign(share=trained["row"].map(shares), budget=page.budget)
    parts = [part for part in (recalled, trained) if len(part)] or [trained]
    place = {name: number for number, name in enumerate(rows)}
    return pd.concat(parts).sort_values("row", key=lambda row: row.map(place), kind="stable", ignore_index=True)


def spot_check(function, rows, *, study, seeds=(0,)):
    """Train again the rows that have committed records and compare: one line per trial.

    Columns: row, seed, agreement ("equal", "close" or "different", see `probe.compare`),
    difference (again - published), published and again (test_accuracy, else the first metric), comparable (equal bits
    can be expected: same platform and source).
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
        agreement = probe.compare(old, again)
        line = {"row": trial.row, "seed": trial.config.seed, "agreement": agreement}
        line["difference"] = None if None in values.values() else values["again"] - values["published"]
        alike = old["source"] == again["source"] and probe.same_platform(old["provenance"], again["provenance"])
        lines.append(line | values | {"comparable": alike})
    columns = ["row", "seed", "agreement", "difference", "published", "again", "comparable"]
    return pd.DataFrame(lines, columns=columns)


def used() -> list[tuple[str, str, str]]:
    """(study, key, checksum) of every record that this process has shown."""
    return [(*name, checksum) for name, (checksum, _) in sorted(_used.items())]


def shown(study: str) -> list[str]:
    """Keys of the records of a study that this process has shown, the last one last."""
    return [key for name, key in _used if name == study]


def own() -> list[str]:
    """Checksums of the records that this process has shown and that are not committed: trained where it ran."""
    committed = base.PUBLISHED / "records"
    paths = {check: committed / study / f"{key}.json" for study, key, check in used()}
    missing = [c for c, path in paths.items() if not path.is_file() or c.encode() not in path.read_bytes()]
    return sorted(filter(None, missing))  # a failure beside an older result has no checksum


def origins() -> dict[str, int]:
    """How many of the records that this process has shown were trained by it, and how many it had from elsewhere.

    "trained": here and now; "from records": trained before by today's code; "adopted, equal" and "adopted, close":
    by other code, whose probe today's code repeats with equal bits or closely.
    """
    return dict(Counter(origin for _, origin in _used.values()))


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
    variable = os.environ.get("FRESH") or "0"
    if variable not in ("0", "1"):
        raise CourseworkError(f"FRESH={variable}: give 1 to train finished trials again, else 0")
    return variable == "1" if fresh is None else bool(fresh)


def _reduced(config, reduced: dict):
    """`config` with the fields of `reduced`; a number never grows, and None reduces nothing."""
    values = {name: value for name, value in reduced.items() if value is not None}
    for name, value in values.items():
        own = getattr(config, name)
        values[name] = value if own is None or isinstance(own, (bool, str)) else min(own, value)
    return replace(config, **values)


def _frame(study, trials, by_key, source, missing):
    import pandas as pd

    lines = []
    for trial in trials:
        if record := by_key.get(trial.key):
            agreement = adoption.agreement(record, source)
            origin = f"adopted, {agreement}" if agreement else "trained" if trial.key in missing else "from records"
            before = _used.pop((study, trial.key), ("", ""))  # shown again in the same page: now the last
            _used[study, trial.key] = before if before[1] == "trained" else (record["checksum"], origin)
            line = {"row": trial.row, "seed": trial.config.seed}
            line |= {name: record[name] for name in ("status", "diverged_epoch", "reason")}
            line |= {name: float("nan") if value is None else value for name, value in record["metrics"].items()}
            line |= _times(record) | {"key": record["key"], "history": pd.DataFrame(record["history"]), "share": 1.0}
            lines.append(line | {"adopted": agreement, "record": record})
    columns = ["row", "seed", "status", "diverged_epoch", "reason", "seconds", "examples_per_second", "gpu", "key"]
    return pd.DataFrame(lines, columns=None if lines else [*columns, "history", "share", "adopted", "record"])


def _times(record) -> dict:
    """seconds, examples_per_second and gpu; where no GPU is here, the times of a training on one are not a number:
    beside those of a processor they would say nothing."""
    lost = probe.of_absent_gpu(record)
    times = {name: float("nan") if lost else record[name] for name in ("seconds", "examples_per_second")}
    return times | {"gpu": record["provenance"].get("gpu", "")}
