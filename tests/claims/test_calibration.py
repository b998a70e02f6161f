"""The calibration of the judge: on rows whose truth is known, sound where the judge is, and failing where it is not."""

import numpy as np
import pytest
from made_up import claim, line, result

from helpers.claims import calibration, pool

METRIC = ("test_accuracy", "report_a", False)


def basis(rng, rows=20, seeds=10, deviation=0.003, metric=METRIC):
    values = rng.normal(0.86, deviation, (rows, seeds))
    return pool.Basis({metric: [pool.Row(list(row)) for row in values]})


def lines(pooled):
    return {(row["metric"], row["n"]): row for row in calibration.table(pooled).to_dict("records")}


def test_a_judge_on_alike_rows_errs_in_one_of_twenty():
    table = lines(basis(np.random.default_rng(0)))
    for n in calibration.SIZES:
        row = table["test_accuracy", n]
        assert row["seeds"] == 200 and row["numbers"] == calibration.SOUND
        assert row["low"] <= row["refuted"] <= row["high"] and row["low"] <= 0.05
        assert row["power"] > 0.9
    for n in (1, 2, 3, 5):
        assert table["test_accuracy", n]["orders"] == calibration.SOUND
    assert table["test_accuracy", 9]["sets"] == 0  # nine against nine need eighteen


def test_a_judge_whose_deviation_is_wrong_fails():
    rng = np.random.default_rng(1)
    quiet = [pool.Row(list(row)) for row in rng.normal(0.86, 0.004, (30, 10))]
    for row in quiet:
        row.values[0] += 0.05  # one seed in ten lies far out: no kind is like this
    rows = lines(pool.Basis({METRIC: quiet}))
    assert rows["test_accuracy", 9]["numbers"] == calibration.ERRS
    assert rows["test_accuracy", 9]["low"] > 0.05


def test_what_was_not_tried_or_fails_gives_no_verdict():
    rng = np.random.default_rng(2)
    pooled = basis(rng)
    assert calibration.doubt(pooled, "number", "study_a.a1.test_accuracy", 3) == ""
    assert calibration.doubt(pooled, "order", "study_a.a1.test_accuracy", 12) == ""  # as at the largest n tried
    assert calibration.NOT_TRIED in calibration.doubt(pooled, "number", "study_a.a1.train_loss", 3)
    single = basis(rng, rows=1, seeds=3)
    assert calibration.NOT_TRIED in calibration.doubt(single, "number", "study_a.a1.test_accuracy", 2)
    key = "study_a.a1.test_accuracy"
    seeds = {key: result(0.858, 0.860, 0.862)}
    assert line(claim(value="0.900"), seeds, pooled)["verdict"] == "not reproduced"
    untried = line(claim(value="0.900"), seeds, single)
    assert untried["verdict"] == "inconclusive" and "left-out seeds" in untried["reason"]
    assert untried["half_width"] > 0  # the numbers are shown all the same


def test_one_seed_is_judged_where_its_kind_tells():
    rng = np.random.default_rng(3)
    assert lines(basis(rng))["test_accuracy", 1]["seeds"] == 200
    assert lines(basis(rng, rows=1))["test_accuracy", 1]["seeds"] == 0
    assert lines(basis(rng, rows=1))["test_accuracy", 3]["seeds"] == 10


@pytest.mark.parametrize(
    ("key", "metric"),
    [
        ("study_a.a1.test_accuracy", "test_accuracy"),
        ("study_d.fc.validation_accuracy", "test_accuracy"),
        ("study_b.final.train_accuracy_after_18", "train_accuracy"),
        ("study_c.scheduler_gain.test_accuracy", "gap"),
        ("study_c.blocks1.gap", "gap"),
        ("study_f.baseline.volatility", "volatility"),
        ("study_b.final.first_cut_epoch", "best_epoch"),
        ("study_b.final.accuracy_epoch5", "test_accuracy"),
        ("study_a.a1.seconds", "seconds"),
        ("study_a.a1.parameters", ""),
    ],
)
def test_the_metric_that_answers_for_a_key(key, metric):
    assert calibration.cell(key) == metric


def test_the_table_of_the_committed_records_is_complete():
    table = calibration.table(pool.committed())
    assert len(table) == len(calibration.CELLS) * len(calibration.SIZES)
    tried = table[table["seeds"] >= calibration.LEAST]
    assert len(tried) and (tried["low"] <= tried["refuted"]).all() and (tried["refuted"] <= tried["high"]).all()
    assert set(table["numbers"]) <= {calibration.SOUND, calibration.ERRS, calibration.NOT_TRIED}
    errs = set(tried.loc[tried["numbers"] == calibration.ERRS, "metric"])
    assert errs <= {"seconds"}  # times hang on what else the machine did; such a cell prints no verdict
