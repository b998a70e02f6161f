"""Counts the faults that the tests here try and survive, by kind, for the page that shows them.

    @pytest.mark.fault("hostile hand-ins")       on a test: each of its cases is one fault of this kind
    record_property("tried", 300)                in a test: it tried so many

With FAULTS_JSON=file the counts are written there: {kind: {"tried": n, "survived": n, "mended": what was}}.
"""

import json
import os
from collections import defaultdict
from pathlib import Path

from kinds import MENDED

COUNTS = defaultdict(lambda: {"tried": 0, "survived": 0})


def pytest_configure(config):
    config.addinivalue_line("markers", "fault(kind): the kind of fault that a test tries, in words")


def pytest_itemcollected(item):
    if mark := item.get_closest_marker("fault"):
        item.user_properties.append(("fault", mark.args[0]))


def pytest_runtest_logreport(report):
    properties = dict(report.user_properties)
    if "fault" in properties and (report.when == "call" or report.failed) and not report.skipped:
        tried = properties.get("tried", 1)
        COUNTS[properties["fault"]]["tried"] += tried
        COUNTS[properties["fault"]]["survived"] += tried * report.passed


def pytest_terminal_summary(terminalreporter):
    for kind, count in sorted(COUNTS.items()):
        terminalreporter.write_line(f"{kind}: {count['survived']} of {count['tried']} survived")


def pytest_sessionfinish():
    if path := os.environ.get("FAULTS_JSON"):
        table = {kind: count | {"mended": MENDED[kind]} for kind, count in sorted(COUNTS.items())}
        Path(path).write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
