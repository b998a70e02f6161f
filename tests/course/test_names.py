"""Every name of the course's my_utils: here, or an error that says where it lives today."""

import builtins
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from matplotlib import pyplot as plt
from torch import nn

import helpers as mu
from helpers import course

CHECKOUT = Path(__file__).resolve().parent.parent.parent
# The course's file, in its order: its functions and classes, its aliases, and the modules that it imports.
HERE = """use_svg_display set_figsize set_axes plot Timer synthetic_data linreg squared_loss sgd load_array
get_fashion_mnist_labels show_images get_dataloader_workers load_data_fashion_mnist accuracy evaluate_accuracy
Accumulator train_epoch_ch3 Animator train_ch3 predict_ch3 evaluate_loss try_gpu try_all_gpus corr2d
evaluate_accuracy_gpu train_ch6 Residual read_time_machine tokenize Vocab count_corpus load_corpus_time_machine
seq_data_iter_random seq_data_iter_consecutive SeqDataLoader load_data_time_machine
ones zeros tensor arange meshgrid sin sinh cos cosh tanh linspace exp log normal matmul int32 float32 concat stack
numpy size reshape to reduce_sum argmax astype transpose d2l
collections defaultdict display math plt os pd random re shutil sys tarfile time requests zipfile hashlib np torch
torchvision nn F transforms"""
LATER = "trainf gpu cpu num_gpus reduce_mean expand_dims eye rand randn repeat swapaxes seq_data_iter_sequential"
NOT_HERE = """mkdir_if_not_exist DATA_HUB DATA_URL download download_extract download_all RNNModelScratch predict_ch8
grad_clipping train_epoch_ch8 train_ch8 read_data_nmt preprocess_nmt tokenize_nmt truncate_pad build_array
load_data_nmt Encoder Decoder EncoderDecoder Seq2SeqEncoder Seq2SeqDecoder sequence_mask MaskedSoftmaxCELoss
train_s2s_ch9 predict_s2s_ch9 masked_softmax DotProductAttention MLPAttention annotate train_2d show_trace_2d
rearrange"""


@pytest.mark.parametrize("name", [*HERE.split(), *LATER.split(), "abs"])
def test_a_name_of_the_course_is_here(name):
    assert getattr(mu, name) is not None
    assert name in dir(mu)


def test_the_modules_are_the_modules():
    assert mu.torch is torch and mu.nn is nn and mu.F is nn.functional and mu.plt is plt
    assert mu.np.__name__ == "numpy" and mu.display.__name__ == "IPython.display"
    assert mu.transforms.ToTensor and mu.d2l is mu and mu.d2l.Animator is mu.Animator


@pytest.mark.parametrize("name", NOT_HERE.split())
def test_a_name_that_is_not_here_says_what_to_use(name):
    with pytest.raises(AttributeError, match=rf"the course's {name} is not in helpers: (use|write) \w+") as failure:
        getattr(mu, name)
    assert "\n" not in str(failure.value) and not hasattr(mu, name)


def test_the_tables_name_each_name_once():
    assert set(course.INSTEAD) == set(NOT_HERE.split())
    assert not set(course.INSTEAD) & set(course.__all__)


def test_the_readme_counts_right():
    imported = {*course.MODULES, "defaultdict", "rearrange"}
    here, not_here = ({*names.split()} - imported for names in (HERE + " abs", NOT_HERE))
    readme = " ".join((CHECKOUT / "README.md").read_text().split())
    assert f"Of the course's {len(here | not_here)} names {len(here)} are here" in readme
    assert f"each of the other {len(not_here)} (" in readme


def test_a_star_import_brings_what_the_courses_brought():
    code = """import builtins
from helpers import *
given = sorted({name for name in globals() if not name.startswith("__")} - {"builtins"})
assert abs is builtins.abs and not set(given) & set(dir(builtins))
assert d2l.train_ch6 is train_ch6 and nn.Linear and torch.zeros is zeros
print(*given)"""
    made = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert set(made.stdout.split()) == {*HERE.split(), *LATER.split()}
    python = set(dir(builtins)) - {"display", "get_ipython"}  # IPython, where it runs, adds its own
    assert not set(mu.__all__) & python
