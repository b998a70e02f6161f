"""Report D's grid search with skorch: as printed, mended, and a random search of equal cost."""

import math
import time
from dataclasses import dataclass, replace

import numpy as np
import torch

from helpers import data, device, networks
from helpers.base import check_at_least, check_choice


@dataclass(frozen=True, kw_only=True)
class GridConfig:
    """A search over learning rate and epochs of report D's fully connected network, as one trial."""

    printed: bool = True  # log_softmax under NeuralNetClassifier's NLLLoss; else logits under cross entropy
    search: str = "grid"  # grid, random (as many fits of each length), or fit: one, at the first rate and length
    dataset: str = "fashion_mnist"
    train_limit: int | None = None
    lrs: tuple[float, ...] = (0.001, 0.01, 0.02)
    max_epochs: tuple[int, ...] = (10, 20, 30)
    epoch_limit: int = 30  # no fit is longer (reduced budgets)
    folds: int = 3
    optimiser: str = "Adam"  # of the report's other trainings; the search prints none
    threads: int = 1
    seed: int = 0

    def __post_init__(self):
        """Raises CourseworkError for what cannot be searched."""
        check_choice("search", self.search, ("grid", "random", "fit"))
        check_at_least(1, self, "train_limit epoch_limit threads")
        check_at_least(2, self, "folds")  # one part learns, another is held out

    def fingerprint(self) -> str:
        """The hash of the data set that this trial uses."""
        return data.fingerprint(self.dataset)

    def work(self) -> int:
        """Training examples processed in all fits."""
        n = len(data.load(self.dataset).train_labels)
        n, epochs = min(n, self.train_limit or n), [min(e, self.epoch_limit) for e in self.max_epochs]
        if self.search == "fit":
            return epochs[0] * n * 4 // 5
        return sum(epochs) * len(self.lrs) * n * (self.folds - 1)

    def probe(self) -> "GridConfig":
        """The same search on 2,000 images and at most 2 epochs a fit: see trials.probe."""
        return replace(self, train_limit=min(self.train_limit or 2000, 2000), epoch_limit=min(self.epoch_limit, 2))


def _classifier(config: GridConfig, fits: list):
    """A skorch classifier as the report's; each finished fit is appended to `fits`."""
    from skorch import NeuralNetClassifier

    class Noted(NeuralNetClassifier):
        def on_train_end(self, net, **kwargs):
            rows = [
                {"seconds": row["dur"]} | {name: row[name] for name in ("train_loss", "valid_acc", "valid_loss")}
                for row in net.history
            ]
            fits.append({"lr": net.lr, "max_epochs": net.max_epochs, "rows": rows})
            return super().on_train_end(net, **kwargs)

    options = {"module__log_softmax": config.printed, "module__widths": (256, 128, 64)}
    if not config.printed:
        options["criterion"] = torch.nn.CrossEntropyLoss
    optimiser = getattr(torch.optim, config.optimiser)
    return Noted(networks.mlp, optimizer=optimiser, verbose=0, classes=list(range(10)), **options)


def _search(config: GridConfig, net):
    """The scikit-learn search of `config`, not yet fitted.

    A random search has the grid's number of fits of each length, and so its cost to the epoch; it draws a learning
    rate for each point, log-uniformly between 1e-4 and 0.1, from the seed.
    """
    from scipy.stats import loguniform
    from sklearn.model_selection import GridSearchCV

    epochs = [min(e, config.epoch_limit) for e in config.max_epochs]
    points = {"lr": list(config.lrs), "max_epochs": epochs}
    if config.search == "random":
        lengths = epochs * len(config.lrs)
        rates = loguniform(1e-4, 1e-1).rvs(len(lengths), random_state=config.seed).tolist()
        points = [{"lr": [rate], "max_epochs": [length]} for rate, length in zip(rates, lengths)]
    return GridSearchCV(net, points, cv=config.folds, scoring="accuracy", refit=False)


def search_grid(config: GridConfig, context) -> dict:
    """The trial of a search (report D): best score and point, the mean score of every point, each fit's losses.

    history: of the first fit (skorch's own fifth held out for validation). metrics: best_score, best_lr,
    best_max_epochs, fits, nan_fits (train loss nan in the last epoch), seconds_per_epoch, seconds_e<n> of a fit of n
    epochs, score_<i>_<j> by rate and number of epochs, of a grid alone; for search="fit" only those of one fit.
    """
    torch.set_num_threads(config.threads)
    device.seed_everything(config.seed)
    dataset = data.load(config.dataset)
    fits = []
    started = time.perf_counter()
    x = (np.asarray(dataset.train_images[: config.train_limit]) / np.float32(255))[:, None]
    y = np.asarray(dataset.train_labels[: config.train_limit]).astype(np.int64)
    net = _classifier(config, fits)
    metrics = {}
    if config.search == "fit":
        net.set_params(lr=config.lrs[0], max_epochs=min(config.max_epochs[0], config.epoch_limit)).fit(x, y)
    else:
        search = _search(config, net).fit(x, y)
        best = search.best_params_
        metrics = {"best_score": search.best_score_, "best_lr": best["lr"], "best_max_epochs": best["max_epochs"]}
        if config.search == "grid":
            scores = np.reshape(search.cv_results_["mean_test_score"], (len(config.lrs), -1))
            metrics |= {f"score_{i}_{j}": value for (i, j), value in np.ndenumerate(scores)}
    seconds = [row["seconds"] for fit in fits for row in fit["rows"]]
    metrics |= {"fits": len(fits), "seconds_per_epoch": float(np.mean(seconds))}
    metrics["nan_fits"] = sum(math.isnan(fit["rows"][-1]["train_loss"]) for fit in fits)
    for epochs in {fit["max_epochs"] for fit in fits}:
        lengths = [sum(row["seconds"] for row in fit["rows"]) for fit in fits if fit["max_epochs"] == epochs]
        metrics[f"seconds_e{epochs}"] = float(np.mean(lengths))
    context.epoch({"epoch": 1, "epochs": 1, "examples": config.work()})
    return {
        "history": {name: [float(row[name]) for row in fits[0]["rows"]] for name in fits[0]["rows"][0]},
        "metrics": metrics,
        "status": "ok",  # the nan of the printed search is a finding, counted in nan_fits
        "examples": config.work(),
        "provenance": {"search_seconds": time.perf_counter() - started},
    }


search_grid.trial_id = "grid_search"
