"""Our own model: one definition for two notebooks."""

import dataclasses
import json
from types import SimpleNamespace

import pytest
import tiny

from helpers import base, data, device, networks, training
from helpers.base import CourseworkError
from helpers.page import parameters
from helpers.studies import ours
from helpers.training import optimisers

PARAMETERS = {
    "patch_size": 14, "width": 8, "blocks": 1, "token_hidden": 8, "hidden": 8, "dropout": 0.0, "augment": ["flip"],
    "train_limit": None, "epochs": 3, "batch_size": 20, "optimiser": "adamw", "lr": 0.01, "weight_decay": 0.0,
    "seed": 0, "seeds": 1, "network": "ours",
}  # fmt: skip
NOT_GIVEN = dict.fromkeys((*ours.WIDTHS, *ours.SETTINGS)) | {"epochs": 4, "train_limit": None, "seed": 3, "seeds": 1}


# These say where a training runs and what is measured, or belong to a scheduler and an evaluation that ours has not.
WITHOUT_A_ROW = {"options", "dataset", "validation", "watch", "read_test", "test_limit", "optimiser_options"}
WITHOUT_A_ROW |= {"scheduler_options", "scheduler_input", "dropout_in_evaluation", "gradient_norm", "checkpoint"}
WITHOUT_A_ROW |= {"model", "threads"}


@pytest.fixture
def config(tmp_path, monkeypatch):
    tiny.cached(tmp_path, monkeypatch)
    monkeypatch.setattr(base, "RECORDS", tmp_path / "records")
    return ours.our_model(SimpleNamespace(**PARAMETERS), data.load(tiny.NAME))


def test_it_never_reads_the_test_set(config):
    outcome = training.train_classifier(config, tiny.context())
    assert config.watch == ("validation",) and not config.read_test
    assert outcome["predictions"] is None and "test_accuracy" not in outcome["metrics"]


def test_every_choice_of_the_page_reaches_the_training(config):
    values = {**vars(config), **config.options, "network": "ours"}
    choices = {name: value for name, value in PARAMETERS.items() if name != "seeds"} | {"augment": ("flip",)}
    assert {name: values[name] for name in choices} == choices


@pytest.mark.parametrize("network, model", [("ours", "patch_mlp"), ("report_a", "report_a"), ("report_c", "patch_mlp")])
def test_what_is_not_given_is_what_the_search_found(config, network, model):
    chosen, page = ours.winner(), SimpleNamespace(**NOT_GIVEN, network=network)
    our_config = ours.our_model(page, data.load(tiny.NAME))
    assert (our_config.epochs, our_config.seed, our_config.keep, our_config.dataset) == (4, 3, "best", tiny.NAME)
    assert (our_config.lr, our_config.optimiser, our_config.augment) == (chosen.lr, chosen.optimiser, chosen.augment)
    assert our_config.model == model and (our_config.options == chosen.options) == (network == "ours")
    assert networks.build(our_config.model, our_config.options).patch_size in (4, 7, 14)
    assert len(ours.hyper_parameters(our_config))


def test_another_optimiser_does_not_keep_the_momentum_of_muon(config):
    for name, momentum in {"muon": 0.95, "adamw": 0.0, "sgd": 0.0}.items():
        page = SimpleNamespace(**NOT_GIVEN | {"optimiser": name}, network="ours")
        assert ours.our_model(page, data.load(tiny.NAME)).momentum == momentum


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"config": {"no_such_field": 1}}', '{"config": 3}'])
def test_a_damaged_result_of_the_search_is_refused_in_one_line(tmp_path, monkeypatch, text):
    monkeypatch.setattr(base, "NOTEBOOKS", tmp_path)
    (tmp_path / "search.json").write_text(text)
    with pytest.raises(CourseworkError, match=r"search\.json: no result of study G .*; take it from the repository"):
        ours.winner()


def values(config):
    return ours.hyper_parameters(config).set_index("hyper-parameter")["value"]


def test_every_hyper_parameter_is_in_the_table(config):
    assert (PARAMETERS.keys() - {"network", "seeds"}) <= ours.MEANING.keys()
    table = values(config)
    assert {name for name, _ in ours.MEANING.values()} <= {*table.index}
    assert (table["largest learning rate"], table["residual connections"], table["augmentation"]) == (
        "0.01", "yes", "flip",
    )  # fmt: skip
    assert (table["training images"], table["dropout"], table["optimiser"]) == ("all", "off", "AdamW")
    assert {field.name for field in dataclasses.fields(config)} - ours.MEANING.keys() == WITHOUT_A_ROW


def test_the_table_says_who_chose_each_value(config):
    table = ours.hyper_parameters(ours.winner()).set_index("hyper-parameter")["chosen by"]
    both = "mirroring given, the rest searched"
    assert {*table} == {"search", "given", "given: twice the width", "time allowed", "PyTorch's default", both}
    searched = [name for name, by in table.items() if by in ("search", both)]
    assert searched == [name for field, (name, _) in ours.MEANING.items() if field in ours.SEARCHED]
    assert (table["batch size"], table["epochs"], table["momentum"]) == ("given", "time allowed", "given")
    assert (table["Muon: size of a step"], table["Muon: rounds"]) == ("given", "PyTorch's default")
    table = ours.hyper_parameters(config).set_index("hyper-parameter")["chosen by"]
    assert table["largest learning rate"] == "given"  # by the page, not as the search chose it


def test_the_table_names_what_optimiser_and_schedule_decide_by_themselves(config):
    table = values(config)
    assert (table["AdamW: shares kept"], table["AdamW: smallest divisor"]) == ("0.9 and 0.999", "1 × 10⁻⁸")
    rising, momentum = "one cycle: share of steps with rising rate", "one cycle: largest momentum"
    assert (table[rising], table["one cycle: largest rate over the first"]) == ("0.3", "25")
    assert momentum not in table.index and not [name for name in table.index if "fused" in name or "steps " in name[:6]]
    table = values(dataclasses.replace(config, scheduler_options={"cycle_momentum": True, "pct_start": 0.2}))
    assert (table[rising], table[momentum]) == ("0.2", "0.95")
    muon = values(dataclasses.replace(config, optimiser="muon", momentum=0.95))
    assert (muon["Muon: smallest divisor"], muon["AdamW: smallest divisor"]) == ("1 × 10⁻⁷", "1 × 10⁻⁸")
    assert muon["Muon: coefficients"] == "3.4445, −4.775 and 2.0315"


@pytest.mark.parametrize("precision", ["bfloat16", "float32"])
def test_the_table_is_the_same_on_every_processor(precision, monkeypatch):
    expected = ours.hyper_parameters(ours.winner())
    monkeypatch.setattr(device, "resolve_precision", lambda *_: precision)
    assert ours.hyper_parameters(ours.winner()).equals(expected)


def test_the_table_has_words_for_all_that_there_is_and_no_name_twice(config):
    for optimiser in optimisers.OPTIMISERS:
        for scheduler in ("none", *optimisers.PER_STEP):
            table = ours.hyper_parameters(dataclasses.replace(config, optimiser=optimiser, scheduler=scheduler))
            assert table["hyper-parameter"].is_unique and "an option of its own" not in {*table["what it is"]}
            assert not [cell for cell in table.to_numpy().ravel() if "_" in cell or "lr" in cell.split()]


@pytest.mark.parametrize(
    "value, words", [(0.0299304, "0.030"), (0.01, "0.01"), (0.0123, "0.0123"), (0.00001234, "1.2 × 10⁻⁵"), (0.0, "off")]
)
def test_what_a_search_drew_is_rounded(config, value, words):
    assert values(dataclasses.replace(config, weight_decay=value))["weight decay"] == words


def test_a_long_schedule_takes_what_was_found_for_it_and_seeds_train_side_by_side(tmp_path, monkeypatch):
    tiny.cached(tmp_path, monkeypatch)
    fields = json.loads((base.NOTEBOOKS / "search.json").read_text(encoding="utf-8"))
    (tmp_path / "search.json").write_text(json.dumps(fields | {"long": fields["config"] | {"lr": 0.123}}))
    monkeypatch.setattr(base, "NOTEBOOKS", tmp_path)
    for epochs, seeds in ((ours.LONG - 1, 1), (ours.LONG, 5)):
        page = SimpleNamespace(**NOT_GIVEN | {"epochs": epochs, "seeds": seeds}, network="ours")
        our_config = ours.our_model(page, data.load(tiny.NAME))
        assert (our_config.lr == 0.123) == (epochs == ours.LONG) and our_config.threads == (2 if seeds == 1 else 1)


def test_a_notebook_accepts_the_optimisers_that_there_are():
    test, words = parameters.BOUNDS["optimiser"]
    assert all(test(name) for name in optimisers.OPTIMISERS) and not test("adamm")
    assert words == f"one of {', '.join(optimisers.OPTIMISERS)}"
