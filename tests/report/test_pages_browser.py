"""Pages in a real browser: no request, no error, readable by everybody, with the keyboard, on a phone, on paper.

The page is the sample of sample_page.py; COURSEWORK_PAGES names a folder of built pages to test as well.
"""

import itertools
import os
import re
from pathlib import Path

import pytest
import sample_page
from axe_playwright_python.sync_playwright import Axe
from nbconvert import HTMLExporter
from nbformat.v4 import new_markdown_cell

from helpers.claims.rubric import load_rubric
from helpers.report import index, sheet

pytestmark = pytest.mark.browser
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"], "resultTypes": ["violations"]}
BUILT = sorted(Path(os.environ["COURSEWORK_PAGES"]).glob("*.html")) if "COURSEWORK_PAGES" in os.environ else []
OPEN_ALL = (
    "document.querySelectorAll('details').forEach(fold => { fold.open = true });"
    "document.querySelectorAll('#all-code').forEach(box => { box.checked = true })"
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The sample and an index over it."""
    folder = tmp_path_factory.mktemp("reports") / "smoke"
    folder.mkdir()
    sample_page.page(folder)
    return folder, index.write_index(folder, [sample_page.STATE])


@pytest.fixture(scope="module", params=["sample", "index", *(path.name for path in BUILT)])
def file(request, made):
    if request.param == "sample":
        return made[0] / "task4_training.html"
    return made[1] if request.param == "index" else next(path for path in BUILT if path.name == request.param)


class View:
    """A page loaded with the network blocked, and what it asked for and complained about."""

    def __init__(self, browser, path, width=1280, **options):
        self.context = browser.new_context(viewport={"width": width, "height": 900}, offline=True, **options)
        self.page = self.context.new_page()
        self.requests, self.errors = [], []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda line: self.errors.append(line.text) if line.type == "error" else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(path.resolve().as_uri())
        self.requests = [url for url in self.requests[1:] if not url.startswith("data:")]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.context.close()


def violations(page) -> list[str]:
    """What axe finds against WCAG 2.2 AA, one line each."""
    broken_rules = Axe().run(page, options=RULES).response["violations"]
    return [f"{v['id']}: {node['target']} {node['failureSummary'][:300]}" for v in broken_rules for node in v["nodes"]]


def test_nothing_is_requested_and_nothing_complains(chromium, file):
    with View(chromium, file) as view:
        view.page.evaluate(OPEN_ALL)
        view.page.wait_for_timeout(200)
        assert (view.requests, view.errors) == ([], [])
        assert view.page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth)")


@pytest.mark.parametrize(("scheme", "width", "opened"), [
    ("light", 1280, False), ("light", 360, True), ("dark", 1280, True), ("dark", 360, False),
])  # fmt: skip
def test_axe_finds_nothing(chromium, file, scheme, width, opened):
    with View(chromium, file, width, color_scheme=scheme) as view:
        if opened:
            view.page.evaluate(OPEN_ALL)
        assert violations(view.page) == []
        paper = view.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (paper == "rgb(21, 24, 27)") == (scheme == "dark")


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_overflows(chromium, file, width):
    with View(chromium, file, width) as view:
        for _ in range(2):
            assert view.page.evaluate("document.documentElement.scrollWidth") <= width
            view.page.evaluate(OPEN_ALL)


def test_contents_and_folds_work_from_the_keyboard(chromium, file):
    with View(chromium, file) as view:
        seen = []
        for _ in range(400):
            view.page.keyboard.press("Tab")
            tag = view.page.evaluate("document.activeElement.closest('nav') ? 'NAV' : document.activeElement.tagName")
            seen.append(tag)
            if tag == "NAV" and seen.count("NAV") == 1:
                target = view.page.evaluate("document.activeElement.getAttribute('href')")
                outline = view.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
                view.page.keyboard.press("Enter")
                view.page.wait_for_function("location.hash != ''")
                assert view.page.evaluate("location.hash") == target
                assert outline == "solid"
            if tag == "SUMMARY":
                before = view.page.evaluate("document.activeElement.parentElement.open")
                view.page.keyboard.press("Enter")
                assert view.page.evaluate("document.activeElement.parentElement.open") != before
                break
        assert "NAV" in seen
        assert "SUMMARY" in seen or not view.page.locator("summary").count()


def test_one_box_opens_all_code_and_one_swaps_light_and_dark(chromium, made):
    hidden = "[...document.querySelectorAll('.code > .highlight')].filter(code => code.offsetHeight == 0).length"
    paper = "getComputedStyle(document.body).backgroundColor"
    for scheme in ("light", "dark"):
        with View(chromium, made[0] / "task4_training.html", color_scheme=scheme) as view:
            page, count = view.page, view.page.locator(".code").count()
            assert page.evaluate(hidden) == count > 1
            page.focus("#fold-2")
            page.keyboard.press("Space")
            assert page.evaluate(hidden) == count - 1
            assert page.evaluate("getComputedStyle(document.querySelector('#fold-2 ~ label')).outlineStyle") == "solid"
            page.focus("#all-code")
            page.keyboard.press("Space")
            assert page.evaluate(hidden) == 0
            before = page.evaluate(paper)
            page.focus("#other-scheme")
            page.keyboard.press("Space")
            assert {before, page.evaluate(paper)} == {"rgb(252, 251, 248)", "rgb(21, 24, 27)"}
            assert violations(page) == []
            page.emulate_media(media="print")
            assert page.evaluate(paper) == "rgb(255, 255, 255)"
        with View(chromium, made[0] / "task4_training.html") as view:
            view.page.emulate_media(media="print")
            assert view.page.evaluate(hidden) == 0


def test_a_wide_table_is_stacked_on_a_phone_and_whole_on_a_desk(chromium, made):
    clipped = "[...document.querySelectorAll('.table')].filter(t => t.scrollWidth > t.clientWidth + 1).length"
    for width in (390, 1280):
        with View(chromium, made[0] / "task4_training.html", width) as view:
            assert view.page.evaluate(clipped) == 0
            label = view.page.evaluate("getComputedStyle(document.querySelector('.stack td'), '::before').content")
            assert (label != "none") == (width == 390)


def test_every_link_of_the_contents_leads_to_a_heading(chromium, file):
    with View(chromium, file) as view:
        links = view.page.eval_on_selector_all("nav a", "links => links.map(link => link.getAttribute('href'))")
        assert len(links) == len(set(links)) >= 2
        for link in links:
            assert re.fullmatch("H[2-6]", view.page.evaluate(f"document.querySelector('{link}').tagName"))


def test_print_opens_every_fold_but_trails_data_and_long_results(chromium, file):
    with View(chromium, file) as view:
        view.page.emulate_media(media="print")
        for chosen, shown in ((":not(td *, .data, .on-screen)", True), (":is(td *, .data, .on-screen)", False)):
            folded = f"[...document.querySelectorAll('details{chosen} > *:not(summary, .small)')]"
            seen = view.page.evaluate(f"{folded}.map(part => part.checkVisibility() && part.offsetHeight > 5)")
            assert set(seen) <= {shown}
        assert view.page.evaluate("document.documentElement.scrollWidth") <= 1280
        assert view.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_the_printed_sample_holds_what_was_folded(chromium, tmp_path):
    """The PDF grows by what was folded: the text itself cannot be read back without another tool."""
    path = sample_page.page(tmp_path)
    unfolded = tmp_path / "unfolded.html"
    text = re.sub(r'<details(?! class="data")', "<details open", path.read_text(encoding="utf-8"))
    unfolded.write_text(text, encoding="utf-8")
    with View(chromium, path) as folded, View(chromium, unfolded) as opened:
        sizes = [len(re.findall(rb"/Type ?/Page\b", view.page.pdf())) for view in (folded, opened)]
    assert sizes[0] == sizes[1] >= 3


def test_landmarks_and_headings(chromium, file):
    with View(chromium, file) as view:
        count = {tag: view.page.locator(tag).count() for tag in ("h1", "header", "nav", "main", "footer")}
        assert set(count.values()) == {1}
        levels = view.page.eval_on_selector_all("h1,h2,h3,h4,h5,h6", "all => all.map(h => +h.tagName[1])")
        assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
        assert view.page.eval_on_selector_all("[id]", "all => all.length == new Set(all.map(e => e.id)).size")


def test_the_marking_sheet_of_five_tasks_is_one_page_to_print(chromium, tmp_path):
    spread = sample_page.bundle()["results"]["test_accuracy"]
    for task in load_rubric()["tasks"]:
        headings = [new_markdown_cell(f"## {heading}") for ask in task["asks"] for heading in ask.get("see", [])]
        results = {key: spread for ask in task["asks"] for key in ask.get("evidence", [])} | {"test_accuracy": spread}
        content = [*sample_page.cells(sample_page.bundle(results=results)), *headings]
        sample_page.page(tmp_path, task["page"], content=content, author="Somebody with a long name " * 3)
    with View(chromium, sheet.write_marking_sheet(tmp_path)) as view:
        assert violations(view.page) == []
        assert (view.requests, view.errors) == ([], [])
        assert len(re.findall(rb"/Type ?/Page\b", view.page.pdf(format="A4"))) == 1


def compare(browser, notebook: Path, ours: Path, folder: Path) -> list[tuple[str, int, int]]:
    """(what, default nbconvert export, ours) of the same executed notebook; the default may use the network in vain."""
    default = folder / "default.html"
    default.write_text(HTMLExporter().from_filename(str(notebook))[0], encoding="utf-8")
    columns = []
    for path in (default, ours):
        text = path.read_text(encoding="utf-8")
        with View(browser, path) as view:
            view.page.evaluate(OPEN_ALL)
            without = "No description has been provided for this image"
            images = view.page.eval_on_selector_all("img", "all => all.map(image => image.alt)")
            columns.append([
                len(text.encode()),
                len(view.requests),
                len(re.findall(r"<script(?![^>]*application/json)", text)),
                sum(alt in ("", without) for alt in images),
                len(violations(view.page)),
            ])  # fmt: skip
    names = ["bytes", "requests", "scripts", "images without alt", "axe violations"]
    return list(zip(names, *columns))


@pytest.mark.filterwarnings("ignore")
def test_better_than_a_default_export(chromium, tmp_path, capsys):
    ours = sample_page.page(tmp_path)
    rows = compare(chromium, tmp_path / "task4_training.ipynb", ours, tmp_path)
    with capsys.disabled():
        print(f"\n{'':20}{'nbconvert':>12}{'ours':>12}")
        for name, theirs, own in rows:
            print(f"{name:20}{theirs:>12,}{own:>12,}")
    default, own = ({name: row[i] for name, *row in rows} for i in (0, 1))
    assert own["bytes"] < default["bytes"] / 2
    assert [own[name] for name in ("requests", "scripts", "images without alt", "axe violations")] == [0] * 4
    assert default["requests"] > 0 and default["scripts"] > 0 and default["images without alt"] > 0
