"""Data: every source in its order, damaged files, and one cache for many processes at once.

The published hashes fit only the published files, so most tests bring a recipe with the hashes of the small files
that they write.
"""

import gzip
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sample_files import (
    IDX_NAMES,
    clothes,
    clothes_recipe,
    damage,
    idx,
    idx_files,
    own_folders,  # noqa: F401  a fixture for every test here
    put,
    same,
    sha,
    touched,
    write,
)

from helpers import base, data
from helpers.base import CourseworkError
from helpers.data import decoders, recipes, sources
from helpers.data.decoders import read_idx
from helpers.data.recipes import Place

REAL = os.environ.get("COURSEWORK_DATA", "")  # as the caller set it; own_folders changes it


@pytest.mark.parametrize("packed", [False, True])
def test_idx_files_of_the_data_folder(tmp_path, packed):
    arrays = clothes()
    put(tmp_path / "data", arrays, packed)
    dataset = sources.obtain(recipes=clothes_recipe(arrays))
    assert same(dataset, arrays)
    assert (dataset.name, dataset.title, dataset.standin) == ("fashion_mnist", "Fashion-MNIST", False)
    assert dataset.classes[0] == "T-shirt/top" and len(dataset.classes) == 10
    assert dataset.train_images.dtype == np.uint8 and dataset.train_images.flags.c_contiguous
    facts = sources.cached("fashion_mnist")
    assert [file["sha256"] for file in facts["files"]] == [sha(content) for content in idx_files(arrays).values()]


def test_the_packing_of_the_files_does_not_change_the_fingerprint(tmp_path):
    arrays = clothes()
    put(tmp_path / "data", arrays)
    first = sources.obtain(recipes=clothes_recipe(arrays)).fingerprint
    shutil.rmtree(tmp_path / "data")
    put(tmp_path / "data", arrays, packed=True)
    assert sources.obtain(recipes=clothes_recipe(arrays)).fingerprint == first == data.fingerprint("fashion_mnist")
    assert sources.cached("fashion_mnist")["files"][0]["path"].endswith(".gz")


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", ["cut short", "one byte changed", "empty"])
@pytest.mark.parametrize("name", IDX_NAMES[:2])
def test_a_damaged_file_is_one_line_with_both_hashes_even_beside_a_good_cache(tmp_path, name, kind, packed):
    arrays = clothes()
    recipe = clothes_recipe(arrays)
    raw = put(tmp_path / "data", arrays, packed)
    sources.obtain(recipes=recipe)
    path = raw / (name + ".gz" * packed)
    wrong = damage(path.read_bytes(), kind)
    touched(path, wrong)
    with pytest.raises(CourseworkError) as caught:
        sources.obtain(recipes=recipe)
    message = str(caught.value)
    try:
        content = gzip.decompress(wrong) if packed else wrong
    except Exception:
        content = wrong  # what cannot be unpacked is told by the hash of the packed file
    assert "\n" not in message
    for part in (str(path), sha(idx_files(arrays)[name]), sha(content)):
        assert part in message


def test_a_repaired_file_is_read_again(tmp_path):
    arrays = clothes()
    path = put(tmp_path / "data", arrays) / IDX_NAMES[0]
    right = path.read_bytes()
    touched(path, damage(right, "one byte changed"))
    with pytest.raises(CourseworkError, match="expected sha256"):
        sources.obtain(recipes=clothes_recipe(arrays))
    touched(path, right)
    assert same(sources.obtain(recipes=clothes_recipe(arrays)), arrays)


def test_an_incomplete_folder_is_named(tmp_path):
    arrays = clothes()
    raw = put(tmp_path / "data", arrays)
    (raw / IDX_NAMES[3]).unlink()
    with pytest.raises(CourseworkError, match=f"FashionMNIST/raw is incomplete: {IDX_NAMES[3]} is missing"):
        sources.obtain(recipes=clothes_recipe(arrays))


def test_the_data_folder_comes_before_the_system_folder(tmp_path):
    ours, system = clothes(1), clothes(2)
    recipe = clothes_recipe(ours)["fashion_mnist"]
    hashes = clothes_recipe(system)["fashion_mnist"].places[0].hashes
    elsewhere = Place(where=str(put(tmp_path / "system", system)), read=read_idx, hashes=hashes)
    both = {"fashion_mnist": replace(recipe, places=(*recipe.places, elsewhere))}
    dataset = sources.obtain(recipes=both)
    assert same(dataset, system) and dataset.source == elsewhere.where
    put(tmp_path / "data", ours)
    dataset = sources.obtain(recipes=both)
    assert same(dataset, ours) and dataset.source == "FashionMNIST/raw of the data folder"


def test_the_cache_is_made_once_and_again_when_the_files_change(tmp_path):
    old, new = clothes(1), clothes(2)
    raw = put(tmp_path / "data", old)
    sources.obtain(recipes=clothes_recipe(old))
    made = (base.CACHE / "fashion_mnist").stat().st_ino
    sources.obtain(recipes=clothes_recipe(old))
    assert (base.CACHE / "fashion_mnist").stat().st_ino == made
    for name, content in idx_files(new).items():
        touched(raw / name, content)
    assert same(sources.obtain(recipes=clothes_recipe(new)), new)


def test_the_cache_serves_when_the_files_are_gone_and_survives_a_copy(tmp_path, monkeypatch):
    arrays = clothes()
    put(tmp_path / "data", arrays)
    sources.obtain(recipes=clothes_recipe(arrays))
    shutil.rmtree(tmp_path / "data/FashionMNIST")
    assert same(sources.obtain(data="real", recipes=clothes_recipe(arrays)), arrays)
    shutil.copytree(base.CACHE, tmp_path / "copy", copy_function=shutil.copyfile)  # new times
    monkeypatch.setattr(base, "CACHE", tmp_path / "copy")
    assert same(sources.obtain(data="real", recipes=clothes_recipe(arrays)), arrays)


@pytest.mark.parametrize("kind", ["cut short", "one byte changed", "empty"])
@pytest.mark.parametrize("part", ["train_images.npy", "meta.json"])
def test_a_damaged_cache_is_made_again(tmp_path, part, kind):
    arrays = clothes()
    put(tmp_path / "data", arrays)
    sources.obtain(recipes=clothes_recipe(arrays))
    path = base.CACHE / "fashion_mnist" / part
    touched(path, damage(path.read_bytes(), kind) if part != "meta.json" else b"{}")
    assert same(sources.obtain(recipes=clothes_recipe(arrays)), arrays)


def test_open_arrays_outlive_a_new_cache_and_a_killed_process_leaves_no_litter(tmp_path):
    old, new = clothes(1), clothes(2)
    raw = put(tmp_path / "data", old)
    kept = sources.obtain(recipes=clothes_recipe(old))
    write(base.CACHE / ".fashion_mnist+killed" / "new" / "train_images.npy", b"half")
    for name, content in idx_files(new).items():
        touched(raw / name, content)
    assert same(sources.obtain(recipes=clothes_recipe(new)), new) and same(kept, old)
    assert sorted(path.name for path in base.CACHE.iterdir()) == ["fashion_mnist", "fashion_mnist.lock"]


TWICE = """
import sys
from helpers.data import sources
dataset = sources.obtain(*sys.argv[1:])
print(dataset.fingerprint, len(dataset.train_labels), int(dataset.train_images.sum()))
"""


def test_processes_may_ask_at_once(tmp_path):
    environment = os.environ | {"COURSEWORK_HOME": str(tmp_path / "home")}
    command = [sys.executable, "-c", TWICE, "fashion_mnist", "standin"]
    where = {"cwd": base.CHECKOUT, "env": environment, "text": True, "stdout": subprocess.PIPE}
    both = [subprocess.Popen(command, **where) for _ in range(2)]
    printed = [process.communicate(timeout=120)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert printed[0] == printed[1] and printed[0].split()[1] == "1497"
    left = sorted(path.name for path in (tmp_path / "home/data/cache").iterdir())
    assert left == ["digits28", "digits28.lock"]


def test_a_disk_that_refuses_is_one_line(tmp_path):
    write(tmp_path / "cache", b"a file where the folder should be")
    with pytest.raises(CourseworkError, match=r"cache: .*room$"):
        sources.obtain(data="standin")


def test_the_stand_in_has_the_image_size_and_other_classes():
    from sklearn.datasets import load_digits

    dataset = sources.obtain(data="standin")
    assert (dataset.name, dataset.standin, len(dataset.train_labels)) == ("digits28", True, 1497)
    assert dataset.train_images.shape[1:] == dataset.test_images.shape[1:] == (28, 28)
    assert len(dataset.test_labels) == 300 and dataset.classes == tuple(f"digit {n}" for n in range(10))
    training, validation = data.split(dataset.train_labels, dataset.validation)
    assert (len(training), len(validation)) == (1297, 200)
    # every 3x3 square of the picture is one pixel of the original; all 1,797 are there, once
    images = np.concatenate([dataset.train_images, dataset.test_images])[:, 3:26:3, 3:26:3] / (255 / 16)
    labels = np.concatenate([dataset.train_labels, dataset.test_labels])
    digits = load_digits()
    drawn = sorted((*row, label) for row, label in zip(np.rint(images).reshape(-1, 64).tolist(), labels.tolist()))
    assert drawn == sorted((*row, label) for row, label in zip(digits.data.tolist(), digits.target.tolist()))


def test_the_stand_in_of_cifar_has_colour():
    dataset = sources.obtain("cifar10", data="standin")
    assert dataset.name == "digits32" and dataset.train_images.shape == (1497, 32, 32, 3)
    assert sources.obtain("digits32").fingerprint == dataset.fingerprint


def test_auto_ends_at_the_stand_in_and_leaves_it_when_real_data_appear(tmp_path):
    arrays = clothes()
    assert sources.obtain(recipes=clothes_recipe(arrays)).standin
    put(tmp_path / "data", arrays)
    assert not sources.obtain(recipes=clothes_recipe(arrays)).standin
    assert sources.obtain(data="standin", recipes=clothes_recipe(arrays)).standin


@pytest.mark.parametrize("name", ["fashion_mnist", "cifar10"])
def test_real_refuses_the_stand_in_and_names_the_remedies(name, tmp_path):
    places = [place for place in recipes.RECIPES[name].places if not Path(place.where).is_absolute()]
    recipe = {name: replace(recipes.RECIPES[name], places=tuple(places))}
    assert sources.obtain(name, recipes=recipe).standin
    with pytest.raises(CourseworkError) as caught:
        sources.obtain(name, data="real", recipes=recipe)
    message = str(caught.value)
    assert "\n" not in message
    for part in (str(tmp_path / "data"), "COURSEWORK_DATA", "COURSEWORK_OFFLINE", "DATA=auto"):
        assert part in message


@pytest.mark.parametrize(
    "name, choice, words",
    [
        ("fashion_mnist", "maybe", "choose auto, real or standin"),
        ("mnist", "auto", "no data set 'mnist'"),
        ("", "auto", "no data set ''"),
        ("~nobody-of-this-name/pictures", "auto", "give another path"),
        ("x" * 300, "auto", "too long"),
        ("digits28", "real", "stand-in itself"),
    ],
)
def test_a_wrong_request_is_refused(name, choice, words):
    with pytest.raises(CourseworkError, match=words):
        sources.obtain(name, choice)


def test_importing_this_module_loads_no_torch():
    check = "import sys, helpers.data.sources; sys.exit('torch' in sys.modules or 'torchvision' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], cwd=base.CHECKOUT).returncode == 0


def real(name: str, monkeypatch):
    if not Path(REAL, "FashionMNIST/raw").is_dir():
        pytest.skip("COURSEWORK_DATA is not set to a folder with the real data")
    monkeypatch.setenv("COURSEWORK_DATA", REAL)
    return sources.obtain(name, data="real")


@pytest.mark.realdata
def test_real_fashion_mnist(monkeypatch):
    dataset = real("fashion_mnist", monkeypatch)
    assert dataset.train_images.shape == (60000, 28, 28) and dataset.test_images.shape == (10000, 28, 28)
    assert np.bincount(dataset.train_labels).tolist() == [6000] * 10
    assert np.bincount(dataset.test_labels).tolist() == [1000] * 10
    # the published hashes, from the decoded arrays: the idx header is put back in front
    hashes = [sha(idx(np.asarray(getattr(dataset, part)))) for part in decoders.PARTS]
    assert hashes == list(recipes.IDX.values())
    assert [file["sha256"] for file in sources.cached("fashion_mnist")["files"]] == hashes


@pytest.mark.realdata
def test_real_cifar10(monkeypatch):
    dataset = real("cifar10", monkeypatch)
    assert dataset.train_images.shape == (50000, 32, 32, 3) and dataset.test_images.shape == (10000, 32, 32, 3)
    assert np.bincount(dataset.train_labels).tolist() == [5000] * 10
    assert np.bincount(dataset.test_labels).tolist() == [1000] * 10
    assert dataset.classes == recipes.OBJECTS
    meta = json.loads((base.CACHE / "cifar10/meta.json").read_text())
    assert meta["reencoded"] == ("JPEG" in dataset.title)
    # mean colour of the published training set: (0.4914, 0.4822, 0.4465) of full scale
    assert np.allclose(dataset.train_images.mean((0, 1, 2)) / 255, (0.4914, 0.4822, 0.4465), atol=2e-3)
