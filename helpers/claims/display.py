"""The ledger as the summary shows it: one table with filters that need no script, a folded trail in every row."""

import html
import itertools
import re

import pandas as pd

from helpers import base
from helpers.claims.ledger import as_printed, with_interval
from helpers.claims.trail import trail
from helpers.page import markup

LOOK = """.filters fieldset { border: 0; padding: 0; margin: .3rem 0; } .filters legend { float: left; width: 5rem; }
.filters label { display: inline-block; margin-right: 1rem; min-height: 24px; } .no-claim { display: none; }"""


NOTED = ("assumed: ", "does not establish: ", "innocent cause of a difference: ")  # begin what many trails repeat


def show(frame: pd.DataFrame, claims: list, results: dict) -> None:
    """Show the ledger: the filters, then the table, whose reasons unfold into trails.

    A row has its report and its verdict as classes; the filters are style sheet rules on them, so that neither the page
    nor JupyterLab needs a script. A link to #claim-A1.best leads to that row.
    """
    from IPython.display import HTML, Markdown, display

    by_id, notes = {claim.id: claim for claim in claims}, {}
    rows = [_row(line, trail(by_id[line["claim"]], results, line), notes) for line in frame.to_dict("records")]
    heads = ("Claim", "Printed", "Ours", "Verdict, and what it stands on")
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    caption = "Every claim with its verdict, ordered by report and verdict. The reason unfolds into the trail."
    display(Markdown(_filters(frame)))
    display(
        HTML(f"<table><caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>")
    )
    display(Markdown(_notes_listed(notes)))


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-")


def _filters(frame: pd.DataFrame) -> str:
    """Radio buttons for report and verdict, and the rules that hide the rows they leave out; no blank line inside."""
    rules, fields = [LOOK], []
    for name in ("report", "verdict"):
        labels = [f'<label><input type="radio" name="{name}" id="{name}-all" checked> all</label>']
        for value, count in frame[name].value_counts(sort=False).items():
            choice = f"{name}-{_slug(value)}"
            rules.append(f"body:has(#{choice}:checked) tr.claim:not(.{choice}) {{ display: none; }}")
            words = f"{html.escape(value)} ({count})"
            labels.append(f'<label><input type="radio" name="{name}" id="{choice}"> {words}</label>')
        fields.append(f"<fieldset><legend>{name.capitalize()}</legend>{''.join(labels)}</fieldset>")
    pairs = set(zip(frame["report"], frame["verdict"]))
    for report, verdict in itertools.product(frame["report"].unique(), frame["verdict"].unique()):
        if (report, verdict) not in pairs:
            both = f":has(#report-{_slug(report)}:checked):has(#verdict-{_slug(verdict)}:checked)"
            rules.append(f"body{both} .no-claim {{ display: block; }}")
    empty = '<p class="no-claim">No claim of this report has this verdict.</p>'
    return f'<div class="filters">{"".join(fields)}{empty}<style>{chr(10).join(rules)}</style></div>'


def _row(line: dict, steps: list[str], notes: dict[str, int]) -> str:
    """One claim as a table row; the trail's first two lines repeat it, and its page is linked. What many rows say is a
    note, by number."""
    words = {name: html.escape(str(value)) for name, value in line.items()}
    classes = " ".join(["claim", *(f"{name}-{_slug(line[name])}" for name in ("report", "verdict"))])
    page = _page(line["home"])
    steps = [step.strip() for step in steps[2:] if not step.endswith(f"/{page}.html")]
    if line["readings"]:
        steps.insert(0, f"readings: {line['readings']}")
    numbers = [notes.setdefault(step, len(notes) + 1) for step in steps if step.startswith(NOTED)]
    steps = "".join(f"<li>{html.escape(step)}</li>" for step in steps if not step.startswith(NOTED))
    links = ", ".join(f'<a href="#note-{number}">{number}</a>' for number in numbers)
    steps += f"<li>notes {links}</li>" if links else ""
    verdict = f"<b>{words['verdict']}</b> {words['joined']}".rstrip()
    if line["verdict"] == "not reproduced" and not line["survives"]:
        verdict += "; among so many tests, chance may have refuted it"
    verdict += f"<details><summary>{words['reason'] or 'trail'}</summary><ul>{steps}</ul></details>"
    cells = "".join(f"<td>{cell}</td>" for cell in (html.escape(as_printed(line["printed"])), _ours(line), verdict))
    head = f'<th scope="row">{words["statement"]}<br>{_source(page, line["home"], words["claim"])}</th>'
    return f'<tr id="claim-{words["claim"]}" class="{classes}">{head}{cells}</tr>'


def _page(home: str) -> str:
    """The whole name of the notebook whose short one is `home`; "" where there is none."""
    return min((path.stem for path in base.NOTEBOOKS.glob(f"{home}_*.ipynb")), key=len, default="")  # no copy of it


def _source(page: str, home: str, claim: str) -> str:
    """The claim's id, which leads to the page that answers it."""
    link = f'<a href="{page}.html">{in_words(home)}</a>, ' if page else ""
    return f"<small>{link}{claim}</small>"


def _notes_listed(notes: dict[str, int]) -> str:
    """The notes that rows link to: assumptions, limits, innocent causes."""
    lines = "".join(f'<li id="note-{number}">{html.escape(text)}</li>' for text, number in notes.items())
    return f'<div class="notes"><p>Notes to the trails:</p><ol>{lines}</ol></div>'


def quote(page, results: dict, text: str, whole: bool = False) -> None:
    """Say `text`, whose {keys} are results of other pages; they are published again here, as they were.

    Where one of them has no result, the sentence is left out and its page named instead. whole: where one of them
    comes from shortened trainings, that is said in its place.
    """
    stems = markup.named_results(text, results)
    missing = {stem.split(".")[0] for stem in stems if stem not in results}
    if missing:
        return page.say(f"*No result yet: {', '.join(map(in_words, sorted(missing)))}.*")
    if whole and any(results[stem]["share"] < 1 for stem in stems):
        return page.say("*Not answered yet: trainings behind this are shortened.*")
    for stem in dict.fromkeys(stems):
        about = {name: results[stem][name] for name in ("unit", "share", "budget", "seeds", "records", "statuses")}
        page.publish(stem, results[stem]["values"], **about)
    return page.say(text)


def in_words(name: str) -> str:
    """The short name of a notebook as people read it: study_b is study B."""
    return re.sub(r"_([a-z])$", lambda match: f" {match[1].upper()}", name)


def _ours(line: dict) -> str:
    """Our value with its interval's half width, the number of runs, and what shift could have been seen."""
    words = html.escape(with_interval(line))
    words += f"<br>n = {line['n']}" if line["n"] else ""
    words += f", {markup.percent(line['share'])} trained" if line["share"] < 1 else ""
    return words + (f"; would see {markup.digits(line['resolution'], 2)}" if pd.notna(line["resolution"]) else "")
