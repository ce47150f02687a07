"""Padded rows for models that know no packed ones: a pair a row, and in each step pairs of like length."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rot5.data.batches import IGNORED, Batch
from rot5.data.pairs import WholePairs
from rot5.data.ragged import Ragged
from rot5.data.randomness import Stream, bits
from rot5.errors import UserError

STEPS = 64
"""Steps whose examples are sorted among each other."""

BLOCK = 8
"""Steps of like inputs whose examples are sorted by their targets."""


@dataclass(frozen=True)
class PaddedBatch(Batch):
    """Rows of one example each: `input_ids`, `attention_mask`: int64[rows, longest input]; `labels`: int64[rows,
    longest target]. What the decoder reads is made of the labels by the model."""

    @property
    def encoder_fill(self) -> float:
        """The share of encoder positions that are no padding."""
        return float(self.fields["attention_mask"].mean())

    @property
    def decoder_fill(self) -> float:
        """The share of decoder positions that are no padding."""
        return float((self.fields["labels"] != IGNORED).mean())


class PaddedRows:
    """Endless rows of one example each; row r is a pure function of (seed, step rows, r).

    Examples of a window are sorted by length and dealt out to its steps, so that each step pads little, however it is
    cut; the steps of a window come in an order drawn at random.
    """

    def __init__(self, examples: WholePairs, pad: int, step_rows: int) -> None:
        if len(examples) == 0:
            raise UserError("there are no examples to pad: the corpus is empty")
        self.examples = examples
        self.pad = pad
        self.step_rows = step_rows
        self._steps = max(1, min(STEPS, len(examples) // step_rows))
        self._order: tuple[int, NDArray[np.int64]] = (-1, np.zeros(0, np.int64))

    def state(self, row: int) -> dict[str, int]:
        """The state of the data when `row` rows are consumed, for `resume`."""
        return {"rows": row}

    def resume(self, state: dict[str, int]) -> int:
        """Take up a state and return the next row."""
        return state["rows"]

    def rows(self, first: int, count: int, rank: int = 0, world_size: int = 1) -> PaddedBatch:
        """Rows `first` up to `first + count` of the run, every `world_size`-th for a rank."""
        numbers = np.array([self._number(row) for row in range(first, first + count)], np.int64)
        plan = self.examples.plan(numbers)
        chosen = np.arange(count)[rank::world_size]
        inputs, targets = self.examples.materialise(plan, chosen)
        input_ids, attention_mask = _padded(inputs, self.pad)
        fields = {"input_ids": input_ids, "attention_mask": attention_mask, "labels": _padded(targets, IGNORED)[0]}
        return PaddedBatch(
            fields,
            numbers[chosen][:, None],
            plan.kinds[chosen][:, None],
            int(plan.story_tokens.sum()),
            int(plan.target_lengths.sum()),
        )

    def _number(self, row: int) -> int:
        """The example in a row."""
        window, place = divmod(row, self._steps * self.step_rows)
        if self._order[0] != window:
            self._order = (window, self._ordered(window))
        return int(self._order[1][place])

    def _ordered(self, window: int) -> NDArray[np.int64]:
        """The examples of a window in the order of its rows."""
        size = self._steps * self.step_rows
        numbers = np.arange(window * size, (window + 1) * size)
        plan = self.examples.plan(numbers)
        by_input = np.argsort(plan.input_lengths, kind="stable")
        block = np.empty(size, np.int64)
        block[by_input] = np.arange(size) // (BLOCK * self.step_rows)
        sorted_steps = np.lexsort((plan.target_lengths, block)).reshape(self._steps, self.step_rows)
        turns = np.argsort(bits(self.examples.seed, Stream.BUCKETS, window, np.arange(self._steps)), kind="stable")
        return numbers[sorted_steps[turns].reshape(-1)]


def _padded(rows: Ragged, filler: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """int64[rows, longest] with `filler` behind each row's end, and of the same shape 1 where there is none."""
    lengths = rows.lengths
    real = np.arange(lengths.max(initial=0)) < lengths[:, None]
    filled = np.full(real.shape, filler, np.int64)
    filled[real] = rows.values
    return filled, real.astype(np.int64)
