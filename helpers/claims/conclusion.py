"""What a page says of the claims that it answers: the opening with one picture, and the table of all claims."""

import re

import numpy as np
import pandas as pd

from helpers import figures
from helpers.claims import ledger, spread, values
from helpers.claims.orders import BY_RANKS
from helpers.page import markup
from helpers.page.markup import Link
from helpers.page.parameters import refuse_unknown

ON_THE_AXIS = re.compile(r"^test accuracy( after \d+ epochs)?( with| at|:)? (?=.)")  # said of every row there
MOST = 16  # rows of the picture: more than fill a telephone's screen twice
LEDGER = "[the ledger](summary.html#the-ledger)"


def conclude(page, report: str, *sentences: str) -> None:
    """Say what a page's own results answer to `report`, then how sure that is, with every count; draw it.

    This is what a page opens with, so nothing shortened stands in it: of `sentences` one is left out where one of its
    results does not come from trainings in full, and so is an empty one. The picture is a forest plot of the printed
    test accuracies; without any there is none. Publishes the counts as verdicts.<verdict>.
    """
    frame = ledger.page_ledger(report, page.published)
    named = {text: markup.named_results(text, page.published) for text in sentences if text}
    refuse_unknown([key for keys in named.values() for key in keys], page.published, page.notebook, "result")
    whole = [text for text, keys in named.items() if all(page.published[key]["share"] == 1 for key in keys)]
    whole = [kept for text in whole if (kept := page.without_missing(text))]
    if len(whole) > 1:  # one claim a point
        page.say("\n".join(["**Found.**", "", *(f"- {text}" for text in whole)]))
    else:
        page.say(f"**Found.** {whole[0] if whole else 'Nothing yet: all trainings are shortened.'}")
    if frame.empty:
        return
    lines = accuracies(frame)
    more = ""
    if any("±" in page.fill(text) for text in whole):
        more += " Here ± is the standard deviation over n trainings."
    if len(lines):
        more += " Figure 1 sets the printed test accuracies beside ours."  # the page's first picture
    _say_how_sure(page, frame, more)
    if len(lines):
        bars = "95 % of new trainings that learn would fall inside a bar."
        if not np.isfinite(lines["half_width"]).any():
            bars = "with so few trainings a row, no spread can be drawn."
        page.show(
            figures.forest(lines.head(MOST)), f"Test accuracies that report {report} prints, and ours (means); {bars}"
        )


def outcome(page, report: str, *ids: str) -> str:
    """Whether what these claims of `report` say "holds" by the page's own results, "fails", or "is open".

    Several hold where each is reproduced or exceeded, and fail where one is not reproduced.
    """
    verdicts = ledger.page_ledger(report, page.published).set_index("claim")["verdict"].loc[list(ids)]
    if (verdicts == "not reproduced").any():
        return "fails"
    return "holds" if verdicts.isin(("reproduced", "exceeded")).all() else "is open"


def _say_how_sure(page, frame: pd.DataFrame, more: str) -> None:
    totals = ledger.count(frame)
    for name in ("claims", *(name.replace(" ", "_") for name in ledger.VERDICTS), "expected_false"):
        page.publish(f"verdicts.{name}", totals[name])
    words = f"**How sure.** {_counted(totals, 'verdicts')}"
    whole = frame[(frame["n"] > 0) & (frame["share"] == 1) & ~ledger.without_other_side(frame)]
    trained = whole[whole["records"] != ""]
    page.publish("sure.whole", len(trained))
    page.publish("sure.code", len(whole) - len(trained))
    if len(trained):
        page.publish("sure.trainings", len({key for keys in trained["records"] for key in keys.split()}))
        words += " Of these claims {sure.whole} rest on {sure.trainings} trainings in full"
        words += " (of the reading that decides)" * bool(trained["readings"].str.contains(";").any())
        words += ", {sure.code} on the code or a measured time alone." if len(trained) < len(whole) else "."
    if totals["inconclusive"]:
        words += " *Inconclusive* means that the trainings are too few, vary too much, were shortened or do not "
        words += "measure the claim."
    decided = whole[whole["verdict"].isin(ledger.DECIDED)]
    sharp = decided.loc[decided["key"].map(spread.is_accuracy), "resolution"].dropna()
    if len(sharp):
        page.publish("sure.best", float(sharp.min()))
        page.publish("sure.worst", float(sharp.max()))
        words += " Where an accuracy, or a difference of two, was decided, smaller differences would have gone "
        words += "unnoticed: below {sure.best:.3f} where trainings vary least, below {sure.worst:.3f} where most."
    page.say(f"{words}{more}")


def tell_all(page, frame: pd.DataFrame) -> None:
    """Publish every count of the whole ledger, and say them with the reasons of what is inconclusive."""
    for name, total in (totals := ledger.count(frame)).items():
        if name != "not_run" or total:
            page.publish(f"claims.{name}", total, share=frame["share"].min() if name == "shortened" else 1.0)
    page.publish("claims.findings", ledger.findings(frame, "not reproduced"))
    text = f"**Found.** {_counted(totals, 'claims')}"
    if totals["not_reproduced"]:
        text += " What is not reproduced comes to {claims.findings} separate findings: claims that rest on the same "
        text += "log or the same trainings are counted once."
    if len(table := ledger.reasons(frame)):
        for name, total in table["claims"].items():
            page.publish(f"inconclusive.{name}", total)
        parts = [f"{line.reason} ({{inconclusive.{line.Index}}})" for line in table.itertuples()]
        text += f" Why claims are inconclusive: {'; '.join(parts)}."
    page.say(text)


def _counted(totals: dict, of: str) -> str:
    """The counts of a page as a sentence of `page.say`, published as `of`; verdicts that no claim has are left out."""
    words = {"reproduced": "reproduced", "exceeded": "exceeded", "not_reproduced": "not reproduced"}
    words |= {"inconclusive": "inconclusive", "not_comparable": "not comparable", "not_run": "not run"}
    apart = {"consistent": "agree with the rest of it", "inconsistent": "contradict it"}
    for name, one in {"consistent": "agrees with the rest of it", "inconsistent": "contradicts it"}.items():
        apart |= {name: one} if totals[name] == 1 else {}
    trained = [f"{{{of}.{name}}} {text}" for name, text in words.items() if totals[name]]
    checked = [f"{{{of}.{name}}} {text}" for name, text in apart.items() if totals[name]]
    text = f"Verdicts on {{{of}.claims}} claims: {', '.join(trained)}"
    text += f"; of those that can be checked within the report alone {' and '.join(checked)}." if checked else "."
    if totals["not_reproduced"]:
        text += f" If all claims were true, our tests would refute at most about {{{of}.expected_false:.1f}} by chance."
    return text


def accuracies(frame: pd.DataFrame) -> pd.DataFrame:
    """The lines of a forest plot (see `figures.forest`): the test accuracies among a page's judged claims."""
    lines = []
    for line in frame[frame["kind"] == "number"].to_dict("records"):
        first = line["evidence"].split(";")[0].strip()
        here = first.endswith("test_accuracy") and spread.is_accuracy(first)
        if not here or line["verdict"] not in figures.forest_plot.MARKS:
            continue
        low, high, _ = values.parse(line["printed"])
        mean, half = (float("nan") if line[name] is None else line[name] for name in ("value", "half_width"))
        label = ON_THE_AXIS.sub("", line["statement"]) + (f", {line['reading']}" if line["reading"] else "")
        lines.append((label, low, high, mean, half, line["verdict"], line["share"] < 1))
    return pd.DataFrame(lines, columns=["label", "low", "high", "mean", "half_width", "verdict", "short"])


def set_beside(page, report: str) -> None:
    """Show the claims of `report` that a page's trainings in full answer, each linked to its row of the ledger.

    Then how many others there are and why they are not shown, which printed values contradict each other, and the
    innocent causes of what is not reproduced.
    """
    every = ledger.page_ledger(report, page.published)
    whole = ledger.answered(every).query("share == 1")
    if len(whole):
        caption = f"What report {report} claims, beside what n trainings in full give"
        if whole["ours"].str.contains("[", regex=False).any():
            caption += "; in brackets, where 95 % of new trainings would fall, or the 95 % interval of a difference"
            caption += " (of few trainings by the spread of similar rows)"
        if whole["detectable difference"].any():
            caption += "; a detectable difference would have been noticed in nine cases of ten"
        _show_lines(page, whole, f"{caption}.")
    undecided = every.loc[every["verdict"] == "inconclusive", "reason"]
    if undecided.str.contains(BY_RANKS, regex=False).any():
        page.say(
            "Where a training ended at chance, rows are compared by the ranks of their trainings alone, which takes "
            "four trainings or more on either side to decide."
        )
    _count_others(page, every[~every["claim"].isin(whole["claim"])])
    wrong = every[every["verdict"] == "inconsistent"]
    if len(wrong):  # no training is needed to see it
        table = wrong[["statement", "reason"]].set_axis(["claim", "as printed"], axis=1).reset_index(drop=True)
        page.table(table, "Printed values that contradict each other; a range is that of their rounding.")
    causes = ledger.innocent_causes(every)
    if len(causes):
        page.table(causes, "What may explain, without anybody's fault, the claims that are not reproduced.")


def _show_lines(page, lines: pd.DataFrame, caption: str) -> None:
    """A table of claims in words, without columns that say nothing here."""
    linked = [Link(line.statement, f"summary.html#claim-{line.claim}") for line in lines.itertuples()]
    table = lines.assign(claim=linked).drop(columns=["statement", "share"])
    empty = [name for name in ("printed", "detectable difference") if not table[name].any()]
    page.table(table.drop(columns=empty).reset_index(drop=True), caption)


def _count_others(page, others: pd.DataFrame) -> None:
    """Say why the table of claims beside ours leaves `others` out; what contradicts itself has a table of its own."""
    reasons = {
        "waiting": ("inconclusive", "whose trainings are shortened"),
        "agreeing": ("consistent", "that agree with another printed value"),
        "apart": ("not comparable", "that cannot be compared"),
        "without_result": (ledger.NOT_RUN, "without a result here"),
    }
    parts = []
    others = others.assign(verdict=others["verdict"].mask(ledger.without_other_side(others), ledger.NOT_RUN))
    for name, (verdict, words) in reasons.items():
        page.publish(name, int((others["verdict"] == verdict).sum()))
        parts += [f"{{{name}}} {words}"] if page.published[name]["value"] else []
    if parts:
        page.say(f"Claims that are not in this table: {', '.join(parts)}. They stand in {LEDGER}.")
