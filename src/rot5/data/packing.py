"""Which examples share a row, where rows have a fixed encoder length and a fixed decoder length."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rot5.errors import UserError

SEARCHES = ((), (24,), (6, 6))
"""How a row is closed: by one example; by two, with so many tried for the first; by three, likewise for two of them."""

GOOD_ENOUGH = 2
"""Wasted tokens of a row, in tokens of the tight side, at which no better closing is looked for."""

FAR_FROM_FULL = 3.0
"""A row with room for more mean examples than this takes the oldest that fits before its closing is looked for."""

PRICE_EXPONENT = 4
"""How steeply waste on the loose side gets cheaper, the less the waiting examples ask of it than of the tight side."""

PRICE_RANGE = (0.03, 4.0)
"""The least and the most that waste on the loose side costs, by shares of a row."""

Shape = tuple[int, int]
"""An example's length on the tight side, of which the examples ask more rows, and on the loose side. Examples of one
shape are interchangeable."""


@dataclass(frozen=True, kw_only=True)
class PackConfig:
    """Rows of fixed length that hold several examples each."""

    encoder_length: int = 512
    """Tokens of an encoder row."""

    decoder_length: int = 312
    """Tokens of a decoder row."""

    look_ahead: int = 1024
    """Examples to choose from while rows are filled; more fill rows better."""

    window: int = 32768
    """Examples packed by themselves: no row holds those of two windows. Only the last rows of a window fill worse."""


MOST = {"encoder_length": 2**16, "decoder_length": 2**16, "look_ahead": 2**20, "window": 2**20}
"""How large settings may be: what is beyond fills the memory."""


def problems(config: PackConfig) -> list[str]:
    """What is wrong with the settings by themselves; empty if nothing is."""
    given = {setting: getattr(config, setting) for setting in MOST}
    found = [f"{setting} is {value}, must be at least 1" for setting, value in given.items() if value < 1]
    return found + [
        f"{setting} is {value}, must be at most {MOST[setting]:,}"
        for setting, value in given.items()
        if value > MOST[setting]
    ]


class _Pool:
    """Examples to choose from, found by shape.

    `loose_at[n]` holds, as the bits of one number, the loose lengths at hand among examples of tight length n, so that
    the longest one within a limit is one mask and one `bit_length` away.
    """

    def __init__(self, tight_row: int) -> None:
        self.loose_at = [0] * (tight_row + 1)
        self.members: dict[Shape, deque[int]] = {}
        self.loose_price = 1.0
        """What a wasted token of the loose side costs, in wasted tokens of the tight side."""

    def add(self, shape: Shape, index: int) -> None:
        if shape not in self.members:
            self.members[shape] = deque()
            self.loose_at[shape[0]] |= 1 << shape[1]
        self.members[shape].append(index)

    def take(self, shape: Shape) -> int:
        """Remove the oldest example of a shape."""
        members = self.members[shape]
        index = members.popleft()
        if not members:
            del self.members[shape]
            self.loose_at[shape[0]] ^= 1 << shape[1]
        return index

    def put_back(self, shape: Shape, index: int) -> None:
        """Undo the latest `take` of that shape."""
        self.add(shape, index)
        self.members[shape].rotate(1)

    def closest(self, room: Shape, limit: float) -> tuple[float, tuple[Shape] | None]:
        """The example that leaves the least waste in a room, and the waste, if below `limit`; else `limit` and None."""
        found = None
        tight_room, loose_room = room
        within = (2 << loose_room) - 1
        for tight in range(tight_room, 0, -1):
            if tight_room - tight >= limit:
                break
            if at_hand := self.loose_at[tight] & within:
                loose = at_hand.bit_length() - 1
                waste = tight_room - tight + self.loose_price * (loose_room - loose)
                if waste < limit:
                    limit, found = waste, ((tight, loose),)
        return limit, found


def pack(
    input_lengths: NDArray[np.int64],
    target_lengths: NDArray[np.int64],
    encoder_length: int,
    decoder_length: int,
    look_ahead: int = PackConfig.look_ahead,
) -> Iterator[list[int]]:
    """Yield rows of example indices, each example once, made as they are asked for.

    Every row starts with the oldest example not yet placed and is closed by the one to three examples, out of the
    `look_ahead` oldest, that fill both sides best. All lengths are at least 1; an example that no row can hold is a
    UserError.
    """
    sides = [
        (np.asarray(input_lengths, np.int64), encoder_length),
        (np.asarray(target_lengths, np.int64), decoder_length),
    ]
    for index in np.flatnonzero((sides[0][0] > encoder_length) | (sides[1][0] > decoder_length))[:1]:
        raise UserError(
            f"an example has {input_lengths[index]} input and {target_lengths[index]} target tokens, more than the "
            f"rows of {encoder_length} / {decoder_length}: lengthen encoder_length or decoder_length"
        )
    sides.sort(key=lambda side: side[0].sum() / side[1], reverse=True)
    (tight_lengths, tight_row), (loose_lengths, loose_row) = sides
    shapes: list[Shape] = list(zip(tight_lengths.tolist(), loose_lengths.tolist(), strict=True))
    pool = _Pool(tight_row)
    waiting: deque[int] = deque()
    placed = bytearray(len(shapes))
    most_candidates = 2 * SEARCHES[1][0]
    entered = size = sum_tight = sum_loose = 0

    while True:
        while size < look_ahead and entered < len(shapes):
            pool.add(shapes[entered], entered)
            waiting.append(entered)
            sum_tight, sum_loose = sum_tight + shapes[entered][0], sum_loose + shapes[entered][1]
            entered, size = entered + 1, size + 1
        candidates: list[int] = []
        while waiting and len(candidates) < most_candidates:
            if not placed[index := waiting.popleft()]:
                candidates.append(index)
        waiting.extendleft(reversed(candidates))
        if not candidates:
            return
        oldest = [shapes[index] for index in candidates]
        demand = sum_loose * tight_row / (sum_tight * loose_row)
        pool.loose_price = tight_row / loose_row * min(max(demand**PRICE_EXPONENT, PRICE_RANGE[0]), PRICE_RANGE[1])
        row: list[int] = []
        room = (tight_row, loose_row)
        chosen: tuple[Shape, ...] | None = (oldest[0],)
        while chosen:
            for shape in chosen:
                index = pool.take(shape)
                placed[index] = 1
                row.append(index)
                room = (room[0] - shape[0], room[1] - shape[1])
                size, sum_tight, sum_loose = size - 1, sum_tight - shape[0], sum_loose - shape[1]
            if room[0] * size > FAR_FROM_FULL * sum_tight and room[1] * size > FAR_FROM_FULL * sum_loose:
                chosen = next(((s,) for s in oldest if s in pool.members and s[0] <= room[0] and s[1] <= room[1]), None)
            else:
                chosen = None
            chosen = chosen or _closing(pool, room, oldest)
        yield row


def _closing(pool: _Pool, room: Shape, oldest: list[Shape]) -> tuple[Shape, ...] | None:
    """The examples that fill the room best; None if none fits."""
    limit, best = float("inf"), None
    for widths in SEARCHES:
        limit, found = _search(pool, room, oldest, widths, limit)
        best = found or best
        if best is None or limit <= GOOD_ENOUGH:
            break
    return best


def _search(
    pool: _Pool, room: Shape, oldest: list[Shape], widths: tuple[int, ...], limit: float
) -> tuple[float, tuple[Shape, ...] | None]:
    """The best way to fill the room with one example more than `widths` has entries, if its waste is below `limit`."""
    if not widths:
        return pool.closest(room, limit)
    found: tuple[Shape, ...] | None = None
    tried = 0
    for shape in oldest:
        if shape[0] > room[0] or shape[1] > room[1] or shape not in pool.members:
            continue
        index = pool.take(shape)
        limit, rest = _search(pool, (room[0] - shape[0], room[1] - shape[1]), oldest, widths[1:], limit)
        pool.put_back(shape, index)
        if rest:
            found = (shape, *rest)
        tried += 1
        if tried == widths[0] or limit <= GOOD_ENOUGH:
            break
    return limit, found
