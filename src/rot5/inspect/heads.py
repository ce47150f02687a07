"""What each head looks at, in a few figures, and a label by a stated rule.

Shape suffixes: L layers, H heads, T queries, S keys, K kinds of keys.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rot5.inspect.tokens import DELIMITERS, Tokens

Marks = Mapping[str, NDArray[np.bool_]]
"""Which keys are of which kind for each query, bool[T, S] by kind; a query's keys are among those that it can see."""

THRESHOLD = 0.2
"""A label needs a larger share of the attention than this."""
TIMES_EVEN = 2
"""A label needs so many times the share that looking at everything alike would give."""
LEAST_QUERIES = 0.1
"""A label needs keys of its kind for at least this share of the queries."""
MIXED = "mixed"

RULES = {
    "itself": "the token itself",
    "previous": "the token just before",
    "next": "the token just behind (the decoder cannot see it)",
    "same": "other occurrences of the same token",
    "delimiters": "punctuation and special tokens",
    "names": "those of StoryWorld, and words with a capital that neither open a sentence nor are function words",
    "copied": "occurrences in the text of the token that is written next, special tokens aside",
}
"""Kinds of keys in words; they may overlap."""


class Heads(NamedTuple):
    """Shares of attention by kind of keys.

    A head's share of a kind is the mean, over the queries that can see keys of that kind, of the weights on them
    together; nan where no query can.
    """

    kinds: tuple[str, ...]
    shares_LHK: NDArray[np.float64]
    even_K: NDArray[np.float64]
    """The share if a query looked at all that it can see alike: what a share has to be compared with."""
    queries_K: NDArray[np.float64]
    """The share of the queries that can see keys of the kind."""
    labels: list[list[str]]
    """By layer and head the kind of the largest share that may be a label, else `mixed`: see `THRESHOLD`, `TIMES_EVEN`
    and `LEAST_QUERIES`."""


def self_marks(tokens: Tokens, causal: bool) -> Marks:
    """Kinds of keys in the attention of a row of tokens to itself; `causal` hides from each what stands behind it."""
    ids, place = np.array(tokens.ids), np.arange(len(tokens.ids))
    query_T1, key_S = place[:, None], place
    marks = {
        "itself": key_S == query_T1,
        "previous": key_S == query_T1 - 1,
        "next": key_S == query_T1 + 1,
        "same": (ids[:, None] == ids) & (key_S != query_T1),
        **_of_class(tokens, len(place)),
    }
    visible_TS = visible(len(place), len(place), causal)
    return {kind: mark_TS & visible_TS for kind, mark_TS in marks.items()}


def cross_marks(target: Tokens, source: Tokens) -> Marks:
    """Kinds of keys in cross-attention, where query t is the place at which target token t is foretold."""
    written_T1, read_S = np.array(target.ids)[:, None], np.array(source.ids)
    plain_S = np.array([kind != "special" for kind in source.kind_of_token])
    return {"copied": (written_T1 == read_S) & plain_S, **_of_class(source, len(target.ids))}


def visible(queries: int, keys: int, causal: bool) -> NDArray[np.bool_]:
    """Which keys each query can see, bool[T, S]."""
    seen_TS = np.ones((queries, keys), dtype=np.bool_)
    return np.tril(seen_TS) if causal else seen_TS


def _of_class(keys: Tokens, queries: int) -> dict[str, NDArray[np.bool_]]:
    kinds = keys.kind_of_token
    found = {"delimiters": [kind in DELIMITERS for kind in kinds], "names": [kind == "name" for kind in kinds]}
    return {kind: np.broadcast_to(np.array(mark_S), (queries, len(kinds))) for kind, mark_S in found.items()}


def summarise_heads(weights_LHTS: NDArray[np.float32], marks: Marks, causal: bool) -> Heads:
    """The shares and the label of every head.

    >>> previous = np.eye(4, k=-1)[None, None] + np.diag([1, 0, 0, 0])
    >>> marks = {"previous": np.eye(4, k=-1, dtype=bool), "next": np.zeros((4, 4), dtype=bool)}
    >>> heads = summarise_heads(previous, marks, causal=True)
    >>> heads.shares_LHK.tolist(), heads.labels
    ([[[1.0, nan]]], [['previous']])
    """
    T, S = weights_LHTS.shape[2:]
    seen_T = visible(T, S, causal).sum(1)
    shares, even, queries = [], [], []
    for mark_TS in marks.values():
        able_T = mark_TS.any(1)
        queries.append(able_T.mean())
        if not able_T.any():
            shares.append(np.full(weights_LHTS.shape[:2], np.nan))
            even.append(np.nan)
            continue
        on_kind_LHT = np.einsum("lhts,ts->lht", weights_LHTS[:, :, able_T], mark_TS[able_T].astype(np.float64))
        shares.append(on_kind_LHT.mean(2))
        even.append((mark_TS.sum(1) / seen_T)[able_T].mean())
    kinds, queries_K, even_K = tuple(marks), np.array(queries), np.array(even)
    shares_LHK = np.stack(shares, axis=2)
    least_K = np.where(queries_K < LEAST_QUERIES, np.inf, np.maximum(THRESHOLD, TIMES_EVEN * even_K))
    labels = [[_label(kinds, share_K, least_K) for share_K in layer_HK] for layer_HK in shares_LHK]
    return Heads(kinds, shares_LHK, even_K, queries_K, labels)


def _label(kinds: Sequence[str], share_K: NDArray[np.float64], least_K: NDArray[np.float64]) -> str:
    """The kind of the largest share above what it needs, the first of equals."""
    counted_K = np.where(share_K > least_K, share_K, -np.inf)
    best = int(counted_K.argmax())
    return kinds[best] if np.isfinite(counted_K[best]) else MIXED
