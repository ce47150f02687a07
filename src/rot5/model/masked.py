"""Attention under a mask: PyTorch's fused kernels, or its definition with the weights laid open.

Shape suffixes: B batch, T queries, S keys, H heads, K key-value heads, d head width.
"""

from typing import NamedTuple

import torch
from torch.nn import functional as F

from rot5.model.scene import Scene


class Masked(NamedTuple):
    """What each query may see, as numbers added to the scores: [B or 1, H or 1, T, S], or None for everything."""

    mask_BHTS: torch.Tensor | None
    causal: bool
    """Whether, without a mask, queries see nothing behind themselves."""
    eager: bool
    """Whether attention weights are wanted."""


def mask_scene(scene: Scene, eager: bool = False) -> Masked:
    """Additive mask: 0 (or the bias) where a query may look, the lowest number elsewhere.

    A query sees the keys of its own segment and, if causal, none behind it; queries are the last T of the S positions
    then. Padding (segment 0) is never seen by a real token. Padding queries see everything, which keeps their unused
    outputs finite. No mask is made where causality alone says everything; it does not where several queries stand
    behind cached keys, for PyTorch's causal flag takes both to begin together.
    """
    T, S = scene.query_positions_BT.shape[1], scene.key_positions_BS.shape[1]
    visible_BTS = None
    if scene.query_segments_BT is not None and scene.key_segments_BS is not None:
        query_BT1 = scene.query_segments_BT[:, :, None]
        visible_BTS = (query_BT1 == scene.key_segments_BS[:, None, :]) | (query_BT1 == 0)
    if scene.causal and T > 1 and (T < S or scene.bias is not None or visible_BTS is not None):
        behind_TS = torch.ones(T, S, dtype=torch.bool, device=scene.query_positions_BT.device).tril(S - T)
        if visible_BTS is None:
            visible_BTS = behind_TS[None]
        else:
            assert scene.query_segments_BT is not None
            visible_BTS = visible_BTS & (behind_TS | (scene.query_segments_BT == 0)[:, :, None])
    mask_BHTS = None
    if scene.bias is not None:
        mask_BHTS = scene.bias(scene.query_positions_BT, scene.key_positions_BS).to(scene.dtype)
    if visible_BTS is not None:
        base = visible_BTS.new_zeros((), dtype=scene.dtype) if mask_BHTS is None else mask_BHTS
        mask_BHTS = torch.where(visible_BTS[:, None], base, torch.finfo(scene.dtype).min)
    return Masked(mask_BHTS, scene.causal and T > 1, eager)


def attend_masked(
    q_BHTd: torch.Tensor, k_BKSd: torch.Tensor, v_BKSd: torch.Tensor, sight: Masked, scale: float, dropout: float
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Attention [B, H, T, d], and its weights [B, H, T, S] where they are wanted (float32 softmax, before dropout)."""
    groups = q_BHTd.shape[1] // k_BKSd.shape[1]
    if groups > 1:
        k_BKSd, v_BKSd = k_BKSd.repeat_interleave(groups, dim=1), v_BKSd.repeat_interleave(groups, dim=1)
    mask_BHTS, causal = sight.mask_BHTS, sight.causal and sight.mask_BHTS is None
    if not sight.eager:
        added = None if mask_BHTS is None else mask_BHTS.to(q_BHTd.dtype)
        return F.scaled_dot_product_attention(
            q_BHTd, k_BKSd, v_BKSd, attn_mask=added, dropout_p=dropout, is_causal=causal, scale=scale
        ), None
    scores_BHTS = (q_BHTd @ k_BKSd.transpose(2, 3)).float() * scale
    if mask_BHTS is not None:
        scores_BHTS = scores_BHTS + mask_BHTS
    elif causal:
        T, S = scores_BHTS.shape[-2:]
        hidden_TS = torch.ones(T, S, dtype=torch.bool, device=scores_BHTS.device).triu(S - T + 1)
        scores_BHTS = scores_BHTS.masked_fill(hidden_TS, -torch.inf)
    weights_BHTS = scores_BHTS.softmax(dim=-1).to(q_BHTd.dtype)
    return F.dropout(weights_BHTS, dropout) @ v_BKSd, weights_BHTS
