"""What a study opens with: counts, how sure they are, and the picture of its printed accuracies."""

import pandas as pd
import pytest
from made_up import FREE

from helpers import page
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
    found, sure, picture, caption = shown(conclusion.conclude, study_c, "C", "And a sentence.")
    assert found["text/markdown"].startswith("**Found.** And a sentence. Of ")
    frame = ledger.page_ledger("C", study_c.published)
    tested = frame[frame["kind"].isin(["number", "order"]) & (frame["n"] > 0)]
    whole = (tested["share"] == 1).sum()
    assert f"**How sure.** {whole} of {len(tested)} numbers and orders stand" in sure["text/markdown"]
    assert "on 3 seeds each" in sure["text/markdown"] and "inconclusive" in sure["text/markdown"]
    assert "Forest plot" in picture["text/plain"] and "report C prints" in caption["text/markdown"]


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
    monkeypatch.setattr(ledger, "count", lambda frame: dict.fromkeys([
        "claims", "reproduced", "exceeded", "not_reproduced", "inconclusive", "consistent", "inconsistent",
        "expected_false"], 0))  # fmt: skip
    assert len(shown(conclusion.conclude, page.Page("study_x", {"budget": "smoke"}, {}), "X")) == 1
