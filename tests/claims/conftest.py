import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from helpers import base
from helpers.claims import evidence


@pytest.fixture
def shown():
    """What is displayed while a function runs, by kind."""
    InteractiveShell.instance()

    def run(function, *arguments):
        with capture_output() as captured:
            function(*arguments)
        return [output.data for output in captured.outputs]

    yield run
    InteractiveShell.clear_instance()


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project root of the test's own, with the committed claims."""
    folders = {"ROOT": "", "REPORTS": "reports", "RECORDS": "reports/records", "CACHE": "data/cache"}
    for name, path in (folders | {"PUBLISHED": "reports/published"}).items():
        monkeypatch.setattr(base, name, tmp_path / path)
    evidence.record_of.cache_clear()
    yield tmp_path
    evidence.record_of.cache_clear()
