"""What every test shares: seeds, and folders of its own instead of the checkout's."""

import random

import numpy as np
import pytest

from helpers import base


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
