"""What only a GPU can show; skipped as a whole where there is none."""

from dataclasses import replace

import pytest
import tiny
import torch
from matplotlib import pyplot as plt

import helpers as mu
from helpers import data, device, networks
from helpers.training.classifier import ClassifierConfig, train_classifier

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

TINY = ClassifierConfig(
    dataset=tiny.NAME, options={"patch_size": 14, "width": 16}, epochs=3, batch_size=16, lr=0.05, precision="float32"
)


@pytest.fixture
def made(tmp_path, monkeypatch):
    return tiny.cached(tmp_path, monkeypatch)


def test_the_gpu_is_chosen_first(monkeypatch):
    monkeypatch.delenv("DEVICE", raising=False)
    assert device.choose().type == "cuda" and device.try_gpu() == torch.device("cuda:0")
    assert len(device.try_all_gpus()) == device.num_gpus() == torch.cuda.device_count()
    assert device.describe()["gpu"] == torch.cuda.get_device_name()


def test_data_resides_on_the_gpu(made):
    parts = data.resident_parts(TINY, data.load(tiny.NAME), "cuda", 14)
    inputs, labels = parts["train"].batch(torch.tensor([3, 1], device="cuda"))
    assert inputs.is_cuda and labels.is_cuda and parts["train"].inputs.dtype == torch.uint8


def test_float32_training_agrees_with_the_processor(made):
    outcomes = [train_classifier(TINY, tiny.context(device=name)) for name in ("cpu", "cuda")]
    for name in ("train_loss", "test_loss"):
        assert outcomes[1]["metrics"][name] == pytest.approx(outcomes[0]["metrics"][name], rel=1e-3)
    assert outcomes[1]["provenance"]["device"].startswith("cuda")


@pytest.mark.parametrize("model", networks.MODELS)
def test_the_same_seed_gives_the_same_bits(made, model):
    config = replace(TINY, model=model, options={}, checkpoint=True, precision="auto", augment=("shift",), lr=0.01)
    first, second = (train_classifier(config, tiny.context(device="cuda"))["checkpoint"] for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not any(value.is_cuda for value in first.values())


def test_muon_and_momentum_learn_in_bfloat16(made):
    for options in ({"optimiser": "muon", "lr": 0.01}, {"momentum": 0.9, "scheduler": "one_cycle"}):
        config = replace(TINY, precision="bfloat16", epochs=12, **options)
        assert train_classifier(config, tiny.context(device="cuda"))["metrics"]["test_accuracy"] > 0.9


def test_model_and_batches_of_the_courses_loops_meet_on_the_gpu():
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(144, 3))
    batches = mu.load_array((torch.rand(50, 1, 12, 12), torch.arange(50) % 3), 16)
    mu.train_ch6(net, batches, batches, 1, 0.1)
    plt.close("all")
    assert next(net.parameters()).is_cuda
    assert mu.evaluate_accuracy(net, batches) == mu.evaluate_accuracy_gpu(net, batches, "cpu")
    assert not next(net.parameters()).is_cuda
