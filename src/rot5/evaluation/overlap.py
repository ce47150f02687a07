"""What texts share word by word with a corpus: runs of words that stand in one of its documents as well."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from rot5.evaluation.text_measures import cut_words

RUN = 8
"""Words of the shortest run that counts."""
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
"""Odd, so that multiplying by it loses nothing modulo 2^64."""


class Overlap(NamedTuple):
    """Of one text: its runs of RUN words, how many of them the corpus has, and the longest run it has, in words.

    `longest` is 0 where the corpus has no run of RUN words of the text.
    """

    runs: int
    found: int
    longest: int


def overlaps(texts: Sequence[str], documents: Iterable[str], run: int = RUN) -> list[Overlap]:
    """How much of each text stands in the documents, exactly: words in small letters, without punctuation.

    The documents are read once and none is kept: what is held in memory are the runs of the texts, as sorted keys of 64
    bits. Keys only propose; words decide. A run lies in one document.
    """
    words: dict[str, int] = {}
    ids = [[words.setdefault(word, len(words) + 1) for word in cut_words(text)] for text in texts]
    found = [np.zeros(max(0, len(text) - run + 1), dtype=bool) for text in ids]
    longest = [0] * len(texts)
    places: dict[int, list[tuple[int, int]]] = {}
    for n, text in enumerate(ids):
        for place, key in enumerate(_keys(text, run).tolist()):
            places.setdefault(key, []).append((n, place))
    known = np.sort(np.fromiter(places, np.uint64, len(places)))
    for document in documents if len(known) else ():
        there = [words.get(word, 0) for word in cut_words(document)]
        keys = _keys(there, run)
        at = np.minimum(np.searchsorted(known, keys), len(known) - 1)
        for start in np.flatnonzero(known[at] == keys).tolist():
            for n, place in places[int(keys[start])]:
                text = ids[n]
                if start and place and there[start - 1] == text[place - 1]:
                    continue  # part of a run that began before
                length = 0
                for a, b in zip(there[start:], text[place:], strict=False):
                    if a != b:
                        break
                    length += 1
                if length >= run:
                    found[n][place : place + length - run + 1] = True
                    longest[n] = max(longest[n], length)
    return [Overlap(len(of_one), int(of_one.sum()), most) for of_one, most in zip(found, longest, strict=True)]


def _keys(ids: Sequence[int], run: int) -> np.ndarray:
    """uint64[len(ids) - run + 1]: a key of each run of ids."""
    values = np.asarray(ids, dtype=np.uint64)
    count = max(0, len(values) - run + 1)
    keys = np.zeros(count, dtype=np.uint64)
    for offset in range(run):
        keys = keys * _FACTOR + values[offset : offset + count]
    return keys
