"""How difficult documents are for one who learns to read: by their length, and by how rare their words are."""

import numpy as np
from numpy.typing import NDArray

from rot5.data.corpus import Corpus

_DOCUMENTS_AT_ONCE = 4096


def rarity(corpus: Corpus) -> NDArray[np.float64]:
    """Bits per token of each document by how often its tokens come in the whole corpus: float64[documents].

    The mean of -log2 p, where p is a token's share of all tokens: high for rare words, whatever the length.
    """
    counts = np.zeros(corpus.manifest["vocab_size"], np.int64)
    for rows in _rows(corpus):
        counts += np.bincount(rows.values, minlength=counts.size)
    bits = -np.log2(np.maximum(counts, 1) / max(1, counts.sum()))
    parts = []
    for rows in _rows(corpus):
        ends = np.concatenate([[0.0], np.cumsum(bits[rows.values])])[rows.offsets]
        parts.append(np.diff(ends) / np.maximum(np.diff(rows.offsets), 1))
    return np.concatenate(parts)


def _rows(corpus: Corpus):
    for first in range(0, corpus.num_documents, _DOCUMENTS_AT_ONCE):
        chosen = np.arange(first, min(first + _DOCUMENTS_AT_ONCE, corpus.num_documents))
        yield corpus.read(chosen, np.zeros_like(chosen), corpus.lengths[chosen])


def parts_by(difficulty: NDArray[np.float64], lengths: NDArray[np.int64], number: int) -> list[NDArray[np.int64]]:
    """The numbers of the documents in parts of like many tokens, from easy to hard; in a part they keep their order."""
    order = np.argsort(difficulty, kind="stable")
    middles = np.cumsum(lengths[order]) - lengths[order] / 2
    part = np.minimum((middles * number / max(1, lengths.sum())).astype(np.int64), number - 1)
    return [np.sort(order[part == each]) for each in range(number)]
