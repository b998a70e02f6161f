"""Results as objects: how they print, what arithmetic does to seeds and shares, and what a sentence refuses."""

import re
import statistics

import pandas as pd
import pytest

from helpers.base import CourseworkError
from helpers.page import markup, results
from helpers.page.results import MARKED, Result, Row, Rows, sentence, shortened


def result(*values, name="test_accuracy", **about):
    seeds = about.pop("seeds", list(range(len(values))))
    return Result(name=name, values=values, unit=markup.unit_of(name), about={"seeds": seeds, "share": 1.0, **about})


def words(text):
    return MARKED.sub(lambda match: match[2], text)


@pytest.mark.parametrize(
    "quantity, written",
    [
        (result(0.9), "0.9000"),
        (result(0.88, 0.90), "0.8900 ± 0.0141"),
        (result(17, name="best_epoch"), "17"),
        (result(12, 17, name="best_epoch"), "14.5 ± 3.5"),
        (result(0.31234, name="train_loss"), "0.3123"),
        (result(786.5817491999996, name="seconds"), "787 s"),
        (result(11785.92, name="examples_per_second"), "11,786 images/s"),
        (result(11785.92, 11790.1, name="train_loss"), "11,788 ± 3"),
        (result(1000, name="x"), "1,000"),
        (result(1234.56, name="x"), "1,235"),
        (result(0.0000123456, name="train_loss"), "1.235 × 10⁻⁵"),
        (result(0.01111, name="block.share"), "1.11 %"),
        (result(0.1, 0.2, name="saturated_share"), "15 ± 7.1 %"),
        (result(0.8874, name="interval.low"), "0.8874"),
        (result(1.43, name="ladder.gain"), "1.43"),
        (result(0.75, name="worst_class.F1"), "0.7500"),
        (result(True, name="diverged"), "yes"),
        (result(False, name="diverged"), "no"),
        (result(True, False, True, name="diverged"), "2 of 3"),
        (result(0.5, None, 0.7), "0.6000 ± 0.1414"),
    ],
)
def test_a_quantity_is_written_as_people_read_it(quantity, written):
    assert words(f"{quantity}") == words(str(quantity)) == written


def test_a_cell_is_written_by_the_heading_of_its_column():
    frame = pd.DataFrame({"row": ["a"], "test accuracy": [0.9], "seconds": [786.5817491999996], "share": [0.01111]})
    assert re.findall(r"<td>([^<]*)</td>", markup.table(frame, "T")) == ["0.9000", "787", "1.11 %"]
    assert markup.number(float("inf")) == "∞" and markup.number(0.5, "%") == "50.0 %" and markup.number(None) == "–"


def test_a_form_decides_and_n_counts_seeds_with_a_value():
    assert words(f"{result(0.88, 0.90, None):.2f} {result(0.5):%} {result(1.0, None):n}") == "0.89 ± 0.0141 50.0 % 1"


def test_a_form_never_writes_powers_as_a_computer_does():
    assert markup.quantity("x", 1497.2, form=".2g") == "1,497" and markup.quantity("x", 3e-7, form=".1g") == "3 × 10⁻⁷"
    assert markup.quantity("x", 2.5e-16, form=".1e") == "2.5 × 10⁻¹⁶" and markup.quantity("x", 12.3, form=".2g") == "12"


def test_a_quantity_without_a_value_cannot_be_said():
    assert f"{result(None, None)}" == results.MISSING
    assert not result(None) and result(0.0)


def test_arithmetic_goes_seed_by_seed():
    one, other = result(0.9, 0.8, 0.7, seeds=[0, 1, 2]), result(0.5, 0.6, seeds=[2, 0], share=0.5)
    gain = one - other
    assert gain.values == pytest.approx((0.9 - 0.6, 0.7 - 0.5)) and gain.about["seeds"] == [0, 2] and gain.share == 0.5
    assert gain.mean == pytest.approx(statistics.fmean([0.3, 0.2])) and gain.std == pytest.approx(0.0707, abs=1e-4)
    assert (one / 2).values == pytest.approx((0.45, 0.4, 0.35)) and (-one).values == pytest.approx((-0.9, -0.8, -0.7))
    assert (one > 0.75).values == (True, True, False) and words(f"{one > 0.75}") == "2 of 3"
    assert (one + result(None, 0.1, 0.1)).values == (None, pytest.approx(0.9), pytest.approx(0.8))


def test_arithmetic_names_each_record_once_and_a_budget_that_both_have():
    full, short = (result(0.9, budget=budget, records=["a", "b"]) for budget in ("full", "standard"))
    assert (full - full).about["records"] == ["a", "b"] and (full - full).about["budget"] == "full"
    assert (full - short).about["budget"] is None


def test_rows_publish_what_is_read():
    frame = pd.DataFrame({"test_accuracy": [0.8, float("nan")], "status": ["ok", "diverged"]})
    published = {}
    rows = Rows({"adam": Row(frame, {"seeds": [0, 1]}, lambda name, value: published.update({name: value}))})
    assert rows.adam.test_accuracy.values == (0.8, None) and list(published) == ["test_accuracy"]
    assert rows["adam"]["test_accuracy"] == published["test_accuracy"]
    with pytest.raises(AttributeError, match="no result accuracy; there are test_accuracy"):
        _ = rows.adam.accuracy
    with pytest.raises(CourseworkError, match="no row 'sgd'; there are adam"):
        _ = rows.sgd


def test_a_sentence_marks_shortened_trainings():
    whole, short = result(0.9), result(0.5, share=0.01)
    assert sentence(f"{whole} and {short}", "", "here") == ("0.9000 and 0.5000†", [0.01])
    assert sentence(f"{whole} alone", "", "here") == ("0.9000 alone", [])
    assert shortened([0.02, 0.01], {"0.01": "1 epoch"}) == " (†: shortened, the least to 1 epoch)"
    assert shortened([0.01, 0.01], {}) == " (†: shortened to 1 % of the training)" and shortened([], {}) == ""


def test_a_sentence_refuses_a_plain_number_that_the_code_did_not_write():
    assert sentence(f"At rate 0.1 it is {result(0.9)}.", "page.say(f'At rate 0.1 ...')", "here")
    measured = 0.8931
    with pytest.raises(CourseworkError, match=r"here: 0\.8931 in a sentence is a plain number"):
        sentence(f"It is {measured}.", "page.say(f'It is {measured}.')", "here")
    assert results.DECIMAL.findall("arXiv 2404.00498 and 1.5e-3, v2.1") == ["2404.00498", "1.5e-3"]
