"""Parameter sets that nobody would write: refused in one line, or taken as a value of the right type and bound."""

import copy
import math
import os
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies as st

from helpers import base
from helpers.base import CourseworkError
from helpers.page import parameters
from helpers.report.build import variables

NOTEBOOKS = sorted(path for path in (base.CHECKOUT / "notebooks").glob("*.ipynb"))
ODD = st.sampled_from(
    ["", " ", "nan", "inf", "-inf", "1e400", "9" * 400, "10 %", "0x10", "1_000", "True", "None", "[", "{}", "[[]]",
     "__import__('os').system('x')", "1;2", "a\nb", "\x00", "\x1b[31m", "é", "\udce9", "sgd|adam", "-0", "1e-400",
     "[" * 500, "(" * 5000, "'", "cuda:99", "smoke ", "1.0", "½", "٣"]
)  # fmt: skip
NUMBERS = st.integers() | st.floats() | st.sampled_from([10**30, -(10**400), 2**63, -1, 0, 10**9 + 1, 1e308, -0.0])
PLAIN = st.none() | st.booleans() | NUMBERS | ODD | st.text(max_size=30)
LISTS = st.lists(PLAIN, max_size=4) | st.lists(st.lists(PLAIN, max_size=2), max_size=2)
VALUES = PLAIN | LISTS | st.dictionaries(ODD, PLAIN | LISTS, max_size=3)
COUNT = 400


def is_right(value, kind) -> bool:
    """Whether a value is of the type that an annotation names: written without the validator's own table."""
    kinds = {"int": int, "float": float, "str": str, "bool": bool, "list": list, "dict": dict}
    finite = not isinstance(value, float) or math.isfinite(value)
    return value is None or (type(value) is kinds[kind.split("[")[0].split(" |")[0]] and finite)


@pytest.mark.fault("generated parameter sets")
def test_a_generated_parameter_set_is_refused_in_one_line_or_right(record_property):
    declared = {path: parameters.declared(path) for path in NOTEBOOKS}
    seen = {"refused": 0, "taken": 0}

    @hypothesis.settings(max_examples=COUNT, deadline=None, database=None, derandomize=True)
    @hypothesis.given(st.data())
    def check(data):
        path = data.draw(st.sampled_from(NOTEBOOKS))
        names = data.draw(st.lists(st.sampled_from([*declared[path]]) | ODD, min_size=1, max_size=4, unique=True))
        given = {name: data.draw(VALUES) for name in names}
        before = copy.deepcopy(given)
        try:
            taken = parameters.check_parameters(path, given)
        except CourseworkError as error:
            seen["refused"] += 1
            assert path.stem in str(error) and len(str(error)) < 2000
            return
        seen["taken"] += 1
        assert given == before or any(value != value for value in given.values())
        for name, value in taken.items():
            assert is_right(value, declared[path][name][0]), (name, value)

    check()
    assert seen["refused"] >= 300, seen
    record_property("tried", seen["refused"])


@pytest.mark.fault("generated parameter sets")
@pytest.mark.parametrize("name", ["budget", "epochs", "lr", "seed", "optimiser", "augment", "momentum", "patch_size"])
@pytest.mark.parametrize("kind", ["int", "float", "str", "bool", "list", "dict", "list[str]", "float | None"])
def test_any_value_of_any_type_meets_the_bound_or_is_refused(name, kind):
    test, _ = parameters.BOUNDS[name]

    @hypothesis.settings(max_examples=25, deadline=None, database=None, derandomize=True)
    @hypothesis.given(VALUES)
    def check(value):
        try:
            taken = parameters.check_value(name, kind, value, "here")
        except CourseworkError as error:
            assert str(error).startswith("here: ")
            return
        assert is_right(taken, kind)
        items = taken if isinstance(taken, list) else [taken]
        assert taken is None or all(test(item) for item in items)

    check()


@pytest.mark.fault("generated parameter sets")
def test_generated_variables_of_make_are_refused_or_read(monkeypatch, record_property):
    for name in variables.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    names = st.sampled_from([*variables.VARIABLES, *variables.OF_OTHERS, "BUGDET", "data"]) | st.text(max_size=5)
    refused = []

    @hypothesis.settings(max_examples=COUNT, deadline=None, database=None, derandomize=True)
    @hypothesis.given(st.lists(st.tuples(names, ODD | st.text(max_size=12)), min_size=1, max_size=3))
    def check(words):
        try:
            read = variables.read([f"{name}={value}" for name, value in words])
        except CourseworkError as error:
            refused.append(str(error))
            return
        assert all(isinstance(value, str) and value for value in read.values())

    check()
    record_property("tried", len(refused))
    assert len(refused) >= 200


@pytest.mark.fault("a wrong setting")
@pytest.mark.parametrize("name, value", [("DATA", "/some/path"), ("DEVICE", "gpu0"), ("BUDGET", "big"), ("JOBS", "-1")])
def test_a_variable_from_the_environment_says_where_it_comes_from(monkeypatch, name, value):
    for other in variables.VARIABLES:
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, value)
    with pytest.raises(CourseworkError, match=rf"{name}={value} \(from the environment; `unset {name}` there"):
        variables.read([])
    with pytest.raises(CourseworkError) as caught:
        variables.read([f"{name}={value}"])
    assert "environment" not in str(caught.value)


def test_the_notebooks_are_there():
    assert len(NOTEBOOKS) >= 10 and os.path.isabs(Path(NOTEBOOKS[0]))
