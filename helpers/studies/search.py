"""The search for our own model: Optuna proposes, successive halving drops the worse, every training is a trial.

    found = search(mu.train_classifier, our_space, study="study_g", candidates=12, rungs=(3, 9, 27), seed=0)

A candidate is trained for the first rung's epochs; the better third goes on to the next rung, where it is trained anew
with the longer schedule. Choosing is by the last validation accuracy alone, and a config that reads the test set is
refused. Every training has its record, so a search that is asked again trains nothing and finds the same.
"""

import warnings
from collections.abc import Callable

import optuna
import pandas as pd

from helpers import trials
from helpers.base import CourseworkError, to_json, write_atomically
from helpers.trials.records import canonical

FACTOR = 3  # of the candidates at a rung, one in so many goes on
METRIC = "validation_accuracy"
PAGE_DECIDES = ("dataset", "train_limit", "test_limit", "seed", "threads", "epochs", "precision", "checkpoint")
WORDS = {"muon": "Muon", "adamw": "AdamW"}  # names of the code as people write them
AT_ONCE = 4  # candidates proposed together, before any of them is known: they train side by side


def search(function, space: Callable, *, study: str, candidates: int, rungs: tuple[int, ...], seed: int = 0,
           starts: tuple[dict, ...] = (), budget: str | None = None) -> tuple[pd.DataFrame, optuna.Study]:  # fmt: skip
    """Train `candidates` settings from `space` and return (all trainings, the Optuna study).

    space(trial, epochs): a config, its fields suggested by the Optuna trial (define-by-run). rungs: epochs, rising.
    starts: settings that are tried first, as Optuna's parameters; what they leave out is drawn.
    The frame has one line a training: candidate, epochs, the columns of `trials.run`. Raises CourseworkError for a
    config that would read the test set.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True, n_startup_trials=2 * AT_ONCE)
    pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=rungs[0], reduction_factor=FACTOR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        optuna_study = optuna.create_study(direction="maximize", sampler=sampler, pruner=pruner)
    for settings in starts:
        optuna_study.enqueue_trial(settings)
    frames = []
    for first in range(0, candidates, AT_ONCE):
        alive = [optuna_study.ask() for _ in range(min(AT_ONCE, candidates - first))]
        for epochs in rungs:
            frames.append(_train(function, space, alive, epochs, study, budget))
            values = frames[-1].set_index("candidate").get(METRIC, pd.Series(dtype=float))
            alive = _report(optuna_study, alive, values, epochs, last=epochs == rungs[-1])
            if not alive:
                break
    return pd.concat(frames, ignore_index=True), optuna_study


def _train(function, space, alive, epochs: int, study: str, budget) -> pd.DataFrame:
    """The candidates that are left, each trained for `epochs`."""
    rows = {str(trial.number): space(trial, epochs) for trial in alive}
    for config in rows.values():
        if config.read_test or "test" in config.watch:
            raise CourseworkError(
                f"study {study}: a search chooses on the validation part and never reads the test set"
            )
    frame = trials.run(function, rows, study=study, budget=budget)
    return frame.assign(candidate=frame["row"].astype(int), epochs=epochs)


def _report(optuna_study, alive, values, epochs: int, last: bool) -> list:
    """Hand the accuracies to Optuna; the candidates that go on to the next rung."""
    going_on = []
    for trial in alive:
        value = values.get(trial.number)
        if value is None or pd.isna(value):
            optuna_study.tell(trial, state=optuna.trial.TrialState.FAIL)
            continue
        trial.report(value, epochs)
        if last:
            optuna_study.tell(trial, value)
        elif trial.should_prune():
            optuna_study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            going_on.append(trial)
    return going_on


def settings(optuna_study: optuna.Study, best: int) -> pd.DataFrame:
    """What the search could choose, a line a setting: setting, values, chosen (by candidate `best`).

    Settings whose names differ in the last word alone, as the rates of two optimisers, stand side by side.
    """
    spaces = {name: space for trial in optuna_study.trials for name, space in trial.distributions.items()}
    chosen = optuna_study.trials[best].params
    kinds = {name: name.rpartition(" ")[0] or name for name in spaces}
    order = sorted(spaces, key=lambda name: list(kinds.values()).index(kinds[name]))
    lines = [(_named(name), _values(spaces[name]), in_words(chosen.get(name))) for name in order]
    return pd.DataFrame(lines, columns=["setting", "values", "chosen"])


def _named(setting: str) -> str:
    return " ".join(WORDS.get(word, word) for word in setting.split(" "))


def _values(space) -> str:
    if choices := getattr(space, "choices", ()):
        return ", ".join(map(in_words, choices))
    return f"{in_words(space.low)} to {in_words(space.high)}"


def in_words(value) -> str:
    """A value of a setting as people read it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "–" if value is None else f"{value:.2g}" if isinstance(value, float) else WORDS.get(value, str(value))


def save(optuna_study: optuna.Study, config, path, *, long) -> None:
    """Write the chosen config with how it was found to `path` (JSON), for `ours` to take up; `long`: on long schedules.

    Kept are the fields that differ from their defaults, but for what a page decides: data set, limits, seed, threads.
    """
    fields = {
        name: {field: value for field, value in canonical(chosen).items() if field not in PAGE_DECIDES}
        for name, chosen in {"config": config, "long": long}.items()
    }
    about = {"candidates": len(optuna_study.trials), "validation_accuracy": optuna_study.best_value}
    write_atomically(path, to_json(fields | about, indent=1) + "\n")


def importance(optuna_study: optuna.Study, rung: int) -> pd.Series:
    """The share of each setting in the variance of the accuracy at `rung` epochs (fANOVA, Hutter 2014), largest first.

    Empty where fewer than four candidates have a value or all values are the same.
    """
    measured = optuna.create_study(direction="maximize")
    for trial in optuna_study.trials:
        if (value := trial.intermediate_values.get(rung)) is not None:
            about = {"params": trial.params, "distributions": trial.distributions}
            measured.add_trial(optuna.trial.create_trial(**about, value=value))
    if len(measured.trials) < 4 or len({trial.value for trial in measured.trials}) < 2:
        return pd.Series(dtype=float)
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    shares = optuna.importance.get_param_importances(measured, evaluator=evaluator)
    return pd.Series(shares).sort_values(ascending=False)


def ablation(config, changes: dict[str, dict]) -> dict:
    """The config with one factor changed at a time: "as chosen" first, then each name of `changes`.

    changes: name -> {field or option: value}; a name that is no field of the config is an option of its network.
    """
    rows = {"as chosen": config}
    for name, change in changes.items():
        fields = {key: value for key, value in change.items() if hasattr(config, key)}
        options = config.options | {key: value for key, value in change.items() if key not in fields}
        rows[name] = type(config)(**vars(config) | fields | {"options": options})
    return rows
