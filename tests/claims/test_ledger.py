"""The ledger as the summary shows it: what was not run, the filters, quotes from other pages."""

import re

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from helpers import base, claims, page
from helpers.base import CourseworkError
from helpers.claims import ledger

ENTRIES = [
    claims.Claim(id="A1.x", report="A", kind="number", statement="a < b", value="0.860", evidence={"": "study_a.x"}),
    claims.Claim(id="B1.y", report="B", kind="number", statement="second", value="0.9", evidence={"": "study_b.y"}),
]


def result(*values, **about):
    made = {"values": list(values), "value": sum(values) / len(values), "n": len(values), "std": None, "share": 1.0}
    return made | {"budget": "full", "seeds": None, "records": [], "statuses": [], "unit": "", "standin": False} | about


@pytest.fixture
def results():
    return {"study_a.x": result(0.86)}


@pytest.fixture
def shown():
    """What is displayed while a function runs, by kind."""
    InteractiveShell.instance()

    def run(function, *arguments):
        with capture_output() as captured:
            function(*arguments)
        return [output.data for output in captured.outputs]

    yield run
    InteractiveShell.clear_instance()


def test_a_study_without_results_was_not_run(tmp_path, monkeypatch, results):
    monkeypatch.setattr(base, "NOTEBOOKS", tmp_path)
    for name in ("study_a_sgd_sweep", "study_b_deep_patch_mlp"):
        (tmp_path / f"{name}.ipynb").touch()
    waiting = ledger.not_run(results)
    assert waiting == {"study_b"}
    claims.check_answered(ENTRIES, results, unavailable=waiting)
    frame = ledger.judged(ENTRIES, results)
    assert frame["verdict"].tolist() == ["reproduced", "not run"]
    counts = ledger.counts(frame)
    assert counts.loc["all", ["reproduced", "not run", "claims"]].tolist() == [1, 1, 2]


def test_a_study_that_ran_must_answer_its_claims(tmp_path, monkeypatch, results):
    monkeypatch.setattr(base, "NOTEBOOKS", tmp_path)
    (tmp_path / "study_b_deep_patch_mlp.ipynb").touch()
    ran = results | {"study_b.other": result(1)}
    with pytest.raises(CourseworkError, match=r"claim B1\.y: no result study_b\.y"):
        claims.check_answered(ENTRIES, ran, unavailable=ledger.not_run(ran))


def test_a_study_whose_notebook_is_gone_must_answer_its_claims(tmp_path, monkeypatch, results):
    monkeypatch.setattr(base, "NOTEBOOKS", tmp_path)
    with pytest.raises(CourseworkError, match=r"claim B1\.y"):
        claims.check_answered(ENTRIES, results, unavailable=ledger.not_run(results))


def test_filters_name_the_rows_that_they_leave(results, shown):
    frame = ledger.judged(ENTRIES, results)
    filters, table = shown(ledger.show, frame, ENTRIES, results)
    filters, table = filters["text/markdown"], table["text/html"]
    assert "\n\n" not in filters  # Markdown would end the block there
    assert re.findall(r'tr id="([^"]+)"', table) == ["A--reproduced--A1.x", "B--not-run--B1.y"]
    for mark in ('[id^="A--"]', '[id^="B--"]', '[id*="--reproduced--"]', '[id*="--not-run--"]'):
        assert mark in filters
    assert "a &lt; b" in table and "<li>evidence: study_a.x</li>" in table


def test_a_quote_is_published_again_as_it_was(results, shown):
    here = page.Page("summary", {"budget": "smoke"}, {})
    results["study_a.x"] |= {"share": 0.5, "records": ["abc"]}
    said = shown(ledger.quote, here, results, "Ours: {study_a.x:.3f} (n = {study_a.x.n}).")
    assert said[0]["text/markdown"] == "Ours: 0.860† (n = 1). (†: shortened, the least to 50 % of the training)"
    again = here.results["study_a.x"]
    assert (again["share"], again["budget"], again["records"]) == (0.5, "full", ["abc"])


def test_a_quote_of_what_was_not_run_says_so(results, shown):
    here = page.Page("summary", {"budget": "smoke"}, {})
    said = shown(ledger.quote, here, results, "{study_a.x} and {study_b.y.std} and {study_c.z%}")
    assert said[0]["text/markdown"] == "*Not run: study_b, study_c.*" and not here.results


def test_the_committed_notebooks_go_by_their_short_names():
    assert {"study_a", "task5", "summary"} <= ledger.not_run({})


def test_the_result_and_innocent_causes_of_a_page(shown):
    a_page = page.Page("study_a_sgd_sweep", {"budget": "full"}, {})
    a_page.publish("a3.test_accuracy", [0.826, 0.827, 0.825])  # as printed
    a_page.publish("a4.test_accuracy", [0.700, 0.701, 0.699])
    [said] = shown(ledger.tell_result, a_page, "A", "And {a4.test_accuracy:.2f}.")
    assert said["text/markdown"] == "**Result.** Of 4 claims, 2 are reproduced, 2 are not, 0 stay open. And 0.70."
    judged = {key: a_page.results[f"verdicts.{key}"]["value"] for key in ("judged", "reproduced", "not_reproduced")}
    assert judged == {"judged": 4, "reproduced": 2, "not_reproduced": 2}
    causes = ledger.innocent_causes("A", a_page.results)
    assert causes["may explain"].tolist() == ["A4.test_accuracy, A4.evaluated"]
    assert "another seed" in causes["innocent cause"].item()


def test_nothing_shortened_stands_in_an_opening(shown):
    a_page = page.Page("study_a_sgd_sweep", {"budget": "standard"}, {})
    a_page.publish("a3.test_accuracy", [0.826, 0.827, 0.825], records=["k0", "k1", "k2"])
    a_page.publish("a4.test_accuracy", [0.700, 0.701, 0.699], share=0.011, records=["k3", "k4", "k5"])
    whole, short = "Row 3: {a3.test_accuracy:.2f}.", "Row 4: {a4.test_accuracy:.2f}, {a4.test_accuracy.n} seeds."
    [said] = shown(ledger.tell_result, a_page, "A", whole, short)
    assert said["text/markdown"].endswith("Row 3: 0.83. What shortened trainings found stands further down, not here.")
    assert "0.7" not in said["text/markdown"] and a_page.results["verdicts.not_reproduced"]["value"] == 0
    [said] = shown(ledger.tell_result, a_page, "A", "{a4.test_accuracy.n} seeds beside {a3.test_accuracy}.")
    assert "seeds beside" not in said["text/markdown"]


def test_log_odds_weigh_the_second_reading_against_the_first():
    keys = {name: f"study_a.{name}.test_accuracy" for name in ("a8_applied", "a8_plain")}
    results = {keys["a8_applied"]: result(0.1, 0.1, 0.1), keys["a8_plain"]: result(0.857, 0.860, 0.862)}
    assert ledger.log_odds(["A8.test_accuracy"], results) > 1
    assert ledger.log_odds(["A8.test_accuracy"], dict(zip(keys.values(), reversed(results.values())))) < -1
    assert ledger.log_odds(["A8.test_accuracy"], results | {keys["a8_plain"]: result(0.857)}) is None
