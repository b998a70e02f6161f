"""The table of faults on its page: the committed counts are those of the tests that are here."""

import json
import re
from pathlib import Path

from kinds import MENDED, SHOWN

from helpers import base

HERE = Path(__file__).parent


def test_the_table_names_every_kind_that_the_tests_try():
    tried = {
        kind for path in HERE.glob("test_*.py") for kind in re.findall(r'mark\.fault\("(.*?)"\)', path.read_text())
    }
    assert tried == set(MENDED) >= set(SHOWN)
    table = json.loads((base.CHECKOUT / "reports" / "published" / "fault_counts.json").read_text(encoding="utf-8"))
    assert {kind: row["mended"] for kind, row in table.items()} == dict(sorted(MENDED.items()))
    assert all(row["survived"] == row["tried"] > 0 for row in table.values())
