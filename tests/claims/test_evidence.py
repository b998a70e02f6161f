"""Results and records as the judge reads them."""

import json

import numpy as np
import pytest
import sample_record
from made_up import FREE, claim, line, result

from helpers import base, claims
from helpers.base import CourseworkError
from helpers.claims import evidence, pool
from helpers.claims.rubric import load_rubric
from helpers.trials import records


@pytest.fixture
def home(project):
    return project


def write_trial(key, wrong, labels, **config):
    """A record of a trial that got the images `wrong` wrong; returns its accuracy."""
    predicted = labels.copy()
    predicted[wrong] = (predicted[wrong] + 1) % 10
    about = {
        "fingerprint": "f",
        "source": "c0de" * 16,
        "seconds": 12.0,
        "config": config,
        "predictions": base.pack_labels(predicted),
    }
    records.write("study_a", sample_record.record(key=key, trial="classifier", **about))
    return float((predicted == labels).mean())


LEFT, RIGHT = "study_a.a1.test_accuracy", "study_a.a4.test_accuracy"


@pytest.fixture
def labels(home):
    labels = (np.arange(10_000) % 10).astype(np.uint8)
    (base.CACHE / "fashion_mnist").mkdir(parents=True)
    np.save(base.CACHE / "fashion_mnist" / "test_labels.npy", labels)
    (base.CACHE / "fashion_mnist" / "meta.json").write_text('{"fingerprint": "f"}')
    return labels


def test_predictions_count_where_the_value_is_the_records_own(labels):
    accuracy = write_trial("a" * 20, slice(0, 1300), labels)
    sample = evidence.sample(LEFT, {LEFT: result(accuracy, records=["a" * 20])}, FREE)
    assert sample.marks.shape == (1, 10_000) and sample.marks.mean() == accuracy and sample.images == 10_000
    earlier = evidence.sample(LEFT, {LEFT: result(accuracy - 0.01, records=["a" * 20])}, FREE)
    assert earlier.marks is None  # the accuracy of another epoch
    key = "study_a.a1.train_accuracy"
    assert evidence.sample(key, {key: result(accuracy, records=["a" * 20])}, FREE).marks is None
    assert evidence.sample(LEFT, {LEFT: result(accuracy, records=["none"])}, FREE).marks is None


def test_a_damaged_cache_of_another_data_set_hides_no_labels(labels):
    for name, meta in {"a": "{", "b": "[]", "c": "{}"}.items():
        (base.CACHE / name).mkdir()
        (base.CACHE / name / "meta.json").write_text(meta)
    assert pool.labels_of("f").tolist() == labels.tolist() and pool.labels_of("g") is None


def test_three_runs_each_are_compared_image_by_image(labels):
    good = [write_trial(f"{n}" * 20, slice(n, 1300 + n), labels) for n in range(3)]
    poor = [write_trial(f"{n + 3}" * 20, slice(100 + n, 1460 + n), labels) for n in range(3)]
    keys = [[f"{n}" * 20 for n in part] for part in (range(3), range(3, 6))]
    results = {LEFT: result(*good, records=keys[0]), RIGHT: result(*poor, records=keys[1])}
    row = line(claim("order", f"{LEFT} > {RIGHT}"), results)
    assert row["verdict"] == "reproduced" and "image by image" in row["reason"]
    blind = line(claim("order", f"{LEFT} > {RIGHT}"), {k: v | {"records": []} for k, v in results.items()})
    assert blind["verdict"] == "inconclusive"  # without the pairing 0.006 is within the test set's error


def test_a_sample_has_the_prior_of_its_kind(labels):
    write_trial("a" * 20, slice(0, 1300), labels, model="report_a")
    rows = [pool.Row([0.86, 0.861, 0.865]) for _ in range(4)]
    basis = pool.Basis({("test_accuracy", "report_a", False): rows}, strict=False)
    key = {LEFT: result(0.87, records=["a" * 20])}
    assert evidence.sample(LEFT, key, basis).prior.variance == pytest.approx(7e-6)
    assert evidence.sample(LEFT, {LEFT: result(0.87)}, basis).prior is None
    assert line(claim(value="0.870"), key, basis)["verdict"] == "reproduced"
    assert line(claim(value="0.900"), key, basis)["verdict"] == "not reproduced"


def test_what_no_training_stands_behind_is_a_fact():
    key = "study_a.parameters"
    assert evidence.sample(key, {key: result(3, seeds=None)}, FREE).fact
    assert not evidence.sample(key, {key: result(3)}, FREE).fact


def answer_all(entries, missing=()):
    """A made-up result for every key that the claims need."""
    return {key: result(0.5, 0.6, 0.7) for entry in entries for key in entry.needs() if key not in missing}


def test_a_claim_without_a_result_fails_with_its_id():
    entries = claims.load_claims()
    claims.check_answered(entries, answer_all(entries))
    lacking = answer_all(entries, missing={"study_a.a3.train_loss"})
    with pytest.raises(CourseworkError, match=r"claim A3\.train_loss: no result study_a\.a3\.train_loss"):
        claims.check_answered(entries, lacking)
    claims.check_answered(entries, lacking, unavailable=["study_a"])


def write_page(home, folder, name, value, **about):
    bundle = {"notebook": name, "results": {"a1.test_accuracy": result(value, **about)}}
    path = home / "reports" / folder / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(bundle))


def test_the_larger_budget_answers(home):
    write_page(home, "published", "study_a_sgd_sweep", 0.86)
    write_page(home, "standard", "study_a_sgd_sweep", 0.80, share=0.1)
    results = claims.load_results("standard")
    assert results["study_a.a1.test_accuracy"]["value"] == 0.86
    assert results["study_a.a1.test_accuracy"]["page"] == "reports/published/study_a_sgd_sweep.html"


def test_a_copy_of_a_notebook_does_not_answer_for_it(home):
    write_page(home, "standard", "study_a_sgd_sweep", 0.87)
    for name in ("study_a_sgd_sweep-Copy1", "study_a_zzz", "study_z_of_mine"):
        write_page(home, "standard", name, 0.11)
    values = {key: answer["value"] for key, answer in claims.load_results("standard").items()}
    assert values == {"study_a.a1.test_accuracy": 0.87, "study_z.a1.test_accuracy": 0.11}


def test_a_task_without_a_page_is_one_clear_line(home, monkeypatch):
    monkeypatch.setattr(base, "NOTEBOOKS", home)
    (home / "rubric.yaml").write_text("tasks:\nheadline:\nevidence:")
    assert load_rubric()["tasks"] == [] and load_rubric()["evidence"] == {}
    (home / "rubric.yaml").write_text("tasks: [{title: Loaders, asks: []}]")
    with pytest.raises(CourseworkError, match="task 1 has no page"):
        claims.load_results("standard")
