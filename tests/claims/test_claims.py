"""The claims files: what is committed, what a person writes wrongly, and a study of one's own."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from made_up import claim

from helpers import base, claims
from helpers.base import CourseworkError
from helpers.claims import claims as files
from helpers.claims import readings, values

CHECKOUT = base.CHECKOUT
NUMBER = re.compile(r"\d+(?:,000)+|\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|\bnan\b")  # what numbers.csv lists


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


def test_trials_get_the_values_that_the_reports_print_for_their_rows():
    trials = pd.DataFrame({"row": ["a1", "a2", "other"], "test_accuracy": 0.5, "train_loss": 1.0})
    marked = claims.with_printed(trials, "study_a").set_index("row")
    assert marked.loc["a1", "printed_test_accuracy"] == claims.printed("A1.test_accuracy")
    assert marked.loc["a2", "printed_test_accuracy"] == claims.printed("A2.test_accuracy")  # bound to its divergence
    assert marked.loc["other"].isna().sum() == 2
    assert list(claims.with_printed(trials, "study_x")) == list(trials)


def test_every_printed_number_is_bound_or_set_aside():
    entries = claims.load_claims()
    table = claims.denominator(entries)
    assert list(table.index) == list("ABCDE") and (table["unbound"] == 0).all()
    named = {name for names in files.numbers()["claims"] for name in names.split()}
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
    listed = files.numbers()
    for report, path in zip("ABCDE", texts):
        text = path.read_text(encoding="utf-8")
        numbers = [(m.start(), text.count("\n", 0, m.start()) + 1, m[0]) for m in NUMBER.finditer(text)]
        rows = listed[listed["report"] == report]
        assert list(zip(rows["offset"], rows["line"], rows["printed"])) == numbers, path.name


def test_what_cannot_fail_or_is_in_no_text_is_gone():
    ids = {entry.id for entry in claims.load_claims()}
    assert not ids & {"S-A13", "S-A3", "S-A8", "S-D2", "S-D3", "S-D4", "S-D5", "D.dropout_modules"}


def test_what_the_texts_also_claim_is_there():
    entries = {entry.id: entry for entry in claims.load_claims()}
    added = ["S-A16", "S-A9.a6", "S-B13.loss", "S-B26", "S-C18", "S-C19", "S-C3.two", "S-D13", "S-D14", "S-E28.binary"]
    added += ["S-E4.lr0_01", "S-E9.regularised", "S-E16.generalises", "S-E16.time", "S-E23.arch1", "S-E23.arch6"]
    added += [f"S-E{number}" for number in range(60, 69)]
    assert set(added) <= set(entries)
    assert entries["E.arch8.test_accuracy"].evidence == {"": "study_e.arch8.best_test_accuracy"}
    assert not entries["D.test_accuracy"].best


def test_strong_words_have_margins():
    words = ("much", "far less", "by far", "significantly")
    for entry in claims.load_claims():
        if entry.kind == "order" and not entry.undefined and any(word in entry.statement for word in words):
            assert entry.margin and entry.margin >= 0.01, entry.id


def test_the_shapes_of_report_b_are_bound_to_its_modules():
    entries = {entry.id: entry for entry in claims.load_claims()}
    listed = files.numbers()
    lines = listed[(listed["report"] == "B") & listed["line"].between(42, 65) & (listed["claims"] != "")]
    assert len(lines) >= 53
    for printed, names in zip(lines["printed"], lines["claims"]):
        [name] = names.split()
        assert printed in entries[name].check and entries[name].kind == "arithmetic"


def test_what_arithmetic_says_of_the_committed_reports():
    entries = claims.load_claims()
    printed = readings.printed_values(entries)
    consistent = {e.id: values.consistent(e.check, printed)[0] for e in entries if e.kind == "arithmetic"}
    wrong = {name for name, holds in consistent.items() if not holds}
    speeds = {f"A{row}.speed_from_time" for row in (1, 2, 3, 4)}
    assert speeds | {"B.final_twice", "A.best_of_table", "C.same_row_blocks", "D.test_twice", "S-D1", "S-D6"} <= wrong
    right = {"D.fits_of_grid", "C1.loss_bound", "B.rounding", "D.validation_share", "A1.wall_holds_training"}
    assert right <= {*consistent} - wrong


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{id: M1, report: M, kind: number, statement: s, value: 0.86, evidence: s.a}", "in quotes, not 0.86"),
        ("{id: M1, report: M, kind: number, statement: s, value: 'x', evidence: s.a}", "in quotes, not 'x'"),
        ("{id: M1, report: M, kind: order, statement: s, evidence: s.a}", "evidence"),
        ("{id: M1, report: M, kind: order, statement: s, evidence: 's.a > __import__(1)'}", "evidence"),
        ("{id: M1, report: M, kind: guess, statement: s, evidence: s.a}", "kind"),
        ("{id: M1, report: M, kind: statement, statement: s}", "evidence"),
        ("{id: M1, report: M, kind: statement, statement: s, evidence: s.a, causes: [moon]}", "moon"),
        ("{id: M1, report: M, kind: number, statement: s, value: 'nan', evidence: s.a}", "kind diverges"),
        ("{id: M1, report: M, kind: arithmetic, statement: s, check: 'A1.best'}", "two expressions"),
        ("{id: M1, report: M, kind: arithmetic, statement: s, check: 'A1.best = open(1)'}", "open"),
        ("{id: M1, report: M, kind: arithmetic, statement: s, check: 'A1.nothing = 1'}", "A1.nothing"),
        ("{id: M1, report: M, kind: arithmetic, statement: s, check: 'A1.best = ('}", "M1"),
        ("{id: A1.best, report: M, kind: statement, statement: s, evidence: s.a}", "twice"),
        ("{id: M1, report: M, kind: arithmetic, statement: s, check: '1 < A1.best < 2'}", "a check holds"),
        ("{id: M1, report: M, kind: arithmetic, statement: s, check: '[1] = A1.best'}", "a check holds"),
        ("{id: M1, report: M, kind: number, statement: s, value: '0.9-0.8', evidence: s.a}", "lower end"),
        ("{id: M1, report: M, kind: order, statement: s, margin: -1, evidence: 's.a > s.b'}", "above 0"),
        ("{id: M1, report: M, kind: statement, statement: s, classes: 0, evidence: s.a}", "above 0"),
        ("{id: M1, report: M, kind: number, statement: s, value: '0.5', images: 0, evidence: s.a}", "above 0"),
        ("{id: M1, report: M, kind: number, statement: s, value: '0.5', images: -3, evidence: s.a}", "above 0"),
        ("{id: M1, report: 5, kind: statement, statement: s, evidence: s.a}", "are texts"),
    ],
)
def test_bad_entries_are_named_in_one_line(tmp_path, monkeypatch, entry, message):
    (tmp_path / "claims.yaml").write_bytes((CHECKOUT / "notebooks" / "claims.yaml").read_bytes())
    (tmp_path / "claims_mine.yaml").write_text(f"claims:\n- {entry}\n")
    monkeypatch.setattr(base, "NOTEBOOKS", tmp_path)
    with pytest.raises(CourseworkError, match=message) as caught:
        claims.load_claims()
    assert "M1" in str(caught.value) or "A1.best" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_claim_hangs_on_the_settings_that_are_listed_as_unprinted(tmp_path, monkeypatch):
    by_id = {entry.id: entry for entry in claims.load_claims()}
    assert by_id["C9.test_accuracy"].unprinted and not by_id["A1.best"].unprinted
    (tmp_path / "claims_mine.yaml").write_text("unprinted: [sizes]\nassumptions: {size: 3}\nclaims: []")
    monkeypatch.setattr(base, "NOTEBOOKS", tmp_path)
    with pytest.raises(CourseworkError, match="did you mean size"):
        claims.load_claims()


@pytest.mark.parametrize("text", ["", "claims:", "tables: {}", "claims: [text]", "claims: [{id: M1,"])
def test_a_file_without_claims_is_named_in_one_line(tmp_path, monkeypatch, text):
    (tmp_path / "claims_mine.yaml").write_text(text)
    monkeypatch.setattr(base, "NOTEBOOKS", tmp_path)
    with pytest.raises(CourseworkError, match=r"claims_mine\.yaml") as caught:
        claims.load_claims()
    assert "\n" not in str(caught.value)


# -- a study of one's own -------------------------------------------------------------------------

RUN = """
import json, sys
cells = json.load(open(sys.argv[1]))["cells"]
space = {"__name__": "__main__", "__annotations__": {}}
for cell in cells:
    if cell["cell_type"] == "code":
        exec("".join(cell["source"]), space)
        space.update(budget="smoke", data="standin", seeds=1)
print("FINISHED", sorted(space["page"].published))
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


def test_printed_value_of_a_claim():
    assert claims.printed("A3.train_accuracy") == 0.84
    assert claims.printed("B.best_accuracy") == pytest.approx(0.9005)
    with pytest.raises(CourseworkError, match=r"claim A33 prints no number"):
        claims.printed("A33")


def test_the_page_that_answers_a_claim():
    homes = {entry.id: entry.home() for entry in claims.load_claims()}
    assert homes["A1.best"] == homes["A1.loss_bound"] == homes["S-A16"] == "study_a"
    assert (homes["S-E29"], homes["S-E4"], homes["E.cnn_accuracy"]) == ("study_f", "study_e", "summary")
    own_claim = claim(evidence="study_mine.rate.test_accuracy", report="mine", value="0.86")
    assert own_claim.home() == "study_mine"
