"""The ledger: every claim judged, and every count of it. One source for all pages, the index and the README."""

from decimal import Decimal

import numpy as np
import pandas as pd
from scipy import stats

from helpers import base
from helpers.claims import calibration, evidence, judge, orders, pool, readings, spread
from helpers.claims.claims import Claim, load_claims, load_tables, printed
from helpers.claims.values import as_printed, interval, places
from helpers.page import markup

NOT_RUN = "not run"
BLIND = 0.5  # a judge that refutes fewer of the false numbers than this is blind
VERDICTS = (*judge.VERDICTS, NOT_RUN)
DECIDED = ("reproduced", "exceeded", "not reproduced")
COLUMNS = ("claim", "report", "kind", "verdict", "printed", "value", "half_width", "resolution", "n", "share",
           "readings", "records")  # fmt: skip  # of the ledger as a file

KINDS = {  # of claims, in words
    "arithmetic": "printed values among themselves", "bound": "upper bound", "count": "exact count",
    "diverges": "training that fails", "epoch": "epoch", "number": "printed number",
    "order": "comparison of two results", "statement": "yes-or-no finding", "time": "time or speed",
}  # fmt: skip
METRICS = {"volatility": "change between epochs", "gap": "difference of accuracies", "seconds": "time"}  # in words
WHY = {  # why a claim is inconclusive: its short name, in words, and what would settle it
    "shortened": ("a training behind it was shortened", "the training in full"),
    "unprinted": ("it differs, and hangs on a setting that the report does not print", "the report's own setting"),
    "ranks": ("trainings failed, and the ranks of so few cannot decide", "four trainings or more on either side"),
    "few": ("too few runs", "three seeds or more of each training, five for a yes-or-no finding, or where none trains"),
    "wide": ("the spread over our seeds is wider than the effect", "more seeds, if there is an effect at all"),
    "unmeasured": ("our trainings do not measure it", "a longer training, or one of its own"),
    "dead": ("our trainings end at chance, where nothing can be compared", "nothing that we know of"),
}  # fmt: skip


def not_run(results: dict) -> set[str]:
    """Short names of the notebooks that lie in notebooks/ and have left no result, for want of data or of a run."""
    ran = {key.split(".")[0] for key in results}
    return {evidence.short(path.stem) for path in base.NOTEBOOKS.glob("*.ipynb")} - ran


def judged(claims: list[Claim], results: dict, basis: pool.Basis | None = None) -> pd.DataFrame:
    """The ledger by report and verdict; the verdict of claims whose study has left no result is "not run".

    survives: a refutation that Benjamini and Hochberg's procedure keeps, at a false discovery rate of 5 %.
    """
    frame = _lines(claims, results, basis).assign(home=[claim.home() for claim in claims])
    frame = frame.sort_values("verdict", key=lambda verdicts: verdicts.map(VERDICTS.index), kind="stable")
    return frame.sort_values("report", kind="stable")


def _lines(claims, results: dict, basis: pool.Basis | None, values: dict | None = None) -> pd.DataFrame:
    """The claims judged, in their order, what lacks a result as "not run"; survives: see `judged`."""
    frame = readings.judge_all(claims, results, basis, values)
    frame.loc[~frame["answered"], "verdict"] = NOT_RUN
    return frame.assign(survives=surviving(frame))


def tested(frame: pd.DataFrame) -> pd.Series:
    """Which claims stood a statistical test that could have refuted them."""
    return frame["p"].notna() & frame["verdict"].isin((*DECIDED, "inconclusive"))


def surviving(frame: pd.DataFrame) -> pd.Series:
    """Which refutations survive Benjamini and Hochberg (1995) among all claims tested; facts of the code do."""
    refuted, tests = frame["verdict"] == "not reproduced", tested(frame)
    kept = pd.Series(refuted & frame["p"].isna(), index=frame.index)
    if tests.any():
        adjusted = stats.false_discovery_control(frame.loc[tests, "p"].astype(float).clip(0, 1))
        kept.loc[tests] = refuted[tests] & (adjusted <= judge.LEVEL)
    return kept


def count(frame: pd.DataFrame) -> dict[str, float]:
    """Every count that a page may give: claims, each verdict, tested, expected false refutations, survivors, runs."""
    totals = {"claims": len(frame)}
    totals |= {name.replace(" ", "_"): int((frame["verdict"] == name).sum()) for name in VERDICTS}
    tests = int(tested(frame).sum())
    totals |= {"tested": tests, "expected_false": judge.LEVEL * tests, "surviving": int(frame["survives"].sum())}
    decided = frame[frame["verdict"].isin(DECIDED) & (frame["n"] > 0)]
    totals["one_run"] = int((decided["n"] == 1).sum())
    totals["shortened"] = int((frame["share"] < 1).sum())
    return totals


def findings(frame: pd.DataFrame, verdict: str) -> int:
    """How many separate findings carry a verdict: claims of one kind that rest on the same trainings are one."""
    chosen = frame[frame["verdict"] == verdict]
    return len({(line.kind, line.records or line.claim) for line in chosen.itertuples()})


def cause(frame: pd.DataFrame) -> pd.Series:
    """Why each inconclusive claim is so, by its short name in WHY; "" for claims with another verdict."""
    unmeasured = frame["reason"].str.startswith((judge.NOT_MEASURED, orders.SAME))
    dead = frame["reason"].str.startswith((judge.DEAD, orders.NONE_TRAINED))
    by_ranks = frame["reason"].str.contains(orders.BY_RANKS, regex=False)
    tried = frame["half_width"].notna() | (frame["p"].notna() & (frame["kind"] == "statement"))
    tried &= ~frame["reason"].str.startswith("the judge ")
    unprinted = frame["reason"].str.startswith(readings.UNPRINTED)
    cases = {"shortened": frame["share"] < 1, "unprinted": unprinted, "unmeasured": unmeasured, "dead": dead}
    cases |= {"ranks": by_ranks, "wide": tried}
    names = np.select([*cases.values()], [*cases], "few")
    return pd.Series(names, frame.index).where(frame["verdict"] == "inconclusive", "")


def reasons(frame: pd.DataFrame) -> pd.DataFrame:
    """Inconclusive claims by reason: its short name as index, the reason, how many claims, what would settle them."""
    number = cause(frame).value_counts()
    lines = [(name, words, number[name], remedy) for name, (words, remedy) in WHY.items() if name in number]
    lines.sort(key=lambda line: -line[2])
    return pd.DataFrame(lines, columns=["", "reason", "claims", "what would settle it"]).set_index("")


def counts(frame: pd.DataFrame, by: str = "report") -> pd.DataFrame:
    """Claims by report, kind, home or n (rows) and verdict (columns), with a last row for all."""
    table = pd.crosstab(frame[by], frame["verdict"], margins=True, margins_name="all").rename(columns={"all": "claims"})
    return table[[*(name for name in VERDICTS if name in table), "claims"]]


def to_csv(frame: pd.DataFrame) -> str:
    """The whole ledger as CSV text, one line a claim."""
    return frame[list(COLUMNS)].to_csv(index=False, lineterminator="\n").rstrip("\n")


def page_ledger(report: str, results: dict, basis: pool.Basis | None = None) -> pd.DataFrame:
    """The lines of `judged` for the claims of a report that are at home on a page, from its own results.

    The keys lack the study's name; it is the one whose evidence they answer most. Claims that lack a result are
    "not run".
    """
    claims = load_claims()
    keys = [key for claim in claims if claim.report == report for key in claim.needs()]
    studies = [study for study, _, result in (key.partition(".") for key in keys) if result in results]
    study = max(studies, key=studies.count) if studies else ""
    at_home = [claim for claim in claims if claim.report == report and claim.home() == study]
    if not at_home:
        return pd.DataFrame(columns=["claim", "kind", "measured", "verdict", "reason", "n", "share", "p", "survives"])
    of_study = {f"{study}.{key}": result for key, result in results.items()}
    return _lines(at_home, of_study, basis, readings.printed_values(claims))


def beside(report: str, results: dict, basis: pool.Basis | None = None) -> pd.DataFrame:
    """A report's claims that a page's own trainings answer: claim, statement, verdict, printed, ours, n, share ...

    verdict: with what each reading gives, where they part; ours: with the reading it was measured under. detectable
    difference: what would have been refuted in nine cases of ten, in the unit of what is printed.
    """
    return answered(page_ledger(report, results, basis))


def answered(frame: pd.DataFrame) -> pd.DataFrame:
    """The claims of a page's ledger that trainings answer, in words: see `beside`."""
    columns = ["claim", "statement", "verdict", "printed", "ours", "n", "share", "detectable difference"]
    if frame.empty:
        return pd.DataFrame(columns=columns)
    frame = frame[(frame["verdict"] != NOT_RUN) & (frame["kind"] != "arithmetic") & (frame["n"] > 0)]
    frame = frame[~without_other_side(frame)]
    lines = frame.to_dict("records")
    return frame.assign(
        verdict=[line["readings"] if line["joined"] else line["verdict"] for line in lines],
        printed=frame["printed"].map(as_printed),
        ours=[with_interval(line) + (f" ({line['reading']})" if line["reading"] else "") for line in lines],
        **{"detectable difference": [_detectable(line) for line in lines]},
    )[columns].reset_index(drop=True)


def without_other_side(frame: pd.DataFrame) -> pd.Series:
    """Which lines compare two results of which one was never measured."""
    return (frame["kind"] == "order") & frame["measured"].str.contains("–", regex=False)


def _detectable(line: dict) -> str:
    if pd.isna(line["resolution"]):
        return ""
    if line["printed"].endswith("%"):
        return f"{markup.digits(100 * line['resolution'], 2)} %"
    return markup.digits(line["resolution"], 2) + " epochs" * (line["kind"] == "epoch")


def printed_percent(text: str) -> str:
    """A printed accuracy in percent, with the digits that are printed: 0.860 and 86.0 % are both 86.0 %."""
    return text if text.endswith("%") else f"{Decimal(text).scaleb(2):f} %"


def best(frame: pd.DataFrame, settings: dict[str, str]) -> pd.DataFrame:
    """The claims `settings` (id -> network in words) beside ours, in percent, and the difference in points.

    network: with the reading that decides, where there are several; key: our result under it.
    """
    lines = []
    for line in frame.set_index("claim", drop=False).loc[list(settings)].to_dict("records"):
        measured = pd.notna(line["value"]) and line["n"]
        gap = 100 * (line["value"] - printed(line["claim"])) if measured else None
        ours = f"{100 * line['value']:.2f} %" if measured else "not run"
        network = ", ".join(filter(None, (settings[line["claim"]], line["reading"])))
        row = {"claim": line["claim"], "report": line["report"], "network": network}
        row |= {"printed": printed_percent(line["printed"]), "ours": ours, "runs (n)": line["n"], "points": gap}
        lines.append(row | {"verdict": f"{line['verdict']} {line['joined']}".strip(), "key": line["key"]})
    return pd.DataFrame(lines)


def with_interval(line: dict) -> str:
    """Our value of a judged claim in the unit of the printed one; where known, [95 % of new runs]."""
    half = line["half_width"] if pd.notna(line["half_width"]) else None
    if line["kind"] == "number" and line["printed"].endswith("%") and pd.notna(line["value"]):
        value, ends = 100 * line["value"], [100 * end for end in _ends(line)]
        return f"{value:.2f} %" + interval(value, half and 100 * half, ends) + _without(line)
    if line["kind"] == "order" and half and pd.notna(line["gap"]):
        return f"{line['measured']}; difference {line['gap']:,.{places(half)}f}{interval(line['gap'], half)}"
    return line["measured"] + interval(line["value"], half, _ends(line)) + _without(line)


def _ends(line: dict) -> tuple[float, float]:
    """Between which numbers a quantity lies by its nature: an accuracy in 0 to 1, an epoch above 0, a gap anywhere."""
    if spread.is_difference(line["key"]):
        return -np.inf, np.inf
    return 0.0, 1.0 if spread.is_accuracy(line["key"]) else np.inf


def _without(line: dict) -> str:
    return f", without {line['lost']} of {line['n']} that diverged or stayed at chance" if line["lost"] else ""


def innocent_causes(frame: pd.DataFrame) -> pd.DataFrame:
    """What may explain, without anybody's fault, the claims of a page's ledger that are not reproduced."""
    causes = {}
    refuted = set(frame["claim"][frame["verdict"] == "not reproduced"])
    for claim in load_claims():
        for cause in claim.causes if claim.id in refuted else ():
            causes.setdefault(cause, []).append(claim.statement)
    rows = [(cause, _first([*dict.fromkeys(statements)])) for cause, statements in causes.items()]
    return pd.DataFrame(rows, columns=["innocent cause", "may explain"])


def _first(statements: list[str], most: int = 3) -> str:
    """All of a few statements; of many the first two and how many more."""
    more = f"; and {len(statements) - 2} more" if len(statements) > most else ""
    return "; ".join(statements[: 2 if more else most]) + more


def log_odds(ids: list[str], results: dict, basis: pool.Basis | None = None) -> float | None:
    """log10 of the likelihood ratio of the second reading against the first, over the claims `ids` together."""
    return readings.log_odds([claim for claim in load_claims() if claim.id in ids], results, basis)


def ranks(results: dict) -> pd.DataFrame:
    """Kendall's tau between the printed column of a table and ours, trained in full; "–" where that is not all.

    1: the same order; p is of no relation at all. Nor is a column ranked in which rows end at chance: they are ties.
    """
    claims, lines = {claim.id: claim for claim in load_claims()}, []
    for name, ids in load_tables().items():
        keys = [next(iter(claims[entry].evidence.values())) for entry in ids]
        whole = all(key in results and results[key]["share"] == 1 and results[key]["value"] is not None for key in keys)
        at_chance = [key for key in keys if whole and spread.is_accuracy(key) and results[key]["value"] < spread.LEARNT]
        line = {"table": name, "rows": len(ids), "tau": None, "p": None, "n": None}
        if whole and not at_chance:
            tau = stats.kendalltau([printed(entry) for entry in ids], [results[key]["value"] for key in keys])
            line |= {"tau": tau.statistic, "p": tau.pvalue, "n": min(results[key]["n"] for key in keys)}
        lines.append(line)
    return pd.DataFrame(lines, columns=["table", "rows", "tau", "p", "n"])


def trusted(errors: pd.DataFrame) -> pd.DataFrame:
    """What the judge's word is worth, by metric and number of runs: sound, blind (power below a half), or errs."""

    def words(line) -> str:
        if line.numbers == calibration.NOT_TRIED:
            return "not tried"
        if line.numbers == calibration.ERRS:
            return f"errs: refutes {100 * line.refuted:.0f} % of true ones"
        return f"{'blind' if line.power < BLIND else 'sound'}: sees {100 * line.power:.0f} %"

    cells = errors.assign(
        cell=[words(line) for line in errors.itertuples()],
        runs=[f"{n} run{'s' * (n > 1)}" for n in errors["n"]],
        metric=errors["metric"].replace(METRICS).str.replace("_", " "),
    )
    order = {name: list(dict.fromkeys(cells[name])) for name in ("metric", "runs")}
    return cells.pivot(index="metric", columns="runs", values="cell").loc[order["metric"], order["runs"]]


def calibrated() -> pd.DataFrame:
    """The calibration table of the committed records (see `calibration.table`)."""
    return calibration.table(pool.committed())
