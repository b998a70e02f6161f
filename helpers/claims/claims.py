"""The claims files: what the reports claim (notebooks/claims*.yaml), and every number that their texts print."""

import functools
import re
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from helpers import base
from helpers.base import CourseworkError
from helpers.claims import judge, values
from helpers.page.parameters import refuse_unknown

EVIDENCE = re.compile(r"(\w+\.[\w.]+)(?: ([<>~]) (\w+\.[\w.]+))?")  # a key, or two and how they compare


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One entry of a claims file; the fields are explained at the head of notebooks/claims.yaml."""

    id: str
    report: str
    kind: str
    statement: str
    value: str = ""
    best: bool = False
    margin: float | None = None
    evidence: dict[str, str] = field(default_factory=dict)  # reading -> results key or comparison
    check: str = ""  # of arithmetic
    undefined: str = ""
    classes: int = 10
    images: int | None = None  # of the report's evaluation, where they are other ones than ours
    assumes: tuple[str, ...] = ()
    causes: tuple[str, ...] = ()
    unprinted: bool = False  # whether it hangs on a setting that the report does not print

    def __post_init__(self):
        if self.kind not in judge.KINDS or not (self.evidence or self.undefined or self.check):
            raise ValueError(f"kind is one of {', '.join(judge.KINDS)}, with evidence, check or undefined")
        if not all(isinstance(text, str) for text in (self.id, self.report, self.statement)):
            raise ValueError("id, report and statement are texts: put them in quotes")
        given = [number for number in (self.margin, self.images) if number is not None]
        if min(given, default=1) <= 0 or self.classes < 2:
            raise ValueError("margin and images are above 0, classes at least 2")
        for text in self.evidence.values():
            match = EVIDENCE.fullmatch(text)
            if not match or (self.kind == "order") != bool(match[2]):
                raise ValueError(f"evidence is a results key, for an order two with >, < or ~, not {text!r}")
        if self.kind in ("number", "bound", "epoch", "count", "time") or self.value:
            values.parse(self.value)
        if self.value == "nan" and self.kind != "diverges":
            raise ValueError("a printed nan is a claim of kind diverges")
        if self.kind == "arithmetic":
            values.consistent(self.check, dict.fromkeys(values.names(self.check), "1"))

    def needs(self, text: str | None = None) -> list[str]:
        """The results keys of one piece of evidence, or of all."""
        texts = self.evidence.values() if text is None else [text]
        return [key for text in texts for key in EVIDENCE.fullmatch(text).group(1, 3) if key]

    def sign(self, text: str) -> str:
        """How an order's evidence compares its two keys: ">", "<" or "~"."""
        return EVIDENCE.fullmatch(text)[2]

    def home(self) -> str:
        """The study whose page answers it, "study_a"; "summary" where no single one of its report's studies does.

        What needs no result is at home with the report's study.
        """
        studies = {key.split(".")[0] for key in self.needs()} or {f"study_{self.report.lower()}"}
        own = {f"study_{self.report.lower()}"} | ({"study_f"} if self.report == "E" else set())
        return studies.pop() if len(studies) == 1 and studies <= own else "summary"


@functools.cache
def _file(path: Path, modified: int) -> dict:
    """A claims file as YAML has it; one edited since is read again. Raises CourseworkError on one of another form."""
    content = base.read_yaml(path)
    claims = content.get("claims")
    if not isinstance(claims, list) or not all(isinstance(entry, dict) for entry in claims):
        raise CourseworkError(f"{path.name}: expected a list of claims under 'claims'; see the head of claims.yaml")
    return content


def _files() -> dict[Path, dict]:
    return {path: _file(path, path.stat().st_mtime_ns) for path in sorted(base.NOTEBOOKS.glob("claims*.yaml"))}


def load_claims() -> list[Claim]:
    """All claims of notebooks/claims*.yaml. Raises CourseworkError naming an entry that cannot be judged."""
    claims = {}
    for path, content in _files().items():
        unprinted = content.get("unprinted") or []
        refuse_unknown(unprinted, content.get("assumptions") or {}, f"{path.name}, unprinted", "assumption")
        for entry in content["claims"]:
            try:
                words = {"assumes": content.get("assumptions") or {}, "causes": content.get("causes") or {}}
                texts = {name: tuple(words[name][word] for word in entry.get(name, ())) for name in words}
                evidence = entry.get("evidence") or {}
                evidence = evidence if isinstance(evidence, dict) else {"": evidence}
                texts["unprinted"] = any(name in unprinted for name in entry.get("assumes", ()))
                claim = Claim(**entry | texts | {"evidence": evidence})
                if claims.setdefault(claim.id, claim) is not claim:
                    raise ValueError("this id stands twice")
            except (AttributeError, KeyError, TypeError, ValueError, ArithmeticError, SyntaxError) as error:
                raise CourseworkError(f"{path.name}, claim {entry.get('id')}: {error}; see the file's head") from error
    for claim in claims.values():
        for name in values.names(claim.check) if claim.check else ():
            if name not in claims or not claims[name].value:
                raise CourseworkError(f"claim {claim.id}: its check names {name}, which prints no value")
    return list(claims.values())


def load_tables() -> dict[str, list[str]]:
    """{name of a printed table's column: ids of its claims, from top to bottom}."""
    return {name: ids for content in _files().values() for name, ids in (content.get("tables") or {}).items()}


def printed(claim_id: str) -> float:
    """The number that a claim prints: "90.05 %" is 0.9005, a range its middle. CourseworkError where there is none."""
    texts = {claim.id: claim.value for claim in load_claims()}
    if not texts.get(claim_id):
        raise CourseworkError(f"claim {claim_id} prints no number; the ids stand in notebooks/claims*.yaml")
    return values.middle(texts[claim_id])


def with_printed(trials: pd.DataFrame, study: str) -> pd.DataFrame:
    """`trials` with a column printed_<metric> for each metric of theirs that a report prints, by row; nan where none.

    A figure draws these beside the metric. The first claim counts whose evidence is a result of the row; its id names
    the metric, as A2.test_accuracy, or else the result.
    """
    from helpers.figures.lines import PRINTED  # with all of matplotlib

    columns = {}
    for claim in load_claims():
        for key in claim.needs() if claim.value and claim.kind in ("number", "diverges") else ():
            home, _, result = key.partition(".")
            row, _, metric = result.partition(".")
            named = claim.id.rpartition(".")[2]
            metric = named if named in trials else metric
            if home == study and metric in trials:
                columns.setdefault(f"{PRINTED}{metric}", {}).setdefault(row, printed(claim.id))
    return trials.assign(**{column: trials["row"].map(by_row) for column, by_row in columns.items()})


def numbers() -> pd.DataFrame:
    """Every number that the reports print: report, offset, line, printed, claims, set_aside (why)."""
    return pd.read_csv(base.NOTEBOOKS / "numbers.csv", dtype={"printed": str}, keep_default_na=False)


def denominator(claims: list[Claim]) -> pd.DataFrame:
    """By report: numbers printed, bound to a claim of the ledger, set aside with a reason, unbound."""
    frame, ids = numbers(), {claim.id for claim in claims}
    bound = frame["claims"].map(lambda names: bool(names) and set(names.split()) <= ids)
    counts = frame.assign(numbers=1, bound=bound, aside=~bound & (frame["set_aside"] != ""))
    table = counts.groupby("report")[["numbers", "bound", "aside"]].sum()
    return table.assign(unbound=table["numbers"] - table["bound"] - table["aside"])
