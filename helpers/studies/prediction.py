"""What our trained network says to a picture of your own: `mu.predict("my.jpg")`."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from helpers import data
from helpers.base import CourseworkError
from helpers.studies.test_set import STUDY, trained_network
from helpers.trials import kinds, live, records, study

MARGIN = 2  # pixels that Fashion-MNIST leaves around a garment, of 28


def predict(picture: str | Path, key: str = "") -> pd.DataFrame:
    """The probability of each class for a picture, the most probable first: columns class, probability.

    picture: an image file, or uint8 pixels (H, W) or (H, W, 3), on a plain background, light or dark. It is cut to what
    it shows and made as the training images are; in JupyterLab that is shown as well. key: a trial of task 4, by
    default the one that this notebook has shown last, else the newest. Raises CourseworkError where there is no trained
    network or no picture.
    """
    record = _trained(key)
    _, config = kinds.remade(record)
    dataset = data.load(config.dataset)
    pixels = as_dataset(_pixels(picture), dataset.input_shape)
    model = trained_network(config, record["key"])
    given = replace(dataset, test_images=pixels[None].copy(), test_labels=np.zeros(1, np.uint8))
    part = data.resident_parts(config, given, torch.device("cpu"), getattr(model, "patch_size", None))["test"]
    with torch.inference_mode():
        probabilities = model(part.batch(slice(0, 1))[0]).softmax(1)[0].tolist()
    _show(pixels)
    frame = pd.DataFrame({"class": dataset.classes, "probability": probabilities})
    return frame.sort_values("probability", ascending=False, kind="stable", ignore_index=True)


def as_dataset(pixels: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """uint8 pixels (H, W, 3) as an image of a data set whose images have `shape` (C, H, W): (H, W), or (H, W, 3).

    For one channel: grey, light on black as Fashion-MNIST, cut to what differs from the background, centred.
    """
    from PIL import Image

    channels, height, width = shape
    image = Image.fromarray(pixels)
    if channels == 3:
        return np.asarray(image.resize((width, height), Image.Resampling.LANCZOS))
    grey = np.asarray(image.convert("L"), np.float32)
    background = np.median(np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]]))
    light = np.clip(background - grey if background > 127 else grey - background, 0, None)
    rows, columns = (np.flatnonzero((light > 0.15 * max(light.max(), 1)).any(axis)) for axis in (1, 0))
    if len(rows):
        light = light[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = min((height - 2 * MARGIN) / light.shape[0], (width - 2 * MARGIN) / light.shape[1])
    size = [max(1, round(side * scale)) for side in light.shape[::-1]]
    small = Image.fromarray((light * (255 / max(light.max(), 1))).astype(np.uint8)).resize(
        size, Image.Resampling.LANCZOS
    )
    canvas = Image.new("L", (width, height))
    canvas.paste(small, ((width - size[0]) // 2, (height - size[1]) // 2))
    return np.asarray(canvas)


def _pixels(picture) -> np.ndarray:
    """uint8 (H, W, 3) of an image file, white where it is transparent, or of pixels."""
    from PIL import Image, ImageOps

    if isinstance(picture, np.ndarray):
        if picture.dtype != np.uint8 or picture.ndim not in (2, 3) or picture.size == 0:
            raise CourseworkError(f"predict: pixels of shape {picture.shape}, {picture.dtype}: expected uint8 (H, W)")
        return np.asarray(Image.fromarray(picture).convert("RGB"))
    try:
        image = ImageOps.exif_transpose(Image.open(Path(picture).expanduser()))
        if image.mode[0] in "IF":  # `convert` would clip these to white
            raise ValueError("it has more than 8 bits a channel")
        image = image.convert("RGBA")
    except FileNotFoundError:
        raise CourseworkError(f"predict: no file {picture} in {Path.cwd()}; name an image file") from None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise CourseworkError(f"predict: {picture} is no image that can be read ({error}); name another") from None
    return np.asarray(Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB"))


def _trained(key: str) -> dict:
    """The record of a network of task 4 whose weights lie beside it; CourseworkError without one."""
    paths = [path for root in records.roots() for path in (root / STUDY).glob("*.json") if key in ("", path.stem)]
    stored = {record["key"]: record for path in paths if (record := _usable(path))}
    if not stored:
        raise CourseworkError(f"predict: no trained network{f' {key}' if key else ''}; run task 4 up to its training")
    shown = study.shown(STUDY)
    if shown and shown[-1] in stored:
        return stored[shown[-1]]
    return max(stored.values(), key=lambda record: record["provenance"].get("started", ""))


def _usable(path: Path) -> dict | None:
    record = records.load(path) if path.with_suffix(".pt").is_file() else None
    usable = record and record["status"] == "ok" and "pt" in record["files"] and kinds.remade(record)
    return record if usable else None


def _show(pixels: np.ndarray) -> None:
    """What the network sees, in JupyterLab."""
    from PIL import Image

    if live.is_watched():
        from IPython import display

        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "png")
        display.display(display.Image(data=file.getvalue(), width=112, alt="The picture as the network sees it"))
