"""Exported pages read back: their results, what marks them, and how both are worded for index and marking sheet."""

import fnmatch
from pathlib import Path

import jinja2

from helpers.base import CourseworkError
from helpers.page.markup import number, percent
from helpers.report import check, sealed
from helpers.report.export.facts import named

TEMPLATES = Path(__file__).parent / "export" / "template"
EVIDENCE = 4  # results shown of a page
HEADLINES = ("test_accuracy", "*.test_accuracy")  # the results that speak for a page which rubric.yaml does not know


def read_pages(source: Path) -> dict[str, dict]:
    """Page name -> {name, run, results, titles, text, examined}, from the exported files alone; others are left out.

    source: the folder of a build, or a hand-in (.zip); of two pages of one name the first counts. Raises
    CourseworkError where a hand-in cannot be read.
    """
    pages = {}
    for name, content in _files(source):
        try:
            text = content.decode("utf-8")
            run, bundle = sealed.embedded(text, "run"), sealed.embedded(text, "results")
            examined = sealed.examine(content)
        except (sealed.Unreadable, UnicodeDecodeError):
            continue
        if run.get("status") != "index":
            results = bundle.get("results") or {}
            titles = bundle["titles"] if isinstance(bundle.get("titles"), dict) else {}
            page = {"name": name, "run": run, "results": results, "titles": titles, "text": text, "examined": examined}
            pages.setdefault(name, page)
    return pages


def _files(source: Path) -> list[tuple[str, bytes]]:
    """(name without its ending, bytes) of the HTML files of a folder or a hand-in."""
    if source.is_dir():
        return [(path.stem, path.read_bytes()) for path in sorted(source.glob("*.html"))]
    try:
        with source.open("rb") as file:
            pages = list(check.pages_in(str(source), file.read(check.FILE + 1)))
    except OSError as error:
        raise CourseworkError(f"{source}: cannot be read: {error.strerror}; name a hand-in (.zip)") from None
    except Exception as error:  # a damaged archive can fail anywhere
        raise CourseworkError(f"{source}: cannot be read: {error}; ask for the file again") from None
    return [(Path(name.rpartition(": ")[2]).stem, content) for name, content, why in pages if not why]


def render(template: str, **content) -> str:
    """A template of this package, filled in."""
    loader = jinja2.FileSystemLoader(TEMPLATES)
    return jinja2.Environment(loader=loader, trim_blocks=True).get_template(template).render(**content)


def evidence(results: dict, patterns=HEADLINES, otherwise: bool = True, titles=None) -> list[tuple[str, str]]:
    """(name, value) in words of the results that match `patterns`, in their order; none: the first few, if `otherwise`.

    titles: rows in words. Where trainings were shortened the words say to how much.
    """
    keys = dict.fromkeys(key for pattern in patterns for key in fnmatch.filter(sorted(results), pattern))
    keys = list(keys or (sorted(results) if otherwise else []))
    keys = [key for key in keys if results[key].get("share", 1) == 1] or keys  # trained in full, where there are such
    shown = {key: results[key] for key in keys[:EVIDENCE]}
    shares = {key: result.get("share", 1) for key, result in shown.items()}
    short = {key: f", {percent(share)} of the training" if share < 1 else "" for key, share in shares.items()}
    return [(named(key, titles or {}), in_words(result, key) + short[key]) for key, result in shown.items()]


def in_words(result: dict, key: str) -> str:
    """The result of this key: 0.8934 ± 0.0021 (n = 5), or 54,000 images."""
    words = number(result.get("value"), std=result.get("std"), name=key, unit=result.get("unit") or "")
    return f"{words} (n = {result['n']})" if result.get("std") else words
