"""Report D's regression: one-dimensional data with gaps, k-fold cross-validation, a sigmoid network."""

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn

from helpers import device
from helpers.base import CourseworkError, check_at_least, sha256

GAPS = ((-3.0, -1.0), (2.0, 3.0))  # no training input lies in them
GRID = np.linspace(-5, 5, 201)  # where a fit is drawn
NOISE = 0.45  # standard deviation of a label


def true_function(x):
    """The declared function behind the generated data; any shape of `x`."""
    return np.sin(1.3 * np.asarray(x)) * 1.5 + 0.3 * np.asarray(x)


def generate(seed: int, examples: int = 100) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Parts "train" (inputs outside GAPS) and "test" (inputs everywhere in [-5, 5]): (x, y), float64, (examples,)."""
    generator = np.random.default_rng(seed)
    pool = generator.uniform(-5, 5, 20 * examples)
    outside = pool[~np.any([(pool > low) & (pool < high) for low, high in GAPS], axis=0)][:examples]
    parts = {"train": outside, "test": generator.uniform(-5, 5, examples)}
    return {name: (x, true_function(x) + generator.normal(0, NOISE, len(x))) for name, x in parts.items()}


def read_csv(path: str, seed: int = 0) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The same parts from a CSV file with columns `input` and `label`; a fifth, drawn by `seed`, is the test part.

    Raises CourseworkError for a missing file or column, text, gaps in the table, or fewer than 20 rows.
    """
    advice = "give a CSV file with numeric columns input and label"
    if not Path(path).is_file():
        raise CourseworkError(f"{path}: no such file; {advice}")
    try:
        frame = pd.read_csv(path)
    except ValueError as error:
        raise CourseworkError(f"{path}: {str(error).splitlines()[0]}; {advice}") from error
    missing = [name for name in ("input", "label") if name not in frame.columns]
    if missing:
        raise CourseworkError(f"{path}: no column {' or '.join(missing)}, found {', '.join(frame.columns)}; {advice}")
    table = frame[["input", "label"]].apply(pd.to_numeric, errors="coerce")
    bad = table.index[~np.isfinite(table).all(axis=1)]
    if len(bad):
        raise CourseworkError(f"{path}, line {bad[0] + 2}: not a finite number; {advice}")
    if len(table) < 20:
        raise CourseworkError(f"{path}: {len(table)} rows; at least 20 are needed for folds and a test part")
    order = np.random.default_rng(seed).permutation(len(table))
    x, y = (table[name].to_numpy(float)[order] for name in ("input", "label"))
    cut = len(x) // 5
    return {"train": (x[cut:], y[cut:]), "test": (x[:cut], y[:cut])}


@dataclass(frozen=True, kw_only=True)
class RegressionConfig:
    """A k-fold training of report D's regression network."""

    csv: str | None = None  # a file with columns input and label; None: generated data
    data_seed: int = 3
    hidden: tuple[int, int] = (128, 256)
    folds: int = 5  # not printed
    epochs: int = 100
    batch_size: int = 256
    lr: float = 0.02
    weight_decay: float = 1e-5
    threads: int = 1
    seed: int = 0

    def __post_init__(self):
        """Raises CourseworkError for what cannot be trained."""
        check_at_least(1, self, "epochs batch_size threads")
        check_at_least(2, self, "folds")  # one part learns, another is held out

    def parts(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """The data of this trial, split into "train" (which the folds divide) and "test"."""
        return read_csv(self.csv, self.data_seed) if self.csv else generate(self.data_seed)

    def fingerprint(self) -> str:
        """Hash of inputs and labels, rounded to 12 digits so that it does not hang on a maths library's last bit."""
        arrays = [array for part in self.parts().values() for array in part]
        return sha256(np.round(np.concatenate(arrays), 12).tobytes())[:20]

    def work(self) -> int:
        """Training examples processed in all folds and epochs."""
        return self.epochs * len(self.parts()["train"][0]) * (self.folds - 1)

    def probe(self) -> "RegressionConfig":
        """The same folds trained for 2 epochs: see trials.probe."""
        return replace(self, epochs=min(self.epochs, 2))


def network(hidden=(128, 256), *, mended: bool = True) -> nn.Sequential:
    """1-hidden[0]-hidden[1]-1 with sigmoids, (B, 1) -> (B, 1); printed (mended=False), the middle one misfits."""
    first, second = hidden
    middle = nn.Linear(first if mended else second, second)
    return nn.Sequential(nn.Linear(1, first), nn.Sigmoid(), middle, nn.Sigmoid(), nn.Linear(second, 1))


def train_regression(config: RegressionConfig, context) -> dict:
    """The trial of a k-fold regression (report D): mean squared errors, averaged over the folds.

    arrays: fits (folds, 201) on GRID.
    """
    from sklearn.model_selection import KFold

    torch.set_num_threads(config.threads)
    device.seed_everything(config.seed)
    parts = {name: (_column(x), _column(y)) for name, (x, y) in config.parts().items()}
    grid = _column(GRID)
    x, y = parts["train"]
    curves, fits = [], []
    for fold, (train, held_out) in enumerate(KFold(config.folds, shuffle=True, random_state=42).split(x)):
        net = network(config.hidden)
        watched = {"train": (x[train], y[train]), "validation": (x[held_out], y[held_out]), "test": parts["test"]}
        curves.append(_fit(net, watched, config))
        context.epoch({"epoch": fold + 1, "epochs": config.folds, "examples": (fold + 1) * config.epochs * len(train)})
        with torch.inference_mode():
            fits.append(net(grid)[:, 0].numpy())
    history = {name: np.mean([curve[name] for curve in curves], axis=0).tolist() for name in curves[0]}
    metrics = {name: values[-1] for name, values in history.items()}
    losses = enumerate(history["train_loss"], 1)
    diverged = next((epoch for epoch, loss in losses if not math.isfinite(loss)), None)
    return {
        "history": history,
        "metrics": metrics,
        "status": "diverged" if diverged else "ok",
        "diverged_epoch": diverged,
        "examples": config.work(),
        "arrays": {"fits": np.stack(fits)},
    }


train_regression.trial_id = "regression"


def _column(values: np.ndarray) -> torch.Tensor:
    """Numbers (N,) as float32 (N, 1)."""
    return torch.tensor(values[:, None], dtype=torch.float32)


def _fit(net, watched, config) -> dict[str, list[float]]:
    """Adam on mean squared error; each epoch's loss on every part of `watched`."""
    optimiser = torch.optim.Adam(net.parameters(), lr=config.lr, weight_decay=config.weight_decay, fused=True)
    loss, (x, y) = nn.MSELoss(), watched["train"]
    curve = {f"{name}_loss": [] for name in watched}
    for _ in range(config.epochs):
        for index in torch.randperm(len(x)).split(config.batch_size):
            optimiser.zero_grad()
            loss(net(x[index]), y[index]).backward()
            optimiser.step()
        with torch.inference_mode():
            for name, (inputs, labels) in watched.items():
                curve[f"{name}_loss"].append(loss(net(inputs), labels).item())
    return curve
