"""submission.py and `make submission`: the archive to hand in, and who signs it."""

import hashlib
import io
import shutil
import subprocess
import sys
import zipfile

import nbformat
import pytest
import sample_page
from test_index import build

from helpers import base
from helpers.base import CourseworkError
from helpers.report import __main__ as command
from helpers.report import check, index, submission
from helpers.report.readback import read_pages


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reports") / "standard"
    folder.mkdir()
    index.write_index(folder, build(folder))
    return folder


def test_the_archive_repeats_bit_for_bit(built, tmp_path, capsys):
    codes = []
    for name in ("a", "b"):
        folder = shutil.copytree(built, tmp_path / name / "standard")
        (folder / "task1_data_loaders.json").write_text("{}")
        (folder / ".lock").write_text("")
        (folder / "build.log").write_text(name)
        path = submission.write_submission(folder)
        codes.append(hashlib.sha256(path.read_bytes()).hexdigest())
    assert codes[0] == codes[1]
    names = zipfile.ZipFile(path).namelist()
    assert names == sorted(names)
    held = {"report/index.html", "report/check.py", "report/task1_data_loaders.json", "notebooks/rubric.yaml"}
    held |= {"marking-sheet.html", "helpers/base.py", "helpers/report/export/template/page.css", "Makefile"}
    assert held <= {*names}
    assert not [name for name in names if name.endswith((".lock", ".log")) and name != "requirements.lock"]
    assert check.main([str(path), "--csv"]) == 0
    assert "marking" not in capsys.readouterr().out  # a sheet is no page


def test_what_is_handed_in_can_be_run(built, tmp_path):
    path = submission.write_submission(shutil.copytree(built, tmp_path / "standard"))
    zipfile.ZipFile(path).extractall(tmp_path / "out")
    line = [sys.executable, "-m", "helpers.report", "check", "report/summary.html"]
    done = subprocess.run(line, cwd=tmp_path / "out", capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert "untouched since export" in done.stdout


def test_nothing_to_pack(tmp_path):
    with pytest.raises(CourseworkError, match=r"has no index\.html; run `make report"):
        submission.write_submission(tmp_path)


@pytest.fixture
def reports(tmp_path, monkeypatch):
    """A folder of two pages without an author, as a build leaves them; the notebooks are the project's."""
    folder = tmp_path / "reports" / "standard"
    folder.mkdir(parents=True)
    monkeypatch.setattr(base, "REPORTS", folder.parent)
    for name in ("task1_data_loaders", "task4_training"):
        sample_page.page(folder, name, author="")
        state = {**sample_page.STATE, "notebook": name, "author": "", "results": {}, "used": [], "reason": ""}
        state |= {
            "started": 1.8e9,
            "data": [sample_page.STATE["data"]],
            "inputs": {"parameters": "1", "author": "2", "helpers": {}},
        }
        (folder / f"{name}.json").write_text(base.to_json(state))
    return folder


def authors(folder):
    return {page["run"].get("author") for page in read_pages(folder).values()}


def test_the_author_given_stands_on_every_page_and_in_the_index(reports, capsys):
    assert command.main(["submission", "AUTHOR=Ada Lovelace"]) == 0
    assert "2 pages by Ada Lovelace" in capsys.readouterr().out
    assert authors(reports) == {"Ada Lovelace"}
    for name in ("task1_data_loaders", "task4_training", "index"):
        assert "<dt>Author</dt><dd>Ada Lovelace</dd>" in (reports / f"{name}.html").read_text(encoding="utf-8")
    files = [str(path) for path in reports.glob("*.html")]
    assert check.main(files) == 0
    before = {path.name: path.read_bytes() for path in reports.glob("task*.html")}
    assert command.main(["submission"]) == 0  # who has signed is not asked again
    assert {path.name: path.read_bytes() for path in reports.glob("task*.html")} == before


def test_a_page_that_cannot_be_signed_fails_the_command_and_stays(reports):
    executed = reports / "task4_training.ipynb"
    nb = nbformat.read(executed, as_version=4)
    nb.cells.append(nbformat.v4.new_markdown_cell("A work that nobody wrote [@nobody1900]."))
    nbformat.write(nb, executed)
    files = [reports / f"task4_training.{kind}" for kind in ("html", "json")]
    before = [file.read_bytes() for file in files]
    with pytest.raises(CourseworkError, match=r"task4_training: .*nobody1900"):
        command.main(["submission", "AUTHOR=Ada Lovelace"])
    assert [file.read_bytes() for file in files] == before
    assert not (reports.parent / "submission.zip").exists()


def test_no_page_is_signed_under_a_build(reports):
    lock = base.file_lock(reports / ".lock")
    with pytest.raises(CourseworkError, match="another build is writing"):
        command.main(["submission", "AUTHOR=Ada Lovelace"])
    lock.release()
    assert authors(reports) == {""}


def test_without_a_terminal_a_missing_author_is_one_line(reports, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("Ada\n"))
    with pytest.raises(CourseworkError, match='make submission AUTHOR="Your Name"'):
        command.main(["submission"])
    assert authors(reports) == {""}
    assert not (reports.parent / "submission.zip").exists()


@pytest.mark.parametrize(("typed", "named"), [("  Ada  ", {"Ada"}), ("", {""}), (None, {""})])
def test_a_terminal_is_asked(reports, monkeypatch, typed, named):
    def answer(question):
        assert question.startswith("Author")
        if typed is None:
            raise EOFError
        return typed

    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", answer)
    if named == {""}:
        with pytest.raises(CourseworkError, match="the pages name no author"):
            command.main(["submission"])
    else:
        assert command.main(["submission"]) == 0
    assert authors(reports) == named
