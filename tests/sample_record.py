"""A record with all its fields, for tests that need one without a training."""

from helpers.trials.records import FIELDS


def record(**values) -> dict:
    """A finished trial's record without numbers; `values` take the place of its fields or add to them."""
    empty = dict.fromkeys(FIELDS) | dict.fromkeys(["study", "trial", "fingerprint", "reason"], "")
    empty |= {name: {} for name in ("config", "history", "metrics", "provenance", "files")}
    return empty | {"key": "abc", "source": "s", "status": "ok", "checksum": ""} | values
