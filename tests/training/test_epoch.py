"""One epoch against a loop written out."""

import pytest
import tiny
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from helpers import data
from helpers.training import epoch


@pytest.fixture
def part():
    made = tiny.arrays(train=23, side=8)
    return data.Resident(data.to_tensor(made["train_images"]), made["train_labels"])


@pytest.fixture
def model():
    torch.manual_seed(2)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 4))


def written_out(model, part, order, batch_size, smoothing=0.0):
    """Mean loss, accuracy and predictions, example by example."""
    losses, predicted = [], []
    for i in order.tolist():
        inputs, label = part.batch(torch.tensor([i]))
        logits = model(inputs)
        losses.append(cross_entropy(logits, label, label_smoothing=smoothing).item())
        predicted.append(logits.argmax().item())
    right = [guess == part.labels[i].item() for guess, i in zip(predicted, order.tolist())]
    return sum(losses) / len(losses), sum(right) / len(right), predicted


@pytest.mark.parametrize("batch_size", [5, 23, 100])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_an_epoch_equals_a_loop_over_examples(model, part, batch_size, smoothing):
    order = torch.randperm(23)
    loss, accuracy, predicted = epoch.run_epoch(model, part, order, batch_size, label_smoothing=smoothing)
    expected = written_out(model, part, order, batch_size, smoothing)
    assert loss == pytest.approx(expected[0], rel=1e-5)  # the short last batch counts by its examples
    assert accuracy == pytest.approx(expected[1]) and predicted.tolist() == expected[2]


def test_without_an_order_examples_come_as_stored(model, part):
    stored = epoch.run_epoch(model, part, None, 5)
    ordered = epoch.run_epoch(model, part, torch.arange(23), 5)
    assert stored[:2] == ordered[:2] and torch.equal(stored[2], ordered[2])


def test_training_steps_once_a_batch_on_the_loss_before_the_step(model, part):
    optimiser, again = torch.optim.SGD(model.parameters(), lr=0.1), torch.Generator().manual_seed(1)
    order, losses = torch.randperm(23, generator=again), []

    def step(loss):
        losses.append(loss.item())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    loss, _, _ = epoch.run_epoch(model, part, order, 5, step=step)
    assert len(losses) == 5
    assert loss == pytest.approx((5 * sum(losses[:4]) + 3 * losses[4]) / 23, rel=1e-6)
    assert epoch.run_epoch(model, part, order, 5)[0] < loss


def test_a_transform_sees_each_batch_and_its_indices(model, part):
    order, seen = torch.randperm(23), []

    def transform(inputs, index):
        seen.append(index)
        return torch.zeros_like(inputs)

    _, _, predicted = epoch.run_epoch(model, part, order, 5, transform=transform)
    assert torch.equal(torch.cat(seen), order)
    assert len(predicted.unique()) == 1  # an empty image is an empty image


def test_evaluation_learns_nothing_and_leaves_the_mode(part):
    model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64), nn.Dropout(0.5), nn.Linear(64, 4))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for training in (True, False):
        model.train(training)
        first, second = epoch.evaluate(model, part), epoch.evaluate(model, part)
        assert first[:2] == second[:2] and model.training is training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_dropout_can_stay_on_in_evaluation(part):
    model = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(64, 4)).eval()
    first, second = (epoch.evaluate(model, part, training_mode=True)[0] for _ in range(2))
    assert first != second and not model.training


def test_bfloat16_loses_little_and_keeps_the_loss_in_float32(model, part):
    exact, rounded = (epoch.run_epoch(model, part, None, 8, precision=p) for p in ("float32", "bfloat16"))
    assert rounded[0] == pytest.approx(exact[0], abs=0.02) and rounded[0] != exact[0]


def test_convolutions_get_their_channels_last(part):
    seen = []

    class Spy(nn.Conv2d):
        def forward(self, x):
            seen.append(x.is_contiguous(memory_format=torch.channels_last))
            return super().forward(x)

    model = nn.Sequential(Spy(1, 4, 3), nn.Flatten(), nn.Linear(144, 4))
    epoch.run_epoch(model, part, None, 8)
    assert seen == [True] * 3
