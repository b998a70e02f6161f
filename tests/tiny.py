"""A tiny data set in a cache of its own, and a small training on it, for the tests of the training modules."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from helpers import base

NAME = "tiny"


def arrays(train=120, test=40, classes=4, side=28, channels=0, seed=0):
    """uint8 images whose class is the quarter of the image that is bright, under noise; and their labels."""
    generator, parts = np.random.default_rng(seed), {}
    for part, size in (("train", train), ("test", test)):
        labels = np.arange(size) % classes
        images = generator.integers(0, 120, (size, side, side, channels or 1))
        half = side // 2
        for image, label in zip(images, labels):
            top, left = divmod(label, 2)
            image[top * half :][:half, left * half :][:, :half] += 100
        parts[f"{part}_images"] = (images if channels else images[..., 0]).astype(np.uint8)
        parts[f"{part}_labels"] = labels.astype(np.uint8)
    return parts


def write(cache: Path, *, standin=False, **options) -> dict:
    """Write the tiny data set into `cache` in the cache's own form; returns its arrays."""
    made, folder = arrays(**options), cache / NAME
    folder.mkdir(parents=True)
    for part, array in made.items():
        np.save(folder / f"{part}.npy", array)
    classes = [f"quarter {n}" for n in range(options.get("classes", 4))]
    meta = {"title": "Tiny", "source": "made up", "standin": standin, "fingerprint": "f00d", "classes": classes}
    (folder / "meta.json").write_text(json.dumps(meta))
    return made


def cached(tmp_path, monkeypatch, **options) -> dict:
    """Write the tiny data set below `tmp_path`, and let helpers.data find it there."""
    monkeypatch.setattr(base, "CACHE", tmp_path / "data" / "cache")
    return write(base.CACHE, **options)


def context(state_path=None, device="cpu"):
    """What a trial function gets beside its config; `rows` collects what it reports of its epochs."""
    rows = []
    return SimpleNamespace(epoch=rows.append, rows=rows, state_path=state_path, device=device)
