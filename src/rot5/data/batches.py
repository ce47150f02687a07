"""Packed rows as arrays: row r of a run is a pure function of (settings, seed, r), however rows are asked for."""

import bisect
import itertools
import sys
import threading
from collections import OrderedDict, deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from rot5.data.packing import PackConfig, pack
from rot5.data.ragged import Ragged
from rot5.errors import UserError

if TYPE_CHECKING:
    from rot5.data.tokenizer import SpecialIds

IGNORED = -100
"""The label of a position that no loss counts."""

KEPT_WINDOWS = 3

Made = TypeVar("Made", covariant=True)


class Plan(Protocol):
    """Examples without their tokens; each array is int64[N]."""

    @property
    def kinds(self) -> NDArray[np.int64]: ...

    @property
    def story_tokens(self) -> NDArray[np.int64]: ...

    @property
    def input_lengths(self) -> NDArray[np.int64]: ...

    @property
    def target_lengths(self) -> NDArray[np.int64]: ...


class Examples(Protocol):
    """What is packed: denoised text or pairs. Example n is the same whoever asks for it, in whatever company."""

    @property
    def kind_names(self) -> tuple[str, ...]: ...

    def __len__(self) -> int: ...

    def plan(self, numbers: NDArray[np.int64]) -> Plan: ...

    def materialise(self, plan, chosen: NDArray[np.int64]) -> tuple[Ragged, Ragged]: ...


@dataclass(frozen=True)
class Batch:
    """Packed rows. Segments count from 1 in each row, positions restart at 0 in each segment; segment 0 is padding."""

    fields: dict[str, NDArray[np.int64]]
    """`input_ids`, `encoder_segment_ids`, `encoder_positions`: int64[rows, encoder length]; `decoder_input_ids`,
    `decoder_segment_ids`, `decoder_positions`, `labels`: int64[rows, decoder length]."""

    segment_examples: NDArray[np.int64]
    """int64[rows, most segments of a row]: the number of the example in each segment, segment 1 first; -1 for none."""

    segment_kinds: NDArray[np.int64]
    """Of the same shape: which of the `kind_names` it is; -1 where there is none."""

    story_tokens: int
    """Raw corpus tokens behind the rows of all ranks, before masking."""

    num_targets: int
    """Labels that count, in the rows of all ranks."""

    @property
    def num_rows(self) -> int:
        """Rows of the batch."""
        return len(self.segment_examples)

    @property
    def encoder_fill(self) -> float:
        """The share of encoder positions that are no padding."""
        return _fill(self.fields["encoder_segment_ids"])

    @property
    def decoder_fill(self) -> float:
        """The share of decoder positions that are no padding."""
        return _fill(self.fields["decoder_segment_ids"])


def _fill(segment_ids: NDArray[np.int64]) -> float:
    return np.count_nonzero(segment_ids) / max(1, segment_ids.size)


class Rows(Protocol):
    """What training asks of rows, packed or padded."""

    @property
    def examples(self) -> Examples: ...

    def rows(self, first: int, count: int, rank: int = 0, world_size: int = 1) -> Batch: ...

    def state(self, row: int) -> dict[str, int]: ...

    def resume(self, state: dict[str, int]) -> int: ...


class RowIds(NamedTuple):
    """The ids that rows need besides those of their texts."""

    pad: int
    decoder_start: int


class _Window:
    """The rows of one window of examples, found as far as they are asked for."""

    def __init__(self, examples: Examples, numbers: NDArray[np.int64], pack_config: PackConfig) -> None:
        self.numbers = numbers
        self.plan = examples.plan(numbers)
        self.rows: list[list[int]] = []
        self._coming = pack(
            self.plan.input_lengths,
            self.plan.target_lengths,
            pack_config.encoder_length,
            pack_config.decoder_length,
            pack_config.look_ahead,
        )

    def reach(self, count: int) -> int:
        """Find rows until there are `count` or the window ends; how many there are."""
        while len(self.rows) < count and (row := next(self._coming, None)) is not None:
            self.rows.append(row)
        return len(self.rows)


class PackedRows:
    """Rows of packed examples, endless or, with `limit`, holding the first `limit` examples once each.

    The rows of window w hold examples w * window up to (w + 1) * window. Where a window's rows start is known once the
    windows before it are packed; `state` tells it to a later object, so that a resumed run packs one window only.
    """

    def __init__(
        self, examples: Examples, pack_config: PackConfig, specials: "SpecialIds | RowIds", limit: int | None = None
    ) -> None:
        if len(examples) == 0:
            raise UserError("there are no examples to pack: the corpus is empty")
        self.examples = examples
        self.pack_config = pack_config
        self.specials = specials
        self.limit = limit
        self._starts = [(0, 0)]
        self._windows: OrderedDict[int, _Window] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def num_rows(self) -> int:
        """All rows there are; a ValueError without a limit."""
        if self.limit is None:
            raise ValueError("without a limit rows never end")
        with self._lock:
            return self._locate(sys.maxsize)[1]

    def state(self, row: int) -> dict[str, int]:
        """The state of the data when `row` rows are consumed, for `resume`: plain whole numbers."""
        with self._lock:
            window, first_row = self._locate(row)
        return {"rows": row, "window": window, "first_row": first_row}

    def resume(self, state: dict[str, int]) -> int:
        """Take up a state and return the next row; settings and seed must be those of the object that gave it."""
        with self._lock:
            self._learn(state["window"], state["first_row"])
        return state["rows"]

    def rows(self, first: int, count: int, rank: int = 0, world_size: int = 1) -> Batch:
        """Rows `first` up to `first + count` of the run, every `world_size`-th for a rank; none past a limit's end."""
        picked: list[tuple[_Window, list[list[int]]]] = []
        story_tokens = num_targets = 0
        with self._lock:
            for row in range(first, first + count):
                number, first_row = self._locate(row)
                window = self._window(number)
                if window is None:
                    break
                chosen = window.rows[row - first_row]
                story_tokens += int(window.plan.story_tokens[chosen].sum())
                num_targets += int(window.plan.target_lengths[chosen].sum())
                if (row - first) % world_size != rank:
                    continue
                if not picked or picked[-1][0] is not window:
                    picked.append((window, []))
                picked[-1][1].append(chosen)
        return self._batch(picked, story_tokens, num_targets)

    def _locate(self, row: int) -> tuple[int, int]:
        """The window that holds a row, or the one behind the last, and its first row."""
        first_row, number = self._starts[bisect.bisect_right(self._starts, (row, sys.maxsize)) - 1]
        while (window := self._window(number)) is not None:
            reached = window.reach(row - first_row + 1)
            if first_row + reached > row:
                break
            number, first_row = number + 1, first_row + reached
            self._learn(number, first_row)
        return number, first_row

    def _learn(self, number: int, first_row: int) -> None:
        place = bisect.bisect_left(self._starts, (first_row, number))
        if self._starts[place : place + 1] != [(first_row, number)]:
            self._starts.insert(place, (first_row, number))

    def _window(self, number: int) -> "_Window | None":
        """A window, kept or made again; None behind a limit's end."""
        if number not in self._windows:
            start = number * self.pack_config.window
            stop = (
                start + self.pack_config.window
                if self.limit is None
                else min(start + self.pack_config.window, self.limit)
            )
            if start >= stop:
                return None
            self._windows[number] = _Window(self.examples, np.arange(start, stop), self.pack_config)
            if len(self._windows) > KEPT_WINDOWS:
                self._windows.popitem(last=False)
        self._windows.move_to_end(number)
        return self._windows[number]

    def _batch(self, picked: list[tuple[_Window, list[list[int]]]], story_tokens: int, num_targets: int) -> Batch:
        inputs, targets, numbers, kinds, sizes = [], [], [], [], []
        for window, rows in picked:
            chosen = np.array([index for row in rows for index in row], np.int64)
            sizes += [len(row) for row in rows]
            row_inputs, row_targets = self.examples.materialise(window.plan, chosen)
            inputs.append(row_inputs)
            targets.append(row_targets)
            numbers.append(window.numbers[chosen])
            kinds.append(window.plan.kinds[chosen])
        segments_of_row = np.array(sizes, np.int64)
        row = np.repeat(np.arange(len(sizes)), segments_of_row)
        segment = np.arange(row.size) - (np.cumsum(segments_of_row) - segments_of_row)[row]
        table = np.full((2, len(sizes), max(sizes, default=0)), -1, np.int64)
        table[0, row, segment], table[1, row, segment] = _joined(numbers), _joined(kinds)

        ids, encoder_segments, encoder_positions, cells = _lay(
            inputs, row, segment, len(sizes), self.pack_config.encoder_length
        )
        input_ids = np.full(encoder_segments.size, self.specials.pad, np.int64)
        input_ids[cells] = ids
        ids, decoder_segments, decoder_positions, cells = _lay(
            targets, row, segment, len(sizes), self.pack_config.decoder_length
        )
        labels = np.full(decoder_segments.size, IGNORED, np.int64)
        labels[cells] = ids
        shifted = np.roll(ids, 1)
        shifted[decoder_positions[cells] == 0] = self.specials.decoder_start
        decoder_input_ids = np.full(decoder_segments.size, self.specials.pad, np.int64)
        decoder_input_ids[cells] = shifted
        fields = {
            "input_ids": input_ids,
            "encoder_segment_ids": encoder_segments,
            "encoder_positions": encoder_positions,
            "decoder_input_ids": decoder_input_ids,
            "decoder_segment_ids": decoder_segments,
            "decoder_positions": decoder_positions,
            "labels": labels,
        }
        lengths = [self.pack_config.encoder_length] * 3 + [self.pack_config.decoder_length] * 4
        shaped = {name: flat.reshape(-1, length) for (name, flat), length in zip(fields.items(), lengths, strict=True)}
        return Batch(shaped, table[0], table[1], story_tokens, num_targets)


def _joined(arrays: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.concatenate(arrays) if arrays else np.zeros(0, np.int64)


def _lay(
    texts: list[Ragged], row: NDArray[np.int64], segment: NDArray[np.int64], num_rows: int, row_length: int
) -> tuple[NDArray[np.int64], ...]:
    """Lay texts end to end into rows: all ids; segment id and position of every cell; and the cell of each id."""
    ids = _joined([text.values for text in texts])
    lengths = _joined([text.lengths for text in texts])
    begins = np.cumsum(lengths) - lengths
    row_begins = begins[segment == 0]
    positions = np.arange(ids.size) - np.repeat(begins, lengths)
    cells = np.arange(ids.size) + np.repeat(row * row_length - row_begins[row], lengths)
    segment_ids, cell_positions = np.zeros((2, num_rows * row_length), np.int64)
    segment_ids[cells], cell_positions[cells] = np.repeat(segment + 1, lengths), positions
    return ids, segment_ids, cell_positions, cells


class RowSource(Protocol[Made]):
    """What can be made ahead: packed rows, or whatever is made of them."""

    def rows(self, first: int, count: int, rank: int = 0, world_size: int = 1) -> Made: ...


def prefetch(
    source: RowSource[Made],
    first: int,
    step_rows: int,
    *,
    rank: int = 0,
    world_size: int = 1,
    stop: int | None = None,
    ahead: int = 2,
) -> Generator[Made]:
    """Batches of `step_rows` rows from row `first` on, or up to row `stop`, made `ahead` batches early by a thread."""
    worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="rot5-batches")
    coming: deque[Future[Made]] = deque()
    try:
        for start in itertools.count(first, step_rows) if stop is None else range(first, stop, step_rows):
            count = step_rows if stop is None else min(step_rows, stop - start)
            coming.append(worker.submit(source.rows, start, count, rank, world_size))
            if len(coming) > ahead:
                yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()
    finally:
        worker.shutdown(cancel_futures=True)
