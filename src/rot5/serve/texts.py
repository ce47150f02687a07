"""Text out of tokens as they come: only what later tokens cannot change, and together just the text of all of them."""

import re
from collections.abc import Sequence

from transformers import PreTrainedTokenizerFast

BYTE = re.compile(r"<0x[0-9A-F]{2}>")
"""A piece that stands for one byte: SentencePiece spells what it has no piece for in a run of them."""


def whole_text(tokenizer: PreTrainedTokenizerFast, tokens: Sequence[int]) -> str:
    """The text of an answer, as `write_texts` gives it."""
    return _decoded(tokenizer, tokens).strip()


def byte_ids(tokenizer: PreTrainedTokenizerFast) -> frozenset[int]:
    """The ids of pieces that stand for one byte."""
    return frozenset(id for piece, id in tokenizer.get_vocab().items() if BYTE.fullmatch(piece))


class TextStream:
    """The text of tokens that come one by one.

    White space is held back until something follows it, a run of bytes until it is closed, and half a character until
    it is whole. What a tokenizer changes afterwards (`clean_up_tokenization_spaces`) comes in one piece, at the end.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast, bytes_: frozenset[int]):
        self.tokenizer, self.bytes = tokenizer, bytes_
        self.told = ""
        """What was given out."""
        self.held = ""
        """White space behind it."""
        self.context = self.settled = 0
        """Tokens before `settled` are given out or held; those from `context` on are read again with what follows."""

    def more(self, tokens: Sequence[int]) -> str:
        """What can be given out now that these are all the tokens so far."""
        end = len(tokens)
        while end > self.settled and tokens[end - 1] in self.bytes:
            end -= 1
        if end <= self.settled or getattr(self.tokenizer, "clean_up_tokenization_spaces", False):
            return ""
        before = _decoded(self.tokenizer, tokens[self.context : self.settled])
        now = _decoded(self.tokenizer, tokens[self.context : end])
        if now.endswith("\ufffd") or not now.startswith(before):
            return ""
        if _decoded(self.tokenizer, tokens[self.settled : end]):
            self.context = self.settled
        self.settled = end
        text = self.held + now[len(before) :]
        if not self.told:
            text = text.lstrip()
        seen = text.rstrip()
        self.held = text[len(seen) :]
        self.told += seen
        return seen

    def rest(self, tokens: Sequence[int]) -> str:
        """What is missing of the whole text."""
        whole = whole_text(self.tokenizer, tokens)
        assert whole.startswith(self.told), "a tokenizer changes what it has written"
        missing, self.told = whole[len(self.told) :], whole
        return missing


def _decoded(tokenizer: PreTrainedTokenizerFast, tokens: Sequence[int]) -> str:
    text = tokenizer.decode(list(tokens), skip_special_tokens=True)
    assert isinstance(text, str)
    return text
