"""The grid search of report D on small data: the nan loss as printed, and a search that learns once mended."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.model_selection import ParameterGrid

from helpers import base
from helpers.studies import grid

CONTEXT = SimpleNamespace(device="cpu", state_path=None, epoch=lambda values: None)
SMALL = grid.GridConfig(dataset="squares", lrs=(0.001, 0.01), max_epochs=(1, 4), folds=2)


@pytest.fixture
def squares(tmp_path, monkeypatch):
    """Ten classes told apart by the row that is bright: learnable in a few epochs."""
    monkeypatch.setattr(base, "CACHE", tmp_path)
    labels = np.arange(400, dtype=np.uint8) % 10
    images = np.random.default_rng(0).integers(0, 40, (400, 28, 28), dtype=np.uint8)
    for image, label in zip(images, labels):
        image[2 * label : 2 * label + 3] = 250
    folder = tmp_path / "squares"
    folder.mkdir()
    for part in ("train", "test"):
        np.save(folder / f"{part}_images.npy", images)
        np.save(folder / f"{part}_labels.npy", labels)
    meta = {"title": "squares", "source": "test", "standin": False, "fingerprint": "0", "classes": list("0123456789")}
    (folder / "meta.json").write_text(json.dumps(meta))


def test_the_gradient_of_the_printed_loss_has_the_wrong_sign():
    logits = torch.tensor([[2.0, 1.0, 0.0]], requires_grad=True)
    output = torch.log_softmax(logits, 1)
    loss = torch.nn.functional.nll_loss(torch.log(output + 1e-8), torch.tensor([0]))
    loss.backward()
    assert torch.isnan(loss)
    assert logits.grad[0, 0] > 0  # a step against it lowers the right class's logit


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_as_printed_every_loss_is_nan_and_mended_none(squares):
    printed = grid.search_grid(SMALL, CONTEXT)["metrics"]
    mended = grid.search_grid(grid.GridConfig(**{**vars(SMALL), "printed": False}), CONTEXT)["metrics"]
    assert printed["nan_fits"] == printed["fits"] == 8 and mended["nan_fits"] == 0
    assert printed["best_score"] < 0.3 and mended["best_score"] > 0.9
    assert mended["best_score"] == pytest.approx(max(v for k, v in mended.items() if k.startswith("score_")))


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_one_fit_and_a_random_search_of_equal_cost(squares):
    one = grid.search_grid(grid.GridConfig(**{**vars(SMALL), "search": "fit"}), CONTEXT)
    assert len(one["history"]["valid_acc"]) == 1 and one["metrics"]["fits"] == 1
    random = grid.search_grid(grid.GridConfig(**{**vars(SMALL), "search": "random", "printed": False}), CONTEXT)
    assert random["metrics"]["fits"] == 8


@pytest.mark.parametrize("seed", range(5))
def test_a_random_search_costs_what_the_grid_costs_to_the_epoch(seed):
    lengths, rates = {}, []
    for search in ("grid", "random"):
        config = grid.GridConfig(**{**vars(SMALL), "search": search, "seed": seed})
        points = list(ParameterGrid(grid._search(config, None).param_grid))
        lengths[search] = sorted(point["max_epochs"] for point in points)
        rates.append({point["lr"] for point in points})
    assert lengths["random"] == lengths["grid"] == [1, 1, 4, 4]
    assert len(rates[1]) == 4 and all(1e-4 <= rate <= 0.1 for rate in rates[1])


def test_work_counts_the_examples_of_all_fits(squares):
    assert SMALL.work() == (1 + 4) * 2 * 400
