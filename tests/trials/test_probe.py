"""Probes: which trainings carry one, and when two trainings of one config are equal, close or different."""

from dataclasses import replace

import pytest
from sample_record import record
from trial_functions import Config, fit_line

from helpers import base
from helpers.trials import adoption, engine, kinds, probe, worker

HISTORY = {"train_loss": [1.0, 0.5], "test_accuracy": [0.5, None], "seconds": [1.0, 2.0]}


def training(status="ok", **columns):
    return {"status": status, "diverged_epoch": None, "history": HISTORY | columns}


@pytest.mark.parametrize(
    "other, agreement",
    [
        (training(), "equal"),
        (training(seconds=[7.0, 7.0]), "equal"),  # times do not count
        (training(train_loss=[1.0, 0.5000001]), "close"),
        (training(train_loss=[1.0, 0.509]), "close"),
        (training(train_loss=[1.0, 0.511]), "different"),  # losses by 2 %
        (training(test_accuracy=[0.519, None]), "close"),
        (training(test_accuracy=[0.521, None]), "different"),  # accuracies by 0.02
        (training(test_accuracy=[0.5, 0.5]), "different"),  # a number where there was none
        (training(train_loss=[1.0]), "different"),  # an epoch less
        (training(status="diverged"), "different"),
        (training(lr=[0.1, 0.1]), "different"),  # a column more
    ],
)
def test_agreement(other, agreement):
    assert probe.compare(training(), other) == probe.compare(other, training()) == agreement


def test_a_whole_record_agrees_in_its_predictions_too():
    whole = record(history={"loss": [1.0]}, predictions="4:2:EA==")
    assert probe.compare(whole, dict(whole, seconds=9.0, provenance={"torch": "2"})) == "equal"
    assert probe.compare(whole, dict(whole, predictions="4:2:AQ==")) == "close"  # the same history, other bits


def test_one_notion_of_the_same_platform():
    here = {"torch": "2.13", "features": ["avx512"], "threads": 1, "processor": "one", "started": "now"}
    assert probe.same_platform(here, here | {"processor": "another", "started": "later"})
    assert probe.same_platform(here, {"torch": "2.13"})  # what only one of them tells does not differ
    for name, value in {"torch": "2.14", "features": [], "threads": 2}.items():
        assert not probe.same_platform(here, here | {name: value})


class Probed(Config):
    def probe(self):
        return replace(self, epochs=2)


@pytest.mark.parametrize("epochs, carries", [(20, True), (19, False)])
def test_a_training_carries_a_probe_from_ten_times_its_cost(epochs, carries):
    assert (probe.probe_of(Probed(epochs=epochs)) is not None) == carries
    assert probe.probe_of(Config(epochs=epochs)) is None  # a config class without one


def test_a_probe_runs_on_the_processor_whatever_else_is_there(monkeypatch):
    devices = []
    monkeypatch.setenv("DEVICE", "cuda:7")

    def noted(config, context):
        devices.append(context.device)
        return fit_line(config, context)

    noted.__module__ = fit_line.__module__
    task = {"source": worker.loaded_source(fit_line.__module__), "fingerprint": Config().fingerprint()}
    measured = worker.train_probe(noted, Config(), task)
    assert devices == ["cpu"] and measured["platform"].get("device", "cpu") == "cpu"


def test_measuring_gives_history_end_and_platform_as_json_types():
    machine = {"torch": "2.13", "numpy": "2", "started": "now"}
    measured = probe.measure(fit_line, Config(epochs=2, trouble="nan"), engine.Context(), machine)
    assert measured["status"] == "diverged" and measured["diverged_epoch"] == 1
    assert len(measured["history"]["loss"]) == 2 and base.to_json(measured)
    assert measured["platform"] == {"torch": "2.13", "numpy": "2"}


# Adoption: noted beside the records, for this source and this record alone


@pytest.fixture
def old(tmp_path, monkeypatch):
    monkeypatch.setattr(base, "RECORDS", tmp_path)
    measured = training() | {"platform": {"torch": "2.13"}}
    return record(study="study", source="old", checksum="c", probe=measured)


@pytest.mark.parametrize(
    "torch, loss, adopted, agreement",
    [("2.13", 0.5, True, "equal"), ("2.13", 0.501, False, "close"), ("2.14", 0.501, True, "close"),
     ("2.14", 0.6, False, "different")],
)  # fmt: skip
def test_equal_bits_on_the_same_platform_closeness_elsewhere(old, torch, loss, adopted, agreement):
    assert adoption.is_open(old, "new") and not adoption.stands(old, "new") and adoption.stands(old, "old")
    measured = training(train_loss=[1.0, loss]) | {"platform": {"torch": torch}}
    assert adoption.adopt(old, "new", measured) == adopted == adoption.stands(old, "new")
    assert adoption.agreement(old, "new") == agreement and not adoption.is_open(old, "new")
    assert not adoption.stands(old, "newer") and not adoption.stands(old | {"checksum": "edited"}, "new")


def test_a_failed_probe_adopts_nothing(old):
    assert not adoption.adopt(old, "new", {"status": "failed", "history": {}, "platform": {}})


# Kinds


@pytest.mark.parametrize(
    "edit",
    [{"trial": "os.system"}, {"trial": "trial_functions.fit_line"}, {"config": {"no_such_field": 1}}, {"key": "0" * 20},
     {"config": {"epochs": -1}}],
)  # fmt: skip
def test_only_kinds_of_the_table_are_made_again(edit):
    assert kinds.remade(record(trial="classifier", config={}) | edit) is None


def test_every_kind_is_there_under_its_own_id():
    import importlib

    for name, (module, function, config_class) in kinds.KINDS.items():
        loaded = importlib.import_module(module)
        assert getattr(loaded, function).trial_id == name
        assert callable(getattr(loaded, config_class).probe)
