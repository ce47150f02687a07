"""Several corpora as one: shares are kept, nothing is lost, and example n is the same whoever asks."""

import numpy as np
import pytest

from rot5.data import sources
from rot5.data.corpus import Corpus
from rot5.data.mixture import BLOCK, MixedOrder, corpus_fingerprint, open_corpus
from rot5.data.order import Order
from rot5.data.preparing import prepare
from rot5.errors import UserError

SHARES = (0.55, 0.3, 0.15)


@pytest.fixture
def orders() -> list[Order]:
    draw = np.random.default_rng(0)
    return [Order(draw.integers(1, 60, size), 20, seed=n) for n, size in enumerate((700, 90, 3000))]


@pytest.fixture
def mixed(orders) -> MixedOrder:
    return MixedOrder(orders, [0, 700, 790], SHARES, seed=5)


def sources_of(documents) -> np.ndarray:
    return np.searchsorted([700, 790], documents, side="right")


def test_every_corpus_has_its_share_at_the_end_of_every_block(mixed):
    found = sources_of(mixed.pieces(np.arange(7 * BLOCK)).document)
    for block in range(1, 8):
        counts = np.bincount(found[: block * BLOCK], minlength=3)
        assert np.abs(counts - block * BLOCK * np.array(SHARES)).max() <= 1
    first = np.bincount(found[:BLOCK][: BLOCK // 8], minlength=3) / (BLOCK // 8)
    assert np.abs(first - SHARES).max() < 0.08, "within a block they are mixed too"


def test_each_corpus_is_shown_in_its_own_order_from_its_first_piece_on(mixed, orders):
    pieces = mixed.pieces(np.arange(5 * BLOCK))
    found = sources_of(pieces.document)
    for number, (order, first) in enumerate(zip(orders, (0, 700, 790), strict=True)):
        here = found == number
        shown = sorted(zip(pieces.document[here] - first, pieces.start[here], pieces.stop[here], strict=True))
        own = order.pieces(np.arange(here.sum()))
        assert shown == sorted(zip(own.document, own.start, own.stop, strict=True))


def test_a_pass_has_the_tokens_that_shares_and_lengths_give():
    """Pieces of 5 tokens and of 50: equal shares of examples are no equal shares of tokens."""
    mixed = MixedOrder([Order([5] * 300, 60, seed=0), Order([50] * 100, 60, seed=1)], [0, 300], (0.5, 0.5), seed=2)
    pieces = mixed.pieces(np.arange(3 * BLOCK))
    shown = (pieces.stop - pieces.start).mean()
    assert mixed.num_tokens == 400 * 27.5 and shown == pytest.approx(27.5)


def test_an_example_is_the_same_in_any_company(mixed):
    draw = np.random.default_rng(1)
    numbers = draw.integers(0, 9 * BLOCK, 500)
    together = mixed.pieces(numbers)
    for place in range(0, 500, 50):
        alone = mixed.pieces([numbers[place]])
        assert all(whole[place] == part[0] for whole, part in zip(together, alone, strict=True))


def test_another_seed_mixes_otherwise(mixed, orders):
    other = MixedOrder(orders, [0, 700, 790], SHARES, seed=6)
    numbers = np.arange(BLOCK)
    assert (sources_of(mixed.pieces(numbers).document) != sources_of(other.pieces(numbers).document)).any()


@pytest.fixture
def three(corpora, tmp_path) -> list[str]:
    """Three corpora of 60, 30 and 10 documents with one tokenizer."""
    tokenizer = Corpus.open(corpora / "stories").tokenizer()
    texts = list(sources.Documents(sources.SourceConfig(name="storyworld", limit=100)))
    parts = {"a": texts[:60], "b": texts[60:90], "c": texts[90:]}
    for name, part in parts.items():
        prepare(part, tokenizer, tmp_path / name, source="storyworld")
    return [str(tmp_path / name) for name in parts]


def test_documents_of_a_mixture_are_those_of_its_corpora_end_to_end(three):
    mixture, alone = open_corpus(",".join(three)), [Corpus.open(name) for name in three]
    every = np.array([95, 3, 61, 3, 89, 0, 99])
    found = mixture.read(every, np.ones_like(every), mixture.lengths[every])
    for row, document in enumerate(every):
        source = int(np.searchsorted([60, 90], document, side="right"))
        own = document - (0, 60, 90)[source]
        length = alone[source].lengths[own]
        assert found.row(row).tolist() == alone[source].read([own], [1], [length]).row(0).tolist()
    assert mixture.num_tokens == sum(corpus.num_tokens for corpus in alone)


def test_shares_go_by_weights_or_by_size_and_temperature(three):
    sizes = np.array([Corpus.open(name).num_tokens for name in three])
    a, b, c = three
    assert open_corpus(f"{a}=2, {b}=1, {c}=1").shares == [0.5, 0.25, 0.25]
    assert open_corpus(",".join(three)).shares == pytest.approx(sizes / sizes.sum())
    assert open_corpus(",".join(three), 2.0).shares == pytest.approx(sizes**0.5 / (sizes**0.5).sum())
    assert open_corpus(",".join(three), float("inf")).shares == pytest.approx([1 / 3] * 3)
    assert isinstance(open_corpus(a), Corpus) and corpus_fingerprint(a) != corpus_fingerprint(f"{a}=1,{b}=1")


@pytest.mark.parametrize("text", ["{a}=2,{b}", "{a}=x,{b}=1", "{a}=0,{b}=1", "{a}=nan,{b}=1", "{a},{b}/none"])
def test_what_is_no_mixture_is_refused(three, text):
    with pytest.raises(UserError):
        open_corpus(text.format(a=three[0], b=three[1]))
