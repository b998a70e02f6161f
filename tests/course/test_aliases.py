"""The course's aliases against what PyTorch does."""

import numpy as np
import torch

import helpers as mu


def test_aliases_do_what_torch_does():
    x = torch.arange(6.0).reshape(2, 3)
    assert mu.size(x) == 6 and mu.reshape(x, (3, 2)).shape == (3, 2) and mu.transpose(x).shape == (3, 2)
    assert mu.reduce_sum(x) == 15 and mu.reduce_mean(x, dim=0).tolist() == [1.5, 2.5, 3.5]
    assert mu.argmax(x, axis=1).tolist() == [2, 2] and mu.astype(x, torch.int32).dtype == mu.int32
    assert mu.to(x, "cpu") is x and mu.float32 is torch.float32 and mu.concat([x, x]).shape == (4, 3)
    weights = torch.ones(2, requires_grad=True)
    assert isinstance(mu.numpy(weights), np.ndarray)


def test_methods_work_on_arrays_too():
    assert mu.reduce_sum(np.arange(6).reshape(2, 3), axis=0).tolist() == [3, 5, 7]
    assert mu.argmax(np.array([1, 5, 2])) == 1


def test_meshgrid_is_the_courses_without_its_warning():
    rows, columns = mu.meshgrid(torch.arange(2), torch.arange(3))
    assert rows.tolist() == [[0, 0, 0], [1, 1, 1]] and columns.tolist() == [[0, 1, 2], [0, 1, 2]]
