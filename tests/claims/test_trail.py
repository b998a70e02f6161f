"""The trail of a claim, and the command line."""

import csv
import io
import json

import pytest
import sample_record
from made_up import result

from helpers.claims import claims, ledger
from helpers.claims.__main__ import main
from helpers.trials import records


@pytest.fixture
def home(project):
    """A project root of the test's own, with the committed claims, one page and its trial."""
    about = {"trial": "classifier", "source": "c0de" * 16, "seconds": 34.0}
    records.write("study_a", sample_record.record(key="a" * 20, **about))
    (project / "reports" / "full").mkdir(parents=True)
    bundle = {"notebook": "study_a_sgd_sweep", "data": {"standin": False}}
    bundle["results"] = {"a3.train_loss": result(0.44, records=["a" * 20])}
    (project / "reports" / "full" / "study_a_sgd_sweep.json").write_text(json.dumps(bundle))
    return project


def test_why_tells_the_trail(home, capsys):
    assert main(["why", "A3"]) == 0
    words = capsys.readouterr().out
    for part in (
        "A3.train_loss", "study_a.a3.train_loss = 0.44", "reports/full/study_a_sgd_sweep.html", "34 s",
        f"trials in reports/records/study_a, code c0dec0dec0de: {'a' * 20}.json (ok, ",
        "does not establish", "innocent cause",
        "A3.test_accuracy", "no result", "checked: A3.evaluated = A3.test_accuracy",
    ):  # fmt: skip
        assert part in words
    assert main(["why", "Z9"]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_the_whole_ledger_as_csv_and_its_counts(home, capsys):
    assert main(["ledger", "--csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len(rows) == len(claims.load_claims()) and tuple(rows[0]) == ledger.COLUMNS
    row = next(row for row in rows if row["claim"] == "A3.train_loss")
    assert (row["verdict"], row["printed"], row["value"], row["n"]) == ("inconclusive", "0.446", "0.44", "1")
    assert row["records"] == "a" * 20
    assert main(["ledger"]) == 0
    assert "not run" in capsys.readouterr().out


def test_a_number_that_anyone_has_is_judged(home, capsys):
    assert main(["judge", "0.860", "--ours", "0.8717", "0.8734", "0.8720", "--network", "report_a"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("not reproduced: 95 % of new runs: 0.8724") and "your seeds alone" in printed
    assert "with care" in printed  # nothing is committed here that could have tried the judge
    assert main(["judge", "0.860", "--ours", "0.8717", "0.8734"]) == 0
    assert capsys.readouterr().out.startswith("inconclusive: 2 runs")
    assert main(["judge", "86 %", "--ours", "0.8717", "0.8734", "0.8720", "--images", "100"]) == 0
    assert capsys.readouterr().out.startswith("inconclusive")  # a hundred images tell too little
    assert main(["judge", "0.80", "--ours", "0.8717", "0.8734", "0.8720", "--best"]) == 0
    assert capsys.readouterr().out.startswith("exceeded")


@pytest.mark.parametrize(
    "words", ["good --ours 1", "nan --ours 1", "1 --ours 1 --images 0", "0.3 --ours nan", "0.86 --ours 87"]
)
def test_what_is_no_number_is_refused_in_one_line(home, capsys, words):
    assert main(["judge", *words.split()]) == 1
    assert capsys.readouterr().err.count("\n") == 1
