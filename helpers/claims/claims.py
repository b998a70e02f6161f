"""The ledger: what the reports claim (notebooks/claims*.yaml) and what our results say of it.

`judge` decides; here lie the files: claims, results, records, and the list of printed numbers.
"""

import functools
import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from helpers import base
from helpers.base import CourseworkError
from helpers.claims import judge
from helpers.page import markup
from helpers.trials import records

NUMBER = re.compile(r"\d+(?:,000)+|\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|\bnan\b")  # what numbers.csv lists


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
    evidence: dict[str, str]  # reading -> results key or comparison; the first one decides
    undefined: str = ""
    assumes: tuple[str, ...] = ()
    causes: tuple[str, ...] = ()

    def __post_init__(self):
        if self.kind not in judge.JUDGES or not (self.evidence or self.undefined):
            raise ValueError(f"kind is one of {', '.join(judge.JUDGES)}, with evidence or undefined")
        for text in self.evidence.values():
            found = judge.EVIDENCE.fullmatch(text)
            if not found or (self.kind == "order") != bool(found[2]):
                raise ValueError(f"evidence is a results key, for an order two with >, < or ~, not {text!r}")
        if self.kind in ("number", "bound", "epoch", "time") or self.value:
            judge.printed(self.value)

    def needs(self, text: str | None = None) -> list[str]:
        """The results keys of one piece of evidence, or of all."""
        texts = self.evidence.values() if text is None else [text]
        return [key for text in texts for key in judge.EVIDENCE.fullmatch(text).group(1, 3) if key]


@functools.cache
def _table(path: Path, modified: int) -> dict:
    """A claims file as YAML has it; one edited since is read again."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def load_claims() -> list[Claim]:
    """All claims of notebooks/claims*.yaml. Raises CourseworkError naming an entry that cannot be judged."""
    claims = {}
    for path in sorted(base.NOTEBOOKS.glob("claims*.yaml")):
        table = _table(path, path.stat().st_mtime_ns)
        for entry in table["claims"]:
            try:
                told = {"assumes": table.get("assumptions") or {}, "causes": table.get("causes") or {}}
                texts = {name: tuple(told[name][word] for word in entry.get(name, ())) for name in told}
                found = entry.get("evidence") or {}
                claim = Claim(**entry | texts | {"evidence": found if isinstance(found, dict) else {"": found}})
                if claims.setdefault(claim.id, claim) is not claim:
                    raise ValueError("this id stands twice")
            except (AttributeError, KeyError, TypeError, ValueError, ArithmeticError) as error:
                raise CourseworkError(f"{path.name}, claim {entry.get('id')}: {error}; see the file's head") from error
    return list(claims.values())


def printed(claim_id: str) -> float:
    """The number that a claim prints: "90.05 %" is 0.9005, a range its middle. CourseworkError where there is none."""
    texts = {claim.id: claim.value for claim in load_claims()}
    if not texts.get(claim_id):
        raise CourseworkError(f"claim {claim_id} prints no number; the ids stand in notebooks/claims*.yaml")
    return sum(judge.printed(texts[claim_id])[:2]) / 2


def short(notebook: str) -> str:
    """task1_data_loaders -> task1, study_a_sgd_sweep -> study_a; other names stay as they are."""
    return found[1] if (found := re.match(r"(task\d|study_[a-z])_", notebook)) else notebook


def answers(results: dict) -> dict[str, dict]:
    """{short name: bundle, or its results} or {full key: result} -> {full key: result}."""
    flat = {}
    for name, content in results.items():
        if "values" in content:
            flat[name] = {"standin": False, "share": 1.0} | content
            continue
        data = content.get("data") or []
        standin = any(part["standin"] for part in ([data] if isinstance(data, dict) else data))
        inner = content["results"] if isinstance(content.get("results"), dict) else content
        flat |= {f"{name}.{key}": {"standin": standin} | result for key, result in inner.items()}
    return flat


def load_results(budget: str) -> dict[str, dict]:
    """{full key: result} of the pages of one budget and the published ones, each on the larger budget of the two."""
    best = {}
    for folder in (base.PUBLISHED, base.REPORTS / budget):
        for path in sorted(folder.glob("*.json")):
            bundle = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(bundle, dict) or not isinstance(bundle.get("results"), dict):
                continue
            for key, result in answers({short(path.stem): bundle}).items():
                result["page"] = str(path.with_suffix(".html").relative_to(base.ROOT))
                if key not in best or _weight(result) >= _weight(best[key]):
                    best[key] = result
    return best


def _weight(result: dict) -> tuple:
    return not result["standin"], result["share"], result["n"]


def check_answered(claims: list[Claim], results: dict, unavailable=()) -> None:
    """Raises CourseworkError naming the first claim whose evidence no result answers.

    unavailable: short names of notebooks that could not run for want of data; their claims pass.
    """
    known = answers(results)
    for claim in claims:
        for key in claim.needs():
            if key not in known and key.split(".")[0] not in unavailable:
                raise CourseworkError(f"claim {claim.id}: no result {key}; publish it there or mend the claims file")


@functools.cache
def record_of(key: str) -> dict | None:
    """The record of a trial key, the committed one first, whichever study it belongs to."""
    paths = [path for root in records.roots() for path in sorted(root.glob(f"*/{key}.json"))]
    return next((found | {"path": str(p.relative_to(base.ROOT))} for p in paths if (found := records.load(p))), None)


def images_right(result: dict) -> np.ndarray | None:
    """Which test images each run behind a result got right, (runs, images); None where records do not tell."""
    found = [record_of(key) for key in result.get("records") or []]
    if not found or not all(record and record["predictions"] for record in found):
        return None
    for meta in base.CACHE.glob("*/meta.json"):
        if json.loads(meta.read_text(encoding="utf-8"))["fingerprint"] == found[0]["fingerprint"]:
            labels = np.load(meta.with_name("test_labels.npy"))
            packed = [base.unpack_labels(record["predictions"]) for record in found]
            return np.stack(packed) == labels if all(len(p) == len(labels) for p in packed) else None
    return None


def judge_claim(claim: Claim, results: dict) -> dict:
    """One line of the ledger: verdict, reason, what was measured, and how each reading fares."""
    known = answers(results)
    missing = [key for key in claim.needs() if key not in known]
    used = [known[key] for key in claim.needs() if key in known]
    first = [known[key] for text in [*claim.evidence.values()][:1] for key in claim.needs(text) if key in known]
    said, odds = {}, {}
    for name, text in claim.evidence.items() if not missing else ():
        said[name] = judge.JUDGES[claim.kind](claim, text, known, lambda key: images_right(known[key]))
        if len(claim.evidence) > 1:
            odds[name] = judge.likelihood(claim, text, known, lambda key: images_right(known[key]))
    verdict, reason = next(iter(said.values()), ("not comparable", f"no result {', '.join(missing[:1])}"))
    if claim.undefined or any(result["standin"] for result in used):
        verdict, reason = "not comparable", claim.undefined or "stand-in data"
    shares = [result["share"] for result in first] or [1.0]
    share = min(shares)
    if claim.kind == "order" and max(shares) > 1.5 * share and verdict != "not comparable":
        verdict, reason = "inconclusive", f"the two are trained to different shares: {reason}"
    most = max(odds.values(), default=0) or 1.0
    return {
        "claim": claim.id,
        "report": claim.report,
        "kind": claim.kind,
        "statement": claim.statement,
        "printed": claim.value,
        "measured": " and ".join("–" if r["value"] is None else f"{r['value']:.4g}" for r in first),
        "verdict": verdict,
        "provisional": "" if share >= 1 else f"provisional: {100 * share:.2g} % of the training",
        "reason": reason,
        "n": min((len(result["values"]) for result in first), default=0),
        "budget": " and ".join(dict.fromkeys(str(result.get("budget")) for result in first)),
        "readings": "; ".join(f"{name}: {pair[0]}" for name, pair in said.items()) if len(said) > 1 else "",
        "likelihood_ratio": " : ".join(f"{p / most:.2g}" for p in odds.values()),
        "evidence": "; ".join(claim.evidence.values()),
    }


def judge_all(claims: list[Claim], results: dict) -> pd.DataFrame:
    """All claims judged, one line each (see `judge`)."""
    known = answers(results)
    return pd.DataFrame([judge_claim(claim, known) for claim in claims])


def beside(report: str, results: dict) -> pd.DataFrame:
    """A report's claims that a page's own results (page.results) answer: claim, statement, verdict, printed, ours ...

    The keys lack the study's name; it is the one whose evidence they answer most.
    """
    claims = [claim for claim in load_claims() if claim.report == report]
    studies = [key.split(".")[0] for claim in claims for key in claim.needs() if key.partition(".")[2] in results]
    known = answers({max(studies, key=studies.count): {"results": results}} if studies else {})
    rows = []
    for claim in [claim for claim in claims if claim.evidence and set(claim.needs()) <= set(known)]:
        row, first = judge_claim(claim, known), [known[key] for key in claim.needs(next(iter(claim.evidence.values())))]
        ours = " and ".join(markup.number(result["value"], None, result["std"]) for result in first)
        verdict = row["verdict"] + (" (provisional)" if row["provisional"] else "")
        about = {"ours": ours, "trained": f"{100 * min(r['share'] for r in first):.3g} %", "verdict": verdict}
        rows.append({name: row[name] for name in ("claim", "statement", "printed", "n")} | about)
    return pd.DataFrame(rows, columns=["claim", "statement", "verdict", "printed", "ours", "n", "trained"])


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


def trail(claim: Claim, results: dict) -> list[str]:
    """What a verdict stands on: reading, trials, records, code, page, cost, limits, innocent causes."""
    known, row = answers(results), judge_claim(claim, results)
    lines = [f"{claim.id}, report {claim.report}: {claim.statement}" + (f" = {claim.value}" if claim.value else "")]
    lines += [f"  verdict: {row['verdict']} ({row['reason']}) {row['provisional']}".rstrip()]
    for name, text in claim.evidence.items():
        lines += [f"  reading {name}: {text}" if name else f"  evidence: {text}"]
        for key in claim.needs(text):
            lines += _behind(key, known.get(key))
    if row["likelihood_ratio"]:
        lines += [f"  likelihood of the readings: {row['likelihood_ratio']}"]
    lines += [f"  assumed: {text}" for text in claim.assumes]
    lines += [f"  does not establish: {judge.LIMITS[claim.kind]}"]
    return lines + [f"  innocent cause of a difference: {text}" for text in claim.causes]


def _behind(key: str, result: dict | None) -> list[str]:
    """The lines on one result: its value, page, and the trials it comes from."""
    if result is None:
        return [f"    {key}: no result"]
    value = "–" if result["value"] is None else f"{result['value']:.4g}"
    spread = "" if result["std"] is None else f" ± {result['std']:.2g}"
    lines = [f"    {key} = {value}{spread}, n = {result['n']}, budget {result.get('budget')}"]
    lines += [f"    page: {result['page']}"] if result.get("page") else []
    found = [record for name in result.get("records") or [] if (record := record_of(name))]
    for record in found:
        seconds = "" if record["seconds"] is None else f", {record['seconds']:.0f} s"
        lines += [f"    trial {record['path']}: {record['status']}, code {record['source'][:12]}{seconds}"]
    return lines + ([f"    cost: {sum(r['seconds'] or 0 for r in found):.0f} s of training"] if found else [])


def why(prefix: str, budget: str | None = None) -> str:
    """The trails of the claim `prefix` and of those below it (A3: A3.test_accuracy ...), as text."""
    claims = [claim for claim in load_claims() if claim.id == prefix or claim.id.startswith(f"{prefix}.")]
    if not claims:
        raise CourseworkError(f"no claim {prefix}; the ids stand in notebooks/claims*.yaml, e.g. A3, S-A7")
    largest = next((name for name in ("full", "standard") if (base.REPORTS / name).is_dir()), "smoke")
    results = load_results(budget or largest)
    return "\n".join(line for claim in claims for line in trail(claim, results))
