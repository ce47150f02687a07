"""Optimizers over named parameter groups."""

import torch
from torch import nn

from rot5.model.positions import RelativeBias
from rot5.train.settings import OptimizerConfig


def build_optimizer(model: nn.Module, config: OptimizerConfig) -> torch.optim.Optimizer:
    """AdamW that decays matrices alone. Tables of what is looked up are no matrices and stay undecayed like norms."""
    tables = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding | RelativeBias)}
    decayed, undecayed = [], []
    for parameter in model.parameters():
        (decayed if parameter.ndim >= 2 and id(parameter) not in tables else undecayed).append(parameter)
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": undecayed, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.lr, betas=(config.beta1, config.beta2), eps=config.epsilon, fused=True)


def set_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Set the learning rate of every group."""
    for group in optimizer.param_groups:
        group["lr"] = lr
