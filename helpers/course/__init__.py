"""The course's own names, for notebooks written for `my_utils` or d2l (PyTorch edition).

Three tables: names that live in this folder, modules that the course handed on, and names that are not here, with what
to use instead.
"""

import importlib

from helpers.base import door

HOMES = {
    "aliases": "abs arange argmax astype concat cos cosh defaultdict exp expand_dims eye float32 int32 linspace log "
    "matmul meshgrid normal numpy ones rand randn reduce_mean reduce_sum repeat reshape sin sinh size stack swapaxes "
    "tanh tensor to transpose zeros",
    "scratch": "corr2d linreg Residual sgd squared_loss synthetic_data",
    "text": "count_corpus load_corpus_time_machine load_data_time_machine read_time_machine seq_data_iter_consecutive "
    "seq_data_iter_random seq_data_iter_sequential SeqDataLoader tokenize Vocab",
    "tools": "Accumulator Animator Timer plot set_axes set_figsize show_images use_svg_display",
    "classic": "accuracy d2l evaluate_accuracy evaluate_accuracy_gpu evaluate_loss get_dataloader_workers "
    "get_fashion_mnist_labels load_array load_data_fashion_mnist predict_ch3 train_ch3 train_ch6 train_epoch_ch3 "
    "trainf",
}
SAME = "collections hashlib math os random re requests shutil sys tarfile time torch torchvision zipfile"
MODULES = {name: name for name in SAME.split()}  # the name that it has there -> the module
MODULES |= {"F": "torch.nn.functional", "display": "IPython.display", "nn": "torch.nn", "np": "numpy", "pd": "pandas"}
MODULES |= {"plt": "matplotlib.pyplot", "transforms": "torchvision.transforms"}
PACKAGE = """DATA_HUB DATA_URL Decoder DotProductAttention Encoder EncoderDecoder MaskedSoftmaxCELoss RNNModelScratch
Seq2SeqEncoder annotate download download_all download_extract grad_clipping load_data_nmt masked_softmax predict_ch8
preprocess_nmt read_data_nmt sequence_mask show_trace_2d tokenize_nmt train_2d train_ch8 train_epoch_ch8
truncate_pad"""
ELSEWHERE = {name: name for name in PACKAGE.split()}  # the course's name -> its name in the package d2l, version 0.17.6
ELSEWHERE |= {"MLPAttention": "AdditiveAttention", "build_array": "build_array_nmt"}
ELSEWHERE |= {"predict_s2s_ch9": "predict_seq2seq", "train_s2s_ch9": "train_seq2seq"}
INSTEAD = {
    "Seq2SeqDecoder": "write nn.GRU or nn.LSTM after nn.Embedding",
    "mkdir_if_not_exist": "use os.makedirs(path, exist_ok=True)",
    "rearrange": "use einops.rearrange (pip install einops)",
}
INSTEAD |= {name: f"use d2l.torch.{today} (pip install --no-deps d2l==0.17.6)" for name, today in ELSEWHERE.items()}
_load, __all__ = door(__name__, HOMES)
__all__ += MODULES


def __getattr__(name: str):
    if name in INSTEAD:
        raise AttributeError(f"the course's {name} is not in helpers: {INSTEAD[name]}")
    if name not in MODULES:
        return _load(name)
    if MODULES[name].startswith("torchvision"):
        importlib.import_module("helpers.device").import_torchvision()
    return importlib.import_module(MODULES[name])
