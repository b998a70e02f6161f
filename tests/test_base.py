"""Paths, the error that people see, files that are never half written, JSON without NaN."""

import contextlib
import json
import math
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from helpers import base
from helpers.base import CourseworkError, to_json, write_atomically


def python(code: str, **environment) -> str:
    """What `code` prints in a new interpreter."""
    variables = {**os.environ, **environment}
    return subprocess.check_output([sys.executable, "-c", code], env=variables, text=True, cwd=base.CHECKOUT).strip()


@contextlib.contextmanager
def full_disk():
    """No file may grow beyond 1 kB in the block: what a full disk does to a writer, the tests' own log included."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_writes_text_and_bytes_into_new_folders(tmp_path):
    path = tmp_path / "new" / "folder" / "file"
    assert write_atomically(path, "é\n") == path
    assert path.read_bytes() == "é\n".encode()
    write_atomically(path, b"\x00second")
    assert path.read_bytes() == b"\x00second"
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_full_disk_leaves_the_old_file_and_no_litter(tmp_path):
    path = write_atomically(tmp_path / "file", b"old")
    refused = pytest.raises(CourseworkError, match=r"cannot write .*file: File too large; free some space")
    with full_disk(), refused as caught:
        write_atomically(path, b"x" * 5000)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CourseworkError, match="cannot write"):
        write_atomically(tmp_path / "file" / "below", "content")


def test_nothing_stays_of_a_write_that_is_interrupted(tmp_path, monkeypatch):
    def interrupt(descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr(base.os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "file", b"new")
    assert list(tmp_path.iterdir()) == []


COMMANDS = {
    "claims": ["-m", "helpers.claims", "why", "A1"],
    "trials": ["-m", "helpers.trials", "ls"],
    "report": ["-m", "helpers.report", "help"],
    "page check": ["-m", "helpers.report", "check", "README.md"],
    "lint": ["-m", "helpers.report", "lint-notebooks"],
}


@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
def test_a_reader_that_has_gone_away_is_no_mistake(words):
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("COURSEWORK", "MAKE"))}
    pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": base.CHECKOUT}
    with subprocess.Popen([sys.executable, *words], env=ours, **pipe) as process:
        process.stdout.close()  # before anything was printed
        assert process.stderr.read() == ""
    assert process.returncode in (0, 1)  # README.md is no page


@pytest.mark.parametrize(("failure", "line"), [
    (CourseworkError("two\nlines"), "two lines"),
    (PermissionError(13, "Permission denied", "/some/file"), "/some/file: Permission denied; free some space"),
    (OSError("odd"), "odd; free some space"),
])  # fmt: skip
def test_what_fails_is_one_line(failure, line, capsys):
    def command():
        raise failure

    assert base.run_command(command) == 1
    assert capsys.readouterr().err.startswith(line)


YAML = {"a: [1": "line 1", "a:\n\t- 1": "line 2", "a: b: c": "line 1", "- 1": "found list", "words": "found str"}


@pytest.mark.parametrize("text", YAML)
def test_yaml_that_cannot_be_read_is_one_line(text, tmp_path):
    (tmp_path / "file.yaml").write_text(text)
    with pytest.raises(CourseworkError, match=YAML[text]) as caught:
        base.read_yaml(tmp_path / "file.yaml")
    assert "file.yaml" in str(caught.value)


def test_yaml_is_a_mapping_or_nothing(tmp_path):
    (tmp_path / "latin").write_bytes("a: \xe9".encode("latin-1"))
    with pytest.raises(CourseworkError, match="not UTF-8"):
        base.read_yaml(tmp_path / "latin")
    (tmp_path / "empty").write_text("# nothing\n")
    assert base.read_yaml(tmp_path / "empty") == base.read_yaml(tmp_path / "absent") == {}


def test_json_is_canonical_and_holds_plain_types():
    value = {
        "b": np.float32(0.5), "a": (1, np.int64(2)), "c": np.array([[1.0, np.nan]]), 3: Path("x"), "d": np.bool_(True),
    }  # fmt: skip
    assert to_json(value) == '{"3":"x","a":[1,2],"b":0.5,"c":[[1.0,null]],"d":true}'
    assert json.loads(to_json(value, indent=2)) == json.loads(to_json(value))


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, np.float64("nan")])
def test_json_has_null_where_a_number_is_not_finite(number):
    assert to_json({"loss": [1.0, number]}) == '{"loss":[1.0,null]}'


def test_json_keeps_every_bit_of_a_float():
    numbers = np.random.default_rng(0).normal(size=100)
    assert json.loads(to_json(numbers)) == numbers.tolist()


def test_data_folder_follows_the_environment(monkeypatch):
    monkeypatch.setenv("COURSEWORK_DATA", "/somewhere/else")
    assert base.data_folder() == Path("/somewhere/else")
    monkeypatch.setenv("COURSEWORK_DATA", "")
    assert base.data_folder() == base.ROOT / "data"


def test_coursework_home_moves_what_is_written_but_not_the_notebooks(tmp_path):
    code = "from helpers import base; print(base.ROOT, base.CACHE, base.RECORDS, base.NOTEBOOKS, sep='|')"
    home = tmp_path.resolve()
    root, cache, records, notebooks = map(Path, python(code, COURSEWORK_HOME=str(home)).split("|"))
    assert (root, cache, records) == (home, home / "data" / "cache", home / "reports" / "records")
    assert notebooks == base.CHECKOUT / "notebooks"
    (home / "notebooks").mkdir()
    assert python(code, COURSEWORK_HOME=str(home)).endswith(str(home / "notebooks"))


def test_importing_the_package_loads_nothing_heavy():
    code = "import sys, helpers.base; print({'torch', 'numpy', 'pandas'} & {*sys.modules} or 'nothing')"
    assert python(code) == "nothing"
