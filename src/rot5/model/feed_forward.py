"""The position-wise feed-forward network, plain or gated (GLU variants, arXiv:2002.05202)."""

import functools

import torch
from torch import nn
from torch.nn import functional as F

from rot5.model.configuration_rot5 import Rot5Config

ACTIVATION_FUNCTIONS = {
    "relu": F.relu,
    "gelu": F.gelu,
    "gelu_new": functools.partial(F.gelu, approximate="tanh"),
    "silu": F.silu,
}


class FeedForward(nn.Module):
    """`down(act(up(x)))`, or `down(act(gate(x)) * up(x))` when gated, `width` (d_ff) inside. No biases, as in T5."""

    def __init__(self, config: Rot5Config, width: int | None = None):
        super().__init__()
        width = config.d_ff if width is None else width
        self.up_proj = nn.Linear(config.d_model, width, bias=False)
        self.gate_proj = nn.Linear(config.d_model, width, bias=False) if config.is_gated else None
        self.down_proj = nn.Linear(width, config.d_model, bias=False)
        self.dropout = nn.Dropout(config.dropout_rate)
        self.activation = ACTIVATION_FUNCTIONS[config.activation]

    def forward(self, x_BTD: torch.Tensor) -> torch.Tensor:
        if self.gate_proj is None:
            inner_BTF = self.activation(self.up_proj(x_BTD))
        else:
            inner_BTF = self.activation(self.gate_proj(x_BTD)) * self.up_proj(x_BTD)
        return self.down_proj(self.dropout(inner_BTF))
