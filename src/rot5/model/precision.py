"""Which precision matrix products run in."""

import torch


def product_dtype(x: torch.Tensor) -> torch.dtype:
    """What autocast would convert `x` to for a matrix product; its own type where autocast is off.

    Converting once what several products share, and not in each of them, saves passes over memory.
    """
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype
