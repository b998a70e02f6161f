"""The decoded data sets as memory-mapped arrays, their split, and batches cut from one resident array.

`sources.obtain` fills the cache; this module only reads it, so that a training never reaches download code.
"""

import json
import numbers
from dataclasses import dataclass

import numpy as np
import torch

from helpers import base
from helpers.base import CourseworkError
from helpers.networks.coursework import cut_patches

AUGMENTATIONS = ("flip", "shift", "erase")
ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A data set as it lies in the cache. Images: uint8, (N, H, W) or (N, H, W, 3); labels: uint8, (N,)."""

    name: str
    title: str  # for people: "Fashion-MNIST", "CIFAR-10, JPEG re-encoding"
    classes: tuple[str, ...]
    source: str  # where the files came from
    standin: bool  # not the data that the reports used
    fingerprint: str  # hash of the four arrays
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of one image as a network sees it."""
        _, height, width, *channels = self.train_images.shape
        return (*(channels or [1]), height, width)

    @property
    def validation(self) -> int:
        """Examples held out for validation: a tenth of the training part (6,000 of Fashion-MNIST's 60,000)."""
        return 200 if self.standin else len(self.train_labels) // 10

    def describe(self) -> dict:
        """What a page says about its data: name, title, source, stand-in or not, fingerprint, sizes."""
        fields = ("name", "title", "source", "standin", "fingerprint")
        sizes = {"train": len(self.train_labels), "test": len(self.test_labels)}
        return {name: getattr(self, name) for name in fields} | {"sizes": sizes}


def _meta(name: str) -> dict:
    """What the cache knows of the data set `name`. Raises CourseworkError when it is not there or damaged."""
    path = base.CACHE / name / "meta.json"
    try:
        meta = json.loads(path.read_text(encoding="utf-8"))
        return meta | {"fingerprint": str(meta["fingerprint"])}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        what = f"no decoded data set {name!r} in {base.CACHE}"
        raise CourseworkError(f"{what}; run helpers.obtain({name!r}) or `make report` first") from None


def load(name: str = "fashion_mnist") -> Dataset:
    """The cached data set `name`, memory-mapped copy-on-write: all processes share one copy in memory.

    Raises CourseworkError when `sources.obtain` has not filled the cache yet.
    """
    meta = _meta(name)
    arrays = {part: np.load(base.CACHE / name / f"{part}.npy", mmap_mode="c") for part in ARRAYS}
    facts = {key: meta[key] for key in ("title", "source", "standin", "fingerprint")}
    return Dataset(name=name, classes=tuple(meta["classes"]), **facts, **arrays)


def fingerprint(name: str) -> str:
    """The hash of the cached data set `name`, without opening its arrays."""
    return _meta(name)["fingerprint"]


def split(labels, validation: int = 6000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Indices (int64, sorted) of a training and a validation part, every class in proportion.

    labels: (N,) integers; validation: size of the validation part in examples. The largest-remainder rule gives
    exactly that size. Raises CourseworkError when it does not leave examples on both sides.
    """
    labels = np.asarray(labels)
    if not 0 < validation < len(labels):
        raise CourseworkError(f"validation={validation} must lie between 1 and {len(labels) - 1} examples")
    generator = np.random.default_rng(seed)
    classes, counts = np.unique(labels, return_counts=True)
    quota = counts * validation / len(labels)
    take = np.floor(quota).astype(int)
    take[np.argsort(take - quota, kind="stable")[: validation - take.sum()]] += 1
    chosen = [generator.permutation(np.flatnonzero(labels == c))[:n] for c, n in zip(classes, take)]
    validation_index = np.sort(np.concatenate(chosen))
    return np.setdiff1d(np.arange(len(labels)), validation_index), validation_index


def to_tensor(images) -> torch.Tensor:
    """uint8 images (N, H, W) or (N, H, W, 3) as a uint8 tensor (N, C, H, W); shares memory where it can."""
    tensor = torch.as_tensor(np.asarray(images))
    return tensor.unsqueeze(1) if tensor.dim() == 3 else tensor.permute(0, 3, 1, 2)


class ImageDataset(torch.utils.data.Dataset):
    """Images and labels with the interface of a torchvision data set after ToTensor().

    `images`: uint8 (N, C, H, W); items are float32 in [0, 1]. `resize` gives square images of that side.
    """

    def __init__(self, images: torch.Tensor, labels, resize: int | None = None):
        self.images = images
        self.labels = torch.as_tensor(np.asarray(labels), dtype=torch.int64)
        self.resize = resize

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def data(self) -> torch.Tensor:
        """The pixels as torchvision keeps them: uint8, (N, H, W) where there is one channel."""
        return self.images.squeeze(1)

    @property
    def targets(self) -> torch.Tensor:
        """The labels, int64 (N,)."""
        return self.labels

    def __getitem__(self, index):
        """One example for an integer, a whole batch for a slice or a tensor of indices."""
        single = isinstance(index, numbers.Integral)  # NumPy's integers too
        images = self.images[[int(index)] if single else index].float().div_(255)
        if self.resize:
            size = (self.resize, self.resize)
            images = torch.nn.functional.interpolate(images, size, mode="bilinear", antialias=True)
        return (images[0], int(self.labels[index])) if single else (images, self.labels[index])


class Batches(torch.utils.data.DataLoader):
    """A DataLoader without its cost, for data sets that take a tensor of indices.

    Whole batches are cut from one resident array instead of collating single images; the order is drawn anew for
    each pass from PyTorch's global generator, or from `generator`.
    """

    def __init__(self, dataset, batch_size: int, *, shuffle: bool = False, generator=None):
        if batch_size < 1:
            raise CourseworkError(f"batch_size={batch_size} must be at least 1")
        super().__init__(dataset, batch_size, shuffle=shuffle, generator=generator)
        self.shuffle = shuffle

    def __iter__(self):
        n = len(self.dataset)
        order = torch.randperm(n, generator=self.generator) if self.shuffle else torch.arange(n)
        for index in order.split(self.batch_size):
            yield self.dataset[index]


class Resident:
    """One part of a data set, resident on a device as uint8, served as float batches in the form a network takes.

    images: uint8 (N, C, H, W); labels: integers (N,). `patch_size` cuts patches once, for all epochs. `mean` and
    `std` (one value per channel, of pixels in [0, 1]) normalise; without them pixels are only scaled to [0, 1].
    """

    def __init__(self, images, labels, *, device="cpu", patch_size=None, mean=None, std=None):
        channels = images.shape[1]
        self.labels = torch.as_tensor(np.asarray(labels)).to(device, torch.int64)
        mean = torch.zeros(channels) if mean is None else torch.as_tensor(mean, dtype=torch.float32)
        std = torch.ones(channels) if std is None else torch.as_tensor(std, dtype=torch.float32)
        scale, shift = 1 / (255 * std), -mean / std  # (x/255 - mean) / std in one multiplication and addition
        if patch_size:
            self.inputs = cut_patches(images, patch_size).contiguous().to(device)
            scale, shift = (v.repeat_interleave(patch_size**2) for v in (scale, shift))
        else:
            self.inputs = images.contiguous().to(device)
            scale, shift = (v.view(-1, 1, 1) for v in (scale, shift))
        self.scale, self.shift = scale.to(device), shift.to(device)

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, index) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs, float32, and labels, int64, of the examples `index` (a slice or an int64 tensor)."""
        if isinstance(index, slice):
            inputs, labels = self.inputs[index], self.labels[index]
        else:  # copies whole rows, where inputs[index] takes byte by byte
            inputs, labels = self.inputs.index_select(0, index), self.labels.index_select(0, index)
        return inputs.float().mul_(self.scale).add_(self.shift), labels


def augment(images: torch.Tensor, index: torch.Tensor, epoch: int, kinds, generator) -> torch.Tensor:
    """Change a batch of float images (B, C, H, W), whose places in the data set are `index` (B,).

    kinds: "flip" mirrors one half of the images in even epochs and the other half in odd ones, so that each is seen
    both ways (alternating flip, arXiv 2404.00498); "shift" moves each by up to 2 pixels, reflecting the border; "erase"
    sets a rectangle of a quarter to half of the side to 0 in every second image (random erasing, arXiv 1708.04896).
    """
    if "flip" in kinds:
        half = (index * 2654435761 // 65536 + epoch) % 2 == 0  # a fixed pseudo-random half of the data set
        images = torch.where(half.view(-1, 1, 1, 1), images.flip(3), images)
    if "shift" in kinds:
        batch, _, height, width = images.shape
        padded = torch.nn.functional.pad(images, (2, 2, 2, 2), mode="reflect")
        dy, dx = (torch.randint(5, (2, batch, 1), generator=generator)).to(images.device)
        rows = (dy + torch.arange(height, device=dy.device)).view(batch, 1, height, 1)
        columns = (dx + torch.arange(width, device=dx.device)).view(batch, 1, 1, width)
        channels = torch.arange(images.shape[1], device=dy.device).view(1, -1, 1, 1)
        images = padded[torch.arange(batch, device=dy.device).view(-1, 1, 1, 1), channels, rows, columns]
    if "erase" in kinds:
        inside = [_random_interval(len(images), side, generator).to(images.device) for side in images.shape[2:]]
        chosen = (torch.rand(len(images), generator=generator) < 0.5).to(images.device)
        images = images * ~(inside[0][:, None, :, None] & inside[1][:, None, None, :] & chosen.view(-1, 1, 1, 1))
    return images


def _random_interval(count: int, side: int, generator) -> torch.Tensor:
    """Bools (count, side): in each row an interval of a quarter to half of `side`, anywhere inside."""
    length = torch.randint(side // 4, side // 2 + 1, (count, 1), generator=generator)
    start = (torch.rand(count, 1, generator=generator) * (side - length + 1)).long()
    place = torch.arange(side)
    return (place >= start) & (place < start + length)


def resident_parts(config, dataset: Dataset, device, patch_size: int | None) -> dict[str, Resident]:
    """The parts "train", "validation" (if held out) and "test" of `dataset`, resident on `device`.

    config: offers validation, train_limit, test_limit, normalise and augment, as training.ClassifierConfig does.
    """
    images, labels = to_tensor(dataset.train_images), torch.as_tensor(dataset.train_labels)
    index, test = {"train": slice(config.train_limit)}, slice(config.test_limit)
    if config.validation:
        train, validation = split(dataset.train_labels, dataset.validation)
        index = {"train": torch.as_tensor(train[: config.train_limit]), "validation": torch.as_tensor(validation)}
    chosen = {name: (images[i], labels[i]) for name, i in index.items()}
    chosen["test"] = to_tensor(dataset.test_images[test]), torch.as_tensor(dataset.test_labels[test])
    norm = {}
    if config.normalise:
        pixels = chosen["train"][0].float().div_(255)
        norm = {"mean": pixels.mean((0, 2, 3)), "std": pixels.std((0, 2, 3))}
    uncut = "train" if config.augment else None  # augmentation moves pixels between patches
    return {
        name: Resident(x, y, device=device, patch_size=None if name == uncut else patch_size, **norm)
        for name, (x, y) in chosen.items()
    }
