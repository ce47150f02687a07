"""What token ids spell, and which words they make: of our tokenizers and of T5's, whose pieces mark a space by `▁`."""

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import groupby
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from stop_words import get_stop_words
from transformers import PreTrainedTokenizerFast

from rot5.data.storyworld.lexicon import NAMES
from rot5.data.tokenizer import SPACE

KINDS = ("special", "punctuation", "number", "name", "function word", "other")
"""Classes of words."""
DELIMITERS = ("special", "punctuation")

_WORD = re.compile(r"\w+(?:['\u2019-]\w+)*|[^\w\s]+")
_BYTE = re.compile(r"<0x([0-9A-F]{2})>")
_OPENS = re.compile(r"[.!?:\"\u201c\u201d\n]")
_KNOWN_NAMES = frozenset(NAMES)


class Tokens(NamedTuple):
    """A row of tokens, and the words they make. Every token belongs to one word, and words follow each other."""

    ids: list[int]
    texts: list[str]
    """What each token spells, a space in front included; of bytes that make a character, the first spells it."""
    words: list[str]
    kinds: list[str]
    """The class of each word, of `KINDS`."""
    word_of_token: NDArray[np.int64]

    @property
    def kind_of_token(self) -> list[str]:
        """The class of each token's word."""
        return [self.kinds[word] for word in self.word_of_token]


def read_tokens(tokenizer: PreTrainedTokenizerFast, ids: Sequence[int]) -> Tokens:
    """The tokens of these ids and their words.

    A word is a run of letters and digits, with apostrophes and hyphens inside, or a run of other signs; special tokens
    are words of their own. A token that reaches into two words belongs to the first. White space by itself goes with
    the word behind it.

    Classes, the first that fits: *special*; *punctuation* has no letter and no digit; *number* has no letter; *name* is
    a name of StoryWorld; *function word* is one of the package stop-words' English list; *name* is any other word with
    a capital that does not open a sentence (it is not the first, nor on a new line, nor behind `. ! ? :` or a quotation
    mark); *other*.
    """
    special = set(tokenizer.get_added_vocab().values()) | set(tokenizer.all_special_ids)
    pieces = tokenizer.convert_ids_to_tokens(list(ids))
    names = [piece or f"<{index}>" for piece, index in zip(pieces, ids, strict=True)]
    is_special = [index in special or piece is None for piece, index in zip(pieces, ids, strict=True)]
    texts, words, kinds, word_of_token = [], [], [], []
    for apart, run in groupby(range(len(names)), key=is_special.__getitem__):
        chosen = [names[place] for place in run]
        if apart:
            word_of_token += range(len(words), len(words) + len(chosen))
            texts, words, kinds = texts + chosen, words + chosen, kinds + ["special"] * len(chosen)
            continue
        spelled = _spelled(chosen)
        found = _words(spelled)
        word_of_token += [len(words) + each for each in found.of_token]
        texts, words, kinds = texts + spelled, words + found.texts, kinds + found.kinds
    return Tokens(list(ids), texts, words, kinds, np.array(word_of_token, dtype=np.int64))


class _Words(NamedTuple):
    texts: list[str]
    kinds: list[str]
    of_token: list[int]


def _spelled(pieces: Sequence[str]) -> list[str]:
    """The text of each piece; the first of some bytes in a row has theirs.

    >>> _spelled(["▁a", "<0xC3>", "<0xA9>"])
    [' a', 'é', '']
    """
    texts: list[str] = []
    for are_bytes, run in groupby(pieces, key=lambda piece: bool(_BYTE.fullmatch(piece))):
        if are_bytes:
            found = bytes(int(piece[3:5], 16) for piece in run)
            texts += [found.decode(errors="replace"), *[""] * (len(found) - 1)]
        else:
            texts += [piece.replace(SPACE, " ") for piece in run]
    return texts


def _words(texts: Sequence[str]) -> _Words:
    """The words of texts that follow each other without special tokens between."""
    whole, ends = "".join(texts), np.cumsum([len(text) for text in texts])
    spans = [match.span() for match in _WORD.finditer(whole)]
    stops = [stop for _, stop in spans]
    found: list[int] = []
    for begin, end in zip([0, *ends[:-1]], ends, strict=True):
        if begin == end and found:
            found.append(found[-1])
            continue
        inked = begin + len(whole[begin:end]) - len(whole[begin:end].lstrip())  # where the token's ink begins
        found.append(min(int(np.searchsorted(stops, min(inked, end), side="right")), max(len(spans) - 1, 0)))
    present = sorted(set(found))
    numbers = {word: number for number, word in enumerate(present)}
    of_token, cut = [numbers[word] for word in found], [""] * len(present)
    for text, number in zip(texts, of_token, strict=True):
        cut[number] += text
    cut = [word.strip() for word in cut]
    opens = [_opens(whole, spans, word) for word in present]
    return _Words(cut, [_kind(word, first) for word, first in zip(cut, opens, strict=True)], of_token)


def _opens(whole: str, spans: Sequence[tuple[int, int]], word: int) -> bool:
    """Whether a word opens a sentence."""
    if word == 0:
        return True
    behind = whole[spans[word - 1][1] : spans[word][0]]
    return bool(_OPENS.search(whole[slice(*spans[word - 1])] + behind))


@lru_cache(maxsize=1)
def _function_words() -> frozenset[str]:
    return frozenset(get_stop_words("en"))


def _kind(word: str, opens: bool) -> str:
    """The class of a word that is not special.

    >>> [_kind(word, opens=False) for word in ("...", "12", "Tom's", "She", "Zorb", "kite")]
    ['punctuation', 'number', 'name', 'function word', 'name', 'other']
    """
    bare = word.replace("\u2019", "'").removesuffix("'s")
    if not any(letter.isalnum() for letter in word):
        return "punctuation"
    if not any(letter.isalpha() for letter in word):
        return "number"
    if bare in _KNOWN_NAMES:
        return "name"
    if word.replace("\u2019", "'").lower() in _function_words():
        return "function word"
    return "name" if bare[:1].isupper() and not opens else "other"
