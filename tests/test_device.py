"""Device, precision and seeds; what needs a GPU is in test_gpu.py."""

import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers import device
from helpers.base import CourseworkError, to_json

without_gpu = pytest.mark.skipif(device.num_gpus() > 0, reason="this machine has a GPU")


@pytest.fixture
def deterministic_again():
    """Leave PyTorch's global switches as they were."""
    before = torch.are_deterministic_algorithms_enabled()
    yield
    torch.use_deterministic_algorithms(before)


@without_gpu
def test_without_a_gpu_everything_falls_back_to_the_processor():
    assert device.num_gpus() == 0
    assert device.try_gpu() == device.try_gpu(3) == device.choose() == device.cpu() == torch.device("cpu")
    assert device.try_all_gpus() == [torch.device("cpu")]


@without_gpu
@pytest.mark.parametrize("name", ["cuda", "cuda:1", "mps"])
def test_a_device_that_is_not_there_is_refused(name):
    with pytest.raises(CourseworkError, match=f"DEVICE={name}: this machine has no such device; use DEVICE=auto"):
        device.choose(name)


def test_the_device_is_read_from_the_environment(monkeypatch):
    monkeypatch.setenv("DEVICE", "tpu")
    with pytest.raises(CourseworkError, match="DEVICE=tpu is unknown; choose one of auto, cuda, mps, cpu"):
        device.choose()
    monkeypatch.setenv("DEVICE", "cpu")
    assert device.choose() == torch.device("cpu")


def test_precision_auto_is_bfloat16_where_the_processor_says_so():
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        pytest.skip("no /proc/cpuinfo to compare with")
    native = {"avx512_bf16", "amx_bf16"} & set(cpuinfo.read_text().split())
    assert device.resolve_precision("auto", torch.device("cpu")) == ("bfloat16" if native else "float32")
    assert device.resolve_precision("float32") == "float32"
    assert device.resolve_precision("bfloat16") == "bfloat16"


def test_an_unknown_precision_is_refused():
    with pytest.raises(CourseworkError, match="PRECISION=half is unknown; choose one of auto, float32, bfloat16"):
        device.resolve_precision("half")


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_autocast_sets_the_type_of_matrix_products(precision):
    with device.autocast(precision, torch.device("cpu")):
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert str(product.dtype) == f"torch.{precision}"


def test_one_seed_fixes_every_source_of_chance(deterministic_again):
    def draw():
        generator = device.seed_everything(7)
        return random.random(), np.random.rand(), torch.rand(3).tolist(), torch.rand(3, generator=generator).tolist()

    assert draw() == draw()
    assert torch.are_deterministic_algorithms_enabled()


def test_seeding_can_leave_kernels_alone(deterministic_again):
    torch.use_deterministic_algorithms(False)
    device.seed_everything(2**32 + 5, deterministic=False)  # NumPy takes 32 bits only
    assert not torch.are_deterministic_algorithms_enabled()


def test_the_machine_is_described_for_provenance():
    machine = json.loads(to_json(device.describe(device.cpu())))
    assert machine["torch"] == torch.__version__ and machine["numpy"] == np.__version__
    assert machine["device"] == "cpu" and machine["precision"] in ("float32", "bfloat16")
    assert machine["processor"] and machine["cores"] >= 1 and machine["threads"] == torch.get_num_threads()


def test_torchvision_imports_beside_this_torch():
    assert device.import_torchvision().datasets.FashionMNIST.__name__ == "FashionMNIST"
