"""Trial functions for the tests of faults: a workers' process imports them from here."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Config:
    epochs: int = 2
    trouble: str = ""
    seed: int = 0

    def fingerprint(self):
        return "none"

    def work(self):
        return self.epochs


def large(config, context):
    """Two files of a megabyte beside the record; `config.trouble`: memory."""
    import torch

    if config.trouble == "memory":
        np.empty(2**60, np.uint8)
    if config.trouble == "torch memory":
        torch.empty(2**60, dtype=torch.uint8)
    draw = np.random.default_rng(config.seed)
    return {
        "history": {"loss": [1.0] * config.epochs},
        "metrics": {"loss": 1.0},
        "status": "ok",
        "examples": config.epochs,
        "seconds": 1.0,
        "arrays": {"noise": draw.random(125_000)},
        "checkpoint": {"noise": torch.as_tensor(draw.random(125_000))},
    }


large.trial_id = "large"
