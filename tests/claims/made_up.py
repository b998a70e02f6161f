"""Results, claims and a basis for tests of the judge, without files and trainings."""

import numpy as np

from helpers.claims import claims, pool, readings

FREE = pool.Basis(strict=False)  # no prior, and no left-out seeds asked for


def result(*values, **about):
    """A result as page.publish makes it."""
    finite = [value for value in values if value is not None]
    made = {"values": list(values), "n": len(finite), "value": float(np.mean(finite)) if finite else None}
    made |= {"std": float(np.std(finite, ddof=1)) if len(finite) > 1 else None, "share": 1.0, "budget": "full"}
    made |= {"seeds": list(range(len(values))), "records": [], "statuses": [], "unit": "", "standin": False}
    return made | about


def claim(kind="number", evidence="study_a.a1.test_accuracy", **about):
    named = evidence if isinstance(evidence, dict) else {"": evidence}  # {} for a claim that needs none
    return claims.Claim(**{"id": "A1.x", "report": "A", "statement": "something"} | about, kind=kind, evidence=named)


def line(entry, results, basis=FREE, **about):
    return readings.judge_claim(entry, results, basis, **about)


def verdict(entry, results, basis=FREE):
    return line(entry, results, basis)["verdict"]
