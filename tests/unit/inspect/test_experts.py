"""Maps of experts, and how far they go by what a word is or where it stands."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rot5.inspect.experts import Specialisation, Tally, routes
from rot5.inspect.look import look
from rot5.inspect.settings import AttributionConfig, NeuronConfig

COUNTS = arrays(np.int64, (3, 4), elements=st.integers(0, 9))


@pytest.fixture
def sparse(subject):
    return subject(num_experts=4, num_experts_per_tok=2, encoder_sparse_step=2, decoder_sparse_step=1)


def test_routes_are_those_of_the_model(sparse, passage_of):
    passage = passage_of(sparse)
    ways = routes(sparse.model, passage)
    assert list(ways) == ["encoder.1", "decoder.0", "decoder.1"]
    heard = []
    router = sparse.model.decoder.layers[0].mlp.router
    handle = router.register_forward_hook(lambda _, inputs, routing: heard.append(routing))
    with torch.no_grad():
        sparse.model(**passage.ids(sparse.model))
    handle.remove()
    assert torch.equal(ways["decoder.0"].experts_TK, heard[0].experts_NK)
    assert torch.equal(ways["decoder.0"].gates_TK, heard[0].gates_NK)
    assert ways["decoder.0"].experts_TK.shape == (len(passage.target.ids), 2)
    assert not torch.equal(ways["decoder.0"].experts_TK, ways["decoder.1"].experts_TK)


def test_every_choice_counts_once_by_class_and_by_position(sparse):
    tally = Tally(sparse.model)
    experts_TK = np.array([[0, 1], [0, 2], [3, 1], [3, 2], [1, 0]])
    tally.add("encoder.1", experts_TK, ["name", "other", "other", "name", "punctuation"])
    found = tally.found()["encoder.1"]
    by_class = dict(zip(found["word class"].classes, found["word class"].counts_CE.tolist(), strict=True))
    assert by_class["name"] == [1, 1, 1, 1] and by_class["other"] == [1, 1, 1, 1] and by_class["number"] == [0] * 4
    assert by_class["punctuation"] == [1, 1, 0, 0]
    assert found["position"].counts_CE.tolist() == [[2, 1, 1, 0], [0, 1, 0, 1], [0, 0, 1, 1], [1, 1, 0, 0]]


def test_a_corpus_counts_alike_in_batches_of_any_size(sparse, passage_of, corpora):
    from rot5.data.corpus import Corpus

    data = Corpus.open(corpora / "validation")
    found = []
    for batch in (1, 4):
        neurons = NeuronConfig(layers="encoder.0", documents=6, batch=batch, contexts=1, shown=1)
        settings = {"attribution": AttributionConfig(steps=0, leave_out=0), "max_new_tokens": 2}
        found.append(look(sparse, passage_of(sparse), neurons=neurons, data=data, **settings).experts)
    halves = int(((data.lengths[:6] + 1) // 2).sum())
    for place, tables in found[0].items():
        for name, each in tables.items():
            assert np.array_equal(each.counts_CE, found[1][place][name].counts_CE)
            total = halves if place.startswith("encoder") else int(data.lengths[:6].sum()) - halves
            assert each.counts_CE.sum() == 2 * total


@hypothesis_settings(max_examples=60, deadline=None)
@given(counts=COUNTS, rows=st.permutations(range(3)), columns=st.permutations(range(4)))
def test_information_does_not_hang_on_names_and_is_bounded(counts, rows, columns):
    found = Specialisation(("a", "b", "c"), counts)
    moved = Specialisation(("a", "b", "c"), counts[np.ix_(rows, columns)])
    assert moved.bits == pytest.approx(found.bits, abs=1e-9)
    assert -1e-9 <= found.bits <= np.log2(3) + 1e-9
    assert found.bits_by_chance == pytest.approx(moved.bits_by_chance)


def test_independent_choices_tell_nothing_and_have_a_lift_of_one():
    found = Specialisation(("a", "b"), np.outer([2, 6], [1, 3, 4]))
    assert found.bits == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(found.lift_CE, 1)


def test_what_chance_gives_is_about_what_counting_finds_of_random_choices():
    random = np.random.default_rng(0)
    found = []
    for _ in range(200):
        counts = np.zeros((3, 4), dtype=np.int64)
        np.add.at(counts, (random.integers(3, size=400), random.integers(4, size=400)), 1)
        found.append(Specialisation(("a", "b", "c"), counts))
    assert np.mean([each.bits for each in found]) == pytest.approx(found[0].bits_by_chance, rel=0.1)
