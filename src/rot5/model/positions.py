"""What attention knows of positions: rotation tables (RoPE) and T5's learned bias by distance.

Shape suffixes: B batch, T queries, S keys, H heads, d head width.
"""

import math

import torch
from torch import nn

from rot5.model.configuration_rot5 import Rot5Config

RotationTable = tuple[torch.Tensor, torch.Tensor]
"""What a feature is multiplied by, and what the other one of its pair is, [B, 1, T, d] each: the cosine; the sine,
negative for the first half of the features."""


def rotation_table(
    positions_BT: torch.Tensor, config: Rot5Config, lengths_BT: torch.Tensor | None = None
) -> RotationTable:
    """The rotation, float32, by each position's angles (RoFormer, arXiv:2104.09864, section 3.2).

    In float32 whatever the model's precision: bfloat16 cannot tell positions beyond 256 apart. Linear scaling
    divides the positions by `factor` (arXiv:2306.15595). Dynamic scaling raises theta once a document's input is longer
    than `max_position_embeddings` (transformers' dynamic NTK). `lengths_BT` is the length of that input, in all three
    attentions: it is known before the first token is decoded, so that a cached key stays true as the answer grows, and
    it is the document's own, so that others in the batch change nothing.
    """
    rope, d = config.rope_parameters or {}, config.d_kv
    exponents = torch.arange(0, d, 2, dtype=torch.float32, device=positions_BT.device) / d
    angles = positions_BT[:, None, :, None].float()
    if rope["rope_type"] == "dynamic":
        assert lengths_BT is not None, "dynamic scaling needs the lengths of documents"
        trained, factor = config.max_position_embeddings, rope["factor"]
        stretch_BT = factor * lengths_BT.clamp(min=trained).float() / trained - (factor - 1)
        theta_B1T1 = (rope["rope_theta"] * stretch_BT ** (d / (d - 2)))[:, None, :, None]
        angles = angles * (1.0 / theta_B1T1**exponents)
    else:
        factor = rope["factor"] if rope["rope_type"] == "linear" else 1.0
        angles = angles * (1.0 / rope["rope_theta"] ** exponents / factor)
    cos, sin = angles.cos(), angles.sin()
    return torch.cat((cos, cos), dim=-1), torch.cat((-sin, sin), dim=-1)


class _Rotation(torch.autograd.Function):
    """Rotation by angles; its gradient is turned back."""

    @staticmethod
    def forward(ctx, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(cos, sin)
        return _turned(x, cos, sin)

    @staticmethod
    def backward(ctx, *output_gradients: torch.Tensor):
        cos, sin = ctx.saved_tensors
        return _turned(output_gradients[0], cos, -sin), None, None


def _turned(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    first, second = x.chunk(2, dim=-1)
    return (x * cos).addcmul_(torch.cat((second, first), dim=-1), sin)


def rotate(x_BHTd: torch.Tensor, table: RotationTable) -> torch.Tensor:
    """Turn each feature pair (i, i + d/2) by the table's angles, in the precision of `x_BHTd`."""
    cos, sin = table
    return _Rotation.apply(x_BHTd, cos.to(x_BHTd.dtype), sin.to(x_BHTd.dtype))  # type: ignore[return-value]


def relative_buckets(distances: torch.Tensor, bidirectional: bool, num_buckets: int, max_distance: int) -> torch.Tensor:
    """Bucket of each distance key - query (T5, arXiv:1910.10683, section 2.1): near ones exact, far ones by logarithm.

    Bidirectional buckets tell keys ahead from keys behind; causal ones take keys ahead for distance 0.

    >>> relative_buckets(torch.tensor([-200, -20, -3, 0, 3, 200]), True, 32, 128).tolist()
    [15, 10, 3, 0, 19, 31]
    >>> relative_buckets(torch.tensor([-200, -20, -3, 0, 3]), False, 32, 128).tolist()
    [31, 17, 3, 0, 0]
    """
    if bidirectional:
        num_buckets //= 2
        offset = (distances > 0).long() * num_buckets
        distances = distances.abs()
    else:
        offset = 0
        distances = (-distances).clamp(min=0)
    exact = num_buckets // 2
    steps = torch.log(distances.float().clamp(min=1) / exact) / math.log(max_distance / exact) * (num_buckets - exact)
    far = (exact + steps.long()).clamp(max=num_buckets - 1)
    return offset + torch.where(distances < exact, distances, far)


class RelativeBias(nn.Module):
    """A learned number per head and bucket of distance, added to attention scores; one table for a whole stack."""

    def __init__(self, config: Rot5Config, bidirectional: bool):
        super().__init__()
        self.bidirectional = bidirectional
        self.max_distance = config.relative_attention_max_distance
        self.weight = nn.Parameter(torch.zeros(config.relative_attention_num_buckets, config.num_heads))

    def _buckets(self, distances: torch.Tensor) -> torch.Tensor:
        return relative_buckets(distances, self.bidirectional, len(self.weight), self.max_distance)

    def at(self, distance: torch.Tensor, head: torch.Tensor) -> torch.Tensor:
        """Bias of one head at one distance key - query (for kernels that see one score at a time)."""
        return self.weight[self._buckets(distance), head]

    def forward(self, query_positions_BT: torch.Tensor, key_positions_BS: torch.Tensor) -> torch.Tensor:
        """Bias [B, H, T, S]."""
        buckets_BTS = self._buckets(key_positions_BS[:, None, :] - query_positions_BT[:, :, None])
        return nn.functional.embedding(buckets_BTS, self.weight).permute(0, 3, 1, 2)
