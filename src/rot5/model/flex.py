"""Attention of packed rows by FlexAttention: blocks of a row that hold no common document are skipped.

On CUDA the kernel is compiled; on a CPU it runs forward only. Shape suffixes: B batch, T queries, S keys, H heads, K
key-value heads, d head width.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention

from rot5.model.scene import Scene


class Blocks(NamedTuple):
    """Which blocks of queries and keys meet, and what is added to their scores."""

    mask: BlockMask
    score: Callable | None


def block_scene(scene: Scene) -> Blocks:
    """Plan an attention inside segments. A padding query that finds no padding key gives 0."""
    query_segments_BT, key_segments_BS = scene.query_segments_BT, scene.key_segments_BS
    assert query_segments_BT is not None and key_segments_BS is not None, "rows without segments"
    (B, T), S = query_segments_BT.shape, key_segments_BS.shape[1]

    def inside(b, h, query, key):
        together = query_segments_BT[b, query] == key_segments_BS[b, key]
        return together & (key <= query) if scene.causal else together

    def biased(score, b, h, query, key):
        assert scene.bias is not None
        distance = scene.key_positions_BS[b, key] - scene.query_positions_BT[b, query]
        return score + scene.bias.at(distance, h)

    mask = create_block_mask(inside, B, None, T, S, device=str(query_segments_BT.device))
    return Blocks(mask, None if scene.bias is None else biased)


@functools.cache
def _kernel(device_type: str) -> Callable:
    return torch.compile(flex_attention) if device_type == "cuda" else flex_attention


def attend_in_blocks(
    q_BHTd: torch.Tensor, k_BKSd: torch.Tensor, v_BKSd: torch.Tensor, sight: Blocks, scale: float, dropout: float
) -> tuple[torch.Tensor, None]:
    """Attention [B, H, T, d], equal to the masked one where there are tokens."""
    assert dropout == 0.0, "the configuration refuses dropout with this backend"
    kernel = flex_attention if torch.compiler.is_compiling() else _kernel(q_BHTd.device.type)
    mixed_BHTd = kernel(
        q_BHTd, k_BKSd, v_BKSd, score_mod=sight.score, block_mask=sight.mask, scale=scale, enable_gqa=True
    )
    return mixed_BHTd, None
