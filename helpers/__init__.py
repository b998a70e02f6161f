"""The coursework's helpers: `import helpers as mu`.

Names load on first use, so that checking a page or a parameter never waits for torch. The table says which
module a name lives in; `mu.trials`, `mu.data` ... are the modules themselves.
"""

import importlib
import importlib.util

_HOMES = {
    "analysis": "at_epoch cut_on_plateau derive mean_between",
    "base": "CourseworkError",
    "device": "cpu gpu num_gpus seed_everything try_all_gpus try_gpu",
    "models": "build cut_patches",
    "data": "load split",
    "page": "begin",
    "sources": "obtain",
    "training": "ClassifierConfig fit train_classifier",
    "trials": "recall run run_study spot_check",
    # The names of the course's my_utils, last: they would win over ours.
    "course_tools": "Accumulator Animator Timer plot plt set_axes set_figsize show_images use_svg_display",
    "classic": "abs accuracy arange argmax astype concat cos cosh d2l evaluate_accuracy evaluate_accuracy_gpu "
    "evaluate_loss exp expand_dims eye float32 get_dataloader_workers get_fashion_mnist_labels int32 linreg linspace "
    "load_array load_data_fashion_mnist log matmul meshgrid normal numpy ones predict_ch3 rand randn reduce_mean "
    "reduce_sum repeat reshape sgd sin sinh size squared_loss stack swapaxes synthetic_data tanh tensor to train_ch3 "
    "train_ch6 train_epoch_ch3 trainf transpose zeros",
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names.split()}

__all__ = [name for name in _HOME_OF if name != "abs"]  # a star import leaves the built-in function alone


def __getattr__(name: str):
    if name in _HOME_OF:
        value = getattr(importlib.import_module(f"helpers.{_HOME_OF[name]}"), name)
    elif not name.startswith("_") and importlib.util.find_spec(f"helpers.{name}"):
        value = importlib.import_module(f"helpers.{name}")
    else:
        raise AttributeError(f"module 'helpers' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
