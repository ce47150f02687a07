"""Where tokens stand in their rows, and what each attention may therefore see.

Shape suffixes: B batch, T tokens of the stream at hand, D d_model.
"""

from typing import NamedTuple

import torch

from rot5.model.attention import Sight, segment_mask
from rot5.model.configuration_rot5 import Rot5Config
from rot5.model.documents import group_documents


class Layout(NamedTuple):
    """Where the tokens of a stream stand: segment (0 is padding) and position within it, int64 [B, T].

    `segments_BT` is None where nothing is padded or packed, so that no mask is needed.
    """

    segments_BT: torch.Tensor | None
    positions_BT: torch.Tensor


def layout(
    embeds_BTD: torch.Tensor,
    attention_mask: torch.Tensor | None,
    segments_BT: torch.Tensor | None,
    positions_BT: torch.Tensor | None,
    past: int = 0,
) -> Layout:
    """Settle what the caller left open: a 0/1 mask is one segment, positions count the real tokens.

    With `past` cached tokens, the mask spans them too and the positions are those of the new tokens.
    """
    B, T = embeds_BTD.shape[:2]
    if segments_BT is None and attention_mask is not None:
        segments_BT = attention_mask.long()
    if positions_BT is None:
        if segments_BT is None:
            positions_BT = torch.arange(past, past + T, device=embeds_BTD.device).expand(B, T)
        else:
            positions_BT = ((segments_BT != 0).cumsum(dim=1) - 1).clamp(min=0)[:, -T:]
    return Layout(segments_BT, positions_BT)


def sight_between(
    queries: Layout, keys: Layout, causal: bool, embeds_BTD: torch.Tensor, num_keys: int, per_document: bool
) -> Sight:
    """What one attention may see, in the form its backend wants; None where `causal` alone says everything.

    It does not where several queries stand behind cached keys: PyTorch's causal flag takes both to begin together.
    """
    B, T = embeds_BTD.shape[:2]
    continues = causal and 1 < T < num_keys
    if queries.segments_BT is None and keys.segments_BT is None and not continues:
        return None
    ones = torch.ones((B, num_keys), dtype=torch.long, device=embeds_BTD.device)
    key_segments = ones if keys.segments_BT is None else keys.segments_BT
    query_segments = ones[:, :1].expand(B, T) if queries.segments_BT is None else queries.segments_BT[:, -T:]
    make = group_documents if per_document else segment_mask
    return make(query_segments, key_segments, causal, embeds_BTD.dtype)


def attends_per_document(config: Rot5Config, x_BTD: torch.Tensor, packed: bool, output_attentions: bool) -> bool:
    """Whether packed rows are taken apart: as set, or (auto) on a CPU, where masked attention is slow.

    Compiled code keeps the mask, whose shape does not change from batch to batch.
    """
    if not packed or output_attentions or config.attention_backend == "sdpa":
        return False
    return config.attention_backend == "per_document" or (
        x_BTD.device.type == "cpu" and not torch.compiler.is_compiling()
    )
