"""What the reports claim, and what our results say of it."""

from helpers.base import door

HOMES = {
    "claims": "answers beside check_answered Claim denominator judge_all judge_claim load_claims load_results "
    "printed record_of trail why",
}
__getattr__, __all__ = door(__name__, HOMES)
