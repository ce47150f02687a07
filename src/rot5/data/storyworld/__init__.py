"""StoryWorld: a simulated world of children's stories with gold answers."""

from __future__ import annotations

from rot5.data.storyworld.compose import compose
from rot5.data.storyworld.records import Record, write_instruct, write_jsonl
from rot5.data.storyworld.world import Fact

__all__ = ["Fact", "Record", "StoryWorld", "is_test", "write_instruct", "write_jsonl"]


def is_test(n: int) -> bool:
    """Whether index n of the normal stream belongs to the test split."""
    return n % 10 in (1, 3, 7)


class StoryWorld:
    """An endless list of records: `StoryWorld(seed)[n]` is a pure function of (seed, n).

    With `held_out` it is the second stream, whose records are made of reserved compositions only.
    """

    def __init__(self, seed: int = 0, held_out: bool = False):
        self.seed = seed
        self.held_out = held_out

    def __getitem__(self, n: int) -> Record:
        if n < 0:
            raise IndexError(f"StoryWorld index {n} is negative")
        split = "held_out" if self.held_out else "test" if is_test(n) else "train"
        return compose(self.seed, n, self.held_out, split)
