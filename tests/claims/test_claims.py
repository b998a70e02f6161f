"""The ledger: the committed claims and numbers, the judge against scipy, and what a person sees."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import sample_record
from scipy import stats

from helpers import base
from helpers.base import CourseworkError
from helpers.claims import claims, judge, ledger
from helpers.claims.__main__ import main
from helpers.trials import records

CHECKOUT = base.CHECKOUT


def result(*values, **about):
    """A result as page.publish makes it."""
    known = [value for value in values if value is not None]
    made = {"values": list(values), "n": len(known), "value": float(np.mean(known)) if known else None}
    made |= {"std": float(np.std(known, ddof=1)) if len(known) > 1 else None, "share": 1.0, "budget": "full"}
    return made | {"seeds": list(range(len(values))), "records": [], "statuses": [], "unit": ""} | about


def claim(kind="number", evidence="study_a.a1.test_accuracy", **about):
    readings = evidence if isinstance(evidence, dict) else {"": evidence}
    return claims.Claim(id="A1.x", report="A", kind=kind, statement="something", evidence=readings, **about)


def verdict(entry, results):
    return claims.judge_claim(entry, results)["verdict"]


# -- what is committed ----------------------------------------------------------------------------


def test_claims_cover_what_the_reports_print():
    ids = {entry.id for entry in claims.load_claims()}
    rows = {identifier.split(".")[0] for identifier in ids}
    assert {f"A{i}" for i in range(1, 13)} | {f"C{i}" for i in range(1, 10)} <= rows
    for row in ("C1", "C9"):
        assert {f"{row}.{metric}" for metric in ("train_accuracy", "test_accuracy", "train_loss")} <= ids
    assert {"B.best_accuracy", "B.final_accuracy", "B.final_accuracy_prose", "B.best_epoch"} <= ids
    assert {f"D.valid_acc.epoch{i}" for i in range(1, 11)} <= ids
    statements = [identifier for identifier in ids if identifier.startswith("S-")]
    assert sum(identifier[2] in "ABC" for identifier in statements) >= 14
    assert sum(identifier[2] in "DE" for identifier in statements) >= 18


def test_every_printed_number_is_bound_or_set_aside():
    entries = claims.load_claims()
    table = claims.denominator(entries)
    assert list(table.index) == list("ABCDE") and (table["unbound"] == 0).all()
    named = {name for names in claims.numbers()["claims"] for name in names.split()}
    assert named <= {entry.id for entry in entries}
    entries = [entry for entry in entries if entry.report in "ABCDE"]  # not a study of one's own
    needs_number = {entry.id for entry in entries if entry.value and not entry.id.startswith("S-")}
    assert needs_number <= named


def test_unbinding_a_claim_shows_in_the_denominator():
    entries = [entry for entry in claims.load_claims() if entry.id != "A3.train_loss"]
    assert claims.denominator(entries).loc["A", "unbound"] == 1


@pytest.mark.realdata
def test_numbers_lie_where_the_texts_have_them():
    texts = sorted((base.data_folder().parent / "seeds").glob("*.txt"))
    if len(texts) != 5:
        pytest.skip("the texts of the reports are not at hand")
    listed = claims.numbers()
    for report, path in zip("ABCDE", texts):
        text = path.read_text(encoding="utf-8")
        found = [(m.start(), text.count("\n", 0, m.start()) + 1, m[0]) for m in claims.NUMBER.finditer(text)]
        mine = listed[listed["report"] == report]
        assert list(zip(mine["offset"], mine["line"], mine["printed"])) == found, path.name


# -- the judge ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.860", (0.86, 0.86, 0.0005)),
        ("90.05 %", (0.9005, 0.9005, 0.00005)),
        ("20-25", (20, 25, 0.5)),
        ("0.5-1 %", (0.005, 0.01, 0.0005)),
        ("719.6274362", (719.6274362, 719.6274362, 5e-8)),
    ],
)
def test_printed_values_and_their_digits(text, expected):
    assert judge.printed(text) == pytest.approx(expected)


def test_prediction_interval_is_students():
    values = [0.80, 0.84, 0.82, 0.86]
    mean, width = judge.interval(values, "k.test_accuracy")
    expected = stats.t(3, np.mean(values), np.std(values, ddof=1) * math.sqrt(1 + 1 / 4)).interval(0.95)
    assert (mean - width, mean + width) == pytest.approx(expected)


def test_prediction_interval_is_never_below_the_binomial_error():
    _, width = judge.interval([0.86, 0.86, 0.86], "k.test_accuracy")
    assert width == pytest.approx(1.96 * math.sqrt(0.86 * 0.14 / 10_000))
    assert judge.interval([0.5, 0.9], "k.test_accuracy")[1] < 0.01  # two seeds: the fixed part alone


def test_number_reproduced_refuted_exceeded_and_open():
    close = {"study_a.a1.test_accuracy": result(0.858, 0.860, 0.862)}
    assert verdict(claim(value="0.860"), close) == "reproduced"
    assert verdict(claim(value="0.900"), close) == "not reproduced"
    assert verdict(claim(value="0.800", best=True), close) == "exceeded"
    assert verdict(claim(value="0.900", best=True), close) == "not reproduced"
    skew = {"study_a.a1.test_accuracy": result(*[0.80] * 20, 0.95)}
    assert verdict(claim(value="0.90"), skew) == "inconclusive"


def test_diverged_seeds_count_as_a_side():
    key = "study_a.a1.test_accuracy"
    assert verdict(claim(value="0.90"), {key: result(None, None, None)}) == "not reproduced"
    assert verdict(claim(value="0.80"), {key: result(0.86, 0.861, 0.862, None)}) == "inconclusive"
    assert verdict(claim(value="0.90"), {key: result(0.86, 0.861, 0.862, None)}) == "not reproduced"


def test_seeds_at_chance_do_not_widen_the_interval():
    key = "study_a.a7_applied.test_accuracy"
    some = {key: result(0.86, 0.1, 0.855, 0.1, 0.858)}
    assert verdict(claim(evidence=key, value="0.857"), some) == "reproduced"  # three of five trained, and agree
    assert verdict(claim(evidence=key, value="0.30"), some) == "inconclusive"  # between those at chance and the others
    assert verdict(claim(evidence=key, value="0.99"), some) == "not reproduced"
    most = {key: result(0.86, 0.1, 0.1, 0.1, 0.1)}
    assert verdict(claim(evidence=key, value="0.86"), most) == "inconclusive"  # most runs do not do that
    assert verdict(claim(evidence=key, value="0.86"), {key: result(0.1, 0.1, 0.1)}) == "not reproduced"
    assert verdict(claim(evidence=key, value="0.1"), {key: result(0.1, 0.1, 0.1)}) == "reproduced"


def test_a_bound_is_not_widened():
    key = "study_c.normal.test_accuracy"
    entry = claim("bound", key, value="88 %")
    assert verdict(entry, {key: result(0.860, 0.861, 0.862)}) == "reproduced"
    assert verdict(entry, {key: result(0.879, 0.880, 0.878)}) == "inconclusive"  # below, but within the error
    assert verdict(entry, {key: result(0.900, 0.901, 0.899)}) == "not reproduced"
    below, above = (judge.likelihood(entry, key, {key: result(*[v] * 5)}) for v in (0.85, 0.90))
    assert below > 0.9 and above < 0.2


def test_a_gain_is_no_accuracy_at_chance():
    key = "study_c.scheduler_gain.test_accuracy"
    entry = claim("number", key, value="0.5-1 %")
    inside, outside = (judge.likelihood(entry, key, {key: result(*v)}) for v in ([0.007] * 3, [-0.02] * 3))
    assert inside > 5 * outside
    assert verdict(entry, {key: result(None)}) == "inconclusive"  # no pair trained alike


def test_epochs_within_three():
    key = "study_b.final.best_epoch"
    entry = claim("epoch", key, value="24")
    assert verdict(entry, {key: result(20, 27, 26)}) == "reproduced"
    assert verdict(entry, {key: result(10, 12, 11)}) == "not reproduced"
    assert verdict(entry, {key: result(None, None, None)}) == "not reproduced"
    assert verdict(entry, {key: result(10, 12, 24)}) == "inconclusive"
    assert verdict(claim("epoch", key, value="20-25"), {key: result(28)}) == "reproduced"
    assert verdict(entry, {key: result(2, 1, 2, share=0.1)}) == "inconclusive"  # epoch 24 never came


def test_divergence_by_status_or_chance():
    entry = claim("diverges", "study_a.a2.diverged", value="nan")

    def answer(statuses, ends):
        found = {"study_a.a2.diverged": result(float(len(ends)), statuses=statuses)}
        return found | {"study_a.a2.test_accuracy": result(*ends)}

    gone = "diverged"
    assert verdict(entry, answer([gone] * 3, [0.1] * 3)) == "reproduced"
    assert verdict(entry, answer(["ok", "ok", gone], [0.1, None, 0.1])) == "reproduced"
    assert verdict(entry, answer(["ok"] * 3, [0.88, 0.87, 0.88])) == "not reproduced"
    assert verdict(entry, answer([gone, "ok", "ok"], [0.1, 0.88, 0.88])) == "inconclusive"


def test_what_a_shortened_training_does_not_show_stays_open():
    entry = claim("statement", "study_a.a1.falls")
    assert verdict(entry, {"study_a.a1.falls": result(0, 0, 0)}) == "not reproduced"
    assert verdict(entry, {"study_a.a1.falls": result(0, 0, 0, share=0.5)}) == "inconclusive"
    assert verdict(entry, {"study_a.a1.falls": result(1, 1, 0, share=0.5)}) == "reproduced"
    assert verdict(entry, {"study_a.a1.falls": result()}) == "inconclusive"


def test_times_give_a_ratio_and_no_verdict():
    line = claims.judge_claim(claim("time", "study_a.a1.seconds", value="719.6"), {"study_a.a1.seconds": result(359.8)})
    assert line["verdict"] == "not comparable" and "0.5" in line["reason"]
    short = {"study_a.a1.seconds": result(3.598, share=0.01)}
    assert claims.judge_claim(claim("time", "study_a.a1.seconds", value="719.6"), short)["reason"] == line["reason"]


def test_order_over_paired_seeds():
    left, right = "study_c.blocks1.gap", "study_c.blocks3.gap"
    seeds = result(0.010, 0.020, 0.030), result(0.0151, 0.0250, 0.0349)
    known = dict(zip((left, right), seeds))
    gap, width, how = judge.difference(left, right, known)
    paired = stats.ttest_rel(seeds[0]["values"], seeds[1]["values"]).confidence_interval(0.95)
    assert (gap - width, gap + width) == pytest.approx((paired.low, paired.high)) and "paired" in how
    assert verdict(claim("order", f"{left} < {right}"), known) == "reproduced"
    assert verdict(claim("order", f"{left} > {right}"), known) == "not reproduced"


def test_order_of_unpaired_seeds_is_welchs():
    left, right = "study_c.adam.gap", "study_c.sgd.gap"
    known = {left: result(0.80, 0.82, 0.84, 0.81), right: result(0.70, 0.77, 0.74)}
    gap, width, _ = judge.difference(left, right, known)
    welch = stats.ttest_ind(known[left]["values"], known[right]["values"], equal_var=False).confidence_interval(0.95)
    assert (gap - width, gap + width) == pytest.approx((welch.low, welch.high))


def test_no_difference_refutes_an_order_and_supports_equality():
    left, right = "study_e.batch8.test_accuracy", "study_e.batch2048.test_accuracy"
    same = {left: result(0.8501, 0.8499, 0.8500), right: result(0.8500, 0.8501, 0.8499)}
    apart = {left: result(0.9001, 0.8999, 0.9000), right: result(0.8500, 0.8501, 0.8499)}
    assert verdict(claim("order", f"{left} > {right}"), same) == "not reproduced"
    assert verdict(claim("order", f"{left} ~ {right}"), same) == "reproduced"
    assert verdict(claim("order", f"{left} ~ {right}"), apart) == "not reproduced"
    assert verdict(claim("order", f"{left} > {right}", margin=0.04), apart) == "reproduced"
    assert verdict(claim("order", f"{left} > {right}", margin=0.10), apart) == "not reproduced"  # not by so much
    short = apart | {right: result(0.85, 0.85, 0.85, share=0.1)}
    assert verdict(claim("order", f"{left} > {right}"), short) == "inconclusive"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A project root of the test's own, with the committed claims."""
    folders = {"ROOT": "", "REPORTS": "reports", "RECORDS": "reports/records", "CACHE": "data/cache"}
    for name, path in (folders | {"PUBLISHED": "reports/published"}).items():
        monkeypatch.setattr(base, name, tmp_path / path)
    claims.record_of.cache_clear()
    yield tmp_path
    claims.record_of.cache_clear()


def write_trial(key, wrong, labels, seconds=12.0):
    """A record of a trial that got the images `wrong` wrong; returns its accuracy."""
    predicted = labels.copy()
    predicted[wrong] = (predicted[wrong] + 1) % 10
    about = {"fingerprint": "f", "source": "c0de" * 16, "seconds": seconds, "predictions": base.pack_labels(predicted)}
    records.write("study_a_sgd_sweep", sample_record.record(key=key, **about))
    return float((predicted == labels).mean())


def test_one_run_each_is_compared_image_by_image(home):
    labels = (np.arange(10_000) % 10).astype(np.uint8)
    (base.CACHE / "fashion_mnist").mkdir(parents=True)
    np.save(base.CACHE / "fashion_mnist" / "test_labels.npy", labels)
    (base.CACHE / "fashion_mnist" / "meta.json").write_text('{"fingerprint": "f"}')
    good = write_trial("a" * 20, slice(0, 1300), labels)
    poor = write_trial("b" * 20, slice(100, 1460), labels)  # 100 images lost by one, 160 by the other
    left, right = "study_a.a1.test_accuracy", "study_a.a4.test_accuracy"
    known = {left: result(good, records=["a" * 20]), right: result(poor, records=["b" * 20])}
    line = claims.judge_claim(claim("order", f"{left} > {right}"), known)
    assert line["verdict"] == "reproduced" and "image by image" in line["reason"]
    found = judge.difference(left, right, known, lambda key: claims.images_right(known[key]))
    mcnemar = math.sqrt(260 - 60**2 / 10_000) / 10_000  # of 260 images that only one gets right
    assert found[:2] == pytest.approx((60 / 10_000, 1.96 * mcnemar))
    blind = claims.judge_claim(claim("order", f"{left} > {right}"), {k: v | {"records": []} for k, v in known.items()})
    assert blind["verdict"] == "inconclusive"  # without the pairing 0.006 is within the test set's error


def test_two_readings_and_their_likelihood_ratio():
    readings = {"applied": "study_a.a8_applied.test_accuracy", "not applied": "study_a.a8_plain.test_accuracy"}
    known = dict(zip(readings.values(), (result(0.1, 0.1, 0.1), result(0.856, 0.859, 0.862))))
    line = claims.judge_claim(claim(evidence=readings, value="0.8595"), known)
    assert line["verdict"] == "not reproduced"
    assert line["readings"] == "applied: not reproduced; not applied: reproduced"
    first, second = map(float, line["likelihood_ratio"].split(" : "))
    assert second == 1 and first < 0.01


def test_likelihood_of_digits_is_students_mass():
    entry, values = claim(value="0.860"), [0.855, 0.866, 0.861, 0.858, 0.851]
    scale = np.std(values, ddof=1) * math.sqrt(1.2)
    student = stats.t(4, np.mean(values), max(scale, 1.96 * 0.0035 / stats.t.ppf(0.975, 4)))
    share = 1 - 0.5 / 6  # of seeds that do not end at chance
    expected = share * (student.cdf(0.8605) - student.cdf(0.8595))
    key = "study_a.a1.test_accuracy"
    assert judge.likelihood(entry, key, {key: result(*values)}) == pytest.approx(expected, rel=0.02)


def test_shortened_trials_and_standin_data_are_marked():
    key = "study_a.a1.test_accuracy"
    line = claims.judge_claim(claim(value="0.86"), {key: result(0.86, share=0.12, budget="standard")})
    assert (line["verdict"], line["budget"], line["n"]) == ("reproduced", "standard", 1)
    assert line["provisional"] == "provisional: 12 % of the training"
    bundle = {"results": {"a1.test_accuracy": result(0.86)}, "data": [{"standin": True}]}
    assert verdict(claim(value="0.86"), {"study_a": bundle}) == "not comparable"


def test_calibration_meets_its_targets():
    rng = np.random.default_rng(4)
    real = {f"study_a.r{i}.test_accuracy": result(*rng.normal(0.86, 0.002, 5)) for i in range(20)}
    rows = ledger.calibration(rng, real)
    assert [row["source"] for row in rows] == ["held-out seeds", "made-up seeds"]
    assert rows[0]["cases"] == 100 and rows[1]["cases"] >= 400
    assert all(row["refuted"] >= 0.9 and row["reproduced"] >= 0.9 for row in rows)
    assert rows[1]["reproduced"] <= 0.99


# -- the build ------------------------------------------------------------------------------------


def answer_all(entries, missing=()):
    """A made-up result for every key that the claims need."""
    return {key: result(0.5, 0.6, 0.7) for entry in entries for key in entry.needs() if key not in missing}


def test_ledger_judges_every_claim():
    entries = claims.load_claims()
    frame = claims.judge_all(entries, answer_all(entries))
    assert len(frame) == len(entries) and set(frame["verdict"]) <= set(judge.VERDICTS)


def test_a_claim_without_a_result_fails_with_its_id():
    entries = claims.load_claims()
    claims.check_answered(entries, answer_all(entries))
    lacking = answer_all(entries, missing={"study_a.a3.train_loss"})
    with pytest.raises(CourseworkError, match=r"claim A3\.train_loss: no result study_a\.a3\.train_loss"):
        claims.check_answered(entries, lacking)
    claims.check_answered(entries, lacking, unavailable=["study_a"])


def test_the_larger_budget_answers(home):
    for folder, share, value in (("published", 1.0, 0.86), ("standard", 0.1, 0.80)):
        (home / "reports" / folder).mkdir(parents=True)
        bundle = {"notebook": "study_a_sgd_sweep", "data": {"standin": False}}
        bundle["results"] = {"a1.test_accuracy": result(value, share=share)}
        (home / "reports" / folder / "study_a_sgd_sweep.json").write_text(json.dumps(bundle))
    known = claims.load_results("standard")
    assert known["study_a.a1.test_accuracy"]["value"] == 0.86
    assert known["study_a.a1.test_accuracy"]["page"] == "reports/published/study_a_sgd_sweep.html"


def test_why_tells_the_trail(home, capsys):
    write_trial("a" * 20, slice(0, 1400), np.zeros(10_000, np.uint8), seconds=34.0)
    (home / "reports" / "full").mkdir(parents=True)
    bundle = {"notebook": "study_a_sgd_sweep", "data": {"standin": False}}
    bundle["results"] = {"a3.train_loss": result(0.44, records=["a" * 20])}
    (home / "reports" / "full" / "study_a_sgd_sweep.json").write_text(json.dumps(bundle))
    assert main(["why", "A3"]) == 0
    told = capsys.readouterr().out
    for part in ("A3.train_loss", "study_a.a3.train_loss = 0.44", "reports/full/study_a_sgd_sweep.html", "34 s",
                 f"reports/records/study_a_sgd_sweep/{'a' * 20}.json: ok, code c0dec0dec0de", "does not establish",
                 "innocent cause", "A3.test_accuracy", "no result"):  # fmt: skip
        assert part in told
    assert main(["why", "Z9"]) == 1
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("{id: M1, report: M, kind: number, statement: s, value: 0.86, evidence: s.a}", "in quotes, not 0.86"),
        ("{id: M1, report: M, kind: number, statement: s, value: 'x', evidence: s.a}", "in quotes, not 'x'"),
        ("{id: M1, report: M, kind: order, statement: s, evidence: s.a}", "evidence"),
        ("{id: M1, report: M, kind: order, statement: s, evidence: 's.a > __import__(1)'}", "evidence"),
        ("{id: M1, report: M, kind: guess, statement: s, evidence: s.a}", "kind"),
        ("{id: M1, report: M, kind: statement, statement: s}", "evidence"),
        ("{id: M1, report: M, kind: statement, statement: s, evidence: s.a, causes: [moon]}", "moon"),
        ("{id: A1.best, report: M, kind: statement, statement: s, evidence: s.a}", "twice"),
    ],
)
def test_bad_entries_are_named_in_one_line(tmp_path, monkeypatch, entry, said):
    (tmp_path / "claims.yaml").write_bytes((CHECKOUT / "notebooks" / "claims.yaml").read_bytes())
    (tmp_path / "claims_mine.yaml").write_text(f"claims:\n- {entry}\n")
    monkeypatch.setattr(base, "NOTEBOOKS", tmp_path)
    with pytest.raises(CourseworkError, match=said) as caught:
        claims.load_claims()
    assert "claims_mine.yaml" in str(caught.value) and "\n" not in str(caught.value)


# -- a study of one's own -------------------------------------------------------------------------

RUN = """
import json, sys
cells = json.load(open(sys.argv[1]))["cells"]
space = {"__name__": "__main__", "__annotations__": {}}
for cell in cells:
    if cell["cell_type"] == "code":
        exec("".join(cell["source"]), space)
        space.update(budget="smoke", data="standin", seeds=1)
print("FINISHED", sorted(space["page"].results))
"""


def test_new_study_runs_and_refuses(tmp_path):
    (tmp_path / "notebooks").mkdir()
    environment = os.environ | {"COURSEWORK_HOME": str(tmp_path), "JOBS": "0", "COURSEWORK_OFFLINE": "1"}

    def python(*arguments):
        command = [sys.executable, *arguments]
        return subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True)

    made = python("-m", "helpers.claims", "new-study", "mine")
    assert made.returncode == 0, made.stderr
    for name, words in (("mine", "exists already"), ("My Study", "small letters"), ("../x", "small letters")):
        refused = python("-m", "helpers.claims", "new-study", name)
        assert refused.returncode == 1 and words in refused.stderr and refused.stderr.count("\n") == 1
    assert sorted(path.name for path in (tmp_path / "notebooks").iterdir()) == ["claims_mine.yaml", "study_mine.ipynb"]
    ran = python("-c", RUN, str(tmp_path / "notebooks" / "study_mine.ipynb"))
    assert "FINISHED" in ran.stdout, ran.stderr
    assert "rate_0_1.test_accuracy" in ran.stdout


def test_judge_loads_without_torch():
    code = "import helpers.claims, sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=Path(CHECKOUT), check=True)


# -- what a study's page asks ---------------------------------------------------------------------


def test_printed_value_of_a_claim():
    assert claims.printed("A3.train_accuracy") == 0.84
    assert claims.printed("B.best_accuracy") == pytest.approx(0.9005)
    with pytest.raises(CourseworkError, match=r"claim A33 prints no number"):
        claims.printed("A33")


def test_a_page_sees_its_own_claims_beside_its_results():
    frame = claims.beside("A", {"a3.test_accuracy": result(0.828, 0.826, 0.824), "unasked": result(1)})
    assert set(frame["claim"]) == {"A3.test_accuracy", "A3.evaluated"}
    assert set(frame["verdict"]) == {"reproduced"} and set(frame["n"]) == {3}
    assert frame["ours"].iloc[0] == "0.8260 ± 0.0020"
    short = claims.beside("A", {"a3.test_accuracy": result(0.5, share=0.1)})
    assert set(short["verdict"]) == {"not reproduced (provisional)"} and set(short["trained"]) == {"10 %"}
    standin = claims.beside("A", {"a3.test_accuracy": result(0.828, standin=True)})
    assert set(standin["verdict"]) == {"not comparable"}
    assert claims.beside("A", {"unasked": result(1)}).empty


def test_report_e_has_two_studies_with_like_named_rows():
    rows = {f"batch{size}.test_accuracy": result(0.5) for size in (64, 128, 256)}
    frame = claims.beside("E", rows | {"baseline.test_accuracy": result(0.5)})
    assert set(frame["claim"]) == {"S-E45", "S-E46"}
