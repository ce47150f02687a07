"""T5's random spans for a whole batch of pieces at once, and the readable reference of what they do to a text.

Follows `random_spans_noise_mask` of T5 (Raffel et al. 2020, section 3.1.4): noise and the rest are each cut at random
into as many segments, interleaved, and rolled round the piece by a random offset.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rot5.data.randomness import Stream, below, example_keys, keyed_bits

POSITION_BITS = 16
RANDOM_BITS = 28
GROUP_BITS = 64 - POSITION_BITS - RANDOM_BITS
"""How a sort key of 64 bits is shared out: which segmentation, a random rank in it, and the position ranked."""


class Spans(NamedTuple):
    """Noise spans of N pieces, ascending in each: piece i has spans `offsets[i]` up to `offsets[i + 1]`."""

    starts: NDArray[np.int64]
    stops: NDArray[np.int64]
    offsets: NDArray[np.int64]


def corrupt(
    tokens: Sequence[int],
    spans: Sequence[tuple[int, int]],
    sentinels: Sequence[int],
    eos: int,
    ends_document: bool = True,
) -> tuple[list[int], list[int]]:
    """Replace each span by one sentinel; the targets spell the spans out in order.

    Spans are (start, stop), ascending and not touching, no more than there are sentinels. EOS closes the targets, and
    the input where the text really ends.

    >>> corrupt([10, 11, 12, 13], [(1, 3)], sentinels=[99], eos=1)
    ([10, 99, 13, 1], [99, 11, 12, 1])
    >>> corrupt([10, 11, 12, 13], [(0, 1), (3, 4)], sentinels=[98, 99], eos=1, ends_document=False)
    ([98, 11, 12, 99], [98, 10, 99, 13, 1])
    """
    inputs: list[int] = []
    targets: list[int] = []
    position = 0
    for sentinel, (start, stop) in zip(sentinels[: len(spans)], spans, strict=True):
        inputs += [*tokens[position:start], sentinel]
        targets += [sentinel, *tokens[start:stop]]
        position = stop
    inputs += tokens[position:]
    return [*inputs, eos] if ends_document else inputs, [*targets, eos]


def span_counts(
    lengths: ArrayLike, density: ArrayLike, mean_span: ArrayLike
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How many tokens of a piece are noise, and in how many spans before the roll. Arrays broadcast; lengths from 1 on.

    At least one token is noise and, from two tokens on, one is not; both can be cut into that many non-empty segments.
    """
    lengths = np.asarray(lengths, np.int64)
    noise = np.clip(np.rint(lengths * np.asarray(density)), 1, np.maximum(lengths - 1, 1)).astype(np.int64)
    spans = np.rint(noise / np.asarray(mean_span)).astype(np.int64)
    return noise, np.maximum(np.minimum(np.minimum(spans, noise), lengths - noise), 1)


def starts_of(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where rows of these lengths start, end to end, and behind them the total: int64[N + 1]."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])


def random_spans(
    seed: int,
    numbers: NDArray[np.int64],
    lengths: NDArray[np.int64],
    noise: NDArray[np.int64],
    spans: NDArray[np.int64],
    wraps: NDArray[np.bool_],
) -> Spans:
    """Where the noise of examples `numbers` lies in pieces of two tokens and more.

    `noise` and `spans` are those of `span_counts`. `wraps` says whether the roll cuts a span in two, which makes one
    more; for every segmentation that is so for `noise - spans` of the `length` offsets, so it can be drawn beforehand.
    """
    segments = _random_segments(seed, numbers, np.stack([lengths - noise, noise], axis=1), spans)
    first_span = starts_of(spans)
    owner = np.repeat(np.arange(spans.size), spans)
    clean_length, noise_length = segments[: owner.size], segments[owner.size :]
    begins = starts_of(clean_length + noise_length)[:-1]
    clean_start = begins - begins[first_span[owner]]
    noise_start = clean_start + clean_length

    # The roll brings one position of the piece to its front. Given that it cuts a span, every position in a span but
    # its first is as likely as another; given that it does not, every other position is.
    ways = starts_of(np.where(wraps[owner], noise_length - 1, clean_length + 1))
    ways_of_piece = np.where(wraps, noise - spans, lengths - noise + spans)
    picked = ways[first_span[:-1]] + below(ways_of_piece, seed, Stream.ROLL, numbers)
    front_span = np.searchsorted(ways, picked, side="right") - 1
    front = picked - ways[front_span] + np.where(wraps, noise_start[front_span] + 1, clean_start[front_span])

    offsets = starts_of(spans + wraps)
    place = offsets[owner] + (np.arange(owner.size) - front_span[owner]) % spans[owner]
    starts, stops = np.empty((2, offsets[-1]), np.int64)
    starts[place] = (noise_start - front[owner]) % lengths[owner]
    stops[place] = starts[place] + noise_length
    tail, head = offsets[:-1][wraps], offsets[1:][wraps] - 1
    starts[head], stops[head] = starts[tail], lengths[wraps]
    starts[tail], stops[tail] = 0, stops[tail] - lengths[wraps]
    return Spans(starts, stops, offsets)


def _random_segments(
    seed: int, numbers: NDArray[np.int64], items: NDArray[np.int64], segments: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Cut both counts of items of each example, int64[N, 2], into `segments` non-empty segments, each cut as likely.

    Returns the segment lengths: those of all first counts, then those of all second ones. The first item opens a
    segment; every other one draws a random rank, and the lowest open the rest. Ranks are sorted for all at once.
    """
    counts, openings = items.T.reshape(-1), np.tile(segments, 2)
    assert counts.size < 2**GROUP_BITS and counts.max() < 2**POSITION_BITS
    offsets = starts_of(counts)
    group = np.repeat(np.arange(counts.size), counts)
    position = np.arange(group.size) - offsets[group]
    keys = np.tile(example_keys(seed, Stream.SEGMENTS, numbers), 2)
    ranks = keyed_bits(keys[group], 2 * position + (group >= numbers.size)) >> np.uint64(64 - RANDOM_BITS)
    ranks[offsets[:-1]] = 0
    ranked = group.astype(np.uint64) << np.uint64(RANDOM_BITS) | ranks
    ranked = ranked << np.uint64(POSITION_BITS) | position.astype(np.uint64)
    ranked.sort()

    opener_group = np.repeat(np.arange(counts.size), openings)
    lowest = offsets[opener_group] + np.arange(opener_group.size) - starts_of(openings)[opener_group]
    opens = np.zeros(group.size + 1, np.bool_)
    opens[offsets[opener_group] + (ranked[lowest] & np.uint64(2**POSITION_BITS - 1)).astype(np.int64)] = True
    opens[-1] = True
    return np.diff(np.flatnonzero(opens))
