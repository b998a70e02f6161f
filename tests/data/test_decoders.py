"""Readers: the published formats of Fashion-MNIST and CIFAR-10, and people's own images."""

import lzma
from dataclasses import replace

import numpy as np
import pytest
from sample_files import (
    ANIMALS,
    cifar_batches,
    damage,
    md5,
    own_folders,  # noqa: F401  a fixture for every test here
    own_images,
    packed_tar,
    picture,
    pictures,
    same,
    sha,
    touched,
    write,
)

from helpers import base, data
from helpers.base import CourseworkError
from helpers.data import decoders, recipes, sources
from helpers.data.decoders import read_batches, read_classes
from helpers.data.recipes import Place, Recipe


@pytest.mark.parametrize(
    "header", [b"", b"\0\0", b"\0\0\x0d\x01\0\0\0\x04", b"\0\0\x08\x01\0\0\0\x05", b"\0\0\x08\x02\0\0\0\x02\0\0\0\x02"]
)
def test_a_header_that_does_not_fit_the_file_is_named(tmp_path, header):
    content = header + b"abcd"
    with pytest.raises(CourseworkError, match=r"labels is no idx file"):
        decoders.parse_idx(content, tmp_path / "labels")


def cifar_recipe(*places) -> dict[str, Recipe]:
    return {"cifar10": replace(recipes.RECIPES["cifar10"], places=places, downloads={})}


@pytest.mark.parametrize("unpacked", [True, False])
def test_the_official_files_of_cifar(tmp_path, unpacked):
    contents, arrays = cifar_batches()
    folder = {f"cifar-10-batches-py/{name}": content for name, content in contents.items()}
    archive = packed_tar(folder, "w:gz")
    for name, content in (folder if unpacked else {"cifar-10-python.tar.gz": archive}).items():
        write(tmp_path / "data" / name, content)
    hashes = {name: md5(content) for name, content in contents.items()}
    recipe = cifar_recipe(
        Place(where="cifar-10-batches-py", read=read_batches, hashes=hashes),
        Place(where="cifar-10-python.tar.gz", read=read_batches, hashes={"cifar-10-python.tar.gz": md5(archive)}),
    )
    dataset = sources.obtain("cifar10", recipes=recipe)
    assert same(dataset, arrays) and dataset.title == "CIFAR-10" and dataset.train_images.flags.c_contiguous
    first = tmp_path / "data" / next(iter(folder if unpacked else ["cifar-10-python.tar.gz"]))
    facts = sources.cached("cifar10")
    assert facts["files"][0]["sha256"] == sha(first.read_bytes()) and not facts["reencoded"]
    wrong = damage(first.read_bytes(), "one byte changed")
    touched(first, wrong)
    with pytest.raises(CourseworkError, match=f"expected md5 .* found {md5(wrong)}"):
        sources.obtain("cifar10", recipes=recipe)


def test_cifar_as_an_archive_of_jpeg_images(tmp_path):
    archive = lzma.compress(packed_tar(pictures(form="JPEG")))
    path = write(tmp_path / "data/cifar10-jpeg.tar.xz", archive)
    place = Place(where=path.name, read=read_classes, hashes={path.name: sha(archive)}, note="JPEG re-encoding")
    dataset = sources.obtain("cifar10", recipes=cifar_recipe(place))
    assert dataset.title == "CIFAR-10, JPEG re-encoding" and sources.cached("cifar10")["reencoded"]
    assert dataset.classes == ANIMALS and dataset.train_images.shape == (9, 6, 8, 3)
    touched(path, archive[:-10])
    with pytest.raises(CourseworkError, match=f"expected sha256 {sha(archive)}, found {sha(archive[:-10])}"):
        sources.obtain("cifar10", recipes=cifar_recipe(place))


@pytest.mark.parametrize("kind", ["folder", "tar"])
def test_own_images_in_class_folders(tmp_path, kind):
    litter = {"train/cat/.hidden.png": b"x", "notes.txt": b"x", "train/notes.txt": b"x"}
    path = own_images(tmp_path, pictures() | litter, kind)
    dataset = sources.obtain(str(path))
    assert dataset.classes == ANIMALS and not dataset.standin and dataset.title == path.name
    assert dataset.train_images.shape == (9, 6, 8, 3) and dataset.test_images.shape == (6, 6, 8, 3)
    for images, labels in ((dataset.train_images, dataset.train_labels), (dataset.test_images, dataset.test_labels)):
        assert np.array_equal(images[:, 0, 0, 0], labels * 20)
        assert np.bincount(labels).tolist() == [len(labels) // 3] * 3
    assert data.fingerprint(dataset.name) == dataset.fingerprint


def test_a_folder_and_a_tar_of_the_same_images_have_one_fingerprint(tmp_path):
    fingerprints = {sources.obtain(own_images(tmp_path, pictures(), kind)).fingerprint for kind in ("folder", "tar")}
    assert len(fingerprints) == 1


def test_own_images_without_a_test_part_are_split_alike_each_time(tmp_path, monkeypatch):
    flat = {name.removeprefix("train/"): content for name, content in pictures(train=10, test=0).items()}
    path = own_images(tmp_path, flat, "folder")
    dataset = sources.obtain(path)
    assert np.bincount(dataset.train_labels).tolist() == [8, 8, 8]
    assert np.bincount(dataset.test_labels).tolist() == [2, 2, 2]
    seen = [tuple(image[0, 0]) for part in (dataset.train_images, dataset.test_images) for image in part]
    assert len(set(seen)) == 30  # no image is in both parts, none is lost
    monkeypatch.setattr(base, "CACHE", tmp_path / "another")
    assert sources.obtain(path).fingerprint == dataset.fingerprint


def test_own_images_are_read_again_when_one_changes_or_goes(tmp_path):
    path = own_images(tmp_path, pictures(), "folder")
    first = sources.obtain(path)
    made = (base.CACHE / first.name).stat().st_ino
    assert (base.CACHE / sources.obtain(path).name).stat().st_ino == made
    touched(path / "train/cat/0000.png", picture((99, 99, 99)))
    second = sources.obtain(path)
    (path / "train/cat/0000.png").unlink()
    third = sources.obtain(path)
    assert first.fingerprint != second.fingerprint != third.fingerprint
    assert (len(second.train_labels), len(third.train_labels)) == (9, 8)


def test_gray_images_stay_gray_until_one_has_colour(tmp_path):
    gray = {name: picture(50, mode="L") for name in pictures()}
    path = own_images(tmp_path, gray, "folder")
    assert sources.obtain(path).train_images.shape == (9, 6, 8)
    touched(path / "test/cat/0000.png", picture((1, 2, 3, 4), mode="RGBA"))
    dataset = sources.obtain(path)
    assert dataset.train_images.shape == (9, 6, 8, 3) and (dataset.train_images == 50).all()
    white = [round(255 - 4 / 255 * (255 - value)) for value in (1, 2, 3)]  # of 255 parts, 4 are the image's
    assert white in dataset.test_images[:, 0, 0].tolist()
    assert dataset.source.endswith("; 1 transparent images laid on white (test/cat/0000.png)")


@pytest.mark.parametrize(
    "more, words",
    [
        ({"train/cat/a.png": picture(0, size=(8, 7))}, r"train/cat/a.png is 8x7 but test/bird/0000.png is 8x6"),
        ({"train/cat/a.jpg": b"not an image"}, r"train/cat/a.jpg cannot be read \(not an image\)"),
        ({"train/cat/a.png": picture(9, size=(80, 60))[:60]}, r"train/cat/a.png cannot be read"),
        ({"a.png": picture(0)}, r"a.png lies in no class folder"),
        ({"valid/cat/a.png": picture(0)}, r"valid/cat/a.png lies in neither train/ nor test/"),
    ],
)
def test_an_image_of_no_use_is_named(tmp_path, more, words):
    path = own_images(tmp_path, pictures() | more, "folder")
    with pytest.raises(CourseworkError, match=words) as caught:
        sources.obtain(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_folders_and_archives_of_no_use_are_named(tmp_path):
    archive = own_images(tmp_path, pictures(), "tar")
    plain = packed_tar(pictures())
    assert plain[8192:8197] == b"train"  # an image begins here: the cut leaves whole images only
    cases = [
        (write(tmp_path / "empty/readme.txt", b"x").parent, "has no images"),
        (own_images(tmp_path, pictures(train=3, test=0), "folder"), "fewer than 5 images in every class"),
        (write(tmp_path / "text.tar", b"no archive at all" * 100), "cannot be read as a tar archive"),
        (write(tmp_path / "cut.tar.xz", archive.read_bytes()[:400]), "cannot be read as a tar archive"),
        (write(tmp_path / "cut.tar", plain[:8192]), r"cannot be read as a tar archive \(it is cut short\)"),
        (write(tmp_path / "nothing.tar", b""), "cannot be read as a tar archive"),
    ]
    for path, words in cases:
        with pytest.raises(CourseworkError, match=words) as caught:
            sources.obtain(path)
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(CourseworkError, match="has no stand-in"):
        sources.obtain(archive, data="standin")
