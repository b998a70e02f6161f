"""export.py: what a page holds, what it leaves out, and what it refuses."""

import base64
import io
import json
import re

import nbformat
import numpy as np
import pandas as pd
import pytest
import sample_page
from bs4 import BeautifulSoup, Comment
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output
from PIL import Image

from helpers.base import CourseworkError
from helpers.report import check, sealed
from helpers.report.export import facts
from helpers.report.export.export import LARGE
from helpers.report.export.facts import duration, moment
from helpers.report.export.pieces import stream_text, with_references
from helpers.report.export.seal import seal


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    return sample_page.page(tmp_path_factory.mktemp("pages")).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def soup(text):
    return BeautifulSoup(text, "html.parser")


def export(tmp_path, *content, **state):
    """The page of a few cells and a published result, parsed."""
    end = new_code_cell("page.finish()", execution_count=9)
    end.outputs = [new_output("display_data", {sample_page.BUNDLE: sample_page.bundle(), "text/plain": ""})]
    path = sample_page.page(tmp_path, content=[*content, end], **state)
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


def code(*outputs, source="run()"):
    return new_code_cell(source, execution_count=1, outputs=list(outputs))


def html(markup):
    return code(new_output("display_data", {"text/html": markup}))


def markdown(source):
    return new_markdown_cell(source)


def test_the_same_run_gives_the_same_bytes(tmp_path, text):
    again = sample_page.page(tmp_path).read_text(encoding="utf-8")
    assert again == text
    assert len(text.encode()) < 100_000


def test_nothing_is_fetched_and_nothing_runs(soup):
    assert {script["type"] for script in soup("script")} == {"application/json"}
    assert all(image["src"].startswith("data:image/") for image in soup("img"))
    assert not soup(["link", "iframe", "object"], href=lambda href: href != "data:,")
    assert "url(" not in soup.style.text and "@import" not in soup.style.text
    assert "default-src 'none'" in soup.find("meta", attrs={"http-equiv": True})["content"]


def test_headings_ids_and_contents(soup):
    assert [h.text for h in soup("h1")] == ["Task 4: training the network"]
    assert [h.name for h in soup(re.compile("^h[2-6]$"))][:4] == ["h2", "h3", "h2", "h2"]  # written ##, ####, ##, ##
    ids = [tag["id"] for tag in soup(id=True)]
    assert len(ids) == len(set(ids))
    links = [a["href"][1:] for a in soup.nav("a")]
    assert links == ["training", "its-schedule", "curves", "result", "published-results", "provenance",
                     "manifest-of-hashes"]  # fmt: skip
    assert set(links) <= set(ids)


def test_equal_and_strange_headings_get_ids_of_their_own(tmp_path):
    page = export(tmp_path, markdown("## Loss\n## Loss\n## Größe `x`\n## 損失\n## Provenance\n# Late title"))
    ids = [h["id"] for h in page.main(re.compile("^h[1-6]$"))]
    assert ids[:6] == ["loss", "loss-2", "groe-x", "section", "provenance-2", "late-title"]
    assert page.h1.text == sample_page.STATE["title"]  # no title before the first section: the build's own


def test_facts_stand_above_the_title(soup):
    before = [tag.name for tag in soup.header(["dl", "h1", "p"])]
    assert before.index("dl") < before.index("h1")
    facts = dict(zip([dt.text for dt in soup.header("dt")], [dd.text for dd in soup.header("dd")]))
    assert facts == {"Status": "complete", "Budget": "standard", "Data": "Fashion-MNIST (data folder)",
                     "Made": "20 November 2026, 10:15 UTC", "Took": "3 min 5 s", "Changed": "lr = 0.05",
                     "Author": "A. Student"}  # fmt: skip


@pytest.mark.parametrize(("state", "words"), [
    ({"status": "failed", "reason": "code cell 7: ValueError: no"}, "marked “failed”: code cell 7: ValueError: no."),
    ({"status": "stale"}, "marked “stale”."),
    ({"data": {"name": "digits28", "title": "Digits", "standin": True}}, "Stand-in data: no number here"),
    ({"budget": "smoke"}, "Smoke budget"),
    ({}, "Reduced budget (standard): 1 of 4 results come from shortened trainings"),
])  # fmt: skip
def test_banners_say_it_in_words(tmp_path, state, words):
    notes = export(tmp_path, markdown("# T"), **state).header(role="note")
    assert any(words in note.text for note in notes)
    assert all(note.name == "p" for note in notes)


def test_a_full_run_on_real_data_has_no_banner(tmp_path):
    results = {k: {**r, "share": 1.0} for k, r in sample_page.bundle()["results"].items()}
    path = sample_page.page(tmp_path, content=sample_page.cells(sample_page.bundle(results=results)), budget="full")
    assert 'role="note"' not in path.read_text(encoding="utf-8")


def test_formulas_are_mathml_with_their_tex(soup):
    formulas = soup("math")
    assert len(formulas) == 2
    assert formulas[0].annotation.text == r"p_k = \frac{e^{z_k}}{\sum_j e^{z_j}}"
    assert formulas[1]["display"] == "block"
    assert "$" not in soup.main.p.text


def test_a_formula_that_mathml_lacks_stops_the_export(tmp_path):
    with pytest.raises(CourseworkError) as error:
        export(tmp_path, markdown("Look: $\\foo x$"))
    assert str(error.value) == 'task4_training: formula \\foo x: Unknown command "\\foo"'


def test_latex_environments_and_outputs(tmp_path):
    output = new_output("display_data", {"text/latex": "$$W^T x$$", "text/plain": "W"})
    page = export(tmp_path, markdown("\\begin{aligned} a &= b \\\\ c &= d \\end{aligned}"), code(output))
    assert [m.annotation.text[:7] for m in page("math")] == ["\\begin{", "W^T x"]


def test_code_is_folded_under_words(soup):
    folds = soup(class_="code")
    assert [fold.label.text for fold in folds] == [
        "Code: the parameters · 4 lines",
        "Code: The coursework's network, trained on 54,000 images · 9 lines",
        "Code of figure 1 · 1 line",
        "Code of tables 2 and 3 · 2 lines",
        "Code of the text below · 1 line",
        "Code: the page ends, its results are handed over · 1 line",
    ]
    assert all(fold.input["id"] == fold.label["for"] and not fold.input.get("checked") for fold in folds)
    assert "optimiser = torch.optim.SGD" in folds[1].pre.text
    assert folds[1].pre.find(class_="k")


def test_html_that_is_no_table_is_not_called_one(tmp_path):
    page = export(tmp_path, html("<div>Pipeline</div>"), html("<table><tr><td>1</td></tr></table>"), html("<p>b</p>"))
    comments = [str(c) for c in page.find_all(string=lambda text: isinstance(text, Comment)) if str(c).startswith("§")]
    assert [c for c in comments if "display" in c] == ["§ html: display 1", "§ html: display 2"]
    labels = [fold.label.text for fold in page(class_="code")][:3]
    assert labels == [
        "Code of the display below · 1 line",
        "Code of table 1 · 1 line",
        "Code of the display below · 1 line",
    ]


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("import a\nfrom b import c", "Code: imports"),
        ("import helpers as mu\npage = mu.begin('x', globals())", "Code: the page begins, its parameters are checked"),
        ("def first_labels(x):\n    return x\n\nclass _Net:\n    pass", "Code: defines first labels and Net"),
        ("x = 1\ny = 2", "Code"),
    ],
)
def test_a_fold_without_outputs_says_what_its_code_does(tmp_path, source, says):
    assert export(tmp_path, code(source=source)).find(class_="code").label.text.partition(" · ")[0] == says


def test_a_cell_tagged_unfolded_is_open(tmp_path):
    cell = code(source="x = 1")
    cell.metadata["tags"] = ["unfolded"]
    assert export(tmp_path, cell).find(id="fold-1").has_attr("checked")


def test_pages_lead_to_their_neighbours(soup, tmp_path):
    beside = [[(a["href"], a.text) for a in line("a")] for line in soup(class_="beside")]
    assert beside[0] == beside[1]
    assert beside[0] == [
        ("task3_loss_and_optimizer.html", "Task 3: loss and optimiser"),
        ("task5_final_accuracy.html", "Task 5: final accuracy"),
    ]
    alone = sample_page.page(tmp_path, "my_notebook").read_text(encoding="utf-8")
    assert 'class="beside"' not in alone


def test_the_notebook_travels_with_its_page(soup):
    link = soup.find("a", download="task4_training.ipynb")
    kind, _, data = link["href"].partition(",")
    notebook = nbformat.reads(base64.b64decode(data).decode(), as_version=4)
    nbformat.validate(notebook)
    assert kind == "data:application/x-ipynb+json;base64"
    assert [cell.source for cell in notebook.cells] == [cell.source for cell in sample_page.cells()]
    assert not any(cell.get("outputs") for cell in notebook.cells)


def test_headings_figures_and_tables_can_be_linked_to(tmp_path):
    prose = "As figure 1 and Table 2 show, unlike Table 1 of report A, Figure 9 and `figure 1`."
    page = export(tmp_path, markdown("## Curves of [A](a.html)\n## Curves"), *sample_page.cells()[3:8], markdown(prose))
    assert [(h.a["href"], h.text) for h in page.main("h2")[:2]] == [("a.html", "Curves of A"), ("#curves", "Curves")]
    paragraph = next(p for p in page.main("p") if p.text.startswith("As figure 1"))
    assert [(a["href"], a.text) for a in paragraph("a")] == [("#figure-1", "figure 1"), ("#table-2", "Table 2")]
    assert all(page.find(id=a["href"][1:]) for a in paragraph("a"))
    assert page.figcaption.a["href"] == "#figure-1"


def test_negative_numbers_have_a_minus_sign(tmp_path):
    frame = pd.DataFrame({"row": ["a", "b"], "gap": [-0.25, 0.5], "why": ["-3 ± 1 (-2 to 4), 1-2, x-1", "1e-5"]})
    text = "It fell by -0.5 to -12, in `-1` and 2020-01-02."
    page = export(tmp_path, html(frame.to_html(index=False)), markdown(text))
    cells = [[cell.text for cell in row("td")] for row in page.main.table("tr")[1:]]
    assert cells == [["a", "−0.25", "−3 ± 1 (−2 to 4), 1-2, x-1"], ["b", "0.50", "1e-5"]]
    assert "It fell by −0.5 to −12, in -1 and 2020-01-02." in [p.text for p in page.main("p")]


def test_wide_tables_can_be_stacked_and_narrow_ones_stand(tmp_path):
    claims = pd.DataFrame({"claim": ["A1"], "statement": ["a larger learning rate destroys it"], "verdict": ["not"]})
    page = export(tmp_path, html(claims.to_html(index=False)), html(claims[["claim", "verdict"]].to_html(index=False)))
    wide, narrow = page.main("table")[:2]
    assert wide["class"] == ["stack"] and "class" not in narrow.attrs
    assert wide["style"] == "--c1: 'claim: '; --c2: 'statement: '; --c3: 'verdict: '"


def test_long_printouts_are_cut_and_progress_is_gone(soup):
    [pre] = soup("pre", class_="printout")
    assert "\n... 50 lines omitted ...\n" in pre.text
    assert pre.text.startswith("epoch 0 loss") and pre.text.endswith("epoch 89 loss 0.011")
    assert "it/s" not in soup.main.text and "HBox" not in soup.main.text


def test_printed_text():
    assert stream_text("a\rab\rabc\n") == "abc"
    assert stream_text("\x1b[31mred\x1b[0m") == "red"
    assert stream_text("x" * 3000).endswith("x ... 1,000 characters omitted")
    assert (
        stream_text("1%|#   | 1/100 [00:01<00:09, 9it/s]\nUserWarning: careful\n", stderr=True)
        == "UserWarning: careful"
    )
    assert stream_text("\n".join("abcdefg" * 6), stderr=False).count("\n") == 40
    assert stream_text("\n" * 500) == ""


def test_figures_have_caption_alt_size_and_data(soup):
    [figure] = soup("figure")
    assert figure.img["alt"] == "Training loss falls from 0.81 to 0.42 in three epochs."
    assert figure.figcaption.text == "Figure 1. The loss of both parts, epoch by epoch."
    assert (figure.img["width"], figure.img["height"]) == ("770", "374")
    rows = [[cell.text for cell in row(["th", "td"])] for row in figure.details("tr")]
    assert rows == [
        ["epoch", "training", "validation"],
        ["1", "0.81", "0.72"],
        ["2", "0.52", "0.55"],
        ["3", "0.42", "0.49"],
    ]
    assert not any(cell.get("class") for cell in figure.details("td"))  # numbers; words have the class text
    assert soup.main.text.count("The loss of both parts") == 1  # the caption for JupyterLab is not repeated


def test_pictures_keep_every_pixel(soup):
    kind, data = re.fullmatch(r"data:image/(\w+);base64,(.*)", soup.figure.img["src"]).groups()
    original = sample_page.figure_output().data["image/png"]
    pictures = [Image.open(io.BytesIO(base64.b64decode(d))).convert("RGB") for d in (data, original)]
    assert kind == "webp"
    assert len(data) < len(original)
    assert np.array_equal(*map(np.asarray, pictures))


def test_long_data_is_cut_in_the_page_and_whole_in_its_link(tmp_path):
    output = sample_page.figure_output()
    output.metadata["image/png"]["data"] = "epoch,loss,model\n" + "".join(f"{i},{1 / i:.4f},a\n" for i in range(1, 251))
    figure = export(tmp_path, code(output)).figure
    assert len(figure.tbody("tr")) == 10
    assert figure.caption.text == "The first 10 of 250 rows"
    assert figure.find("a", download=True)["href"].count("%0A") == 251
    assert figure.find("a", download=True)["download"] == "task4_training-figure-1.csv"
    assert [th.get("class") for th in figure("th")] == [None, None, ["text"]]


@pytest.mark.parametrize("alt", [None, "", "  "])
def test_a_figure_without_alt_text_stops_the_export(tmp_path, alt):
    with pytest.raises(CourseworkError, match=r"task4_training: code cell 1: a figure without alt text; show it with"):
        export(tmp_path, code(sample_page.figure_output(alt)))
    assert not (tmp_path / "task4_training.html").exists()
    assert export(tmp_path, code(sample_page.figure_output(alt)), status="failed").figure.img["alt"]


def test_a_run_that_published_nothing_stops_the_export(tmp_path):
    for content in ([markdown("# T")], sample_page.cells(sample_page.bundle(results={}))):
        with pytest.raises(CourseworkError, match="published no results; call"):
            sample_page.page(tmp_path, content=content)
    path = sample_page.page(tmp_path, content=[markdown("# T")], status="failed")
    assert check.main([str(path)]) == 0


@pytest.mark.parametrize("markup", [
    '<img src="https://example.org/a.png" alt="a">', '<img src="a.png" alt="a">', '<script>alert(1)</script>',
    '<script src="data:text/javascript,1"></script>', '<p onclick="x()">a</p>', "<iframe></iframe>",
    '<a href="javascript:x()">a</a>', '<link rel="stylesheet" href="a.css">', '<p style="background:url(a.png)">a</p>',
    "<style>@import 'a.css';</style>", '<style type="text/css">p { background: url(a.png) }</style>',
    '<video poster="a.png"></video>', '<img src="data:image/png;base64,AA==" alt="">', '<p id="content">a</p>',
    '<form action="https://example.org"></form>', '<img srcset="a.png" src="data:," alt="a">',
    '<meta http-equiv="Refresh" content="0; url=https://example.org">', '<base href="https://example.org/">',
    '<svg><image href="https://example.org/a.png"></image></svg>', '<svg><use xlink:href="a.svg#b"></use></svg>',
    '<a href="JavaScript:x()">a</a>', '<a href="data:text/html,x">a</a>', '<button formaction="https://x.org">a</button>',
    '<img srcset="data:, 1x, https://x.org/a.png 2x" src="data:," alt="a">', '<p style="background:URL(a.png)">a</p>',
 '<style>p::before { content: "<" } @IMPORT "a.css";</style>',
])  # fmt: skip
def test_the_gate_refuses(tmp_path, markup):
    with pytest.raises(CourseworkError, match=r"^task4_training: ") as error:
        export(tmp_path, html(markup))
    assert "\n" not in str(error.value)


def test_a_link_is_not_put_into_a_link():
    html = "<h2>Why <code>lr</code> wins in Table 1</h2> See Table 1, <a href='x.html'><code>a</code> of Table 1</a>"
    linked = 'See <a href="#table-1">Table 1</a>'
    assert with_references(html, {"table-1"}) == html.replace("See Table 1", linked)


def test_results_beyond_what_check_reads_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(sealed, "JSON", 500)
    with pytest.raises(CourseworkError, match=r"its results are [\d,]+ characters, at most 500: publish fewer"):
        sample_page.page(tmp_path)


def test_prose_tagged_as_an_opening_is_prose(tmp_path):
    opening = markdown("In short: it works.")
    opening["metadata"]["tags"] = ["opening"]
    assert "In short: it works." in export(tmp_path, opening).main.text


def test_links_and_embedded_images_pass(tmp_path):
    picture = sample_page.figure_output().data["image/png"]
    (tmp_path / "drawing.png").write_bytes(base64.b64decode(picture))
    attached = markdown("![attached](attachment:a.png)")
    attached["attachments"] = {"a.png": {"image/png": picture}}
    page = export(tmp_path, markdown("[d2l](https://d2l.ai), ![a drawing](drawing.png)"), attached)
    assert [image["alt"] for image in page("img")] == ["a drawing", "attached"]
    assert all(image["src"].startswith("data:image/png;base64,") for image in page("img"))


def test_tables_have_caption_scopes_and_numbers_to_the_right(soup):
    tables = soup.main("table")
    assert [t.caption.text.strip() for t in tables[:2]] == ["Table 1.", "All rows"]
    table = next(t for t in tables if "Accuracy by row" in t.caption.text)
    assert table.caption.text == "Table 2. Accuracy by row"
    assert table.parent.attrs == {"class": ["table"], "id": "table-2", "role": "region", "tabindex": "0",
                                  "aria-label": "Table 2. Accuracy by row"}  # fmt: skip
    assert [th["scope"] for th in table("th")] == ["col"] * 4 + ["row"] * 3
    assert [cell.get("class") for cell in table.tr(True)] == [None, ["num"], ["num"], ["num"]]
    assert all("style" not in cell.attrs for cell in table(True))
    assert soup.find(class_="wide").table.caption.text == "Table 3. Accuracy by row"


def test_a_plain_data_frame_is_mended(tmp_path):
    frame = pd.DataFrame({"optimiser": ["SGD", "Adam"], "accuracy": ["0.861 ± 0.002", "diverged"]})
    table = export(tmp_path, html(frame.to_html())).find("table", border=False)
    assert [cell.name for cell in table.tr(["td", "th"])] == ["td", "th", "th"]  # a heading without words is none
    assert [th["scope"] for th in table("th")] == ["col", "col", "row", "row"]
    assert "dataframe" not in str(table)


def test_columns_align_as_a_whole(tmp_path):
    frame = pd.DataFrame({"name": list("abc"), "accuracy": ["0.861 ± 0.002", "0.9", "diverged"]})
    table = export(tmp_path, html(frame.to_html(index=False))).main.table
    assert [cell.get("class") for cell in table(["td", "th"])] == [None, ["num"]] * 3 + [None, ["num", "words"]]


def test_sentences_in_tables_get_room(tmp_path):
    frame = pd.DataFrame({"claim": ["A1"], "statement": ["a larger learning rate destroys the training"]})
    table = export(tmp_path, html(frame.to_html(index=False))).main.table
    assert [th.get("class") for th in table("th")] == [None, ["long"]]


def test_a_styler_loses_its_colours(tmp_path):
    table = pd.DataFrame({"a": [1.5]}).style.set_caption("Styled").highlight_max().to_html()
    page = export(tmp_path, html(table))
    assert "Table 1. Styled" in page.main.caption.text
    assert len(page("style")) == 1


def test_errors_are_seen(tmp_path):
    error = new_output(
        "error", ename="ValueError", evalue="\x1b[31mno\x1b[0m", traceback=["\x1b[1mline 1\x1b[0m", "line 2"]
    )
    added = markdown('<span id="papermill-error-cell">An Exception was encountered</span>')
    added.metadata["tags"] = ["papermill-error-cell-tag"]
    page = export(tmp_path, added, code(error), status="failed")
    box = page.find(class_="error")
    assert "This cell failed: ValueError: no" in box.text
    assert box.pre.text == "line 1\nline 2"
    assert "An Exception was encountered" not in page.text


def test_results_stand_in_the_page(text, soup):
    bundle = sample_page.bundle()
    embedded, whole = sealed.embedded(text, "results"), json.loads(json.dumps(bundle))
    usual = {"unit": "", "standin": False, "budget": bundle["budget"], "records": [], "seeds": None}
    for key, result in embedded["results"].items():  # what goes without saying is left out
        assert usual | {"statuses": whole["results"][key]["statuses"]} | result == usual | whole["results"][key]
    assert embedded["results"]["high_rate.train_loss"]["statuses"] and "unit" not in embedded["results"]["train_loss"]
    assert embedded | {"results": 0} == whole | {"results": 0}
    rows = {row["data-key"]: [cell.text for cell in row("td")] for row in soup("tr", attrs={"data-key": True})}
    assert set(rows) == set(bundle["results"])
    assert rows["seconds"] == ["185 s", "1", ""]
    assert rows["train_loss"] == ["0.4213 ± 0.002", "3", "10\u00a0% of the full work"]
    assert rows["high_rate.train_loss"] == ["–", "0", "3 of 3 diverged"]


def test_a_page_names_records_by_their_place_among_those_it_used():
    results = {"a1.test_accuracy": {"value": 0.86, "n": 2, "records": ["second", "elsewhere"], "share": 1.0}}
    bundle = {"budget": "full", "used": [["study_a", "first", "1f"], ["study_a", "second", "2e"]], "results": results}
    page = seal('<script id="results" type="application/json">@@RESULTS@@</script>', bundle, {})
    assert sealed.embedded(page, "results")["results"]["a1.test_accuracy"]["records"] == [1, "elsewhere"]


def test_json_cannot_break_out_of_its_element(tmp_path):
    evil = "</script><img src=x onerror=alert(1)><!--"
    page = export(tmp_path, markdown("# T"), author=evil, changed={"name": evil})
    assert not page("img")
    assert sealed.embedded(str(page), "run")["author"] == evil


def test_the_facts_tell_trainings_made_here_from_those_read_from_records():
    counts = {"trained": 2, "from records": 14, "adopted, equal": 8}
    shown = dict(facts.facts({"provenance": {"trials": counts}}))
    assert shown["Trials"] == "2 new, 22 from records"
    assert dict(facts.facts({"provenance": {"trials": {"trained": 3}}}))["Trials"] == "3 new"
    assert "Trials" not in dict(facts.facts({"provenance": {"trials": {}}}))


def test_provenance_and_command(soup):
    rows = {row.th.text: row.td.text for row in soup.find("table", class_="provenance")("tr")}
    assert rows["git, commit"] == "0123456789abcdef0123456789abcdef01234567"
    assert rows["git, changed files"] == "yes"
    assert (rows["versions, torch"], rows["seeds of the trainings"], rows["data, stand-in"]) == (
        "2.13.0",
        "0, 1, 2",
        "no",
    )
    assert soup.find("pre", class_="command").text == sample_page.STATE["command"]


def test_hashes_stand_in_the_page(text, soup):
    rows = {row.th.text: row.td.text for row in soup.find("table", class_="hashes")("tr")}
    manifest = sealed.embedded(text, "manifest")
    assert rows["the whole file"] == manifest["file"] == sealed.digest(text.replace(manifest["file"], sealed.BLANK))
    parts = "".join(sealed.digest(content) for kind, _, content in sealed.sections(text) if kind == "code")
    assert rows["code (6 sections)"] == sealed.digest(parts)


def test_a_large_page_is_named(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (700, 700, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "png")
    picture = base64.b64encode(file.getvalue()).decode()
    output = new_output("display_data", {"image/png": picture}, metadata={"image/png": {"alt": "noise"}})
    with pytest.warns(UserWarning, match=r"task4_training\.html is \d\.\d MB"):
        export(tmp_path, code(output))
    assert (tmp_path / "task4_training.html").stat().st_size > LARGE


def test_other_notebooks_export_as_they_are(tmp_path):
    """Old cells, list-valued sources and outputs of no known kind: nothing breaks."""
    odd = new_output("display_data", {"application/vnd.unknown+json": {"a": 1}, "application/json": [1, 2]})
    svg = new_output("display_data", {"image/svg+xml": ["<svg xmlns='http://www.w3.org/2000/svg'>", "</svg>"]},
                     metadata={"image/svg+xml": {"alt": "empty"}})  # fmt: skip
    result = new_output("execute_result", {"text/plain": "Linear(in_features=1)"}, execution_count=1)
    page = export(tmp_path, nbformat.v4.new_raw_cell("raw"), code(odd, svg, result), code(source=" "))
    assert page.figure.img["src"].startswith("data:image/svg+xml;base64,")
    assert page.find("pre", class_="printout").text == "Linear(in_features=1)"


def test_times_in_words():
    assert [duration(s) for s in (None, 0.21, 42.4, 61, 7800)] == [
        "not known",
        "0.2 s",
        "42 s",
        "1 min 1 s",
        "2 h 10 min",
    ]
    assert moment(0) == "1 January 1970, 00:00 UTC"
    assert moment(None) == "not known"


def test_a_notebook_that_really_ran(tmp_path, monkeypatch):
    """page.py in a kernel, exported and checked: the two sides agree on what outputs look like."""
    from nbclient import NotebookClient

    cells = [
        "import numpy as np, pandas as pd, helpers as mu\nfrom helpers import figures",
        "budget: str = 'smoke'\nseed: int = 0\ndevice: str = 'cpu'\ndata: str = 'auto'",
        "page = mu.begin('task9_tiny', globals())",
        "labels = np.arange(10, dtype=np.uint8)\npage.publish('test_accuracy', [0.9], seeds=[0])\n"
        "page.predictions(labels, [np.where(labels < 9, labels, 0).astype(np.uint8)])",
        "frame = pd.DataFrame({'epoch': [1, 2, 3], 'loss': [0.9, 0.5, 0.4]})\n"
        "page.show(figures.curves(frame, 'epoch', ['loss']), 'The loss of {test_accuracy:.1f}.')",
        "page.table(frame, 'Loss by epoch')\npage.say('Accuracy {test_accuracy:.1f}')",
        "page.finish()",
    ]
    nb = nbformat.v4.new_notebook(cells=[markdown("# Tiny"), *(new_code_cell(cell) for cell in cells)])
    nb.cells[2].metadata["tags"] = ["parameters"]
    NotebookClient(nb, timeout=120, kernel_name="python3").execute()
    nbformat.write(nb, tmp_path / "tiny.ipynb")
    from helpers.report.export.export import page_html

    ran = nbformat.read(tmp_path / "tiny.ipynb", as_version=4)
    text = page_html(ran, {**sample_page.STATE, "notebook": "tiny"}, tmp_path)
    (tmp_path / "tiny.html").write_text(text, encoding="utf-8")
    page = BeautifulSoup((tmp_path / "tiny.html").read_text(encoding="utf-8"), "html.parser")
    assert page.figure.img["alt"] and page.figure.details
    assert page.figcaption.text == "Figure 1. The loss of 0.9."
    assert page.main.text.count("The loss of 0.9") == 1
    assert "Table 1. Loss by epoch" in page.text
    examined = sealed.examine((tmp_path / "tiny.html").read_bytes())
    assert (examined["accuracy"], examined["changed"], examined["refuted"]) == (0.9, [], [])
