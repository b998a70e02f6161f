"""Every shortcut gives the plain computation's result; the benchmark counts what it says and writes what it should."""

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from tiny_notebooks import report, state
from torch import nn

from bench import classic, classic_numpy, ladder, measure, runner
from bench.cases import CASES
from helpers import base, data, networks
from helpers.base import CourseworkError
from helpers.studies import numpy_net
from helpers.training import optimisers
from helpers.training.classifier import fit
from helpers.training.epoch import evaluate, run_epoch

TORCH_CASES = [name for name, case in CASES.items() if not case.numpy]
GREY = [name for name in TORCH_CASES if CASES[name].data == "fashion_mnist"]
PATCHED = {"report_a": {}, "report_b": {"dropout": "none"}, "patch_mlp": CASES["report_c_128"].config.options}


@pytest.fixture(autouse=True)
def one_thread():
    """Sums in one order only."""
    with measure.threads(1):
        yield


@pytest.fixture
def grey(tmp_path, monkeypatch):
    """A tiny data set of grey 28x28 images."""
    tiny.cached(tmp_path, monkeypatch, train=96, test=40)
    return data.load(tiny.NAME)


@pytest.fixture
def coloured(tmp_path, monkeypatch):
    """A tiny data set of coloured 32x32 images."""
    tiny.cached(tmp_path, monkeypatch, train=96, test=40, side=32, channels=3)
    return data.load(tiny.NAME)


def part(dataset, patch_size=None) -> data.Resident:
    return data.Resident(data.to_tensor(dataset.train_images), dataset.train_labels, patch_size=patch_size)


def pair(name, **options) -> list[nn.Module]:
    """A network twice, with the same weights and the given other option."""
    nets = []
    for about in ({}, options):
        torch.manual_seed(1)
        nets.append(networks.build(name, PATCHED.get(name, {}) | about, classes=4))
    return nets


def gradients(net, images, labels) -> list[torch.Tensor]:
    net.zero_grad()
    nn.functional.cross_entropy(net(images), labels).backward()
    return [torch.cat([p.grad.flatten() for p in net.parameters()])]  # a bias before batch norm has none but rounding


def close(one, other, tolerance=1e-5):
    """Equal to rounding, by the largest value of each array."""
    for a, b in zip(one, other, strict=True):
        assert (a - b).abs().max() <= tolerance * b.abs().max()


# Each shortcut and the plain computation


@pytest.mark.parametrize("name", PATCHED)
def test_the_mean_commutes_with_the_last_layer(name):
    images, labels = torch.rand(12, 1, 28, 28), torch.arange(12) % 4
    first, printed = pair(name, mean_first=False)
    close([first(images)], [printed(images)])
    close(gradients(first, images, labels), gradients(printed, images, labels), 1e-4)


@pytest.mark.parametrize("name", PATCHED)
def test_patches_cut_once_train_the_same_bits(grey, name):
    nets, order = pair(name), torch.randperm(96)
    for net, patch_size in zip(nets, (None, nets[0].patch_size)):
        updater = torch.optim.SGD(net.parameters(), lr=0.1)
        seen = run_epoch(net, part(grey, patch_size), order, 32, step=plain_step(updater))
        assert seen[0] > 0
    assert all(torch.equal(a, b) for a, b in zip(nets[0].parameters(), nets[1].parameters()))


def plain_step(updater):
    def step(loss):
        updater.zero_grad()
        loss.backward()
        updater.step()

    return step


@pytest.mark.parametrize("size", [4, 7, 14])
def test_patches_are_those_of_unfold(size):
    images = torch.rand(5, 1, 28, 28)
    assert torch.equal(networks.cut_patches(images, size), classic.Unfold(size)(images))


@pytest.mark.parametrize("name", optimisers.FUSED)
def test_fused_optimisers_step_as_the_plain_ones(name):
    config = replace(CASES["report_a_64"].config, optimiser=name, lr=0.01, weight_decay=0.001)
    weights = [[nn.Parameter(torch.linspace(-1, 1, 24).view(4, 6))] for _ in range(2)]
    holders = [nn.ParameterList(w) for w in weights]
    fused = optimisers.make_optimisers(holders[0], config)[0]
    plain = optimisers.OPTIMISERS[name](holders[1].parameters(), lr=0.01, weight_decay=0.001, foreach=False)
    assert fused.defaults["fused"] and not plain.defaults.get("fused")
    for _ in range(20):
        for holder, updater in zip(holders, (fused, plain)):
            updater.zero_grad()
            holder[0].sin().square().sum().backward()
            updater.step()
    close(weights[0], weights[1])


def test_channels_last_convolves_to_the_same_result():
    (plain, last), images = pair("report_d_cnn"), torch.rand(16, 1, 28, 28)
    labels = torch.arange(16) % 4
    last.to(memory_format=torch.channels_last)
    other = images.contiguous(memory_format=torch.channels_last)
    close(gradients(last, other, labels), gradients(plain, images, labels), 1e-3)
    close([last.eval()(other)], [plain.eval()(images)], 1e-4)


def test_sums_read_once_are_those_read_after_each_batch(grey):
    net, whole = pair("report_d_cnn")[0].eval(), part(grey)
    loss, accuracy, labels = run_epoch(net, whole, None, 20)
    images = part(grey).batch(slice(None))[0]
    batches = [(images[i : i + 20], whole.labels[i : i + 20]) for i in range(0, 96, 20)]
    updater = torch.optim.SGD(net.parameters(), lr=0.0)
    net.train = lambda: net  # batch norm as it is
    assert classic.train_epoch(net, batches, nn.CrossEntropyLoss(), updater) == pytest.approx((loss, accuracy), 1e-5)
    assert torch.equal(labels, net(images).argmax(1))


def test_evaluation_in_large_batches_is_that_in_small_ones(grey):
    net, whole = pair("report_b")[0], part(grey)
    assert evaluate(net, whole)[:2] == pytest.approx(run_epoch(net.eval(), whole, None, 7)[:2], 1e-5)


# The classic program and ours make the same updates


@pytest.mark.parametrize("name", TORCH_CASES)
def test_the_classic_loop_and_ours_learn_the_same(name, tmp_path, request):
    dataset = request.getfixturevalue("grey" if name in GREY else "coloured")
    config = replace(CASES[name].sized(), dataset=tiny.NAME, batch_size=32, precision="float32")
    if name == "report_b_128":  # a DataLoader draws from the generator of the dropout masks
        config = replace(config, options={"dropout": "none"})
    torch.manual_seed(3)
    theirs = classic.network(config, dataset.input_shape, 4)
    ours = networks.build(config.model, config.options, input_shape=dataset.input_shape, classes=4)
    ours.load_state_dict((theirs[1] if isinstance(theirs[0], classic.Unfold) else theirs).state_dict())
    parts = data.resident_parts(config, dataset, "cpu", getattr(ours, "patch_size", None))
    history = fit(ours, parts["train"], {}, config)
    order = torch.randperm(96, generator=torch.Generator().manual_seed(config.seed))
    images = classic.torchvision_dataset(dataset, tmp_path, config.normalise)
    loader = torch.utils.data.DataLoader(torch.utils.data.Subset(images, order.tolist()), batch_size=32)
    seen = classic.train_epoch(theirs, loader, nn.CrossEntropyLoss(), classic.optimiser(theirs, config))
    recorded = history.columns["train_loss"][0], history.columns["train_accuracy"][0]
    assert seen == pytest.approx(recorded, 1e-4)
    for a, b in zip(ours.parameters(), theirs.parameters()):
        if a.dim() > 1:  # Adam's first steps are the gradient's sign, which is rounding for a bias before batch norm
            assert (a - b).abs().mean() < 1e-5


def test_the_numpy_case_makes_the_updates_of_the_published_loop(grey):
    config, labels = CASES["report_e_numpy_128"].config, grey.train_labels
    net = numpy_net.Network(config.layers, biases=False, dtype="float32")
    weights = [w.astype("float64") for w in net.weights]
    order = np.random.default_rng([0, 1]).permutation(96)
    for _ in numpy_net.fit(net, grey.train_images, labels, epochs=1, lr=0.05, batch_size=32, rules=config):
        pass
    train = classic_numpy.prepare(np.asarray(grey.train_images), np.asarray(labels))
    options = {"batch_size": 32, "epochs": 1, "lr": 0.05, "weights": weights, "order": order}
    weights, _ = classic_numpy.train(train, train, config.layers, **options)
    close([torch.tensor(w) for w in net.weights], [torch.tensor(w) for w in weights], 1e-4)


@pytest.mark.parametrize("kind", ["grey", "coloured"])
def test_the_classic_data_set_holds_the_cached_images(kind, request, tmp_path):
    dataset = request.getfixturevalue(kind)
    images = classic.torchvision_dataset(dataset, tmp_path)
    assert len(images) == 96 and type(images).__name__ in ("FashionMNIST", "CIFAR10")
    image, label = images[5]
    assert label == dataset.train_labels[5]
    assert torch.equal(image, data.to_tensor(dataset.train_images[5:6])[0] / 255)


# What is counted


def test_a_window_counts_whole_batches_after_the_warm_up():
    class Loader:
        passes = 0

        def __iter__(self):
            self.passes += 1
            return iter([(torch.zeros(8), torch.zeros(8))] * 3)

    loader = Loader()
    window, batches = classic.Window(loader, 0.05), 0
    started = time.perf_counter()
    for _ in window:
        batches += 1
        time.sleep(0.004)
    assert window.examples == 8 * (batches - classic.WARM_UP) > 0
    assert 0.05 <= window.seconds < time.perf_counter() - started
    assert loader.passes == -(-batches // 3)


def test_the_rate_leaves_out_the_first_epoch():
    record = {"history": {"seconds": [9.0, 2.0, 2.0]}, "examples": 300, "examples_per_second": 1.0}
    assert measure._rate(record) == pytest.approx(50)
    assert measure._rate(record | {"history": {}}) == 1.0


def test_operations_are_counted_by_hand(grey):
    widths = (784, 256, 128, 64, 4)
    products = [2 * n * m for n, m in pairwise(widths)]
    expected = 3 * sum(products) - products[0]  # no gradient by the images
    assert measure.flop_per_example(CASES["report_d_fc_256"], grey) == expected
    products = [2 * 784 * 64, 2 * 64 * 10]
    assert measure.flop_per_example(CASES["report_e_numpy_128"], grey) == 3 * sum(products) - products[0]
    first, second, third = 4 * 2 * 196 * 784, 4 * 2 * 784 * 200, 200 * 2 * 4 * 64
    expected = 2 * first + 3 * (second + third + 2 * 64 * 4)  # the last layer once per image: the mean stands first
    assert measure.flop_per_example(CASES["report_a_64"], grey) == expected


def test_the_peak_is_no_less_than_one_product():
    a, started = torch.rand(1024, 1024), time.perf_counter()
    torch.mm(a, a)
    assert measure.peak("float32", seconds=0.1) > 0.2 * 2 * 1024**3 / (time.perf_counter() - started) > 0


def test_memory_is_that_of_all_processes():
    hog = "import time; held = bytearray(b'x' * 80_000_000); print(flush=True); time.sleep(60)"
    with measure.Memory() as alone:
        time.sleep(0.4)
    child = subprocess.Popen([sys.executable, "-c", hog], stdout=subprocess.PIPE)
    try:
        child.stdout.readline()
        with measure.Memory() as both:
            time.sleep(0.4)
    finally:
        child.kill()
        child.communicate()
    assert 80 < both.total - alone.total < 140 and max(both.workers) > 80
    assert both.total == pytest.approx(both.parent + sum(both.workers))


def test_a_sample_has_epochs_of_a_third_of_its_time(grey):
    case = CASES["report_a_64"]
    case = replace(case, config=replace(case.config, dataset=tiny.NAME, batch_size=8))
    assert measure.size_for(case, 64, 3.0) == (64, 4)
    assert measure.size_for(case, 1, 3.0) == (32, 2)  # four batches at least, and one epoch that counts
    assert measure.size_for(case, 9600, 2.0) == (96, 201)  # the whole data set, often


def test_every_rung_of_the_ladder_trains(grey, monkeypatch):
    monkeypatch.setattr(measure.engine, "keep_freed_memory", lambda: None)
    before = torch.utils.deterministic.fill_uninitialized_memory
    rates = ladder.ladder(grey, 0.01)
    assert list(rates) == list(ladder.LADDER) and min(rates.values()) > 0
    assert torch.utils.deterministic.fill_uninitialized_memory == before


def test_layers_run_one_by_one_for_the_classic_loop(grey, tmp_path):
    case, seen = CASES["report_a_64"], []
    program = classic.Classic(replace(case, config=replace(case.config, dataset=tiny.NAME)), grey, tmp_path)
    run = type(program.net[1].body[0][0]).forward
    program.net[1].body[0][0].forward = lambda x: seen.append(x) or run(program.net[1].body[0][0], x)
    program.rate(0, 0.01)
    assert seen


def test_the_shares_of_a_step_add_up_and_name_the_products(grey):
    shares = ladder.operations("report_a_64", grey, batches=1)
    assert list(shares) == [*ladder.OPERATIONS, "everything else"]
    assert sum(shares.values()) == pytest.approx(1) and shares["matrix products"] > 0.05
    kinds = {"aten::addmm": "matrix products", "aten::threshold_backward": "ReLU", "aten::copy_": "copies and casts",
             "Optimizer.step#SGD.step": "optimiser", "autograd::engine::evaluate_function: MmBackward0":
             "everything else", "aten::index_select": "cutting the batch"}  # fmt: skip
    assert {name: ladder._kind(name) for name in kinds} == kinds


def test_growth_counts_from_the_first_of_each(monkeypatch):
    monkeypatch.setattr(ladder, "_seconds", lambda config, count: 2.0 * config.epochs * config.train_limit * count)
    monkeypatch.setattr(ladder.engine, "usable_cores", lambda: 2)
    frame = ladder.growth("fashion_mnist", 10, (1, 3))
    by = {(row.what, row.times): row.longer for row in frame.itertuples()}
    assert by["epochs", 3] == by["images", 3] == 3 and by["width", 3] == 1 and by["trainings at once", 2] == 2


# What is written


def measured(name: str) -> dict:
    """Made-up measurements of one case."""
    workers, lists = ((0,), {"lists": 200.0}) if CASES[name].numpy else ((0, 4), {})
    rounds = []
    for i in range(5):
        classic_rates = {n: {"rate": 100.0 + 10 * n + i} | lists for n in workers}
        rounds.append(classic_rates | {"ours": {"rate": 1000.0 * (i + 1)}, "peak": 1e6 * (i + 1)})
    sizes = {n: {"total": 500.0 + 250 * n, "parent": 500.0, "workers": [250.0] * n, "computed": 0.0} for n in (1, 2)}
    alone = {"rate": 1500.0, "precision": "bfloat16", "device": "cpu", "start_up": 3.0}
    return {"alone": alone, "flop": 100.0, "memory": sizes, "rounds": rounds, "jobs": 2, "size": 64, "epochs": 4}


@pytest.mark.parametrize("name", ["report_a_64", "report_e_numpy_128"])
def test_an_entry_holds_medians_and_the_faster_classic_loop(name):
    entry = runner.entry(CASES[name], measured(name), {"cached_trial_ms": 1.0, "dispatch_ms": 20.0})
    faster = 102.0 if CASES[name].numpy else 142.0
    assert entry["ours"] == 3000 and entry["classic"] == faster and entry["ratio"] == 3000 / faster
    assert entry["classic_workers"] == (0 if CASES[name].numpy else 4) and entry["one_core"] == 1500
    assert entry["share_of_peak"] == 100 * 3000 / 3e6
    assert entry["memory"]["total"] == 1000 and entry["memory"]["second_worker"] == 250
    assert entry["start_up"] == 3 and entry["cached_trial_ms"] == 1 and len(entry["samples"]["ours"]) == 5
    assert ("classic_lists" in entry) == CASES[name].numpy
    json.loads(base.to_json(entry))


def test_the_table_names_every_case_and_the_targets_know_what_was_met():
    costs = {"cached_trial_ms": 1.0, "dispatch_ms": 200.0}
    results = {name: runner.entry(CASES[name], measured(name), costs) for name in CASES}
    lines = runner.table(results).strip().splitlines()
    assert len(lines) == 9 and all(line.startswith(name) for line, name in zip(lines[1:], CASES))
    assert len({len(line) for line in lines}) == 1
    met = {what: (got, reached) for what, _, got, reached in runner.targets(results)}
    assert len(met) == 16
    assert met["A at 64, one core: examples per second (the report's GPU by its own total)"] == (1500, False)
    assert met["A at 64: MB that a second worker adds, at most"] == (250, True)
    assert met["between two trials: share of a 10 s trial, below"] == (0.02, False)


def test_results_of_other_machines_do_not_stay(tmp_path):
    path = tmp_path / "bench.json"
    runner._write(path, {"report_b_128": {"machine": {"cores": 2}}, "report_a_64": {"machine": {"cores": 4}}})
    assert list(json.loads(path.read_text())) == ["report_a_64", "report_b_128"]
    assert list(runner._earlier(path, {"cores": 2})) == ["report_b_128"]
    path.write_text("[")
    assert runner._earlier(path, {"cores": 2}) == {}


def test_options_are_read_and_refused():
    options = runner.options({"ONLY": "report_a*", "SAMPLES": "2", "CHECK": "0", "SECONDS": "0.5"})
    assert (options.samples, options.check, options.seconds) == (2, False, 0.5)
    assert runner.chosen(options.only) == ["report_a_64", "report_a_256"]
    assert runner.chosen("report_e*, report_b_128") == ["report_b_128", "report_e_cifar_128", "report_e_numpy_128"]
    for refused in ({"SAMPLES": "many"}, {"SAMPLES": "0"}, {"SECONDS": "-1"}):
        with pytest.raises(CourseworkError, match=next(iter(refused))):
            runner.options(refused)
    with pytest.raises(CourseworkError, match="no such case; there are report_a_64"):
        runner.chosen("report_x")


def bench(home: Path, *arguments):
    settings = {"COURSEWORK_HOME": str(home), "COURSEWORK_OFFLINE": "1", "DATA": "standin"}
    command = [sys.executable, "-m", "tests.bench", *arguments]
    return subprocess.run(command, cwd=base.CHECKOUT, env=os.environ | settings, capture_output=True, text=True)


def test_a_wrong_setting_is_one_line(tmp_path):
    for argument in ("ONLY=report_x", "SAMPLE=3"):
        done = bench(tmp_path, argument)
        assert done.returncode == 1 and done.stderr.count("\n") == 1 and argument.split("=")[0] in done.stderr
    assert not list((tmp_path / "reports").iterdir())


@pytest.mark.slow
def test_the_command_measures_and_writes(tmp_path):
    done = bench(tmp_path, "ONLY=report_a_64 report_e_numpy_128", "SAMPLES=1", "SECONDS=0.05")
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "reports" / "bench.json").read_text())
    assert list(results) == ["report_a_64", "report_e_numpy_128"]
    for result in results.values():
        assert result["ratio"] == pytest.approx(result["ours"] / result["classic"])
        assert 0 < result["share_of_peak"] < 1 and result["memory"]["second_worker"] > 20
        assert result["cached_trial_ms"] > 0 and result["dispatch_ms"] > 0 and result["start_up"] > 0
    assert set(results["report_a_64"]["ladder"]) == set(ladder.LADDER)
    assert len(results["report_a_64"]["bfloat16_check"]["bfloat16"]) == 5
    assert [path.name for path in (tmp_path / "reports").iterdir()] == ["bench.json"]
    assert "0 workers" in done.stdout and "4 workers" in done.stdout and "report_e_numpy_128" in done.stdout


@pytest.mark.slow
def test_the_page_shows_the_last_benchmark_or_measures_itself(tmp_path):
    words, options = ("BUDGET=smoke", "DATA=standin", "ONLY=benchmark"), {"JOBS": "1", "COURSEWORK_OFFLINE": "1"}
    built = report(tmp_path, *words, **options, limit=280)
    assert built.returncode == 0, built.stdout + built.stderr
    results = state(tmp_path, "benchmark")["results"]
    assert results["live.report_d_fc_256.ratio"]["value"] > 0 and results["ladder.bfloat16"]["value"] > 0
    assert "report_a_64.ratio" not in results
    shared = {"machine": measure.machine(), "load": 0.1, "cached_trial_ms": 1.0, "dispatch_ms": 20.0}
    made = {name: runner.entry(CASES[name], measured(name), shared) for name in CASES}
    runner._write(tmp_path / "reports" / "bench.json", made)
    assert report(tmp_path, *words, "FRESH=1", **options, limit=280).returncode == 0
    results = state(tmp_path, "benchmark")["results"]
    assert results["report_a_64.ours"]["value"] == 3000 and results["targets.all"]["value"] == 16
