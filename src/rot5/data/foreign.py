"""Prepared pairs as another model's tokenizer reads their texts, in memory."""

from collections.abc import Callable, Iterable, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from rot5.data.ragged import Ragged
from rot5.data.sources import Pair

_PAIRS_AT_ONCE = 1024

ReadTexts = Callable[[Sequence[str]], list[list[int]]]
"""Texts to ids, with all that opens and closes them."""


class ForeignTexts:
    """One side of the pairs: the ids of all its texts, end to end."""

    def __init__(self, rows: Sequence[NDArray[np.int32]]) -> None:
        self.lengths: NDArray[np.int64] = np.array([len(row) for row in rows], np.int64)
        self._values = np.concatenate([*rows, np.zeros(0, np.int32)])
        self._starts = np.cumsum(self.lengths) - self.lengths

    @property
    def highest(self) -> int:
        """The highest id of all."""
        return int(self._values.max(initial=0))

    def read(self, documents: NDArray[np.int64], starts: NDArray[np.int64], stops: NDArray[np.int64]) -> Ragged:
        """The tokens from start to stop of each text."""
        lengths = stops - starts
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        places = np.repeat(self._starts[documents] + starts - offsets[:-1], lengths) + np.arange(offsets[-1])
        return Ragged(self._values[places].astype(np.int64), offsets)

    def rows(self, count: int) -> list[list[int]]:
        """The first `count` texts, or all where there are fewer."""
        chosen = zip(self._starts[:count].tolist(), self.lengths[:count].tolist(), strict=True)
        return [self._values[start : start + length].tolist() for start, length in chosen]


class ForeignPairs:
    """Pairs of text as a tokenizer reads them."""

    def __init__(self, pairs: Iterable[Pair], read_inputs: ReadTexts, read_targets: ReadTexts) -> None:
        inputs, targets, sizes = [], [], []
        waiting = iter(pairs)
        while some := list(islice(waiting, _PAIRS_AT_ONCE)):
            inputs += [np.array(ids, np.int32) for ids in read_inputs([pair.input for pair in some])]
            targets += [np.array(ids, np.int32) for ids in read_targets([pair.target for pair in some])]
            sizes += [len(pair.target.encode()) for pair in some]
        self.inputs, self.targets = ForeignTexts(inputs), ForeignTexts(targets)
        self.target_bytes: NDArray[np.int64] = np.array(sizes, np.int64)
        """UTF-8 bytes of each target text."""
