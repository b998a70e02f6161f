"""How a study's page answers the claims of its report: the opening with one picture, and the table of all claims."""

import re

import numpy as np
import pandas as pd

from helpers import figures
from helpers.claims import ledger, spread, values
from helpers.page.markup import Link

ON_THE_AXIS = re.compile(r"^test accuracy( after \d+ epochs)?( with| at|:)? (?=.)")  # said of every row there
MOST = 16  # rows of the picture: more than fill a telephone's screen twice


def conclude(page, report: str, *sentences: str) -> None:
    """Say how a page's own results answer the claims of `report`: `sentences`, the counts, how sure they are; draw it.

    See `ledger.tell_result`, which also publishes the counts. The picture is a forest plot of the printed test
    accuracies; without any there is none.
    """
    frame = ledger.tell_result(page, report, *sentences)
    if frame.empty:
        return
    lines = accuracies(frame)
    shown = " Figure 1 sets the printed test accuracies beside ours." if len(lines) else ""  # the page's first picture
    _say_how_sure(page, frame[frame["n"] > 0], shown)
    if len(lines):
        several = np.isfinite(lines["half_width"]).any()
        bars = ": 95 % of new trainings would fall inside a bar" if several else "; so few trainings tell no spread"
        page.show(figures.forest(lines.head(MOST)), f"The test accuracies that report {report} prints and ours{bars}.")


def _say_how_sure(page, tested: pd.DataFrame, more: str) -> None:
    whole = tested[tested["share"] == 1]
    page.publish("sure.tested", len(tested))
    page.publish("sure.whole", len(whole))
    words = "**How sure.** {sure.tested} claims are tested by trainings, {sure.whole} of them by trainings in full"
    if len(whole):
        fewest, most = int(whole["n"].min()), int(whole["n"].max())
        page.publish("sure.fewest", fewest)
        page.publish("sure.most", most)
        words += " of {sure.fewest} to" * (fewest < most) or " of"
        words += f" {{sure.most}} seed{'s' * (most > 1)} each"
    words += ". Where the seeds are too few to tell, or a training is shortened, the verdict is *inconclusive*."
    sharp = whole.loc[whole["evidence"].map(spread.is_accuracy), "resolution"].dropna()
    if len(sharp):
        page.publish("sure.resolution", float(sharp.median()))
        words += " A printed accuracy with seeds enough would typically be refuted if it were off by "
        words += "{sure.resolution:.3f}."
    page.say(f"{words}{more}")


def accuracies(frame: pd.DataFrame) -> pd.DataFrame:
    """The lines of a forest plot (see `figures.forest`): the test accuracies among a page's judged claims."""
    lines = []
    for line in frame[frame["kind"] == "number"].to_dict("records"):
        first = line["evidence"].split(";")[0].strip()
        here = first.endswith("test_accuracy") and spread.is_accuracy(first)
        if not here or line["verdict"] not in figures.forest_plot.MARKS:
            continue
        low, high, _ = values.printed(line["printed"])
        mean, half = (float("nan") if line[name] is None else line[name] for name in ("value", "half_width"))
        label = ON_THE_AXIS.sub("", line["statement"])
        lines.append((label, low, high, mean, half, line["verdict"], line["share"] < 1))
    return pd.DataFrame(lines, columns=["label", "low", "high", "mean", "half_width", "verdict", "short"])


def set_beside(page, report: str) -> None:
    """Show the claims of `report` that a page's trainings in full answer, each linked to its row of the ledger.

    Then how many wait for such trainings, which printed values contradict each other, and the innocent causes of what
    is not reproduced.
    """
    frame = ledger.beside(report, page.published)
    whole = frame[frame["share"] == 1]
    if len(whole):
        _show_lines(
            page, whole, f"What report {report} claims beside what trainings in full give; ± spans 95 % of new ones."
        )
    page.publish("waiting", len(frame) - len(whole))
    if len(whole) < len(frame):
        page.say(
            "Claims that wait for trainings in full: {waiting}; they stand in [the ledger](summary.html#the-ledger)."
        )
    _show_contradictions(page, report)
    causes = ledger.innocent_causes(report, page.published)
    if len(causes):
        page.table(causes, "What may explain, without anybody's fault, the claims that are not reproduced.")


def _show_lines(page, lines: pd.DataFrame, caption: str) -> None:
    """A table of claims in words, without columns that say nothing here."""
    linked = [Link(line.statement, f"summary.html#claim-{line.claim}") for line in lines.itertuples()]
    table = lines.assign(claim=linked).drop(columns=["statement", "share"])
    empty = [name for name in ("printed", "smallest difference seen") if not table[name].any()]
    page.table(table.drop(columns=empty).reset_index(drop=True), caption)


def _show_contradictions(page, report: str) -> None:
    """The printed values that do not fit each other: no training is needed to see it."""
    frame = ledger.page_ledger(report, page.published)
    wrong = frame[frame["verdict"] == "inconsistent"]
    if len(wrong):
        table = wrong[["statement", "reason"]].set_axis(["claim", "as printed"], axis=1)
        page.table(table.reset_index(drop=True), "Printed values that contradict each other; this needs no training.")
