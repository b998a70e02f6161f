"""One JSON record per trial: its key, reading and writing.

A record that was cut short or edited by hand does not match its checksum: it is reported and
counts as absent.
"""

import base64
import dataclasses
import hashlib
import io
import json
import warnings
from pathlib import Path

import numpy as np

from helpers import base
from helpers.dependencies import source_hash as source_hash  # of a trial function's module: `records.source_hash`


class DamagedRecord(UserWarning):
    """A record's file, or the arrays beside it, do not match its checksum."""


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
    return {name: value for name, value in complete(config).items() if (name, value) not in default.items()}


def key(function, config) -> str:
    """20 hexadecimal digits: hash of the function's name, its config and the data's fingerprint."""
    parts = [qualified_name(function), canonical(config), config.fingerprint()]
    return sha256(base.to_json(parts).encode())[:20]


def qualified_name(thing) -> str:
    """The module and name of a function or class; CourseworkError if workers cannot import it."""
    if "<" in thing.__qualname__ or thing.__module__ == "__main__":
        raise base.CourseworkError(f"workers cannot import {thing.__qualname__}; move it from here into a module")
    return f"{thing.__module__}.{thing.__qualname__}"


def pack_labels(labels) -> str:
    """uint8 labels (N,) as text, "bits:N:base64"; 4 bits each where all are below 16."""
    labels = np.asarray(labels, np.uint8)
    bits = 4 if labels.max(initial=0) < 16 else 8
    even = np.pad(labels, (0, len(labels) % 2))
    packed = even[::2] << 4 | even[1::2] if bits == 4 else labels
    return f"{bits}:{len(labels)}:{base64.b64encode(packed.tobytes()).decode()}"


def unpack_labels(text: str) -> np.ndarray:
    """The uint8 labels (N,) that `pack_labels` wrote."""
    bits, count, code = text.split(":")
    packed = np.frombuffer(base64.b64decode(code), np.uint8)
    halves = np.stack([packed >> 4, packed & 15], 1).ravel()
    return (halves if bits == "4" else packed)[: int(count)].copy()


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
    """The record in a file, checked with the arrays beside it; None where absent or damaged."""
    try:
        record = json.loads(path.read_bytes())
        intact = record["key"] == path.stem and record["checksum"] == checksum(record)
        if "npz" in record["files"]:
            intact &= sha256(path.with_suffix(".npz").read_bytes()) == record["files"]["npz"]
    except (OSError, ValueError, KeyError, TypeError):
        if not path.exists():
            return None
        intact = False
    if not intact:
        warnings.warn(f"damaged record, counts as not trained: {path}", DamagedRecord, stacklevel=2)
    return record if intact else None


def checksum(record: dict) -> str:
    """SHA-256 of the record's canonical JSON, the checksum itself left out."""
    return sha256(base.to_json({k: v for k, v in record.items() if k != "checksum"}).encode())


def sha256(content: bytes) -> str:
    """The SHA-256 of `content` in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


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
            files[suffix] = sha256(data)
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
        record = load(path.with_suffix(".json")) or {"files": {}}
        if path.is_file() and sha256(path.read_bytes()) == record["files"].get(suffix):
            return path
    raise base.CourseworkError(f"no intact {key}.{suffix} in study {study}; train again with FRESH=1")
