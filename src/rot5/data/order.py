"""The order of the data: which piece of which document example n of a run shows, for any n, without memory."""

import math
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rot5.data.randomness import GOLDEN, Stream, bits, mix

FEISTEL_ROUNDS = 8


class Pieces(NamedTuple):
    """Parts of documents, tokens `start` up to `stop` of each; all arrays have one entry per piece."""

    document: NDArray[np.int64]
    start: NDArray[np.int64]
    stop: NDArray[np.int64]
    ends_document: NDArray[np.bool_]


def permutation(seed: int, epochs: ArrayLike, positions: ArrayLike, size: int) -> NDArray[np.int64]:
    """Where each position in [0, size) comes to lie in the shuffle of its epoch: a bijection for every seed and epoch.

    A Feistel network on pairs of digits (high, low), the smallest grid that holds `size` values; results outside [0,
    size) are encrypted again until they fall inside ("cycle walking": Black and Rogaway, "Ciphers with arbitrary finite
    domains", 2002).
    """
    epochs, positions = np.broadcast_arrays(np.asarray(epochs, np.int64), np.asarray(positions, np.int64))
    low_size = np.uint64(max(1, math.isqrt(max(size, 1) - 1) + 1))
    high_size = np.uint64(max(1, -(-size // int(low_size))))
    keys = [bits(seed, Stream.ORDER, epochs, turn) for turn in range(FEISTEL_ROUNDS)]
    values = positions.astype(np.uint64)
    walking = np.arange(values.size)
    while walking.size:
        high, low = np.divmod(values[walking], low_size)
        for turn, key in enumerate(keys):
            if turn % 2:
                low = (low + mix(key[walking] + high * GOLDEN) % low_size) % low_size
            else:
                high = (high + mix(key[walking] + low * GOLDEN) % high_size) % high_size
        values[walking] = high * low_size + low
        walking = walking[values[walking] >= np.uint64(size)]
    return values.astype(np.int64)


def visit(numbers: ArrayLike, size: int, seed: int, shuffle: bool) -> NDArray[np.int64]:
    """The item in [0, size) that each example number shows; every `size` numbers are one pass over the items."""
    epochs, positions = np.divmod(np.asarray(numbers, np.int64), size)
    return permutation(seed, epochs, positions, size) if shuffle else positions


class Ordered(Protocol):
    """What says which piece an example shows."""

    longest_piece: int

    @property
    def num_pieces(self) -> int: ...

    def pieces(self, numbers: ArrayLike) -> Pieces: ...


class Order:
    """Documents cut into pieces, and the pieces in the order in which a run meets them.

    A document longer than `longest_piece` tokens is cut into the fewest equal parts (their lengths differ by one token
    at most); nothing is dropped. Empty documents are skipped.
    """

    def __init__(self, document_lengths: ArrayLike, longest_piece: int, seed: int, shuffle: bool = True) -> None:
        if longest_piece < 1:
            raise ValueError(f"longest_piece is {longest_piece}; pieces hold at least one token")
        self.longest_piece = longest_piece
        self.seed = seed
        self.shuffle = shuffle
        self._lengths = np.asarray(document_lengths, np.int64)
        # In place: these two arrays are all that a corpus of any size keeps in memory.
        self._ends = self._lengths + (longest_piece - 1)
        self._ends //= longest_piece
        np.cumsum(self._ends, out=self._ends)

    @property
    def num_pieces(self) -> int:
        """Pieces in one pass over the documents."""
        return int(self._ends[-1]) if self._ends.size else 0

    @property
    def num_tokens(self) -> int:
        """Tokens in one pass over the documents."""
        return int(self._lengths.sum())

    def pieces(self, numbers: ArrayLike) -> Pieces:
        """The piece of each example number (int64, any numbers from 0 on, epochs mixed as they come)."""
        piece = visit(numbers, self.num_pieces, self.seed, self.shuffle)
        document = np.searchsorted(self._ends, piece, side="right")
        length = self._lengths[document]
        parts = -(-length // self.longest_piece)
        part = piece - (self._ends[document] - parts)
        return Pieces(document, part * length // parts, (part + 1) * length // parts, part + 1 == parts)
