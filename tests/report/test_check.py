"""check.py finds every edit, says where, refutes numbers that the predictions contradict, and never breaks down."""

import ast
import base64
import csv
import gzip
import hashlib
import io
import json
import os
import random
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import sample_page

from helpers import base
from helpers.base import data_folder, pack_labels
from helpers.page.markup import number
from helpers.report import check, index, sealed
from helpers.report.export.seal import seal

COMMENTS = "an HTML comment or an empty line was changed, nothing that is read"


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """check.py as it lies beside the pages."""
    path = tmp_path_factory.mktemp("alone") / "check.py"
    path.write_text(index.standalone_check(), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return sample_page.page(tmp_path_factory.mktemp("pages"))


def edited(page, tmp_path, old, new, count=1):
    """A copy of the page with `old` replaced; the test itself fails when there is nothing to replace."""
    text = page.read_text(encoding="utf-8")
    assert old in text
    copy = tmp_path / page.name
    copy.write_text(text.replace(old, new, count), encoding="utf-8")
    return copy


def checked(capsys, *arguments):
    """(exit code, printed text) of check."""
    code = check.main([str(argument) for argument in arguments])
    return code, capsys.readouterr().out


def resealed(path, old, new):
    """An edit by somebody who rebuilds the manifest too."""
    text = path.read_text(encoding="utf-8").replace(old, new)
    manifest = sealed.embedded(text, "manifest")
    for section, (_, _, content) in zip(manifest["sections"], sealed.sections(text)):
        if section[2]:
            section[2:] = [sealed.digest(content), "".join(code for _, code, _ in sealed.read_lines(content))]
    inside = json.dumps({**manifest, "file": sealed.BLANK}).replace("<", "\\u003c")
    text = re.sub(r'(<script id="manifest"[^>]*>).*?(</script>)', lambda m: m[1] + inside + m[2], text, flags=re.S)
    text = text.replace(manifest["file"], sealed.BLANK)
    path.write_text(text.replace(sealed.BLANK, sealed.digest(text)), encoding="utf-8")


def test_an_untouched_page_passes(page, capsys):
    code, words = checked(capsys, page)
    assert code == 0
    assert "untouched since export (complete, standard budget)" in words
    accuracy = np.mean(sample_page.predictions()[2])
    assert f"test_accuracy {accuracy:.4f} follows from its packed predictions (3 x 400 test labels)" in words


def test_it_runs_alone_on_python_39(page, alone, tmp_path):
    tree = ast.parse(alone.read_text(encoding="utf-8"), feature_version=(3, 9))
    names = {n.name.split(".")[0] for i in ast.walk(tree) if isinstance(i, ast.Import) for n in i.names}
    assert not any(isinstance(node, ast.ImportFrom) for node in ast.walk(tree))
    assert names <= sys.stdlib_module_names
    command = [sys.executable, "-I", "-S", str(alone), str(page)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert "untouched" in done.stdout


@pytest.mark.parametrize(("old", "new", "where"), [
    ("<td class=\"num\">0.8503</td>", "<td class=\"num\">0.9503</td>", "table 2 (Accuracy by row)"),
    ("epochs: <span", "ep0chs: <span", "code cell 1 (What can be changed from outside.)"),
    ("is not yet over-fitted", "is over-fitted", "text 4 (The gap between the curves"),
    ("epoch 3 loss 0.250", "epoch 3 loss 0.150", "printout 1 (epoch 0 loss 1.000), line"),
    ("Training loss falls", "Training loss rises", "its picture, or the description of it"),
    ('"value":0.4213', '"value":0.3213', "the results object, line"),
    ('data-key="train_loss"', 'data-key="train_los5"', "the table of results"),
    ("<dd>standard</dd>", "<dd>full</dd>", "the header, line"),
    ("2.13.0</td>", "2.14.0</td>", "the provenance, line"),
    ("--paper: light-dark(#fcfbf8", "--paper: light-dark(#000000", "the head of the page, line"),
    ('<a href="#curves">Curves', '<a href="#curves">Bends', "the table of contents, line"),
])  # fmt: skip
def test_it_says_where(page, tmp_path, capsys, old, new, where):
    code, words = checked(capsys, edited(page, tmp_path, old, new))
    assert code == 1
    assert "CHANGED since export" in words
    assert where in words
    assert words.count("changed:") == 1


def test_it_quotes_what_now_stands_there(page, tmp_path, capsys):
    _, words = checked(capsys, edited(page, tmp_path, '<td class="num">0.8503</td>', '<td class="num">0.9503</td>'))
    assert "now reads: A1 0.8603 0.9503 0.8403" in words


def test_a_pixel_a_removed_cell_and_an_added_sentence(page, tmp_path, capsys):
    image = re.search(r'data:image/[a-z]+;base64,([^"]{2000,})"', page.read_text(encoding="utf-8"))[1]
    data = bytearray(base64.b64decode(image))
    data[len(data) // 2] ^= 1
    assert "figure 1" in checked(capsys, edited(page, tmp_path, image, base64.b64encode(data).decode()))[1]
    start, end = "<!--§ printout: printout 1", "<!--§ prose: text 3"
    text = page.read_text(encoding="utf-8")
    cut = edited(page, tmp_path, text[text.index(start) : text.index(end)], "")
    assert "printout 1 (epoch 0 loss 1.000) was removed" in checked(capsys, cut)[1]
    added = edited(page, tmp_path, end, "<!--§ prose: praise--><p>Well done.</p>" + end)
    assert "added: praise; now reads: Well done." in checked(capsys, added)[1]


def visible_edits(text, count):
    """`count` pages, each with one random edit of something that a reader sees or hears."""
    body = text[text.index("<h1") : text.index('<script id="results"')]
    spans = [(m.start(1), m.end(1)) for m in re.finditer(r">([^<]*[\w=+-][^<]*)<(?!/annotation)", body)]
    spans += [(m.start(1), m.end(1)) for m in re.finditer(r'(?:alt|src|href|aria-label)="([^"]+)"', body)]
    offset, edit = text.index(body), random.Random(6)
    for _ in range(count):
        start, end = edit.choice(spans)
        place = offset + edit.choice([i for i in range(start, end) if body[i] not in "&;"])
        new = edit.choice([c for c in "0123456789abcxyz" if c != text[place]] + [""])
        yield text[:place] + new + text[place + 1 :]


def test_thirty_random_edits_are_all_found(page, tmp_path, capsys):
    text = page.read_text(encoding="utf-8")
    copy = tmp_path / page.name
    for changed in visible_edits(text, 30):
        assert changed != text
        copy.write_text(changed, encoding="utf-8")
        code, words = checked(capsys, copy)
        assert code == 1
        assert "changed: " in words
        assert "the manifest, or a mark" not in words


def test_a_changed_manifest_is_noticed(page, tmp_path, capsys):
    section = sealed.embedded(page.read_text(encoding="utf-8"), "manifest")["sections"][3][2]
    _, words = checked(capsys, edited(page, tmp_path, section, "0" * 63 + "1"))
    assert "CHANGED since export" in words


def test_a_rebuilt_page_is_refuted_by_its_own_predictions(page, tmp_path, capsys):
    value = sample_page.bundle()["results"]["test_accuracy"]["value"]
    copy = edited(page, tmp_path, "A. Student", "A. Student")
    resealed(copy, f'"value":{value}', '"value":0.95')
    code, words = checked(capsys, copy)
    assert code == 1
    assert "REFUTED: test_accuracy is given as 0.95, its packed predictions give 0.9" in words
    assert "REFUTED: the table of results prints 0.9058 ± 0.0101 for test_accuracy, the results say 0.95" in words
    assert "CHANGED" not in words


def test_predictions_cut_short_are_refuted(page, tmp_path, capsys):
    packed = sample_page.bundle()["predictions"]["predicted"][1]
    copy = edited(page, tmp_path, "A. Student", "A. Student")
    resealed(copy, packed, sample_page.pack([1, 2, 3]))
    assert checked(capsys, copy)[0] == 1
    resealed(copy, sample_page.pack([1, 2, 3]), "4:400:not base64")
    assert "the packed predictions are damaged" in checked(capsys, copy)[1]


def test_labels_unpack_as_records_pack_them():
    for labels in (np.array([], np.uint8), np.arange(9, dtype=np.uint8), np.arange(40, dtype=np.uint8)):
        assert list(sealed.unpack(pack_labels(labels))) == list(labels)
        assert labels.max(initial=0) > 15 or sample_page.pack(labels) == pack_labels(labels)


def test_official_labels_are_recognised(capsys):
    path = data_folder() / "FashionMNIST/raw/t10k-labels-idx1-ubyte.gz"
    if not path.exists():
        pytest.skip("needs the real labels under COURSEWORK_DATA")
    labels = np.frombuffer(gzip.decompress(path.read_bytes())[8:], np.uint8)
    packed = {"key": "a", "labels": sample_page.pack(labels), "predicted": [sample_page.pack(labels)]}
    line, value, agrees = sealed.recompute({"predictions": packed, "results": {"a": {"value": 1.0, "values": [1.0]}}})
    assert (value, agrees) == (1.0, True)
    assert "1 x 10,000 official Fashion-MNIST test labels" in line


def test_other_line_endings_change_nothing(page, tmp_path, capsys):
    copy = tmp_path / page.name
    copy.write_bytes(b"\xef\xbb\xbf" + page.read_bytes().replace(b"\n", b"\r\n"))
    assert checked(capsys, copy)[0] == 0


DAMAGES = {
    "empty": (lambda text: b"", "is empty"),
    "binary": (lambda text: b"\xff\xfe\x00\x01" * 99, "not a page of this project"),
    "other": (lambda text: b"<html><body>Hello</body></html>", "not a page of this project"),
    "half": (lambda text: text[: len(text) // 2].encode(), "or only a part of one"),
    "json": (lambda text: text.replace('{"sections":[', '{"sections"', 1).encode(), "manifest is damaged"),
    "list": (lambda text: re.sub(r'(id="run"[^>]*>).*?(</script>)', r"\1[1]\2", text).encode(), "run is damaged"),
    "shape": (lambda text: re.sub(r'"sections":\[.*\],\n', '"sections":7,', text, flags=re.S).encode(), "CHANGED"),
    "nested": (lambda text: re.sub(r'(id="run"[^>]*>).*?(</script>)', "\\1" + "[" * 99999 + "\\2", text).encode(),
               "run is damaged"),
    "results": (lambda text: re.sub(r'"test_accuracy":\{', '"test_accuracy":3,"x":{', text).encode(), "damaged"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_pages_give_a_clear_line(page, tmp_path, capsys, damage):
    spoil, expected = DAMAGES[damage]
    copy = tmp_path / "spoilt.html"
    copy.write_bytes(spoil(page.read_text(encoding="utf-8")))
    code, words = checked(capsys, copy)
    assert code == 1
    assert expected in words
    assert words.count("spoilt.html") == 1
    assert "Traceback" not in words


def test_absent_files_and_folders(tmp_path, capsys):
    assert "No such file" in checked(capsys, tmp_path / "none.html")[1]
    assert "Is a directory" in checked(capsys, tmp_path)[1]


def hand_in(folder, name, **pages):
    path = folder / name
    with zipfile.ZipFile(path, "w") as archive:
        for page, data in pages.items():
            archive.writestr(f"reports/{page}.html", data)
    return path


COLUMNS = (
    "file,author,complete,missing,budget,commit,sha256,stand_in,untouched,recomputed_accuracy,changed,same_as,problem"
)
TASKS = ("task1_data_loaders", "task2_model", "task3_loss_and_optimizer", "task4_training", "task5_final_accuracy")


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    """The five pages of a hand-in, as bytes by name."""
    folder = tmp_path_factory.mktemp("tasks")
    return {name: sample_page.page(folder, name).read_bytes() for name in TASKS}


def lines(capsys, *paths):
    """(exit code, {file name: its cells})."""
    code, words = checked(capsys, *paths, "--csv")
    assert words.splitlines()[0] == COLUMNS
    return code, {Path(cells["file"]).name: cells for cells in csv.DictReader(io.StringIO(words))}


def test_one_line_for_each_hand_in(tasks, tmp_path, capsys):
    good = hand_in(tmp_path, "a.zip", **tasks)
    bad = tasks["task4_training"].replace(b"over-fitted", b"under-fitted")
    hand_in(tmp_path, "b.zip", **{**tasks, "task4_training": bad})
    failed = sample_page.page(tmp_path, TASKS[0], status="failed", budget="smoke", data={"standin": True}, author="B")
    hand_in(tmp_path, "c.zip", **{**tasks, TASKS[0]: failed.read_bytes()})
    one_by_one = [lines(capsys, path) for path in sorted(tmp_path.glob("?.zip"))]
    code = max(code for code, _ in one_by_one)
    hand_ins = {name: cells for _, line in one_by_one for name, cells in line.items()}
    accuracy = f"{np.mean(sample_page.predictions()[2]):.4f}"
    assert list(hand_ins["a.zip"].values())[1:] == [
        "A. Student", "yes", "", "standard", "0123456789ab-dirty", hashlib.sha256(good.read_bytes()).hexdigest(),
        "no", "yes", accuracy, "", "", "",
    ]  # fmt: skip
    assert [hand_ins["b.zip"][name] for name in ("complete", "untouched", "changed")] == ["yes", "no", "task4_training"]
    columns = ("author", "complete", "budget", "stand_in")
    assert [hand_ins["c.zip"][name] for name in columns] == ["A. Student+B", "no", "smoke+standard", "yes"]
    assert code == 1
    assert check.main([str(good), "--csv"]) == 0


def own_work(folder, *, seed, **state):
    """A page like the sample's whose predictions and record nobody else has."""
    labels, runs, _ = sample_page.predictions()
    runs = [np.where(np.random.default_rng(seed).random(len(run)) < 0.1, labels, run) for run in runs]
    accuracies = [float((run == labels).mean()) for run in runs]
    result = sample_page.bundle()["results"]["test_accuracy"]
    result |= {"value": float(np.mean(accuracies)), "values": accuracies}
    packed = sample_page.bundle()["predictions"] | {"predicted": [sample_page.pack(run) for run in runs]}
    results = {"test_accuracy": result}
    bundle = sample_page.bundle(results=results, predictions=packed, own=[f"record {seed}"])
    folder.mkdir(exist_ok=True)
    return sample_page.page(folder, TASKS[4], content=sample_page.cells(bundle), **state)


def test_what_two_hand_ins_have_alike_is_flagged(tmp_path, capsys):
    ada, bob = (own_work(tmp_path / name, seed=seed, author=name) for seed, name in enumerate(("ada", "bob")))
    own_work(tmp_path / "eve", seed=0, author="eve")
    for name in ("ada", "bob", "eve"):
        hand_in(tmp_path, f"{name}.zip", task5=(tmp_path / name / f"{TASKS[4]}.html").read_bytes())
    code, hand_ins = lines(capsys, *sorted(tmp_path.glob("*.zip")))
    assert code == 0  # a flag is for a person to look at
    flags = "{0} (predictions of {1}); {0} (records of {1})"
    assert hand_ins["ada.zip"]["same_as"] == flags.format(tmp_path / "eve.zip", TASKS[4])
    assert hand_ins["eve.zip"]["same_as"] == flags.format(tmp_path / "ada.zip", TASKS[4])
    assert hand_ins["bob.zip"]["same_as"] == ""
    _, words = checked(capsys, ada, bob, tmp_path / "ada.zip")
    assert f"  FLAG: same page as {tmp_path / 'ada.zip'}\n" in words
    assert words.count("FLAG") == 6  # page, predictions and records, both ways


def test_pages_of_one_hand_in_may_share_a_training(tmp_path, capsys):
    """Task 4 trains the network that task 5 tests."""
    for name in TASKS[3:]:
        bundle = sample_page.bundle(own=["record 1"])
        sample_page.page(tmp_path, name, content=sample_page.cells(bundle))
    _, words = checked(capsys, *tmp_path.glob("*.html"))
    assert "FLAG" not in words


@pytest.mark.parametrize(("old", "new"), [
    ("<p>The gap between", "<!-- look here --><p>The gap between"),
    ("<!--§ prose: text 4", "<!--§ prose: text four"),
    ("<p>The gap between", "<!-- a note\nof two lines -->\n\n<p>The gap between"),
])  # fmt: skip
def test_an_edit_of_a_comment_is_told_from_an_edit_of_a_number(page, tmp_path, capsys, old, new):
    code, words = checked(capsys, edited(page, tmp_path, old, new))
    assert code == 1
    assert "CHANGED since export, in HTML comments alone" in words
    assert words.count(COMMENTS) == words.count("changed: ") == 1
    both = edited(page, tmp_path, old, new)
    both.write_text(both.read_text(encoding="utf-8").replace("0.8503</td>", "0.9503</td>"), encoding="utf-8")
    _, words = checked(capsys, both)
    assert "CHANGED since export (" in words
    assert "0.9503" in words and COMMENTS in words


@pytest.mark.parametrize("hidden", ["<!--> 0.99 <!-- -->", "<!---> 0.99 <!-- -->", "<!-- --!> 0.99 <!-- -->"])
def test_what_only_looks_like_a_comment_is_read(page, tmp_path, capsys, hidden):
    """A browser ends these comments before the number."""
    _, words = checked(capsys, edited(page, tmp_path, "<p>The gap between", f"{hidden}<p>The gap between"))
    assert "CHANGED since export (" in words
    assert COMMENTS not in words


@pytest.mark.parametrize(("old", "new"), [
    ("<style>", "<style><!-- td.num { font-size: 0 } -->"), ('<p class="home">', '<p <!-- hidden --> class="home">'),
    ('<p class="home">', '<p title="<!-- said -->" class="home">'), ("<title>", "<title><!-- another --> "),
    ("<p>The gap between", "<style><!-- p { display: none } -->\n<p>The gap between"),
])  # fmt: skip
def test_inside_a_style_a_tag_or_the_title_there_are_no_comments(page, tmp_path, capsys, old, new):
    """A browser obeys them there, or shows them."""
    _, words = checked(capsys, edited(page, tmp_path, old, new))
    assert "CHANGED since export (" in words
    assert COMMENTS not in words


def test_facts_in_somebodys_comment_are_not_those_of_the_page(tmp_path, capsys):
    run = base.to_json({"status": "complete", "budget": "full", "author": "Nobody", "notebook": "task5"})
    spoof = f'<!-- <script id="run" type="application/json">{run}</script> -->'
    content = [*sample_page.cells(), sample_page.new_markdown_cell(f"Words. {spoof}")]
    _, words = checked(capsys, sample_page.page(tmp_path, content=content))
    assert "untouched since export (complete, standard budget)" in words


def test_a_displayed_table_of_windows_is_no_edit(tmp_path, capsys):
    table = sample_page.new_markdown_cell("<p>one\r\ntwo</p>")
    code, words = checked(capsys, sample_page.page(tmp_path, content=[*sample_page.cells(), table]))
    assert code == 0 and "untouched" in words


def test_a_comment_of_the_page_itself_may_be_edited_and_is_told(tmp_path, capsys):
    content = [*sample_page.cells(), sample_page.new_markdown_cell("Read <!-- once --> 54,000 images.")]
    page = sample_page.page(tmp_path, content=content)
    folder = tmp_path / "edited"
    folder.mkdir()
    if "<!-- once -->" in page.read_text(encoding="utf-8"):
        _, words = checked(capsys, edited(page, folder, "<!-- once -->", "<!-- twice -->"))
        assert "in HTML comments alone" in words
    _, words = checked(capsys, edited(page, folder, "54,000 images.</p>", "64,000 images.</p>"))
    assert "now reads: " in words and COMMENTS not in words


def test_a_hand_in_that_lacks_pages_is_not_complete(tasks, tmp_path, capsys):
    without = {name: data for name, data in tasks.items() if "task3" not in name}
    hand_in(tmp_path, "three.zip", **without)
    seal_of = sealed.examine(tasks[TASKS[0]])["seal"]
    index = sealed_index(tmp_path / "in", {f"{TASKS[0]}.html": seal_of, "study_a.html": "0" * 64}).read_bytes()
    hand_in(tmp_path, "study.zip", index=index, **tasks)
    plain = sample_page.page(tmp_path, TASKS[1], status="complete, no results").read_bytes()
    hand_in(tmp_path, "plain.zip", **{**tasks, TASKS[1]: plain})
    _, hand_ins = lines(capsys, *sorted(tmp_path.glob("*.zip")))
    answers = {name: (cells["complete"], cells["missing"]) for name, cells in hand_ins.items()}
    assert answers == {"three.zip": ("no", "task3"), "study.zip": ("no", "study_a"), "plain.zip": ("yes", "")}


def test_archives_that_cannot_be_read_say_so(tasks, tmp_path, capsys):
    whole = hand_in(tmp_path, "whole.zip", **tasks).read_bytes()
    hand_in(tmp_path, "none.zip")
    (tmp_path / "cut.zip").write_bytes(whole[:-4000])
    (tmp_path / "spoilt.zip").write_bytes(whole[:1000] + bytes(20) + whole[1020:])
    (tmp_path / "page.zip").write_bytes(tasks[TASKS[0]])
    (tmp_path / "rar.ZIP").write_bytes(b"Rar!\x1a\x07\x01\x00" + bytes(99))
    code, hand_ins = lines(capsys, *sorted(tmp_path.glob("*.[zZ]*")))
    assert code == 1
    wrong = {name: cells for name, cells in hand_ins.items() if name != "whole.zip"}
    assert len(wrong) == 5 and all(
        c["problem"] and (c["complete"], c["untouched"]) == ("no", "no") for c in wrong.values()
    )
    for name in ("page.zip", "rar.ZIP", "cut.zip"):
        assert "not a zip archive, or only a part of one" in hand_ins[name]["problem"]


@pytest.mark.parametrize("options", [[], ["--csv"]])
def test_a_reader_who_has_read_enough_is_no_error(page, alone, options):
    """As `python3 check.py ... | head -1`: the pipe closes while there is more to print."""
    command = [sys.executable, str(alone), str(page), *options]
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, timeout=60)
    os.close(write)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("value", "printed", "right"),
    [
        (0.905833, "0.9058 ± 0.0101", True), (0.905833, "0.9059", False), (0.905833, "0.91", True),
        (0.51, "1", False), (11785.92, "11,786 images/s", True), (11785.92, "11,787 images/s", False),
        (0.0111, "1.11 %", True), (0.0111, "1.2 %", False), (2.5e-7, "2.5 × 10⁻⁷", True), (2.5e-7, "2.5 × 10⁻⁶", False),
        (None, "–", True), (None, "0.5", False), (-0.0123, "-0.0123", True), (0.0123, "-0.0123", False),
        (12.0, "12", True), (12.0, "13", False), (786.5817491999996, "787 s", True), (786.58, "797 s", False),
    ],
)  # fmt: skip
def test_a_printed_number_is_the_value_rounded(value, printed, right):
    assert sealed.prints(printed, value) == right


def test_what_pages_print_passes_for_what_it_is():
    """Every way in which a page writes a number is read as that number."""
    draw = np.random.default_rng(0)
    for name in ("test_accuracy", "seconds", "block.share", "train_loss", "parameters"):
        for value in [*draw.uniform(-1, 1, 200), *(10.0 ** draw.uniform(-9, 9, 200)), 0.0, 1.0, 60000.0]:
            assert sealed.prints(number(value, name=name, std=abs(value) / 7, unit="s"), value), (name, value)


def test_a_page_exchanged_for_another_export_is_refuted(page, tmp_path, capsys):
    """The index lists the hash of each page, so a whole page cannot be exchanged."""
    manifest = sealed.embedded(page.read_text(encoding="utf-8"), "manifest")
    index = sealed_index(page.parent, {page.name: manifest["file"]})
    assert checked(capsys, index, page)[0] == 0
    other = sample_page.page(tmp_path, author="Somebody else")
    index = sealed_index(tmp_path, {page.name: manifest["file"]})
    code, words = checked(capsys, index, other)
    assert code == 1
    assert "not the page that the index lists" in words


def sealed_index(folder, pages):
    """An index in `folder` that lists `pages` (name -> seal)."""
    shell = '<script id="results" type="application/json">@@RESULTS@@</script>'
    shell += '<script id="run" type="application/json">@@RUN@@</script><p>@@HASHES@@</p><!--§ manifest: it-->'
    shell += '<script id="manifest" type="application/json">@@MANIFEST@@</script>'
    folder.mkdir(exist_ok=True)
    path = folder / "index.html"
    path.write_text(seal(shell, {}, {"status": "index", "pages": pages}), encoding="utf-8")
    return path


@pytest.fixture
def two_students(page, tmp_path):
    """The folders of two students, each with a page of one name and an index of its own."""
    folders = []
    for name in ("ada", "bob"):
        folder = tmp_path / name
        folder.mkdir()
        copy = sample_page.page(folder, page.stem, author=name)
        seal_of = sealed.examine(copy.read_bytes())["seal"]
        sealed_index(folder, {copy.name: seal_of})
        folders.append(folder)
    return folders


def test_an_index_speaks_for_its_own_folder(two_students, tmp_path, capsys):
    ada, bob = two_students
    files = sorted([*ada.glob("*.html"), *bob.glob("*.html")])
    assert checked(capsys, *files)[0] == 0
    both = tmp_path / "both.zip"
    with zipfile.ZipFile(both, "w") as archive:
        for path in files:
            archive.write(path, path.relative_to(tmp_path))
    assert checked(capsys, both)[0] == 0
    assert checked(capsys, both, *files)[0] == 0
    page = next(path for path in files if path.name != "index.html" and path.parent == bob)
    page.write_bytes((ada / page.name).read_bytes())
    code, words = checked(capsys, *files)
    assert (code, words.count("not the page that the index lists")) == (1, 1)
    assert f"{page}: REFUTED" in words


def test_two_indices_in_one_folder_both_count(two_students, capsys):
    ada, bob = two_students
    (ada / "index (1).html").write_bytes((bob / "index.html").read_bytes())
    assert checked(capsys, *sorted(ada.glob("*.html")))[0] == 0


def test_what_macos_adds_and_a_foreign_page_change_nothing(page, tmp_path, capsys):
    extra = {"__MACOSX/reports/._page.html": b"\0\5\26\7", "reports/._page.html": b"\0\5\26\7"}
    foreign = {"reports/notes.html": b"<p>my notes</p>", "reports/exported.html": b"\xff\xfe<p>"}
    path = tmp_path / "finder.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in {"reports/page.html": page.read_bytes(), **extra, **foreign}.items():
            archive.writestr(name, data)
    code, words = checked(capsys, path)
    assert code == 0
    assert words.count("left out, carries no manifest: not a page of this project") == 2
    assert "._" not in words
    _, table = checked(capsys, path, "--csv")
    [cells] = csv.DictReader(io.StringIO(table))
    assert (cells["missing"], cells["untouched"]) == ("task1+task2+task3+task5", "yes")
    assert "reports/notes.html: left out" in cells["problem"]


def test_a_page_with_nothing_of_ours_left_is_missed_where_the_index_lists_it(page, tmp_path, capsys):
    index = sealed_index(tmp_path / "in", {page.name: sealed.examine(page.read_bytes())["seal"]})
    path = tmp_path / "stripped.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(index, "index.html")
        archive.writestr(page.name, "<p>accuracy 0.99</p>")
    code, words = checked(capsys, path)
    assert code == 1
    assert "the index lists one" in words


def test_a_zip_with_foreign_pages_alone_holds_none(tmp_path, capsys):
    path = hand_in(tmp_path, "foreign.zip", notes="<p>mine</p>")
    code, words = checked(capsys, path)
    assert code == 1
    assert "holds no page of this project" in words
