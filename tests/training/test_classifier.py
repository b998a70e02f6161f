"""`fit` against a loop written by hand, and the trial of a classifier on a tiny data set."""

import io
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import tiny
import torch
from torch import nn

from helpers import base, data, networks
from helpers.base import CourseworkError
from helpers.training.classifier import ClassifierConfig, train_classifier
from helpers.training.epoch import evaluate
from helpers.training.loop import UnreadableState, fit

SIZE = {"patch_size": 4, "width": 12, "token_hidden": 10, "hidden": 10}
TINY = ClassifierConfig(
    dataset=tiny.NAME, options={"patch_size": 14} | SIZE, epochs=3, batch_size=16, lr=0.05, precision="float32"
)

VALIDATED = {"validation": True, "watch": ("validation",)}  # as early stopping and keeping the best weights ask


@pytest.fixture(autouse=True)
def one_thread():
    """Sums in one order only; and the global switches as they were."""
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic)


@pytest.fixture
def parts():
    made = tiny.arrays(train=70, test=30, side=8)
    images, labels = data.to_tensor(made["train_images"]), made["train_labels"]
    return {
        "train": data.Resident(images[:50], labels[:50]),
        "validation": data.Resident(images[50:], labels[50:]),
        "test": data.Resident(data.to_tensor(made["test_images"]), made["test_labels"]),
    }


def network(**options):
    torch.manual_seed(5)
    return networks.build("patch_mlp", SIZE | options, input_shape=(1, 8, 8), classes=4)


def config(**options) -> ClassifierConfig:
    return ClassifierConfig(**{"epochs": 3, "batch_size": 16, "lr": 0.05, "precision": "float32"} | options)


def trained(parts, configuration, *, watch=("test",), model=None, **options):
    model = model or network()
    history = fit(model, parts["train"], {name: parts[name] for name in watch}, configuration, **options)
    return model, history


def same_bits(one, other) -> bool:
    one, other = one.state_dict(), other.state_dict()
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def equal_to_rounding(one, other) -> bool:
    """All weights of float32 within some units of their last digit."""
    one, other = one.state_dict(), other.state_dict()
    return one.keys() == other.keys() and all(torch.allclose(one[n], other[n], rtol=1e-5, atol=1e-6) for n in one)


# One training


PLAIN = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=0.01, fused=True),
    "asgd": lambda p: torch.optim.ASGD(p, lr=0.05, weight_decay=0.01),
    "adam": lambda p: torch.optim.Adam(p, lr=0.05, weight_decay=0.01, fused=True),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.05, weight_decay=0.01, fused=True),
    "radam": lambda p: torch.optim.RAdam(p, lr=0.05, weight_decay=0.01),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.05, weight_decay=0.01, momentum=0.9),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.05, weight_decay=0.01, fused=True),
}


def by_hand(parts, optimiser_of, *, epochs=3, batch_size=16, clip=None, seed=0):
    """The same training as a beginner writes it, on plain PyTorch."""
    model, part, norms = network(), parts["train"], []
    optimiser, generator = optimiser_of(model.parameters()), torch.Generator().manual_seed(seed)
    images = part.inputs.float() * (1 / 255)
    for _ in range(epochs):
        order, largest = torch.randperm(len(part), generator=generator), 0.0
        for start in range(0, len(part), batch_size):
            batch = order[start : start + batch_size]
            loss = nn.functional.cross_entropy(model(images[batch]), part.labels[batch])
            optimiser.zero_grad()
            loss.backward()
            if clip:
                largest = max(largest, nn.utils.clip_grad_norm_(model.parameters(), clip).item())
            optimiser.step()
        norms.append(largest)
    return model, norms


@pytest.mark.parametrize("name", PLAIN)
def test_fit_equals_a_plain_loop_to_rounding(parts, name):
    model, history = trained(parts, config(optimiser=name, momentum=0.9, weight_decay=0.01))
    assert equal_to_rounding(model, by_hand(parts, PLAIN[name])[0])
    assert history.diverged_epoch is None and history.best_epoch == 3


def test_gradient_clipping_equals_a_plain_loop_and_its_norms_are_recorded(parts):
    options = {"optimiser": "sgd", "momentum": 0.9, "weight_decay": 0.01}
    model, history = trained(parts, config(clip_norm=0.1, gradient_norm=True, **options))
    expected, norms = by_hand(parts, PLAIN["sgd"], clip=0.1)
    assert equal_to_rounding(model, expected)
    assert history.columns["gradient_norm"] == pytest.approx(norms, rel=1e-5)
    assert max(norms) > 0.1  # there was something to clip
    assert not equal_to_rounding(model, by_hand(parts, PLAIN["sgd"])[0])


def test_recording_the_gradient_norm_changes_nothing(parts):
    plain, _ = trained(parts, config())
    watched, history = trained(parts, config(gradient_norm=True))
    assert same_bits(plain, watched) and len(history.columns["gradient_norm"]) == 3


def test_history_tells_what_evaluation_finds(parts):
    model, history = trained(parts, config(), watch=("test", "validation"))
    frame = history.frame()
    assert frame.index.tolist() == [1, 2, 3] and frame.index.name == "epoch"
    for name in ("test", "validation"):
        loss, accuracy, _ = evaluate(model, parts[name])
        assert frame[f"{name}_loss"].iloc[-1] == loss and frame[f"{name}_accuracy"].iloc[-1] == accuracy
    assert (frame["lr"] == 0.05).all() and (frame["seconds"] > 0).all()
    assert frame["train_loss"].iloc[-1] < frame["train_loss"].iloc[0]


def test_each_epoch_is_reported(parts):
    rows = []
    _, history = trained(parts, config(), on_epoch=rows.append)
    assert [(row["epoch"], row["epochs"], row["examples"]) for row in rows] == [(1, 3, 50), (2, 3, 100), (3, 3, 150)]
    assert [row["test_loss"] for row in rows] == history.columns["test_loss"]


@pytest.mark.parametrize(
    "options",
    [
        {"scheduler": "plateau", "scheduler_options": {"patience": 0}},
        {"scheduler": "multistep", "scheduler_options": {"milestones": [1]}},
        {"scheduler": "one_cycle", "optimiser": "adam"},
        {"scheduler": "cosine"},
        {"scheduler": "triangle"},
        {"scheduler": "triangle", "optimiser": "muon"},
        {"augment": ("flip", "shift")},
        {"label_smoothing": 0.1},
        {"optimiser": "muon", "lr": 0.01},
    ],
)
def test_training_learns_and_repeats_under_every_option(parts, options):
    (one, history), (two, again) = (trained(parts, config(epochs=12, **{"lr": 0.02} | options)) for _ in range(2))
    assert same_bits(one, two) and history.columns["train_loss"] == again.columns["train_loss"]
    assert history.columns["train_loss"][-1] < history.columns["train_loss"][0]


def test_a_seed_changes_the_order_of_examples(parts):
    assert not same_bits(trained(parts, config(seed=1))[0], trained(parts, config(seed=2))[0])


def test_per_step_schedules_move_within_an_epoch(parts):
    _, history = trained(parts, config(scheduler="cosine", lr=0.4, epochs=4))
    np.testing.assert_allclose(history.columns["lr"], 0.2 * (1 + np.cos(np.pi * np.arange(4) / 4)), rtol=1e-6)


def test_plateau_fed_with_an_accuracy_cuts_by_the_calendar(parts):
    """Report C's scheduler: mode "min" on an accuracy that never falls below its first value."""
    model = network()
    nn.init.zeros_(model.last.weight)  # begins at chance
    options = {"scheduler": "plateau", "scheduler_input": "test_accuracy", "optimiser": "adam", "lr": 0.001}
    _, history = trained(parts, config(epochs=60, **options), model=model)
    accuracy, rates = history.columns["test_accuracy"], np.array(history.columns["lr"])
    assert min(accuracy) == accuracy[0] < accuracy[-1]
    assert (np.flatnonzero(np.diff(rates) < 0) + 1).tolist() == [12, 23, 34, 45, 56]


def test_plateau_reads_the_column_it_is_told(parts):
    options = {"scheduler": "plateau", "scheduler_options": {"patience": 0, "mode": "max"}, "epochs": 6}
    _, history = trained(parts, config(scheduler_input="train_loss", **options))
    assert history.columns["lr"][-1] < 0.05  # a loss that falls never gets better under mode "max"
    _, history = trained(parts, config(scheduler_input="lr", **options))
    assert history.columns["lr"][2] == pytest.approx(0.005)


def test_early_stopping_waits_for_patience(parts):
    _, history = trained(parts, config(**VALIDATED, lr=0.0, epochs=20, patience=4), watch=("validation",))
    assert len(history.columns["train_loss"]) == history.best_epoch == 5  # the first, and four no better
    assert history.diverged_epoch is None


def test_early_stopping_follows_the_validation_loss(parts):
    _, history = trained(
        parts, config(**VALIDATED, optimiser="adam", lr=0.03, epochs=80, patience=3), watch=("validation",)
    )
    losses = history.columns["validation_loss"]
    assert len(losses) < 80 and np.argmin(losses) == len(losses) - 4


def test_the_best_weights_are_kept(parts):
    options = VALIDATED | {"optimiser": "adam", "lr": 0.05, "epochs": 15, "keep": "best"}
    model, history = trained(parts, config(**options), watch=("validation",))
    accuracies = history.columns["validation_accuracy"]
    assert 1 < history.best_epoch == np.argmax(accuracies) + 1 < 15
    assert evaluate(model, parts["validation"])[1] == max(accuracies)
    shorter, _ = trained(parts, config(**options | {"epochs": history.best_epoch, "keep": "last"}))
    assert same_bits(model, shorter)


@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
def test_divergence_ends_the_training_and_is_recorded(parts, optimiser):
    _, history = trained(parts, config(optimiser=optimiser, lr=1e30, epochs=9))
    epochs = len(history.columns["train_loss"])
    assert history.diverged_epoch == epochs < 9
    assert not np.isfinite(history.columns["train_loss"][-1])


# Stop and go on


class Stop(Exception):
    """What a killed process is to a training."""


@pytest.mark.parametrize(
    "options",
    [
        {"momentum": 0.9, "scheduler": "cosine"},
        {"optimiser": "adam", "scheduler": "plateau", "scheduler_options": {"patience": 0, "threshold": 0.5}},
        {"optimiser": "adamw", "scheduler": "one_cycle", "augment": ("flip", "shift")},
        {"optimiser": "muon", "scheduler": "triangle", "lr": 0.02, "keep": "best"} | VALIDATED,
        {"optimiser": "radam", "scheduler": "multistep", "scheduler_options": {"milestones": [2, 4]}},
        {"scheduler": "multistep", "scheduler_options": {"milestones": [2], "momentum": 0.9}},
        {"optimiser": "asgd", "keep": "best", "patience": 3, "lr": 0.3} | VALIDATED,
        {"optimiser": "rmsprop", "clip_norm": 0.5, "gradient_norm": True},
        {"optimiser": "adagrad", "label_smoothing": 0.1},
        {"average": 0.9, "augment": ("erase",), "keep": "best"} | VALIDATED,
    ],
)
def test_a_training_goes_on_with_the_same_bits(parts, tmp_path, options):
    def run(**more):
        model = network(dropout=0.3, norm="batch")
        return trained(parts, config(epochs=6, **options), watch=("validation", "test"), model=model, **more)

    def stop(row):
        if row["epoch"] == 4:
            raise Stop

    state = tmp_path / "state.pt"
    straight, history = run()
    with pytest.raises(Stop):
        run(state_path=state, save_every=0, on_epoch=stop)
    assert state.exists()
    rows = []
    resumed, again = run(state_path=state, save_every=0, on_epoch=rows.append)
    assert rows[0]["epoch"] == 4  # epochs 1 to 3 were not trained again
    assert same_bits(straight, resumed)
    assert (history.diverged_epoch, history.best_epoch) == (again.diverged_epoch, again.best_epoch)
    del history.columns["seconds"], again.columns["seconds"]
    assert history.columns == again.columns


def test_saving_states_changes_nothing(parts, tmp_path):
    plain, _ = trained(parts, config())
    saving, _ = trained(parts, config(), state_path=tmp_path / "state.pt", save_every=0)
    assert same_bits(plain, saving)


def test_a_state_is_saved_only_after_its_interval(parts, tmp_path):
    trained(parts, config(), state_path=tmp_path / "state.pt", save_every=1000)
    assert not (tmp_path / "state.pt").exists()


# The trial of a classifier


@pytest.fixture
def made(tmp_path, monkeypatch):
    return tiny.cached(tmp_path, monkeypatch)


def test_config_tells_its_data_and_its_work(made):
    assert TINY.fingerprint() == "f00d"
    assert TINY.training_size() == 120 and TINY.work() == 360
    assert replace(TINY, validation=True).training_size() == 108
    assert replace(TINY, validation=True, train_limit=50).work() == 150
    assert replace(TINY, train_limit=5000).training_size() == 120


def test_precision_is_asked_by_the_environment(monkeypatch):
    monkeypatch.setenv("PRECISION", "float32")
    assert ClassifierConfig().precision == "float32"
    monkeypatch.delenv("PRECISION")
    assert ClassifierConfig().precision == "auto"


def test_a_trial_as_the_reports_did(made):
    context = tiny.context()
    outcome = train_classifier(TINY, context)
    metrics, history = outcome["metrics"], outcome["history"]
    assert outcome["status"] == "ok" and outcome["examples"] == 360 and outcome["checkpoint"] is None
    assert metrics["epochs"] == metrics["best_epoch"] == 3
    assert metrics["test_accuracy"] == (outcome["predictions"] == made["test_labels"]).mean()
    assert outcome["predictions"].dtype == np.uint8
    assert metrics["test_accuracy"] == history["test_accuracy"][-1] and "validation_loss" not in metrics
    assert [row["epoch"] for row in context.rows] == [1, 2, 3]
    assert outcome["provenance"]["precision"] == "float32" and outcome["provenance"]["device"] == "cpu"


def test_a_trial_learns_what_there_is_to_learn(made):
    config = replace(TINY, optimiser="adamw", lr=0.01, epochs=15)
    assert train_classifier(config, tiny.context())["metrics"]["test_accuracy"] == 1.0


def test_a_trial_that_selects_on_validation_leaves_the_test_set_alone(made):
    config = replace(TINY, validation=True, watch=("validation",), keep="best", epochs=6, lr=0.3)
    outcome = train_classifier(config, tiny.context())
    assert not any("test" in name for name in [*outcome["metrics"], *outcome["history"]])
    assert outcome["predictions"] is None and outcome["examples"] == 6 * 108
    best = outcome["metrics"]["best_epoch"] - 1
    for name in ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "lr"):
        assert outcome["metrics"][name] == outcome["history"][name][best]
    read = train_classifier(replace(config, read_test=True), tiny.context())
    assert read["history"]["validation_loss"] == outcome["history"]["validation_loss"]
    assert read["metrics"]["test_accuracy"] == (read["predictions"] == made["test_labels"]).mean()


def test_a_checkpoint_is_the_network_that_made_the_predictions(made, tmp_path):
    config = replace(TINY, checkpoint=True, normalise=True)
    outcome = train_classifier(config, tiny.context())
    torch.save(outcome["checkpoint"], tmp_path / "weights.pt")
    model = networks.build(config.model, config.options, classes=4)
    model.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    train, test = (made[f"{part}_images"].astype(np.float32) / 255 for part in ("train", "test"))
    images = torch.as_tensor((test - train.mean()) / train.std()).unsqueeze(1)
    predicted = model.eval()(images).argmax(1).numpy()
    np.testing.assert_array_equal(predicted, outcome["predictions"])


def test_limits_shorten_training_and_test(made):
    outcome = train_classifier(replace(TINY, train_limit=32, test_limit=10), tiny.context())
    assert outcome["examples"] == 96 and len(outcome["predictions"]) == 10


def test_a_diverged_trial_is_finished_and_at_chance(made):
    outcome = train_classifier(replace(TINY, lr=1e30), tiny.context())
    assert outcome["status"] == "diverged" and outcome["diverged_epoch"] == outcome["metrics"]["epochs"]
    assert outcome["metrics"]["train_accuracy"] == outcome["metrics"]["test_accuracy"] == 0.25
    assert outcome["examples"] == outcome["metrics"]["epochs"] * 120


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ({"watch": ("validation",)}, "watch='validation' needs validation=True"),
        ({"keep": "best"}, 'add "validation" to watch'),
        ({"patience": 3}, 'add "validation" to watch'),
        ({"watch": ("valid",)}, "watch=valid is unknown; choose one of train, validation, test"),
        ({"model": "resnet"}, "model=resnet is unknown"),
        ({"options": {"patch_size": 5}}, "patch_size=5 does not divide a 28x28 image"),
        ({"optimiser": "adma"}, "optimiser=adma is unknown"),
        ({"scheduler": "step"}, "scheduler=step is unknown"),
        ({"initialiser": "zeros"}, "initialiser=zeros is unknown"),
        ({"average": 1.0}, r"average=1.0 must lie in \[0, 1\)"),
        ({"options": {"drop_path": 0.1}}, "drop_path leaves out residual branches: set residual=True"),
        ({"options": {"drop_path": 1.0, "residual": True}}, r"drop_path=1.0 must lie in \[0, 1\)"),
        ({"precision": "half"}, "PRECISION=half is unknown"),
        ({"dataset": "nothing"}, "no decoded data set 'nothing'"),
    ],
)
def test_a_trial_that_cannot_be_is_refused_in_one_sentence(made, changes, sentence):
    with pytest.raises(CourseworkError, match=sentence) as caught:
        train_classifier(replace(TINY, **changes), tiny.context())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("model", networks.MODELS)
def test_every_network_trains(made, model):
    options = {"widths": (8, 8)} if model in ("mlp", "fast_cnn") else {}
    config = replace(TINY, model=model, options=options, epochs=1, train_limit=40, test_limit=10, lr=0.01)
    outcome = train_classifier(config, tiny.context())
    assert np.isfinite(outcome["metrics"]["train_loss"]) and outcome["predictions"].max() < 4


def test_colour_images_are_whitened_and_augmented(tmp_path, monkeypatch):
    tiny.cached(tmp_path, monkeypatch, side=32, channels=3, train=64, test=16)
    config = replace(TINY, model="fast_cnn", options={"widths": (8, 8)}, normalise=True, augment=("flip", "shift"),
                     checkpoint=True)  # fmt: skip
    outcome = train_classifier(config, tiny.context())
    filters = outcome["checkpoint"]["0.weight"]
    torch.testing.assert_close(filters[:12], -filters[12:])
    assert outcome["status"] == "ok" and outcome["history"]["train_loss"][-1] < outcome["history"]["train_loss"][0]


def test_a_trial_goes_on_from_its_state(made, tmp_path, monkeypatch):
    monkeypatch.setattr(fit, "__kwdefaults__", fit.__kwdefaults__ | {"save_every": 0.0})
    config = replace(TINY, checkpoint=True, epochs=5, options=TINY.options | {"dropout": 0.2})
    context = tiny.context(tmp_path / "state.pt")

    def stop(row):
        if row["epoch"] == 3:
            raise Stop

    straight = train_classifier(config, tiny.context())
    context.epoch = stop
    with pytest.raises(Stop):
        train_classifier(config, context)
    resumed = train_classifier(config, tiny.context(tmp_path / "state.pt"))
    assert all(torch.equal(straight["checkpoint"][k], resumed["checkpoint"][k]) for k in straight["checkpoint"])
    assert straight["metrics"] == resumed["metrics"]


TRIAL = """
import hashlib, torch, tiny
from dataclasses import replace
from helpers.training import ClassifierConfig, train_classifier
TINY = ClassifierConfig(dataset=tiny.NAME, options={"patch_size": 14, "width": 12}, epochs=3, batch_size=16)
outcome = train_classifier(replace(TINY, checkpoint=True, precision="auto", optimiser="adam", lr=0.01), tiny.context())
digest = hashlib.sha256()
for name, value in sorted(outcome["checkpoint"].items()):
    digest.update(value.numpy().tobytes())
print(digest.hexdigest(), sorted(outcome["metrics"].items()))
"""


def test_one_seed_gives_the_same_bits_in_two_processes(tmp_path):
    tiny.write(tmp_path / "data" / "cache")
    path = os.pathsep.join([str(base.CHECKOUT), str(base.CHECKOUT / "tests")])
    environment = {**os.environ, "COURSEWORK_HOME": str(tmp_path), "PYTHONPATH": path}
    command = [sys.executable, "-c", TRIAL]
    runs = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    one, other = (run.communicate()[0] for run in runs)
    assert one == other and "train_loss" in one


@pytest.mark.parametrize("damage", ["calls code", "cut short", "of another network", "empty"])
def test_a_state_that_cannot_be_read_is_set_aside_and_the_training_starts_anew(parts, tmp_path, damage):
    """weights_only=True refuses a pickle that calls anything."""
    state, buffer = tmp_path / "state.pt", io.BytesIO()
    if damage == "calls code":
        torch.save({"parts": [print]}, buffer)
    elif damage == "of another network":
        trained(parts, config(epochs=1), model=network(width=16), state_path=state, save_every=0.0)
        buffer.write(state.read_bytes())
    elif damage == "cut short":
        trained(parts, config(epochs=1), state_path=state, save_every=0.0)
        buffer.write(state.read_bytes()[:-200])
    base.write_atomically(state, buffer.getvalue())
    torch.manual_seed(1)
    with pytest.warns(UnreadableState, match="starting anew"):
        model, history = trained(parts, config(), state_path=state)
    assert not state.exists() and state.with_suffix(".unreadable").exists()
    expected, _ = trained(parts, config())
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), expected.state_dict().values()))
    assert len(history.columns["train_loss"]) == 3
