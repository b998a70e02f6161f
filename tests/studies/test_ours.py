"""Our own model: one definition for two notebooks, and the test set read with its checkpoint."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import sample_record
import tiny
import torch

from helpers import base, data, training
from helpers.base import CourseworkError
from helpers.page import parameters
from helpers.studies import ours
from helpers.training import optimisers
from helpers.trials import records

PARAMETERS = {
    "patch_size": 14, "width": 8, "blocks": 1, "token_hidden": 8, "hidden": 8, "dropout": 0.0, "augment": ["flip"],
    "train_limit": None, "epochs": 3, "batch_size": 20, "optimiser": "adamw", "lr": 0.01, "weight_decay": 0.0,
    "seed": 0, "network": "ours",
}  # fmt: skip
NOT_GIVEN = dict.fromkeys((*ours.WIDTHS, *ours.SETTINGS)) | {"epochs": 4, "train_limit": None, "seed": 3}


# These say where a training runs and what is measured, or belong to a scheduler and an evaluation that ours has not.
WITHOUT_A_ROW = {"options", "dataset", "validation", "watch", "read_test", "test_limit", "optimiser_options"}
WITHOUT_A_ROW |= {"scheduler_options", "scheduler_input", "dropout_in_evaluation", "gradient_norm", "checkpoint"}
WITHOUT_A_ROW |= {"model", "threads"}


@pytest.fixture
def config(tmp_path, monkeypatch):
    tiny.cached(tmp_path, monkeypatch)
    monkeypatch.setattr(base, "RECORDS", tmp_path / "records")
    return ours.our_model(SimpleNamespace(**PARAMETERS), data.load(tiny.NAME))


def trained(config):
    """Train, and leave record and checkpoint where `trials` would."""
    outcome = training.train_classifier(config, tiny.context())
    record = sample_record.record(key="k" * 20)
    records.write(ours.STUDY, record, checkpoint=outcome["checkpoint"])
    return outcome, record["key"]


def test_it_never_reads_the_test_set(config):
    outcome, _ = trained(config)
    assert config.watch == ("validation",) and not config.read_test
    assert outcome["predictions"] is None and "test_accuracy" not in outcome["metrics"]


def test_every_choice_of_the_page_reaches_the_training(config):
    values = {**vars(config), **config.options, "network": "ours"}
    asked = PARAMETERS | {"augment": ("flip",)}
    assert {name: values[name] for name in asked} == asked


@pytest.mark.parametrize("network, model", [("ours", "patch_mlp"), ("report_a", "report_a"), ("report_c", "patch_mlp")])
def test_what_is_not_given_is_what_the_search_found(config, network, model):
    chosen, page = ours.found(), SimpleNamespace(**NOT_GIVEN, network=network)
    asked = ours.our_model(page, data.load(tiny.NAME))
    assert (asked.epochs, asked.seed, asked.keep, asked.dataset) == (4, 3, "best", tiny.NAME)
    assert (asked.lr, asked.optimiser, asked.augment) == (chosen.lr, chosen.optimiser, chosen.augment)
    assert asked.model == model and (asked.options == chosen.options) == (network == "ours")
    assert ours.networks.build(asked.model, asked.options).patch_size in (4, 7, 14)
    assert len(ours.hyper_parameters(asked))


def test_another_optimiser_does_not_keep_the_momentum_of_muon(config):
    for name, momentum in {"muon": 0.95, "adamw": 0.0, "sgd": 0.0}.items():
        page = SimpleNamespace(**NOT_GIVEN | {"optimiser": name}, network="ours")
        assert ours.our_model(page, data.load(tiny.NAME)).momentum == momentum


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"config": {"no_such_field": 1}}', '{"config": 3}'])
def test_a_damaged_result_of_the_search_is_refused_in_one_line(tmp_path, monkeypatch, text):
    monkeypatch.setattr(base, "NOTEBOOKS", tmp_path)
    (tmp_path / "search.json").write_text(text)
    with pytest.raises(CourseworkError, match=r"search\.json: no result of study G .*; take it from the repository"):
        ours.found()


def test_every_hyper_parameter_is_in_the_table(config):
    table = ours.hyper_parameters(config).set_index("hyper-parameter")["value"]
    assert {name.replace("_", " ") for name in PARAMETERS.keys() - {"network"}} <= {*table.index}
    assert (table["lr"], table["residual"], table["augment"], table["train limit"]) == ("0.01", "yes", "flip", "none")
    assert table["dropout"] == "0"
    fields = {field.name for field in dataclasses.fields(config)}
    assert {name for name in fields if name.replace("_", " ") not in table.index} == WITHOUT_A_ROW


def test_the_table_names_what_optimiser_and_schedule_decide_by_themselves(config):
    table = ours.hyper_parameters(config).set_index("hyper-parameter")["value"]
    assert (table["betas"], table["eps"], table["amsgrad"]) == ("0.9 and 0.999", "1e-08", "no")
    assert (table["pct start"], table["div factor"], table["cycle momentum"]) == ("0.3", "25", "no")
    assert not {"max momentum", "total steps", "fused"} & {*table.index}
    cycled = dataclasses.replace(config, scheduler_options={"cycle_momentum": True, "pct_start": 0.2})
    table = ours.hyper_parameters(cycled).set_index("hyper-parameter")["value"]
    assert (table["pct start"], table["max momentum"]) == ("0.2", "0.95")
    muon = ours.hyper_parameters(dataclasses.replace(config, optimiser="muon", momentum=0.95))
    assert {"option of Muon", "option of AdamW"} <= {*muon["what it is"]}
    for scheduler in ("none", "triangle", "cosine"):
        assert len(ours.hyper_parameters(dataclasses.replace(config, scheduler=scheduler)))


def test_probabilities_are_those_of_the_kept_epoch(config):
    outcome, key = trained(config)
    found = ours.probabilities(config, key)
    model = ours.networks.build("patch_mlp", config.options, input_shape=(1, 28, 28), classes=4)
    model.load_state_dict(outcome["checkpoint"])
    dataset = data.load(tiny.NAME)
    train, _ = data.split(dataset.train_labels, dataset.validation)
    pixels = torch.as_tensor(np.asarray(dataset.train_images[train])) / 255
    images = torch.as_tensor(np.asarray(dataset.test_images))[:, None] / 255
    with torch.inference_mode():
        expected = torch.softmax(model.eval()((images - pixels.mean()) / pixels.std()), 1).numpy()
    assert found == pytest.approx(expected, abs=1e-5)
    assert np.array_equal(ours.probabilities(config, key, 7), found[:7])


def test_without_a_checkpoint_one_line_says_what_to_do(config):
    with pytest.raises(CourseworkError, match="FRESH=1"):
        ours.probabilities(config, "absent")


def test_a_notebook_accepts_the_optimisers_that_there_are():
    test, words = parameters.BOUNDS["optimiser"]
    assert all(test(name) for name in optimisers.OPTIMISERS) and not test("adamm")
    assert words == f"one of {', '.join(optimisers.OPTIMISERS)}"
