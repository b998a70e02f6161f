"""Where things lie, the one error that people see, and writing without leaving halves behind.

Nothing here touches the disk at import time.
"""

import json
import math
import os
import tempfile
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
ROOT = Path(os.environ.get("COURSEWORK_HOME", CHECKOUT)).resolve()  # tests build in a folder of their own
NOTEBOOKS = ROOT / "notebooks" if (ROOT / "notebooks").is_dir() else CHECKOUT / "notebooks"
REPORTS = ROOT / "reports"
RECORDS = REPORTS / "records"  # what this machine has trained
PUBLISHED = REPORTS / "published"  # what is committed: records and pages of the full runs
CACHE = ROOT / "data" / "cache"  # decoded data sets, memory-mapped by every process


class CourseworkError(Exception):
    """A mistake that a person can mend: one line that says what, where, and what to do."""


def data_folder() -> Path:
    """The folder that is searched for data files first: COURSEWORK_DATA, else ./data."""
    return Path(os.environ.get("COURSEWORK_DATA") or ROOT / "data").resolve()


def write_atomically(path: Path, content: bytes | str) -> Path:
    """Write `content` to `path` through a temporary file beside it: readers see the old file or the new.

    Raises CourseworkError when the disk refuses (full, read-only); nothing half-written stays.
    """
    path = Path(path)
    data = content.encode() if isinstance(content, str) else content
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # mkstemp makes private files; these are for everybody
        os.replace(temporary, path)
    except OSError as error:
        if temporary and os.path.exists(temporary):
            os.unlink(temporary)
        raise CourseworkError(
            f"cannot write {path}: {error.strerror}; free some space or check permissions, then run again"
        ) from error
    return path


def plain(value):
    """`value` as JSON types: arrays and tuples become lists, non-finite numbers None."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):  # NumPy arrays and scalars, tensors
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Path):
        return str(value)
    return value


def to_json(value, *, indent: int | None = None) -> str:
    """Canonical JSON text: sorted keys, no NaN (null instead); compact unless `indent` is given."""
    separators = (",", ":") if indent is None else (",", ": ")
    return json.dumps(
        plain(value),
        sort_keys=True,
        separators=separators,
        indent=indent,
        allow_nan=False,
        ensure_ascii=False,
    )
