"""Several corpora as one, each with its share of the examples of a run."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from transformers import PreTrainedTokenizerFast

from rot5.data.corpus import Corpus
from rot5.data.manifest import data_fingerprint
from rot5.data.order import Order, Pieces, permutation
from rot5.data.ragged import Ragged
from rot5.errors import UserError

BLOCK = 4096
"""Examples in which every corpus has its share, up to one example."""


class Mixture:
    """Corpora with one tokenizer. Their documents are numbered end to end, in the order of the corpora."""

    def __init__(self, corpora: Sequence[Corpus], shares: Sequence[float]) -> None:
        """Shares add up to 1. Raises UserError where tokenizers differ."""
        for corpus in corpora[1:]:
            corpus.check_tokenizer(corpora[0].tokenizer())
        self.corpora = corpora
        self.shares = shares
        self.lengths = np.concatenate([corpus.lengths for corpus in corpora])
        self._first = np.cumsum([0, *(corpus.num_documents for corpus in corpora)])

    @property
    def num_tokens(self) -> int:
        """Tokens of all."""
        return sum(corpus.num_tokens for corpus in self.corpora)

    def tokenizer(self) -> PreTrainedTokenizerFast:
        """The one that made them all."""
        return self.corpora[0].tokenizer()

    def verify(self) -> None:
        """Read every file and raise UserError if one is not as it was written."""
        for corpus in self.corpora:
            corpus.verify()

    def order(self, longest_piece: int, seed: int, shuffle: bool) -> "MixedOrder":
        """Which piece of which document an example shows; the corpora are mixed whether or not each is shuffled."""
        orders = [corpus.order(longest_piece, seed + n, shuffle) for n, corpus in enumerate(self.corpora)]
        return MixedOrder(orders, self._first[:-1], self.shares, seed + len(orders))

    def read(self, documents: NDArray[np.int64], starts: NDArray[np.int64], stops: NDArray[np.int64]) -> Ragged:
        """As `Corpus.read`."""
        documents, starts, stops = (np.asarray(each, dtype=np.int64) for each in (documents, starts, stops))
        lengths = stops - starts
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        values = np.empty(offsets[-1], np.int64)
        sources = np.searchsorted(self._first, documents, side="right") - 1
        source_of_value = np.repeat(sources, lengths)
        for source in np.unique(sources):
            here = sources == source
            own = documents[here] - self._first[source]
            values[source_of_value == source] = self.corpora[source].read(own, starts[here], stops[here]).values
        return Ragged(values, offsets)


class MixedOrder:
    """The orders of several corpora as one: example n is a pure function of (seed, n).

    Of the first n examples a corpus has its share, up to one, at every end of a block; within blocks they are shuffled.
    """

    def __init__(self, orders: Sequence[Order], first_documents: ArrayLike, shares: Sequence[float], seed: int) -> None:
        self.orders = orders
        self.seed = seed
        self.longest_piece = orders[0].longest_piece
        self._first_documents = np.asarray(first_documents, np.int64)
        self._upper = np.cumsum(shares)

    @property
    def num_pieces(self) -> int:
        """Examples in one pass: as many as there are pieces, of which those of a small share are not all seen."""
        return sum(order.num_pieces for order in self.orders)

    @property
    def num_tokens(self) -> int:
        """Tokens that a pass shows on the mean; a share of the examples holds more where pieces are longer."""
        shares = np.diff(self._upper, prepend=0)
        of_examples = [order.num_tokens / max(1, order.num_pieces) for order in self.orders]
        return round(self.num_pieces * float(np.dot(shares, of_examples)))

    def pieces(self, numbers: ArrayLike) -> Pieces:
        """As `Order.pieces`."""
        blocks, places = np.divmod(np.asarray(numbers, np.int64), BLOCK)
        places = permutation(self.seed, blocks, places, BLOCK)
        before, behind = self._ends(blocks), self._ends(blocks + 1)
        within = np.cumsum(np.diff(behind - before, axis=1, prepend=0), axis=1)
        source = (places[:, None] >= within).sum(axis=1)
        row = np.arange(len(source))
        opened = within[row, source] - np.diff(within, axis=1, prepend=0)[row, source]
        taken = np.diff(before, axis=1, prepend=0)[row, source] + places - opened
        empty = np.empty((3, len(source)), np.int64)
        found = Pieces(empty[0], empty[1], empty[2], np.empty(len(source), np.bool_))
        for number, order in enumerate(self.orders):
            here = source == number
            own = order.pieces(taken[here])
            for whole, part in zip(found, own, strict=True):
                whole[here] = part
            found.document[here] += self._first_documents[number]
        return found

    def _ends(self, blocks: NDArray[np.int64]) -> NDArray[np.int64]:
        """int64[N, corpora]: of the examples before each block, those of a corpus or of one that stands before it."""
        ends = np.floor(blocks[:, None] * BLOCK * self._upper + 0.5).astype(np.int64)
        ends[:, -1] = blocks * BLOCK
        return ends


def open_corpus(text: str, temperature: float = 1.0) -> Corpus | Mixture:
    """A corpus, or several with commas between, each with a weight of its own behind `=` or by its size.

    Without weights shares go by tokens to the power of 1 / temperature: at 1 by size, at infinity all alike. Raises
    UserError for what is no corpus and no weight.
    """
    parts = _parts(text)
    if parts == [(text, "", "")]:
        return Corpus.open(Path(text))
    corpora = [Corpus.open(Path(name)) for name, _, _ in parts]
    weighed = [bool(equals) for _, equals, _ in parts]
    if any(weighed) != all(weighed):
        raise UserError(f"corpus {text!r} gives weights to some and not to others: give them to all or to none")
    if all(weighed):
        weights = [_weight(weight, text) for _, _, weight in parts]
    else:
        weights = [corpus.num_tokens ** (1 / temperature) for corpus in corpora]
    return Mixture(corpora, [weight / sum(weights) for weight in weights])


def _parts(text: str) -> list[tuple[str, str, str]]:
    """Folder, equals sign and weight of each corpus; a folder of that very name is one."""
    if Path(text).is_dir():
        return [(text, "", "")]
    return [part.strip().partition("=") for part in text.split(",")]


def corpus_folders(text: str) -> list[Path]:
    """The folders that `open_corpus` opens, whether they are there or not."""
    return [Path(name) for name, _, _ in _parts(text)]


def _weight(text: str, whole: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        weight = math.nan
    if not 0 < weight < math.inf:
        raise UserError(f"corpus {whole!r}: weight {text!r} must be a number above 0")
    return weight


def corpus_fingerprint(text: str) -> str:
    """`data_fingerprint` of what `open_corpus` opens."""
    return ",".join(f"{data_fingerprint(Path(name))}{equals}{weight}" for name, equals, weight in _parts(text))
