"""The eight cases of the benchmark: what is trained, and the ratio to the classic loop that is aimed at."""

from dataclasses import dataclass, replace

from helpers.studies.numpy_net import ARCHITECTURES, PUBLISHED
from helpers.studies.numpy_trial import NumpyConfig, train_numpy
from helpers.training.classifier import ClassifierConfig, train_classifier


@dataclass(frozen=True, kw_only=True)
class Case:
    """One network at one batch size; both programs make the same updates of it."""

    title: str
    config: ClassifierConfig | NumpyConfig
    target: float  # ours / classic, on two cores with native bfloat16
    guess: int  # examples per second and core: the size of the first run, corrected from then on
    data: str = "fashion_mnist"

    @property
    def function(self):
        """The trial function of the config."""
        return train_numpy if self.numpy else train_classifier

    @property
    def numpy(self) -> bool:
        """Whether this is report E's network, whose epoch includes its evaluation on both sides."""
        return isinstance(self.config, NumpyConfig)

    def sized(self, size: int | None = None, epochs: int = 1, *, evaluate: bool = False, test_limit=None):
        """The config on the first `size` examples; without `evaluate` a torch trial measures training alone."""
        about = {} if self.numpy else {"watch": ("test",) if evaluate else (), "test_limit": test_limit}
        return replace(self.config, train_limit=size, epochs=epochs, **about)


def _sgd(**options) -> ClassifierConfig:
    return ClassifierConfig(optimiser="sgd", lr=0.1, **options)


def _adam(**options) -> ClassifierConfig:
    return ClassifierConfig(optimiser="adam", lr=0.001, **options)


_C = {"patch_size": 7, "width": 128, "hidden": 256, "token_hidden": 256, "blocks": 1}
_B = {"normalise": True, "initialiser": "kaiming_uniform", "weight_decay": 0.0005}
_E = NumpyConfig(layers=ARCHITECTURES[1], batch_size=128, lr=0.001, **(PUBLISHED | {"dtype": "float32"}))
CASES = {
    "report_a_64": Case(
        title="A's patch network", target=6.5, guess=13000,
        config=_sgd(model="report_a", initialiser="xavier_uniform", batch_size=64),
    ),
    "report_a_256": Case(
        title="A's patch network", target=6.5, guess=15000,
        config=_sgd(model="report_a", initialiser="xavier_uniform", batch_size=256),
    ),
    "report_b_128": Case(
        title="B's deep patch network", target=4.5, guess=350,
        config=_adam(model="report_b", batch_size=128, **_B),
    ),
    "report_c_128": Case(
        title="a network of C's kind", target=5.5, guess=8000,
        config=_adam(model="patch_mlp", options=_C, batch_size=128),
    ),
    "report_d_fc_256": Case(
        title="D's fully connected net", target=12, guess=90000,
        config=_adam(model="mlp", options={"log_softmax": True}, batch_size=256),
    ),
    "report_d_cnn_256": Case(
        title="D's convolutional net", target=4, guess=5000,
        config=_adam(model="report_d_cnn", batch_size=256),
    ),
    "report_e_cifar_128": Case(
        title="E's CIFAR-10 net", target=6, guess=30000, data="cifar10",
        config=_sgd(model="mlp", options={"widths": [256, 128]}, batch_size=128),
    ),
    "report_e_numpy_128": Case(title="E's NumPy network", target=12, guess=100000, config=_E),
}  # fmt: skip
