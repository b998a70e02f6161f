"""The ledger and every count of it: one source for the pages, the summary, the index and the README."""

import csv
import io
import json
import os

import numpy as np
import pandas as pd
import pytest
from made_up import FREE, claim, result
from scipy import stats

from helpers import base, claims, page
from helpers.base import CourseworkError
from helpers.claims import calibration, conclusion, ledger, orders, pool, readings
from helpers.claims.rubric import load_rubric
from helpers.report import index
from helpers.report.export import facts

ENTRIES = [
    claim("number", "study_a.x", id="A1.x", report="A", value="0.860"),
    claim("number", "study_b.y", id="B1.y", report="B", value="0.9"),
]
STUDIES = {"study_a": "A", "study_b": "B", "study_c": "C", "study_d": "D", "study_e": "E", "study_f": "E"}


@pytest.fixture
def results():
    return {"study_a.x": result(0.859, 0.860, 0.861)}


def answer_all(entries, missing=()):
    """A made-up result for every key that the claims need: some reproduce, some do not."""
    rng, made = np.random.default_rng(0), {}
    for key in sorted({key for entry in entries for key in entry.needs()} - set(missing)):
        made[key] = result(*rng.normal(0.86, 0.002, 3)) | {"share": float(rng.choice([1, 1, 0.1]))}
    return made


def test_a_study_without_results_was_not_run(tmp_path, monkeypatch, results):
    monkeypatch.setattr(base, "NOTEBOOKS", tmp_path)
    for name in ("study_a_sgd_sweep", "study_b_deep_patch_mlp"):
        (tmp_path / f"{name}.ipynb").touch()
    waiting = ledger.not_run(results)
    assert waiting == {"study_b"}
    claims.check_answered(ENTRIES, results, unavailable=waiting)
    frame = ledger.judged(ENTRIES, results, FREE)
    assert frame["verdict"].tolist() == ["reproduced", "not run"]
    assert ledger.counts(frame).loc["all", ["reproduced", "not run", "claims"]].tolist() == [1, 1, 2]
    assert ledger.count(frame)["not_run"] == 1


@pytest.mark.parametrize("ran", [{"study_b.other": result(1)}, {}])
def test_a_study_that_ran_or_whose_notebook_is_gone_must_answer_its_claims(tmp_path, monkeypatch, results, ran):
    monkeypatch.setattr(base, "NOTEBOOKS", tmp_path)
    if ran:
        (tmp_path / "study_b_deep_patch_mlp.ipynb").touch()
    with pytest.raises(CourseworkError, match=r"claim B1\.y: no result study_b\.y"):
        claims.check_answered(ENTRIES, results | ran, unavailable=ledger.not_run(results | ran))


def test_the_committed_notebooks_go_by_their_short_names():
    assert {"study_a", "task5", "summary"} <= ledger.not_run({})


def test_every_claim_is_judged():
    entries = claims.load_claims()
    frame = ledger.judged(entries, answer_all(entries), FREE)
    assert len(frame) == len(entries) and set(frame["verdict"]) <= set(ledger.VERDICTS)
    assert not frame.loc[frame["share"] < 1, "verdict"].isin(["not reproduced", "exceeded"]).any()


def test_refutations_survive_as_benjamini_and_hochberg_have_it():
    rows = [(0.001, "not reproduced"), (0.03, "not reproduced"), (0.5, "reproduced"), (0.9, "inconclusive"),
            (None, "not reproduced"), (None, "not comparable")]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["p", "verdict"]).assign(n=3, share=1.0)
    kept = ledger.surviving(frame)
    assert kept.tolist() == [True, False, False, False, True, False]  # 0.03 * 4 / 2 is above 0.05; the fifth is a fact
    assert stats.false_discovery_control([0.001, 0.03, 0.5, 0.9])[1] > 0.05
    counts = ledger.count(frame.assign(survives=kept))
    assert (counts["tested"], counts["expected_false"], counts["surviving"]) == (4, pytest.approx(0.2), 2)


def test_what_is_inconclusive_says_why_and_what_would_settle_it():
    rows = [
        ("order", 0.1, None, None, "trained to 10 %"),
        ("number", 1, None, None, "1 run:"),
        ("order", 1, 0.01, 0.3, "difference 0.001"),
        ("number", 1, 0.01, 0.3, "the judge errs"),
        ("order", 1, None, None, f"{orders.NOT_MEASURED}: x"),
        ("order", 1, None, None, f"0 of 3 against 3 of 3 {orders.BY_RANKS} 0.1"),
        ("order", 1, None, None, orders.NONE_TRAINED),
        ("statement", 1, None, 0.055, "seen in 2 of 10"),
        ("statement", 1, None, None, "seen in 0 of 3"),
        ("number", 1, 0.01, None, f"{readings.UNPRINTED}; 95 % of new runs"),
    ]
    frame = pd.DataFrame(rows, columns=["kind", "share", "half_width", "p", "reason"]).assign(verdict="inconclusive")
    expected = ["shortened", "few", "wide", "few", "unmeasured", "ranks", "dead", "wide", "few", "unprinted"]
    assert ledger.cause(frame).tolist() == expected
    table = ledger.reasons(frame)
    assert table["claims"].sum() == len(frame) and table["claims"].iloc[0] == 3 and table.index[0] == "few"
    assert ledger.cause(frame.assign(verdict="reproduced")).eq("").all()
    assert ledger.reasons(frame.assign(verdict="reproduced")).empty


def test_claims_of_one_log_are_one_finding():
    lines = [("number", "k1", "not reproduced")] * 3 + [("statement", "", "not reproduced")] * 2
    frame = pd.DataFrame(lines, columns=["kind", "records", "verdict"]).assign(claim=list("abcde"))
    assert ledger.findings(frame, "not reproduced") == 3 and ledger.findings(frame, "reproduced") == 0


def test_the_best_stands_beside_ours_in_percent(results):
    frame = ledger.judged(claims.load_claims(), {"study_b.final.best_test_accuracy": result(0.8929)}, FREE)
    best = ledger.best(frame, {"B.best_accuracy": "two blocks", "A1.best": "patches"})
    assert best["printed"].tolist() == ["90.05 %", "86.03 %"] and best["ours"].tolist() == ["89.29 %", "not run"]
    ours = [ledger.with_interval(line) for line in frame.set_index("claim").loc[list(best["claim"])].to_dict("records")]
    assert ours[0] == "89.29 %" and not any("nan" in words for words in ours)
    assert best["points"].iloc[0] == pytest.approx(-0.76) and pd.isna(best["points"].iloc[1])
    printed = [ledger.printed_percent(text) for text in ("0.902", "0.860", "85 %", "1")]
    assert printed == ["90.2 %", "86.0 %", "85 %", "100 %"]


def test_a_judge_that_sees_little_is_called_blind():
    names = ["metric", "n", "numbers", "refuted", "power"]
    lines = [
        ("gap", 1, calibration.SOUND, 0.0, 0.1),
        ("gap", 2, calibration.SOUND, 0.0, 0.9),
        ("best_epoch", 1, calibration.ERRS, 0.3, 0.9),
        ("best_epoch", 2, calibration.NOT_TRIED, None, None),
    ]
    table = ledger.trusted(pd.DataFrame(lines, columns=names))
    assert table.to_numpy().tolist() == [
        ["blind: sees 10 %", "sound: sees 90 %"],
        ["errs: refutes 30 % of true ones", "not tried"],
    ]
    assert list(table.index) == ["difference of accuracies", "best epoch"] and list(table) == ["1 run", "2 runs"]


def test_the_summary_opens_with_every_count_and_the_reasons(everywhere, shown):
    frame, here = everywhere[0], page.Page("summary", {"budget": "full"}, {})
    [opening] = shown(conclusion.tell_all, here, frame)
    counts, text = ledger.count(frame), opening["text/markdown"]
    assert text.startswith(f"**Found.** Verdicts on {counts['claims']} claims: {counts['reproduced']} reproduced")
    for name, total in counts.items():
        assert name == "not_run" or here.published[f"claims.{name}"]["value"] == total
    assert here.published["claims.shortened"]["share"] == frame["share"].min()
    assert (
        sum(result["value"] for key, result in here.published.items() if key.startswith("inconclusive."))
        == counts["inconclusive"]
    )


def test_the_whole_ledger_is_one_line_a_claim(results):
    text = ledger.to_csv(ledger.judged(ENTRIES, results | {"study_b.y": result(0.5, share=0.1)}, FREE))
    rows = list(csv.DictReader(io.StringIO(text)))
    assert list(rows[0]) == list(ledger.COLUMNS) and [row["claim"] for row in rows] == ["A1.x", "B1.y"]
    assert float(rows[0]["value"]) == pytest.approx(0.86) and float(rows[0]["half_width"]) > 0
    assert rows[1]["share"] == "0.1" and rows[1]["half_width"] == ""


# -- one source for every count -------------------------------------------------------------------


@pytest.fixture
def everywhere(monkeypatch):
    """(summary's ledger, page -> its own ledger) of made-up results of all studies."""
    monkeypatch.setattr(pool, "committed", lambda: FREE)
    entries = claims.load_claims()
    results = answer_all(entries)
    own = {}
    for study, report in STUDIES.items():
        published = {key.partition(".")[2]: value for key, value in results.items() if key.startswith(f"{study}.")}
        own[study] = (report, published, ledger.page_ledger(report, published))
    return ledger.judged(entries, results), own


def test_pages_and_summary_count_alike(everywhere):
    summary, own = everywhere
    homes = ledger.counts(summary, "home")
    for study, (_, _, frame) in own.items():
        counts, rows = ledger.count(frame), summary[summary["home"] == study]
        assert len(frame) == homes.loc[study, "claims"] > 20
        for name in ledger.VERDICTS:
            assert counts[name.replace(" ", "_")] == (homes.loc[study, name] if name in homes else 0), (study, name)
        assert counts["shortened"] == (rows["share"] < 1).sum()
        verdicts = dict(zip(frame["claim"], frame["verdict"]))
        assert verdicts == dict(zip(rows["claim"], rows["verdict"]))
    elsewhere = len(summary) - sum(len(frame) for _, _, frame in own.values())
    assert elsewhere == (summary["home"] == "summary").sum() >= 1
    assert ledger.counts(summary).loc["all", "claims"] == ledger.count(summary)["claims"] == len(claims.load_claims())


def test_the_page_says_and_publishes_these_counts(everywhere, shown):
    report, published, frame = everywhere[1]["study_a"]
    here = page.Page("study_a_sgd_sweep", {"budget": "full"}, {})
    here.published |= published
    findings, sure = (output["text/markdown"] for output in shown(conclusion.conclude, here, report, "More.")[:2])
    count = ledger.count(frame)
    for name in ("claims", "reproduced", "not_reproduced", "inconclusive", "inconsistent", "expected_false"):
        assert here.published[f"verdicts.{name}"]["value"] == count[name]
    assert f"Verdicts on {count['claims']} claims: {count['reproduced']} reproduced" in sure
    assert findings == "**Found.** More."


def test_the_index_shows_the_summarys_counts_in_the_ledgers_order(everywhere):
    counts = ledger.count(everywhere[0])
    published = {f"claims.{name}": {"value": value} for name, value in counts.items() if name != "not_run" or value}
    shown = dict(index._ledger(published))
    assert shown == {name: str(counts[name.replace(" ", "_")]) for name in ledger.VERDICTS[:-1]}
    assert list(shown) == list(ledger.VERDICTS[:-1])


def test_the_headline_of_the_summary_names_counts_that_there_are(everywhere):
    names = [key.removeprefix("claims.") for key in load_rubric()["evidence"]["summary"] if key.startswith("claims.")]
    assert len(names) >= 3 and set(names) <= set(ledger.count(everywhere[0]))


def test_the_banner_of_the_summary_counts_the_same_shortened_claims(everywhere):
    counts = ledger.count(everywhere[0])
    results = {f"claims.{name}": result(value, seeds=None) for name, value in counts.items()}
    results["study_a.a1.test_accuracy"] = result(0.8, share=0.1)
    [line] = facts.banners({"status": "complete", "budget": "standard", "data": []}, {"results": results})
    assert f"{counts['shortened']} of {counts['claims']} claims rest on shortened trainings" in line


def test_no_count_of_verdicts_is_written_into_text():
    """README and notebooks give counts only as results; a count written down goes stale."""
    for path in (base.CHECKOUT / "README.md", *sorted((base.CHECKOUT / "notebooks").glob("*.ipynb"))):
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".ipynb":
            text = "\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"])
        for word in ("claims", "reproduced", "refuted", "refutations", "inconclusive", "verdicts"):
            assert not [w for w in text.split(word)[:-1] if w.rstrip()[-1:].isdigit()], (path.name, word)


def test_false_sentences_are_gone():
    text = (base.CHECKOUT / "notebooks" / "summary.ipynb").read_text(encoding="utf-8")
    for sentence in ("names it first", "most differences have an innocent cause", "provisional"):
        assert sentence not in text


# -- what a study's page asks ---------------------------------------------------------------------


def test_a_page_sees_its_own_claims_beside_its_results():
    frame = ledger.beside("A", {"a3.test_accuracy": result(0.828, 0.826, 0.824), "unasked": result(1)}, FREE)
    assert set(frame["claim"]) == {"A3.test_accuracy", "A3.evaluated"}
    assert set(frame["verdict"]) == {"reproduced"} and set(frame["n"]) == {3}
    assert frame["ours"].iloc[0].startswith("0.8260 [0.8161, 0.8359]")
    short = ledger.beside("A", {"a3.test_accuracy": result(0.5, share=0.1)}, FREE)
    assert set(short["verdict"]) == {"inconclusive"} and set(short["share"]) == {0.1}
    standin = ledger.beside("A", {"a3.test_accuracy": result(0.828, standin=True)}, FREE)
    assert set(standin["verdict"]) == {"not comparable"}
    nothing = ledger.page_ledger("A", {"unasked": result(1)})
    assert ledger.answered(nothing).empty and not ledger.without_other_side(nothing).any()


def test_an_edited_claims_file_is_read_again(tmp_path, monkeypatch):
    monkeypatch.setattr(base, "NOTEBOOKS", tmp_path)
    file = tmp_path / "claims.yaml"
    for moment, value in enumerate(("0.860", "0.800")):
        entry = f'{{id: A1.x, report: A, kind: number, statement: s, value: "{value}", evidence: study_a.x}}'
        file.write_text(f"claims: [{entry}]")
        os.utime(file, (moment, moment))
        assert ledger.page_ledger("A", {"x": result(0.86)}, FREE)["printed"].tolist() == [value]


def test_a_page_says_what_each_reading_gives():
    own = {"a8_applied.test_accuracy": result(*[0.1] * 5), "a8_plain.test_accuracy": result(0.857, 0.860, 0.862)}
    frame = ledger.beside("A", own, FREE).set_index("claim")
    assert frame.loc["A8.test_accuracy", "verdict"] == "applied: not reproduced; not applied: reproduced"


def test_report_e_has_two_studies_with_like_named_rows():
    rows = {f"batch{size}.test_accuracy": result(0.5) for size in (64, 128, 256)}
    frame = ledger.beside("E", rows | {"baseline.test_accuracy": result(0.5)}, FREE)
    assert set(frame["claim"]) == {"S-E45", "S-E46"}


def test_innocent_causes_are_those_of_refuted_claims(monkeypatch):
    monkeypatch.setattr(pool, "committed", lambda: FREE)
    own = {"a3.test_accuracy": result(0.826, 0.827, 0.825), "a4.test_accuracy": result(0.700, 0.701, 0.699)}
    causes = ledger.innocent_causes(ledger.page_ledger("A", own))
    [explained] = causes["may explain"]
    assert explained.startswith(
        "test accuracy after 100 epochs at rate 0.1, batch 256; test accuracy evaluated once more"
    )
    assert "another seed" in causes["innocent cause"].item()
    assert ledger._first(["a", "b", "c"]) == "a; b; c" and ledger._first(["a", "b", "c", "d"]) == "a; b; and 2 more"


def test_printed_columns_are_ranked_against_ours(monkeypatch):
    tables = {"C, blocks": ["C1.test_accuracy", "C2.test_accuracy", "C3.test_accuracy"]}
    monkeypatch.setattr(ledger, "load_tables", lambda: tables)
    keys = [f"study_c.blocks{n}.test_accuracy" for n in (1, 2, 3)]
    ranks = ledger.ranks(dict(zip(keys, (result(0.90), result(0.89), result(0.91)))))
    expected = stats.kendalltau([0.884, 0.853, 0.814], [0.90, 0.89, 0.91])
    row = [expected.statistic, expected.pvalue, 1, 3]
    assert ranks.loc[0, ["tau", "p", "n", "rows"]].tolist() == pytest.approx(row)
    short = ledger.ranks(dict(zip(keys, (result(0.90), result(0.89), result(0.91, share=0.1)))))
    assert short["tau"].isna().all()
    dead = ledger.ranks(dict(zip(keys, (result(0.90), result(0.1), result(0.91)))))
    assert dead["tau"].isna().all()


def test_the_committed_tables_name_printed_numbers():
    assert {line["table"][0] for line in ledger.ranks({}).to_dict("records")} == {"A", "C"}


def test_nothing_shortened_stands_in_an_opening(shown):
    a_page = page.Page("study_a_sgd_sweep", {"budget": "standard"}, {})
    a_page.publish("a3.test_accuracy", [0.826, 0.827, 0.825], records=["k0", "k1", "k2"])
    a_page.publish("a4.test_accuracy", [0.700, 0.701, 0.699], share=0.011, records=["k3", "k4", "k5"])
    whole, short = "Row 3: {a3.test_accuracy:.2f}.", "Row 4: {a4.test_accuracy:.2f}, {a4.test_accuracy.n} seeds."
    opening = shown(conclusion.conclude, a_page, "A", whole, short)[0]
    assert opening["text/markdown"] == "**Found.** Row 3: 0.83."
    assert a_page.published["verdicts.not_reproduced"]["value"] == 0
    opening = shown(conclusion.conclude, a_page, "A", "{a4.test_accuracy.n} seeds beside {a3.test_accuracy}.")[0]
    assert opening["text/markdown"] == "**Found.** Nothing yet: all trainings are shortened."
