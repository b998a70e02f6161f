"""What is known about each data set: where its files may lie, their hashes, and who delivers them.

A recipe is data; `helpers.data.sources` follows it. Hashes are SHA-256, or MD5 where only that is published.
"""

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from os.path import lexists
from pathlib import Path

from helpers.base import CHECKOUT, PATIENCE, CourseworkError
from helpers.data.decoders import BATCHES, read_batches, read_classes, read_idx

TIMEOUT = 30  # seconds that a step on the network may go on without anything arriving
LIMIT = 1800  # seconds that it may take altogether


def _run(command: list[str], folder: Path, what: str, stderr=subprocess.STDOUT) -> None:
    """Run `command` in `folder`. Raises CourseworkError when it fails, stalls for TIMEOUT s, or takes LIMIT s.

    Watching what arrives covers what a socket timeout does not: name look-ups, and servers with many addresses.
    """
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=stderr)
        start = since = time.monotonic()
        size, announced, stopped = -1, False, ""
        try:
            while process.poll() is None and not stopped:
                time.sleep(0.05)
                with suppress(FileNotFoundError):  # files come and go below us
                    before, size = size, sum(file.stat().st_size for file in folder.rglob("*"))
                    if size != before:
                        since = time.monotonic()
                now = time.monotonic()
                if now - since >= TIMEOUT:
                    stopped = f"nothing arrived for {TIMEOUT} s"
                elif now - start >= LIMIT:
                    stopped = f"not finished after {LIMIT} s"
                if not announced and now - start >= PATIENCE:
                    print(f"waiting for {what}, at most {LIMIT // 60} minutes", file=sys.stderr)
                    announced = True
        finally:
            process.kill()
            process.wait()
    if stopped or process.returncode:
        raise CourseworkError(stopped or _last_words((folder / "log").read_text(encoding="utf-8", errors="replace")))


def _last_words(log: str) -> str:
    """The last lines that a program printed, without its progress bars and what only a terminal understands."""
    lines = re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", log))
    lines = ["".join(filter(str.isprintable, line)).strip() for line in lines if not re.search(r"\d%\|", line)]
    return " ".join([line for line in lines if line][-5:])


FETCH = """
import sys; sys.path.insert(0, sys.argv[2])
from helpers.device import import_torchvision
try: getattr(import_torchvision().datasets, sys.argv[1])(".", download=True)
except Exception as error: print(error); sys.exit(1)
"""


def from_torchvision(name: str, folder: Path) -> None:
    """torchvision's download, in a process of its own; with its progress bar where there is a terminal."""
    bar = None if sys.stderr.isatty() else subprocess.STDOUT
    command = [sys.executable, "-W", "ignore", "-c", FETCH, name, str(CHECKOUT)]
    _run(command, folder, f"torchvision's download of {name}", stderr=bar)


def from_debian(package: str, folder: Path) -> None:
    """A signed package of the distribution, unpacked without root: apt works on lists and a cache of our own."""
    if not shutil.which("apt-get"):
        raise CourseworkError("there is no apt-get here")
    for private in ("lists/partial", "cache/archives/partial"):
        (folder / private).mkdir(parents=True)
    settings = {"Dir::State::Lists": folder / "lists", "Dir::Cache": folder / "cache", "APT::Sandbox::User": "root"}
    settings |= {"Acquire::Retries": 0, "Acquire::http::Timeout": 10, "Acquire::https::Timeout": 10}
    lines = [f'{key} "{value}";' for key, value in settings.items()]
    lines += [f"#clear APT::Update::{hook};" for hook in ("Pre-Invoke", "Post-Invoke", "Post-Invoke-Success")]
    (folder / "apt.conf").write_text("\n".join(lines) + "\n", encoding="utf-8")
    with suppress(CourseworkError):  # a broken list of some other source does not matter
        _run(["apt-get", "-q", "-c", "apt.conf", "update"], folder, "apt's package lists")
    _run(["apt-get", "-q", "-c", "apt.conf", "download", package], folder, f"the package {package}")
    _run(["dpkg-deb", "-x", next(folder.glob("*.deb")).name, "."], folder, f"{package} to be unpacked")


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where the files of a data set may lie, and how they are read."""

    where: str  # below the data folder, or absolute
    read: Callable  # one of the readers of helpers.data.decoders
    hashes: dict[str, str]  # file name without .gz -> SHA-256 or MD5 of its content; {} for somebody's own images
    note: str = ""  # what the title adds when the pixels are not the published ones

    def files(self, root: Path) -> list[Path]:
        """What to read, be it a file or not; [] when nothing is there. Raises CourseworkError when only some is."""
        path = root / self.where
        if path.is_file() or (path.is_dir() and (not self.hashes or self.where in self.hashes)):
            return [path]
        forms_of = {name: [f for f in (path / name, path / f"{name}.gz") if lexists(f)] for name in self.hashes}
        missing = [name for name, forms in forms_of.items() if not forms]
        if missing and len(missing) < len(forms_of):
            raise CourseworkError(f"{path} is incomplete: {missing[0]} is missing; add it, or remove the other files")
        return [] if missing else [forms[0] for forms in forms_of.values()]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to come by a data set: places and downloads, each in the order in which they are tried."""

    title: str
    classes: tuple[str, ...] = ()  # where the files do not name them
    places: tuple[Place, ...]
    downloads: dict[str, Callable[[Path], None]]  # name -> function(folder) that leaves a place inside, or raises
    standin: str | None = None
    remedy: str = ""  # what brings the real data here, for people


IDX = {  # SHA-256 of the unpacked files
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
CIFAR_MD5 = """c99cafc152244af753f735de768cd75f d4bba439e000b95fd0a9bffe97cbabec 54ebc095f3ab1f0389bbae665268c751
634d18415352ddfa80567beed471001a 482c414d41f54cd18b22e5b47cb7c3cb 40351d587109b95175f43aff81a1287e"""  # as torchvision
CIFAR_ARCHIVE = {"cifar-10-python.tar.gz": "c58f30108f718f92721af3b95e74349a"}
CIFAR_JPEG = {"cifar10-jpeg.tar.xz": "866359e7222b2295f102fcf6aa1273be2ab8688bb6dc8770232cf6ebe0df26b7"}
CLOTHES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
OBJECTS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
OTHERWISE = "point COURSEWORK_DATA at a folder that has it, go online, or accept the stand-in with DATA=auto"
RECIPES = {
    "fashion_mnist": Recipe(
        title="Fashion-MNIST",
        classes=CLOTHES,
        places=(
            Place(where="FashionMNIST/raw", read=read_idx, hashes=IDX),
            Place(where="/usr/share/datasets/fashion-mnist", read=read_idx, hashes=IDX),
        ),
        downloads={
            "torchvision": partial(from_torchvision, "FashionMNIST"),
            "Debian package dataset-fashion-mnist": partial(from_debian, "dataset-fashion-mnist"),
        },
        standin="digits28",
        remedy=f"put its idx files into FashionMNIST/raw there, install dataset-fashion-mnist (Debian), {OTHERWISE}",
    ),
    "cifar10": Recipe(
        title="CIFAR-10",
        classes=OBJECTS,
        places=(
            Place(where="cifar-10-batches-py", read=read_batches, hashes=dict(zip(BATCHES, CIFAR_MD5.split()))),
            Place(where="cifar-10-python.tar.gz", read=read_batches, hashes=CIFAR_ARCHIVE),
            Place(where="cifar10-jpeg.tar.xz", read=read_classes, hashes=CIFAR_JPEG, note="JPEG re-encoding"),
        ),
        downloads={"torchvision": partial(from_torchvision, "CIFAR10")},
        standin="digits32",
        remedy=f"put cifar-10-python.tar.gz or cifar10-jpeg.tar.xz there, {OTHERWISE}",
    ),
}
