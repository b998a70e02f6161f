"""A network in NumPy alone, any depth: with the exact gradient and, on demand, with report E's published one.

    net = Network(ARCHITECTURES[1], seed=0)
    for epoch in fit(net, images, labels, epochs=10, lr=0.1):
        print(epoch, evaluate(net, test_images, test_labels)["accuracy"])

An architecture is a sequence of dicts as in report E's Appendix A: {"input_nodes": 784, "activation": "relu"}. Entry
i describes the output of layer i. Entry 0 is the input: its activation is never applied, as in the published code,
which starts at entry 1. The last entry must be softmax.

Every array may have a leading axis of L stacked networks, which see the same batches at different learning rates:
weights (L, outputs, inputs), activations (L, batch, nodes). All code below works on the last two axes only.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from helpers.base import CourseworkError, check_choice

BLOCK = 64  # samples whose first-layer updates make one matrix product, see train_block
TINY = 1e-15  # inside the logarithm of the loss, as in the published code
SATURATED = 1e-6  # sum of s (1 - s) below which a softmax output lets (almost) no gradient through the diagonal


def layers(activation: str, *nodes: int) -> tuple[dict, ...]:
    """Layer dicts of a network with one hidden activation and a softmax at the end."""
    names = [activation] * (len(nodes) - 1) + ["softmax"]
    return tuple({"input_nodes": n, "activation": name} for n, name in zip(nodes, names))


ARCHITECTURES = {  # report E's eight, by their numbers in Appendix A
    1: layers("relu", 784, 64, 10),
    2: layers("sigmoid", 784, 64, 10),
    3: layers("sigmoid", 784, 128, 64, 10),
    4: layers("relu", 784, 64, 64, 10),
    5: layers("relu", 784, 128, 64, 10),
    6: layers("relu", 784, 512, 64, 10),
    7: layers("relu", 784, 512, 128, 64, 10),
    8: layers("relu", 784, 512, 256, 128, 64, 10),
}
RULES = {
    "delta": ("cross_entropy", "squared", "diagonal"),
    "reduction": ("mean", "sum"),
    "shift": ("row", "batch"),
    "dtype": ("float32", "float64"),
}
# What report E's published code does otherwise than the defaults of Rules.
PUBLISHED = dict(delta="diagonal", reduction="sum", shift="batch", biases=False, reshuffle=False, dtype="float64")  # noqa: C408


@dataclass(frozen=True, kw_only=True)
class Rules:
    """How a step is computed: the defaults are right, Rules(**PUBLISHED) has all that report E's code does otherwise.

    Raises CourseworkError for a choice that does not exist.
    """

    delta: str = "cross_entropy"  # output error; see output_error
    reduction: str = "mean"  # of the gradient over the batch: mean | sum
    shift: str = "row"  # softmax subtracts each sample's maximum (row) or one of the whole batch (batch)
    biases: bool = True
    reshuffle: bool = True  # a new order every epoch, else the first order for ever
    dtype: str = "float32"
    clip_norm: float | None = None  # largest norm of the whole gradient

    def __post_init__(self):
        for name, choices in RULES.items():
            check_choice(name, getattr(self, name), choices)


def softmax(z: np.ndarray, shift: str = "row") -> np.ndarray:
    """Softmax over the last axis. With shift="batch" rows far below the batch's maximum underflow to 0/0."""
    e = np.exp(z - z.max(axis=-1 if shift == "row" else (-2, -1), keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def through_softmax(s: np.ndarray, g: np.ndarray) -> np.ndarray:
    """Gradient g by the outputs s, taken through the whole Jacobian diag(s) - s s^T."""
    return s * (g - (s * g).sum(axis=-1, keepdims=True))


ACTIVATIONS = {  # output from the pre-activation z; from the output a and the gradient g by it, the gradient by z
    "relu": (lambda z: np.maximum(z, 0), lambda a, g: g * (a > 0)),
    "sigmoid": (lambda z: 1 / (1 + np.exp(-z)), lambda a, g: g * a * (1 - a)),
    "tanh": (np.tanh, lambda a, g: g * (1 - a * a)),
    "softmax": (softmax, through_softmax),
}


def deviation(initialiser: str | float, n: int, m: int) -> float:
    """Standard deviation of the weights from n to m nodes: he (He 2015), xavier (Glorot 2010), or the number given."""
    deviations = {"he": (2 / n) ** 0.5, "xavier": (2 / (n + m)) ** 0.5}
    if initialiser not in deviations and not isinstance(initialiser, float):
        raise CourseworkError(f"initialiser={initialiser!r}: choose he, xavier, or a standard deviation such as 0.1")
    return deviations.get(initialiser, initialiser)


def check_layers(architecture: Sequence[dict]) -> None:
    """Raises CourseworkError with one sentence for an architecture that cannot be built."""
    for i, layer in enumerate(architecture):
        nodes, name = layer.get("input_nodes"), layer.get("activation")
        if not isinstance(nodes, int) or nodes < 1 or name not in ACTIVATIONS:
            allowed = f"input_nodes above 0 and an activation of {', '.join(ACTIVATIONS)}"
            raise CourseworkError(f"layer {i} has input_nodes={nodes!r}, activation={name!r}: give {allowed}")
    if len(architecture) < 2 or architecture[-1]["activation"] != "softmax":
        raise CourseworkError("an architecture starts with the input's entry and ends with a softmax one; add them")


class Network:
    """Per layer a weight array (outputs, inputs) and, with biases, one (1, outputs); copies=L stacks L equal networks.

    `biases` is an empty list in a network without them; `parameters` holds all weights, then all biases. The same
    seed draws the same weights in either dtype. Raises CourseworkError for a wrong architecture or initialiser.
    """

    def __init__(self, architecture, *, seed=0, initialiser="he", biases=True, dtype="float32", copies=None):
        check_layers(architecture)
        self.activations = [layer["activation"] for layer in architecture[1:]]
        nodes = [layer["input_nodes"] for layer in architecture]
        generator, lead = np.random.default_rng(seed), () if copies is None else (copies,)
        drawn = [generator.normal(0, deviation(initialiser, n, m), (m, n)) for n, m in pairwise(nodes)]
        self.weights = [np.broadcast_to(w, (*lead, *w.shape)).astype(dtype, order="C") for w in drawn]
        self.biases = [np.zeros((*lead, 1, n), dtype) for n in nodes[1:]] if biases else []
        self.parameters = self.weights + self.biases
        self.dtype, self.classes = np.dtype(dtype), nodes[-1]

    def affine(self, i: int, x: np.ndarray) -> np.ndarray:
        """Pre-activation of layer i + 1, (..., batch, outputs), from its inputs (..., batch, inputs)."""
        z = x @ self.weights[i].swapaxes(-1, -2)
        return z + self.biases[i] if self.biases else z

    def forward(self, z: np.ndarray, shift: str = "row") -> list[np.ndarray]:
        """Outputs of all layers from the first one's pre-activation z (..., batch, nodes)."""
        outputs = []
        for i, name in enumerate(self.activations):
            z = self.affine(i, outputs[-1]) if i else z
            outputs.append(softmax(z, shift) if i == len(self.weights) - 1 else ACTIVATIONS[name][0](z))
        return outputs

    def update(self, i: int, inputs: np.ndarray, moves: np.ndarray) -> None:
        """Subtract the step of layer i + 1: `moves` is its gradient by the pre-activation times the learning rate."""
        self.weights[i] -= moves.swapaxes(-1, -2) @ inputs
        if self.biases:
            self.biases[i] -= moves.sum(axis=-2, keepdims=True)


def pixels(images: np.ndarray, dtype) -> np.ndarray:
    """uint8 images (n, ...) as (n, values) in [0, 1]; other types are flattened and not scaled."""
    flat = images.reshape(len(images), -1)
    return np.divide(flat, 255, dtype=dtype) if flat.dtype == np.uint8 else flat.astype(dtype)


def output_error(p: np.ndarray, targets: np.ndarray, delta: str) -> np.ndarray:
    """Gradient of each sample's loss by the last pre-activation, (..., batch, classes); targets are one-hot.

    cross_entropy: exact, of -log p_y. squared: exact, of mean((p - y)^2). diagonal: the squared error's through the
    diagonal s (1 - s) of the softmax Jacobian alone, which is the gradient of no loss (report E's published code).
    """
    if delta == "cross_entropy":
        return p - targets
    error = (p - targets) * (2 / p.shape[-1])
    return through_softmax(p, error) if delta == "squared" else error * p * (1 - p)


def backward(net: Network, outputs: list[np.ndarray], error: np.ndarray) -> list[np.ndarray]:
    """Gradients by the pre-activations of all layers, the first layer's first, from the last one's."""
    deltas = [error]
    for i in range(len(net.weights) - 1, 0, -1):
        deltas.insert(0, ACTIVATIONS[net.activations[i - 1]][1](outputs[i - 1], deltas[0] @ net.weights[i]))
    return deltas


def gradients(net: Network, x: np.ndarray, targets: np.ndarray, rules: Rules) -> list[np.ndarray]:
    """Gradient by each array of net.parameters at x (batch, inputs) and one-hot targets (batch, classes)."""
    outputs = net.forward(net.affine(0, x), rules.shift)
    error = output_error(outputs[-1], targets, rules.delta)
    deltas = backward(net, outputs, error / len(x) if rules.reduction == "mean" else error)
    by_weights = [d.swapaxes(-1, -2) @ a for d, a in zip(deltas, [x, *outputs])]
    return by_weights + [d.sum(axis=-2, keepdims=True) for d in deltas if net.biases]


def weight_square(a: np.ndarray, d: np.ndarray, biases: bool) -> np.ndarray:
    """Sum of squares of a layer's gradient d^T a (and sum of d, for biases), without forming it: (..., 1, 1)."""
    return ((a @ a.swapaxes(-1, -2) + biases) * (d @ d.swapaxes(-1, -2))).sum(axis=(-2, -1), keepdims=True)


def train_block(net: Network, x, targets, lr, batch_size: int, rules: Rules) -> None:
    """Consecutive steps of batch_size samples over x (n, inputs) and one-hot targets (n, classes).

    The first layer, by far the largest, is read and written once per block instead of once per step. Its
    pre-activation of a later sample t is that of the block's first weights less sum_s (x_t . x_s) moves_s over the
    samples s already learnt, so the steps need only the products x_t . x_s. The same steps, to rounding; at batch
    size 1 the sweep over learning rates becomes a few matrix products.
    """
    z = net.affine(0, x)
    moves = np.empty_like(z)
    products = x @ x.T + bool(net.biases) if len(x) > batch_size else None
    for start in range(0, len(x), batch_size):
        rows = slice(start, start + batch_size)
        now = z[..., rows, :] - products[rows, :start] @ moves[..., :start, :] if start else z[..., rows, :]
        outputs = net.forward(now, rules.shift)
        count = now.shape[-2] if rules.reduction == "mean" else 1
        deltas = backward(net, outputs, output_error(outputs[-1], targets[rows], rules.delta) * (lr / count))
        if rules.clip_norm is not None:
            squares = [weight_square(a, d, bool(net.biases)) for a, d in zip([x[rows], *outputs], deltas)]
            deltas = [d * np.minimum(1, rules.clip_norm * lr / np.sqrt(sum(squares))) for d in deltas]
        moves[..., rows, :] = deltas[0]
        for i in range(1, len(deltas)):
            net.update(i, outputs[i - 1], deltas[i])
    net.update(0, x, moves)


def train_epoch(net: Network, images, labels, order, *, lr, batch_size: int, rules: Rules, block=BLOCK) -> None:
    """One pass over images (n, ...) and integer labels (n,) in the given order; lr: a number, or one per network.

    block: samples per train_block, rounded down to whole batches; 1 is step by step.
    """
    lr, one_hot = np.asarray(lr, net.dtype)[..., None, None], np.eye(net.classes, dtype=net.dtype)
    block = batch_size * max(1, block // batch_size)
    for first in range(0, len(order), block):
        index = order[first : first + block]
        with np.errstate(all="ignore"):  # divergence is a result here, not an accident
            train_block(net, pixels(images[index], net.dtype), one_hot[labels[index]], lr, batch_size, rules)


def evaluate(net: Network, images, labels) -> dict[str, np.ndarray]:
    """accuracy, loss and saturated_share, each a number or (L,), and predictions, uint8 (..., n).

    Softmax is shifted by each row's own maximum: the published code, too, evaluates sample by sample.
    """
    parts = []
    for first in range(0, len(labels), 4096):
        rows = slice(first, first + 4096)
        with np.errstate(all="ignore"):
            p = net.forward(net.affine(0, pixels(images[rows], net.dtype)))[-1]
            loss = -np.log(TINY + p[..., np.arange(p.shape[-2]), labels[rows]])
        parts.append((p.argmax(axis=-1).astype(np.uint8), loss, (p * (1 - p)).sum(axis=-1) < SATURATED))
    predictions, loss, saturated = (np.concatenate(part, axis=-1) for part in zip(*parts))
    shares = {"accuracy": predictions == labels, "loss": loss, "saturated_share": saturated}
    return {name: values.mean(axis=-1) for name, values in shares.items()} | {"predictions": predictions}


def fit(net: Network, images, labels, *, epochs: int, lr=0.1, batch_size=128, rules=None, seed=0,
        validation=None, patience: int | None = None) -> Iterator[int]:  # fmt: skip
    """Train the network and yield the number of each finished epoch; nothing happens unless it is iterated.

    With patience it ends early, when the loss on validation = (images, labels) has not fallen for so many epochs, and
    the parameters of the best epoch come back; also where it is closed before.
    """
    rules, best = rules or Rules(), (np.inf, 0, [])
    images, labels = np.asarray(images), np.asarray(labels)  # a memmap's slices are slow
    try:
        for epoch in range(1, epochs + 1):
            order = np.random.default_rng([seed, epoch if rules.reshuffle else 1]).permutation(len(labels))
            train_epoch(net, images, labels, order, lr=lr, batch_size=batch_size, rules=rules)
            yield epoch
            loss = np.inf if patience is None else evaluate(net, *validation)["loss"]
            if loss < best[0]:
                best = (loss, epoch, [p.copy() for p in net.parameters])
            elif patience is not None and epoch - best[1] >= patience:
                break
    finally:
        for parameter, kept in zip(net.parameters, best[2]):
            parameter[...] = kept
