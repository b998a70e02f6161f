"""What the course builds from scratch before it uses PyTorch's own: regression, cross-correlation, a residual block."""

import torch
from torch import nn
from torch.nn import functional as F


def synthetic_data(w, b, num_examples):
    """X (n, len(w)) standard normal and y = Xw + b + noise (n, 1), noise of deviation 0.01."""
    X = torch.normal(0, 1, (num_examples, len(w)))
    y = torch.matmul(X, w) + b
    return X, (y + torch.normal(0, 0.01, y.shape)).reshape(-1, 1)


def linreg(X, w, b):
    """Xw + b."""
    return torch.matmul(X, w) + b


def squared_loss(y_hat, y):
    """Half the squared error of each element."""
    return (y_hat - y.reshape(y_hat.shape)) ** 2 / 2


def sgd(params, lr, batch_size) -> None:
    """One step of stochastic gradient descent; gradients are sums over the batch, and are set to zero."""
    with torch.no_grad():
        for param in params:
            param -= lr * param.grad / batch_size
            param.grad.zero_()


def corr2d(X, K):
    """The cross-correlation of X (H, W) with the kernel K (h, w): (H - h + 1, W - w + 1)."""
    windows = X.unfold(0, K.shape[0], 1).unfold(1, K.shape[1], 1)  # (H - h + 1, W - w + 1, h, w)
    return (windows * K).sum((2, 3))


class Residual(nn.Module):
    """ResNet's block: two 3x3 convolutions with batch norms, added to their input; (B, C, H, W) to (B, C', H', W').

    use_1x1conv: the input passes a 1x1 convolution, as it must where channels or size change. strides: divides height
    and width.
    """

    def __init__(self, input_channels, num_channels, use_1x1conv=False, strides=1):
        super().__init__()
        self.conv1 = nn.Conv2d(input_channels, num_channels, kernel_size=3, padding=1, stride=strides)
        self.conv2 = nn.Conv2d(num_channels, num_channels, kernel_size=3, padding=1)
        self.conv3 = nn.Conv2d(input_channels, num_channels, kernel_size=1, stride=strides) if use_1x1conv else None
        self.bn1 = nn.BatchNorm2d(num_channels)
        self.bn2 = nn.BatchNorm2d(num_channels)

    def forward(self, X):
        Y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(X)))))
        return F.relu(Y + (self.conv3(X) if self.conv3 else X))
