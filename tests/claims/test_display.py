"""The ledger as a person sees it: filters without a script, trails, quotes from other pages."""

import re

import pytest
from made_up import FREE, claim, result

from helpers import page
from helpers.claims import display, ledger

ENTRIES = [
    claim("number", "study_a.x", id="A1.x", report="A", statement="a < b", value="0.860"),
    claim("number", "study_b.y", id="B1.y", report="B", statement="second", value="0.9"),
]


@pytest.fixture
def results():
    return {"study_a.x": result(0.859, 0.860, 0.861)}


def test_filters_name_the_rows_that_they_leave(results, shown):
    frame = ledger.judged(ENTRIES, results, FREE)
    filters, table, _ = shown(display.show, frame, ENTRIES, results)
    filters, table = filters["text/markdown"], table["text/html"]
    assert "\n\n" not in filters  # Markdown would end the block there
    rows = re.findall(r'tr id="([^"]+)" class="([^"]+)"', table)
    assert rows == [
        ("claim-A1.x", "claim report-A verdict-reproduced"),
        ("claim-B1.y", "claim report-B verdict-not-run"),
    ]
    for choice in ("report-A", "report-B", "verdict-reproduced", "verdict-not-run"):
        assert f"body:has(#{choice}:checked) tr.claim:not(.{choice})" in filters
    empty = [rule for rule in filters.splitlines() if ".no-claim { display: block" in rule]
    assert len(empty) == 2 and all(":has(#report-" in rule and ":has(#verdict-" in rule for rule in empty)
    assert "a &lt; b" in table and "<li>evidence: study_a.x</li>" in table


def test_a_trail_names_a_page_only_where_its_row_does_not_link_it(results, shown):
    entries = [ENTRIES[0], claim("order", "study_a.x > study_b.y", id="A2.x", report="A")]
    both = results | {"study_b.y": result(0.75)}
    for key, name in (("study_a.x", "study_a_sgd_sweep"), ("study_b.y", "study_b_deep_patch_mlp")):
        both[key]["page"] = f"reports/standard/{name}.html"
    table = shown(display.show, ledger.judged(entries, both, FREE), entries, both)[1]["text/html"]
    first, second = re.findall(r"<tr id=.*?</tr>", table)
    assert '<a href="study_a_sgd_sweep.html">' in first and "page: " not in first
    assert second.count("<li>page: ") == 2 and '<a href="study_' not in second


def test_what_many_trails_say_is_a_note_that_stands_once(results, shown):
    both = [claim("number", "study_a.x", id=f"A{i}.x", report="A", value="0.860") for i in (1, 2)]
    _, table, notes = shown(display.show, ledger.judged(both, results, FREE), both, results)
    listed = re.findall(r'<li id="note-(\d+)">(.*?)</li>', notes["text/markdown"])
    assert len({text for _, text in listed}) == len(listed) > 0
    assert any(text.startswith("does not establish: ") for _, text in listed)
    linked = re.findall(r'href="#note-(\d+)"', table["text/html"])
    assert sorted(linked) == sorted([number for number, _ in listed] * 2)
    assert "does not establish" not in table["text/html"]


def test_value_runs_and_resolution_stand_in_every_row(results, shown):
    rows = display._ours(ledger.judged(ENTRIES[:1], results, FREE).to_dict("records")[0])
    assert re.fullmatch(r"0\.86 \[0\.85[\d]*, 0\.86[\d]*\]<br>n = 3; would see [\d.]+", rows)
    short = {"study_a.x": result(0.86, share=0.5)}
    assert "50 % trained" in display._ours(ledger.judged(ENTRIES[:1], short, FREE).to_dict("records")[0])


def test_a_quote_is_published_again_as_it_was(results, shown):
    here = page.Page("summary", {"budget": "smoke"}, {})
    results["study_a.x"] |= {"share": 0.5, "records": ["abc"]}
    outputs = shown(display.quote, here, results, "Ours: {study_a.x:.3f} (n = {study_a.x.n}).")
    assert outputs[0]["text/markdown"] == "Ours: 0.860† (n = 3). (†: shortened to 50 % of the training)"
    again = here.published["study_a.x"]
    assert (again["share"], again["budget"], again["records"]) == (0.5, "full", ["abc"])


def test_a_quote_that_wants_whole_trainings_says_where_they_are_shortened(results, shown):
    here = page.Page("summary", {"budget": "smoke"}, {})
    assert shown(display.quote, here, results, "{study_a.x:.3f}.", True)[0]["text/markdown"] == "0.860."
    results["study_a.x"] |= {"share": 0.5}
    outputs = shown(display.quote, here, results, "{study_a.x:.3f}.", True)
    assert outputs[0]["text/markdown"].startswith("*Not answered yet")


def test_a_quote_of_what_was_not_run_says_so(results, shown):
    here = page.Page("summary", {"budget": "smoke"}, {})
    outputs = shown(display.quote, here, results, "{study_a.x} and {study_b.y.std} and {study_c.z%}")
    assert outputs[0]["text/markdown"] == "*No result yet: study B, study C.*" and not here.published
