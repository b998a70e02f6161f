"""The ledger as the summary shows it: one table with filters that need no script, a folded trail in every row."""

import html
import math
import re
from types import SimpleNamespace

import numpy as np
import pandas as pd

from helpers import base
from helpers.claims import claims, judge

NOT_RUN = "not run"
NO_RESULT = "no result "  # how the judge begins to say so
KEY = re.compile(r"\{([A-Za-z_][\w.\-]*)(?:%|:[^{}]+)?\}")  # a result in a sentence, as page.fill reads it
LOOK = """.filters fieldset { border: 0; padding: 0; margin: .3rem 0; } .filters legend { float: left; width: 5rem; }
.filters label { display: inline-block; margin-right: 1rem; min-height: 24px; }"""


def not_run(results: dict) -> set[str]:
    """Short names of the notebooks that lie in notebooks/ and have left no result, for want of data or of a run."""
    ran = {key.split(".")[0] for key in results}
    return {claims.short(path.stem) for path in base.NOTEBOOKS.glob("*.ipynb")} - ran


def judged(entries: list, results: dict) -> pd.DataFrame:
    """The ledger by report and verdict; the verdict of claims whose study has left no result is "not run"."""
    frame = claims.judge_all(entries, results)
    frame.loc[frame["reason"].str.startswith(NO_RESULT), "verdict"] = NOT_RUN
    order = frame["verdict"].map([*judge.VERDICTS, NOT_RUN].index)
    return frame.assign(order=order).sort_values(["report", "order"], kind="stable").drop(columns="order")


def counts(frame: pd.DataFrame) -> pd.DataFrame:
    """Claims by report (rows) and verdict (columns), with a last row for all."""
    names = [name for name in (*judge.VERDICTS, NOT_RUN) if name != NOT_RUN or (frame["verdict"] == name).any()]
    table = pd.crosstab(frame["report"], frame["verdict"]).reindex(columns=names, fill_value=0)
    provisional = (frame["provisional"] != "").groupby(frame["report"]).sum()
    table = table.assign(claims=table.sum(axis=1), provisional=provisional)
    return pd.concat([table, table.sum().to_frame("all").T]).rename_axis("report")


def innocent_causes(report: str, results: dict) -> pd.DataFrame:
    """What may explain, without anybody's fault, the claims of `report` that a page's own results do not reproduce."""
    known, found = claims.beside(report, results), {}
    refuted = set(known["claim"][known["verdict"].str.startswith("not reproduced")])
    for claim in claims.load_claims():
        for cause in claim.causes if claim.id in refuted else ():
            found.setdefault(cause, []).append(claim.id)
    rows = [(cause, ", ".join(ids)) for cause, ids in found.items()]
    return pd.DataFrame(rows, columns=["innocent cause", "may explain"])


def tell_result(page, report: str, *sentences: str) -> None:
    """Publish how a page's own results answer the claims of `report`, and say it, followed by `sentences`.

    This is what a page opens with, so nothing shortened stands in it: a sentence is left out where one of its results
    does not come from trainings in full, and a provisional verdict counts as open.
    """
    verdict = claims.beside(report, page.results)["verdict"]
    page.publish("verdicts.judged", len(verdict))
    for name in ("reproduced", "not reproduced"):
        page.publish(f"verdicts.{name.replace(' ', '_')}", (verdict == name).sum())
    page.publish("verdicts.open", (~verdict.isin(["reproduced", "not reproduced"])).sum())
    told = [text for text in sentences if all(page.results[stem]["share"] == 1 for stem in stems(text, page.results))]
    if len(told) < len(sentences):
        told.append("What shortened trainings found stands further down, not here.")
    page.say(
        "**Result.** Of {verdicts.judged} claims, {verdicts.reproduced} are reproduced, {verdicts.not_reproduced} are "
        f"not, {{verdicts.open}} stay open. {' '.join(told)}"
    )


def stems(text: str, results: dict) -> list[str]:
    """The results that a sentence for `page.fill` names, without .n, .sum and the like."""
    return [re.sub(r"\.(std|n|sum|value|unit)$", "", key) if key not in results else key for key in KEY.findall(text)]


def log_odds(ids: list[str], results: dict) -> float | None:
    """log10 of the likelihood ratio of the second reading against the first, over the claims `ids` together.

    results: {full key: result}; see `judge.likelihood`. None unless all stand on three seeds or more, trained in
    full: fewer do not tell the spread from run to run.
    """
    total, asked = 0.0, [claim for claim in claims.load_claims() if claim.id in ids]
    found = [results[key] for claim in asked for key in claim.needs()]
    if any(result["share"] < 1 or result["n"] < 3 for result in found):
        return None
    for claim in asked:
        first, second = (judge.likelihood(claim, text, results) for text in [*claim.evidence.values()][:2])
        total += math.log10(max(second, 1e-300)) - math.log10(max(first, 1e-300))
    return total


def calibration(rng: np.random.Generator, results: dict | None = None, cases: int = 400) -> list[dict]:
    """The judge judged: held-out seeds fed in as claims, as they are and moved by 0.02 either way.

    results: real ones, of which each test accuracy with 4 seeds or more is used, every seed held out once. Beside
    them about `cases` made-up ones, six seeds together so that five judge: binomial accuracies whose probability
    itself varies by 0.002 from seed to seed. Returns [{source, cases, reproduced, refuted}], the last two shares.
    """
    pools = {"held-out seeds": set(), "made-up seeds": set()}
    for key, result in (results or {}).items():
        values = judge.trained(result, key)
        if key.endswith(".test_accuracy") and len(values) > 3 and result["share"] == 1:
            pools["held-out seeds"].add(tuple(values))
    for centre in rng.uniform(0.8, 0.93, -(-cases // 6)):
        chances = centre + 0.002 * rng.standard_normal(6)
        pools["made-up seeds"].add(tuple(rng.binomial(judge.IMAGES, chances) / judge.IMAGES))
    rows = []
    for source, pool in pools.items():
        moved = {0.0: [], 0.02: [], -0.02: []}
        for values in pool:
            for i, held in enumerate(values):
                answer = {"k.test_accuracy": {"values": [*values[:i], *values[i + 1 :]]}}
                for shift, said in moved.items():
                    claim = SimpleNamespace(value=f"{held + shift:.4f}", best=False)
                    said.append(judge.judge_number(claim, "k.test_accuracy", answer)[0])
        if pool:
            true, false = moved[0.0], moved[0.02] + moved[-0.02]
            shares = {"reproduced": true.count("reproduced") / len(true)}
            shares["refuted"] = false.count("not reproduced") / len(false)
            rows.append({"source": source, "cases": len(true), **shares})
    return rows


def show(frame: pd.DataFrame, entries: list, results: dict) -> None:
    """Show the ledger: the filters, then the table, whose reasons unfold into trails.

    A row's id is report--verdict--claim; the filters are style sheet rules on it, so that neither the page nor
    JupyterLab needs a script. A link to #A--reproduced--A1.best leads to that row.
    """
    from IPython.display import HTML, Markdown, display

    known, by_id = claims.answers(results), {claim.id: claim for claim in entries}
    rows = [_row(line, claims.trail(by_id[line["claim"]], known)) for line in frame.to_dict("records")]
    heads = ("Claim", "Printed", "Ours", "Verdict, and what it stands on")
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    caption = "Every claim with its verdict, ordered by report and verdict. The reason unfolds into the trail."
    display(Markdown(_filters(frame)))
    display(
        HTML(f"<table><caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>")
    )


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-")


def _filters(frame: pd.DataFrame) -> str:
    """Radio buttons for report and verdict, and the rules that hide the rows they leave out; no blank line inside."""
    rules, fields = [LOOK], []
    for name, place in (("report", "^"), ("verdict", "*")):
        labels = [f'<label><input type="radio" name="{name}" id="{name}-all" checked> all</label>']
        for value, count in frame[name].value_counts(sort=False).items():
            mark = f"{_slug(value)}--" if name == "report" else f"--{_slug(value)}--"
            choice = f"{name}-{_slug(value)}"
            rules.append(f'body:has(#{choice}:checked) tr[id*="--"]:not([id{place}="{mark}"]) {{ display: none; }}')
            words = f"{html.escape(value)} ({count})"
            labels.append(f'<label><input type="radio" name="{name}" id="{choice}"> {words}</label>')
        fields.append(f"<fieldset><legend>{name.capitalize()}</legend>{''.join(labels)}</fieldset>")
    return f'<div class="filters">{"".join(fields)}<style>{chr(10).join(rules)}</style></div>'


def _row(line: dict, trail: list[str]) -> str:
    """One claim as a table row; the trail's first two lines only repeat it."""
    said = {name: html.escape(str(value)) for name, value in line.items()}
    named = "--".join(_slug(line[name]) for name in ("report", "verdict")) + f"--{line['claim']}"
    steps = [f"readings: {line['readings']}"] * bool(line["readings"]) + [step.strip() for step in trail[2:]]
    steps = "".join(f"<li>{html.escape(step)}</li>" for step in steps)
    verdict = f"<b>{said['verdict']}</b>" + (f", {said['provisional']}" if said["provisional"] else "")
    verdict += f"<details><summary>{said['reason']}</summary><ul>{steps}</ul></details>"
    cells = "".join(f"<td>{cell}</td>" for cell in (said["printed"], said["measured"], verdict))
    head = f'<th scope="row"><b>{said["claim"]}</b><br>{said["statement"]}</th>'
    return f'<tr id="{html.escape(named)}">{head}{cells}</tr>'


def quote(page, results: dict, text: str) -> None:
    """Say `text`, whose {keys} are results of other pages; they are published again here, as they were.

    Where one of them has no result, the sentence is left out and its page named instead.
    """
    named = stems(text, results)
    missing = {stem.split(".")[0] for stem in named if stem not in results}
    if missing:
        return page.say(f"*Not run: {', '.join(sorted(missing))}.*")
    for stem in dict.fromkeys(named):
        about = {name: results[stem][name] for name in ("unit", "share", "budget", "seeds", "records", "statuses")}
        page.publish(stem, results[stem]["values"], **about)
    return page.say(text)
