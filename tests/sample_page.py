"""A small executed notebook with everything that a page can hold, made without a kernel, for the tests of report/."""

import base64
import functools
import io
from pathlib import Path

import nbformat
import numpy as np
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

BUNDLE = "application/vnd.coursework.results+json"
IMAGES = 400
STATE = {
    "notebook": "task4_training",
    "title": "Task 4: training",
    "status": "complete",
    "budget": "standard",
    "duration_s": 185.2,
    "started": 1795169700.0,
    "author": "A. Student",
    "data": {"name": "fashion_mnist", "title": "Fashion-MNIST", "source": "data folder", "standin": False,
             "fingerprint": "c59f468a2f67"},
    "provenance": {"git": {"commit": "0123456789abcdef0123456789abcdef01234567", "dirty": True}, "python": "3.11.2",
                   "versions": {"torch": "2.13.0", "numpy": "2.3.1"}, "threads": 2, "seeds": [0, 1, 2]},
    "parameters": {"lr": 0.05, "epochs": 3, "seed": 0},
    "changed": {"lr": 0.05},
    "command": 'make report BUDGET=standard ONLY=task4_training SET="lr=0.05"',
}  # fmt: skip
PARAMETERS = """# What can be changed from outside.
budget: str = "standard"
lr: float = 0.1
epochs: int = None"""
CODE = '''# The coursework's network, trained on 54,000 images.
@page.timed
def train(model: nn.Module, lr: float = 0.1) -> dict:
    """One epoch after the other."""
    optimiser = torch.optim.SGD(model.parameters(), lr=lr)
    history = [epoch(model, optimiser) for _ in range(epochs)]
    if not history or None in history:
        raise ValueError(f"nothing trained at {lr:.3f}")
    return {"history": history, "classes": len(model.classes) and 0x10}'''

OPENING = """# Task 4: training the network

The network of task 2 is trained on the **54,000** images of the training part; the validation part chooses, the
test set is read once. A softmax turns the output into probabilities, $p_k = \\frac{e^{z_k}}{\\sum_j e^{z_j}}$, and
training lowers

$$L = -\\frac{1}{n}\\sum_{i=1}^{n} \\log p_{y_i}(x_i) .$$"""
SCHEDULE = """## Training

Does the loss still fall at the end?

#### Its schedule

| part | images |
|:--|--:|
| training | 54,000 |
| validation | 6,000 |

> The rate is constant here; study A varies it.

```python
loss = -log(p)  # one image
```"""
AFTER = """The gap between the curves is small, so the network is not yet over-fitted.

## Result

- read once
- see [study A](study_a_sgd_sweep.html)"""


def pack(labels) -> str:
    """Labels below 16, two a byte, as base.pack_labels writes them."""
    even = np.append(labels, np.zeros(len(labels) % 2, int)).astype(np.uint8)
    return f"4:{len(labels)}:{base64.b64encode((even[::2] << 4 | even[1::2]).tobytes()).decode()}"


def predictions(seeds: int = 3):
    """(labels, one array of predictions a seed, accuracies): about 0.89 right."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 10, IMAGES)
    runs = [np.where(generator.random(IMAGES) < 0.89, labels, (labels + 1) % 10) for _ in range(seeds)]
    return labels, runs, [float((run == labels).mean()) for run in runs]


@functools.cache
def _drawing() -> str:
    """Two curves as a PNG in base64."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.4), dpi=110, layout="tight")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.plot([1, 2, 3], [0.81, 0.52, 0.42], label="training")
    axes.plot([1, 2, 3], [0.72, 0.55, 0.49], label="validation")
    axes.set(xlabel="epoch", ylabel="loss")
    axes.legend()
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return base64.b64encode(file.getvalue()).decode()


def figure_output(alt="Training loss falls from 0.81 to 0.42 in three epochs."):
    """An image output as page.show makes it."""
    data = "epoch,training,validation\n1,0.81,0.72\n2,0.52,0.55\n3,0.42,0.49\n"
    about = {"caption": "The loss of both parts, epoch by epoch.", "data": data}
    if alt is not None:
        about["alt"] = alt
    content = {"image/png": _drawing(), "text/plain": "figure"}
    return new_output("display_data", content, metadata={"image/png": about})


def caption_output():
    """The caption that JupyterLab shows under a figure; a page must not repeat it."""
    text = "*The loss of both parts, epoch by epoch.*"
    role = {"coursework": {"role": "caption"}}
    return new_output("display_data", {"text/markdown": text, "text/plain": text}, metadata=role)


def table_output(columns=4):
    """A table of three rows as page.table makes it."""
    head = "".join(f'<th scope="col">column {i}</th>' for i in range(columns))
    row = '<tr><th scope="row" style="text-align:left">A{}</th>{}</tr>'
    cells = "".join(f"<td>{0.8603 - 0.01 * i:.4f}</td>" for i in range(columns - 1))
    body = "".join(row.format(i + 1, cells) for i in range(3))
    html = f"<table><caption>Accuracy by row</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return new_output("display_data", {"text/html": html + "<p>Printed values stand beside ours.</p>"})


def bundle(**changes) -> dict:
    """What page.finish leaves."""
    labels, runs, accuracies = predictions()
    result = {"unit": "", "share": 1.0, "budget": "standard", "records": [], "statuses": ["ok"] * 3, "seeds": [0, 1, 2]}
    results = {
        "test_accuracy": {**result, "value": float(np.mean(accuracies)), "std": float(np.std(accuracies, ddof=1)),
                          "n": 3, "values": accuracies},
        "train_loss": {**result, "value": 0.4213, "std": 0.002, "n": 3, "values": [0.42, 0.4213, 0.4226], "share": 0.1},
        "high_rate.train_loss": {**result, "value": None, "std": None, "n": 0, "values": [None] * 3,
                                 "statuses": ["diverged"] * 3},
        "seconds": {**result, "value": 185.0, "std": None, "n": 1, "values": [185.0], "unit": "s"},
    }  # fmt: skip
    packed = {"key": "test_accuracy", "classes": list("abcdefghij"), "n": IMAGES, "labels": pack(labels),
              "predicted": [pack(run) for run in runs]}  # fmt: skip
    return {"notebook": STATE["notebook"], "budget": "standard", "parameters": STATE["parameters"],
            "changed": STATE["changed"], "results": results, "predictions": packed, "data": [STATE["data"]],
            "used": [["tasks", "abc", "def"]], **changes}  # fmt: skip


def cells(results=None) -> list:
    """The cells of the sample: prose, maths, code, every kind of output."""
    accuracy = f"{np.mean(predictions()[2]):.3f}"
    bar = "\r".join(f"{n}%|{'#' * (n // 10)}| {n}/100 [00:01<00:00, 93.1it/s]" for n in range(0, 101, 5))
    run = new_code_cell(CODE, execution_count=2)
    run.outputs = [
        new_output("stream", name="stdout", text="\n".join(f"epoch {i} loss {1 / (i + 1):.3f}" for i in range(90))),
        new_output("stream", name="stderr", text=bar + "\n"),
        new_output(
            "display_data", {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}, "text/plain": "HBox"}
        ),
    ]
    draw = new_code_cell("page.show(curves(trial), caption)", execution_count=3)
    draw.outputs = [figure_output(), caption_output()]
    compare = new_code_cell("page.table(rows, 'Accuracy by row')\npage.table(wide)", execution_count=4)
    compare.outputs = [table_output(), table_output(columns=16)]
    say = new_code_cell("page.say(text)", execution_count=5)
    sentence = f"The test accuracy is **{accuracy}** over three seeds, read once."
    say.outputs = [new_output("display_data", {"text/markdown": sentence, "text/plain": sentence})]
    end = new_code_cell("page.finish()", execution_count=6)
    end.outputs = [new_output("display_data", {BUNDLE: results or bundle(), "text/plain": ""})]
    opening, schedule, after = (new_markdown_cell(text) for text in (OPENING, SCHEDULE, AFTER))
    parameters = new_code_cell(PARAMETERS, execution_count=1, metadata={"tags": ["parameters"]})
    return [opening, parameters, schedule, run, new_markdown_cell("## Curves"), draw, after, compare, say, end]


def notebook(path: Path, *, content=None) -> Path:
    """Write the sample notebook (or other cells) to `path`; cell ids are fixed, so that bytes repeat."""
    content = cells() if content is None else content
    for number, cell in enumerate(content):
        cell.id = f"cell-{number}"
    nbformat.write(new_notebook(cells=content, metadata={"language_info": {"name": "python"}}), path)
    return path


def page(folder: Path, name: str = STATE["notebook"], *, content=None, **state) -> Path:
    """Export the sample as folder/name.html."""
    from helpers.report.export.export import page_html

    nb = nbformat.read(notebook(folder / f"{name}.ipynb", content=content), as_version=4)
    html = folder / f"{name}.html"
    html.write_text(page_html(nb, {**STATE, "notebook": name, **state}, folder), encoding="utf-8")
    return html
