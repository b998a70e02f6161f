"""The course's aliases: functions of PyTorch, and methods called as functions of the thing that has them."""

from collections import defaultdict  # noqa: F401, the course handed it on

import numpy as np
import torch

abs = torch.abs
arange = torch.arange
concat = torch.cat
cos = torch.cos
cosh = torch.cosh
exp = torch.exp
eye = torch.eye
float32 = torch.float32
int32 = torch.int32
linspace = torch.linspace
log = torch.log
matmul = torch.matmul
normal = torch.normal
ones = torch.ones
rand = torch.rand
randn = torch.randn
sin = torch.sin
sinh = torch.sinh
stack = torch.stack
tanh = torch.tanh
tensor = torch.tensor
zeros = torch.zeros


def _method(name: str):
    def call(x, *args, **kwargs):
        return getattr(x, name)(*args, **kwargs)

    return call


argmax = _method("argmax")
astype = _method("type")
expand_dims = _method("unsqueeze")
reduce_mean = _method("mean")
reduce_sum = _method("sum")
repeat = _method("repeat")
reshape = _method("reshape")
size = _method("numel")
swapaxes = _method("swapaxes")
to = _method("to")
transpose = _method("t")


def meshgrid(*tensors, indexing="ij"):
    """torch.meshgrid. Mended: PyTorch warns unless `indexing` is given; "ij" is what the course got."""
    return torch.meshgrid(*tensors, indexing=indexing)


def numpy(x, *args, **kwargs) -> np.ndarray:
    """A tensor as an array. Mended: from any device."""
    return x.detach().cpu().numpy(*args, **kwargs)
