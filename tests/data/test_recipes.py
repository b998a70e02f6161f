"""Downloads: wrong and failed ones, a network that stalls, torchvision and apt themselves."""

import gzip
import os
import shutil
import subprocess
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from sample_files import (
    IDX_NAMES,
    clothes,
    clothes_recipe,
    idx_files,
    internet,  # noqa: F401  a fixture
    own_folders,  # noqa: F401  a fixture for every test here
    put,
    same,
    sha,
    write,
)

from helpers import base
from helpers.base import CourseworkError
from helpers.data import recipes, sources
from helpers.data.recipes import Recipe


def good(arrays, folder: Path) -> None:
    put(folder, arrays, packed=True)


def broken(folder: Path) -> None:
    raise OSError("the line\nis dead")


def counted(download, calls: list):
    def counting(folder):
        calls.append(folder)
        download(folder)

    return counting


def test_a_wrong_download_is_removed_and_the_next_source_tried(monkeypatch):
    monkeypatch.delenv("COURSEWORK_OFFLINE")
    arrays, calls = clothes(1), []
    downloads = {"dead": broken, "wrong": partial(good, clothes(2)), "right": partial(good, arrays)}
    downloads = {name: counted(download, calls) for name, download in downloads.items()}
    dataset = sources.obtain(recipes=clothes_recipe(arrays, downloads=downloads))
    assert same(dataset, arrays) and dataset.source == "right"
    assert len(calls) == 3 and not any(folder.exists() for folder in calls)
    assert [file["path"] for file in sources.cached("fashion_mnist")["files"]] == [f"{n}.gz" for n in IDX_NAMES]
    sources.obtain(data="real", recipes=clothes_recipe(arrays, downloads=downloads))
    assert len(calls) == 3  # cached


def test_a_failed_download_is_remembered_for_an_hour(monkeypatch):
    monkeypatch.delenv("COURSEWORK_OFFLINE")
    calls = []
    recipe = clothes_recipe(clothes(), downloads={"dead": counted(broken, calls)})
    assert sources.obtain(recipes=recipe).standin and len(calls) == 1
    assert sources.obtain(recipes=recipe).standin and len(calls) == 1
    with pytest.raises(CourseworkError, match="dead: the line is dead"):
        sources.obtain(data="real", recipes=recipe)
    assert len(calls) == 2
    monkeypatch.setenv("FRESH", "1")
    assert sources.obtain(recipes=recipe).standin and len(calls) == 3
    monkeypatch.delenv("FRESH")
    note = base.CACHE / "fashion_mnist.failed"
    hours_ago = note.stat().st_mtime - 2 * sources.RETRY_AFTER
    os.utime(note, (hours_ago, hours_ago))
    assert sources.obtain(recipes=recipe).standin and len(calls) == 4
    monkeypatch.setenv("COURSEWORK_OFFLINE", "1")
    os.utime(note, (hours_ago, hours_ago))
    assert sources.obtain(recipes=recipe).standin and len(calls) == 4


def torchvision_alone(arrays) -> dict[str, Recipe]:
    return clothes_recipe(arrays, downloads={"torchvision": partial(recipes.from_torchvision, "FashionMNIST")})


def test_a_stalled_network_does_not_hang(internet, monkeypatch):
    internet.answer = lambda request: internet.released.wait(60)
    monkeypatch.setattr(recipes, "TIMEOUT", 1)
    with pytest.raises(CourseworkError, match="torchvision: nothing arrived for 1 s"):
        sources.obtain(data="real", recipes=torchvision_alone(clothes()))


def test_torchvision_refuses_what_is_not_the_published_file(internet):
    paths = []

    def answer(request):
        paths.append(request.path)
        request.send_response(200)
        request.send_header("Content-Length", "5")
        request.end_headers()
        if request.command == "GET":
            request.wfile.write(b"bytes")

    internet.answer = answer
    with pytest.raises(CourseworkError, match=r"torchvision: .*corrupted"):
        sources.obtain(data="real", recipes=torchvision_alone(clothes()))
    assert any(path.endswith("train-images-idx3-ubyte.gz") for path in paths)
    assert not list(base.CACHE.glob(".*"))


@pytest.mark.skipif(not shutil.which("apt-get"), reason="no apt on this system")
@pytest.mark.parametrize("listed", [True, False])
def test_a_debian_package_is_unpacked_without_root(tmp_path, monkeypatch, listed):
    """A repository in a folder, asked through the real apt-get and dpkg-deb."""
    arrays, tree, repository = clothes(), tmp_path / "tree", tmp_path / "repository"
    for name, content in idx_files(arrays).items():
        write(tree / "usr/share/datasets/clothes" / f"{name}.gz", gzip.compress(content))
    about = "Package: dataset-clothes\nVersion: 1\nArchitecture: all\nMaintainer: nobody <no@body>\nDescription: x\n"
    write(tree / "DEBIAN/control", about.encode())
    repository.mkdir()
    package = repository / "dataset-clothes_1_all.deb"
    subprocess.run(["dpkg-deb", "-b", tree, package], check=True, capture_output=True)
    size = f"Filename: ./{package.name}\nSize: {package.stat().st_size}\nSHA256: {sha(package.read_bytes())}\n"
    write(repository / "Packages", (about + size).encode() if listed else b"")
    write(tmp_path / "sources.list", f"deb [trusted=yes] file:{repository} ./\n".encode())
    settings = f'Dir::Etc::sourcelist "{tmp_path}/sources.list"; Dir::Etc::sourceparts "/dev/null";'
    monkeypatch.setenv("APT_CONFIG", str(write(tmp_path / "apt.conf", settings.encode())))
    monkeypatch.delenv("COURSEWORK_OFFLINE")
    recipe = clothes_recipe(arrays)["fashion_mnist"]
    place = replace(recipe.places[0], where=str(tmp_path / "not-installed"))
    shipped = replace(recipe.places[0], where="/usr/share/datasets/clothes")
    fetch = {"Debian": partial(recipes.from_debian, "dataset-clothes")}
    recipe = {"fashion_mnist": replace(recipe, places=(place, shipped), downloads=fetch)}
    if not listed:
        with pytest.raises(CourseworkError, match=r"Debian: .*Unable to locate package dataset-clothes"):
            sources.obtain(data="real", recipes=recipe)
        return
    dataset = sources.obtain(data="real", recipes=recipe)
    assert same(dataset, arrays) and dataset.source == "Debian"
