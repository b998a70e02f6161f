"""The variables of make and of the command line."""

import pytest

from helpers import device
from helpers.base import CourseworkError
from helpers.report.__main__ import build
from helpers.report.build import variables

SETS = {
    "": {},
    "lr=0.1  epochs=5 ": {"lr": "0.1", "epochs": "5"},
    "augment=['flip', 'shift'] lr=1": {"augment": "['flip', 'shift']", "lr": "1"},
    'note="two words, a=b" lr=1': {"note": "two words, a=b", "lr": "1"},
    "name=O'Neil lr=1": {"name": "O'Neil", "lr": "1"},
    'options={"a": [1, 2]}': {"options": '{"a": [1, 2]}'},
    "text='it\\'s a=b' lr=1": {"text": "it's a=b", "lr": "1"},
}


@pytest.mark.parametrize("text", SETS)
def test_set_holds_pairs_whose_values_may_hold_spaces(text):
    assert variables.pairs(text) == SETS[text]


@pytest.mark.parametrize("text", ["lr", "lr=", "=3", "lr=1 epochs", "lr =1", "a-b=1", "budget=full", "data=real"])
def test_set_refuses_what_is_no_pair(text):
    with pytest.raises(CourseworkError, match="SET: "):
        variables.pairs(text)


@pytest.mark.parametrize("word", ["AUTHOR=caf\udce9", "ONLY=\udce9*", "BUDGET=\udce9"])
def test_what_is_not_utf8_is_refused_in_words_that_can_be_printed(word):
    with pytest.raises(CourseworkError) as caught:
        variables.read([word])
    str(caught.value).encode()


WRONG = {
    "SET=lr=1 epochs": "epochs: expected",
    "SET=data=real": "DATA=real",
    "JOBS=9999": "at most",
    "JOBS=-1": "how many",
    "ENGINE=http://localhost:80": "tcp://",
    "ENGINE=tcp://localhost": "tcp://",
    "SEED=1000000000000": "whole number",
}


@pytest.mark.parametrize("word", WRONG)
def test_a_value_that_cannot_be_is_refused_with_what_is_expected(word):
    with pytest.raises(CourseworkError, match=WRONG[word]):
        variables.read([word])


def test_a_device_that_is_not_here_is_refused_before_anything_runs():
    if device.num_gpus():
        pytest.skip("there is one")
    with pytest.raises(CourseworkError, match="no such device"):
        build({"DEVICE": "cuda"})


def test_the_environment_gives_what_the_command_line_does_not(monkeypatch):
    for name in variables.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("BUDGET", "smoke")
    monkeypatch.setenv("SEED", "3")
    assert variables.read(["SEED=4"]) == {"BUDGET": "smoke", "SEED": "4"}
