"""Which processor trains, with which numbers, from which seed; and what machine it was."""

import contextlib
import os
import platform
import random

import numpy as np
import torch

from helpers import base
from helpers.base import CourseworkError, check_choice

PRECISIONS = ("auto", "float32", "bfloat16")
DEVICES = ("auto", "cuda", "mps", "cpu")


def num_gpus() -> int:
    """The number of CUDA devices; an Apple GPU counts as one."""
    return torch.cuda.device_count() or int(torch.backends.mps.is_available())


def cpu() -> torch.device:
    """The processor."""
    return torch.device("cpu")


def gpu(i: int = 0) -> torch.device:
    """The i-th GPU, whether it exists or not (`try_gpu` checks)."""
    return torch.device("mps" if torch.backends.mps.is_available() else f"cuda:{i}")


def try_gpu(i: int = 0) -> torch.device:
    """The i-th GPU if there is one, else the CPU."""
    return gpu(i) if num_gpus() > i else cpu()


def try_all_gpus() -> list[torch.device]:
    """All GPUs, or [cpu] where there is none."""
    return [gpu(i) for i in range(num_gpus())] or [cpu()]


def choose(name: str | None = None) -> torch.device:
    """The device called `name`; "auto" (default: the variable DEVICE) prefers CUDA, then MPS, then CPU.

    Raises CourseworkError for an unknown name and for a device that this machine lacks.
    """
    name = name or os.environ.get("DEVICE") or "auto"
    kind = name.split(":")[0]
    check_choice("DEVICE", kind, DEVICES)
    if kind == "auto":
        return try_gpu()
    present = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if not present[kind]:
        raise CourseworkError(f"DEVICE={name}: this machine has no such device; use DEVICE=auto")
    return torch.device(name)


def resolve_precision(precision: str = "auto", device: torch.device | None = None) -> str:
    """ "bfloat16" or "float32": what `precision` means on `device`.

    "auto" is bfloat16 autocast where the hardware multiplies bfloat16 natively (AVX-512 BF16 or AMX on a CPU,
    compute capability 8 on CUDA): half the bytes, twice the rate, float32's range. Elsewhere it is emulated and
    slower, hence float32. Weights, loss and metrics stay float32 in either case.
    """
    check_choice("PRECISION", precision, PRECISIONS)
    if precision != "auto":
        return precision
    kind = (device or cpu()).type
    if kind == "cuda":
        native = torch.cuda.get_device_capability(device)[0] >= 8
    else:
        features = torch.cpu.get_capabilities() if kind == "cpu" else {}
        native = bool(features.get("avx512_bf16") or features.get("amx_bf16"))
    return "bfloat16" if native else "float32"


def autocast(precision: str, device: torch.device):
    """A context in which matrix products run in `precision` (from `resolve_precision`)."""
    if precision == "float32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


def seed_everything(seed: int, *, deterministic: bool = True) -> torch.Generator:
    """Seed Python, NumPy and PyTorch, ask for deterministic kernels; returns a CPU generator of that seed."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS repeats only with a fixed workspace
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.utils.deterministic.fill_uninitialized_memory = False  # a tenth of a step, for memory nobody reads
        torch.backends.cudnn.benchmark = False
    return torch.Generator().manual_seed(seed)


def describe(device: torch.device | None = None) -> dict:
    """The machine for provenance: versions, processor and its capability, GPU, cores, threads."""
    device = device or choose()
    machine = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "system": platform.system(),
        "processor": base.processor()[0],
        "capability": torch.backends.cpu.get_cpu_capability(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": str(device),
        "precision": resolve_precision("auto", device),
    }
    if device.type == "cuda":
        machine["gpu"] = torch.cuda.get_device_name(device)
        machine["capability"] = "sm_{}{}".format(*torch.cuda.get_device_capability(device))
    return machine


def import_torchvision():
    """torchvision, also beside a CPU-only torch where its compiled operators cannot load.

    There the import fails while registering meta kernels for `nms` and `qnms`. Naming their schemas first lets
    it pass; data sets, transforms and utils need no compiled operator. Does nothing where torchvision is well.
    """
    try:
        import torchvision
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
        library = torch.library.Library("torchvision", "FRAGMENT")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        import_torchvision.library = library  # the schemas live as long as this object
        import torchvision
    return torchvision
