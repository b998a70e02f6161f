"""`verify` trains again what the records hold, and notices one that does not repeat."""

import trial_functions
from trial_functions import Config

from helpers import base, trials
from helpers.report import verify
from helpers.trials import kinds, records


def test_records_are_verified_and_a_wrong_one_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(base, "RECORDS", tmp_path / "records")
    monkeypatch.setattr(base, "PUBLISHED", tmp_path / "published")
    monkeypatch.setenv("JOBS", "0")
    monkeypatch.setitem(kinds.KINDS, "line", ("trial_functions", "fit_line", "Config"))
    frame = trials.run(trial_functions.fit_line, [Config(), Config(lr=0.2)], study="lines")
    before = {path: path.read_bytes() for path in base.RECORDS.rglob("*.json")}
    assert verify.verify({"ALL": "1"}) == 0
    assert "2 of 2 trials reproduced" in capsys.readouterr().out

    record = frame["record"][1]
    history = {"loss": [value + 1e-9 for value in record["history"]["loss"]]}
    records.write("lines", record | {"history": history})  # its checksum is right, its numbers are not
    assert verify.verify({}) == 1
    wrong = [line for line in capsys.readouterr().out.splitlines() if "NOT" in line]
    assert [line.split()[1] for line in wrong] == [record["key"]]
    kept = [path for path in before if path.stem != record["key"]]
    assert [path.read_bytes() for path in kept] == [before[path] for path in kept]
    lost = record | {"history": history, "provenance": record["provenance"] | {"gpu": "H100"}}
    records.write("lines", lost)
    monkeypatch.setattr("helpers.device.num_gpus", lambda: 0)
    assert verify.verify({}) == 0
    printed = capsys.readouterr().out
    assert "1 trainings on a GPU are left out" in printed and "1 of 1 trials reproduced" in printed
