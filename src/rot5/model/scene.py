"""Where tokens stand in their rows, and which of them meet in an attention.

Shape suffixes: B batch, T tokens of the stream at hand (queries), S keys, D d_model.
"""

from typing import NamedTuple

import torch

from rot5.model.positions import RelativeBias


class Layout(NamedTuple):
    """Where the tokens of a stream stand: segment (0 is padding) and position within it, int64.

    `segments_BS` is None where nothing is padded or packed. Segments and `all_positions_BS` span cached tokens too,
    `positions_BT` the new ones alone.
    """

    segments_BS: torch.Tensor | None
    positions_BT: torch.Tensor
    all_positions_BS: torch.Tensor

    @property
    def new_segments_BT(self) -> torch.Tensor | None:
        """Segments of the new tokens."""
        return None if self.segments_BS is None else self.segments_BS[:, -self.positions_BT.shape[1] :]

    @property
    def real_BT(self) -> torch.Tensor | None:
        """Which new tokens are no padding; None for all."""
        return None if self.new_segments_BT is None else self.new_segments_BT != 0


class Scene(NamedTuple):
    """Queries and keys of one attention. Segments are None, both of them, where everything may be seen."""

    query_segments_BT: torch.Tensor | None
    key_segments_BS: torch.Tensor | None
    query_positions_BT: torch.Tensor
    key_positions_BS: torch.Tensor
    causal: bool
    dtype: torch.dtype
    bias: RelativeBias | None
    """What positions add to the scores."""


def layout(
    embeds_BTD: torch.Tensor,
    attention_mask: torch.Tensor | None,
    segments_BT: torch.Tensor | None,
    positions_BT: torch.Tensor | None,
    past: int = 0,
) -> Layout:
    """Settle what the caller left open: a 0/1 mask is one segment, positions count the real tokens.

    With `past` cached tokens, the mask spans them too and given positions are those of the new tokens.
    """
    B, T = embeds_BTD.shape[:2]
    if segments_BT is None and attention_mask is not None:
        segments_BT = attention_mask.long()
    if positions_BT is not None and past == 0:
        return Layout(segments_BT, positions_BT, positions_BT)
    if segments_BT is None:
        counted_BS = torch.arange(past + T, device=embeds_BTD.device).expand(B, past + T)
    else:
        counted_BS = ((segments_BT != 0).cumsum(dim=1) - 1).clamp(min=0)
    if positions_BT is not None:
        counted_BS = torch.cat((counted_BS[:, :past], positions_BT), dim=1)
    return Layout(segments_BT, counted_BS[:, -T:], counted_BS)


def scene_between(
    queries: Layout, keys: Layout, causal: bool, dtype: torch.dtype, bias: RelativeBias | None = None
) -> Scene:
    """The attention of a stream's new tokens to all tokens of the same or another stream."""
    query_segments, key_segments = queries.new_segments_BT, keys.segments_BS
    if query_segments is None and key_segments is not None:
        query_segments = torch.ones_like(queries.positions_BT)
    if key_segments is None and query_segments is not None:
        key_segments = torch.ones_like(keys.all_positions_BS)
    return Scene(query_segments, key_segments, queries.positions_BT, keys.all_positions_BS, causal, dtype, bias)


def document_lengths(tokens: Layout, documents: Layout) -> torch.Tensor:
    """How many tokens of `documents` share the segment of each new token of `tokens`, int64 [B, T]."""
    scene = scene_between(tokens, documents, False, torch.float32)
    if scene.query_segments_BT is None or scene.key_segments_BS is None:
        return torch.full_like(tokens.positions_BT, documents.all_positions_BS.shape[1])
    return (scene.query_segments_BT[:, :, None] == scene.key_segments_BS[:, None, :]).sum(dim=-1)
