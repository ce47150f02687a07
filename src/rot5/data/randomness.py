"""Counter-based randomness: every draw is a keyed 64-bit hash of (seed, stream, example, counter); there is no state.

The hash is the finalizer of SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014),
applied in turn to the seed, the stream, the example and the counter.
"""

import enum

import numpy as np
from numpy.typing import ArrayLike, NDArray

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
"""The step of SplitMix64: 2**64 divided by the golden ratio, made odd."""


class Stream(enum.IntEnum):
    """What a draw is for; draws of two streams are independent. The numbers are part of every run and never change."""

    ORDER = 0
    DENOISER = 1
    SPLIT = 2
    WRAP = 3
    ROLL = 4
    SEGMENTS = 5
    BUCKETS = 6
    ANSWER = 1000


def mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Scramble each value by the SplitMix64 finalizer, a bijection of 64 bits. The input is left as it was."""
    values = values ^ (values >> np.uint64(30))
    values *= np.uint64(0xBF58476D1CE4E5B9)
    values ^= values >> np.uint64(27)
    values *= np.uint64(0x94D049BB133111EB)
    values ^= values >> np.uint64(31)
    return values


def example_keys(seed: int, stream: int, examples: ArrayLike) -> NDArray[np.uint64]:
    """One key per example: uint64 of the shape of `examples` (integers; at least one dimension comes back)."""
    root = mix(np.array([seed % 2**64], np.uint64) + GOLDEN)
    root = mix(root + np.array([stream + 1], np.uint64) * GOLDEN)
    return mix(root + np.atleast_1d(examples).astype(np.uint64) * GOLDEN)


def keyed_bits(keys: NDArray[np.uint64], counters: ArrayLike) -> NDArray[np.uint64]:
    """64 random bits for each pair of a key and a counter (broadcast against each other)."""
    return mix(keys + (np.atleast_1d(counters).astype(np.uint64) + np.uint64(1)) * GOLDEN)


def bits(seed: int, stream: int, examples: ArrayLike, counters: ArrayLike = 0) -> NDArray[np.uint64]:
    """64 random bits for each (example, counter), the two broadcast against each other."""
    return keyed_bits(example_keys(seed, stream, examples), counters)


def uniform(seed: int, stream: int, examples: ArrayLike, counters: ArrayLike = 0) -> NDArray[np.float64]:
    """A float64 in [0, 1) with 53 random bits for each (example, counter)."""
    return keyed_uniform(example_keys(seed, stream, examples), counters)


def keyed_uniform(keys: NDArray[np.uint64], counters: ArrayLike) -> NDArray[np.float64]:
    """A float64 in [0, 1) with 53 random bits for each pair of a key and a counter."""
    return (keyed_bits(keys, counters) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def below(limits: ArrayLike, seed: int, stream: int, examples: ArrayLike, counters: ArrayLike = 0) -> NDArray[np.int64]:
    """A whole number in [0, limit) for each example; limits are at least 1 and far below 2**53."""
    return (uniform(seed, stream, examples, counters) * np.asarray(limits)).astype(np.int64)
