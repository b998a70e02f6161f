"""The networks: patches against nn.Unfold and loops, shapes and counts against the reports' tables and by hand."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from helpers import networks
from helpers.base import CourseworkError

IMAGES = (2, 1, 28, 28)


def count(model) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def shapes_of(model, images=IMAGES, kinds=(nn.Linear, nn.Conv2d)):
    """(size of the layer, shape of its output without the batch) of each layer, in the order in which they run."""
    seen = []
    hooks = [
        layer.register_forward_hook(lambda layer, _, out: seen.append((tuple(layer.weight.shape), (*out.shape[1:],))))
        for layer in model.modules()
        if isinstance(layer, kinds)
    ]
    model.eval()(torch.rand(images))
    for hook in hooks:
        hook.remove()
    return seen


# Patches


@pytest.mark.parametrize("size", [1, 2, 4, 7, 14, 28])
@pytest.mark.parametrize("channels", [1, 3])
def test_patches_equal_unfold(size, channels):
    images = torch.rand(3, channels, 28, 28)
    unfolded = nn.Unfold(size, stride=size)(images).transpose(1, 2)
    assert torch.equal(networks.cut_patches(images, size), unfolded)


def test_patches_equal_a_loop_and_keep_their_type():
    images = torch.randint(256, (2, 3, 4, 6), dtype=torch.uint8)
    patches = networks.cut_patches(images, 2)
    assert patches.shape == (2, 6, 12) and patches.dtype == torch.uint8
    for b in range(2):
        for row in range(2):
            for column in range(3):
                patch = images[b, :, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
                assert patches[b, 3 * row + column].tolist() == [
                    int(patch[c, y, x]) for c in range(3) for y in range(2) for x in range(2)
                ]


@pytest.mark.parametrize("size", [5, 0, -7, 56])
def test_a_patch_size_that_does_not_divide_the_image_is_refused(size):
    with pytest.raises(CourseworkError, match=f"patch_size={size} does not divide a 28x28 image; choose a divisor"):
        networks.cut_patches(torch.rand(IMAGES), size)


# The coursework's network


def test_a_block_is_the_specification_written_out():
    block = networks.Block(4, 5, 6, 7, norm="none", residual=False, dropout=0.0, activation="relu").double()
    x = torch.rand(3, 4, 5, dtype=torch.float64)
    w1, b1, w2, b2 = (p.detach().numpy() for p in block.across_patches.parameters())
    w3, b3, w4, b4 = (p.detach().numpy() for p in block.across_features.parameters())
    for image, output in zip(x.numpy(), block(x).detach().numpy()):
        first = np.maximum(image.T @ w1.T + b1, 0) @ w2.T + b2  # O1 = g(X^T W1) W2: (D, P)
        second = np.maximum(first.T @ w3.T + b3, 0) @ w4.T + b4  # O2 = g(O1^T W3) W4: (P, D)
        np.testing.assert_allclose(output, second, rtol=1e-12)


def test_a_residual_block_adds_what_a_plain_block_computes():
    options = {"norm": "layer", "dropout": 0.0, "activation": "gelu"}
    plain = networks.Block(4, 5, 6, 7, residual=False, **options)
    residual = networks.Block(4, 5, 6, 7, residual=True, **options)
    residual.load_state_dict(plain.state_dict())
    x = torch.rand(3, 4, 5)
    mixed = plain.across_patches(plain.norm1(x).transpose(1, 2)).transpose(1, 2)
    middle = x + mixed
    expected = middle + plain.across_features(plain.norm2(middle))
    torch.testing.assert_close(residual(x), expected)


def test_batch_norm_normalises_each_feature_over_batch_and_patches():
    x = 3 + 2 * torch.rand(8, 4, 5, dtype=torch.float64)
    out = networks.FeatureBatchNorm(5).double()(x)
    expected = (x - x.mean((0, 1))) / (x.var((0, 1), unbiased=False) + 1e-5).sqrt()
    torch.testing.assert_close(out, expected)


@pytest.mark.parametrize("norm, kind, number", [("none", nn.Identity, 4), ("batch", nn.BatchNorm1d, 4)])
def test_each_block_has_two_norms(norm, kind, number):
    model = networks.build("patch_mlp", {"norm": norm, "blocks": 2})
    assert sum(isinstance(layer, kind) for layer in model.modules()) == number


def test_layer_norm_also_ends_the_backbone():
    model = networks.build("patch_mlp", {"norm": "layer", "blocks": 2, "width": 16})
    assert isinstance(model.body[-1], nn.LayerNorm)
    output = model.body(torch.rand(2, 16, 49))
    torch.testing.assert_close(output.mean(-1), torch.zeros(2, 16), atol=1e-5, rtol=0)


@pytest.mark.parametrize("patch_size, blocks, width, token_hidden, hidden", [(7, 1, 128, 256, 256), (4, 3, 10, 20, 30)])
def test_patch_mlp_has_the_parameters_counted_by_hand(patch_size, blocks, width, token_hidden, hidden):
    patches, inputs = (28 // patch_size) ** 2, patch_size**2
    across_patches = patches * token_hidden + token_hidden + token_hidden * patches + patches
    across_features = width * hidden + hidden + hidden * width + width
    expected = inputs * width + width + blocks * (across_patches + across_features) + width * 10 + 10
    options = {"patch_size": patch_size, "blocks": blocks, "width": width}
    model = networks.build("patch_mlp", options | {"token_hidden": token_hidden, "hidden": hidden})
    assert count(model) == expected
    shapes = [shape for _, shape in shapes_of(model)]
    block = [(width, token_hidden), (width, patches), (patches, hidden), (patches, width)]
    assert shapes == [(patches, width), *block * blocks, (10,)]


@pytest.mark.parametrize("name", ["patch_mlp", "report_a", "report_b"])
def test_the_mean_commutes_with_the_last_layer(name):
    torch.manual_seed(1)
    model = networks.build(name, {}).eval()
    images = torch.rand(16, 1, 28, 28)
    before = model(images)
    model.mean_first = False  # the printed order
    torch.testing.assert_close(model(images), before, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("name, size", [("patch_mlp", 7), ("report_a", 14), ("report_b", 4)])
def test_a_network_takes_images_or_patches(name, size):
    model, images = networks.build(name, {}).eval(), torch.rand(3, 1, 28, 28)
    assert torch.equal(model(images), model(networks.cut_patches(images, size)))


def test_dropout_is_at_work_in_training_only():
    model, images = networks.build("patch_mlp", {"dropout": 0.5}), torch.rand(IMAGES)
    assert not torch.equal(model(images), model(images))
    assert torch.equal(model.eval()(images), model(images))


def test_a_path_is_dropped_whole_image_by_image_in_training_only():
    """What stays is scaled so that its mean is that of the network without dropping."""
    torch.manual_seed(0)
    drop, x = networks.coursework.DropPath(0.25), torch.rand(2000, 3, 4) + 1
    out = drop(x)
    dropped = out.eq(0).flatten(1).all(1)
    assert 0.2 < dropped.float().mean() < 0.3 and torch.equal(out[~dropped], x[~dropped] / 0.75)
    assert torch.equal(drop.eval()(x), x)
    model = networks.build("patch_mlp", {"drop_path": 0.999999, "residual": True, "norm": "layer"})
    images = torch.rand(IMAGES)
    stem = model.body[0](networks.cut_patches(images, 7))
    torch.testing.assert_close(model.body[1](stem), stem)
    assert not torch.equal(model.eval().body[1](stem), stem)


def test_the_activation_is_the_one_asked_for():
    for name, kind in {"relu": nn.ReLU, "gelu": nn.GELU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}.items():
        model = networks.build("patch_mlp", {"activation": name})
        assert sum(isinstance(layer, kind) for layer in model.modules()) == 2


# The printed networks


def test_report_a_has_its_printed_layers():
    layers = shapes_of(networks.build("report_a", {"mean_first": False}))
    assert layers == [
        ((784, 196), (4, 784)), ((200, 784), (4, 200)),  # each patch: 196-784-200
        ((64, 4), (200, 64)), ((10, 64), (200, 10)),  # transposed, across patches: 4-64-10
    ]  # fmt: skip


def test_report_a_has_the_parameters_counted_by_hand():
    expected = (196 * 784 + 784) + (784 * 200 + 200) + (4 * 64 + 64) + (64 * 10 + 10)
    assert count(networks.build("report_a")) == expected == 312_418


def test_report_a_drops_nothing_as_printed_and_a_tenth_as_meant():
    images = torch.rand(IMAGES)
    printed, meant = networks.build("report_a").train(), networks.build("report_a", {"dropout": 0.1}).train()
    assert torch.equal(printed(images), printed(images))
    assert not torch.equal(meant(images), meant(images))


def test_report_b_follows_its_printed_layer_table():
    layers = shapes_of(networks.build("report_b", {"mean_first": False}), kinds=(nn.Linear, nn.BatchNorm1d))
    assert layers == [
        ((256, 16), (49, 256)), ((49,), (49, 256)),  # stem, batch normalisation (49)
        ((512, 49), (256, 512)), ((256, 512), (256, 256)),  # block 1, layers 1 and 2, on the transpose
        ((128, 256), (256, 128)), ((64, 128), (256, 64)), ((256,), (256, 64)),  # layers 3 and 4, normalisation (256)
        ((64, 256), (64, 64)), ((128, 64), (64, 128)),  # block 2, layers 1 and 2, on the transpose
        ((32, 64), (128, 32)), ((16, 32), (128, 16)), ((128,), (128, 16)),  # layers 3 and 4, normalisation (128)
        ((10, 16), (128, 10)),  # classifier
    ]  # fmt: skip


def test_report_b_has_the_parameters_counted_by_hand():
    block1 = (49 * 512 + 512) + (512 * 256 + 256) + (256 * 128 + 128) + (128 * 64 + 64)
    block2 = (256 * 64 + 64) + (64 * 128 + 128) + (64 * 32 + 32) + (32 * 16 + 16)
    norms = 2 * (49 + 256 + 128)
    expected = (16 * 256 + 256) + block1 + block2 + norms + (16 * 10 + 10)
    assert count(networks.build("report_b")) == expected
    assert count(networks.build("report_b", {"norm": "none"})) == expected - norms


@pytest.mark.parametrize("dropout, rates", [("block", [0.1, 0.2]), ("hidden", [0.1, 0.1, 0.2, 0.2]), ("none", [])])
def test_report_b_drops_where_it_is_told(dropout, rates):
    model = networks.build("report_b", {"dropout": dropout, "norm": "none"})
    assert [layer.p for layer in model.modules() if isinstance(layer, nn.Dropout) and layer.p] == rates
    images = torch.rand(IMAGES)
    assert torch.equal(model(images), model(images)) == (dropout == "none")


def test_report_d_has_its_printed_convolutions():
    model = networks.build("report_d_cnn")
    assert model.training
    assert shapes_of(model) == [
        ((16, 1, 5, 5), (16, 28, 28)), ((32, 16, 3, 3), (32, 12, 12)), ((64, 32, 3, 3), (64, 10, 10)),
        ((10, 64 * 5 * 5), (10,)),
    ]  # fmt: skip
    expected = (25 * 16 + 16) + (9 * 16 * 32 + 32) + (9 * 32 * 64 + 64) + 2 * (16 + 32 + 64) + (1600 * 10 + 10)
    assert count(model) == expected


def test_mlp_has_the_layers_and_drop_rates_asked_for():
    model = networks.build("mlp", {"widths": (256, 128, 64), "dropout": (0.2, 0.1, 0.0)})
    assert [size for size, _ in shapes_of(model)] == [(256, 784), (128, 256), (64, 128), (10, 64)]
    assert [layer.p for layer in model if isinstance(layer, nn.Dropout)] == [0.2, 0.1]
    assert count(model) == (784 * 256 + 256) + (256 * 128 + 128) + (128 * 64 + 64) + (64 * 10 + 10)
    colour = networks.build("mlp", {"widths": [20], "dropout": 0.25}, input_shape=(3, 32, 32))
    assert count(colour) == 3072 * 20 + 20 + 20 * 10 + 10 and colour[3].p == 0.25


def test_a_rate_for_each_layer_drops_before_the_last_linear_layer_alone():
    """Report E's CIFAR-10 networks: one dropout layer, of which a single rate after every layer is no repetition."""
    model = networks.build("mlp", {"widths": (256, 256, 128), "dropout": (0, 0, 0.15)}, input_shape=(3, 32, 32))
    assert [type(layer).__name__ for layer in model[-3:]] == ["ReLU", "Dropout", "Linear"]
    assert [layer.p for layer in model if isinstance(layer, nn.Dropout)] == [0.15]


def test_a_network_of_more_logits_than_classes_starts_at_the_logarithm_of_their_number():
    """Report E's third network forgets its last two layers and ends in 128 logits: its loss starts at 4.86."""
    torch.manual_seed(0)
    model = networks.build("mlp", {"widths": (256, 256), "outputs": 128}, input_shape=(3, 32, 32))
    assert [size for size, _ in shapes_of(model, (2, 3, 32, 32))] == [(256, 3072), (256, 256), (128, 256)]
    loss = nn.functional.cross_entropy(model(torch.rand(500, 3, 32, 32)), torch.arange(500) % 10)
    assert loss.item() == pytest.approx(math.log(128), abs=0.03)


def test_log_softmax_returns_logarithms_of_probabilities():
    images, options = torch.rand(IMAGES), {"widths": (8,)}
    model = networks.build("mlp", {**options, "log_softmax": True})
    torch.testing.assert_close(model(images).exp().sum(1), torch.ones(2))
    plain = networks.build("mlp", options)
    plain.load_state_dict(model.state_dict())
    scores = plain(images)
    torch.testing.assert_close(model(images), scores - scores.exp().sum(1, keepdim=True).log())


# Our convolutional network


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 28, 28)])
def test_fast_cnn_has_the_parameters_counted_by_hand(shape):
    channels = shape[0]
    model = networks.build("fast_cnn", {"widths": (8, 12)}, input_shape=shape, classes=7)
    first = 8 * channels  # +/- 4 * channels filters
    convolutions = 9 * (first * 8 + 8 * 8 + 8 * 12 + 12 * 12)
    assert count(model) == first * channels * 4 + first + convolutions + 2 * (8 + 8 + 12 + 12) + 12 * 7
    assert model(torch.rand(2, *shape)).shape == (2, 7)
    assert [name for name, p in model.named_parameters() if not p.requires_grad] == ["0.weight"]


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (2, 20, 36)])
def test_fast_cnn_keeps_the_largest_number_of_each_channel(shape):
    model = networks.build("fast_cnn", {"widths": (8, 12)}, input_shape=shape, classes=7)
    images = torch.rand(3, *shape)
    before = model[:-3](images).detach().requires_grad_()
    model[-3](before).sum().backward()
    other = before.detach().requires_grad_()
    torch.nn.functional.adaptive_max_pool2d(other, 1).sum().backward()
    assert torch.equal(before.grad, other.grad) and model[-3](before).shape == (3, 12, 1, 1)


def test_fast_cnn_convolutions_begin_as_the_identity():
    conv = networks.build("fast_cnn", {"widths": (40,)}, input_shape=(3, 32, 32))[2]
    x = torch.rand(1, 24, 6, 6)
    torch.testing.assert_close(conv(x)[:, :24], x)


def test_whitening_gives_the_identity_as_covariance():
    images = torch.rand(50, 3, 8, 8).cumsum(2).cumsum(3)  # neighbours depend on each other
    model = networks.build("fast_cnn", {"widths": (8,)}, input_shape=(3, 8, 8))
    networks.whiten(model, images, eps=0.0)
    responses = nn.functional.conv2d(images.double(), model[0].weight.double())
    covariance = np.cov(responses.transpose(0, 1).reshape(24, -1).numpy())
    np.testing.assert_allclose(covariance[:12, :12], np.eye(12), atol=1e-3)
    torch.testing.assert_close(model[0].weight[:12], -model[0].weight[12:])


@pytest.mark.parametrize("width, cut", [(49, False), (20, True), (60, False)])
def test_a_whitened_stem_gives_uncorrelated_features(width, cut):
    images = torch.rand(80, 1, 28, 28).cumsum(2).cumsum(3) / 100
    model = networks.build("patch_mlp", {"whitened": True, "width": width, "patch_size": 7})
    networks.whiten(model, networks.cut_patches(images, 7) if cut else images, eps=0.0)
    rows = model.body[0].double()(networks.cut_patches(images, 7).double()).flatten(0, 1).detach()[:, :49]
    np.testing.assert_allclose(np.cov(rows.numpy().T), np.eye(rows.shape[1]), atol=1e-2)
    np.testing.assert_allclose(rows.mean(0), 0, atol=1e-3)
    assert model.body[0].weight.requires_grad
    assert model.body[0].weight[0].norm() < model.body[0].weight[: min(width, 49)][-1].norm()  # the largest first


@pytest.mark.parametrize("name", ["patch_mlp", "report_d_cnn", "mlp"])
def test_other_networks_are_not_whitened(name):
    model = networks.build(name)
    before = [parameter.clone() for parameter in model.parameters()]
    networks.whiten(model, torch.rand(4, 1, 28, 28))
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters()))


# Building


@pytest.mark.parametrize("name", networks.MODELS)
def test_every_network_learns_from_every_weight(name):
    shape, classes = (1, 28, 28), 6
    model = networks.build(name, input_shape=shape, classes=classes)
    logits = model(torch.rand(4, *shape))
    assert logits.shape == (4, classes) and logits.dtype == torch.float32
    nn.functional.cross_entropy(logits, torch.tensor([0, 1, 2, 5])).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters() if p.requires_grad)


def test_the_same_seed_gives_the_same_weights():
    built = []
    for _ in range(2):
        torch.manual_seed(11)
        built.append(networks.build("patch_mlp", initialiser="kaiming_normal").state_dict())
    assert all(torch.equal(built[0][name], built[1][name]) for name in built[0])


FAN_IN, FAN_OUT = 400, 600
UNIFORM = 1 / math.sqrt(3)  # standard deviation of a uniform law on [-1, 1]
DEVIATIONS = {
    "xavier_uniform": math.sqrt(6 / (FAN_IN + FAN_OUT)) * UNIFORM,
    "xavier_normal": math.sqrt(2 / (FAN_IN + FAN_OUT)),
    "kaiming_uniform": math.sqrt(6 / FAN_IN) * UNIFORM,
    "kaiming_normal": math.sqrt(2 / FAN_IN),
    "normal": 0.01,
    "normal_1": 1.0,
    "default": 1 / math.sqrt(FAN_IN) * UNIFORM,  # PyTorch's own
}


@pytest.mark.parametrize("initialiser", DEVIATIONS)
def test_initialisers_have_their_textbook_deviation(initialiser):
    torch.manual_seed(0)
    layer = nn.Linear(FAN_IN, FAN_OUT)
    bias = layer.bias.clone()
    weights = networks.initialise(layer, initialiser).weight.detach().flatten().double()
    expected = DEVIATIONS[initialiser]
    assert weights.std().item() == pytest.approx(expected, rel=0.01)
    assert abs(weights.mean().item()) < 5 * expected / math.sqrt(len(weights))
    edge = weights.abs().max().item() / expected
    assert edge <= math.sqrt(3) + 1e-6 if initialiser.endswith(("uniform", "default")) else edge > 3.5
    assert torch.equal(layer.bias, bias)


def test_initialisers_reach_convolutions_but_no_frozen_layer():
    torch.manual_seed(0)
    model = networks.build("fast_cnn", {"widths": (8,)}, input_shape=(3, 32, 32))
    frozen = model[0].weight.clone()
    networks.initialise(model, "normal_1")
    assert torch.equal(model[0].weight, frozen)
    assert model[2].weight.std().item() == pytest.approx(1, rel=0.1)


REFUSED = {
    "an unknown network": (("resnet", {}), "model=resnet is unknown; choose one of patch_mlp, report_a"),
    "an unknown option": (("patch_mlp", {"widht": 3}), "an option of patch_mlp=widht is unknown; choose one of"),
    "an option of another network": (("report_a", {"blocks": 2}), "choose one of dropout, mean_first"),
    "an unknown norm": (("patch_mlp", {"norm": "group"}), "norm=group is unknown; choose one of none, batch, layer"),
    "an unknown activation": (("patch_mlp", {"activation": "elu"}), "activation=elu is unknown"),
    "no width": (("patch_mlp", {"width": 0}), "width=0 must be at least 1 unit"),
    "no hidden units": (("patch_mlp", {"hidden": -1}), "hidden=-1 must be at least 1 unit"),
    "no hidden units across patches": (("patch_mlp", {"token_hidden": 0}), "token_hidden=0 must be at least 1"),
    "no blocks": (("patch_mlp", {"blocks": 0}), "blocks=0 must be at least 1"),
    "everything dropped": (("patch_mlp", {"dropout": 1.0}), r"dropout=1.0 must lie in \[0, 1\)"),
    "a patch size that does not divide": (("patch_mlp", {"patch_size": 5}), "patch_size=5 does not divide"),
    "an unknown place of dropout": (("report_b", {"dropout": "stem"}), "dropout=stem is unknown"),
    "an unknown norm of report B": (("report_b", {"norm": "layer"}), "norm=layer is unknown"),
    "a width too few": (("mlp", {"widths": (3, 2), "dropout": (0.1,)}), "need one positive width and rate per layer"),
    "an empty layer": (("mlp", {"widths": (3, 0)}), "need one positive width and rate per layer"),
    "an unknown activation of mlp": (("mlp", {"activation": "elu"}), "activation=elu is unknown"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_makes_no_network_is_refused_in_one_sentence(case):
    arguments, sentence = REFUSED[case]
    with pytest.raises(CourseworkError, match=sentence) as caught:
        networks.build(*arguments)
    assert "\n" not in str(caught.value)


def test_an_unknown_initialiser_is_refused():
    with pytest.raises(CourseworkError, match="initialiser=zeros is unknown; choose one of default, xavier_uniform"):
        networks.build("mlp", initialiser="zeros")
