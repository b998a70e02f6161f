import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output


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
