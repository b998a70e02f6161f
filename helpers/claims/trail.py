"""The trail of a claim: what its verdict stands on, down to trials, records, code and cost."""

from helpers import base
from helpers.base import CourseworkError
from helpers.claims import judge, readings
from helpers.claims.claims import Claim, load_claims
from helpers.claims.evidence import load_results, record_of
from helpers.page import markup

MOST = 4  # trials of one folder and code that are named one by one


def trail(claim: Claim, results: dict, line: dict | None = None) -> list[str]:
    """What a verdict stands on: reading, trials, records, code, page, cost, limits, innocent causes.

    line: the claim as the ledger judged it, if that is at hand.
    """
    line = line or readings.judge_claim(claim, results, values=readings.printed_values(load_claims()))
    lines = [f"{claim.id}, report {claim.report}: {claim.statement}" + (f" = {claim.value}" if claim.value else "")]
    lines += [f"  verdict: {line['verdict']} {line['joined']}".rstrip() + f" ({line['reason']})"]
    lines += [f"  trained to {markup.percent(line['share'])} of the report's training"] if line["share"] < 1 else []
    lines += [f"  checked: {claim.check}"] if claim.check else []
    for name, text in claim.evidence.items():
        lines += [f"  reading {name}: {text}" if name else f"  evidence: {text}"]
        for key in claim.needs(text):
            lines += _behind(key, results.get(key))
    if line["likelihood_ratio"]:
        lines += [f"  likelihood of the readings: {line['likelihood_ratio']}"]
    lines += [f"  assumed: {text}" for text in claim.assumes]
    lines += [f"  does not establish: {judge.LIMITS[claim.kind]}"]
    return lines + [f"  innocent cause of a difference: {text}" for text in claim.causes]


def _behind(key: str, result: dict | None) -> list[str]:
    """The lines on one result: its value, page, and the trials it comes from."""
    if result is None:
        return [f"    {key}: no result"]
    value = "no value" if result["value"] is None else f"{result['value']:.4g}"
    spread = "" if result["std"] is None else f" ± {result['std']:.2g}"
    lines = [f"    {key} = {value}{spread}, n = {result['n']}, budget {result.get('budget')}"]
    lines += [f"    page: {result['page']}"] if result.get("page") else []
    behind, groups = [record for name in result.get("records") or [] if (record := record_of(name))], {}
    for record in behind:  # one line for the trials of one folder and code
        folder, _, name = record["path"].rpartition("/")
        gpu = record["provenance"].get("gpu")
        cost = "" if record["seconds"] is None else f", {record['seconds']:.0f} s"
        cost += f" on a GPU, {gpu}" if cost and gpu else ""
        groups.setdefault((folder, record["source"][:12]), []).append(f"{name} ({record['status']}{cost})")
    for (folder, code), names in groups.items():
        if len(names) > MOST:
            names[MOST - 1 :] = [f"{len(names) - MOST + 1} more"]
        lines.append(f"    trials in {folder}, code {code}: {', '.join(names)}")
    seconds = sum(record["seconds"] or 0 for record in behind)
    return lines + ([f"    cost: {seconds:.0f} s of training, by the clock"] if behind else [])


def why(prefix: str, budget: str | None = None) -> str:
    """The trails of the claim `prefix` and of those below it (A3: A3.test_accuracy ...), as text."""
    claims = [claim for claim in load_claims() if claim.id == prefix or claim.id.startswith(f"{prefix}.")]
    if not claims:
        raise CourseworkError(f"no claim {prefix}; the ids stand in notebooks/claims*.yaml, e.g. A3, S-A7")
    results = load_results(budget or largest_budget())
    return "\n".join(line for claim in claims for line in trail(claim, results))


def largest_budget() -> str:
    """The largest budget whose pages lie here."""
    return next((name for name in ("full", "standard") if (base.REPORTS / name).is_dir()), "smoke")
