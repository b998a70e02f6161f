"""Files of a data set to arrays: each reader verifies what it reads, byte for byte, before it decodes it.

A reader takes the files and the hashes that they must have, and returns the four arrays of `PARTS`, uint8, the class
names, or None where the files do not name them, and in words what it left out or changed. Images are (N, H, W) or
(N, H, W, 3), labels (N,).
"""

import gzip
import hashlib
import io
import lzma
import math
import os
import pickle
import tarfile
import unicodedata
import warnings
import zlib
from collections import defaultdict
from pathlib import Path, PurePosixPath

import numpy as np
from tqdm import tqdm

from helpers.base import CourseworkError

PARTS = ("train_images", "train_labels", "test_images", "test_labels")
BATCHES = ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch")
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"}
LEVELS = {"train": "train", "training": "train", "test": "test", "testing": "test"}  # folders of a part, in any case
LEVELS |= dict.fromkeys(("val", "valid", "validation"), "validation")
PACKED = (tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, OSError)  # what a damaged archive raises


def verified(path: Path, expected: str) -> bytes:
    """The content of `path`, an idx file unpacked; its hash must be `expected` (SHA-256, or MD5 by its length).

    Raises CourseworkError, naming the file and both hashes, when it is another one.
    """
    content, damage = _content(path), ""
    if path.name.endswith("-ubyte.gz"):  # compared unpacked: distributions pack the same content anew
        try:
            content = gzip.decompress(content)
        except PACKED as error:
            damage = f" for the packed file, which cannot be unpacked ({error})"
    algorithm = "md5" if len(expected) == 32 else "sha256"
    actual = hashlib.new(algorithm, content, usedforsecurity=False).hexdigest()
    if damage or actual != expected:
        raise CourseworkError(
            f"{path} is damaged or not the published file: expected {algorithm} {expected}, "
            f"found {actual}{damage}; replace or remove it, then run again"
        )
    return content


def _content(path: Path) -> bytes:
    """The bytes of a file. Raises CourseworkError that names what is none, or cannot be read."""
    if not path.is_file():  # a pipe would never end
        raise CourseworkError(f"{path} is no file; replace or remove it, then run again")
    try:
        return path.read_bytes()
    except OSError as error:
        raise CourseworkError(f"{path} cannot be read: {error.strerror}; replace it, then run again") from error


def parse_idx(content: bytes, path: Path) -> np.ndarray:
    """The array in an idx file of images or labels. Raises CourseworkError when header and size disagree."""
    rank = content[3] if len(content) > 3 else 0
    start = 4 + 4 * rank
    shape = [int.from_bytes(content[at : at + 4], "big") for at in range(4, start, 4)]
    if content[:3] != b"\0\0\x08" or rank not in (1, 3) or len(content) != start + math.prod(shape):
        raise CourseworkError(f"{path} is no idx file of images or labels: header and size disagree; replace it")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def read_idx(files: list[Path], hashes: dict[str, str]):
    """Fashion-MNIST as published: four idx files in the order of PARTS, plain or gzipped."""
    pairs = zip(files, hashes.values())
    return [parse_idx(verified(path, expected), path) for path, expected in pairs], None, ""


def read_batches(files: list[Path], hashes: dict[str, str]):
    """CIFAR-10 as published: one tar archive, or the pickled batches unpacked from it, the test batch last."""
    contents = [verified(path, expected) for path, expected in zip(files, hashes.values())]
    if len(files) == 1:
        with tarfile.open(fileobj=io.BytesIO(contents[0])) as tar:
            contents = [tar.extractfile(f"cifar-10-batches-py/{name}").read() for name in BATCHES]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy 2.4 deprecates the way Python 2 pickled a dtype
        batches = [pickle.loads(content, encoding="latin1") for content in contents]  # verified above
    rows = [np.asarray(batch["data"], np.uint8).reshape(-1, 3, 32, 32) for batch in batches]
    images = [row.transpose(0, 2, 3, 1) for row in rows]
    labels = [np.asarray(batch["labels"], np.uint8) for batch in batches]
    return [np.concatenate(images[:-1]), np.concatenate(labels[:-1]), images[-1], labels[-1]], None, ""


def read_classes(files: list[Path], hashes: dict[str, str]):
    """A folder or tar of images of one size: train/<class>/* and test/<class>/*, or <class>/*.

    Where there is validation/ but no test/, it is the test part; without either a fifth of each class is (seed 0).
    Each part is shuffled (seed 0). Gray images give (N, H, W); one in colour makes all (N, H, W, 3). Sixteen bits
    become eight, rotations noted by a camera are carried out, transparent images lie on white. Raises CourseworkError
    that names the first image which is of no use.
    """
    (path,), notes = files, defaultdict(list)
    images = sorted(_images(path, hashes.get(path.name), notes), key=lambda example: example[0])
    if not images:
        raise CourseworkError(f"{path} has no images; expected train/<class>/*.jpg or *.png, and test/")
    (model, first), names = images[0], [name for name, _ in images]
    for name, pixels in images:
        if pixels.shape[:2] != first.shape[:2]:
            sizes = [f"{p.shape[1]}x{p.shape[0]}" for p in (pixels, first)]
            raise CourseworkError(f"{path}: {name} is {sizes[0]} but {model} is {sizes[1]}; give all images one size")
    classes, labels = np.unique([_class_of(path, name) for name in names], return_inverse=True)
    if len(classes) > 256:
        raise CourseworkError(f"{path} has {len(classes)} class folders; labels are one byte, at most 256")
    colour = any(pixels.ndim == 3 for _, pixels in images)
    arrays = np.stack([np.stack([p] * 3, 2) if p.ndim == 2 and colour else p for _, p in images])
    mixed = np.random.default_rng(0).permutation  # as files lie class by class, the first images are of all classes
    train, test = (mixed(index) for index in _train_and_test(path, names, labels, notes))
    if alone := set(labels[test]) - set(labels[train]):
        where = f"{path}: class {classes[min(alone)]} has images in the test part alone"
        raise CourseworkError(f"{where}; add some to train/, or remove it")
    parts = [arrays[train], labels[train], arrays[test], labels[test]]
    remarks = "; ".join(f"{len(names)} {words} ({_some(names)})" for words, names in notes.items())
    return [part.astype(np.uint8, copy=False) for part in parts], classes.tolist(), remarks


def _some(names) -> str:
    shown = [str(name).encode("utf-8", "surrogateescape").decode("utf-8", "replace") for name in names[:3]]
    if len(names) > 3:
        shown.append("...")
    return ", ".join(shown)


def _class_of(path: Path, name: PurePosixPath) -> str:
    """The name of an image's class folder, one and the same however its letters are composed."""
    try:
        return unicodedata.normalize("NFC", name.parts[-2].encode("utf-8", "surrogateescape").decode("utf-8"))
    except UnicodeDecodeError:
        raise CourseworkError(f"{path}: the class folder of {_some([name])} is not named in UTF-8; rename it") from None


def _train_and_test(path: Path, names: list[PurePosixPath], labels: np.ndarray, notes: dict):
    """Indices of the training and the test part, by folder or, where there are none, drawn from each class."""
    levels = np.array([LEVELS.get(name.parts[-3].lower(), "") if len(name.parts) > 2 else "" for name in names])
    folders = set(levels)
    if folders >= {"test"} or folders >= {"train", "validation"}:
        held_out = "test" if "test" in folders else "validation"
        if odd := [name for name, level in zip(names, levels) if level not in ("train", held_out)]:
            raise CourseworkError(f"{path}: {odd[0]} lies in neither train/ nor {held_out}/; move or remove it")
        if held_out == "validation":
            notes["folder is the test part"].append("validation")
        return np.flatnonzero(levels == "train"), np.flatnonzero(levels == held_out)
    if len(folders) > 1:
        odd = next(name for name, level in zip(names, levels) if not level)
        raise CourseworkError(f"{path}: {odd} lies in neither train/ nor test/; move or remove it")
    generator, members = np.random.default_rng(0), [np.flatnonzero(labels == c) for c in np.unique(labels)]
    test = np.sort(np.concatenate([generator.permutation(m)[: len(m) // 5] for m in members]))
    if not len(test):
        raise CourseworkError(f"{path} has fewer than 5 images in every class: too few for a test part")
    return np.setdiff1d(np.arange(len(names)), test), test


def _images(path: Path, expected: str | None, notes: dict):
    """Yield (name, pixels) of each image, with a progress bar where there is a terminal."""
    from PIL import Image

    for name, read in tqdm(_files_in(path, expected), f"decoding {path.name}", disable=None):
        hidden = any(part.startswith(".") or part == "__MACOSX" for part in name.parts)
        if hidden or read is None or name.suffix.lower() not in SUFFIXES:
            notes["files left out"].append(name)
            continue
        if len(name.parts) < 2:
            raise CourseworkError(f"{path}: {name} lies in no class folder; move it to train/<class>/")
        try:
            with Image.open(io.BytesIO(read())) as image:
                pixels, clear = _pixels(image)
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            why = "not an image" if isinstance(error, Image.UnidentifiedImageError) else error
            raise CourseworkError(f"{path}: {name} cannot be read ({why}); replace or remove it") from error
        if clear:
            notes["transparent images laid on white"].append(name)
        yield name, pixels


def _pixels(image) -> tuple[np.ndarray, bool]:
    """(uint8 gray or RGB pixels of an image as a viewer shows it, whether it was transparent somewhere)."""
    from PIL import Image, ImageOps

    if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":  # a camera's JPEG with its preview
        raise ValueError(f"it has {image.n_frames} frames")
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):  # sixteen bits, which `convert` would clip to white
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError("its values do not fit 16 bits")
        return np.rint(values / 257).astype(np.uint8), False
    if image.mode == "F":
        raise ValueError("its pixels are fractions, whose range is not known")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        clear = image.getextrema()[3][0] < 255
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
        return np.asarray(image), clear
    return np.asarray(image.convert("L" if image.mode in {"1", "L"} else "RGB")), False


def files_below(folder: Path, above: tuple[Path, ...] = ()):
    """Yield the path of whatever is no folder, links followed, a folder within itself left out; sorted by name."""
    real = folder.resolve()
    for entry in [] if real in above else sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.is_dir():
            yield from files_below(Path(entry.path), (*above, real))
        else:
            yield Path(entry.path)


def _files_in(path: Path, expected: str | None):
    """Yield (relative name, function that reads it, or None for what is no file) of all in a folder or tar archive."""
    if path.is_dir() and not expected:
        for file in files_below(path):
            name = os.fsencode(file.relative_to(path)).decode("utf-8", "surrogateescape")  # whatever the locale
            yield PurePosixPath(name), file.read_bytes if file.is_file() else None
        return
    content = verified(path, expected) if expected else _content(path)
    try:
        with tarfile.open(fileobj=io.BytesIO(content), encoding="utf-8") as tar:
            for member in tar:
                if not member.isdir():
                    read = tar.extractfile(member).read if member.isreg() else None
                    yield PurePosixPath(member.name), read
            tar.fileobj.seek(tar.offset)
            if len(tar.fileobj.read(512)) < 512:  # tarfile takes a missing end for the end
                raise EOFError("it is cut short")
    except PACKED as error:
        why = (str(error) or type(error).__name__).splitlines()[0].rstrip(": ")
        raise CourseworkError(f"{path} cannot be read as a tar archive ({why}); pack it again") from error


def bundled_digits(side: int):
    """The stand-in: scikit-learn's 1,797 digits of 8x8 pixels, each pixel enlarged to a square, drawn with seed 0.

    1,497 to train on, 300 to test. side: 28 gives gray images (margin of 2 pixels), 32 gives (N, 32, 32, 3).
    """
    from sklearn.datasets import load_digits

    digits, scale = load_digits(), side // 8
    margin = (side - 8 * scale) // 2
    images = np.rint(digits.images * 255 / 16).astype(np.uint8).repeat(scale, 1).repeat(scale, 2)
    images = np.pad(images, ((0, 0), (margin, margin), (margin, margin)))
    images = np.stack([images] * 3, 3) if side == 32 else images
    labels, order = digits.target.astype(np.uint8), np.random.default_rng(0).permutation(len(images))
    train, test = order[300:], order[:300]
    return [images[train], labels[train], images[test], labels[test]], [f"digit {n}" for n in range(10)]
