"""Grouped-query attention for encoder, decoder and cross-attention, inside the segments of packed rows.

Shape suffixes: B batch, T queries, S keys, D d_model, H heads, K key-value heads, d head width.
"""

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F
from transformers.cache_utils import CacheLayerMixin, EncoderDecoderCache

from rot5.model.configuration_rot5 import Rot5Config
from rot5.model.documents import Documents, attend_in_documents
from rot5.model.positions import rotate

RotationTable = tuple[torch.Tensor, torch.Tensor]
Sight = torch.Tensor | Documents | None
"""What queries may see: an additive mask [B, 1, T, S], documents to attend inside of, or all (up to causality)."""


class Attended(NamedTuple):
    """What an attention layer gives: its output, and its weights when they were asked for."""

    output_BTD: torch.Tensor
    weights_BHTS: torch.Tensor | None


def segment_mask(
    query_segments_BT: torch.Tensor, key_segments_BS: torch.Tensor, causal: bool, dtype: torch.dtype
) -> torch.Tensor:
    """Additive mask [B, 1, T, S]: 0 where a query may look, the lowest number elsewhere.

    A query sees the keys of its own segment and, if `causal`, none behind it; queries are the last T of the S positions
    then. Padding (segment 0) is never seen by a real token. Padding queries see everything, which keeps their unused
    outputs finite.
    """
    query_BT1 = query_segments_BT[:, :, None]
    visible_BTS = query_BT1 == key_segments_BS[:, None, :]
    if causal:
        T, S = query_segments_BT.shape[1], key_segments_BS.shape[1]
        visible_BTS = visible_BTS & torch.ones(T, S, dtype=torch.bool, device=visible_BTS.device).tril(S - T)
    visible_BTS = visible_BTS | (query_BT1 == 0)
    mask_BTS = torch.zeros(visible_BTS.shape, dtype=dtype, device=visible_BTS.device)
    return mask_BTS.masked_fill(~visible_BTS, torch.finfo(dtype).min)[:, None]


def attend(
    q_BHTd: torch.Tensor,
    k_BKSd: torch.Tensor,
    v_BKSd: torch.Tensor,
    sight: Sight,
    causal: bool,
    dropout: float,
) -> torch.Tensor:
    """Scaled dot-product attention [B, H, T, d]; `causal` counts only where everything else may be seen."""
    if isinstance(sight, Documents):
        return attend_in_documents(q_BHTd, k_BKSd, v_BKSd, sight, dropout)
    groups = q_BHTd.shape[1] // k_BKSd.shape[1]
    if groups > 1:
        k_BKSd = k_BKSd.repeat_interleave(groups, dim=1)
        v_BKSd = v_BKSd.repeat_interleave(groups, dim=1)
    return F.scaled_dot_product_attention(
        q_BHTd, k_BKSd, v_BKSd, attn_mask=sight, dropout_p=dropout, is_causal=causal and sight is None
    )


def attend_eagerly(
    q_BHTd: torch.Tensor,
    k_BKSd: torch.Tensor,
    v_BKSd: torch.Tensor,
    mask_B1TS: torch.Tensor | None,
    causal: bool,
    dropout: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The same by its definition, giving the weights [B, H, T, S] too (float32 softmax, before dropout)."""
    groups = q_BHTd.shape[1] // k_BKSd.shape[1]
    k_BHSd, v_BHSd = k_BKSd.repeat_interleave(groups, dim=1), v_BKSd.repeat_interleave(groups, dim=1)
    scores_BHTS = (q_BHTd @ k_BHSd.transpose(2, 3)).float() * q_BHTd.shape[-1] ** -0.5
    if mask_B1TS is not None:
        scores_BHTS = scores_BHTS + mask_B1TS
    elif causal:
        T, S = scores_BHTS.shape[-2:]
        hidden_TS = torch.ones(T, S, dtype=torch.bool, device=scores_BHTS.device).triu(S - T + 1)
        scores_BHTS = scores_BHTS.masked_fill(hidden_TS, -torch.inf)
    weights_BHTS = scores_BHTS.softmax(dim=-1).to(q_BHTd.dtype)
    return F.dropout(weights_BHTS, dropout) @ v_BHSd, weights_BHTS


class Attention(nn.Module):
    """Queries from one stream, keys and values from the same or another, with fewer key-value heads than query heads.

    Keys are cached as they are compared: rotated once, not repeated over the heads of their group.
    """

    def __init__(self, config: Rot5Config, layer_index: int):
        super().__init__()
        self.d_kv = config.d_kv
        self.layer_index = layer_index
        self.dropout_rate = config.dropout_rate
        query_width = config.num_heads * config.d_kv
        key_width = (config.num_key_value_heads or config.num_heads) * config.d_kv
        self.q_proj = nn.Linear(config.d_model, query_width, bias=False)
        self.k_proj = nn.Linear(config.d_model, key_width, bias=False)
        self.v_proj = nn.Linear(config.d_model, key_width, bias=False)
        self.o_proj = nn.Linear(query_width, config.d_model, bias=False)

    def _heads(self, x_BTW: torch.Tensor) -> torch.Tensor:
        return x_BTW.unflatten(-1, (-1, self.d_kv)).transpose(1, 2)

    def _keys_and_values(
        self, source_BSD: torch.Tensor, table: RotationTable | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        k_BKSd, v_BKSd = self._heads(self.k_proj(source_BSD)), self._heads(self.v_proj(source_BSD))
        return (k_BKSd if table is None else rotate(k_BKSd, table)), v_BKSd

    def forward(
        self,
        x_BTD: torch.Tensor,
        memory_BSD: torch.Tensor | None,
        sight: Sight,
        query_table: RotationTable | None,
        key_table: RotationTable | None,
        causal: bool = False,
        cache: EncoderDecoderCache | None = None,
        output_attentions: bool = False,
    ) -> Attended:
        """Attend from `x_BTD` to itself, or to `memory_BSD` (cross-attention) whose keys a cache computes once."""
        q_BHTd = self._heads(self.q_proj(x_BTD))
        if query_table is not None:
            q_BHTd = rotate(q_BHTd, query_table)
        if memory_BSD is None:
            k_BKSd, v_BKSd = self._keys_and_values(x_BTD, key_table)
            if cache is not None:
                k_BKSd, v_BKSd = cache.self_attention_cache.update(k_BKSd, v_BKSd, self.layer_index)
        elif cache is not None and cache.is_updated.get(self.layer_index):
            layer = cache.cross_attention_cache.layers[self.layer_index]
            assert isinstance(layer, CacheLayerMixin) and layer.keys is not None and layer.values is not None
            k_BKSd, v_BKSd = layer.keys, layer.values
        else:
            k_BKSd, v_BKSd = self._keys_and_values(memory_BSD, key_table)
            if cache is not None:
                k_BKSd, v_BKSd = cache.cross_attention_cache.update(k_BKSd, v_BKSd, self.layer_index)
                cache.is_updated[self.layer_index] = True

        dropout = self.dropout_rate if self.training else 0.0
        if output_attentions:
            assert not isinstance(sight, Documents), "attention weights need a mask"
            mixed_BHTd, weights_BHTS = attend_eagerly(q_BHTd, k_BKSd, v_BKSd, sight, causal, dropout)
        else:
            mixed_BHTd, weights_BHTS = attend(q_BHTd, k_BKSd, v_BKSd, sight, causal, dropout), None
        return Attended(self.o_proj(mixed_BHTd.transpose(1, 2).flatten(2)), weights_BHTS)
