"""Where things lie, the one error that people see, and writing without leaving halves behind.

Nothing here touches the disk at import time.
"""

import base64
import contextlib
import errno
import hashlib
import importlib
import importlib.util
import json
import math
import os
import platform
import sys
import tempfile
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
ROOT = Path(os.environ.get("COURSEWORK_HOME", CHECKOUT)).resolve()  # tests build in a folder of their own
NOTEBOOKS = ROOT / "notebooks" if (ROOT / "notebooks").is_dir() else CHECKOUT / "notebooks"
REPORTS = ROOT / "reports"
RECORDS = REPORTS / "records"  # what this machine has trained
PUBLISHED = REPORTS / "published"  # what is committed: records and pages of the full runs
CACHE = ROOT / "data" / "cache"  # decoded data sets, memory-mapped by every process
PATIENCE = 5  # seconds of waiting until people are told what for


class CourseworkError(Exception):
    """A mistake that a person can mend: one line that says what, where, and what to do."""


def check_at_least(least: int, config, names: str) -> None:
    """Raises CourseworkError for one of these fields of a config that is below `least`; None, no limit, may stand."""
    for name in names.split():
        if (value := getattr(config, name)) is not None and not value >= least:
            raise CourseworkError(f"{name}={value} must be at least {least}")


def check_choice(name: str, value, choices) -> None:
    """Raises CourseworkError unless `value`, given as `name`, is one of `choices`."""
    if value not in choices:
        raise CourseworkError(f"{name}={value} is unknown; choose one of {', '.join(map(str, choices))}")


def door(package: str, homes: dict[str, str], aliases: dict[str, str] | None = None):
    """(__getattr__, __all__) for a package whose names load on first use, so that importing it costs nothing.

    homes: where the names live: a module below `package` -> names, separated by spaces; a submodule is reached by its
    own name. aliases: further names -> what they stand for, as a path below `package`.
    """
    home_of = {name: module for module, names in homes.items() for name in names.split()}

    def load(name: str):
        path = (aliases or {}).get(name) or (f"{home_of[name]}.{name}" if name in home_of else "")
        if path:
            module, _, attribute = path.rpartition(".")
            value = getattr(importlib.import_module(f"{package}.{module}".rstrip(".")), attribute)
        elif not name.startswith("_") and importlib.util.find_spec(f"{package}.{name}"):
            value = importlib.import_module(f"{package}.{name}")
        else:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        setattr(sys.modules[package], name, value)
        return value

    return load, list(home_of)


def data_folder() -> Path:
    """The folder that is searched for data files first: COURSEWORK_DATA, also with ~, else ./data."""
    return Path(os.environ.get("COURSEWORK_DATA") or ROOT / "data").expanduser().resolve()


def run_command(command) -> int:
    """Call `command`, print what it returns (an int is the exit code instead) and return the exit code.

    A mistake, and what the system refuses, is one line on stderr and 1; Ctrl-C is 130. A reader that has gone away
    (`| head`) is no mistake.
    """
    result = 0
    try:
        result = command()
        if result and not isinstance(result, int):
            print(result)
        sys.stdout.flush()
    except BrokenPipeError:
        silence()
    except CourseworkError as error:
        line = " ".join(str(error).split())  # what it quotes may hold what a terminal obeys
        print("".join(letter if letter.isprintable() else "?" for letter in line), file=sys.stderr)
        return 1
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"{where}{error.strerror or error}; free some space or check permissions", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return result if isinstance(result, int) else 0


def silence() -> None:
    """Let standard output end in nothing: its reader has gone away, and what Python still holds must go somewhere."""
    with open(os.devnull, "wb") as nothing:
        os.dup2(nothing.fileno(), sys.stdout.fileno())


def read_yaml(path: Path) -> dict:
    """The mapping in a YAML file that people edit by hand; {} where the file is absent or empty.

    Raises CourseworkError, with the line, on what is no YAML, no UTF-8 or no mapping.
    """
    import yaml  # here: most who need this module read no YAML

    if not path.exists():
        return {}
    try:
        table = yaml.safe_load(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise CourseworkError(f"{path}: not UTF-8; save it with that encoding") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}, line {mark.line + 1}" if mark else str(path)
        raise CourseworkError(f"{where}: {getattr(error, 'problem', None) or error}; mend it there") from None
    if not isinstance(table, (dict, type(None))):
        raise CourseworkError(f"{path}: expected names and values (name: value), found {type(table).__name__}")
    return table or {}


def processor() -> tuple[str, list[str]]:
    """The processor's model name, and which of the avx and amx instructions it has (Linux tells; elsewhere [])."""
    with contextlib.suppress(OSError):
        lines = (line.partition(":") for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines())
        about = {name.strip(): value.strip() for name, _, value in lines}
        features = [flag for flag in about.get("flags", "").split() if flag[:3] in ("avx", "amx")]
        return about.get("model name") or platform.machine(), sorted(features)
    return platform.processor() or platform.machine(), []


def write_atomically(path: Path, content: bytes | str) -> Path:
    """Write `content` to `path` through a temporary file beside it: readers see the old file or the new.

    Raises CourseworkError when the disk refuses (full, read-only); nothing half-written stays, not even after Ctrl-C.
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
        with contextlib.suppress(OSError):  # some file systems know no permissions
            os.chmod(temporary, 0o644)  # mkstemp makes private files; these are for everybody
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        raise CourseworkError(
            f"cannot write {path}: {error.strerror}; free some space or check permissions, then run again"
        ) from error
    finally:
        if temporary:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
    return path


def file_lock(path: Path, what: str = ""):
    """The lock file `path`, held until its `release()`; None where another process holds it and `what` is not given.

    what: what the other process does, told on stderr after PATIENCE s of waiting for it. Where the file system has no
    locks nothing is locked, and a line says so. Raises OSError where the file cannot be written.
    """
    from filelock import FileLock, Timeout  # here: it is slow to load, and few need it

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        try:
            lock.acquire(timeout=PATIENCE if what else 0)
        except Timeout:
            if not what:
                return None
            print(f"waiting for {path}: another process {what}", file=sys.stderr)
            lock.acquire()
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
        print(f"{path.parent} has no file locks: do not run anything twice at once there", file=sys.stderr)
    return lock


def plain(value):
    """`value` as JSON types: arrays and tuples become lists, non-finite numbers None."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):  # NumPy arrays and scalars, tensors
        return plain(value.tolist())
    if (isinstance(value, float) and not math.isfinite(value)) or type(value).__name__ == "NAType":  # pandas' NA
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


def sha256(content: bytes) -> str:
    """The SHA-256 of `content` in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def pack_labels(labels) -> str:
    """uint8 labels (N,) as text, "bits:N:base64"; 4 bits each where all are below 16."""
    import numpy as np  # here: most who need this module need no NumPy

    labels = np.asarray(labels, np.uint8)
    bits = 4 if labels.max(initial=0) < 16 else 8
    even = np.pad(labels, (0, len(labels) % 2))
    packed = even[::2] << 4 | even[1::2] if bits == 4 else labels
    return f"{bits}:{len(labels)}:{base64.b64encode(packed.tobytes()).decode()}"


def unpack_labels(text: str):
    """The uint8 labels (N,) that `pack_labels` wrote."""
    import numpy as np

    bits, count, code = text.split(":")
    packed = np.frombuffer(base64.b64decode(code), np.uint8)
    halves = np.stack([packed >> 4, packed & 15], 1).ravel()
    return (halves if bits == "4" else packed)[: int(count)].copy()
