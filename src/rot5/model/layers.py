"""The layers of both stacks: attention and feed-forward, each behind a norm and beside a residual.

Shape suffixes: B batch, T tokens of the stream at hand, S encoder tokens, D d_model, H heads.
"""

from typing import NamedTuple

import torch
from torch import nn
from transformers.cache_utils import EncoderDecoderCache
from transformers.modeling_layers import GradientCheckpointingLayer

from rot5.model.attention import Attention, Scope
from rot5.model.configuration_rot5 import Rot5Config
from rot5.model.feed_forward import FeedForward
from rot5.model.moe import MixtureOfExperts, Routing
from rot5.model.norm import RmsNorm


class LayerOutput(NamedTuple):
    """What a layer gives: its vectors, and, where there are such, attention weights [B, H, T, S] and routing."""

    hidden_BTD: torch.Tensor
    attentions: torch.Tensor | None
    cross_attentions: torch.Tensor | None
    routing: Routing | None


class _Layer(GradientCheckpointingLayer):
    """What layers are made of: self-attention, in the decoder cross-attention, and a dense or sparse feed-forward."""

    def __init__(self, config: Rot5Config, layer_index: int, decoder: bool):
        super().__init__()
        self.self_attn_norm = RmsNorm(config.d_model, eps=config.layer_norm_epsilon)
        self.self_attn = Attention(config, layer_index)
        if decoder:
            self.cross_attn_norm = RmsNorm(config.d_model, eps=config.layer_norm_epsilon)
            self.cross_attn = Attention(config, layer_index)
        self.mlp_norm = RmsNorm(config.d_model, eps=config.layer_norm_epsilon)
        self.mlp = MixtureOfExperts(config) if config.is_sparse(decoder, layer_index) else FeedForward(config)
        self.dropout = nn.Dropout(config.dropout_rate)

    def _feed_forward(self, x_BTD: torch.Tensor, real_BT: torch.Tensor | None) -> tuple[torch.Tensor, Routing | None]:
        normed_BTD, routing = self.mlp_norm(x_BTD), None
        if isinstance(self.mlp, MixtureOfExperts):
            update_BTD, routing = self.mlp(normed_BTD, real_BT)
        else:
            update_BTD = self.mlp(normed_BTD)
        return x_BTD + self.dropout(update_BTD), routing


class EncoderLayer(_Layer):
    """Self-attention and feed-forward."""

    def __init__(self, config: Rot5Config, layer_index: int):
        super().__init__(config, layer_index, decoder=False)

    def forward(self, x_BTD: torch.Tensor, scope: Scope, real_BT: torch.Tensor | None) -> LayerOutput:
        """`real_BT` says which tokens are no padding; None for all."""
        attended_BTD, weights = self.self_attn(self.self_attn_norm(x_BTD), None, scope)
        x_BTD, routing = self._feed_forward(x_BTD + self.dropout(attended_BTD), real_BT)
        return LayerOutput(x_BTD, weights, None, routing)


class DecoderLayer(_Layer):
    """Causal self-attention, cross-attention to the encoder's vectors, and feed-forward."""

    def __init__(self, config: Rot5Config, layer_index: int):
        super().__init__(config, layer_index, decoder=True)

    def forward(
        self,
        x_BTD: torch.Tensor,
        memory_BSD: torch.Tensor,
        scope: Scope,
        cross_scope: Scope,
        real_BT: torch.Tensor | None,
        cache: EncoderDecoderCache | None,
    ) -> LayerOutput:
        """`real_BT` says which tokens are no padding; None for all."""
        attended_BTD, weights = self.self_attn(self.self_attn_norm(x_BTD), None, scope, cache)
        x_BTD = x_BTD + self.dropout(attended_BTD)
        attended_BTD, cross_weights = self.cross_attn(self.cross_attn_norm(x_BTD), memory_BSD, cross_scope, cache)
        x_BTD, routing = self._feed_forward(x_BTD + self.dropout(attended_BTD), real_BT)
        return LayerOutput(x_BTD, weights, cross_weights, routing)
