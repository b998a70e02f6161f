"""Exported pages read back: their results, what marks them, and how both are worded for index and marking sheet."""

import fnmatch
from pathlib import Path

import jinja2

from helpers.page.markup import number
from helpers.report import check

TEMPLATES = Path(__file__).parent / "export" / "template"
EVIDENCE = 4  # results shown of a page
HEADLINES = ("test_accuracy", "*.test_accuracy")  # the results that speak for a page which rubric.yaml does not know


def read_pages(folder: Path) -> dict[str, dict]:
    """Page name -> {name, run, results, text, examined}, from the exported files alone; other files are left out."""
    pages = {}
    for path in sorted(Path(folder).glob("*.html")):
        try:
            text = path.read_text(encoding="utf-8")
            run, bundle = check.embedded(text, "run"), check.embedded(text, "results")
            examined = check.examine(text.encode())
        except (check.Unreadable, UnicodeDecodeError):
            continue
        if run.get("status") != "index":
            results = bundle.get("results", {})
            pages[path.stem] = {"name": path.stem, "run": run, "results": results, "text": text, "examined": examined}
    return pages


def render(template: str, **content) -> str:
    """A template of this package, filled in."""
    loader = jinja2.FileSystemLoader(TEMPLATES)
    return jinja2.Environment(loader=loader, trim_blocks=True).get_template(template).render(**content)


def evidence(results: dict, patterns=HEADLINES) -> list[tuple[str, str]]:
    """(name, value in words) of the results that match `patterns`, in their order; else of the first few.

    Where trainings were shortened the words say to how much.
    """
    keys = dict.fromkeys(key for pattern in patterns for key in fnmatch.filter(sorted(results), pattern))
    shown = {key: results[key] for key in list(keys or sorted(results))[:EVIDENCE]}
    shares = {key: result.get("share", 1) for key, result in shown.items()}
    short = {key: f", {100 * share:.2g} % of the training" if share < 1 else "" for key, share in shares.items()}
    return [(key, in_words(result, key) + short[key]) for key, result in shown.items()]


def in_words(result: dict, key: str) -> str:
    """The result of this key: 0.8934 ± 0.0021 (n = 5), or 54,000 images."""
    words = number(result.get("value"), std=result.get("std"), name=key, unit=result.get("unit") or "")
    return f"{words} (n = {result['n']})" if result.get("std") else words
