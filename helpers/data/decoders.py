"""Files of a data set to arrays: each reader verifies what it reads, byte for byte, before it decodes it.

A reader takes the files and the hashes that they must have, and returns the four arrays of `PARTS`, uint8, and the
class names, or None where the files do not name them. Images are (N, H, W) or (N, H, W, 3), labels (N,).
"""

import gzip
import hashlib
import io
import lzma
import math
import pickle
import tarfile
import warnings
import zlib
from pathlib import Path, PurePosixPath

import numpy as np
from tqdm import tqdm

from helpers.base import CourseworkError

PARTS = ("train_images", "train_labels", "test_images", "test_labels")
BATCHES = ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch")
PACKED = (tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, OSError)  # what a damaged archive raises


def verified(path: Path, expected: str) -> bytes:
    """The content of `path`, an idx file unpacked; its hash must be `expected` (SHA-256, or MD5 by its length).

    Raises CourseworkError, naming the file and both hashes, when it is another one.
    """
    content, damage = path.read_bytes(), ""
    if path.name.endswith("-ubyte.gz"):  # compared unpacked: distributions pack the same content anew
        try:
            content = gzip.decompress(content)
        except PACKED as error:
            damage = f" for the packed file, which cannot be unpacked ({error})"
    algorithm = "md5" if len(expected) == 32 else "sha256"
    found = hashlib.new(algorithm, content, usedforsecurity=False).hexdigest()
    if damage or found != expected:
        raise CourseworkError(
            f"{path} is damaged or not the published file: expected {algorithm} {expected}, "
            f"found {found}{damage}; replace or remove it, then run again"
        )
    return content


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
    return [parse_idx(verified(path, expected), path) for path, expected in pairs], None


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
    return [np.concatenate(images[:-1]), np.concatenate(labels[:-1]), images[-1], labels[-1]], None


def read_classes(files: list[Path], hashes: dict[str, str]):
    """A folder or tar of JPEG or PNG images of one size: train/<class>/* and test/<class>/*, or <class>/*.

    Without train and test, a fifth of each class becomes the test part (seed 0). Each part is shuffled (seed 0). Gray
    images give (N, H, W); one in colour makes all (N, H, W, 3). Raises CourseworkError that names the first image
    which is of no use.
    """
    (path,) = files
    images = sorted(_images(path, hashes.get(path.name)), key=lambda example: example[0])
    if not images:
        raise CourseworkError(f"{path} has no images; expected train/<class>/*.jpg or *.png, and test/")
    (model, first), names = images[0], [name for name, _ in images]
    for name, pixels in images:
        if pixels.shape[:2] != first.shape[:2]:
            sizes = [f"{p.shape[1]}x{p.shape[0]}" for p in (pixels, first)]
            raise CourseworkError(f"{path}: {name} is {sizes[0]} but {model} is {sizes[1]}; give all images one size")
    classes, labels = np.unique([name.parts[-2] for name in names], return_inverse=True)
    if len(classes) > 256:
        raise CourseworkError(f"{path} has {len(classes)} class folders; labels are one byte, at most 256")
    colour = any(pixels.ndim == 3 for _, pixels in images)
    arrays = np.stack([np.stack([p] * 3, 2) if p.ndim == 2 and colour else p for _, p in images])
    mixed = np.random.default_rng(0).permutation  # as files lie class by class, the first images are of all classes
    train, test = (mixed(index) for index in _train_and_test(path, names, labels))
    parts = [arrays[train], labels[train], arrays[test], labels[test]]
    return [part.astype(np.uint8, copy=False) for part in parts], classes.tolist()


def _train_and_test(path: Path, names: list[PurePosixPath], labels: np.ndarray):
    """Indices of the training and the test part, by folder or, where there are none, drawn from each class."""
    levels = np.array([name.parts[-3] if len(name.parts) > 2 else "" for name in names])
    train, test = (np.flatnonzero(levels == level) for level in ("train", "test"))
    if len(train) and len(test):
        if len(train) + len(test) < len(names):
            odd = next(n for n, level in zip(names, levels) if level not in {"train", "test"})
            raise CourseworkError(f"{path}: {odd} lies in neither train/ nor test/; move or remove it")
        return train, test
    generator, members = np.random.default_rng(0), [np.flatnonzero(labels == c) for c in np.unique(labels)]
    test = np.sort(np.concatenate([generator.permutation(m)[: len(m) // 5] for m in members]))
    if not len(test):
        raise CourseworkError(f"{path} has fewer than 5 images in every class: too few for a test part")
    return np.setdiff1d(np.arange(len(names)), test), test


def _images(path: Path, expected: str | None):
    """Yield (name, pixels) of each image, with a progress bar where there is a terminal."""
    from PIL import Image

    for name, content in tqdm(_files_in(path, expected), f"decoding {path.name}", disable=None):
        if name.suffix.lower() not in {".jpg", ".jpeg", ".png"} or name.name.startswith("."):
            continue
        if len(name.parts) < 2:
            raise CourseworkError(f"{path}: {name} lies in no class folder; move it to train/<class>/")
        try:
            image = Image.open(io.BytesIO(content))
            yield name, np.asarray(image.convert("L" if image.mode in {"1", "L"} else "RGB"))
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            why = "not an image" if isinstance(error, Image.UnidentifiedImageError) else error
            raise CourseworkError(f"{path}: {name} cannot be read ({why}); replace or remove it") from error


def _files_in(path: Path, expected: str | None):
    """Yield (relative name, content) of each file in a folder or a tar archive."""
    if path.is_dir():
        for file in path.rglob("*"):
            if file.is_file():
                yield PurePosixPath(file.relative_to(path)), file.read_bytes()
        return
    content = verified(path, expected) if expected else path.read_bytes()
    try:
        with tarfile.open(fileobj=io.BytesIO(content)) as tar:
            for member in filter(tarfile.TarInfo.isfile, tar):
                yield PurePosixPath(member.name), tar.extractfile(member).read()
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
