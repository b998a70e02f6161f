"""Rows and kinds of committed trainings."""

import numpy as np
import pytest
import sample_record

from helpers import base
from helpers.claims import pool, spread
from helpers.trials import records


@pytest.fixture
def home(tmp_path, monkeypatch):
    for name, path in {"PUBLISHED": "published", "CACHE": "cache", "RECORDS": "records"}.items():
        monkeypatch.setattr(base, name, tmp_path / path)
    return tmp_path


def write(home, key, seed, accuracy, epochs=6, **config):
    curve = list(np.linspace(accuracy - 0.1, accuracy, epochs))
    names = ("test_accuracy", "train_accuracy", "train_loss", "lr")
    about = {
        "config": {"seed": seed, "model": "report_a"} | config, "trial": "classifier", "fingerprint": "f",
        "history": dict.fromkeys(names, curve), "metrics": {"test_accuracy": accuracy, "train_loss": 0.1},
        "seconds": 3.0, "examples": 60_000 * epochs,
    }  # fmt: skip
    return records.write("study_a", sample_record.record(key=key, **about), root=home / "published" / "records")


def test_rows_hold_the_seeds_of_one_setting_and_whole_trainings_alone(home):
    for seed, accuracy in enumerate((0.86, 0.87, 0.88)):
        write(home, f"a{seed}", seed, accuracy)
    write(home, "b0", 0, 0.80, lr=0.2)
    write(home, "short", 5, 0.5, epochs=2)  # repeated in front of the reader
    write(home, "dead", 6, 0.1)
    write(home, "cut", 0, 0.9, scheduler="plateau")
    basis = pool.committed()
    rows = basis.rows["test_accuracy", "report_a", False]
    assert sorted(sorted(row.values) for row in rows) == [[0.80], [0.86, 0.87, 0.88]]
    assert [row.values for row in basis.rows["test_accuracy", "report_a", True]] == [[0.9]]
    assert len(basis.rows["gap", "report_a", False]) == 2  # read off the curves
    write(home, "b1", 1, 0.81, lr=0.2)
    assert len(pool.committed().rows["test_accuracy", "report_a", False][0].values) >= 2  # read again


def test_priors_are_those_of_the_row_variances():
    rows = [[0.86, 0.87, 0.88], [0.80, 0.81], [0.70, 0.71, 0.72, 0.74], [0.9]]
    made = pool.Basis({("gap", "report_a", False): [pool.Row(values) for values in rows]})
    variances = [np.var(values, ddof=1) for values in rows[:3]]
    assert made.prior_of(("gap", "report_a", False)) == spread.fit_prior(variances, [2, 1, 3])
    assert made.prior_of(("gap", "other", False)) is None


def test_priors_of_losses_are_relative():
    rows = np.array([[0.1, 0.11, 0.12], [0.5, 0.52, 0.58], [0.2, 0.21, 0.25]])
    same = pool.prior([list(row) for row in rows], "train_loss")
    scaled = pool.prior([list(row * factor) for row, factor in zip(rows, (1, 10, 100))], "train_loss")
    assert scaled.variance == pytest.approx(same.variance)


def test_the_size_of_the_evaluation_set_is_the_records_own(home):
    record = write(home, "a", 0, 0.86, dataset="cifar10") | {"predictions": base.pack_labels(np.zeros(2000, np.uint8))}
    sizes = {"test_accuracy": 2000, "train_accuracy": 60_000, "validation_accuracy": 6_666}
    assert {metric: pool.images_of(metric, record) for metric in sizes} == sizes
    assert pool.images_of("test_accuracy", None) == 10_000


def test_the_floor_is_of_runs_whose_rate_stays(home):
    steady = write(home, "a", 0, 0.86, epochs=12)
    steady["history"]["test_accuracy"] = [0.8, 0.8] + [0.85, 0.87] * 5
    assert pool.scatter("test_accuracy", steady) > 0.009
    assert pool.scatter("test_accuracy", steady | {"config": steady["config"] | {"scheduler": "plateau"}}) == 0.0
    assert pool.scatter("best_epoch", steady) == 0.0
