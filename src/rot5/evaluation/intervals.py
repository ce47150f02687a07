"""How sure a mean is, at 95 %: by bootstrap over documents, by Student's t over seeds."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

LEVEL = 0.95
RESAMPLES = 1000
_INDICES_AT_ONCE = 4_000_000


class Interval(NamedTuple):
    """An estimate and the ends of its 95 % interval, all in the unit of the values."""

    mean: float
    low: float
    high: float


def interval(values: ArrayLike, seed: int = 0, resamples: int = RESAMPLES) -> Interval:
    """The mean of `values` float[N], one per document, with its interval.

    Percentile bootstrap over documents (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13).
    The same values and seed give the same interval. Raises ValueError where there is no value.

    >>> interval([2.0, 2.0, 2.0])
    Interval(mean=2.0, low=2.0, high=2.0)
    """
    values = np.asarray(values, dtype=np.float64)
    return ratio_interval(values, np.ones_like(values), seed, resamples)


def ratio_interval(
    numerators: ArrayLike, denominators: ArrayLike, seed: int = 0, resamples: int = RESAMPLES
) -> Interval:
    """sum(numerators) / sum(denominators) over documents, both float[N], with its interval.

    Bits per byte and shares of words are of this kind: a long document weighs more than a short one. A resample whose
    denominators sum to zero says nothing and is left out. Raises ValueError for unequal lengths and where the
    denominators sum to zero, which an empty array does.

    >>> ratio_interval([1, 3], [2, 2]).mean
    1.0
    """
    pairs = np.stack([np.asarray(numerators, dtype=np.float64), np.asarray(denominators, dtype=np.float64)])
    total, weight = pairs.sum(axis=1)
    if weight == 0:
        raise ValueError("no interval: the denominators sum to zero")
    sums = _resampled_sums(pairs, seed, resamples)
    sums = sums[:, sums[1] != 0]
    low, high = np.quantile(sums[0] / sums[1], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(total / weight), float(low), float(high))


def paired_difference(a: ArrayLike, b: ArrayLike, seed: int = 0, resamples: int = RESAMPLES) -> Interval:
    """The mean of a - b over documents that both systems saw, with its interval; a wins where `low` is above 0.

    Pairing removes what the documents have in common (Koehn 2004, Statistical Significance Tests for Machine
    Translation Evaluation). Raises ValueError for unequal lengths and where there is no value.
    """
    pairs = np.stack([np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)])
    return interval(pairs[0] - pairs[1], seed, resamples)


def over_seeds(values: Sequence[float], *, geometric: bool = False) -> Interval:
    """The mean of independent runs and its 95 % interval by Student's t; from one run no interval (its ends are nan).

    `geometric` is the mean of positive values by their logarithms, as ratios and shares want it.

    >>> over_seeds([1.0, 1.0, 1.0])
    Interval(mean=1.0, low=1.0, high=1.0)
    """
    own = np.log(values) if geometric else np.asarray(values, dtype=np.float64)
    mean, half = float(own.mean()), math.nan
    if len(own) > 1:
        half = float(stdtrit(len(own) - 1, (1 + LEVEL) / 2) * own.std(ddof=1) / math.sqrt(len(own)))
    ends = (mean, mean - half, mean + half)
    return Interval(*(math.exp(end) for end in ends)) if geometric else Interval(*ends)


def _resampled_sums(columns: np.ndarray, seed: int, resamples: int) -> np.ndarray:
    """Sums of columns float[C, N] over N documents drawn with replacement, `resamples` times: float[C, resamples]."""
    count = columns.shape[1]
    random = np.random.default_rng(seed)
    at_once = max(1, _INDICES_AT_ONCE // count)
    parts = []
    for start in range(0, resamples, at_once):
        drawn = random.integers(count, size=(min(at_once, resamples - start), count))
        parts.append(columns[:, drawn].sum(axis=2))
    return np.concatenate(parts, axis=1)
