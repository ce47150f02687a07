"""What the machine can do at best: large matrix products, and copying memory."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from rot5 import runtime

SIZE = 2048
"""Rows and columns of the matrices."""

COPIED = 2**27
"""Bytes of the copied block: far beyond caches."""

ROUNDS = 8


@dataclass(frozen=True)
class Ceilings:
    """Operations per second of large matrix products (2 n^3 each), and bytes per second read or written in copying."""

    matmul_bf16: float
    matmul_float32: float
    bandwidth: float


def measure_ceilings() -> Ceilings:
    """Measure the device at hand, in a few seconds."""
    device = runtime.device()
    a, b = (torch.randn(SIZE, SIZE, device=device) for _ in range(2))
    low_a, low_b = a.bfloat16(), b.bfloat16()
    source = torch.zeros(COPIED, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return Ceilings(
        2 * SIZE**3 / _seconds(lambda: torch.mm(low_a, low_b), device),
        2 * SIZE**3 / _seconds(lambda: torch.mm(a, b), device),
        2 * COPIED / _seconds(lambda: target.copy_(source), device),
    )


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    """Median time of the work, behind two rounds to warm up."""
    seconds = []
    for _ in range(ROUNDS + 2):
        began = time.perf_counter()
        work()
        wait(device)
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[2:])


def wait(device: torch.device) -> None:
    """Until the device has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize()
