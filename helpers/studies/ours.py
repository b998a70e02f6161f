"""Our own model, defined once for task 4, which trains it, and task 5, which reads the test set with it.

Study G chooses it twice: for short schedules, and for schedules of LONG epochs and more, where a network that learns
everything by heart needs more restraint.
"""

import inspect
import json
from dataclasses import replace

import pandas as pd
import torch

from helpers import base
from helpers.base import CourseworkError
from helpers.studies.test_set import STUDY  # noqa: F401 - notebooks name it by this module
from helpers.training import optimisers
from helpers.training.classifier import ClassifierConfig
from helpers.trials import kinds

LONG = 30  # epochs
WIDTHS = ("patch_size", "width", "blocks", "token_hidden", "hidden", "dropout")
SETTINGS = ("epochs", "batch_size", "optimiser", "lr", "weight_decay", "augment")
NOT_USED = {"drop_path": 0.0, "whitened": False}  # unless the search has found them
PRINTED = {  # the reports' networks by the values of the parameter `network`: model, options
    "report_a": ("report_a", {}),
    "report_b": ("report_b", {}),
    "report_c": ("patch_mlp", {"patch_size": 7, "width": 128, "hidden": 256, "token_hidden": 256, "blocks": 1}),
}
MEANING = {  # every hyper-parameter, in the order in which a reader asks for them
    "patch_size": "side of a patch in pixels (stem)",
    "width": "features of a patch (stem)",
    "blocks": "blocks of two MLPs (backbone)",
    "token_hidden": "hidden units of a block's first MLP, across patches",
    "hidden": "hidden units of its second MLP, across features",
    "norm": "normalisation before each MLP",
    "residual": "each MLP adds to its input",
    "dropout": "rate after each MLP",
    "drop_path": "rate at which an MLP is left out, image by image",
    "whitened": "the stem's first weights make the features of a patch uncorrelated",
    "initialiser": "first weights; default is PyTorch's",
    "normalise": "inputs by mean and deviation of the training part",
    "augment": "changes of the training images, epoch by epoch",
    "train_limit": "training images at most; none is all",
    "epochs": "passes over the training part",
    "batch_size": "images per step",
    "optimiser": "who takes the steps",
    "lr": "largest learning rate",
    "weight_decay": "pull of the weights towards zero",
    "momentum": "of the optimisers that have one",
    "scheduler": "course of the learning rate over the steps",
    "clip_norm": "largest norm of the gradient",
    "patience": "epochs without a better validation loss before it stops",
    "average": "share that the running mean of the weights, which is kept, keeps at each step",
    "label_smoothing": "share of the target spread over all classes",
    "keep": "epoch whose weights are kept: best on validation accuracy",
    "precision": "of the products; auto is bfloat16 where the processor has it",
    "seed": "of first weights, order of the images and augmentation",
}
# Options of PyTorch's classes that say how and not what is computed, and a schedule's length, which the epochs give.
PROGRAM = ("maximize", "foreach", "capturable", "differentiable", "fused", "decoupled_weight_decay")
PROGRAM += ("total_steps", "epochs", "steps_per_epoch", "last_epoch")


def found(epochs: int = 1) -> ClassifierConfig:
    """The training that study G chose for a schedule of so many epochs, as `make publish` left it in search.json.

    Raises CourseworkError where the file is absent or damaged.
    """
    path = base.NOTEBOOKS / "search.json"
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))["long" if epochs >= LONG else "config"]
        return kinds.restored(ClassifierConfig, fields)
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        remedy = "take it from the repository, or let make publish write it"
        raise CourseworkError(f"{path}: no result of study G ({error}); {remedy}") from None


def our_model(page, dataset) -> ClassifierConfig:
    """The training that a page's parameters ask for; it watches the validation part and never reads the test set.

    What is None on the page is as the search found it; page.network may name a report's network in place of ours.
    """
    chosen = found(page.epochs)
    given = {name: value for name in SETTINGS if (value := getattr(page, name)) is not None}
    sizes = {name: value for name in WIDTHS if (value := getattr(page, name)) is not None}
    model, options = PRINTED.get(page.network, (chosen.model, chosen.options))
    if "augment" in given:
        given["augment"] = tuple(given["augment"])
    if given.get("optimiser", chosen.optimiser) != chosen.optimiser:
        given["momentum"] = 0.95 if given["optimiser"] == "muon" else 0.0
    held = {"dataset": dataset.name, "keep": "best", "checkpoint": True, "seed": page.seed}
    held["threads"] = 2 if page.seeds == 1 else 1  # several seeds train side by side
    return replace(chosen, model=model, options=options | sizes, train_limit=page.train_limit, **held, **given)


def hyper_parameters(config: ClassifierConfig) -> pd.DataFrame:
    """Every value that decides a training, also the defaults of optimiser and schedule: name, value, meaning."""
    values = {**NOT_USED, **vars(config), **config.options}
    rows = [(name, values[name], meaning) for name, meaning in MEANING.items() if name in values]
    network = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
    made = optimisers.make_optimisers(network, config)
    for optimiser in made:
        held = {name: value for name, value in optimiser.defaults.items() if name not in values}
        rows += _rows_of(held, f"option of {type(optimiser).__name__}")
    scheduler = optimisers.make_scheduler(made[0], config, steps_per_epoch=10)
    parameters = inspect.signature(type(scheduler)).parameters.values() if scheduler else ()
    held = {one.name: getattr(scheduler, one.name, one.default) for one in parameters if one.default is not one.empty}
    held |= config.scheduler_options
    if config.scheduler == "one_cycle" and not held["cycle_momentum"]:
        held = {name: value for name, value in held.items() if name not in ("base_momentum", "max_momentum")}
    rows += _rows_of(held, f"option of {config.scheduler}")
    table = [(_in_words(name), _in_words(value), _in_words(meaning)) for name, value, meaning in rows]
    return pd.DataFrame(table, columns=["hyper-parameter", "value", "what it is"])


def _rows_of(options: dict, meaning: str) -> list[tuple]:
    return [(name, value, meaning) for name, value in options.items() if name not in PROGRAM]


def _in_words(value) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    value = " and ".join(map(str, value)) if isinstance(value, (tuple, list)) else value
    if isinstance(value, float):
        return f"{value:g}"
    return "none" if value in (None, "") else str(value).replace("_", " ")
