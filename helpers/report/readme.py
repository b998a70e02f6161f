"""The README's first table, written from the published results: ours beside the reports, every verdict counted."""

from helpers import base
from helpers.base import CourseworkError, write_atomically
from helpers.claims import claims, evidence, ledger
from helpers.page.markup import quantity
from helpers.report.export.order import load_rubric

README = base.CHECKOUT / "README.md"
BEGIN, END = "<!-- Written by make publish from reports/published: -->", "<!-- end of what make publish writes -->"
COLUMNS = ("reproduced", "exceeded", "not reproduced", "inconclusive", "not comparable", "consistent", "inconsistent")


def table() -> str:
    """Markdown: a line for each best result that a report prints, then a line of verdicts for each report.

    Raises CourseworkError where no summary has been published.
    """
    if not (base.PUBLISHED / "summary.json").exists():
        raise CourseworkError(f"{base.PUBLISHED} has no summary.json: make report, then make publish")
    results = evidence.load_results(base.PUBLISHED.name)
    judged = ledger.judged(claims.load_claims(), results)
    headline = load_rubric()["headline"]
    lines = ["| | best, printed | the same network here | runs |", "|---|---|---|---|"]
    for row in judged.set_index("claim").loc[headline["claims"]].to_dict("records"):
        [page] = base.PUBLISHED.glob(f"{row['home']}_*.html")
        link = f"[report {row['report']}: {row['statement']}](reports/published/{page.name})"
        cells = [link, row["printed"], row["measured"] or "–", row["n"]]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    for own in headline["ours"]:
        found = results[own["key"]]
        lines.append(
            f"| **{own['about']}** | | **{quantity(own['key'], found['value'], found['std'])}** | {found['n']} |"
        )
    counted = ledger.counts(judged)
    shown = [name for name in COLUMNS if name in counted]
    lines += ["", "| claims of | " + " | ".join([*shown, "all"]) + " |", "|---" * (len(shown) + 2) + "|"]
    for report, row in counted.iterrows():
        lines.append(f"| {report} | " + " | ".join(str(row[name]) for name in [*shown, "claims"]) + " |")
    return "\n".join(lines)


def write() -> None:
    """Put today's `table` between its two marks in the README. Raises CourseworkError where a mark is missing."""
    text = README.read_text(encoding="utf-8")
    if BEGIN not in text or END not in text.split(BEGIN)[1]:
        raise CourseworkError(f"{README}: the lines {BEGIN!r} and {END!r} mark where the table goes; put them back")
    before, rest = text.split(BEGIN)
    write_atomically(README, f"{before}{BEGIN}\n{table()}\n{END}{rest.split(END)[1]}")
