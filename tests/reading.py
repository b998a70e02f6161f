"""What a reader sees of a page, and what none should: names of code, raw floats, dashes where a number is missing."""

import re

from bs4 import BeautifulSoup

SNAKE = re.compile(r"(?<![\w./])[A-Za-z0-9]+(?:_[A-Za-z0-9]+)+\b(?!\.\w)")  # not a claim's id, not a file
RAW = re.compile(r"(?<!arXiv )(?<![\w./])(?:\d+\.\d+(?:e[-+]?\d+)?|\d+e\+\d+)")
CALL = re.compile(r"\b(?:page|mu)\.\w+\(")
OF_FIGURES = {"half_width", "mean_pixel"}  # columns of the data behind a figure, made in helpers/figures


def visible(html: str) -> BeautifulSoup:
    """The page from its title to its published results, without code, formulas and the ledger's trails."""
    soup = BeautifulSoup(html, "html.parser")
    main = soup.find("main") or soup
    for heading in main.select("#published-results, #provenance"):
        for rest in [*heading.find_next_siblings(), heading]:
            rest.decompose()
    for part in main.select("pre, code, script, style, math, .code, tr.claim details"):
        part.decompose()
    return main


def offences(html: str) -> list[str]:
    """What on a page is written for machines, each with the words around it."""
    main = visible(html)
    text = main.get_text(" ", strip=True)
    matches = [match for match in SNAKE.finditer(text) if match[0] not in OF_FIGURES] + [*CALL.finditer(text)]
    phrases = [_around(text, match) for match in matches]
    for fold in main.select("figure details"):
        fold.decompose()  # the data behind a figure may have as many digits as it likes
    text = main.get_text(" ", strip=True)
    phrases += [_around(text, match) for match in RAW.finditer(text) if _digits(match[0]) > 6 or "e" in match[0]]
    paragraphs = [block.get_text(" ", strip=True) for block in main.select("p, li")]
    return phrases + [words for words in paragraphs if "–" in words]


def _digits(number: str) -> int:
    """How many significant digits a number is written with."""
    return len(number.partition("e")[0].replace(".", "").lstrip("0"))


def _around(text: str, match) -> str:
    return text[max(0, match.start() - 60) : match.end() + 30]
