"""Optimizers over named parameter groups."""

# pyright: reportPrivateImportUsage=false
# torch documents its _foreach functions (a few kernels for a whole list of tensors) but does not export them.

from collections.abc import Callable

import torch
from torch import nn
from torch.distributed.tensor import DTensor, Replicate

from rot5.model.moe import Router
from rot5.model.positions import RelativeBias
from rot5.train.muon import StackedMuon
from rot5.train.settings import OptimizerConfig

SMALLEST_SCALE = 1e-3
"""Least RMS that a tensor is taken to have where steps are relative to it (epsilon_2 of arXiv:1804.04235)."""

ADAFACTOR_FLOOR = 1e-15
"""Least root of Adafactor's second moment, from the paper's epsilon_1 = 1e-30 of its square. torch also uses it as the
least mean square of a gradient, of which its own default (1.2e-7) is no small part once gradients are clipped."""


class RmsAdamW(torch.optim.Optimizer):
    """AdamW whose step is relative to what it moves, as nanoT5 (arXiv:2309.02373) trains T5 with.

    The step of each tensor is AdamW's times max(1e-3, RMS of the tensor before the step), the scaling of Adafactor
    (arXiv:1804.04235, section 8); the decoupled decay is not scaled. A table, a norm and the stacked matrices of
    experts are one tensor each. As steps are shares of the weights, the peak rate is around 2e-2, not AdamW's 1e-3.
    State is in the dtype of the weights (float32 here) but for `step`, a float32 scalar on the CPU. Epsilon is added
    after the correction of bias, as in torch's AdamW (nanoT5 adds it before).
    """

    def __init__(self, groups: list[dict], *, lr: float, betas: tuple[float, float], eps: float):
        super().__init__(groups, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Move every parameter that has a gradient; return the loss of `closure`, if there is one."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            self._step([parameter for parameter in group["params"] if parameter.grad is not None], group)
        return loss

    def _step(self, parameters: list[torch.Tensor], group: dict) -> None:
        if not parameters:
            return
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        states = [self._state(parameter) for parameter in parameters]
        steps, means, squares = ([state[key] for state in states] for key in ("step", "exp_avg", "exp_avg_sq"))
        lr, (beta1, beta2) = group["lr"], group["betas"]

        torch._foreach_add_(steps, 1.0)
        torch._foreach_lerp_(means, gradients, 1.0 - beta1)
        torch._foreach_mul_(squares, beta2)
        torch._foreach_addcmul_(squares, gradients, gradients, 1.0 - beta2)

        scales = [_on_every_rank(norm) for norm in torch._foreach_norm(parameters)]
        torch._foreach_div_(scales, [parameter.numel() ** 0.5 for parameter in parameters])
        torch._foreach_clamp_min_(scales, SMALLEST_SCALE)
        scaled = torch._foreach_mul(means, scales)
        roots = torch._foreach_sqrt(squares)
        torch._foreach_div_(roots, [(1.0 - beta2 ** step.item()) ** 0.5 for step in steps])
        torch._foreach_add_(roots, group["eps"])

        torch._foreach_mul_(parameters, 1.0 - lr * group["weight_decay"])
        torch._foreach_addcdiv_(parameters, scaled, roots, [-lr / (1.0 - beta1 ** step.item()) for step in steps])

    def _state(self, parameter: torch.Tensor) -> dict[str, torch.Tensor]:
        state = self.state[parameter]
        if not state:
            state["step"] = torch.zeros((), dtype=torch.float32)
            state["exp_avg"] = torch.zeros_like(parameter)
            state["exp_avg_sq"] = torch.zeros_like(parameter)
        return state


def _on_every_rank(norm: torch.Tensor) -> torch.Tensor:
    """The norm of a tensor that may be spread over ranks, where each knows that of its part."""
    return norm.redistribute(placements=[Replicate()]) if isinstance(norm, DTensor) else norm


class Together(torch.optim.Optimizer):
    """Several optimizers of different parameters as one: one list of groups, one state, one step.

    The parts work on the groups and the state of this object, so that whoever sets a rate, saves or loads sees a single
    optimizer. Groups are those of the parts in order.
    """

    def __init__(self, *parts: torch.optim.Optimizer):
        self.parts = parts
        super().__init__([group for part in parts for group in part.param_groups], {})
        self._share()

    def _share(self) -> None:
        groups = iter(self.param_groups)
        for part in self.parts:
            part.param_groups = [next(groups) for _ in part.param_groups]
            part.state = self.state

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Step every part; return the loss of `closure`, if there is one, which is called once."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for part in self.parts:
            part.step()
        return loss

    def load_state_dict(self, state_dict: dict) -> None:
        """Set groups and state of all parts."""
        super().load_state_dict(state_dict)
        self._share()


def _split(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Trained parameters that decay and those that do not: tables of what is looked up are no matrices, and are with
    norms."""
    tables = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding | RelativeBias)}
    decayed, undecayed = [], []
    for parameter in (each for each in model.parameters() if each.requires_grad):
        (decayed if parameter.ndim >= 2 and id(parameter) not in tables else undecayed).append(parameter)
    return decayed, undecayed


def _groups(decayed: list[nn.Parameter], undecayed: list[nn.Parameter], config: OptimizerConfig) -> list[dict]:
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": undecayed, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def _fused_adamw(groups: list[dict], config: OptimizerConfig) -> torch.optim.AdamW:
    return torch.optim.AdamW(groups, lr=config.lr, betas=(config.beta1, config.beta2), eps=config.epsilon, fused=True)


def adamw(model: nn.Module, config: OptimizerConfig) -> torch.optim.Optimizer:
    """AdamW (arXiv:1711.05101) that decays matrices alone."""
    return _fused_adamw(_groups(*_split(model), config), config)


def adamw_rms(model: nn.Module, config: OptimizerConfig) -> torch.optim.Optimizer:
    """`RmsAdamW` that decays matrices alone."""
    groups = _groups(*_split(model), config)
    return RmsAdamW(groups, lr=config.lr, betas=(config.beta1, config.beta2), eps=config.epsilon)


def adafactor(model: nn.Module, config: OptimizerConfig) -> torch.optim.Optimizer:
    """Adafactor (arXiv:1804.04235) that decays matrices alone.

    No mean of gradients; of their squares only the means of rows and columns of each matrix (the last two dimensions)
    are kept. Update t is a share min(lr, t^-0.5) of the RMS of its tensor (taken as 1e-3 at least), its own RMS clipped
    at 1; squares are forgotten at 1 - t^-0.8. The paper's lr is 1e-2. Decay goes by lr like AdamW's.
    """
    return torch.optim.Adafactor(
        _groups(*_split(model), config), lr=config.lr, beta2_decay=-0.8, eps=(ADAFACTOR_FLOOR, SMALLEST_SCALE), d=1.0
    )


def muon(model: nn.Module, config: OptimizerConfig) -> torch.optim.Optimizer:
    """Muon for the matrices inside the layers, AdamW for the rest; both share lr and decay.

    Muon (kellerjordan.github.io/posts/muon) moves a matrix by its orthogonalised momentum, here scaled to the RMS of
    AdamW's steps (arXiv:2502.16982); of an expert layer's stack every matrix for itself. AdamW keeps what is no matrix
    from activations to activations: tables, norms, the router, the head.
    """
    decayed, undecayed = _split(model)
    apart = {id(module.weight) for module in model.modules() if isinstance(module, Router)}
    apart |= {id(parameter) for name, parameter in model.named_parameters() if name == "lm_head.weight"}
    inner = [parameter for parameter in decayed if id(parameter) not in apart]
    rest = [parameter for parameter in decayed if id(parameter) in apart]
    flat, stacked = ([parameter for parameter in inner if parameter.ndim == ndim] for ndim in (2, 3))
    lr, decay, momentum = config.lr, config.weight_decay, config.momentum
    flat_muon = torch.optim.Muon(flat, lr=lr, weight_decay=decay, momentum=momentum, adjust_lr_fn="match_rms_adamw")
    parts: list[torch.optim.Optimizer] = [flat_muon]
    if stacked:
        parts.append(StackedMuon(stacked, lr=lr, weight_decay=decay, momentum=momentum))
    if others := _groups(rest, undecayed, config):  # adapters are matrices all
        parts.append(_fused_adamw(others, config))
    return Together(*parts)


OPTIMIZERS = {"muon": muon, "adamw": adamw, "adamw_rms": adamw_rms, "adafactor": adafactor}


def build_optimizer(model: nn.Module, config: OptimizerConfig) -> torch.optim.Optimizer:
    """The optimizer of `config.name` over all parameters of a model, each in one group. Matrices alone decay."""
    return OPTIMIZERS[config.name](model, config)


def set_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Set the learning rate of every group."""
    for group in optimizer.param_groups:
        group["lr"] = lr
