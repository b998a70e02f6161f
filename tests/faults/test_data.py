"""Data that is missing, damaged, hostile, or of a kind that nobody thought of: right, or one line that names it."""

import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import unicodedata
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sample_files import (
    IDX_NAMES,
    clothes,
    clothes_recipe,
    damage,
    internet,  # noqa: F401  a fixture
    own_folders,  # noqa: F401  a fixture for every test here
    own_images,
    packed_tar,
    picture,
    pictures,
    put,
    same,
    touched,
    write,
)

from helpers import base
from helpers.base import CourseworkError
from helpers.data import dataset, recipes, sources


def replaced(path, make):
    path.unlink()
    make(path)


IDX_FAULTS = {
    "missing": Path.unlink,
    "empty": lambda path: touched(path, b""),
    "cut short": lambda path: touched(path, damage(path.read_bytes(), "cut short")),
    "a bit wrong": lambda path: touched(path, damage(path.read_bytes(), "one byte changed")),
    "swapped": lambda path: touched(path, path.with_name(IDX_NAMES[(IDX_NAMES.index(path.name) + 1) % 4]).read_bytes()),
    "unreadable": lambda path: replaced(path, lambda path: path.symlink_to("/proc/self/mem")),
    "a folder": lambda path: replaced(path, Path.mkdir),
    "a pipe": lambda path: replaced(path, os.mkfifo),
    "a link to nothing": lambda path: replaced(path, lambda path: path.symlink_to("nothing")),
    "a link to itself": lambda path: replaced(path, lambda path: path.symlink_to(path.name)),
    "a page of HTML": lambda path: touched(path, b"<html>404</html>"),
}


@pytest.mark.fault("damaged data files")
@pytest.mark.parametrize("cached", [False, True], ids=["no cache", "a good cache"])
@pytest.mark.parametrize("fault", IDX_FAULTS)
@pytest.mark.parametrize("name", IDX_NAMES)
def test_a_wrong_idx_file_is_named_and_nothing_else_is_taken(tmp_path, name, fault, cached):
    arrays = clothes()
    recipe, raw = clothes_recipe(arrays), put(tmp_path / "data", arrays)
    if cached:
        sources.obtain(recipes=recipe)
    IDX_FAULTS[fault](raw / name)
    with pytest.raises(CourseworkError, match=name) as caught:
        sources.obtain(recipes=recipe)
    assert "\n" not in str(caught.value) and str(raw) in str(caught.value)
    assert {path.name for path in base.CACHE.glob("*")} <= {"fashion_mnist", "fashion_mnist.lock"}
    shutil.rmtree(raw)
    put(tmp_path / "data", arrays)
    assert same(sources.obtain(recipes=recipe), arrays)


@pytest.mark.fault("damaged data files")
@pytest.mark.parametrize("fault", ["a folder", "a link to nothing", "empty"])
def test_four_wrong_files_are_not_the_same_as_none(tmp_path, fault):
    arrays = clothes()
    raw = put(tmp_path / "data", arrays)
    for name in IDX_NAMES:
        IDX_FAULTS[fault](raw / name)
    with pytest.raises(CourseworkError, match=IDX_NAMES[0]):
        sources.obtain(recipes=clothes_recipe(arrays))


@pytest.mark.fault("damaged data files")
@pytest.mark.parametrize("archive", ["cifar-10-python.tar.gz", "cifar10-jpeg.tar.xz"])
def test_a_folder_in_place_of_an_archive(tmp_path, archive):
    for name, content in pictures().items():
        write(tmp_path / "data" / archive / name, content)
    with pytest.raises(CourseworkError, match=f"{archive} is no file"):
        sources.obtain("cifar10")


def odd_tar(**members) -> bytes:
    """An archive of good pictures and of members as TarInfo makes them."""
    file = io.BytesIO(packed_tar(pictures()))
    with tarfile.open(fileobj=file, mode="a") as archive:
        for fields in members.values():
            info = tarfile.TarInfo(fields["name"])
            for field, value in fields.items():
                setattr(info, field, value)
            archive.addfile(info, io.BytesIO(picture(0))) if info.size else archive.addfile(info)
    return file.getvalue()


PICTURE = len(picture(0))
MEMBERS = {
    "upwards": {"name": "../../train/cat/up.png", "size": PICTURE},
    "upwards within": {"name": "train/../../cat/up.png", "size": PICTURE},
    "a link": {"name": "train/cat/a.png", "type": tarfile.SYMTYPE, "linkname": "/etc/passwd"},
    "a hard link": {"name": "train/cat/a.png", "type": tarfile.LNKTYPE, "linkname": "train/dog/0000.png"},
    "a device": {"name": "train/cat/a.png", "type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 5},
    "a pipe": {"name": "train/cat/a.png", "type": tarfile.FIFOTYPE},
}


@pytest.mark.fault("hostile archives of images")
@pytest.mark.parametrize("member", MEMBERS)
def test_a_member_that_is_no_file_of_ours_is_left_out_and_named(tmp_path, member):
    path = write(tmp_path / "in/animals.tar", odd_tar(odd=MEMBERS[member]))
    before = sorted(tmp_path.rglob("*"))
    data_set = sources.obtain(str(path))
    assert len(data_set.train_labels) == 9
    assert "1 files left out (" in data_set.source and MEMBERS[member]["name"] in data_set.source
    assert [p for p in sorted(tmp_path.rglob("*")) if base.CACHE not in (p, *p.parents)] == before


@pytest.mark.fault("hostile archives of images")
def test_an_absolute_name_is_only_a_name(tmp_path):
    path = write(tmp_path / "in/animals.tar", odd_tar(odd={"name": "/train/cat/a.png", "size": PICTURE}))
    assert len(sources.obtain(str(path)).train_labels) == 10
    assert not Path("/train").exists()


def shot(image: Image.Image, form="PNG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def values_of(data_set):
    """The set of the values of all pixels."""
    return set(np.unique(np.concatenate([data_set.train_images, data_set.test_images])).tolist())


@pytest.mark.fault("images of one's own")
def test_a_class_that_is_a_link_counts(tmp_path):
    path = own_images(tmp_path, pictures(), "folder")
    for level in ("train", "test"):
        (path / level / "frog").rename(tmp_path / f"frog-{level}")
        (path / level / "frog").symlink_to(tmp_path / f"frog-{level}")
    (path / "train/cat/loop").symlink_to(path)  # and a link to above ends
    data_set = sources.obtain(str(path))
    assert data_set.classes == ("bird", "cat", "frog") and len(data_set.train_labels) == 9


@pytest.mark.fault("images of one's own")
@pytest.mark.parametrize("mode", ["I;16", "L", "1", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_every_mode_of_pixels_keeps_its_brightness(tmp_path, mode):
    levels = (0, 128, 255)
    contents = {}
    for number, level in enumerate(levels * 5):
        if mode == "I;16":
            image = Image.fromarray(np.full((6, 8), level * 257, np.uint16))
        else:
            image = Image.new("L", (8, 6), level).convert("RGBA").convert(mode)
        form = "TIFF" if mode == "CMYK" else "PNG"
        contents[f"{number % 3}/{number}.{form.lower()}"] = shot(image, form)
    data_set = sources.obtain(str(own_images(tmp_path, contents, "folder")))
    expected = {0, 255} if mode == "1" else set(levels)
    assert values_of(data_set) == expected


@pytest.mark.fault("images of one's own")
def test_a_rotation_noted_by_the_camera_is_carried_out(tmp_path):
    upright = np.zeros((6, 8), np.uint8)
    upright[:, :4] = 255  # bright on the left
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held on its side
    lying = Image.fromarray(np.rot90(upright))
    contents = {name: shot(lying, "TIFF", exif=exif) for name in pictures(form="TIFF")}
    data_set = sources.obtain(str(own_images(tmp_path, contents, "folder")))
    assert (data_set.train_images == upright).all()


@pytest.mark.fault("images of one's own")
def test_a_transparent_image_lies_on_white_and_is_counted(tmp_path):
    contents = pictures() | {"train/cat/clear.png": picture((9, 9, 9, 0), mode="RGBA")}
    data_set = sources.obtain(str(own_images(tmp_path, contents, "folder")))
    assert (data_set.train_images.reshape(10, -1) == 255).all(1).sum() == 1
    assert "1 transparent images laid on white (train/cat/clear.png)" in data_set.source


@pytest.mark.fault("images of one's own")
@pytest.mark.parametrize("train, test", [("Train", "Test"), ("TRAIN", "test"), ("training", "Testing")])
def test_the_split_is_the_users_whatever_its_letters(tmp_path, train, test):
    renamed = {n.replace("train/", f"{train}/").replace("test/", f"{test}/"): c for n, c in pictures().items()}
    data_set = sources.obtain(str(own_images(tmp_path, renamed, "folder")))
    assert (len(data_set.train_labels), len(data_set.test_labels)) == (9, 6)


@pytest.mark.fault("images of one's own")
@pytest.mark.parametrize("held_out", ["val", "Valid", "validation"])
def test_a_validation_folder_is_held_out_and_told(tmp_path, held_out):
    renamed = {name.replace("test/", f"{held_out}/"): content for name, content in pictures().items()}
    data_set = sources.obtain(str(own_images(tmp_path, renamed, "folder")))
    assert (len(data_set.train_labels), len(data_set.test_labels)) == (9, 6)
    assert data_set.source.endswith("; 1 folder is the test part (validation)")


FRAMES = [Image.new("L", (8, 6)), Image.new("L", (8, 6), 9)]
REFUSED = {
    "a class in test alone": ({"test/dog/0.png": picture(0)}, "class dog has images in the test part alone"),
    "three parts": ({"val/cat/0.png": picture(0)}, "val/cat/0.png lies in neither train/ nor test/"),
    "beside the parts": ({"cat/0.png": picture(0)}, "cat/0.png lies in neither train/ nor test/"),
    "an animation": (
        {"train/cat/a.gif": shot(FRAMES[0], "GIF", save_all=True, append_images=FRAMES[1:])},
        "a.gif cannot be read .it has 2 frames"),
    "fractions": ({"train/cat/a.tif": shot(Image.new("F", (8, 6), 0.5), "TIFF")}, "its pixels are fractions"),
    "a name that is not UTF-8": ({os.fsdecode(b"train/caf\xe9/a.png"): picture(0)}, "is not named in UTF-8; rename it"),
}  # fmt: skip


@pytest.mark.fault("images of one's own")
@pytest.mark.parametrize("kind", ["folder", "tar"])
@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_right_is_refused(tmp_path, name, kind):
    more, words = REFUSED[name]
    with pytest.raises(CourseworkError, match=words) as caught:
        sources.obtain(str(own_images(tmp_path, pictures() | more, kind)))
    assert str(caught.value).isprintable()


@pytest.mark.fault("images of one's own")
@pytest.mark.parametrize("form", ["WEBP", "BMP", "GIF", "TIFF", "JPEG", "PPM"])
def test_other_formats_beside_png_count(tmp_path, form):
    more = {f"train/cat/more.{form}": shot(Image.new("RGB", (8, 6), (200, 10, 10)), form)}
    data_set = sources.obtain(str(own_images(tmp_path, pictures() | more, "folder")))
    assert len(data_set.train_labels) == 10 and "left out" not in data_set.source


@pytest.mark.fault("images of one's own")
def test_what_is_left_out_is_counted_and_named(tmp_path):
    path = own_images(tmp_path, pictures(), "folder")
    for name in (".ipynb_checkpoints/cat/a.png", "train/.hidden/a.png", "train/cat/._0000.png", "train/cat/notes.txt"):
        write(path / name, picture(0))
    (path / "train/cat/gone.png").symlink_to("nowhere")
    os.mkfifo(path / "train/cat/pipe.png")
    data_set = sources.obtain(str(path))
    assert data_set.classes == ("bird", "cat", "frog") and len(data_set.train_labels) == 9
    remark = "; 6 files left out (.ipynb_checkpoints/cat/a.png, train/.hidden/a.png, train/cat/._0000.png, ...)"
    assert data_set.source.endswith(remark)


@pytest.mark.fault("images of one's own")
def test_one_name_in_two_normal_forms_is_one_class(tmp_path):
    forms = {"train": unicodedata.normalize("NFC", "café"), "test": unicodedata.normalize("NFD", "café")}
    renamed = {n.replace("/cat/", f"/{forms[n.split('/')[0]]}/"): content for n, content in pictures().items()}
    assert sources.obtain(str(own_images(tmp_path, renamed, "folder"))).classes == ("bird", "café", "frog")


@pytest.mark.fault("images of one's own")
def test_images_moved_between_classes_are_noticed_though_a_time_lies_ahead(tmp_path):
    path = own_images(tmp_path, pictures(), "folder")
    os.utime(path / "test/frog/0000.png", (2e9, 2e9))  # one file from the future
    before = sources.obtain(str(path)).fingerprint
    (path / "train/cat/0000.png").rename(path / "train/cat/swap.png")
    (path / "train/bird/0000.png").rename(path / "train/cat/0000.png")
    (path / "train/cat/swap.png").rename(path / "train/bird/0000.png")
    assert sources.obtain(str(path)).fingerprint != before


@pytest.mark.fault("a wrong setting")
def test_a_misspelt_data_folder_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSEWORK_DATA", str(tmp_path / "dtaa"))
    with pytest.raises(CourseworkError, match=r"COURSEWORK_DATA=.*dtaa: no such folder; correct or unset it"):
        sources.obtain(recipes=clothes_recipe(clothes()))


@pytest.mark.fault("a wrong setting")
def test_a_quoted_tilde_is_the_home_folder(tmp_path, monkeypatch):
    arrays = clothes()
    put(tmp_path / "home/set", arrays)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COURSEWORK_DATA", "~/set")
    assert same(sources.obtain(recipes=clothes_recipe(arrays)), arrays)


LOCALE = """
import locale, sys
from helpers.data import sources
data_set = sources.obtain(sys.argv[1])
sys.stdout.buffer.write(" ".join([*data_set.classes, data_set.title, locale.getpreferredencoding()]).encode())
"""


@pytest.mark.fault("a locale that is not UTF-8")
@pytest.mark.parametrize(
    "encoding, kind",
    [
        ("ISO-8859-1", "folder"),
        pytest.param("ISO-8859-1", "tar", marks=pytest.mark.slow),
        pytest.param("ASCII", "folder", marks=pytest.mark.slow),
        ("ASCII", "tar"),
    ],
)
def test_names_mean_the_same_in_every_locale(tmp_path, encoding, kind):
    renamed = {name.replace("/cat/", "/café/"): content for name, content in pictures().items()}
    path = own_images(tmp_path, renamed, kind)
    settings = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C", "COURSEWORK_HOME": str(tmp_path / "home")}
    if encoding == "ISO-8859-1":
        made = shutil.which("localedef") and subprocess.run(
            ["localedef", "-i", "en_US", "-f", encoding, tmp_path / "en_US.ISO-8859-1"], capture_output=True
        )
        if not (tmp_path / "en_US.ISO-8859-1").is_dir():
            pytest.skip(f"localedef cannot make this locale here ({made})")
        settings |= {"LC_ALL": "en_US.ISO-8859-1", "LOCPATH": str(tmp_path)}
    command = [sys.executable, "-W", "error", "-c", LOCALE, path]
    done = subprocess.run(command, cwd=base.CHECKOUT, env=os.environ | settings, capture_output=True)
    assert done.stderr == b""
    *words, preferred_encoding = done.stdout.decode("utf-8").split()
    assert words == ["bird", "café", "frog", path.name]
    assert preferred_encoding in (encoding, "ANSI_X3.4-1968")


CACHE_FAULTS = {
    "a list": [], "a number": 3, "text": "meta", "nothing": None, "empty": {}, "deep": "[" * 100_000,
    "title": {"title": 3}, "classes a text": {"classes": "abcdefghij"}, "classes numbers": {"classes": [1] * 10},
    "too few classes": {"classes": ["one"]}, "fingerprint": {"fingerprint": None}, "files": {"files": {"a": 1}},
    "files of numbers": {"files": [1, 2]}, "standin": {"standin": "no"},
    "format": {"format": [1]}, "source": {"source": ["x"]},
}  # fmt: skip


@pytest.mark.fault("resealed files with wrong types")
@pytest.mark.parametrize("name", CACHE_FAULTS)
def test_a_cache_entry_with_wrong_types_is_made_again(tmp_path, name):
    arrays, fault = clothes(), CACHE_FAULTS[name]
    put(tmp_path / "data", arrays)
    sources.obtain(recipes=clothes_recipe(arrays))
    meta = sources.cached("fashion_mnist")
    wrong = meta | fault if isinstance(fault, dict) and fault else fault
    text = fault if name == "deep" else base.to_json(wrong)
    (base.CACHE / "fashion_mnist/meta.json").write_text(text, encoding="utf-8")
    assert sources.cached("fashion_mnist") == {}
    assert same(sources.obtain(recipes=clothes_recipe(arrays)), arrays)
    assert sources.cached("fashion_mnist")["classes"] == meta["classes"]


@pytest.mark.fault("resealed files with wrong types")
@pytest.mark.parametrize("change", [
    lambda array: array.astype(np.float32), lambda array: array[:-1], lambda array: array.reshape(len(array), 1, -1),
    lambda array: array[:0], lambda array: np.array([{}], object),
])  # fmt: skip
@pytest.mark.parametrize("part", ["train_images", "test_labels"])
def test_arrays_of_another_kind_are_made_again(tmp_path, part, change):
    arrays = clothes()
    put(tmp_path / "data", arrays)
    sources.obtain(recipes=clothes_recipe(arrays))
    folder, number = base.CACHE / "fashion_mnist", dataset.ARRAYS.index(part)
    np.save(folder / f"{part}.npy", change(arrays[number]), allow_pickle=True)
    meta = sources.cached("fashion_mnist")
    assert meta == {}
    assert same(sources.obtain(recipes=clothes_recipe(arrays)), arrays)


@pytest.mark.fault("resealed files with wrong types")
@pytest.mark.parametrize("text", ["", "[]", "3", "{", "[" * 100_000, "\ud800"])
def test_a_training_says_where_its_data_is_damaged(tmp_path, text):
    write(base.CACHE / "tiny/meta.json", text.encode("utf-8", "surrogatepass"))
    for read in (dataset.fingerprint, dataset.load):
        with pytest.raises(CourseworkError, match="no decoded data set 'tiny'"):
            read("tiny")


def half(request):
    request.send_response(200)
    request.send_header("Content-Length", "1000000")
    request.end_headers()
    request.wfile.write(b"x" * 1000)
    request.close_connection = True


def error_page(request):
    request.send_response(503)
    request.end_headers()
    request.wfile.write(b"<html>\x1b[31mbusy" * 1000)


def log_in_page(request):
    request.send_response(200)
    request.end_headers()
    request.wfile.write(b"<html>please log in</html>")


def stall(request):
    request.send_response(200)
    request.send_header("Content-Length", "1000000")
    request.end_headers()
    request.server.released.wait(60)


def drip(request):
    request.send_response(200)
    request.send_header("Content-Length", "1000000000")
    request.end_headers()
    while not request.server.released.wait(0.1):
        request.wfile.write(b"x" * 40_000)


SERVERS = {
    "stops half way": (half, "torchvision: .*"), "an error page": (error_page, "torchvision: .*503"),
    "a page to log in": (log_in_page, "torchvision: .*corrupted"),
    "an answer that stalls": (stall, "client: nothing arrived for 4 s"),
    "an answer that drips for ever": (drip, "client: not finished after 8 s"),
}  # fmt: skip
CLIENT = "import shutil, urllib.request as r; shutil.copyfileobj(r.urlopen('http://it/file'), open('file', 'wb'), 1000)"


@pytest.mark.fault("servers that fail, stall or drip")
@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.slow) if n in ("stops half way", "an error page") else n for n in SERVERS],
)
def test_a_download_ends_in_one_plain_line(internet, monkeypatch, capsys, name):
    answer, words = SERVERS[name]
    internet.answer = answer
    monkeypatch.setattr(recipes, "PATIENCE", 0)
    downloads = {"torchvision": partial(recipes.from_torchvision, "FashionMNIST")}
    if "client" in words:  # which begins at once, so that the limits can be short
        monkeypatch.setattr(recipes, "TIMEOUT", 4)
        monkeypatch.setattr(recipes, "LIMIT", 8)
        downloads = {"client": lambda folder: recipes._run([sys.executable, "-c", CLIENT], folder, "it to answer")}
    with pytest.raises(CourseworkError, match=words) as caught:
        sources.obtain(data="real", recipes=clothes_recipe(clothes(), downloads=downloads))
    assert str(caught.value).isprintable() and "%|" not in str(caught.value)
    assert not list(base.CACHE.glob(".*"))
    assert re.search("^waiting for (torchvision's download of FashionMNIST|it to answer), at", capsys.readouterr().err)


@pytest.mark.fault("servers that fail, stall or drip")
def test_progress_bars_and_colours_are_not_quoted():
    log = "start\n\r  0%|          | 0/9\r 50%|█████     | 5/9\r\x1b[31mFile not found\x1b[0m or corrupted.\x07\n"
    assert recipes._last_words(log) == "start File not found or corrupted."


@pytest.mark.fault("damaged data files")
def test_a_folder_that_may_not_be_written(tmp_path):
    """A read-only cache, also for root: a file system of its own would be; a file in its place does as well."""
    write(tmp_path / "cache", b"")
    with pytest.raises(CourseworkError, match=r"cache: .*; see that it can be read and written"):
        sources.obtain(recipes=clothes_recipe(clothes()))


def test_the_faults_above_are_faults(tmp_path):
    """The same folder without a fault gives no line at all."""
    arrays = clothes()
    put(tmp_path / "data", arrays)
    assert same(sources.obtain(recipes=clothes_recipe(arrays)), arrays)
