"""Pairs of an input text and a target text as examples: what fine-tuning packs."""

from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rot5.data.order import visit
from rot5.data.ragged import Ragged

if TYPE_CHECKING:
    from rot5.data.tokenizer import SpecialIds


class Texts(Protocol):
    """What is needed of each side of a corpus of pairs."""

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each text."""
        ...

    def read(self, documents: NDArray[np.int64], starts: NDArray[np.int64], stops: NDArray[np.int64]) -> Ragged:
        """The tokens from start to stop of each text."""
        ...


class TextPairs(Protocol):
    """What is needed of a corpus of pairs: pair i is text i of both sides."""

    @property
    def inputs(self) -> Texts: ...

    @property
    def targets(self) -> Texts: ...


class PairPlan(NamedTuple):
    """N pairs without their tokens; each array has one entry per pair."""

    numbers: NDArray[np.int64]
    pair: NDArray[np.int64]
    kinds: NDArray[np.int64]
    story_tokens: NDArray[np.int64]
    input_lengths: NDArray[np.int64]
    target_lengths: NDArray[np.int64]


class WholePairs:
    """Pairs of texts that already hold what opens and closes them, as another model's tokenizer writes them.

    Story tokens count both texts as `story` has them, by default the same pairs.
    """

    kind_names: tuple[str, ...] = ("pairs",)

    def __init__(
        self,
        corpus: TextPairs,
        seed: int,
        shuffle: bool = True,
        limit: int | None = None,
        story: TextPairs | None = None,
    ) -> None:
        self.corpus = corpus
        self.limit = limit
        self.seed = seed
        self.shuffle = shuffle
        self._story = story or corpus
        self._head = self._tail = np.zeros(0, np.int64)

    def __len__(self) -> int:
        """Pairs in one pass: all, or the first `limit`."""
        size = len(self.corpus.inputs.lengths)
        return size if self.limit is None else min(self.limit, size)

    def longest(self) -> tuple[int, int]:
        """The longest input and the longest target as they are read, with what opens and closes them."""
        inputs, targets = (
            int(np.max(side.lengths[: len(self)], initial=0)) for side in (self.corpus.inputs, self.corpus.targets)
        )
        return inputs + self._head.size + self._tail.size, targets + self._tail.size

    @property
    def target_lengths(self) -> NDArray[np.int64]:
        """Tokens of the target of each pair of a pass, with what closes it."""
        return np.asarray(self.corpus.targets.lengths, np.int64)[: len(self)] + self._tail.size

    def targets(self, pair: NDArray[np.int64]) -> Ragged:
        """The targets of these pairs, with what closes them."""
        side = self.corpus.targets
        read = side.read(pair, np.zeros_like(pair), np.asarray(side.lengths, np.int64)[pair])
        return _framed(read, self._tail[:0], self._tail)

    def problems(self, encoder_length: int, decoder_length: int) -> list[str]:
        """What does not fit rows of these lengths; nothing is ever truncated."""
        return [
            f"{setting} is {given}, less than the longest {what} of {needed} tokens: set {setting} to {needed} or more"
            for setting, given, what, needed in zip(
                ("encoder_length", "decoder_length"),
                (encoder_length, decoder_length),
                ("input", "target"),
                self.longest(),
                strict=True,
            )
            if needed > given
        ]

    def plan(self, numbers: ArrayLike) -> PairPlan:
        """Which pairs examples `numbers` (int64[N]) are, and how long."""
        numbers = np.asarray(numbers, np.int64)
        pair = visit(numbers, len(self), self.seed, self.shuffle)
        inputs, targets = (
            np.asarray(side.lengths, np.int64)[pair] + self._tail.size
            for side in (self.corpus.inputs, self.corpus.targets)
        )
        told, retold = (np.asarray(side.lengths, np.int64)[pair] for side in (self._story.inputs, self._story.targets))
        return PairPlan(numbers, pair, np.zeros_like(pair), told + retold, inputs + self._head.size, targets)

    def materialise(self, plan: PairPlan, chosen: NDArray[np.int64]) -> tuple[Ragged, Ragged]:
        """Inputs and targets of the chosen (int64[K], indices into the plan) pairs, in that order."""
        pair, side = plan.pair[chosen], self.corpus.inputs
        inputs = side.read(pair, np.zeros_like(pair), np.asarray(side.lengths, np.int64)[pair])
        return _framed(inputs, self._head, self._tail), self.targets(pair)


class Pairs(WholePairs):
    """Pairs as we write them: mode token (if one is set), input, EOS; and target, EOS."""

    def __init__(
        self,
        corpus: TextPairs,
        specials: "SpecialIds",
        mode: str | None,
        seed: int,
        shuffle: bool = True,
        limit: int | None = None,
    ) -> None:
        super().__init__(corpus, seed, shuffle, limit)
        self.specials = specials
        self.mode = mode
        self._head = np.array([] if mode is None else [specials.modes[mode]], np.int64)
        self._tail = np.array([specials.eos], np.int64)


def _framed(rows: Ragged, head: NDArray[np.int64], tail: NDArray[np.int64]) -> Ragged:
    """Each row with `head` before it and `tail` behind it."""
    added = head.size + tail.size
    offsets = rows.offsets + np.arange(rows.offsets.size) * added
    values = np.empty(offsets[-1], np.int64)
    free = np.ones(values.size, np.bool_)
    for ids, first in ((head, offsets[:-1]), (tail, offsets[1:] - tail.size)):
        places = (first[:, None] + np.arange(ids.size)).reshape(-1)
        values[places] = np.tile(ids, first.size)
        free[places] = False
    values[free] = rows.values
    return Ragged(values, offsets)
