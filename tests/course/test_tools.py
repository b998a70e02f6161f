"""The course's timer, sums and plots; curves in scripts and in a real kernel."""

import os
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt
from nbclient import NotebookClient
from PIL import Image

import helpers as mu

CHECKOUT = Path(__file__).resolve().parent.parent.parent
ENVIRONMENT = os.environ | {"PYTHONPATH": str(CHECKOUT)}


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def run(folder, *cells):
    """The cells as IPython's kernel leaves them."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(folder)}}).execute(env=ENVIRONMENT)
    return notebook.cells


def pictures(cell):
    return [output for output in cell.outputs if {"image/png", "image/svg+xml"} & set(output.get("data", {}))]


def has_colour(path):
    """Whether a picture holds more than an empty frame: something blue, as the first line is."""
    pixels = np.asarray(Image.open(path).convert("RGB")).astype(int)
    return bool((pixels[..., 2] - pixels[..., 0] > 100).any())


def test_timer_and_accumulator_add_up():
    timer = mu.Timer()
    time.sleep(0.01)
    assert timer.stop() >= 0.01
    timer.start()
    timer.stop()
    assert timer.sum() == pytest.approx(timer.cumsum()[-1]) == pytest.approx(2 * timer.avg())
    metric = mu.Accumulator(2)
    metric.add(1, torch.tensor(2.5))
    metric.add(1, 2)
    assert (metric[0], metric[1]) == (2.0, 4.5)
    metric.reset()
    assert metric.data == [0.0, 0.0]


def test_animator_skips_none_and_draws_a_fifth_line():
    animator = mu.Animator(xlabel="epoch", legend=list("abcde"), fmts=("-", "m--"))
    animator.add(1, (0.5, None, 0.1, 0.2, 0.3))
    animator.add(2, (0.4, 0.9, None, 0.2, 0.3))
    lines = animator.axes[0].lines
    assert [len(line.get_xdata()) for line in lines] == [2, 1, 1, 2, 2]
    assert lines[1].get_xydata().tolist() == [[2.0, 0.9]]
    assert [line.get_marker() for line in lines] == ["None", "o", "o", "None", "None"]  # one point is seen too
    assert [text.get_text() for text in animator.axes[0].get_legend().get_texts()] == list("abcde")
    single = mu.Animator()
    single.add(0, torch.tensor(1.5))
    assert single.Y == [[1.5]]


def test_animator_grows_with_its_points_within_the_limits_given():
    animator = mu.Animator(xlim=[0, 4], ylabel="loss")
    for x in range(5):
        animator.add(x, 10.0 * x)
        animator.axes[0].set_title("mine")
    assert animator.axes[0].get_xlim() == (0, 4) and animator.axes[0].get_ylim()[1] >= 40
    assert animator.axes[0].get_title() == "mine" and animator.axes[0].get_ylabel() == "loss"
    animator.add(5, 0.0)
    assert animator.axes[0].get_title() == "mine"  # a later point takes nothing away


def test_the_curve_is_pyplots_current_figure(tmp_path):
    animator = mu.Animator(legend=["loss"])
    animator.add([1], [0.5])
    animator.add([2], [0.2])
    assert plt.gcf() is animator.fig and plt.gca() is animator.axes[0]
    plt.savefig(tmp_path / "curve.png")
    assert has_colour(tmp_path / "curve.png")


def test_plot_takes_one_line_many_lines_and_tensors_with_gradients():
    x = torch.arange(0, 3, 0.1, requires_grad=True)
    mu.plot(x, [x**2, 2 * x - 3], "x", "f(x)", legend=["f(x)", "tangent"], figsize=(4, 3))
    axes = plt.gca()
    assert len(axes.lines) == 2 and axes.get_xlabel() == "x"
    assert np.allclose(axes.lines[0].get_ydata(), np.arange(0, 3, 0.1) ** 2, atol=1e-5)
    mu.plot([1, 2, 3], yscale="log")
    assert len(plt.gca().lines) == 1 and plt.gca().get_yscale() == "log"
    mu.plot([[1, 2]] * 6)
    assert len(plt.gca().lines) == 6
    assert plt.rcParams["figure.figsize"] == [3.5, 2.5]


def test_a_script_saves_its_curve_with_savefig(tmp_path):
    script = """
import matplotlib
matplotlib.use("Agg")
from matplotlib import pyplot as plt
import helpers as mu
batches = mu.load_array((mu.rand(40, 1, 4, 4), mu.arange(40) % 2), 8)
mu.train_ch6(mu.nn.Sequential(mu.nn.Flatten(), mu.nn.Linear(16, 2)), batches, batches, 3, 0.1, mu.cpu())
plt.savefig("curve.png")"""
    command = [sys.executable, "-c", script]
    made = subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=True)
    assert made.stdout.startswith("training on cpu\nloss ") and made.stderr == ""
    assert has_colour(tmp_path / "curve.png")


def test_a_notebook_is_left_with_one_figure_a_cell(tmp_path):
    first = """import helpers as mu
from matplotlib import pyplot as plt
animator = mu.Animator(xlabel="epoch", xlim=[1, 60], legend=["a", "b"])
for epoch in range(40):
    animator.add(epoch + 1, (epoch / 40, None))
    animator.add(epoch + 1, (None, 1 - epoch / 40))
mu.use_svg_display()
plt.savefig("same.png")
print("done")"""
    later = "animator.add(60, (2.5, 0.75))\nplt.savefig('later.png')"
    cells = run(tmp_path, first, later, "plt.gcf().axes", "animator.fig", "mu.plot([1, 2, 3])")
    [figure] = pictures(cells[0])
    assert "last values 0.975, 0.025" in figure.metadata["image/png"]["alt"]  # drawn when the cell ended
    assert "done\n" in [output.get("text") for output in cells[0].outputs]
    [figure] = pictures(cells[1])
    assert "last values 2.5, 0.75" in figure.metadata["image/png"]["alt"]
    assert has_colour(tmp_path / "same.png") and has_colour(tmp_path / "later.png")
    assert cells[2].outputs[0].data["text/plain"] == "[]"  # the next cell's figure is its own
    assert len(pictures(cells[3])) == 1 and len(pictures(cells[4])) == 1
