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
from helpers.page import markup
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
MEANING = {  # every hyper-parameter, in the order in which a reader asks for them: its name in words, what it is
    "patch_size": ("patch size", "side of a patch in pixels (stem)"),
    "width": ("width", "features of a patch (stem)"),
    "blocks": ("blocks", "blocks of two MLPs (backbone)"),
    "token_hidden": ("hidden units across patches", "in a block's first MLP"),
    "hidden": ("hidden units across features", "in its second MLP"),
    "norm": ("normalisation", "before each MLP"),
    "residual": ("residual connections", "each MLP adds to its input"),
    "dropout": ("dropout", "share of an MLP's outputs that a step sets to zero"),
    "drop_path": ("skipped MLPs", "share of the images for which an MLP is left out"),
    "whitened": ("whitened stem", "first weights of the stem that make the features of a patch uncorrelated"),
    "initialiser": ("first weights", "how they are drawn"),
    "normalise": ("normalised images", "by mean and deviation of the training part"),
    "augment": ("augmentation", "changes of the training images, drawn anew in every epoch"),
    "train_limit": ("training images", "how many of the training part are used"),
    "epochs": ("epochs", "passes over the training part"),
    "batch_size": ("batch size", "images per step"),
    "optimiser": ("optimiser", "who takes the steps"),
    "lr": ("largest learning rate", "of the whole training"),
    "weight_decay": ("weight decay", "pull of the weights towards zero"),
    "momentum": ("momentum", "share of the last step that rolls on, in optimisers that have one"),
    "scheduler": ("schedule", "course of the learning rate over the steps"),
    "clip_norm": ("gradient clipping", "largest norm of the gradient"),
    "patience": ("early stopping", "epochs without a better validation loss before it stops"),
    "average": ("weight averaging", "share that the running mean of the weights keeps at each step"),
    "label_smoothing": ("label smoothing", "share of the target spread over all classes"),
    "keep": ("epoch whose weights are kept", "the others are dropped"),
    "precision": ("number format of the products", "bfloat16 has 8 binary digits, float32 has 24"),
    "seed": ("seed", "of first weights, order of the images and augmentation"),
}
# Values in words, for all hyper-parameters; with a name before them, for one.
WORDS = {
    "initialiser default": "PyTorch's", "keep best": "best on the validation part", "train_limit none": "all",
    "precision auto": "bfloat16 where the processor has it", "augment none": "off", "clip_norm none": "off",
    "patience none": "off", "adjust_lr_fn match rms adamw": "as large as AdamW's",
    "adjust_lr_fn none": "as its inventor set it", "anneal_strategy cos": "cosine",
    "anneal_strategy linear": "straight lines",
}  # fmt: skip
OFF_AT_ZERO = ("dropout", "drop_path", "average", "label_smoothing", "weight_decay", "momentum")
OPTIONS = {  # what an optimiser or a schedule decides by itself: its name in words, what it is
    "betas": ("shares kept", "by the running means of the gradient and of its square, at each step"),
    "eps": ("smallest divisor", "keeps a division by zero away"),
    "amsgrad": ("AMSGrad", "divides by the largest mean square so far"),
    "nesterov": ("Nesterov's momentum", "the step looks ahead"),
    "ns_coefficients": ("coefficients", "of the polynomial that makes a step orthogonal"),
    "ns_steps": ("rounds", "of that polynomial"),
    "adjust_lr_fn": ("size of a step", "how it goes with the shape of a matrix"),
    "dampening": ("dampening", "share of the gradient that momentum leaves out"),
    "lambd": ("decay", "of the step and the weights"),
    "alpha": ("exponent or share", "of the step's decay; in RMSprop what the mean square keeps"),
    "t0": ("start of averaging", "in steps"),
    "centered": ("centred", "the mean gradient is taken off its square"),
    "lr_decay": ("decay of the rate", "with the number of steps"),
    "initial_accumulator_value": ("first sum of squares", "to which those of the gradients are added"),
    "pct_start": ("share of steps with rising rate", "the rest has a falling one"),
    "anneal_strategy": ("shape of rise and fall", "of the learning rate"),
    "cycle_momentum": ("momentum goes round, too", "falls as the rate rises"),
    "base_momentum": ("smallest momentum", "at the largest rate"),
    "max_momentum": ("largest momentum", "at the smallest rate"),
    "div_factor": ("largest rate over the first", "how far the rate rises"),
    "final_div_factor": ("first rate over the last", "how far it falls below its start"),
    "three_phase": ("third phase", "one that mirrors the rise"),
    "eta_min": ("smallest rate", "at the end"),
    "rise": ("share of steps with rising rate", "the rest has a falling one"),
    "end": ("last rate over the largest", "how far it falls"),
}
SEARCHED = (  # what study G's search chooses; mirroring, the first of the augmentation, is given
    "patch_size", "width", "blocks", "token_hidden", "dropout", "drop_path", "whitened", "augment", "optimiser", "lr",
    "weight_decay", "average", "label_smoothing",
)  # fmt: skip
OURS = ("adjust_lr_fn", "cycle_momentum")  # options whose value is not PyTorch's, see `optimisers`
# Options of PyTorch's classes that say how and not what is computed, and a schedule's length, which the epochs give.
PROGRAM = ("maximize", "foreach", "capturable", "differentiable", "fused", "decoupled_weight_decay")
PROGRAM += ("total_steps", "epochs", "steps_per_epoch", "last_epoch")


def winner(epochs: int = 1) -> ClassifierConfig:
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
    chosen = winner(page.epochs)
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
    """Every value that decides a training, also the defaults of optimiser and schedule: name, value, by whom, meaning.

    All in words; the learning rate and the weight decay that a search drew are rounded to two digits.
    """
    values, searched = _values(config), _values(winner())
    rows = [
        (name, _in_words(field, values[field]), _chosen_by(field, values, searched), meaning)
        for field, (name, meaning) in MEANING.items()
        if field in values
    ]
    network = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
    made = optimisers.make_optimisers(network, config)
    for name, optimiser in zip((config.optimiser, "adamw"), made):  # AdamW stands beside Muon alone
        defaults = {option: value for option, value in optimiser.defaults.items() if option not in values}
        rows += _rows_of(defaults, _in_words("optimiser", name), config.optimiser_options)
    scheduler = optimisers.make_scheduler(made[0], config, steps_per_epoch=10)
    parameters = inspect.signature(type(scheduler)).parameters.values() if scheduler else ()
    used = {one.name: getattr(scheduler, one.name, one.default) for one in parameters if one.default is not one.empty}
    used |= config.scheduler_options
    if config.scheduler == "one_cycle" and not used["cycle_momentum"]:
        used = {name: value for name, value in used.items() if name not in ("base_momentum", "max_momentum")}
    rows += _rows_of(used, config.scheduler.replace("_", " "), config.scheduler_options)
    return pd.DataFrame(rows, columns=["hyper-parameter", "value", "chosen by", "what it is"])


def _values(config: ClassifierConfig) -> dict:
    return {**NOT_USED, **vars(config), **config.options}


def _chosen_by(field: str, values: dict, searched: dict) -> str:
    """Who chose a value: the search, where it is that of the search's winner; else it was given."""
    if field == "augment" and tuple(values[field]) == tuple(searched.get(field, ())):
        return "mirroring given, the rest searched"
    if field == "epochs":
        return "time allowed"
    if field == "initialiser" and values[field] == "default":
        return "PyTorch's default"
    if field == "hidden" and "width" in values and values[field] == 2 * values["width"]:
        return "given: twice the width"
    return "search" if field in SEARCHED and values[field] == searched.get(field) else "given"


def _rows_of(options: dict, of: str, given: dict) -> list[tuple]:
    """Rows of an optimiser's or a schedule's own options, each named after it."""
    rows = []
    for field, value in options.items():
        if field not in PROGRAM:
            name, meaning = OPTIONS.get(field, (field.replace("_", " "), "an option of its own"))
            by = "given" if field in (*given, *OURS) else "PyTorch's default"
            rows.append((f"{of}: {name}", _in_words(field, value), by, meaning))
    return rows


def _in_words(field: str, value) -> str:
    if field == "optimiser":
        return optimisers.OPTIMISERS[value].__name__
    if isinstance(value, bool):
        return "yes" if value else "no"
    if field in OFF_AT_ZERO and not value:
        return "off"
    if isinstance(value, (tuple, list)) and value:
        *first, last = (_in_words("", one) for one in value)
        return f"{', '.join(first)} and {last}" if first else last
    if isinstance(value, (int, float)):
        return _number(field, value)
    words = "none" if value in (None, "", (), []) else str(value).replace("_", " ")
    return WORDS.get(f"{field} {words}", words)


def _number(field: str, value: float) -> str:
    """A number for people; one that a search drew from a continuum with two digits."""
    if field in ("lr", "weight_decay") and float(f"{value:.3g}") != value:
        return f"{value:#.2g}" if abs(value) >= 1e-4 else markup.digits(value, 2)
    return markup.with_minus_signs(markup.digits(value, 5, whole=True))
