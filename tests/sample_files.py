"""Small data sets in every form that the sources know, for the tests of sources, recipes and decoders."""

import gzip
import hashlib
import http.server
import io
import os
import pickle
import struct
import tarfile
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers import base
from helpers.data import decoders, recipes
from helpers.data.decoders import BATCHES, read_idx
from helpers.data.recipes import Place, Recipe

IDX_NAMES = list(recipes.IDX)
ANIMALS = ("bird", "cat", "frog")


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    """Cache and data folder of this test alone; no network."""
    monkeypatch.setattr(base, "CACHE", tmp_path / "cache")
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("COURSEWORK_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("COURSEWORK_OFFLINE", "1")
    monkeypatch.delenv("FRESH", raising=False)


class Server(http.server.BaseHTTPRequestHandler):
    """Stands in for the internet, reached through http_proxy; `answer` is set by the test."""

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        self.server.answer(self)

    def log_message(self, *args):
        pass


@pytest.fixture
def internet(monkeypatch):
    """A server in the place of the internet; its `released` is set at the end, for answers that wait."""
    monkeypatch.delenv("COURSEWORK_OFFLINE")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{server.server_port}")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    server.released = threading.Event()
    yield server
    server.released.set()
    server.shutdown()
    thread.join()
    server.server_close()


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def touched(path: Path, content: bytes) -> Path:
    """Write other content; the file's time moves on even where the clock of the disk is coarse."""
    before = path.stat().st_mtime_ns
    path.write_bytes(content)
    os.utime(path, ns=(before + 10**9, before + 10**9))
    return path


def damage(content: bytes, kind: str) -> bytes:
    if kind == "cut short":
        return content[: len(content) // 2]
    if kind == "empty":
        return b""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def clothes(seed=0) -> list[np.ndarray]:
    """Images and labels of 20 training and 10 test images, in the order of decoders.PARTS."""
    draw, arrays = np.random.default_rng(seed), []
    for count in (20, 10):
        arrays.append(draw.integers(0, 256, (count, 28, 28), dtype=np.uint8))
        arrays.append((np.arange(count) % 10).astype(np.uint8))
    return arrays


def idx_files(arrays) -> dict[str, bytes]:
    return {name: idx(array) for name, array in zip(IDX_NAMES, arrays)}


def clothes_recipe(arrays, **changes) -> dict[str, Recipe]:
    hashes = {name: sha(content) for name, content in idx_files(arrays).items()}
    place = Place(where="FashionMNIST/raw", read=read_idx, hashes=hashes)
    recipe = replace(recipes.RECIPES["fashion_mnist"], places=(place,), downloads={})
    return {"fashion_mnist": replace(recipe, **changes)}


def put(folder: Path, arrays, packed=False) -> Path:
    """Write Fashion-MNIST's files where a data folder has them, gzipped if `packed`; returns their folder."""
    raw = folder / "FashionMNIST/raw"
    for name, content in idx_files(arrays).items():
        if packed:
            write(raw / f"{name}.gz", gzip.compress(content))
        else:
            write(raw / name, content)
    return raw


def same(dataset, arrays) -> bool:
    return all(np.array_equal(getattr(dataset, part), array) for part, array in zip(decoders.PARTS, arrays))


def packed_tar(contents: dict[str, bytes], mode="w") -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


class Python2Array:
    """Pickles as Python 2 and the NumPy of 2009 wrote a uint8 array."""

    class Type:
        def __reduce__(self):
            return np.dtype, ("u1", 0, 1), (3, "|", None, None, None, -1, -1, 0)

    def __init__(self, array):
        self.array = array

    def __reduce__(self):
        rebuild = np.zeros(1).__reduce__()[0]
        state = (1, self.array.shape, self.Type(), False, self.array.tobytes())
        return rebuild, (np.ndarray, (0,), b"b"), state


def cifar_batches():
    """Six pickled batches of four images by name, and the (N, 32, 32, 3) images and the labels in them."""
    draw, contents, images, labels = np.random.default_rng(3), {}, [], []
    for name in BATCHES:
        rows = draw.integers(0, 256, (4, 3072), dtype=np.uint8)
        labels.append(draw.integers(0, 10, 4).tolist())
        images.append([np.stack([row[c * 1024 :][:1024].reshape(32, 32) for c in range(3)], 2) for row in rows])
        contents[name] = pickle.dumps({"data": Python2Array(rows), "labels": labels[-1]}, protocol=2)
    arrays = [np.concatenate(images[:5]), np.concatenate(labels[:5]), np.array(images[5]), np.array(labels[5])]
    return contents, arrays


def picture(colour, size=(8, 6), mode="RGB", form="PNG") -> bytes:
    file = io.BytesIO()
    Image.new(mode, size, colour).save(file, form)
    return file.getvalue()


def pictures(train=3, test=2, form="PNG") -> dict[str, bytes]:
    """Name -> content; the class is in the red channel, the number within it in the green one."""
    return {
        f"{level}/{name}/{number:04}.{form.lower()}": picture((label * 20, number, 7), form=form)
        for level, count in (("train", train), ("test", test))
        for label, name in enumerate(ANIMALS)
        for number in range(count)
    }


def own_images(root: Path, contents: dict[str, bytes], kind: str) -> Path:
    if kind == "folder":
        for name, content in contents.items():
            write(root / "animals" / name, content)
        return root / "animals"
    content = packed_tar({f"./animals/{name}": content for name, content in contents.items()}, "w:xz")
    return write(root / "animals.tar.xz", content)
