"""Packed rows with what a teacher says of their targets."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rot5.data.batches import Batch, PackedRows
from rot5.data.pairs import WholePairs
from rot5.distill.cache import TeacherCache


class TaughtRows:
    """The rows of pairs, each with the teacher's words laid beside its labels; row r stays a pure function of
    (settings, seed, r)."""

    def __init__(self, rows: PackedRows, pairs: WholePairs, cache: TeacherCache) -> None:
        self._packed = rows
        self._pairs = pairs
        self._cache = cache
        self._arrays = cache.arrays()

    @property
    def examples(self) -> WholePairs:
        return self._pairs

    def state(self, row: int) -> dict[str, int]:
        """The state of the data when `row` rows are consumed, for `resume`."""
        return self._packed.state(row)

    def resume(self, state: dict[str, int]) -> int:
        """Take up a state and return the next row."""
        return self._packed.resume(state)

    def rows(self, first: int, count: int, rank: int = 0, world_size: int = 1) -> Batch:
        """The packed rows, their fields and the teacher's: of the columns' types, zeros where there is no target."""
        batch = self._packed.rows(first, count, rank, world_size)
        cells, places = self._places(batch)
        fields = dict(batch.fields)
        shape = batch.fields["labels"].shape
        for column, array in zip(self._cache.columns, self._arrays, strict=True):
            laid = np.zeros((*shape, *array.shape[1:]), column.read)
            laid[cells] = array[places]
            fields[column.name] = laid
        return replace(batch, fields=fields)

    def _places(self, batch: Batch) -> tuple[tuple[NDArray, ...], NDArray[np.int64]]:
        """The cells that hold targets, and the cache's row of each."""
        table = batch.segment_examples
        used = table >= 0
        starts = np.zeros_like(table)
        starts[used] = self._cache.starts[self._pairs.plan(table[used]).pair]
        segments, positions = (batch.fields[f"decoder_{name}"] for name in ("segment_ids", "positions"))
        cells = np.nonzero(segments)
        return cells, np.asarray(starts[cells[0], segments[cells] - 1] + positions[cells], np.int64)
