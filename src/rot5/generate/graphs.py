"""Steps as CUDA graphs: captured once for each kind, then replayed by a single call, so that no GPU waits for a host.

No GPU has measured it yet; a test replays the same steps from graphs that the CPU traces.
"""

from collections.abc import Callable, Hashable
from typing import Any

import torch

Step = Callable[[], Any]
"""Gives a tensor, or several; reads and writes tensors that stay where they are. Doing it twice in a row is as good as
once."""


def capture(step: Step) -> Step:
    """The step as a CUDA graph. What it gives is overwritten the next time."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        step()  # libraries set themselves up in a first call, which must not be captured
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        given = step()

    def replay() -> torch.Tensor:
        graph.replay()
        return given

    return replay


class Replays:
    """Captured steps by their kind, for as long as their tensors stay where they are."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, Step] = {}

    def __call__(self, kind: Hashable, step: Step) -> Any:
        """Do the step as it was captured when one of its kind was first done."""
        if kind not in self._kept:
            self._kept[kind] = capture(step)
        return self._kept[kind]()

    def clear(self) -> None:
        """Forget all: tensors have moved."""
        self._kept.clear()
