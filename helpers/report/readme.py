"""What the README shows of the published pages: a figure, the best results, verdicts, first findings, the speed."""

import base64
import json
import re
import textwrap
from html import escape
from pathlib import Path

from bs4 import BeautifulSoup
from scipy import stats

from helpers import base
from helpers.base import CourseworkError, write_atomically
from helpers.claims import claims, evidence, ledger
from helpers.claims.judge import VERDICTS
from helpers.claims.rubric import load_rubric
from helpers.page.markup import percent
from helpers.report.index import reading_behind

README = base.CHECKOUT / "README.md"
BEGIN, END = "<!-- {}, written by make publish -->", "<!-- end of {} -->"
FIGURE = "figure.webp"  # beside the published pages
WIDTH = 120  # characters of a line
AIM = 0.93  # of our own network's mean test accuracy


def results() -> str:
    """Markdown: a line for each best result that a report prints, then a line of verdicts for each report.

    Raises CourseworkError where no summary has been published.
    """
    published = evidence.load_results(base.PUBLISHED.name)
    if "summary.claims.claims" not in published:
        raise CourseworkError(f"{base.PUBLISHED} holds no summary: make report, then make publish")
    return "\n".join([*_best(published), "", *_own(published), *_verdicts(published)])


def speed() -> str:
    """Markdown: a line for each case of reports/published/bench.json, medians of its samples."""
    lines = [
        "| network | course loop | two trials at once | ratio | aimed at | of the peak |",
        "|---|---|---|---|---|---|",
    ]
    cases = json.loads((base.PUBLISHED / "bench.json").read_text(encoding="utf-8"))
    for name, case in cases.items():
        rates = [f"{case['classic']:,.0f}", f"{case['ours']:,.0f}", f"{case['ratio']:.1f}", f"{case['target']:g}"]
        title = f"{case['title']}, batch {name.rpartition('_')[2]}"
        lines.append(f"| {title} | {' | '.join(rates)} | {case['share_of_peak']:.0%} |")
    return "\n".join(lines)


def findings() -> str:
    """Markdown: what the pages that rubric.yaml names found first, each in the page's own words."""
    lines = []
    for name in load_rubric()["findings"]:
        page, link = _page(name)
        finding = " ".join(page.find("strong", string="Found.").find_next("li").get_text().split())
        lines += textwrap.wrap(f"- {link}: {finding}", WIDTH, subsequent_indent="  ")
    return "\n".join(lines)


def figure() -> str:
    """Markdown: the first figure of the page that rubric.yaml names, with its caption; its file is FIGURE."""
    page, link = _page(load_rubric()["figure"])
    shown, caption = page.find("figure").img["alt"].partition(":")[0], page.find("figcaption").get_text()
    source = _in_checkout(base.PUBLISHED / FIGURE)
    image = f'<img src="{source}" alt="{escape(shown)}" width="520">'  # half a screen: the table below is to be seen
    return "\n".join([image, "", *textwrap.wrap(f"{link}, {' '.join(caption.split())}", WIDTH)])


def figure_file() -> bytes:
    """The picture of that figure, as the page carries it."""
    page, _ = _page(load_rubric()["figure"])
    return base64.b64decode(page.find("figure").img["src"].partition(",")[2])


def _page(name: str) -> tuple[BeautifulSoup, str]:
    """A published page, and a link to it in Markdown. Raises CourseworkError where it is not there."""
    path = base.PUBLISHED / f"{name}.html"
    if not path.exists():
        raise CourseworkError(f"{path} is not there, but notebooks/rubric.yaml names it (figure, findings)")
    page = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
    return page, f"[{page.h1.get_text().partition(':')[0]}]({_in_checkout(path)})"


def _in_checkout(path: Path) -> str:
    """A path as a link of the README gives it."""
    return path.relative_to(base.CHECKOUT).as_posix()


SECTIONS = {"figure": figure, "results": results, "findings": findings, "speed": speed}


def _best(results: dict) -> list[str]:
    headline, by_id = load_rubric()["headline"], {claim.id: claim for claim in claims.load_claims()}
    lines = ["| what it gives as its best | printed | our rebuild of it | runs |", "|---|---|---|---|"]
    for claim in (by_id[name] for name in headline["claims"]):
        result = results[next(iter(claim.evidence.values()))]
        link = f"[report {claim.report}]({result['page']}): {claim.statement}"
        ours = results.get(f"summary.ours.{claim.id}", result)  # under the reading that decides
        if len(claim.evidence) > 1:
            link += f", {reading_behind(ours, {name: results[key] for name, key in claim.evidence.items()})}"
        lines.append(f"| {link} | {ledger.printed_percent(claim.value)} | {_in_words(ours)} | {ours['n']} |")
    for own in headline["ours"]:
        result = results.get(own["key"], {"share": 0})
        if result["share"] < 1:
            continue
        value = _in_words(result)
        lines.append(f"| **[{own['about']}]({result['page']})** | | **{value}** | {result['n']} |")
    return lines


def _own(results: dict) -> list[str]:
    """What the networks of the long schedule reach, with the interval of their mean, their cost and what is missing."""
    accuracy, minutes = (results.get(f"study_g.final.{name}") for name in ("our_own_network.test_accuracy", "minutes"))
    if not accuracy or accuracy["share"] < 1 or accuracy["n"] < 2:
        return []
    mean, hours = accuracy["value"], sum(minutes["values"]) / 60
    low, high = stats.t.interval(0.95, accuracy["n"] - 1, mean, accuracy["std"] / accuracy["n"] ** 0.5)
    short = f"Aimed at was {AIM}, {'reached' if mean >= AIM else f'{AIM - mean:.4f} is missing'}."
    text = (
        "Our own network is the coursework's, with layer norm and residual connections added, and was chosen on "
        f"validation images alone. On a long schedule {accuracy['n']} of them read the test set once each: {mean:.4f}, "
        f"95 % interval of the mean {low:.4f} to {high:.4f}; together they took {hours:.1f} hours by the clock, each "
        f"on one core. {short}"
    )
    return [*textwrap.wrap(text, WIDTH), ""]


def _in_words(result: dict) -> str:
    """An accuracy in percent with its deviation, and how much was trained where that is not all."""
    shortened = "" if result["share"] == 1 else f" ({percent(result['share'])} of the training)"
    spread = f" ± {100 * result['std']:.2f}" if result["std"] else ""
    return f"{100 * result['value']:.2f}{spread} %{shortened}"


def _verdicts(results: dict) -> list[str]:
    """The counts that the summary published as verdicts.<report>.<verdict>; verdicts that no claim got are left out."""
    start = "summary.verdicts."
    counts = {key.removeprefix(start): int(result["value"]) for key, result in results.items() if key.startswith(start)}
    shown = [name for name in VERDICTS if counts.get(f"all.{name.replace(' ', '_')}")]
    lines = [f"| claims of | {' | '.join([*shown, 'all'])} |", "|---" * (len(shown) + 2) + "|"]
    for report in dict.fromkeys(key.partition(".")[0] for key in counts):
        cells = [counts[f"{report}.{name.replace(' ', '_')}"] for name in [*shown, "claims"]]
        name = "all five" if report == "all" else f"report {report}"
        lines.append(f"| {name} | {' | '.join(map(str, cells))} |")
    return lines


def write() -> None:
    """Put today's figure and tables between their marks in the README, and the figure's file beside the pages.

    Raises CourseworkError where a mark is missing.
    """
    text = README.read_text(encoding="utf-8")
    for name, section in SECTIONS.items():
        begin, end = BEGIN.format(name), END.format(name)
        between = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        if not between.search(text):
            raise CourseworkError(f"{README}: the lines {begin!r} and {end!r} mark where a table goes; put them back")
        content = f"{begin}\n{section()}\n{end}"
        text = between.sub(lambda _, content=content: content, text)
    write_atomically(base.PUBLISHED / FIGURE, figure_file())
    write_atomically(README, text)
