"""One JSON record per trial: its key, reading and writing.

A record that was cut short or edited by hand does not match its checksum: it is reported and
counts as absent.
"""

import dataclasses
import io
import json
import warnings
from pathlib import Path

import numpy as np

from helpers import base

FIELDS = {  # what every record holds, and of which type
    "key": str, "study": str, "trial": str, "config": dict, "fingerprint": str, "source": str, "status": str,
    "history": dict, "metrics": dict, "provenance": dict, "files": dict, "checksum": str,
    "budget": str | None, "diverged_epoch": int | None, "reason": str, "predictions": str | None, "probe": dict | None,
    "examples": int | None, "seconds": int | float | None, "examples_per_second": int | float | None,
}  # fmt: skip


class DamagedRecord(UserWarning):
    """A record's file, or the arrays beside it, do not match its checksum or form."""


def complete(config) -> dict:
    """All fields of a config dataclass as JSON types.

    Raises CourseworkError for a config that is not a frozen dataclass or holds anything but finite
    numbers, strings, bools, None, lists, tuples and dicts.
    """
    if not (dataclasses.is_dataclass(config) and config.__dataclass_params__.frozen):
        raise base.CourseworkError(f"a trial's config must be a frozen dataclass, not {config!r}")
    values = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        try:
            values[field.name] = json.loads(json.dumps(value, allow_nan=False))
        except (TypeError, ValueError) as error:
            raise base.CourseworkError(f"config field {field.name} = {value!r}: {error}") from error
    return values


def canonical(config) -> dict:
    """The fields that differ from their declared default: adding a field leaves older keys alone.

    Fields whose default a factory makes are always kept: it may read the environment.
    Raises CourseworkError as `complete` does.
    """
    default = {field.name: base.plain(field.default) for field in dataclasses.fields(config)}
    return {name: value for name, value in complete(config).items() if value != default[name]}


def key(function, config) -> str:
    """20 hexadecimal digits: hash of the trial function's frozen id, its config and the data's fingerprint."""
    parts = [trial_id(function), canonical(config), config.fingerprint()]
    return base.sha256(base.to_json(parts).encode())[:20]


def trial_id(function) -> str:
    """The id declared beside a trial function; CourseworkError without one, and where workers cannot import it."""
    if "<" in function.__qualname__ or function.__module__ == "__main__":
        raise base.CourseworkError(f"workers cannot import {function.__qualname__}; move it from here into a module")
    if not getattr(function, "trial_id", ""):
        name = function.__name__
        raise base.CourseworkError(f'trial function {name} has no id; write below it: {name}.trial_id = "a short name"')
    return function.trial_id


def read(study: str, key: str, source: str | None = None) -> dict | None:
    """The record of a trial: the committed one, else this machine's; None where there is none.

    Given `source`, a record of that source hash goes before one of another. A damaged record gives
    a DamagedRecord warning and is passed over.
    """
    first = None
    for root in roots():
        record = load(root / study / f"{key}.json")
        if record and source in (None, record["source"]):
            return record
        first = first or record
    return first


def roots() -> tuple[Path, Path]:
    """The folders of the committed records and of this machine's."""
    return base.PUBLISHED / "records", base.RECORDS


def load(path: Path) -> dict | None:
    """The record in a file, checked with the files beside it; None where absent or damaged, or where one is missing.

    Of a committed record the weights may be missing: large ones are not committed.
    """
    if not path.exists():
        return None
    try:
        record = json.loads(path.read_bytes())
        intact = record["key"] == path.stem and record["checksum"] == checksum(record) and _is_sound(record)
        for suffix, digest in record["files"].items():
            beside = path.with_suffix(f".{suffix}")
            if suffix != "pt" or beside.exists() or not path.is_relative_to(base.PUBLISHED):
                intact &= base.sha256(beside.read_bytes()) == digest
    except Exception:  # whatever damage brings about
        intact = False
    if not intact:
        warnings.warn(f"damaged record, counts as not trained: {path}", DamagedRecord, stacklevel=2)
    return record if intact else None


def _is_sound(record: dict) -> bool:
    """Whether a record has the form that `write` gives it, also inside; what is missing raises a KeyError."""
    sound = all(isinstance(record[name], kind) for name, kind in FIELDS.items())
    sound &= _are_columns(record["history"]) and all(_is_number(value) for value in record["metrics"].values())
    sound &= record["files"].keys() <= {"npz", "pt"} and isinstance(record["provenance"].get("started", ""), str)
    sound &= record["predictions"] is None or base.unpack_labels(record["predictions"]).ndim == 1
    sound &= all(note["agreement"] in ("equal", "close") for note in record.get("adopted", []))
    if probe := record["probe"]:
        sound &= isinstance(probe["status"], str) and _are_columns(probe["history"])
        sound &= isinstance(probe["platform"], dict) and isinstance(probe["diverged_epoch"], int | None)
    return sound


def _are_columns(history: dict) -> bool:
    """Whether a history is lists of numbers, all of one length."""
    lists = all(isinstance(column, list) and all(map(_is_number, column)) for column in history.values())
    return lists and len({len(column) for column in history.values()}) <= 1


def _is_number(value) -> bool:
    return value is None or isinstance(value, int | float)


def checksum(record: dict) -> str:
    """SHA-256 of the record's canonical JSON, the checksum itself left out."""
    return base.sha256(base.to_json({k: v for k, v in record.items() if k != "checksum"}).encode())


def write(study, record: dict, arrays=None, checkpoint=None, root: Path | None = None) -> dict:
    """Write a record; before it <key>.npz (arrays by name) and <key>.pt (a state_dict), or their bytes.

    root: this machine's records by default. Returns the record with "files" and "checksum" set.
    Raises CourseworkError when the disk refuses; then there is no record.
    """
    path = (root or base.RECORDS) / study / f"{record['key']}.json"
    files = dict(record.get("files", {}))
    for suffix, content in {"npz": arrays, "pt": checkpoint}.items():
        if data := packed(suffix, content):
            base.write_atomically(path.with_suffix(f".{suffix}"), data)
            files[suffix] = base.sha256(data)
    record = base.plain(record | {"files": files})
    record["checksum"] = checksum(record)
    base.write_atomically(path, base.to_json(record))
    return record


def packed(suffix: str, content: dict | bytes | None) -> bytes | None:
    """The bytes of a .npz or .pt file, the same for the same content; None for nothing."""
    if not content or isinstance(content, bytes):
        return content or None
    buffer = io.BytesIO()
    if suffix == "npz":
        np.savez(buffer, **content)
    else:
        import torch

        torch.save(content, buffer)
    return buffer.getvalue()


def arrays(study: str, key: str) -> dict[str, np.ndarray]:
    """The arrays beside a record. Raises CourseworkError where they are absent or damaged."""
    with np.load(checkpoint_path(study, key, "npz")) as file:
        return dict(file)


def checkpoint_path(study: str, key: str, suffix: str = "pt") -> Path:
    """The file of a trial's weights (torch.save of a state_dict). Raises CourseworkError as `arrays` does."""
    for path in (root / study / f"{key}.{suffix}" for root in roots()):
        record = load(path.with_suffix(".json"))
        if record and suffix in record["files"] and path.is_file():
            return path
    raise base.CourseworkError(f"no intact {key}.{suffix} in study {study}; train again with FRESH=1")
