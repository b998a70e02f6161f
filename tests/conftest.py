"""What tests share: seeds, folders of their own instead of the checkout's, a browser."""

import os
import random
import signal
from pathlib import Path

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


@pytest.fixture(scope="module")
def chromium():
    """The browser at CHROMIUM, else the system's, else playwright's; without any the test skips, or fails in CI."""
    from playwright.sync_api import sync_playwright  # here: few tests need it

    with sync_playwright() as playwright:
        path = os.environ.get("CHROMIUM", "/usr/bin/chromium")
        if "CHROMIUM" not in os.environ and not Path(path).exists():
            path = playwright.chromium.executable_path
        if not Path(path).exists() and os.environ.get("CI") != "true":
            pytest.skip("needs Chromium: python -m playwright install chromium, or set CHROMIUM to its path")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()
