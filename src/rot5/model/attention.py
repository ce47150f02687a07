"""Grouped-query attention for encoder, decoder and cross-attention.

Shape suffixes: B batch, T queries, S keys, D d_model, H heads, K key-value heads, d head width.
"""

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F
from transformers.cache_utils import CacheLayerMixin, EncoderDecoderCache

from rot5.model.backends import Sight, attend
from rot5.model.configuration_rot5 import Rot5Config
from rot5.model.positions import RotationTable, rotate
from rot5.model.precision import product_dtype


class Scope(NamedTuple):
    """What one attention may see, and how its queries and keys turn with their positions; the same in every layer."""

    sight: Sight
    query_table: RotationTable | None
    key_table: RotationTable | None


class Attention(nn.Module):
    """Queries from one stream, keys and values from the same or another, with fewer key-value heads than query heads.

    Keys are cached as they are compared: rotated once, not repeated over the heads of their group.
    """

    def __init__(self, config: Rot5Config, layer_index: int):
        super().__init__()
        self.d_kv = config.d_kv
        self.layer_index = layer_index
        self.dropout_rate = config.dropout_rate
        self.scale = 1.0 if config.parametrization == "t5" else config.d_kv**-0.5
        query_width = config.num_heads * config.d_kv
        key_width = (config.num_key_value_heads or config.num_heads) * config.d_kv
        self.q_proj = nn.Linear(config.d_model, query_width, bias=False)
        self.k_proj = nn.Linear(config.d_model, key_width, bias=False)
        self.v_proj = nn.Linear(config.d_model, key_width, bias=False)
        self.o_proj = nn.Linear(query_width, config.d_model, bias=False)
        self.q_norm = nn.RMSNorm(config.d_kv, eps=config.layer_norm_epsilon) if config.qk_norm else None
        self.k_norm = nn.RMSNorm(config.d_kv, eps=config.layer_norm_epsilon) if config.qk_norm else None

    def _heads(self, x_BTW: torch.Tensor, norm: nn.RMSNorm | None, table: RotationTable | None) -> torch.Tensor:
        x_BTHd = x_BTW.unflatten(-1, (-1, self.d_kv))
        if norm is not None:
            # Under autocast projections are of lower precision than the weight, and the fused kernel wants one.
            x_BTHd = F.rms_norm(x_BTHd, (self.d_kv,), norm.weight.to(x_BTHd.dtype), norm.eps)
        x_BHTd = x_BTHd.transpose(1, 2)
        return x_BHTd if table is None else rotate(x_BHTd, table)

    def _keys_and_values(
        self, source_BSD: torch.Tensor, table: RotationTable | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        source_BSD = source_BSD.to(product_dtype(source_BSD))
        return self._heads(self.k_proj(source_BSD), self.k_norm, table), self._heads(
            self.v_proj(source_BSD), None, None
        )

    def forward(
        self,
        x_BTD: torch.Tensor,
        memory_BSD: torch.Tensor | None,
        scope: Scope,
        cache: EncoderDecoderCache | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Attend from `x_BTD` to itself, or to `memory_BSD` (cross-attention) whose keys a cache computes once.

        Returns the output [B, T, D], and the weights [B, H, T, S] where the scope asks for them.
        """
        q_BHTd = self._heads(self.q_proj(x_BTD), self.q_norm, scope.query_table)
        if memory_BSD is None:
            k_BKSd, v_BKSd = self._keys_and_values(x_BTD, scope.key_table)
            if cache is not None:
                k_BKSd, v_BKSd = cache.self_attention_cache.update(k_BKSd, v_BKSd, self.layer_index)
        elif cache is not None and cache.is_updated.get(self.layer_index):
            layer = cache.cross_attention_cache.layers[self.layer_index]
            assert isinstance(layer, CacheLayerMixin) and layer.keys is not None and layer.values is not None
            k_BKSd, v_BKSd = layer.keys, layer.values
        else:
            k_BKSd, v_BKSd = self._keys_and_values(memory_BSD, scope.key_table)
            if cache is not None:
                k_BKSd, v_BKSd = cache.cross_attention_cache.update(k_BKSd, v_BKSd, self.layer_index)
                cache.is_updated[self.layer_index] = True
        dropout = self.dropout_rate if self.training else 0.0
        mixed_BHTd, weights_BHTS = attend(q_BHTd, k_BKSd, v_BKSd, scope.sight, self.scale, dropout)
        return self.o_proj(mixed_BHTd.transpose(1, 2).flatten(2)), weights_BHTS
