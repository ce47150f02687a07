"""Rotary positions: queries and keys turn with their positions, so that scores depend on distance alone.

RoFormer, arXiv:2104.09864, section 3.2. Shape suffixes: B batch, T tokens, H heads, d head width.
"""

import torch

ROPE_TYPES = ("default",)


def rotation_table(
    positions_BT: torch.Tensor, d_kv: int, rope_parameters: dict | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines and sines, float32 [B, 1, T, d], of each position's angles.

    Computed in float32 whatever the model's precision: bfloat16 cannot tell positions beyond 256 apart.
    Raises ValueError for a `rope_type` that is not known.
    """
    assert rope_parameters is not None, "the configuration fills them in"
    if rope_parameters["rope_type"] not in ROPE_TYPES:
        raise ValueError(f"rope_type {rope_parameters['rope_type']!r} is not one of {', '.join(ROPE_TYPES)}")
    exponents = torch.arange(0, d_kv, 2, dtype=torch.float32, device=positions_BT.device) / d_kv
    frequencies = 1.0 / (rope_parameters["rope_theta"] ** exponents)
    angles = positions_BT[:, None, :, None].float() * frequencies
    angles = torch.cat((angles, angles), dim=-1)
    return angles.cos(), angles.sin()


def rotate(x_BHTd: torch.Tensor, table: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """Turn each feature pair (i, i + d/2) by the table's angles; the result has the dtype of `x_BHTd`."""
    cos, sin = table
    first, second = x_BHTd.chunk(2, dim=-1)
    turned = torch.cat((-second, first), dim=-1)
    return (x_BHTd * cos + turned * sin).to(x_BHTd.dtype)
