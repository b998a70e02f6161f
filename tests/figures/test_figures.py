"""Figures: numbers against NumPy, pandas and scikit-learn; what the alt text says; size; no state left behind."""

import io
import re
import subprocess
import sys

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from PIL import Image
from sklearn.metrics import confusion_matrix

from helpers import figures
from helpers.base import CourseworkError
from helpers.figures import grids

CLASSES = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def seeds(rng):
    """Two settings of three seeds and 20 epochs, as histories(trials) gives them."""
    epochs = np.arange(1, 21)
    return pd.concat(
        pd.DataFrame({"row": row, "seed": seed, "epoch": epochs, "test_accuracy": 0.8 - 0.5 / epochs + noise}).assign(
            train_loss=2 / epochs + noise, train_accuracy=0.9 - 0.5 / epochs + noise
        )
        for row in ("batch 64", "batch 256")
        for seed, noise in enumerate(rng.normal(0, 0.01, (3, 20)))
    )


def examples(rng, seeds):
    """One drawing of each kind, with its name."""
    labels, grid = rng.integers(0, 10, 2000), np.linspace(-5, 5, 50)
    wide = seeds[(seeds["row"] == "batch 64") & (seeds["seed"] == 0)].assign(lr=0.1)
    confidence = rng.beta(5, 1, 500)
    panels = {"loss": "train_loss", "accuracy": ["train_accuracy", "test_accuracy"]}
    steps = [("input", "image", "B × 1 × 28 × 28"), ("stem", "cut into 49 patches", "B × 49 × 16")]
    steps += [("block × 2", "MLP over patches 49 → 64 → 49", "B × 128 × 49"), ("classifier", "mean", "B × 128")]
    table = pd.DataFrame([[0.1, 0.2], [0.3, np.nan]], pd.Index([0.01, 0.1], name="lr"), [10, 20])
    yield "curves", figures.curves(seeds, "epoch", panels, by="row", band=True)
    yield "one curve", figures.curves(wide, "epoch", "train_loss", log="y")
    yield "schedule", figures.schedule(wide, ["train_accuracy", "test_accuracy"])
    yield "bars", figures.bars({"Adam": [0.8, 0.9], "SGD": 0.7}, limits=(0.5, 1), reference={"SGD": 0.75})
    yield "histogram", figures.histogram({"layer 1": rng.normal(0, 1, (30, 30)), "layer 2": rng.normal(0, 2, 500)})
    yield "reliability", figures.reliability(confidence, rng.random(500) < confidence)
    yield "regression", figures.regression({"train": (grid, grid**2)}, grid, {"fit": grid**2}, gaps=[(-1, 1)])
    yield "images", figures.images(rng.integers(0, 255, (12, 28, 28)), [f"{c}\nx" for c in CLASSES + ["a", "b"]])
    yield "colour images", figures.images(rng.integers(0, 255, (3, 32, 32, 3), dtype=np.uint8))
    yield "patches", figures.patches(rng.integers(0, 255, (28, 28), dtype=np.uint8))
    yield "heatmap", figures.heatmap(table, xlabel="epochs", ylabel="lr")
    yield "confusion", figures.confusion(labels, labels[::-1], CLASSES)
    yield "architecture", figures.architecture(steps)


def test_every_drawing_is_whole_small_and_leaves_no_state(rng, seeds):
    before = dict(matplotlib.rcParams) | {"backend": plt.get_backend()}
    for name, drawing in examples(rng, seeds):
        content = drawing.png()
        picture = Image.open(io.BytesIO(content))
        assert picture.width == round(grids.WIDTH * grids.DPI), name
        assert len(content) < 60_000, name
        assert np.asarray(picture.convert("L")).std() > 5, f"{name} is blank"
        assert len(drawing.alt) > 30 and drawing.alt.endswith(".") and "nan" not in drawing.alt.lower(), name
        assert len(drawing.data) and len(drawing.data.to_csv()) < 20_000, name
    assert plt.get_fignums() == []
    assert dict(matplotlib.rcParams) == before


def test_drawing_needs_no_torch():
    code = "import sys, helpers.figures; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_curves_draw_mean_and_deviation_over_seeds(seeds):
    panels = {"loss": "train_loss", "accuracy": ["train_accuracy", "test_accuracy"]}
    drawing = figures.curves(seeds, "epoch", panels, by="row", band=True)
    expected = seeds[seeds["row"] == "batch 256"].groupby("epoch")["test_accuracy"]
    assert np.allclose(drawing.data["mean, accuracy, batch 256, test accuracy"], expected.mean(), rtol=1e-5)
    assert np.allclose(drawing.data["std, accuracy, batch 256, test accuracy"], expected.std(), rtol=1e-5)
    loss, accuracy = drawing.figure.axes
    assert [line.get_label() for line in loss.lines] == ["batch 64", "batch 256"]
    drawn = {line.get_label(): line.get_ydata() for line in accuracy.lines}
    assert np.allclose(drawn["batch 256, test accuracy"], expected.mean())
    upper = accuracy.collections[-1].get_paths()[0].get_extents().y1
    assert upper == pytest.approx((expected.mean() + expected.std()).max())
    styles = [(line.get_color(), line.get_linestyle()) for line in accuracy.lines]
    assert len(set(styles)) == 4 and len({style for _, style in styles}) == 4  # told apart without colour, too


def test_the_note_says_how_many_trainings_and_what_is_drawn_around_their_mean(seeds):
    uneven = seeds[(seeds["row"] == "batch 64") | (seeds["seed"] < 2)]
    notes = {
        "Means of n = 3 trainings; bands: one standard deviation.": figures.curves(
            seeds, "epoch", "test_accuracy", by="row", band=True
        ),
        "Means of n = 2 to 3 trainings.": figures.curves(uneven, "epoch", "test_accuracy", by="row"),
        "Means of n = 2 to 3 trainings; whiskers: one standard deviation.": figures.bars(
            uneven[uneven["epoch"] == 20].assign(share=1.0), "test_accuracy"
        ),
        "One training each.": figures.curves(seeds[seeds["row"] == "batch 64"], "epoch", "test_accuracy", by="seed"),
        "": figures.curves(seeds.drop(columns="seed"), "epoch", "test_accuracy", by="row"),
    }
    assert list(notes) == [drawing.note for drawing in notes.values()]


def test_alt_text_tells_first_best_and_last():
    frame = pd.DataFrame({"epoch": [1, 2, 3], "train_loss": [2.0, 0.5, 0.75], "test_accuracy": [0.1, 0.9, 0.8]})
    alt = figures.curves(frame, "epoch", {"loss": "train_loss", "accuracy": "test_accuracy"}).alt
    assert "epoch 1 to 3" in alt
    assert "train loss: first 2, lowest 0.5 at epoch 2, last 0.75" in alt
    assert "test accuracy: first 0.1, highest 0.9 at epoch 2, last 0.8" in alt
    fed = pd.DataFrame({"epoch": [1, 2, 3], "accuracy": [0.8, 0.9, 0.9], "row": "fed with the test loss"})
    alt = figures.curves(fed, "epoch", "accuracy", by="row").alt
    assert "accuracy, fed with the test loss: first 0.8, highest 0.9 at epoch 2" in alt  # the row is no loss
    alt = figures.curves(fed.assign(row="fed with the accuracy"), "epoch", "accuracy", by="row").alt
    assert "accuracy, fed with the accuracy: first 0.8" in alt


def test_divergence_and_many_lines_are_told():
    frame = pd.DataFrame({"epoch": [1, 2, 3], "loss": [2.0, np.nan, np.nan]})
    assert "last not finite" in figures.curves(frame, "epoch", "loss").alt
    assert "not finite" in figures.curves(frame.assign(loss=np.nan), "epoch", "loss").alt
    many = pd.DataFrame({"lr": np.repeat(range(8), 2), "epoch": [1, 2] * 8, "accuracy": np.arange(16) / 16})
    alt = figures.curves(many, "epoch", "accuracy", by="lr").alt
    assert "8 lines end between 0.0625 (lr 0) and 0.9375 (lr 7)" in alt


def test_histories_number_the_epochs():
    history = pd.DataFrame({"train_loss": [2.0, 1.0]})
    trials = pd.DataFrame({"row": ["a", "b"], "seed": [0, 1], "history": [history, history.head(1)]})
    long = figures.histories(trials)
    assert long[["row", "seed", "epoch"]].to_numpy().tolist() == [["a", 0, 1], ["a", 0, 2], ["b", 1, 1]]


def test_schedule_puts_the_rate_on_a_log_axis():
    frame = pd.DataFrame({"epoch": [1, 2], "lr": [0.1, 0.01], "accuracy": [0.5, 0.6]})
    upper, lower = figures.schedule(frame, "accuracy").figure.axes
    assert (upper.get_yscale(), lower.get_yscale()) == ("log", "linear")
    assert upper.get_shared_x_axes().joined(upper, lower)


def runs(row, accuracies, **about):
    """The trials of one row: a seed for each list of accuracies."""
    histories = [pd.DataFrame({"test_accuracy": values}) for values in accuracies]
    return pd.DataFrame({"row": row, "seed": range(len(histories)), "share": 1.0, "history": histories, **about})


def test_shortened_trainings_stand_in_panels_of_their_own():
    trials = pd.concat([runs("whole", [[0.5, 0.8, 0.9]]), runs("cut", [[0.3]], share=0.02)])
    drawing = figures.curves(figures.histories(trials), "epoch", "test_accuracy", by="row")
    whole, cut = drawing.figure.axes
    assert [axis.get_title() for axis in (whole, cut)] == ["in full", "shortened"]
    assert [[line.get_label() for line in axis.lines] for axis in (whole, cut)] == [["whole"], ["cut"]]
    assert whole.get_facecolor() != cut.get_facecolor() and whole.get_ylim()[0] > 0.3  # the cut one squeezes nothing
    assert "Shortened trainings: test accuracy, cut: first 0.3" in drawing.alt
    assert "mean, test accuracy, cut (shortened)" in drawing.data
    assert "shortened" not in figures.curves(figures.histories(runs("a", [[0.5, 0.6]])), "epoch", "test_accuracy").alt


def test_a_length_that_all_shortened_trainings_share_is_said_once():
    row = {"share": 0.02, "test_accuracy": 0.3}
    trials = pd.concat([runs("whole (a)", [[0.5, 0.8]], test_accuracy=0.8), runs("b (2 epochs)", [[0.3]], **row)])
    drawing = figures.curves(figures.histories(trials), "epoch", "test_accuracy", by="row")
    assert drawing.figure.axes[1].get_title() == "shortened:\n2 epochs"
    assert [text.get_text() for text in drawing.figure.legends[0].texts] == ["whole (a)", "b"]
    bars = figures.bars(trials, "test_accuracy")
    assert bars.data["name"].tolist() == ["whole (a)", "b"]
    assert "ours, shortened (2 epochs)" in [text.get_text() for text in bars.figure.legends[0].texts]
    mixed = pd.concat([trials, runs("c (1 epoch)", [[0.3]], **row), runs("b", [[0.7]], test_accuracy=0.7)])
    assert figures.bars(mixed, "test_accuracy").data["name"].tolist() == [
        "whole (a)",
        "b",
        "b (2 epochs)",
        "c (1 epoch)",
    ]
    same = pd.concat([runs("b", [[0.7]], test_accuracy=0.7), runs("b", [[0.3]], **row)])
    assert figures.bars(same, "test_accuracy").data["name"].tolist() == ["b", "b, shortened"]


def test_what_a_report_prints_is_marked_beside_trainings_in_full_alone():
    trials = pd.concat(
        [
            runs("whole", [[0.5, 0.8]], printed_test_accuracy=0.75),
            runs("alike", [[0.4, 0.7]], printed_test_accuracy=0.75),
            runs("cut", [[0.3]], share=0.02, printed_test_accuracy=0.99),
        ]
    )
    drawing = figures.curves(figures.histories(trials), "epoch", "test_accuracy", by="row")
    marks = [line for axis in drawing.figure.axes for line in axis.lines if line.get_marker() == "D"]
    assert [mark.get_ydata()[0] for mark in marks] == [0.75, 0.75]
    assert len({mark.get_xdata()[0] for mark in marks}) == len({mark.get_mec() for mark in marks}) == 2
    assert "Printed at the end: whole 0.75 (test accuracy), alike 0.75 (test accuracy)." in drawing.alt
    assert [text.get_text() for text in drawing.figure.legends[0].texts] == ["whole", "alike", "cut", "printed"]
    assert "0.99" not in drawing.alt


def test_equal_lines_are_drawn_once_and_close_ones_over_each_other():
    values = np.linspace(0.5, 0.9, 20)
    trials = pd.concat([runs("a", [values]), runs("b", [values]), runs("c", [values + 0.001]), runs("d", [values / 2])])
    axis = figures.curves(figures.histories(trials), "epoch", "test_accuracy", by="row").figure.axes[0]
    assert [line.get_label() for line in axis.lines] == ["a = b", "c", "d"]
    wide, narrow, other = (line.get_linewidth() for line in axis.lines)
    assert wide > narrow == other
    many = pd.concat([runs(f"a long name of a row {i}", [values]) for i in range(5)])
    axis = figures.curves(figures.histories(many), "epoch", "test_accuracy", by="row").figure.axes[0]
    assert [line.get_label() for line in axis.lines] == [
        "a long name of a row 0 = ... = a long name of a row 4 (5 alike)"
    ]


def test_a_legend_reads_from_left_to_right_and_stays_below_a_third(seeds):
    for length in (2, 60):
        many = pd.concat([runs(f"{i} {'x' * length}", [[0.1 * i, 0.2 + 0.05 * i]]) for i in range(10)])
        drawing = figures.curves(figures.histories(many), "epoch", "test_accuracy", by="row")
        drawing.png()
        legend, figure = drawing.figure.legends[0], drawing.figure
        box = legend.get_window_extent()
        assert box.height < figure.bbox.height / 3 and box.y0 < figure.axes[0].bbox.y0
        places = {text.get_text().split()[0]: text.get_window_extent() for text in legend.texts}
        by_row = sorted(places, key=lambda name: (-round(places[name].y0), places[name].x0))
        assert by_row == [str(i) for i in range(10)]


def test_bars_of_trials_hatch_the_shortened_ones_and_set_them_last():
    trials = pd.concat(
        [
            runs("cut", [[0.3]], share=0.02, test_accuracy=0.3, printed_test_accuracy=0.9),
            runs("whole_one", [[0.8], [0.9]], test_accuracy=[0.8, 0.9], printed_test_accuracy=0.75),
        ]
    )
    drawing = figures.bars(trials, "test_accuracy")
    assert drawing.data["name"].tolist() == ["whole one", "cut"]
    assert drawing.data["value"].tolist() == pytest.approx([0.85, 0.3])
    assert drawing.data["printed"][0] == 0.75 and np.isnan(drawing.data["printed"][1])
    assert [bool(patch.get_hatch()) for patch in drawing.figure.axes[0].patches] == [False, True]
    assert "Printed: whole one 0.75." in drawing.alt
    assert "cut 0.3, shortened" in drawing.alt and drawing.data["shortened"][1] == "yes"


def test_bars_take_the_sample_deviation_and_points_where_zero_is_left_out():
    drawing = figures.bars({"Adam": [0.8, 0.9, 1.0], "SGD": 0.7}, xlabel="test accuracy", reference={"SGD": 0.75})
    assert drawing.data["value"].tolist() == pytest.approx([0.9, 0.7])
    assert drawing.data["error"][0] == pytest.approx(0.1) and np.isnan(drawing.data["error"][1])
    assert drawing.data["printed"][1] == 0.75
    assert "test accuracy: Adam 0.9, SGD 0.7" in drawing.alt
    assert len(drawing.figure.axes[0].patches) == 2
    assert len(figures.bars({"a": 0.9}, limits=(0.8, 1)).figure.axes[0].patches) == 0
    aims = figures.bars({"speed": 3.0}, reference={"speed": 4.0}, diamond="target")
    assert aims.data["target"][0] == 4 and "Target: speed 4." in aims.alt


def test_histogram_counts_every_finite_value(rng):
    values = rng.normal(size=(50, 20))
    values[0, 0] = np.nan
    drawing = figures.histogram({"layer 1": values, "layer 2": values[1:]}, bins=10)
    assert drawing.data["layer 1"].sum() == 999 and drawing.data["layer 2"].sum() == 980
    counts, edges = np.histogram(values[np.isfinite(values)], 10)
    assert drawing.data["layer 1"].tolist() == counts.tolist()
    assert np.allclose(drawing.data["value"], (edges[1:] + edges[:-1]) / 2, rtol=1e-5)


def test_patches_are_cut_row_by_row():
    picture = np.arange(64).reshape(8, 8)
    drawing = figures.patches(picture, (4, 2))
    parts = drawing.data[drawing.data["size"] == 2]["mean_pixel"].tolist()
    assert parts == [picture[r : r + 2, c : c + 2].mean() for r in range(0, 8, 2) for c in range(0, 8, 2)]
    assert "4 of 4 × 4, 16 of 2 × 2" in drawing.alt
    with pytest.raises(CourseworkError, match="patch size 5 does not divide the image side 28"):
        figures.patches(np.zeros((28, 28)), (5,))


def test_confusion_agrees_with_scikit_learn(rng):
    labels = rng.integers(0, 10, 500)
    predicted = np.where(rng.random(500) < 0.7, labels, 6)
    drawing = figures.confusion(labels, predicted, CLASSES)
    expected = confusion_matrix(labels, predicted, labels=range(10))
    assert drawing.data[CLASSES].to_numpy().tolist() == expected.tolist()
    assert drawing.data["true"].tolist() == CLASSES
    assert f"{(labels == predicted).mean():.2%} correct" in drawing.alt
    wrong = expected - np.diag(np.diag(expected))
    assert re.search(rf"taken for Shirt, {wrong.max()} times", drawing.alt)


def test_confusion_of_few_and_missing_classes():
    drawing = figures.confusion([0, 0, 1], [0, 1, 1], ["a", "b", "never"])
    assert drawing.data[["a", "b", "never"]].to_numpy().tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]


def test_heatmap_names_the_best_cell_and_counts_the_lost():
    table = pd.DataFrame([[0.1, np.nan], [0.7, 0.2]], pd.Index([0.01, 0.1], name="lr"), [10, 20])
    assert "0.1 to 0.7, best 0.7 at 0.1, 10; 1 cells not finite" in figures.heatmap(table).alt
    assert "best 0.1 at 0.01, 10" in figures.heatmap(table, falls=True).alt
    assert "4 cells not finite" in figures.heatmap(table * np.inf * 0).alt


def test_reliability_agrees_with_a_loop(rng):
    confidence = np.append(rng.random(400), 1.0)
    correct = rng.random(401) < confidence**2
    drawing = figures.reliability(confidence, correct)
    ece = 0.0
    for low in range(10):
        chosen = [i for i, c in enumerate(confidence) if low <= c * 10 < low + 1 or (c == 1 and low == 9)]
        ece += abs(correct[chosen].mean() - confidence[chosen].mean()) * len(chosen) / 401
    assert drawing.data.attrs["ece"] == pytest.approx(ece)
    assert f"{ece:.3f}" in drawing.alt
    assert drawing.data["images"].sum() == 401


def test_regression_shades_the_gap_once_in_the_legend():
    x = np.array([-2.0, -1.0, 1.0, 2.0])
    drawing = figures.regression(
        {"train": (x, x)}, x, {"fit": x + 0.5}, bands={"fit": x * 0 + 1}, gaps=[(-1, 0), (0, 1)]
    )
    assert [text.get_text() for text in drawing.figure.legends[0].texts] == ["train", "fit", "no training inputs"]
    assert drawing.data[drawing.data["of"] == "fit"]["y"].tolist() == [-1.5, -0.5, 1.5, 2.5]
    assert "no training inputs between -1 and 0" in drawing.alt


def test_architecture_tells_its_steps_in_order():
    steps = [("stem", "cut", "B × 49 × 16"), ("stem", "linear", "B × 49 × 32"), ("classifier", "mean", "B × 32")]
    drawing = figures.architecture(steps)
    assert drawing.alt == (
        "Architecture in 3 steps. stem: cut, B × 49 × 16; stem: linear, B × 49 × 32; classifier: mean, B × 32."
    )
    drawn = [text.get_text() for text in drawing.figure.axes[0].texts]
    assert drawn.count("stem") == 1  # neighbours share the name
    edge = drawing.figure.bbox.padded(1)
    boxes = [text.get_window_extent() for text in drawing.figure.axes[0].texts]
    assert all(edge.x0 <= box.x0 and box.x1 <= edge.x1 for box in boxes)
