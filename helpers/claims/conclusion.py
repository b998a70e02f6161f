"""What a study's page opens with: what was claimed and found, how sure that is, and one picture of it."""

import re

import pandas as pd

from helpers import figures
from helpers.claims import ledger, spread, values

ON_THE_AXIS = re.compile(r"^test accuracy( after \d+ epochs)?( with| at|:)? (?=.)")  # said of every row there
MOST = 16  # rows of the picture: more than fill a telephone's screen twice


def conclude(page, report: str, *sentences: str) -> None:
    """Say how a page's own results answer the claims of `report`, then `sentences`, then how sure that is; draw it.

    See `ledger.tell_result`, which also publishes the counts. The picture is a forest plot of the printed test
    accuracies; without any there is none.
    """
    frame = ledger.tell_result(page, report, *sentences)
    if frame.empty:
        return
    lines = accuracies(frame)
    shown = " Figure 1 sets the printed test accuracies beside ours." if len(lines) else ""  # the page's first picture
    _say_how_sure(page, frame[frame["kind"].isin(["number", "order"]) & (frame["n"] > 0)], shown)
    if len(lines):
        page.show(
            figures.forest(lines.head(MOST)),
            f"The test accuracies that report {report} prints and ours: 95 % of new trainings would fall inside a bar.",
        )


def _say_how_sure(page, tested: pd.DataFrame, more: str) -> None:
    whole = tested[tested["share"] == 1]
    page.publish("sure.tested", len(tested))
    page.publish("sure.whole", len(whole))
    words = "**How sure.** {sure.whole} of {sure.tested} numbers and orders stand on trainings in full"
    if len(whole):
        fewest, most = int(whole["n"].min()), int(whole["n"].max())
        page.publish("sure.fewest", fewest)
        page.publish("sure.most", most)
        words += ", on {sure.fewest} to" * (fewest < most) or ", on"
        words += f" {{sure.most}} seed{'s' * (most > 1)} each"
    sharp = whole.loc[whole["evidence"].map(spread.is_accuracy), "resolution"].dropna()
    if len(sharp):
        page.publish("sure.resolution", float(sharp.median()))
        words += "; a printed accuracy that is off by {sure.resolution:.3f} would be refuted in nine cases of ten"
    page.say(f"{words}. A verdict that its seeds cannot carry is *inconclusive*.{more}")


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
