"""Report E's NumPy training as its published code ran, in our words: what the benchmark and the tests compare with.

float64 weights without biases on float32 pixels, samples in columns, one-hot labels, the gradient summed over the
batch, the output error 2 (y_hat - y) / 10 * s (1 - s), one maximum for the whole batch in the softmax, the same
shuffle every epoch. After each epoch the test images are evaluated one at a time; results are collected by np.append,
which copies all earlier ones for every number and takes more than half of an epoch. `grow=False` collects them in
lists instead: the same numbers, for a comparison of the training alone.
"""

from itertools import pairwise

import numpy as np


def initial_weights(layers, seed):
    """He initialisation, one array (outputs, inputs) per layer after the input."""
    generator = np.random.RandomState(seed)
    sizes = [layer["input_nodes"] for layer in layers]
    return [generator.randn(m, n) * np.sqrt(2.0 / n) for n, m in pairwise(sizes)]


def activate(name, z):
    """The activation of one layer for pre-activations z (nodes, batch) or (nodes,)."""
    if name == "relu":
        return np.maximum(0, z)
    if name == "sigmoid":
        return 1.0 / (1.0 + np.exp(-z))
    e = np.exp(z - np.max(z))
    return e / np.sum(e, axis=0)


def slope(name, z):
    """The derivative that the published code takes for an activation at z; softmax's is the diagonal alone."""
    if name == "relu":
        return (z > 0).astype(float)
    a = activate(name, z)
    return a * (1 - a)


def forward(x, weights, layers):
    """Activations and pre-activations of all layers for x (inputs, batch) or (inputs,)."""
    activations, before = [x], []
    for w, layer in zip(weights, layers[1:]):
        before.append(np.dot(w, activations[-1]))
        activations.append(activate(layer["activation"], before[-1]))
    return activations, before


def step(x, y, weights, layers, lr):
    """One update of the weights in place from columns x (inputs, batch) and one-hot columns y (classes, batch)."""
    activations, before = forward(x, weights, layers)
    output = activations[-1]
    error = 2 * (output - y) / output.shape[0] * slope(layers[-1]["activation"], before[-1])
    gradients = []
    for i in reversed(range(len(weights))):
        gradients.insert(0, np.dot(error, activations[i].T))
        if i:
            error = np.dot(weights[i].T, error) * slope(layers[i]["activation"], before[i - 1])
    for w, gradient in zip(weights, gradients):
        w -= lr * gradient


def evaluate(x, y, weights, layers, grow=True):
    """Accuracy and cross entropy, one sample at a time: x (n, inputs), one-hot y (n, classes)."""
    hits, costs = ([], []) if not grow else (np.array([]), np.array([]))
    for image, target in zip(x, y):
        output = forward(image, weights, layers)[0][-1]
        hit = np.argmax(output) == np.argmax(target)
        cost = [value * np.log(1e-15 + output[k]) for k, value in enumerate(target)]
        if grow:
            hits = np.append(hits, hit)
            for value in cost:
                costs = np.append(costs, value)
        else:
            hits.append(hit)
            costs.extend(cost)
    return np.mean(hits), -np.sum(costs) / len(y)


def prepare(images, labels, classes=10):
    """uint8 images (n, 28, 28) and labels (n,) as float32 rows in [0, 1] and one-hot rows."""
    return (images.reshape(len(images), -1) / 255).astype("float32"), np.eye(classes)[labels]


def train(train, test, layers, *, batch_size, epochs, lr, seed=42, weights=None, order=None, grow=True):
    """Train on train = prepare(...), evaluate on test after each epoch: (weights, [(accuracy, loss), ...]).

    weights and order: start from these and visit the samples in this order, to compare with another program.
    """
    x, y = train
    weights = weights or initial_weights(layers, seed)
    history = []
    for _ in range(epochs):
        indices = np.random.RandomState(seed).permutation(len(x)) if order is None else order
        for first in range(0, len(x), batch_size):
            chosen = indices[first : first + batch_size]
            step(x[chosen].T, y[chosen].T, weights, layers, lr)
        history.append(evaluate(*test, weights, layers, grow))
    return weights, history
