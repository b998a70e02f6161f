"""What a study opens with: counts, how sure they are, and the picture of its printed accuracies."""

import re

import pandas as pd
import pytest
from made_up import FREE

from helpers import page
from helpers.base import CourseworkError
from helpers.claims import claims, conclusion, ledger, pool


@pytest.fixture
def study_c(monkeypatch):
    """A page whose rows C1 and C3 are trained in full, C2 to a tenth."""
    monkeypatch.setattr(pool, "committed", lambda: FREE)
    a_page = page.Page("study_c_blocks_optimisers_initialisers", {"budget": "standard"}, {})
    for claim in claims.load_claims():
        if claim.id in ("C1.test_accuracy", "C2.test_accuracy", "C3.test_accuracy"):
            share = 0.1 if claim.id.startswith("C2") else 1.0
            for key in claim.needs():
                name = key.split(".", 1)[1]
                a_page.publish(name, [0.870, 0.872, 0.874], share=share, seeds=[0, 1, 2], records=["a", "b", "c"])
    return a_page


def test_a_study_opens_with_counts_certainty_and_a_picture(study_c, shown):
    findings, sure, picture, caption = shown(conclusion.conclude, study_c, "C", "And a sentence.")
    assert findings["text/markdown"] == "**Found.** And a sentence."
    frame = ledger.page_ledger("C", study_c.published)
    tested = frame[frame["n"] > 0]
    whole = (tested["share"] == 1).sum()
    assert 0 < whole < len(tested)
    assert (
        f"Of these claims {whole} rest on 3 trainings in full (of the reading that decides)." in sure["text/markdown"]
    )  # records a, b, c
    assert sure["text/markdown"].startswith("**How sure.** Verdicts on ") and "*Inconclusive*" in sure["text/markdown"]
    assert "Forest plot" in picture["text/plain"] and "95 % of new trainings" in caption["text/markdown"]


def test_several_findings_are_a_list(study_c, shown):
    findings = shown(conclusion.conclude, study_c, "C", "One block: {blocks1.test_accuracy:.3f}.", "And a sentence.")[0]
    assert findings["text/markdown"] == "**Found.**\n\n- One block: 0.872.\n- And a sentence."
    for sentence, spread in (("One block: {blocks1.test_accuracy}.", True), ("And a sentence.", False)):
        sure = shown(conclusion.conclude, study_c, "C", sentence)[1]["text/markdown"]
        assert ("± is the standard deviation" in sure) is spread


def test_an_empty_sentence_says_nothing(study_c, shown):
    findings = shown(conclusion.conclude, study_c, "C", "", "And a sentence.")[0]
    assert findings["text/markdown"] == "**Found.** And a sentence."


def test_only_the_sentence_without_a_value_is_left_out(study_c, shown):
    study_c.publish("never.first_cut_epoch", [None])
    sentences = ["It is A. It is cut at {never.first_cut_epoch}.", "Cut: {never.first_cut_epoch}.", "It is D."]
    findings = shown(conclusion.conclude, study_c, "C", *sentences)[0]
    assert findings["text/markdown"] == "**Found.**\n\n- It is A.\n- It is D."


def test_an_unknown_result_in_a_finding_is_named(study_c):
    with pytest.raises(CourseworkError, match=r"blocks1\.test_acuracy"):
        conclusion.conclude(study_c, "C", "One block: {blocks1.test_acuracy}.")


def test_a_page_that_answers_no_claim_has_no_table_of_them(shown):
    assert shown(conclusion.set_beside, page.Page("study_x", {"budget": "smoke"}, {}), "X") == []


@pytest.mark.parametrize(
    "ids, words",
    [("X1", "holds"), ("X1 X2", "holds"), ("X1 X3", "fails"), ("X3 X4", "fails"), ("X1 X4", "is open")],
)
def test_claims_hold_fail_or_are_open_together(monkeypatch, ids, words):
    verdicts = ["reproduced", "exceeded", "not reproduced", "inconclusive"]
    frame = pd.DataFrame({"claim": ["X1", "X2", "X3", "X4"], "verdict": verdicts})
    monkeypatch.setattr(ledger, "page_ledger", lambda report, results: frame)
    assert conclusion.outcome(page.Page("study_x", {"budget": "smoke"}, {}), "X", *ids.split()) == words


def test_too_few_trainings_have_no_spread(study_c, shown):
    for key in list(study_c.published):
        study_c.publish(key, [0.870], seeds=[0], records=["a"])
    _, _, picture, caption = shown(conclusion.conclude, study_c, "C")
    assert "no spread can be drawn" in caption["text/markdown"] and "nan" not in picture["text/plain"]


def test_the_counts_in_the_opening_add_up(study_c, shown):
    certainty = shown(conclusion.conclude, study_c, "C")[1]["text/markdown"]
    total, parts = re.search(r"Verdicts on (\d+) claims: (.*?)\.(?: |$)", certainty).groups()
    frame = ledger.page_ledger("C", study_c.published)
    assert int(total) == sum(map(int, re.findall(r"\d+", parts))) == len(frame)
    for name, count in frame["verdict"].value_counts().items():
        assert study_c.published[f"verdicts.{name.replace(' ', '_')}"]["value"] == count


def test_every_claim_trained_in_full_stands_beside_ours_and_leads_to_its_row(study_c, shown):
    outputs = shown(conclusion.set_beside, study_c, "C")
    lines, others = outputs[0]["text/html"], outputs[1]["text/markdown"]
    frame = ledger.beside("C", study_c.published)
    linked = re.findall(r'href="summary.html#claim-([^"]+)"', lines)
    assert linked == frame.loc[frame["share"] == 1, "claim"].tolist() and "C1.test_accuracy" in linked
    every = ledger.page_ledger("C", study_c.published)
    contradicting = every.query("verdict == 'inconsistent'")
    counted = sum(map(int, re.findall(r"(\d+) (?:whose|that|without)", others)))
    assert counted == len(every) - len(linked) - len(contradicting) and "[the ledger](summary.html" in others
    assert len(contradicting) and all(statement in outputs[2]["text/html"] for statement in contradicting["statement"])


def test_the_picture_holds_every_printed_test_accuracy_and_marks_what_is_shortened(study_c):
    lines = conclusion.accuracies(ledger.page_ledger("C", study_c.published))
    printed = [claims.printed(f"C{n}.test_accuracy") for n in (1, 2, 3)]
    assert set(printed) <= set(lines["low"])
    assert lines["short"].any() and not lines["short"].all()
    short = lines[lines["short"]]
    assert set(short["verdict"]) == {"inconclusive"} and short["half_width"].isna().all()
    assert lines.loc[lines["low"] == printed[0], "mean"].iloc[0] == pytest.approx(0.872)


def test_a_page_that_answers_nothing_opens_without_a_picture(shown, monkeypatch):
    monkeypatch.setattr(pool, "committed", lambda: FREE)
    monkeypatch.setattr(ledger, "page_ledger", lambda report, results: pd.DataFrame())
    names = ["claims", "expected_false", *(name.replace(" ", "_") for name in ledger.VERDICTS)]
    monkeypatch.setattr(ledger, "count", lambda frame: dict.fromkeys(names, 0))
    assert len(shown(conclusion.conclude, page.Page("study_x", {"budget": "smoke"}, {}), "X")) == 1
