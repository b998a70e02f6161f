"""Adopting a stale record: its source has changed since, but its probe, trained again, shows that its result stands.

What a run adopts is noted on this machine, beside the records; the record itself, which may be a committed one, stays
as it is. `upkeep.adopt` writes into the records.
"""

import json

from helpers import base
from helpers.trials import probe


def stands(record: dict, source: str) -> bool:
    """Whether a record may stand for a training by `source`: it is of that source, or was adopted for it here."""
    return record["source"] == source or _note(record, source).get("adopted", False)


def is_open(record: dict, source: str) -> bool:
    """Whether a probe may still decide about a stale record: it carries one, which was not yet trained here again."""
    return bool(record["probe"]) and not _note(record, source)


def agreement(record: dict, source: str) -> str:
    """ "equal" or "close" for a record that was adopted for `source`, "" for one of that source itself."""
    return "" if record["source"] == source else _note(record, source).get("agreement", "")


def adopt(record: dict, source: str, measured: dict) -> bool:
    """Note whether `record` stands for `source`: whether the probe `measured` today agrees with its own.

    See `probe.vouches`, for the platform of the record's probe. A probe that failed says nothing, and is not noted.
    """
    if measured.get("status") == "failed":
        return False
    agreement = probe.compare(record["probe"], measured)
    here = probe.same_platform(record["probe"]["platform"], measured.get("platform") or {})
    adopted = probe.vouches(agreement, here)
    note = {"adopted": adopted, "agreement": agreement, "checksum": record["checksum"], "probe": measured}
    base.write_atomically(_path(record, source), base.to_json(note))
    return adopted


def _path(record: dict, source: str):
    return base.RECORDS / record["study"] / ".adopted" / f"{record['key']}-{source}.json"


def _note(record: dict, source: str) -> dict:
    """What was noted of this record and `source`; {} where nothing is, or what is there is damaged or of another."""
    try:
        note = json.loads(_path(record, source).read_bytes())
        sound = note["adopted"] in (True, False) and note["agreement"] in ("equal", "close", "different")
        return note if sound and note["checksum"] == record["checksum"] else {}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}
