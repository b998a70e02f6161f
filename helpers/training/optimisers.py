"""Optimisers and learning-rate schedulers by name."""

import torch
from torch import nn

from helpers import device
from helpers.base import CourseworkError

OPTIMISERS = {
    "sgd": torch.optim.SGD, "asgd": torch.optim.ASGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW,
    "radam": torch.optim.RAdam, "rmsprop": torch.optim.RMSprop, "adagrad": torch.optim.Adagrad,
    "muon": torch.optim.Muon,
}  # fmt: skip
FUSED = ("sgd", "adam", "adamw", "adagrad")  # one kernel for all parameters; the others refuse the argument


class Stages(torch.optim.lr_scheduler.MultiStepLR):
    """PyTorch's MultiStepLR, whose option `momentum` holds from the first milestone on.

    What report E does with a second optimiser; it too starts without a velocity where the first had no momentum.
    """

    def __init__(self, optimiser, *, momentum: float | None = None, **options):
        if momentum is not None and "momentum" not in optimiser.defaults:
            raise CourseworkError(f"scheduler_options: momentum={momentum}, which this optimiser has not; choose sgd")
        self.momentum = momentum
        super().__init__(optimiser, **options)

    def step(self, epoch=None):
        super().step(epoch)
        if self.momentum is not None and self.last_epoch >= min(self.milestones):
            for group in self.optimizer.param_groups:
                group["momentum"] = self.momentum


class Float32Muon(torch.optim.Muon):
    """PyTorch's Muon with its Newton-Schulz rounds in the weights' own dtype, where PyTorch takes bfloat16.

    For processors that only emulate bfloat16: there the rounds take most of a step.
    """

    @torch.no_grad()
    def step(self, closure=None):
        """One step of all weights that have a gradient; the loss that `closure` gives, if there is one."""
        loss = None if closure is None else torch.enable_grad()(closure)()
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._step_weight(weight, group)
        return loss

    def _step_weight(self, weight, group):
        state, momentum, lr = self.state[weight], group["momentum"], group["lr"]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(weight)
        velocity = state["momentum_buffer"].lerp_(weight.grad, 1 - momentum)
        update = weight.grad.lerp(velocity, momentum) if group["nesterov"] else velocity
        update = orthogonalise(update, group["ns_coefficients"], group["ns_steps"], group["eps"])
        rows, columns = weight.shape
        match_adamw = group["adjust_lr_fn"] == "match_rms_adamw"
        scale = 0.2 * max(rows, columns) ** 0.5 if match_adamw else max(1, rows / columns) ** 0.5
        weight.mul_(1 - lr * group["weight_decay"]).add_(update, alpha=-lr * scale)


def orthogonalise(matrix: torch.Tensor, coefficients, rounds: int, eps: float) -> torch.Tensor:
    """`matrix` with its singular values moved near 1, by Newton-Schulz rounds (Jordan 2024, as in torch.optim.Muon)."""
    a, b, c = coefficients
    is_tall = matrix.shape[0] > matrix.shape[1]
    result = matrix.T if is_tall else matrix  # the smaller Gram matrix of the two
    result = result / result.norm().clamp(min=eps)
    for _ in range(rounds):
        gram = result @ result.T
        result = a * result + (b * gram + c * gram @ gram) @ result
    return result.T if is_tall else result


PER_EPOCH = {"plateau": torch.optim.lr_scheduler.ReduceLROnPlateau, "multistep": Stages}
PER_STEP = ("one_cycle", "cosine", "triangle")
SCHEDULERS = ("none", *PER_EPOCH, *PER_STEP)


def make_optimisers(model: nn.Module, config, flat: nn.Parameter | None = None) -> list[torch.optim.Optimizer]:
    """The optimisers of `config`: one, or for Muon two (Muon for hidden matrices, AdamW for all the rest).

    flat: all trainable weights as one vector; every optimiser but Muon treats each number alike, and then has one
    tensor to step instead of many.
    """
    options = {"lr": config.lr, "weight_decay": config.weight_decay, **config.optimiser_options}
    if config.optimiser in ("sgd", "rmsprop", "muon") and config.momentum:
        options["momentum"] = config.momentum
    if config.optimiser in FUSED:
        options["fused"] = True
    parameters = [p for p in model.parameters() if p.requires_grad]
    if config.optimiser != "muon":
        return [OPTIMISERS[config.optimiser](parameters if flat is None else [flat], **options)]
    linear = [layer for layer in model.modules() if isinstance(layer, nn.Linear)]
    hidden = [layer.weight for layer in linear[:-1]]  # not the classifier
    if not hidden:
        raise CourseworkError("optimiser='muon' is for hidden linear layers and this network has none; choose another")
    rest = [p for p in parameters if all(p is not h for h in hidden)]
    options.setdefault("adjust_lr_fn", "match_rms_adamw")  # one learning rate then suits both
    adamw = torch.optim.AdamW(rest, lr=config.lr, weight_decay=config.weight_decay, fused=True)
    is_native = device.resolve_precision("auto", hidden[0].device) == "bfloat16"
    muon = torch.optim.Muon if is_native else Float32Muon
    return [muon(hidden, **options), adamw]


def make_scheduler(optimiser, config, steps_per_epoch: int):
    """The learning-rate scheduler of `config` for one optimiser, or None."""
    name, options, steps = config.scheduler, config.scheduler_options, config.epochs * steps_per_epoch
    schedules = torch.optim.lr_scheduler
    if name == "none":
        return None
    if name in PER_EPOCH:
        return PER_EPOCH[name](optimiser, **options)
    if name == "one_cycle":  # the momentum stays as configured unless the options ask for its cycle
        return schedules.OneCycleLR(optimiser, config.lr, total_steps=steps, **{"cycle_momentum": False} | options)
    if name == "cosine":
        return schedules.CosineAnnealingLR(optimiser, steps, **options)
    # "triangle": up for `rise` of the steps, then down to `end` of the rate (arXiv 2404.00498)
    rise, end = options.get("rise", 0.23) * steps, options.get("end", 0.07)
    return schedules.LambdaLR(
        optimiser,
        lambda s: 0.2 + 0.8 * s / rise if s < rise else 1 - (1 - end) * (s - rise) / max(1, steps - rise),
    )
