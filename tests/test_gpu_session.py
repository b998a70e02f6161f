"""A session on a GPU machine, tried on the processor: which trainings come next, and that the time ends them."""

import time
from dataclasses import replace

import gpu_session
import pytest
import tiny

from helpers import trials
from helpers.base import CourseworkError
from helpers.training.classifier import ClassifierConfig, train_classifier
from helpers.trials import upkeep

TINY = ClassifierConfig(dataset=tiny.NAME, options={"patch_size": 14, "width": 16}, epochs=2, batch_size=16)


@pytest.fixture
def records(own_records, monkeypatch):
    """The records of two studies, of which one config has two seeds and one is not of the full budget."""
    tiny.cached(own_records, monkeypatch)
    monkeypatch.setenv("JOBS", "0")
    longer = replace(TINY, epochs=4)
    trials.run(train_classifier, [longer], study="two", budget="full")
    trials.run(train_classifier, [TINY], study="one", seeds=2, budget="full")
    trials.run(train_classifier, [replace(TINY, epochs=1)], study="one", budget="smoke")
    return everything()


def everything():
    return [record for _, record, _ in upkeep.everything()]


def test_each_config_of_a_full_record_gets_its_next_seed_the_least_work_first(records):
    trainings = gpu_session.next_trainings(records)
    assert [(study, config.seed, config.epochs) for study, _, config in trainings] == [("one", 2, 2), ("two", 1, 4)]
    assert [study for study, *_ in gpu_session.next_trainings(records, ["two"])] == ["two"]


def test_the_trainings_become_records(records):
    waiting = gpu_session.next_trainings(records)
    assert gpu_session.train(waiting, 60) == 2
    assert len(everything()) == len(records) + 2
    assert [config.seed for *_, config in gpu_session.next_trainings(everything(), ["one"])] == [3]


def test_the_time_ends_a_session(records, monkeypatch):
    waiting = gpu_session.next_trainings(records)
    monkeypatch.setattr(gpu_session.trials, "run", lambda *about, **options: time.sleep(30))
    started = time.monotonic()
    assert gpu_session.train(waiting, 0.2) == 0 and time.monotonic() - started < 20


def test_what_cannot_be_is_refused(own_records, monkeypatch):
    with pytest.raises(CourseworkError, match="MINUTES=soon"):
        gpu_session.main("soon")
    monkeypatch.setattr(gpu_session.subprocess, "run", lambda *about, **options: type("Done", (), {"returncode": 1}))
    with pytest.raises(CourseworkError, match="nothing was trained"):
        gpu_session.main("1")
