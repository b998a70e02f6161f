"""Exploring in a real JupyterLab, in Chromium: the curve, the comparison, the panel, a prediction, and mistakes."""

import lab
import pytest
from PIL import Image, ImageDraw

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]
SMALL = {
    '"standard"': '"smoke"',
    'data: str = "auto"': 'data: str = "standin"',
    "epochs: int = None": "epochs: int = 8",
}
TABLE = "beside your earlier ones"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """(a home, the address of a JupyterLab over it)."""
    home = lab.home_for(tmp_path_factory.mktemp("lab"))
    with lab.jupyterlab(home) as address:
        yield home, address


def small(text):
    for old, new in SMALL.items():
        assert old in text
        text = text.replace(old, new)
    return text


def pictures(opened):
    return opened.page.locator(".jp-OutputArea-output img")


def test_a_training_is_watched_compared_repeated_varied_and_asked(chromium, server):
    home, address = server
    ask = 'print("answers:", len(mu.predict("my.jpg")))\nmu.predict("none.jpg")'
    cells = ("parameters", "begin", "settings-cell", "training-cell", "panel-cell")
    path = lab.notebook(home, *cells, more=[ask], edit=small)
    picture = Image.new("RGB", (300, 400), "white")
    ImageDraw.Draw(picture).ellipse((80, 60, 220, 340), outline="black", width=40)
    picture.save(home / "notebooks" / "my.jpg")
    with lab.Lab(chromium, address, path) as opened:
        opened.run()
        opened.wait("Starting a worker for ours, seed 0")
        pictures(opened).first.wait_for(timeout=lab.WAIT)
        opened.wait(TABLE)
        [table] = [text for text in opened.outputs() if TABLE in text]
        assert table.split("\n")[-1].split("\t")[0] == "this one" and "seconds" in table
        opened.wait("answers: 10")
        opened.wait("CourseworkError: predict: no file none.jpg in")
        assert not [text for text in opened.outputs() if "Traceback" in text]

        opened.run()
        opened.wait("Nothing to train: read from its record, ours, seed 0")
        opened.wait("answers")
        assert pictures(opened).count() >= 2  # its curve, and the picture that was asked about

        opened.page.locator("select:has(option:text-is('sgd'))").first.select_option("sgd")
        opened.page.locator(".jupyter-button:has-text('Run')").click()
        opened.wait("optimiser ")
        assert opened.page.locator(".widget-output img").count() == 1  # its curve
        lines = [text for text in opened.outputs() if "optimiser " in text][-1].split("\n")
        assert [line.split("\t")[0] for line in lines if "\t" in line][1] == "this one"


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            "epochs: int = 8",
            "epochs: int = 8\nepoch = 3",
            "unknown parameter epoch; did you mean epochs? valid: budget,",
        ),
        ("epochs: int = 8", "epochs: int = 0", "epochs=0: expected at least 1, at most 1,000,000,000"),
        ("optimiser: str = None", 'optimiser: str = "adm"', "optimiser=adm: expected one of sgd, asgd, adam,"),
    ],
)
def test_a_mistake_is_one_sentence(chromium, server, old, new, sentence):
    home, address = server
    path = lab.notebook(home, "parameters", "begin", edit=lambda text: small(text).replace(old, new))
    with lab.Lab(chromium, address, path) as opened:
        opened.run()
        opened.wait(sentence)
        [output] = opened.outputs()
        assert output.startswith(f"CourseworkError: task4_training: {sentence}")
        assert "\n" not in output
