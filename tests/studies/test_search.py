"""The search: successive halving against a count by hand, the test set never read, nothing trained twice."""

import collections
from dataclasses import replace

import optuna
import pytest
import tiny
from trial_functions import refuse, score_rate

from helpers import base
from helpers.base import CourseworkError
from helpers.studies import ours, search
from helpers.training import ClassifierConfig

SETTINGS = {"study": "search", "candidates": 9, "rungs": (6, 18), "seed": 4}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    tiny.cached(tmp_path, monkeypatch)
    monkeypatch.setattr(base, "RECORDS", tmp_path / "records")
    monkeypatch.setattr(base, "PUBLISHED", tmp_path / "published")
    monkeypatch.setenv("JOBS", "0")


def space(trial, epochs, **more):
    lr = trial.suggest_float("lr", 1e-6, 0.3, log=True)
    width = trial.suggest_categorical("width", [4, 12])
    options = {"patch_size": 14, "width": width}
    validated = {"validation": True, "watch": ("validation",)}
    return ClassifierConfig(dataset=tiny.NAME, options=options, lr=lr, epochs=epochs, batch_size=16, **validated | more)


def test_one_in_three_goes_on_and_the_best_is_the_best_validation_accuracy():
    frame, study = search.search(score_rate, space, **SETTINGS)
    trained = frame.groupby("epochs")["candidate"].nunique()
    states = collections.Counter(trial.state.name for trial in study.trials)
    assert trained[6] == 9 and trained[18] == states["COMPLETE"] < 9 and states["PRUNED"] == 9 - trained[18]
    last = frame[frame["epochs"] == 18]
    assert study.best_value == last["validation_accuracy"].max()
    for trial in study.trials:
        row = frame[(frame["candidate"] == trial.number) & (frame["epochs"] == 6)].iloc[0]
        assert row["record"]["config"]["lr"] == trial.params["lr"]
        dropped = trial.state.name == "PRUNED"
        assert dropped == (trial.number not in set(last["candidate"]))


def test_a_search_whose_trainings_all_fail_has_no_best():
    frame, study = search.search(refuse, space, **SETTINGS | {"candidates": 3})
    assert len(frame) == 3 and {trial.state.name for trial in study.trials} == {"FAIL"}


def test_a_search_asked_again_trains_nothing_and_finds_the_same(monkeypatch):
    first, one = search.search(score_rate, space, **SETTINGS)
    monkeypatch.setattr("helpers.trials.worker.train", None)  # a training would fail
    again, other = search.search(score_rate, space, **SETTINGS)
    assert list(first["key"]) == list(again["key"]) and one.best_params == other.best_params
    assert not any("test" in name for record in again["record"] for name in record["metrics"])


@pytest.mark.parametrize("reads", [{"read_test": True}, {"watch": ("validation", "test")}])
def test_a_search_that_would_read_the_test_set_is_refused(reads):
    with pytest.raises(CourseworkError, match="never reads the test set"):
        search.search(score_rate, lambda trial, epochs: space(trial, epochs, **reads), **SETTINGS)


def test_importance_finds_the_setting_that_matters():
    _, study = search.search(score_rate, space, **SETTINGS | {"candidates": 12})
    shares = search.importance(study, 6)
    assert shares.index[0] == "lr" and shares.sum() == pytest.approx(1)
    assert search.importance(study, 77).empty


def test_an_ablation_changes_one_factor_at_a_time():
    chosen = ClassifierConfig(options={"width": 12}, lr=0.1)
    rows = search.ablation(chosen, {"narrow": {"width": 4}, "slow": {"lr": 0.01}})
    assert rows["as chosen"] == chosen
    assert rows["narrow"].options == {"width": 4} and rows["narrow"].lr == 0.1
    assert rows["slow"].options == {"width": 12} and rows["slow"].lr == 0.01


def test_settings_to_start_from_are_tried_first():
    starts = ({"lr": 0.05, "width": 4}, {"lr": 0.002, "width": 12})
    _, study = search.search(score_rate, space, **SETTINGS | {"candidates": 3, "starts": starts})
    assert [trial.params for trial in study.trials[:2]] == list(starts) and study.trials[2].params not in starts


def test_the_chosen_config_is_saved_without_what_a_page_decides(tmp_path, monkeypatch):
    """And taken up again by `ours`: the same training, whatever data set, seed and length a page then asks for."""
    frame, study = search.search(score_rate, space, **SETTINGS)
    best = next(record["config"] for record in frame["record"] if record["config"]["epochs"] == 18)
    config = ClassifierConfig(**best | {"watch": ("validation",), "augment": ("flip",)})
    search.save(study, config, tmp_path / "search.json", long=replace(config, lr=0.5))
    monkeypatch.setattr(base, "NOTEBOOKS", tmp_path)
    winner = ours.winner()
    assert ours.winner(ours.LONG).lr == 0.5
    assert (winner.lr, winner.options, winner.augment) == (config.lr, config.options, ("flip",))
    assert winner.epochs == ClassifierConfig().epochs and winner.dataset == "fashion_mnist"


def test_the_table_of_settings_names_what_was_offered_and_chosen():
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
    trial = study.ask()
    rate, moved = trial.suggest_float("rate", 0.001, 0.01), trial.suggest_categorical("moved", [True, False])
    study.tell(trial, 1.0)
    table = search.settings(study, 0).set_index("setting")
    assert table.loc["rate"].tolist() == ["0.001 to 0.01", f"{rate:.2g}"]
    assert table.loc["moved"].tolist() == ["yes, no", "yes" if moved else "no"]


def test_the_table_of_settings_sets_the_rates_of_two_optimisers_side_by_side():
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
    for optimiser in ("adamw", "muon"):
        study.enqueue_trial({"optimiser": optimiser})
        trial = study.ask()
        named = trial.suggest_categorical("optimiser", ["muon", "adamw"])
        trial.suggest_float(f"rate of {named}", 0.001, 0.01)
        trial.suggest_categorical("weight decay", [0.0, 0.1])
        study.tell(trial, 1.0)
    table = search.settings(study, 1).set_index("setting")
    assert list(table.index) == ["optimiser", "rate of AdamW", "rate of Muon", "weight decay"]
    assert table.loc["optimiser"].tolist() == ["Muon, AdamW", "Muon"]
    assert table.loc["rate of AdamW", "chosen"] == "–" and search.in_words("moved") == "moved"
