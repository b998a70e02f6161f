"""Report D's regression: data, folds, the shape error, and CSV files that cannot be used."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.model_selection import KFold

from helpers.base import CourseworkError
from helpers.studies import regression

CONTEXT = SimpleNamespace(device="cpu", state_path=None, epoch=lambda values: None)
SMALL = regression.RegressionConfig(hidden=(8, 6), folds=3, epochs=4, batch_size=16, lr=0.01)


def test_generated_training_inputs_leave_the_gaps_open():
    parts = regression.generate(0)
    for low, high in regression.GAPS:
        assert not np.any((parts["train"][0] > low) & (parts["train"][0] < high))
        assert np.any((parts["test"][0] > low) & (parts["test"][0] < high))
    noise = np.concatenate([y - regression.true_function(x) for x, y in parts.values()])
    assert abs(noise.std() - regression.NOISE) < 0.1


def test_the_printed_network_cannot_run_and_the_mended_one_can():
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        regression.network(mended=False)(torch.zeros(4, 1))
    assert regression.network()(torch.zeros(4, 1)).shape == (4, 1)


def test_losses_equal_a_plain_loop_over_the_folds():
    result = regression.train_regression(SMALL, CONTEXT)
    x, y = (torch.tensor(v[:, None], dtype=torch.float32) for v in SMALL.parts()["train"])
    torch.manual_seed(SMALL.seed)
    expected = []
    for train, held_out in KFold(3, shuffle=True, random_state=42).split(x):
        middle, sigmoid = torch.nn.Linear(8, 6), torch.nn.Sigmoid()  # its weights are drawn first
        net = torch.nn.Sequential(torch.nn.Linear(1, 8), sigmoid, middle, sigmoid, torch.nn.Linear(6, 1))
        optimiser = torch.optim.Adam(net.parameters(), lr=0.01, weight_decay=1e-5)
        for _ in range(4):
            order = torch.randperm(len(train))
            for start in range(0, len(train), 16):
                batch = train[order[start : start + 16]]
                optimiser.zero_grad()
                ((net(x[batch]) - y[batch]) ** 2).mean().backward()
                optimiser.step()
        expected.append(((net(x[held_out]) - y[held_out]) ** 2).mean().item())
    assert result["metrics"]["validation_loss"] == pytest.approx(np.mean(expected), rel=1e-4)
    assert result["arrays"]["fits"].shape == (3, len(regression.GRID))
    assert result["status"] == "ok" and len(result["history"]["test_loss"]) == 4


def test_a_csv_of_ones_own_is_read_and_split(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("label,input\n" + "".join(f"{i * 2},{i}\n" for i in range(30)))
    parts = regression.read_csv(str(path))
    assert len(parts["train"][0]) == 24 and len(parts["test"][0]) == 6
    assert all(np.array_equal(y, 2 * x) for x, y in parts.values())
    assert regression.RegressionConfig(csv=str(path)).fingerprint() != SMALL.fingerprint()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "no column input or label"),
        ("input,label\n" + "1,2\n" * 25 + "x,3\n", "line 27: not a finite number"),
        ("input,label\n" + "1,2\n" * 5 + "1,nan\n" + "1,2\n" * 25, "line 7: not a finite number"),
        ("input,label\n1,2\n", "at least 20"),
        ("", "No columns"),
    ],
)
def test_unusable_csv_files_get_one_line(tmp_path, text, message):
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(CourseworkError, match=message) as error:
        regression.read_csv(str(path))
    assert "\n" not in str(error.value) and "bad.csv" in str(error.value)


def test_a_missing_csv_is_named():
    with pytest.raises(CourseworkError, match=r"nowhere\.csv: no such file"):
        regression.read_csv("nowhere.csv")
