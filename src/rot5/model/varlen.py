"""Attention of packed rows as one stream of documents: PyTorch's variable-length kernel (CUDA, half precision).

Shape suffixes: B batch, T queries, S keys, N documents, H heads, K key-value heads, d head width.
"""

from typing import NamedTuple

import torch
from torch.nn.attention.varlen import varlen_attn

from rot5.model.scene import Scene


class Streams(NamedTuple):
    """Where documents begin and end in the flat streams of queries and keys, int32 [N + 1], and the longest of each."""

    query_bounds: torch.Tensor
    key_bounds: torch.Tensor
    longest_query: int
    longest_key: int
    causal: bool


def stream_scene(scene: Scene) -> Streams:
    """Plan an attention inside segments that count up from 1 in each row, with padding behind them.

    The padding of a row is one more document, so that nothing is moved; a segment that a row lacks is empty. Reads the
    device once.
    """
    query_segments_BT, key_segments_BS = scene.query_segments_BT, scene.key_segments_BS
    assert query_segments_BT is not None and key_segments_BS is not None, "rows without segments"
    most = int(torch.maximum(query_segments_BT.amax(), key_segments_BS.amax()))
    names = torch.arange(1, most + 2, device=query_segments_BT.device)
    names[-1] = 0

    def bounds(segments: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        sizes = (segments[:, :, None] == names).sum(dim=1).flatten()
        ends = sizes.cumsum(dim=0, dtype=torch.int32)
        return torch.cat((ends.new_zeros(1), ends)), sizes.amax()

    query_bounds, longest_query = bounds(query_segments_BT)
    key_bounds, longest_key = bounds(key_segments_BS)
    longest = torch.stack((longest_query, longest_key)).tolist()
    return Streams(query_bounds, key_bounds, longest[0], longest[1], scene.causal)


def attend_in_streams(
    q_BHTd: torch.Tensor, k_BKSd: torch.Tensor, v_BKSd: torch.Tensor, sight: Streams, scale: float, dropout: float
) -> tuple[torch.Tensor, None]:
    """Attention [B, H, T, d], equal to the masked one where there are tokens."""
    assert dropout == 0.0, "the configuration refuses dropout with this backend"
    q, k, v = (x.transpose(1, 2).flatten(0, 1) for x in (q_BHTd, k_BKSd, v_BKSd))
    mixed = varlen_attn(
        q, k, v, sight.query_bounds, sight.key_bounds, sight.longest_query, sight.longest_key,
        scale=scale, window_size=(-1, 0) if sight.causal else (-1, -1), enable_gqa=q.shape[1] != k.shape[1],
    )  # fmt: skip
    assert isinstance(mixed, torch.Tensor)
    return mixed.unflatten(0, (q_BHTd.shape[0], -1)).transpose(1, 2), None
