"""Where two tokenizers agree that a piece of a text ends: chunks whose likelihoods can be compared."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rot5.errors import UserError
from rot5.loading import Loaded

NOWHERE = -1
"""The end of a token behind which no piece of the text ends."""


class Spelled(NamedTuple):
    """A target as a tokenizer reads it."""

    ids: list[int]
    """With what opens and closes it."""
    ends: NDArray[np.int64]
    """Of each id the characters of the text that are spelled with it and those before: the whole text with its last
    token, one more with what closes the target; `NOWHERE` inside of a character, and where tokens overlap."""
    opening: int
    """Ids before the text that are not of it."""


def spell(loaded: Loaded, texts: Sequence[str]) -> list[Spelled]:
    """Target texts with the places of their tokens. Raises UserError where a tokenizer does not tell places."""
    if not loaded.tokenizer.is_fast:
        kind = type(loaded.tokenizer).__name__
        raise UserError(
            f"a {kind} does not tell where its tokens stand in a text: use rot5 teach, which needs no such places"
        )
    ids = loaded.read_targets(texts)
    found: Any = loaded.tokenizer(
        text_target=list(texts), return_offsets_mapping=True, return_special_tokens_mask=True, verbose=False
    )
    told = zip(texts, ids, found["input_ids"], found["offset_mapping"], found["special_tokens_mask"], strict=True)
    return [_spelled(text, own, raw, spans, special) for text, own, raw, spans, special in told]


def _spelled(text: str, ids: list[int], raw: list[int], spans: list[tuple[int, int]], special: list[int]) -> Spelled:
    """A target from what its tokenizer says of it: `ids` may lack what opens `raw`, and have an end that it lacks."""
    first = 0 if ids[: len(raw)] == raw else 1
    added = len(ids) - len(raw[first:])
    starts, stops = np.array([*spans[first:], *[(0, 0)] * added], np.int64).reshape(-1, 2).T
    of_text = np.flatnonzero(np.array([*special[first:], *[1] * added]) == 0)
    ends = np.full(len(ids), NOWHERE)
    opening = int(of_text[0]) if len(of_text) else len(ids) - 1
    if len(of_text):
        inner = slice(opening, of_text[-1] + 1)
        ends[inner] = _clear_ends(starts[inner], stops[inner])
        ends[of_text[-1]] = len(text)
    if not len(of_text) or of_text[-1] < len(ids) - 1:
        ends[-1] = len(text) + 1
    return Spelled(ids, ends, opening)


def _clear_ends(starts: NDArray[np.int64], stops: NDArray[np.int64]) -> NDArray[np.int64]:
    """The ends of tokens behind which all others begin and end.

    >>> _clear_ends(np.array([0, 1, 1, 2]), np.array([1, 2, 2, 5])).tolist()  # a character in two halves
    [1, -1, 2, 5]
    >>> _clear_ends(np.array([0, 1, 1]), np.array([1, 1, 3])).tolist()  # a token that spells nothing
    [-1, 1, 3]
    """
    later = len(starts) and np.append(np.minimum.accumulate(starts[::-1])[::-1][1:], np.iinfo(np.int64).max)
    beyond = len(stops) and np.append(np.minimum.accumulate(stops[::-1])[::-1][1:], np.iinfo(np.int64).max)
    return np.where((later >= stops) & (beyond > stops) & (stops > 0), stops, NOWHERE)


class Chunks(NamedTuple):
    """The number of the chunk that each token is of, on both sides; as many on one as on the other."""

    ours: NDArray[np.int64]
    theirs: NDArray[np.int64]


def align(ours: NDArray[np.int64], theirs: NDArray[np.int64]) -> Chunks:
    """Cut a target wherever both tokenizers end a piece of it, by the ends of their tokens.

    >>> align(np.array([1, 4, 6, 7]), np.array([-1, 1, 6, 7]))
    Chunks(ours=array([0, 1, 1, 2]), theirs=array([0, 0, 1, 2]))
    """
    common = np.setdiff1d(np.intersect1d(ours, theirs), [NOWHERE])
    closes = (np.isin(ends, common) for ends in (ours, theirs))
    return Chunks(*(np.cumsum(each) - each for each in closes))
