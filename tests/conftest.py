"""What every test shares: seeds, and folders of its own instead of the checkout's."""

import random
import signal

import numpy as np
import pytest

from helpers import base


def pytest_configure():
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # begun in a shell's background: children would not hear it
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def seeds_fixed():
    random.seed(0)
    np.random.seed(0)


@pytest.fixture
def own_records(tmp_path, monkeypatch):
    """Records of this test only, here and in worker processes."""
    for name in ("JOBS", "ENGINE", "FRESH", "COURSEWORK_BUILD", "COURSEWORK_PROGRESS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COURSEWORK_HOME", str(tmp_path))
    monkeypatch.setattr(base, "RECORDS", tmp_path / "reports" / "records")
    monkeypatch.setattr(base, "PUBLISHED", tmp_path / "reports" / "published")
    return tmp_path
