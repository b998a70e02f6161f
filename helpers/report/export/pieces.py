"""The pieces of a page as HTML: headings that know of each other, formulas as MathML, tables, printouts."""

import html as htmllib
import re
import unicodedata

from bs4 import BeautifulSoup
from math_core import LatexError, LatexToMathML
from nbconvert.filters.ansi import strip_ansi
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

from helpers.base import CourseworkError

FIRST, LAST, WIDEST = 30, 10, 2000  # lines kept of a long printout, characters of a long line
PHONE, DESK = 36, 84  # characters beside each other on a phone, where a wider table is stacked, and on a desk
SENTENCE = 30  # characters of a cell that makes its column a wide one on a narrow screen
PROGRESS = r"\d+%\||\d+(\.\d+)?\s?(it/s|s/it)"
OTHERS = (  # ids that are not headings'
    r"(figure|table|fold|note)-\d+|reference-.*|"
    "content|results|run|manifest|published-results|provenance|manifest-of-hashes|references"
)
NUMBER = r"[-−+<>~±×%\s\d.,]*\d[-−+±×%\s\d.,e]*"


class Headings:
    """Slugs and levels of one page's headings: unique, no jump, a single title."""

    def __init__(self):
        self.title = None
        self.entries = []
        self._level = 1
        self._taken = set()

    def add(self, html: str, level: int) -> str:
        """A heading as HTML; the first `#` heading becomes the page's title and is not repeated in the text."""
        if level == 1 and self.title is None and not self.entries:
            self.title = html
            return ""
        self._level = level = max(2, min(level, self._level + 1))
        plain = unicodedata.normalize("NFKD", htmllib.unescape(re.sub(r"<[^>]*>", "", html)))
        stem = re.sub(r"[^a-z0-9]+", "-", plain.encode("ascii", "ignore").decode().lower()).strip("-") or "section"
        slug = stem
        count = 1
        while slug in self._taken or re.fullmatch(OTHERS, slug):
            count += 1
            slug = f"{stem}-{count}"
        self._taken.add(slug)
        linked = html if "<a" in html else f'<a href="#{slug}">{html}</a>'  # its address, to copy
        self.entries.append({"level": level, "slug": slug, "html": re.sub(r"</?a\b[^>]*>", "", html)})
        return f'<h{level} id="{slug}">{linked}</h{level}>\n'


class _Renderer(IPythonRenderer):
    """Markdown with MathML in place of TeX, and headings that know of each other."""

    _mathml = LatexToMathML(annotation=True, fancy_error=False)

    def __init__(self, headings: Headings, where: str, folder: str):
        super().__init__(escape=False, embed_images=True, path=folder)
        self.headings, self.where = headings, where

    def heading(self, text, level, **attrs):
        return self.headings.add(text, level)

    def _math(self, tex, display):
        try:
            formula = self._mathml.convert_with_local_state(tex, displaystyle=display)
        except LatexError as error:
            reason = re.sub(r"^\d+: ", "", str(error)).rstrip(".")
            raise CourseworkError(f"{self.where}: formula {' '.join(tex.split())}: {reason}") from None
        group = '<div class="math" role="group" aria-label="formula" tabindex="0">{}</div>'
        return group.format(formula) if display else formula

    def inline_math(self, body):
        return self._math(body, False)

    def block_math(self, body):
        return self._math(body, True)

    def latex_environment(self, name, body):
        return self._math(f"\\begin{{{name}}}{body}\\end{{{name}}}", True)

    def paragraph(self, text):  # a block cannot stand inside a paragraph
        return text + "\n" if text.startswith('<div class="math"') and text.endswith("</div>") else f"<p>{text}</p>\n"


class Tables:
    """Gives every table of a page a numbered caption, scopes, numbers to the right, and a place to scroll."""

    def __init__(self):
        self.count = 0

    def mend(self, html: str) -> str:
        """`html` with its tables mended; each row on a line of its own, so that check.py can name the line."""
        if "<table" not in html:
            return html
        soup = BeautifulSoup(html, "html.parser")
        for style in soup("style"):
            if "#T_" in style.text:  # pandas' own colours know nothing of dark mode
                style.decompose()
        for table in soup("table"):
            self.count += 1
            _clean(table)
            _stack(table)
            _label(soup, table, self.count)
        return re.sub(r"(</tr>|<tbody>|</thead>)(?!\n)", r"\1\n", str(soup))


def _clean(table):
    """Scopes, classes and nothing else; columns of numbers to the right, with their heading."""
    rows = [row(["td", "th"]) for row in table("tr")]
    even = len({len(row) for row in rows}) == 1
    groups = [(column, column[1:]) for column in zip(*rows)] if even else [([cell], [cell]) for cell in table("td")]
    for cells, body in groups:
        texts = [cell.text.strip() for cell in body if cell.text.strip(" –\n")]
        if 2 * sum(bool(re.fullmatch(NUMBER, text)) for text in texts) > len(texts):
            for cell in cells:
                cell["class"] = [*cell.get("class", []), "num"]
                if cell.name == "td" and not re.fullmatch(NUMBER, cell.text.strip() or "0"):
                    cell["class"].append("words")
        elif even and any(len(text) > SENTENCE for text in texts):
            cells[0]["class"] = [*cells[0].get("class", []), "long"]
    for tag in [table, *table(True)]:
        kept = ("scope", "colspan", "rowspan", "id", "href", "class")
        tag.attrs = {k: v for k, v in tag.attrs.items() if k in kept or k.startswith("data-")}
        tag["class"] = [name for name in tag.get("class", []) if name != "dataframe"]
        if not tag["class"]:
            del tag["class"]
    for cell in table("th"):
        if not cell.text.strip():
            cell.name, cell.attrs = "td", {}
        elif not cell.get("scope"):
            cell["scope"] = "col" if cell.find_parent("thead") else "row"


def _stack(table):
    """Mark a table that is too wide for a phone; its style names its headings, which stand before each cell there."""
    head, *rows = [row(["td", "th"], recursive=False) for row in table("tr")] or [[]]
    if not table.thead or len(table.thead("tr")) != 1 or {len(row) for row in rows} - {len(head)}:
        return
    widths = [max(_width(cell) for cell in column) for column in zip(head, *rows)]
    if sum(widths) + 2 * len(widths) <= PHONE:
        return
    table["class"] = [*table.get("class", []), "stack"]
    names = [re.sub(r"['\\\s]+", " ", cell.text).strip() for cell in head]  # as strings of CSS
    table["style"] = "; ".join(f"--c{place}: '{name}: '" for place, name in enumerate(names, 1) if name)


def _width(cell):
    """Characters of a cell's longest line; text wraps."""
    return min(len(cell.text.strip()), SENTENCE if "num" not in cell.get("class", []) else 99)


def _label(soup, table, number):
    """A caption that begins with the table's number, and the region that scrolls."""
    caption = table.caption or soup.new_tag("caption")
    mark = soup.new_tag("b")
    mark.string = f"Table {number}."
    caption.insert(0, mark, " ")
    table.insert(0, caption)
    rows = [row(["td", "th"], recursive=False) for row in table("tr")]
    wide = any(len(row) > 8 or sum(map(_width, row)) + 2 * len(row) > DESK for row in rows)
    region = {
        "class": "table wide" if wide else "table",
        "id": f"table-{number}",
        "role": "region",
        "tabindex": "0",
        "aria-label": caption.get_text().strip(),
    }
    table.wrap(soup.new_tag("div", attrs=region))


class Prose:
    """The Markdown of one page as HTML; `where` names the page in errors, `folder` holds its image files."""

    def __init__(self, where: str, folder: str):
        self.headings = Headings()
        self.tables = Tables()
        self._where = where
        self._folder = folder

    def html(self, text: str) -> str:
        """`text` with formulas, headings and tables set. Raises CourseworkError on TeX that MathML lacks."""
        renderer = _Renderer(self.headings, self._where, self._folder)
        return self.tables.mend(MarkdownWithMath(renderer=renderer).render(text))


def with_references(html: str, anchors: set[str]) -> str:
    """`html` with links on "Figure 3" and "Table 2", as far as the page has them (`anchors`: figure-3, table-2).

    Those of a report ("Table 2 of report A") stay words.
    """

    def link(match):
        target = f"{match[1].lower()}-{match[2]}"
        return f'<a href="#{target}">{match[0]}</a>' if target in anchors else match[0]

    named = r"\b([Ff]igure|[Tt]able) (\d+)\b(?! (of|in) (the )?[Rr]eport)"
    return in_text(html, lambda text: re.sub(named, link, text))


def in_text(html: str, change) -> str:
    """`html` with its text changed, but for links, code, formulas and headings."""
    kept = re.compile(r"<(a|code|pre|math|h\d)\b.*?</\1>|<[^>]*>", re.DOTALL)
    pieces, end = [], 0
    for match in kept.finditer(html):
        pieces += [change(html[end : match.start()]), match[0]]
        end = match.end()
    return "".join([*pieces, change(html[end:])])


def stream_text(text: str, stderr: bool = False) -> str:
    """A printout without colour codes, overwritten progress lines and anything beyond its first and last lines."""
    lines = [line.rstrip("\r").rpartition("\r")[2].rstrip() for line in strip_ansi(text).strip("\n").split("\n")]
    if stderr:
        lines = [line for line in lines if line and not re.search(PROGRESS, line)]
    omitted = len(lines) - FIRST - LAST
    if omitted > 1:
        lines[FIRST:-LAST] = [f"... {omitted:,} lines omitted ..."]
    return "\n".join(map(_cut, lines))


def _cut(line: str) -> str:
    return line if len(line) <= WIDEST else f"{line[:WIDEST]} ... {len(line) - WIDEST:,} characters omitted"
