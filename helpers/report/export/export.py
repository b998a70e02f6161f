"""One executed notebook -> one self-contained HTML page that needs no network and no script.

The notebook becomes a flat list of parts (prose, code, figure, table ...), the template sets them, `gate` refuses a
page that would fetch something or hide a figure from a reader who cannot see it, `seal` writes the manifest of hashes.
"""

import csv
import io
import re
import urllib.parse
import warnings
from base64 import b64decode, b64encode
from collections import Counter
from pathlib import Path

import nbformat
from nbconvert import HTMLExporter
from nbconvert.filters.ansi import strip_ansi
from PIL import Image

from helpers.base import CourseworkError
from helpers.page.markup import with_minus_signs
from helpers.page.page import BUNDLE
from helpers.report.export.facts import COMPLETE, banners, facts, provenance_rows, result_rows, results_of
from helpers.report.export.folds import fold_words
from helpers.report.export.pieces import Prose, in_text, stream_text, with_references
from helpers.report.export.references import References
from helpers.report.export.seal import gate, seal
from helpers.report.export.sequence import neighbours

TEMPLATES = Path(__file__).parent
IMAGES = ("image/svg+xml", "image/png", "image/jpeg")
DATA_ROWS = 10  # rows of a figure's data that the page shows; its CSV link has all
PLAIN_TOKENS = re.compile(r'<span class="(?:n|p|o)">([^<]*)</span>')  # names, brackets, operators have no colour
LARGE = 1_000_000  # bytes; a page above is worth a word


def page_html(nb, state: dict, folder: Path) -> str:
    """The page of an executed notebook. `state` is what the build knows of the run (notebook, status, budget ...).

    Image files that its text shows are embedded from `folder`.

    Raises CourseworkError, in one line, on a figure without alt text, a formula that MathML lacks, a citation of a work
    that is not listed, anything that would be fetched from elsewhere, and a complete run that published nothing.
    """
    name = state["notebook"]
    nb.cells = [cell for cell in nb.cells if "papermill-error-cell-tag" not in cell.metadata.get("tags", [])]
    bundle = results_of(nb)
    if state.get("status") == "complete" and not bundle.get("results"):
        raise CourseworkError(f"{name}: published no results; call page.publish and end with page.finish()")
    prose = Prose(name, str(folder))
    parts = list(_parts(nb, name, prose, strict=state.get("status") == "complete"))
    anchors = {f"table-{number + 1}" for number in range(prose.tables.count)}
    anchors |= {f"figure-{part['number']}" for part in parts if part["kind"] == "figure"}
    references = References(name)
    for part in parts:
        if part["kind"] == "prose":
            part["html"] = with_references(part["html"], anchors)
        if part["kind"] in ("prose", "table"):
            part["html"] = in_text(references.link(part["html"]), with_minus_signs)
    page = {
        "notebook": name,
        "title": state.get("title") or name,
        "good": state.get("status") in COMPLETE,
        "parts": parts,
        "neighbours": neighbours(name),
        "source": _source(nb),
        "facts": facts(state),
        "banners": banners(state, bundle),
        "heading": prose.headings.title,
        "contents": prose.headings.entries,
        "references": references.listed(),
        "results": list(result_rows(bundle)),
        "provenance": list(provenance_rows(state)),
        "command": state.get("command") or "",
    }
    exporter = HTMLExporter(
        template_name="template", template_file="page.html.j2", extra_template_basedirs=[str(TEMPLATES)]
    )
    shell = nbformat.v4.new_notebook(metadata=nb.metadata)  # for the language of its code
    text, _ = exporter.from_notebook_node(shell, resources={"page": page})
    text = PLAIN_TOKENS.sub(r"\1", text)
    text = gate(seal(text, bundle, state), name)
    size = len(text.encode())
    if size > LARGE:
        warnings.warn(f"{name}.html is {size / 1e6:.1f} MB: fewer or smaller figures read better", stacklevel=2)
    return text


def _source(nb):
    """The notebook as it ran, without its outputs, as a data URI."""
    cells = []
    for cell in nb.cells:
        tags = cell.metadata.get("tags", [])
        empty = {"outputs": [], "execution_count": None} if cell.cell_type == "code" else {}
        cells.append({**cell, **empty, "metadata": {"tags": tags} if tags else {}})
    kernel = {name: nb.metadata[name] for name in ("kernelspec", "language_info") if name in nb.metadata}
    text = nbformat.writes(nbformat.from_dict({**nb, "cells": cells, "metadata": kernel}))
    return f"data:application/x-ipynb+json;base64,{b64encode(text.encode()).decode()}"


def _parts(nb, name, prose, strict):
    """The notebook as a flat list of parts for the template, in reading order.

    What a cell tagged `opening` puts out stands before the first code: the result, which is known only at the end.
    """
    counts = Counter()  # kind of part -> how many there are
    openings = [cell for cell in nb.cells if "opening" in cell.metadata.get("tags", [])]
    opening = [output for cell in openings for output in cell.get("outputs", [])]  # prose has none
    for cell in nb.cells:
        tags = cell.metadata.get("tags", [])
        if not cell.source.strip():
            continue
        if cell.cell_type == "markdown":
            text = cell.source
            for file, data in cell.get("attachments", {}).items():
                kind, content = next(iter(data.items()))
                text = text.replace(f"attachment:{file}", f"data:{kind};base64,{content}")
            yield _labelled("prose", text, counts, html=prose.html(text))
        elif cell.cell_type == "code":
            while opening:
                yield from _output(opening.pop(0), f"{name}: the opening", counts, prose, strict)
            lines = cell.source.strip().split("\n")
            part = _labelled("code", lines[0], counts, source=cell.source.strip(), lines=len(lines))
            shown = cell.outputs if "opening" not in tags else ()
            where = f"{name}: code cell {part['number']}"
            outputs = [each for output in shown for each in _output(output, where, counts, prose, strict)]
            yield {**part, "says": fold_words(cell.source, tags, outputs), "unfolded": "unfolded" in tags}
            yield from outputs


def _labelled(kind, words, counts, **part):
    """A part with its number and the label that check.py prints: 'code cell 3 (lr: float = 0.1)'."""
    counts[kind] += 1
    names = {"code": "code cell", "prose": "text", "error": "error message", "html": "display"}
    words = re.sub(r"-{2,}|[<>\n#*`|]+", " ", words).strip()[:50].strip()
    label = f"{names.get(kind, kind)} {counts[kind]}" + (f" ({words})" if words else "")
    return {"kind": kind, "number": counts[kind], "label": label, **part}


def _output(output, where, counts, prose, strict):
    if output.output_type == "stream":
        text = stream_text(output.text, stderr=output.name == "stderr")
        if text:
            yield _labelled("printout", text.split("\n")[0], counts, text=text, stderr=output.name == "stderr")
    elif output.output_type == "error":
        text = stream_text("\n".join(output.traceback))
        yield _labelled("error", output.ename, counts, text=text, name=f"{output.ename}: {strip_ansi(output.evalue)}")
    elif BUNDLE not in output.data and not output.metadata.get("coursework", {}).get("role"):
        yield from _displayed(output, where, counts, prose, strict)


def _displayed(output, where, counts, prose, strict):
    data = output.data
    image = next((kind for kind in IMAGES if kind in data), None)
    if any("widget" in kind or "javascript" in kind for kind in data):
        return  # a progress bar of JupyterLab: nothing to read
    if "text/html" in data:
        caption = re.search(r"<caption>(.*?)</caption>", data["text/html"], re.DOTALL)
        counts["table"] = prose.tables.count  # those of the prose are counted, too
        kind = "table" if "<table" in data["text/html"] else "html"
        yield _labelled(kind, caption[1] if caption else "", counts, html=prose.tables.mend(data["text/html"]))
    elif "text/markdown" in data or "text/latex" in data:
        text = data.get("text/markdown") or data["text/latex"]
        yield _labelled("prose", text, counts, html=prose.html(text))
    elif image:
        yield _figure(image, data[image], output.metadata.get(image, {}), where, counts, strict)
    elif data.get("text/plain", "").strip():
        text = stream_text(data["text/plain"])
        yield _labelled("printout", text.split("\n")[0], counts, text=text, stderr=False)


def _figure(kind, data, about, where, counts, strict):
    """An image with alt text, caption and the data behind it."""
    alt = (about.get("alt") or "").strip()
    if not alt and strict:
        raise CourseworkError(f"{where}: a figure without alt text; show it with page.show(drawing, caption)")
    caption = about.get("caption") or ""
    part = _labelled("figure", caption, counts, alt=alt or "A figure without a description", caption=caption)
    part |= _picture(kind, data)
    if about.get("data"):
        rows = list(csv.reader(io.StringIO(about["data"])))
        part["rows"], part["count"] = rows[: DATA_ROWS + 1], len(rows) - 1
        columns = zip(*rows[1 : DATA_ROWS + 1])
        part["numeric"] = [all(_is_number(cell) for cell in column) for column in columns] or [False] * len(rows[0])
        part["shown_rows"] = (
            f"The first {DATA_ROWS} of {len(rows) - 1:,} rows" if len(rows) > DATA_ROWS + 1 else "All rows"
        )
        part["csv"] = "data:text/csv;charset=utf-8," + urllib.parse.quote(about["data"], safe=" ,.:/-+()=")
    return part


def _picture(kind, data):
    """The image as a data URI; a PNG as lossless WebP where that is smaller, with its size in pixels."""
    if kind == "image/svg+xml":
        return {"src": f"data:{kind};base64,{b64encode(data.encode()).decode()}"}
    raw = b64decode(data)
    image = Image.open(io.BytesIO(raw))
    smaller = io.BytesIO()
    if kind == "image/png" and not getattr(image, "is_animated", False):
        image.save(smaller, "webp", lossless=True, method=6)
        if smaller.tell() < len(raw):
            kind, raw = "image/webp", smaller.getvalue()
    src = f"data:{kind};base64,{b64encode(raw).decode()}"
    return {"src": src, "width": image.width, "height": image.height}


def _is_number(cell):
    return bool(re.fullmatch(r"\s*[-+]?(\d[\d.,]*(e[-+]?\d+)?|nan|inf)?\s*", cell, re.IGNORECASE))
