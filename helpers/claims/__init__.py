"""What the reports claim, and what our results say of it."""

from helpers.base import door

HOMES = {
    "claims": "Claim denominator load_claims printed with_printed",
    "evidence": "check_answered load_results record_of sample",
    "readings": "judge_all judge_claim",
    "ledger": "beside",
    "conclusion": "conclude outcome set_beside tell_all",
    "display": "quote show",
    "spread": "prediction",
    "trail": "why",
}
__getattr__, __all__ = door(__name__, HOMES)
