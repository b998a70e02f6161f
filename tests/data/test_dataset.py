"""Reading the cache, the split, batches like a DataLoader's, augmentation: against loops and PyTorch's own parts."""

import numpy as np
import pytest
import tiny
import torch
from torch.utils.data import DataLoader

from helpers import base, data, networks
from helpers.base import CourseworkError
from helpers.training.classifier import ClassifierConfig


@pytest.fixture
def made(tmp_path, monkeypatch):
    return tiny.cached(tmp_path, monkeypatch)


def test_load_returns_what_lies_in_the_cache(made):
    dataset = data.load(tiny.NAME)
    for part, array in made.items():
        np.testing.assert_array_equal(getattr(dataset, part), array)
        assert isinstance(getattr(dataset, part), np.memmap)
    assert dataset.classes == ("quarter 0", "quarter 1", "quarter 2", "quarter 3")
    assert dataset.input_shape == (1, 28, 28) and dataset.validation == 12
    assert dataset.describe() == {
        "name": "tiny", "title": "Tiny", "source": "made up", "standin": False, "fingerprint": "f00d",
        "sizes": {"train": 120, "test": 40},
    }  # fmt: skip
    assert data.fingerprint(tiny.NAME) == "f00d"


def test_writing_to_a_loaded_array_leaves_the_cache_alone(made):
    data.load(tiny.NAME).train_images[:] = 0
    np.testing.assert_array_equal(data.load(tiny.NAME).train_images, made["train_images"])


def test_colour_images_and_a_standin(tmp_path, monkeypatch):
    tiny.cached(tmp_path, monkeypatch, side=32, channels=3, train=400, standin=True)
    dataset = data.load(tiny.NAME)
    assert dataset.input_shape == (3, 32, 32) and dataset.validation == 200


@pytest.mark.parametrize("call", [data.load, data.fingerprint])
def test_an_empty_cache_names_the_remedy(tmp_path, monkeypatch, call):
    monkeypatch.setattr(base, "CACHE", tmp_path)
    with pytest.raises(CourseworkError, match=r"no decoded data set 'cifar10' in .*; run helpers.obtain"):
        call("cifar10")


def test_split_is_exact_disjoint_seeded_and_in_proportion():
    labels = np.random.default_rng(1).permutation(np.repeat(np.arange(10), 600))
    train, validation = data.split(labels, 600, seed=3)
    assert len(validation) == 600 and len(train) == 5400
    np.testing.assert_array_equal(np.sort(np.concatenate([train, validation])), np.arange(6000))
    np.testing.assert_array_equal(np.bincount(labels[validation]), 60)
    assert train.dtype == validation.dtype == np.int64
    assert (np.diff(train) > 0).all() and (np.diff(validation) > 0).all()
    np.testing.assert_array_equal(validation, data.split(labels, 600, seed=3)[1])
    assert not np.array_equal(validation, data.split(labels, 600, seed=4)[1])


@pytest.mark.parametrize("size", [1, 2, 7, 13, 19])
def test_split_has_the_asked_size_where_proportions_do_not_divide(size):
    labels = np.repeat([0, 1, 2], [11, 6, 3])
    validation = data.split(labels, size)[1]
    assert len(validation) == size
    ideal = np.array([11, 6, 3]) * size / 20
    assert (abs(np.bincount(labels[validation], minlength=3) - ideal) < 1).all()


@pytest.mark.parametrize("size", [0, -1, 20, 21])
def test_split_refuses_a_side_without_examples(size):
    with pytest.raises(CourseworkError, match=rf"validation={size} must lie between 1 and 19 examples"):
        data.split(np.zeros(20), size)


def test_to_tensor_puts_channels_first():
    grey, colour = np.arange(2 * 3 * 4, dtype=np.uint8), np.arange(2 * 3 * 4 * 3, dtype=np.uint8)
    assert data.to_tensor(grey.reshape(2, 3, 4)).shape == (2, 1, 3, 4)
    tensor = data.to_tensor(colour.reshape(2, 3, 4, 3))
    assert tensor.shape == (2, 3, 3, 4) and tensor.dtype == torch.uint8
    assert tensor[1, 2, 0, 3] == colour.reshape(2, 3, 4, 3)[1, 0, 3, 2]


@pytest.fixture
def image_dataset():
    made = tiny.arrays(train=23)
    return data.ImageDataset(data.to_tensor(made["train_images"]), made["train_labels"])


def test_batches_are_those_of_a_dataloader(image_dataset):
    ours, theirs = data.Batches(image_dataset, 5), DataLoader(image_dataset, 5)
    assert len(ours) == len(theirs) == 5 and ours.batch_size == theirs.batch_size
    assert ours.dataset is theirs.dataset is image_dataset
    for (images, labels), (images_again, labels_again) in zip(ours, theirs, strict=True):
        assert torch.equal(images, images_again) and torch.equal(labels, labels_again)
        assert images.dtype == torch.float32 and labels.dtype == torch.int64
    assert next(iter(ours))[0].shape == (5, 1, 28, 28)


def test_shuffled_batches_hold_every_example_once_in_a_new_order_each_pass(image_dataset):
    image_dataset.labels = torch.arange(23)
    batches = data.Batches(image_dataset, 5, shuffle=True, generator=torch.Generator().manual_seed(1))
    first, second = (torch.cat([labels for _, labels in batches]) for _ in range(2))
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(23))
    assert first.tolist() != second.tolist()
    again = data.Batches(image_dataset, 5, shuffle=True, generator=torch.Generator().manual_seed(1))
    assert torch.equal(torch.cat([labels for _, labels in again]), first)


def test_shuffling_follows_the_global_seed(image_dataset):
    batches, orders = data.Batches(image_dataset, 23, shuffle=True), []
    for _ in range(2):
        torch.manual_seed(5)
        orders.append(next(iter(batches))[0])
    assert torch.equal(*orders)


def test_a_batch_without_examples_is_refused(image_dataset):
    with pytest.raises(CourseworkError, match="batch_size=0 must be at least 1"):
        data.Batches(image_dataset, 0)


def test_single_examples_and_resized_ones(image_dataset):
    from PIL import Image

    image, label = image_dataset[3]
    assert image.shape == (1, 28, 28) and isinstance(label, int) and label == image_dataset.labels[3]
    image_dataset.resize = 56
    resized, _ = image_dataset[3]
    assert resized.shape == (1, 56, 56)
    pillow = Image.fromarray(image_dataset.images[3, 0].numpy()).resize((56, 56), Image.Resampling.BILINEAR)
    np.testing.assert_allclose(resized[0] * 255, np.asarray(pillow), atol=1.01)  # Pillow rounds to whole numbers


@pytest.mark.parametrize("patch_size", [None, 2, 4])
@pytest.mark.parametrize("channels", [1, 3])
def test_resident_batches_are_normalised_and_cut(patch_size, channels):
    images = torch.randint(256, (9, channels, 8, 8), dtype=torch.uint8)
    mean, std = torch.tensor([0.2, 0.5, 0.7])[:channels], torch.tensor([0.3, 0.6, 0.9])[:channels]
    part = data.Resident(images, np.arange(9), patch_size=patch_size, mean=mean, std=std)
    expected = (images.double() / 255 - mean.view(-1, 1, 1)) / std.view(-1, 1, 1)
    if patch_size:
        expected = networks.cut_patches(expected, patch_size)
    index = torch.tensor([4, 0, 7])
    inputs, labels = part.batch(index)
    torch.testing.assert_close(inputs.double(), expected[index], atol=1e-6, rtol=1e-5)
    assert labels.tolist() == [4, 0, 7] and labels.dtype == torch.int64 and len(part) == 9
    assert torch.equal(part.batch(slice(2, 5))[0], part.batch(torch.tensor([2, 3, 4]))[0])


def test_a_batch_may_be_changed_without_changing_the_data():
    part = data.Resident(torch.full((2, 1, 2, 2), 255, dtype=torch.uint8), [0, 1])
    part.batch(slice(0, 2))[0].zero_()
    assert part.batch(slice(0, 2))[0].eq(1).all()


def test_flip_shows_each_image_both_ways_in_two_epochs():
    images, index = torch.rand(64, 1, 4, 6), torch.randperm(1000)[:64]
    even, odd = (data.augment(images, index, epoch, ("flip",), None) for epoch in (0, 1))
    mirrored = torch.stack([image.flip(-1) for image in images])
    flipped = torch.tensor([torch.equal(a, b) for a, b in zip(even, mirrored)])
    assert 16 < flipped.sum() < 48  # about half
    for one, other, image, mirror, turned in zip(even, odd, images, mirrored, flipped):
        assert torch.equal(one, mirror if turned else image)
        assert torch.equal(other, image if turned else mirror)
    assert torch.equal(data.augment(images, index, 2, ("flip",), None), even)


def test_shift_equals_a_loop_over_images_and_pixels():
    images = torch.rand(6, 2, 5, 7)
    shifted = data.augment(images, torch.arange(6), 0, ("shift",), torch.Generator().manual_seed(9))
    dy, dx = torch.randint(5, (2, 6, 1), generator=torch.Generator().manual_seed(9)).squeeze(2)

    def reflect(place, size):
        return -place if place < 0 else 2 * (size - 1) - place if place >= size else place

    for b in range(6):
        for y in range(5):
            for x in range(7):
                row, column = reflect(y + int(dy[b]) - 2, 5), reflect(x + int(dx[b]) - 2, 7)
                assert torch.equal(shifted[b, :, y, x], images[b, :, row, column])
    assert len({*zip(dy.tolist(), dx.tolist())}) > 1


def test_erase_sets_one_rectangle_of_every_second_image_to_zero():
    images = torch.rand(400, 2, 12, 16) + 1
    erased = data.augment(images, torch.arange(400), 0, ("erase",), torch.Generator().manual_seed(3))
    changed = [(image, before) for image, before in zip(erased, images) if not torch.equal(image, before)]
    assert 150 < len(changed) < 250
    sizes = set()
    for image, before in changed:
        holes = image.eq(0)
        rows, columns = holes[0].any(1), holes[0].any(0)
        assert torch.equal(holes, (rows[:, None] & columns).expand_as(holes))  # one rectangle, in all channels
        assert torch.equal(image[~holes], before[~holes])
        assert rows.nonzero().diff(dim=0).eq(1).all() and columns.nonzero().diff(dim=0).eq(1).all()
        sizes.add((int(rows.sum()), int(columns.sum())))
    assert {height for height, _ in sizes} == {3, 4, 5, 6} and {width for _, width in sizes} == set(range(4, 9))


def parts_of(**options):
    return data.resident_parts(ClassifierConfig(dataset=tiny.NAME, **options), data.load(tiny.NAME), "cpu", 14)


def test_parts_without_validation_train_on_everything(made):
    parts = parts_of()
    assert {name: len(part) for name, part in parts.items()} == {"train": 120, "test": 40}
    assert parts["train"].inputs.shape == (120, 4, 196)
    np.testing.assert_array_equal(parts["test"].labels, made["test_labels"])


def test_parts_with_validation_follow_the_split(made):
    parts = parts_of(validation=True, train_limit=50, test_limit=7)
    train, validation = data.split(made["train_labels"], 12)
    assert {name: len(part) for name, part in parts.items()} == {"train": 50, "validation": 12, "test": 7}
    for name, index in (("train", train[:50]), ("validation", validation)):
        expected = networks.cut_patches(data.to_tensor(made["train_images"][index]), 14)
        assert torch.equal(parts[name].inputs, expected)


def test_normalisation_uses_the_training_part_alone(made):
    parts = parts_of(validation=True, normalise=True)
    inputs = parts["train"].batch(slice(None))[0]
    assert inputs.mean().item() == pytest.approx(0, abs=1e-5) and inputs.std().item() == pytest.approx(1, abs=1e-5)
    train = made["train_images"][data.split(made["train_labels"], 12)[0]] / 255
    expected = (made["test_images"] / 255 - train.mean()) / train.std(ddof=1)
    expected = networks.cut_patches(torch.as_tensor(expected).unsqueeze(1), 14)
    torch.testing.assert_close(parts["test"].batch(slice(None))[0].double(), expected, atol=1e-5, rtol=1e-5)


def test_images_that_will_be_augmented_stay_uncut(made):
    parts = parts_of(augment=("shift",))
    assert parts["train"].inputs.shape == (120, 1, 28, 28) and parts["test"].inputs.shape == (40, 4, 196)
