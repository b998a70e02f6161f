"""One claim judged under every reading that its text allows, and the readings joined to one verdict."""

import math
from dataclasses import replace

import pandas as pd

from helpers.claims import calibration, evidence, judge, orders, pool, spread
from helpers.claims.judge import Verdict
from helpers.claims.values import consistent, middle, parse
from helpers.page import markup

UNPRINTED = "it differs, and hangs on a setting that is not printed"  # begins why a claim is not refuted
NUMERALS = dict(enumerate(("no", "one", "two", "three", "four", "five")))


def judge_reading(claim, text: str, results: dict, basis, values: dict) -> Verdict:
    """The verdict of one reading, a results key or a comparison of two; `results` by full key, `values` as printed.

    What hangs on a setting that is not printed may be reproduced, not refuted: another setting may give it.
    """
    verdict = _judged(claim, text, results, basis, values)
    if not claim.unprinted:
        return verdict
    if verdict.verdict in ("not reproduced", "exceeded"):
        verdict = replace(verdict, verdict="inconclusive", reason=f"{UNPRINTED}; {verdict.reason}")
    return replace(verdict, p=None)


def _judged(claim, text: str, results: dict, basis, values: dict) -> Verdict:
    """The judge's verdict of one reading.

    Where the judge errs too often on left-out seeds of such a metric and so few of them, or was never tried there,
    its word is not given: inconclusive.
    """
    samples = samples_of(claim, text, results, basis)
    if claim.kind != "order":
        verdict = judge.JUDGES[claim.kind](claim, samples[0])
    else:
        verdict = orders.judge_order(claim, claim.sign(text), *samples, printed_gap(claim, text, values))
    if verdict.half_width is None or verdict.verdict == "inconclusive":
        return verdict
    runs = min(len(sample.counted(claim) if claim.kind == "number" else sample.alive()) for sample in samples)
    doubt = calibration.doubt(basis, "order" if claim.kind == "order" else "number", samples[0].key, runs)
    if doubt:
        return replace(verdict, verdict="inconclusive", reason=f"{doubt}; {verdict.reason}", p=None)
    return verdict


def samples_of(claim, text: str, results: dict, basis=None) -> list[judge.Sample]:
    """The samples of one reading: one, of an order two."""
    keys = claim.needs(text)
    return [evidence.sample(key, results, basis, claim.classes, claim.images or 0) for key in keys]


def join(verdicts: dict[str, Verdict]) -> tuple[str, str]:
    """(the reading whose verdict decides, "under one of two readings" where they part).

    A report is not refuted where one reading of its text reproduces; else what stays open stays open.
    """
    for name in ("reproduced", "exceeded", "inconclusive", "not reproduced", "not comparable"):
        alike = [reading for reading, verdict in verdicts.items() if verdict.verdict == name]
        if len(alike) == len(verdicts):
            return alike[0], ""
        if alike:
            return alike[0], f"under {_numeral(len(alike))} of {_numeral(len(verdicts))} readings"
    raise ValueError("a claim without a reading")


def _numeral(count: int) -> str:
    return NUMERALS.get(count, str(count))


def judge_claim(claim, results: dict, basis=None, values: dict | None = None) -> dict:
    """One line of the ledger: verdict, reason, what was measured, on how many runs, and how each reading fares.

    values: what is printed, as `printed_values` has it, for arithmetic and for printed gaps.
    """
    basis = basis or pool.committed()
    missing = [key for key in claim.needs() if key not in results]
    reading, joined, verdicts = next(iter(claim.evidence), ""), "", {}
    if claim.kind == "arithmetic":
        holds, sides = consistent(claim.check, values or {})
        chosen = Verdict(verdict="consistent" if holds else "inconsistent", reason=sides)
    elif missing or not claim.evidence:
        chosen = Verdict(verdict="not comparable", reason=f"no result {missing[0]}" if missing else "")
    else:
        values = values or {}
        verdicts = {name: judge_reading(claim, text, results, basis, values) for name, text in claim.evidence.items()}
        reading, joined = join(verdicts)
        chosen = verdicts[reading]
    text = claim.evidence.get(reading, "")
    keys = [key for key in claim.needs(text) if key in results] if text else []
    ours = [results[key] for key in keys]
    standin = any(results[key]["standin"] for key in claim.needs() if key in results)
    if claim.undefined or standin:
        chosen, joined = Verdict(verdict="not comparable", reason=claim.undefined or "stand-in data"), ""
    odds = {} if missing or len(claim.evidence) < 2 else likelihoods(claim, results, basis)
    value = ours[0]["value"] if len(ours) == 1 else chosen.gap
    value = value if chosen.mean is None else chosen.mean
    return {
        "claim": claim.id,
        "report": claim.report,
        "kind": claim.kind,
        "statement": claim.statement,
        "printed": claim.value,
        "value": value,
        "reading": reading,
        "key": text,
        "measured": _measured(claim, keys, results, basis, chosen),
        "verdict": chosen.verdict,
        "joined": joined,
        "reason": chosen.reason + _gap_in_words(claim, chosen, text, values or {}),
        "half_width": chosen.half_width,
        "gap": chosen.gap,
        "lost": chosen.lost,
        "resolution": chosen.resolution,
        "p": chosen.p,
        "answered": not missing,
        "n": min((result["n"] if claim.kind == "time" else len(result["values"]) for result in ours), default=0),
        "share": min((result["share"] for result in ours), default=1.0),
        "budget": " and ".join(dict.fromkeys(str(result.get("budget")) for result in ours)),
        "readings": "; ".join(f"{name}: {one.verdict}" for name, one in verdicts.items()) if len(verdicts) > 1 else "",
        "likelihood_ratio": ratio(odds),
        "evidence": "; ".join(claim.evidence.values()) or claim.check,
        "records": " ".join(dict.fromkeys(key for result in ours for key in result.get("records") or ())),
    }


def _measured(claim, keys: list[str], results: dict, basis, chosen: Verdict) -> str:
    """Our value in words; of a finding how many seeds show it, not the flag's mean."""
    if chosen.lost:
        return markup.number(chosen.mean, name=keys[0])
    if claim.kind in ("diverges", "statement") and keys:
        sample = evidence.sample(keys[0], results, basis, claim.classes)
        seen = sample.flags(nan_only=claim.value == "nan")
        if sample.fact and len(seen) == 1:
            return f"{'yes' if seen[0] else 'no'}, by its code"
        return f"seen in {sum(seen)} of {len(seen)}"
    most = max((results[key]["share"] for key in keys), default=1.0)
    words = []
    for key in keys:
        less = "†" if results[key]["share"] < most else ""  # beside one that was trained more
        words.append(markup.number(results[key]["value"], name=key) + less)
    return " and ".join(words)


def printed_gap(claim, text: str, values: dict) -> float | None:
    """The printed left side of an order less the right one; None where the report does not print both."""
    sides = [values.get(key) for key in claim.needs(text)] if claim.kind == "order" and text else [None]
    return None if None in sides else middle(sides[0]) - middle(sides[1])


def _gap_in_words(claim, chosen: Verdict, text: str, values: dict) -> str:
    """How our difference compares with the printed one, where the report prints both sides of an order."""
    gap = printed_gap(claim, text, values)
    if gap is None or chosen.gap is None:
        return ""
    return f"; the printed difference is {gap:.4f}, ours {chosen.gap:.4f}" if gap else "; no difference is printed"


def judge_all(claims: list, results: dict, basis=None, values: dict | None = None) -> pd.DataFrame:
    """All claims judged, one line each (see `judge_claim`); values: what is printed, by default what these print."""
    basis = basis or pool.committed()
    values = values or printed_values(claims)
    return pd.DataFrame([judge_claim(claim, results, basis, values) for claim in claims])


def printed_values(claims: list) -> dict[str, str]:
    """What is printed, by claim id and by the results key that tests it (of a number claim's readings all)."""
    values = {claim.id: claim.value for claim in claims if claim.value}
    for claim in claims:
        if claim.kind == "number":
            values |= {key: claim.value for key in claim.evidence.values() if key not in values}
    return values


def likelihoods(claim, results: dict, basis=None) -> dict[str, float | None]:
    """reading -> how probable the claim is under it (see `likelihood`).

    Where no seed of a reading trained, what those that train would give is not known: taken is what another reading's
    give, so that the two part by their shares of seeds that train alone.
    """
    samples = {name: samples_of(claim, text, results, basis)[0] for name, text in claim.evidence.items()}
    fits = [fit for sample in samples.values() if (fit := _fit(claim, sample)) is not None]
    most = max(fits, default=1.0)
    return {name: likelihood(claim, text, results, basis, most) for name, text in claim.evidence.items()}


def ratio(odds: dict[str, float | None]) -> str:
    """Likelihoods relative to the largest, "0.01 : 1"; nothing where one is not known; and where no reading fits."""
    if not odds or None in odds.values():
        return ""
    most = max(odds.values())
    return " : ".join(f"{value / most:.2g}" for value in odds.values()) if most > 0 else "no reading fits"


def likelihood(claim, text: str, results: dict, basis=None, untrained: float = 1.0) -> float | None:
    """How probable the claim is under one reading: of the printed digits (t), of an epoch, a finding, an order.

    A share of the probability goes to runs that end at chance, by the seeds that did. None where the deviation from
    run to run is not known, and for shortened trainings. untrained: how probable the printed digits are for a seed that
    trains, where none did.
    """
    samples = samples_of(claim, text, results, basis)
    sample = samples[0]
    if min(one.share for one in samples) < 1:
        return None
    if claim.kind in ("diverges", "statement"):
        return _share(sample.flags(nan_only=claim.value == "nan"))
    if claim.kind == "count":
        return _share(judge.matches(claim, sample))
    if claim.kind == "epoch":
        return _share(judge.matches(claim, sample, judge.EPOCHS))
    if claim.kind == "order":
        if not all(one.alive() for one in samples) or any(one.is_dead() for one in samples):
            return None
        interval, _ = orders.difference(*samples)
        if interval is None or not interval.unit:
            return None
        margin = orders.margin_of(claim, samples[0])
        below, close = interval.below(0.0), interval.below(margin) - interval.below(-margin)
        return {">": 1 - below, "<": below, "~": close}[claim.sign(text)]
    alive, fits = sample.counted(claim), _fit(claim, sample)
    if (alive and fits is None) or sample.is_dead():
        return None
    lost = (len(sample.values) - len(alive) + 0.5) / (len(sample.values) + 1)
    low, high = _digits(claim)
    by_chance = spread.is_accuracy(sample.key) and low <= 1 / claim.classes <= high
    return (1 - lost) * (untrained if fits is None else fits) + lost * by_chance


def _digits(claim) -> tuple[float, float]:
    """Between which numbers a value rounds to what is printed, or lies below a printed bound."""
    low, high, half = parse(claim.value)
    return (0.0, high) if claim.kind == "bound" else (low - half, high + half)


def _fit(claim, sample: judge.Sample) -> float | None:
    """How probable the printed digits are for a seed that trains; None where too few did to tell."""
    counted = sample.counted(claim) if claim.kind in ("number", "bound") else []
    interval = sample.interval(counted) if counted else None
    if interval is None:
        return None
    low, high = _digits(claim)
    return interval.below(high) - interval.below(low)


def _share(seen: list[bool]) -> float:
    """The share of runs that show something, by the seeds that do; half a seed more on either side, never 0 or 1."""
    return (sum(seen) + 0.5) / (len(seen) + 1)


def log_odds(claims: list, results: dict, basis=None) -> float | None:
    """log10 of the likelihood ratio of the second reading against the first, over all these claims together.

    None unless all of them are known: trained in full, and by seeds enough to tell the spread from run to run.
    """
    total = 0.0
    for claim in claims:
        first, second = list(likelihoods(claim, results, basis).values())[:2]
        if first is None or second is None:
            return None
        total += math.log10(max(second, 1e-300)) - math.log10(max(first, 1e-300))
    return total
