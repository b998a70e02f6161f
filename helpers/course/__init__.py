"""The course's own names, for notebooks written for `my_utils` or d2l."""

from helpers.base import door

HOMES = {
    "tools": "Accumulator Animator Timer plot plt set_axes set_figsize show_images use_svg_display",
    "classic": "abs accuracy arange argmax astype concat cos cosh d2l evaluate_accuracy evaluate_accuracy_gpu "
    "evaluate_loss exp expand_dims eye float32 get_dataloader_workers get_fashion_mnist_labels int32 linreg linspace "
    "load_array load_data_fashion_mnist log matmul meshgrid normal numpy ones predict_ch3 rand randn reduce_mean "
    "reduce_sum repeat reshape sgd sin sinh size squared_loss stack swapaxes synthetic_data tanh tensor to train_ch3 "
    "train_ch6 train_epoch_ch3 trainf transpose zeros",
}
__getattr__, __all__ = door(__name__, HOMES)
