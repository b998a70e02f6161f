"""What the course builds from scratch, against PyTorch's own."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import helpers as mu


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def test_linear_regression_from_scratch_finds_the_weights():
    w, b = torch.tensor([2.0, -3.4]), 4.2
    features, labels = mu.synthetic_data(w, b, 500)
    assert features.shape == (500, 2) and labels.shape == (500, 1)
    exact = torch.linalg.lstsq(torch.cat([features, torch.ones(500, 1)], 1), labels).solution
    w_hat, b_hat = torch.zeros(2, 1, requires_grad=True), torch.zeros(1, requires_grad=True)
    for _ in range(10):
        for X, y in mu.load_array((features, labels), 10):
            mu.squared_loss(mu.linreg(X, w_hat, b_hat), y).sum().backward()
            mu.sgd([w_hat, b_hat], 0.03, 10)
    assert torch.allclose(torch.cat([w_hat.detach().ravel(), b_hat.detach()]), exact.ravel(), atol=0.01)
    batches = mu.load_array((features, labels), 64)
    assert mu.evaluate_loss(lambda X: mu.linreg(X, w_hat, b_hat), batches, mu.squared_loss) < 1e-3


def test_corr2d_is_a_convolution_without_padding():
    X, K = torch.rand(6, 8), torch.rand(2, 3, requires_grad=True)
    expected = F.conv2d(X[None, None], K[None, None])[0, 0]
    assert torch.allclose(mu.corr2d(X, K), expected, atol=1e-6)
    mu.corr2d(X, K).sum().backward()
    assert K.grad.shape == (2, 3)
    example = mu.corr2d(torch.arange(9.0).reshape(3, 3), torch.arange(4.0).reshape(2, 2))
    assert example.tolist() == [[19.0, 25.0], [37.0, 43.0]]  # the book's first figure


def test_residual_adds_two_convolutions_to_its_input():
    block = mu.Residual(3, 3)
    X = torch.rand(4, 3, 6, 6)
    inner = nn.Sequential(block.conv1, block.bn1, nn.ReLU(), block.conv2, block.bn2)
    assert torch.allclose(block(X), torch.relu(inner(X) + X), atol=1e-6)
    halved = mu.Residual(3, 6, use_1x1conv=True, strides=2)
    assert halved(X).shape == (4, 6, 3, 3)
    halved(X).sum().backward()
    assert halved.conv3.weight.grad is not None
