"""Citations in the text of a page, [@jordan2024], as numbered links, and the list that they lead to."""

import html
import json
import re

from helpers import base
from helpers.base import CourseworkError
from helpers.report.export.folds import enumerated
from helpers.report.export.pieces import in_text

CITED = re.compile(r"\[(@[\w.-]+(?:; ?@[\w.-]+)*)\]")


def bibliography() -> dict[str, dict]:
    """The entries of notebooks/bibliography.json (CSL-JSON) by id. Raises CourseworkError where it is damaged."""
    path = base.NOTEBOOKS / "bibliography.json"
    if not path.is_file():
        return {}
    try:
        return {entry["id"]: entry for entry in json.loads(path.read_text(encoding="utf-8"))}
    except (ValueError, TypeError, KeyError) as error:
        raise CourseworkError(f"{path}: expected a list of CSL-JSON entries, each with an id ({error})") from None


class References:
    """The works that one page cites, in the order of their first citation; `where` names the page in errors."""

    def __init__(self, where: str):
        self.where, self.cited, self._entries = where, [], bibliography()

    def link(self, text: str) -> str:
        """HTML with its citations as links to the list. Raises CourseworkError on a work that is not listed."""
        return in_text(text, lambda piece: CITED.sub(self._numbers, piece))

    def _numbers(self, match) -> str:
        links = []
        for name in re.findall(r"@([\w.-]+)", match[1]):
            if name not in self._entries:
                raise CourseworkError(f"{self.where}: cites @{name}, which is not in notebooks/bibliography.json")
            if name not in self.cited:
                self.cited.append(name)
            links.append(f'<a href="#reference-{name}">{self.cited.index(name) + 1}</a>')
        return f"[{', '.join(links)}]"

    def listed(self) -> list[tuple[str, str]]:
        """(id of its place on the page, reference as HTML) of each work cited."""
        return [(f"reference-{name}", in_words(self._entries[name])) for name in self.cited]


def in_words(entry: dict) -> str:
    """An entry of CSL-JSON as one line of HTML: authors, year, linked title, where it appeared."""
    year = "".join(f" ({part[0]})" for part in entry.get("issued", {}).get("date-parts", [])[:1])
    who = _authors(entry.get("author", []))
    title = html.escape(entry["title"])
    address = entry.get("URL") or (f"https://doi.org/{entry['DOI']}" if "DOI" in entry else "")
    title = f'<a href="{html.escape(address)}">{title}</a>' if address else title
    where = [html.escape(entry[name]) for name in ("container-title", "publisher", "number", "note") if name in entry]
    head = f"{who}{year}. " if who or year else ""
    return f"{head}{title}. {', '.join(where)}".rstrip(". ") + "."


def _authors(authors: list[dict]) -> str:
    """K. Jordan; S. Kapoor and A. Narayanan; of more than three the first and "and others"."""
    names = [html.escape(f"{author.get('given', '')[:1]}. {author['family']}".lstrip(". ")) for author in authors]
    if len(names) > 3:
        return f"{names[0]} and others"
    return enumerated(names)
