"""Records: keys, source hashes, packing, reading and writing."""

import base64
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import sample_record
from trial_functions import Config, fit_line, fit_torch

from helpers import base
from helpers.base import CourseworkError
from helpers.trials import records
from helpers.trials.source import source_hash

CHECKOUT = base.CHECKOUT


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Records of this test only."""
    monkeypatch.setattr(base, "RECORDS", tmp_path / "reports" / "records")
    monkeypatch.setattr(base, "PUBLISHED", tmp_path / "reports" / "published")
    return tmp_path


def example(**more):
    return sample_record.record(metrics={"accuracy": 0.1 + 0.2}, **more)


# Keys


def test_key_is_the_same_in_another_process_and_for_spelt_out_defaults():
    key = records.key(fit_line, Config(lr=0.2))
    code = "from helpers.trials.records import key; from trial_functions import *; print(key(fit_line, Config(lr=0.2)))"
    paths = os.pathsep.join([str(CHECKOUT), str(CHECKOUT / "tests")])
    environment = os.environ | {"PYTHONPATH": paths, "PYTHONHASHSEED": "7"}
    other = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert other.stdout.strip() == key == records.key(fit_line, Config(lr=0.2, epochs=5, seed=0))
    assert len(key) == 20 and int(key, 16) >= 0


def test_key_depends_on_function_config_and_data():
    keys = [records.key(fit_line, Config(seed=seed, lr=lr)) for seed in range(3) for lr in (0.1, 0.2)]

    @dataclass(frozen=True, kw_only=True)
    class OtherData(Config):
        def fingerprint(self):
            return "other"

    keys += [records.key(fit_torch, Config()), records.key(fit_line, OtherData())]
    assert len(set(keys)) == len(keys)


def test_a_field_added_later_leaves_keys_alone():
    @dataclass(frozen=True, kw_only=True)
    class Later(Config):
        momentum: float = 0.0

    assert records.key(fit_line, Later(lr=0.5)) == records.key(fit_line, Config(lr=0.5))
    assert records.key(fit_line, Later(momentum=0.9)) != records.key(fit_line, Config())


def test_a_default_from_the_environment_stays_in_the_key(monkeypatch):
    @dataclass(frozen=True, kw_only=True)
    class Config:
        precision: str = field(default_factory=lambda: os.environ.get("PRECISION", "auto"))

        def fingerprint(self):
            return ""

    key = records.key(fit_line, Config())
    monkeypatch.setenv("PRECISION", "float32")
    assert records.key(fit_line, Config()) != key == records.key(fit_line, Config(precision="auto"))


@pytest.mark.parametrize(
    ("config", "words"),
    [(Config(lr=float("nan")), "field lr"), (Config(log=Path("x")), "field log"), ({"lr": 1}, "frozen dataclass")],
)
def test_configs_that_are_not_plain_are_refused(config, words):
    with pytest.raises(CourseworkError, match=words):
        records.complete(config)


def test_functions_of_a_notebook_are_refused():
    with pytest.raises(CourseworkError, match="into a module"):
        records.trial_id(lambda: None)


# Source hashes


@pytest.fixture
def package(tmp_path):
    """A copy of helpers to edit; gives source hashes as a process sees them that imports the copy."""
    shutil.copytree(CHECKOUT / "helpers", tmp_path / "code" / "helpers", ignore=shutil.ignore_patterns("__pycache__"))

    def hashed(module="helpers.training.classifier"):
        code = f"from helpers.trials.source import source_hash; print(source_hash({module!r}))"
        command = [sys.executable, "-c", code]  # finds the copy in its working folder
        return subprocess.run(command, cwd=tmp_path / "code", capture_output=True, text=True, check=True).stdout

    return tmp_path / "code" / "helpers", hashed


def test_comments_and_docstrings_do_not_count_lines_do(package):
    folder, hashed = package
    before = hashed()
    training = folder / "training" / "classifier.py"
    text = training.read_text()
    training.write_text("# a comment\n" + text.replace('"""', '"""A word more. ', 1))
    assert hashed() == before
    training.write_text(text + "\nWORD = 1\n")
    assert hashed() != before


def test_what_a_module_imports_counts_however_far(package):
    folder, hashed = package
    before = hashed()
    (folder / "page" / "page.py").write_text("WORD = 1\n")  # training does not import it
    assert hashed() == before
    base_py = folder / "base.py"
    base_py.write_text(base_py.read_text() + "\nWORD = 1\n")
    assert hashed() != before


@pytest.mark.parametrize(
    "line",
    ["from helpers import data\ndata.split", "from helpers.data.dataset import split", "import helpers.data.dataset",
     "import helpers as mu\nmu.split", "import helpers as mu\nmu.data.split",
     "from helpers.data import split", "def late():\n    from helpers.data.dataset import split"],
)  # fmt: skip
def test_every_way_of_importing_is_seen(package, line):
    folder, hashed = package
    (folder.parent / "mine.py").write_text(line + "\n")
    before = hashed("mine")
    data = folder / "data" / "dataset.py"
    data.write_text(data.read_text() + "\nWORD = 1\n")
    assert hashed("mine") != before


def test_the_python_version_does_not_count(tmp_path, monkeypatch):
    """f-strings and quotes, which ast.unparse writes differently from version to version."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "quotes.py").write_text("""x = f"{a['b']!r:>{n}} 'c' \\n"\n""")
    assert source_hash("quotes") == "275222a6fb50eed2"


def test_a_module_without_source_is_refused():
    with pytest.raises(CourseworkError, match="no_such_module"):
        source_hash("no_such_module")


# Labels


@pytest.mark.parametrize("classes", [10, 16, 17, 256])
@pytest.mark.parametrize("count", [0, 1, 7, 10_000])
def test_labels_come_back(classes, count):
    labels = np.random.default_rng(0).integers(0, classes, count).astype(np.uint8)
    text = base.pack_labels(labels)
    back = base.unpack_labels(text)
    assert back.dtype == np.uint8 and np.array_equal(back, labels)
    if classes == 10 and count == 10_000:
        assert len(base64.b64decode(text.split(":")[2])) == 5000


# Reading and writing


def test_a_record_comes_back_bit_for_bit(home):
    values = np.random.default_rng(0).normal(size=100)
    written = records.write("study", example(history={"loss": [*values, float("nan")]}))
    read = records.read("study", "abc")
    assert read == written and read["history"]["loss"] == [*values.tolist(), None]


def test_committed_records_come_first_but_those_of_the_asked_source_before_them(home):
    records.write("study", example(where="here", source="new"))
    records.write("study", example(where="committed", source="old"), root=base.PUBLISHED / "records")
    assert records.read("study", "abc")["where"] == "committed"
    assert records.read("study", "abc", "old")["where"] == "committed"
    assert records.read("study", "abc", "new")["where"] == "here"
    assert records.read("study", "abc", "other")["where"] == "committed"
    assert records.read("study", "xyz") is None


@pytest.mark.parametrize("damage", ["edited", "cut", "empty", "other", "array cut", "array gone", "renamed", "list"])
def test_damage_is_noticed(home, damage):
    records.write("study", example(), arrays={"w": np.arange(5)})
    path, arrays = base.RECORDS / "study" / "abc.json", base.RECORDS / "study" / "abc.npz"
    text = path.read_text()
    if damage == "edited":
        path.write_text(text.replace("0.30000000000000004", "0.9"))
    elif damage == "cut":
        path.write_text(text[: len(text) // 2])
    elif damage == "empty":
        path.write_text("")
    elif damage == "other":
        path.write_text("{}")
    elif damage == "list":
        path.write_text("[]")
    elif damage == "array cut":
        arrays.write_bytes(arrays.read_bytes()[:-10])
    elif damage == "array gone":
        arrays.unlink()
    elif damage == "renamed":
        path, _ = path.rename(path.with_stem("xyz")), arrays.rename(arrays.with_stem("xyz"))
    with pytest.warns(records.DamagedRecord, match=path.stem):
        assert records.read("study", path.stem) is None


def test_arrays_and_weights_lie_beside_the_record_with_their_hashes(home):
    torch = pytest.importorskip("torch")
    weights = {"layer.weight": torch.arange(6.0).reshape(2, 3)}
    first = records.write("study", example(), arrays={"w": np.arange(5)}, checkpoint=weights)
    again = records.write("study", example(), arrays={"w": np.arange(5)}, checkpoint=weights)
    assert first["files"] == again["files"] and set(first["files"]) == {"npz", "pt"}
    assert np.array_equal(records.arrays("study", "abc")["w"], np.arange(5))
    loaded = torch.load(records.checkpoint_path("study", "abc"), weights_only=True)
    assert torch.equal(loaded["layer.weight"], weights["layer.weight"])
    (base.RECORDS / "study" / "abc.pt").write_bytes(b"cut")
    damaged = pytest.warns(records.DamagedRecord, match=r"abc\.json")
    with damaged, pytest.raises(CourseworkError, match=r"no intact abc\.pt in study study; train again"):
        records.checkpoint_path("study", "abc")
    with pytest.raises(CourseworkError, match=r"no intact xyz\.npz"):
        records.arrays("study", "xyz")


def test_records_are_json_that_others_can_check(home):
    records.write("study", example())
    stored = json.loads((base.RECORDS / "study" / "abc.json").read_text())
    checksum = stored.pop("checksum")
    import hashlib

    text = json.dumps(stored, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert hashlib.sha256(text.encode()).hexdigest() == checksum
