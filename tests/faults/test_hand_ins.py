"""Hostile hand-ins: check.py prints a line for each, in at most 200 MB and 10 s of processor time."""

import atexit
import csv
import functools
import io
import json
import os
import random
import re
import resource
import shutil
import stat
import subprocess
import sys
import tempfile
import warnings
import zipfile
from functools import partial
from pathlib import Path

import pytest
import sample_page

from helpers.report import check, index, sealed

MEGABYTES, SECONDS = 200, 10
RUN = """
import re, runpy, sys
sys.argv = sys.argv[1:]
code = 1
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
except SystemExit as end:
    code = end.code
print(re.search(r"VmHWM:\\s*(\\d+) kB", open("/proc/self/status").read())[1], file=sys.stderr)
sys.exit(code)
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return sample_page.page(tmp_path_factory.mktemp("pages")).read_text(encoding="utf-8")


@functools.cache
def alone() -> str:
    """The path of check.py as it lies beside the pages."""
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder)
    Path(folder, "check.py").write_text(index.standalone_check(), encoding="utf-8")
    return str(Path(folder, "check.py"))


def checked(*arguments, **environment):
    """(exit code, printed lines) of check.py by itself, held to its time; its memory is looked at afterwards."""
    command = [sys.executable, "-I", "-S", "-c", RUN, alone(), *map(str, arguments)]
    limit = partial(resource.setrlimit, resource.RLIMIT_CPU, (SECONDS, SECONDS))
    done = subprocess.run(command, capture_output=True, preexec_fn=limit, env=os.environ | environment, timeout=200)
    assert re.fullmatch(r"\d+\n", done.stderr.decode()), done.stderr.decode()[-2000:]
    assert int(done.stderr) < 1000 * MEGABYTES
    return done.returncode, done.stdout.decode().splitlines()


def archive(*members, compression=zipfile.ZIP_DEFLATED) -> bytes:
    """A zip of (name or ZipInfo, content) pairs, names twice if asked."""
    file = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w", compression) as packed:
        warnings.simplefilter("ignore")
        for name, content in members:
            packed.writestr(name, content, compression)
    return file.getvalue()


def link(text):
    info = zipfile.ZipInfo("report/page.html")
    info.external_attr, info.create_system = (stat.S_IFLNK | 0o777) << 16, 3
    return archive((info, "/etc/passwd"), ("report/good.html", text))


def encrypted(text):
    data = bytearray(archive(("report/page.html", text)))
    for signature, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):  # bit 0 of the general flags
        data[data.index(signature) + place] |= 1
    return bytes(data)


def overlapping(text):
    """Ten thousand entries for one and the same ten megabytes."""
    data = archive(("0000.html", bytes(10_000_000)))
    start, end = data.index(b"PK\1\2"), data.rindex(b"PK\5\6")
    entry = data[start:end]
    entries = entry * 9999
    tail = bytearray(data[end:])
    tail[8:12] = (9999).to_bytes(2, "little") * 2
    tail[12:16] = len(entries).to_bytes(4, "little")
    return data[:start] + entries + bytes(tail)


def size_that_lies(text):
    """A header that says 1,000 bytes before 100 MB."""
    data = bytearray(archive(("page.html", bytes(100_000_000))))
    for signature, place in ((b"PK\3\4", 22), (b"PK\1\2", 24)):
        at = data.index(signature) + place
        data[at : at + 4] = (1000).to_bytes(4, "little")
    return bytes(data)


def with_json(name, content):
    """The page with other JSON under an id."""
    return lambda text: re.sub(rf'(id="{name}"[^>]*>).*?(</script>)', lambda m: m[1] + content + m[2], text, flags=re.S)


def with_run(**fields):
    def edit(text):
        return with_json("run", json.dumps({**sealed.embedded(text, "run"), **fields}))(text)

    return edit


def in_front(part, times):
    return lambda text: text.replace("<main", part * times + "<main", 1)


def in_prose(words):
    return lambda text: re.sub(r"(<!--§ prose: .*?-->)", lambda mark: mark[1] + words, text, count=1)


def seal_of(name):
    return lambda text: text.replace(sealed.embedded(text, "manifest")["file"], name)


HAND_INS = {  # name -> (page as text -> content of the file, what its line says)
    "a bomb of one page": (lambda text: archive(("page.html", " " * 300_000_000)), "is larger than 10,000,000"),
    "a bomb of many pages": (
        lambda text: archive(*((f"{n}.html", bytes(9_999_999)) for n in range(9))), "more than 60,000,000 bytes"),
    "entries that overlap": (overlapping, "more than 60,000,000 bytes|verlap"),
    "a size that lies": (size_that_lies, "cannot be read|larger than"),
    "packed as lzma": (
        lambda text: archive(("page.html", bytes(90_000_000)), compression=zipfile.ZIP_LZMA), "a way that is not read"),
    "packed as bzip2": (
        lambda text: archive(("page.html", bytes(90_000_000)), compression=zipfile.ZIP_BZIP2), "a way that is not"),
    "fifty thousand files": (
        lambda text: archive(*((f"{n}.html", b"") for n in range(50_000))), "10,000 files; hand in the pages alone"),
    "fifty megabytes": (lambda text: archive(("a.bin", random.Random(0).randbytes(50_000_000))), "hand in the pages"),
    "one name twice": (lambda text: archive(("a.html", text), ("a.html", text + "!")), "a.html: is in it twice"),
    "a path upwards": (lambda text: archive(("../../a.html", text)), "leads out of the archive"),
    "a path upwards, Windows": (lambda text: archive(("x\\..\\..\\a.html", text)), "leads out of the archive"),
    "an absolute path": (lambda text: archive(("/etc/a.html", text)), "leads out of the archive"),
    "a drive": (lambda text: archive(("C:\\a.html", text)), "leads out of the archive"),
    "a link": (link, "is a link"),
    "encrypted": (encrypted, "is encrypted"),
    "cut short": (lambda text: archive(("a.html", text))[:-50], "not a zip file"),
    "an archive glued to a page": (lambda text: text.encode() + archive(("a.html", text)), "an archive is glued to it"),
    "an archive in an archive": (lambda text: archive(("a.zip", archive(("a.html", text)))), "holds no page"),
    "a name of 60,000 letters": (lambda text: archive(("a" * 60_000 + ".html", text + "!")), r"aaa \.\.\."),
    "a name that a terminal obeys": (lambda text: archive(("\x1b[2J\x1b]0;x\x07.html", text + "!")), r"\\x1b\[2J"),
    "a name that reads backwards": (lambda text: archive(("\u202elmth.exe.html", text + "!")), r"\\u202elmth"),
    "escapes in the status": (with_run(status="\x1b[31mcomplete"), r"\\x1b\[31mcomplete"),
    "lines in the status": (with_run(status="complete)\nother.html: untouched"), r"complete\)\\nother"),
    "a status that is a list": (with_run(status=[["complete"]]), "CHANGED"),
    "a budget that is a dict": (with_run(budget={"full": {}}), "CHANGED"),
    "data that are numbers": (with_run(data=[1, 2, {"standin": "yes"}]), "CHANGED"),
    "pages that are a number": (with_run(pages=7), "run is damaged"),
    "pages that are lists": (with_run(pages=[["a", 1], [2]]), "run is damaged"),
    "provenance that is a list": (with_run(provenance=[{"commit": 3}]), "CHANGED"),
    "JSON too deep": (with_json("run", "[" * 400_000), "run is damaged"),
    "JSON too deep, closed": (with_json("run", '{"a":' * 90_000 + "1" + "}" * 90_000), "run is damaged"),
    "JSON too large": (with_json("results", '{"a":[' + "[]," * 3_000_000 + "[]]}"), "results is damaged"),
    "JSON of many lists": (with_json("results", '{"a":[' + "[]," * 300_000 + "[]]}"), "CHANGED"),
    "a number of 900,000 digits": (with_json("results", '{"a":' + "9" * 900_000 + "}"), "CHANGED"),
    "a number beyond all": (with_json("results", '{"results":{"a":{"value":1e999}}}'), "CHANGED"),
    "an empty seal": (seal_of(""), "CHANGED"),
    "a seal of one letter": (seal_of("e"), "CHANGED"),
    "marks that never end": (in_front("<!--§ a: ", 300_000), "CHANGED"),
    "scripts that never end": (in_front('<script id="extra" type="application/json">', 99_000), "CHANGED"),
    "no end of one script": (
        lambda text: '<script id="manifest" type="application/json">' * 99_000, "carries no manifest"),
    "rows that never end": (in_front('<tr data-key="">', 300_000), "CHANGED"),
    "cells that never end": (in_front('<tr data-key="">' + "<td" * 9_000, 30), "CHANGED"),
    "tags that never end": (in_prose("<" * 500_000), "CHANGED"),
    "quotes that never end": (in_prose("<a" * 300_000 + "'"), "CHANGED"),
    "styles that never end": (in_prose("<style" * 99_000), "CHANGED"),
    "a number in markup": (in_prose("&#" + "9" * 500_000), "CHANGED"),
    "a line for each letter": (in_prose("\n" * 5_000_000), "CHANGED"),
    "ten megabytes of faces": (lambda text: text + "x" * 9_000_000 + "\U0001f600", "CHANGED"),
    "eleven megabytes": (lambda text: text + " " * 11_000_000, "larger than 10,000,000"),
    "zeros": (lambda text: bytes(10_000_000), "carries no manifest"),
}  # fmt: skip


@pytest.mark.fault("hostile hand-ins")
@pytest.mark.parametrize("name", HAND_INS)
def test_a_hostile_hand_in_costs_little_and_is_named(page, tmp_path, name):
    make, words = HAND_INS[name]
    content = make(page)
    assert content != page
    path = tmp_path / "hostile"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    good = tmp_path / "good.html"
    good.write_text(page, encoding="utf-8")
    code, lines = checked(path, good)
    assert code == 1
    assert re.search(words, "\n".join(line for line in lines if "good.html" not in line))
    assert f"{good}: untouched since export (complete, standard budget)" in lines
    assert all(char.isprintable() for line in lines for char in line)
    code, lines = checked("--csv", path, good)
    assert code == 1
    rows = list(csv.DictReader(lines))
    assert [row["untouched"] for row in rows] == ["no", "yes"]


@pytest.mark.fault("hostile hand-ins")
@pytest.mark.parametrize("start", ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_no_cell_of_the_table_is_a_formula(page, tmp_path, start):
    path = tmp_path / "page.html"
    path.write_text(with_run(budget=start)(page), encoding="utf-8")
    _, lines = checked("--csv", path)
    [row] = csv.DictReader(lines)
    assert row["budget"][0] in "'\\"
    assert row["budget"].lstrip("'").startswith(check.plain(start))


@pytest.mark.fault("hostile hand-ins")
@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_name_that_the_terminal_cannot_print(page, tmp_path, encoding):
    folder = tmp_path / "Zoë 学生"
    folder.mkdir()
    for name in (folder / "página.html", Path(os.fsdecode(os.fsencode(folder) + b"/\xe9.html"))):
        name.write_text(page, encoding="utf-8")
        code, lines = checked_as(encoding, name)
        assert code == 0
        assert len([line for line in lines if "untouched since export" in line]) == 1


def checked_as(encoding, *arguments):
    """As `checked`, but on a terminal of another encoding; -I would ignore it."""
    command = [sys.executable, "-S", alone(), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, env=os.environ | {"PYTHONIOENCODING": encoding})
    assert done.stderr == b""
    return done.returncode, done.stdout.decode(encoding).splitlines()


@pytest.mark.fault("hostile hand-ins")
def test_a_pipe_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.html")
    code, lines = checked(tmp_path / "pipe.html")
    assert (code, lines) == (1, [f"{tmp_path}/pipe.html: cannot be read: not a regular file"])
