"""One epoch: the same function trains and evaluates."""

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from helpers import data, device

# Examples: large enough for the caches, small enough for report B's (B, 256, 512) floats.
EVALUATION_BATCH = 500


def run_epoch(model, part: data.Resident, order, batch_size, *, precision="float32", step=None, transform=None,
              label_smoothing=0.0):  # fmt: skip
    """One pass over `part`: mean loss and accuracy, and the predicted labels (N,) in `order`.

    order: int64 indices (N,), or None for the stored order. `step(loss)` updates the weights (training); without
    it nothing is learnt. Sums stay on the device until the end: reading a number back each batch would wait for it.
    """
    where = part.labels.device
    total, correct, predicted = torch.zeros((), device=where), torch.zeros((), device=where), []
    convolves = any(isinstance(layer, nn.Conv2d) for layer in model.modules())
    for start in range(0, len(part), batch_size):
        index = slice(start, start + batch_size) if order is None else order[start : start + batch_size]
        inputs, labels = part.batch(index)
        if transform:
            inputs = transform(inputs, index)
        if convolves:  # convolutions run fastest with the channels last in memory
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        with device.autocast(precision, where):
            logits = model(inputs)
        loss = cross_entropy(logits.float(), labels, label_smoothing=label_smoothing)
        if step:
            step(loss)
        guesses = logits.detach().argmax(1)
        total += loss.detach() * len(labels)
        correct += (guesses == labels).sum()
        predicted.append(guesses)
    return total.item() / len(part), correct.item() / len(part), torch.cat(predicted)


def evaluate(model: nn.Module, part: data.Resident, *, precision="float32", training_mode=False):
    """Loss, accuracy and predicted labels (N,) of `model` on `part`, nothing learnt; its mode is left as it was."""
    was_training = model.training
    model.train(training_mode)
    with torch.inference_mode():
        result = run_epoch(model, part, None, EVALUATION_BATCH, precision=precision)
    model.train(was_training)
    return result
