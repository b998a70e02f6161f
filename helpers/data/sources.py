"""Where data comes from: found or downloaded, verified, and decoded once into the cache that `dataset` reads.

`obtain` tries in order: the data folder, the system's package folder, what is cached already, downloads, and last a
stand-in that says what it is. A file that lies there but is wrong stops the run; a download that is wrong is thrown
away. Data sets: Fashion-MNIST (Xiao, Rasul and Vollgraf 2017, MIT licence), CIFAR-10 (Krizhevsky 2009), a folder or
tar archive of class folders, and scikit-learn's handwritten digits as the stand-in.
"""

import hashlib
import json
import os
import shutil
import tempfile
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from helpers import base
from helpers.base import CourseworkError
from helpers.data.decoders import PARTS, bundled_digits, files_below, read_classes
from helpers.data.recipes import RECIPES, Place, Recipe

FORMAT = 1  # of the cache; a cache in another format is made again
RETRY_AFTER = 3600  # seconds for which a failed download is not tried again
FIELDS = {
    "title": str,
    "source": str,
    "classes": list,
    "fingerprint": str,
    "files": list,
    "standin": bool,
}  # of an entry
STANDINS = {"digits28": 28, "digits32": 32}  # side of their images in pixels


@contextmanager
def _locked(key: str):
    """Hold the cache entry `key` alone, and clear away what a killed process left behind."""
    lock = base.file_lock(base.CACHE / f"{key}.lock", "prepares this data set")
    try:
        for rest in base.CACHE.glob(f".{key}+*"):
            shutil.rmtree(rest, ignore_errors=True)
        yield
    finally:
        lock.release()


def _stamp(path: Path) -> dict:
    """Size and time of a file, or of each file below a folder: another stamp, another content."""
    if path.is_dir():
        inside = [[_as_text(file.relative_to(path)), _stamp(file)] for file in files_below(path)]
        return {"size": sum(each["size"] for _, each in inside), "files": base.sha256(base.to_json(inside).encode())}
    fact = path.stat() if path.exists() else path.lstat()  # of a link to nothing
    return {"size": fact.st_size, "mtime_ns": fact.st_mtime_ns}


def _facts(files: list[Path]) -> list[dict]:
    """Path and stamp of each file, as a cache entry keeps them beside its hash."""
    return [{"path": _as_text(file), **_stamp(file)} for file in files]


def _as_text(path: Path) -> str:
    """A path as text, whatever bytes it is made of."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _fingerprint(arrays, classes) -> str:
    """20 hexadecimal digits that tell pixels, labels, their order and the class names."""
    digest = hashlib.sha256(base.to_json([list(classes), [array.shape for array in arrays]]).encode())
    for array in arrays:
        digest.update(array)
    return digest.hexdigest()[:20]


def cached(key: str) -> dict:
    """What the cache knows of a data set: title, source, classes, fingerprint, files (path, size, SHA-256) ...

    Empty when it is not there or its arrays are not whole.
    """
    folder = base.CACHE / key
    try:
        meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        arrays = [np.load(folder / f"{part}.npy", mmap_mode="r") for part in PARTS]
        whole = meta["arrays"] == [_stamp(folder / f"{part}.npy") for part in PARTS]  # a copied folder has new times
        whole = whole or _fingerprint(arrays, meta["classes"]) == meta["fingerprint"]
        return meta if whole and _sound(meta, arrays) else {}
    except Exception:  # whatever damage brings about: it is not whole
        return {}


def _sound(meta: dict, arrays) -> bool:
    """Whether a cache entry has the form that `_store` gives it."""
    images, labels = arrays[::2], arrays[1::2]
    sound = meta["format"] == FORMAT and all(isinstance(meta[name], kind) for name, kind in FIELDS.items())
    sound &= all(isinstance(item, str) for item in meta["classes"])
    sound &= all({"path", "size", "sha256"} <= item.keys() for item in meta["files"])
    sound &= all(array.dtype == np.uint8 for array in arrays) and images[0].shape[1:] == images[1].shape[1:]
    sound &= all(len(image) == len(label) > 0 and label.ndim == 1 for image, label in zip(images, labels))
    return sound and images[0].ndim in (3, 4) and max(label.max() for label in labels) < len(meta["classes"])


def _store(key: str, arrays, **meta) -> None:
    """Put decoded arrays into the cache in one step: built beside it, then renamed."""
    arrays = [np.ascontiguousarray(array, np.uint8) for array in arrays]
    with tempfile.TemporaryDirectory(dir=base.CACHE, prefix=f".{key}+") as scratch:
        new, target = Path(scratch, "new"), base.CACHE / key
        new.mkdir()
        for part, array in zip(PARTS, arrays):
            np.save(new / f"{part}.npy", array)
        meta |= {"name": key, "format": FORMAT, "fingerprint": _fingerprint(arrays, meta["classes"])}
        meta["arrays"] = [_stamp(new / f"{part}.npy") for part in PARTS]
        base.write_atomically(new / "meta.json", base.to_json(meta, indent=1))
        if target.exists():
            target.rename(Path(scratch, "old"))  # open memory maps of it stay valid
        new.rename(target)


def _decoded(recipe: Recipe, place: Place, files: list[Path], source: str) -> dict:
    """What `_store` keeps of verified and decoded files. Raises CourseworkError when they are wrong."""
    facts = _facts(files)  # before reading: a later change shows
    arrays, classes, notes = place.read(files, place.hashes)
    for fact, file, expected in zip(facts, files, [*place.hashes.values()] or [""]):
        if len(expected) != 64:
            expected = base.sha256(file.read_bytes()) if file.is_file() else None
        fact["sha256"] = expected  # of an idx file: unpacked
    title = ", ".join(filter(None, (recipe.title, place.note)))
    source = "; ".join(filter(None, (source, notes)))
    about = {"title": title, "source": source, "files": facts, "reencoded": bool(place.note), "standin": False}
    return {"arrays": arrays, "classes": list(classes or recipe.classes), **about}


def _download(key: str, recipe: Recipe) -> str:
    """Fill the cache from the first download that is right; '' then, else why each of them failed."""
    failures, note = [], base.CACHE / f"{key}.failed"
    for source, download in recipe.downloads.items():
        with tempfile.TemporaryDirectory(dir=base.CACHE, prefix=f".{key}+") as scratch:
            try:
                download(Path(scratch))
                inside = [replace(place, where=place.where.lstrip("/")) for place in recipe.places]
                places = [(place, files) for place in inside if (files := place.files(Path(scratch)))]
                if not places:
                    raise CourseworkError("its files are not those that were expected")
                (place, files), *_ = places
                decoded = _decoded(recipe, place, files, source)
                for fact in decoded["files"]:
                    fact["path"] = Path(fact["path"]).name  # the rest of it is gone in a moment
            except Exception as error:  # whatever it is: there is another source
                failures.append(f"{source}: {' '.join(str(error).split())[-400:] or type(error).__name__}")
                continue
            _store(key, **decoded)
            note.unlink(missing_ok=True)
            return ""
    base.write_atomically(note, "; ".join(failures))
    return "; ".join(failures)


def _bring(key: str, recipe: Recipe, retry: bool) -> str:
    """See to it that the cache holds the real data of today's files; '' then, else why it cannot."""
    folder = base.data_folder()
    if os.environ.get("COURSEWORK_DATA") and not folder.is_dir():
        raise CourseworkError(f"COURSEWORK_DATA={os.environ['COURSEWORK_DATA']}: no such folder; correct or unset it")
    for place in recipe.places:
        if files := place.files(folder):
            kept = cached(key).get("files", [])
            if [{name: fact[name] for name in fact if name != "sha256"} for fact in kept] != _facts(files):
                source = place.where if Path(place.where).is_absolute() else f"{place.where} of the data folder"
                _store(key, **_decoded(recipe, place, files, source))
            return ""
    if cached(key):
        return ""
    note = base.CACHE / f"{key}.failed"
    if os.environ.get("COURSEWORK_OFFLINE", "0") not in ("", "0"):
        return "COURSEWORK_OFFLINE forbids downloads"
    if not retry and note.is_file() and 0 <= time.time() - note.stat().st_mtime < RETRY_AFTER:
        return note.read_text(encoding="utf-8", errors="replace")
    return _download(key, recipe)


def _make_standin(key: str) -> None:
    arrays, classes = bundled_digits(STANDINS[key])
    about = {"title": f"stand-in: {key}, small handwritten digits", "source": "scikit-learn's bundled digits"}
    _store(key, arrays, classes=classes, files=[], reencoded=False, standin=True, **about)


def _recipe(name: str, recipes: dict[str, Recipe]) -> tuple[str, Recipe]:
    """The cache entry and the recipe for `name`: known, a stand-in, or a path."""
    if name in recipes:
        return name, recipes[name]
    if name in STANDINS:
        remedy = "it is a stand-in itself: ask for fashion_mnist or cifar10, or choose DATA=auto"
        return name, Recipe(title=name, places=(), downloads={}, standin=name, remedy=remedy)
    path = next((p.resolve() for p in (Path(name).expanduser(), base.ROOT / name) if name and p.exists()), None)
    if path is None:
        raise CourseworkError(f"no data set {name!r}: choose {', '.join(recipes)}, or an existing folder or tar file")
    stem = "".join(letter if letter.isalnum() else "_" for letter in path.name.split(".")[0])
    key = f"{stem}-{base.sha256(str(path).encode())[:8]}"
    return key, Recipe(title=path.name, places=(Place(where=str(path), read=read_classes, hashes={}),), downloads={})


def obtain(name: str = "fashion_mnist", data: str = "auto", *, recipes: dict[str, Recipe] = RECIPES):
    """The data set `name` from the best source there is, as `data.Dataset` (uint8 arrays, memory-mapped).

    name: fashion_mnist, cifar10, or the path of a folder or tar of class folders. data: "auto" ends at the stand-in,
    "real" refuses it, "standin" asks for it. FRESH=1 and "real" repeat a download that failed within the last hour;
    COURSEWORK_OFFLINE=1 downloads nothing. Several processes may ask at once. Raises CourseworkError: a file is
    damaged (with the expected and the found hash), an image is of no use, there is no real data, the disk refuses.
    """
    from helpers.data.dataset import load  # here, because it imports torch

    if data not in ("auto", "real", "standin"):
        raise CourseworkError(f"data={data!r} is unknown; choose auto, real or standin")
    why = f"data={data}"
    try:
        key, recipe = _recipe(str(name), recipes)
        if data != "standin" and recipe.places:
            with _locked(key):
                why = _bring(key, recipe, data == "real" or os.environ.get("FRESH", "0") not in ("", "0"))
                if not why:
                    return load(key)
        if not recipe.standin:
            raise CourseworkError(f"{recipe.title} has no stand-in; choose data=auto or real")
        if data == "real":
            raise CourseworkError(f"no real {recipe.title} in {base.data_folder()} ({why}); {recipe.remedy}")
        with _locked(recipe.standin):
            if not cached(recipe.standin):
                _make_standin(recipe.standin)
            return load(recipe.standin)
    except RuntimeError as error:  # of a ~ that names nobody
        raise CourseworkError(f"{name}: {error}; give another path") from error
    except OSError as error:
        what = f"{error.filename or base.CACHE}: {error.strerror or error}"
        raise CourseworkError(f"{what}; see that it can be read and written and the disk has room") from error
