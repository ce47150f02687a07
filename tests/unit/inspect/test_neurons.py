"""Units: their activations, the places that excite them most, and how a corpus is streamed."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from tolerances import PARITY

from rot5.data.corpus import Corpus, PairCorpus
from rot5.errors import UserError
from rot5.inspect.look import look
from rot5.inspect.neurons import Top, activations, add_batch, choose_layers, choose_units, contexts, listening
from rot5.inspect.reading import NOWHERE, open_data, read_batches
from rot5.inspect.settings import AttributionConfig, NeuronConfig, problems

TOKENS, UNITS, CONTEXTS = 30, 4, 5


def streamed(activations_MF: torch.Tensor, cuts: list[int]) -> Top:
    top, places = Top(UNITS, CONTEXTS), torch.arange(len(activations_MF))
    for some in torch.tensor_split(places, cuts):
        top.add(activations_MF[some], some // 7, some % 7)
    return top


@hypothesis_settings(max_examples=60, deadline=None)
@given(
    values=st.lists(st.sampled_from([-2.0, -0.5, 0.0, 0.25, 3.0]), min_size=TOKENS * UNITS, max_size=TOKENS * UNITS),
    cuts=st.lists(st.integers(0, TOKENS)).map(sorted),
)
def test_the_best_places_are_the_same_however_they_are_cut(values, cuts):
    activations_MF = torch.tensor(values).view(TOKENS, UNITS)
    top = streamed(activations_MF, cuts)
    expected = sorted(range(TOKENS), key=lambda place: -float(activations_MF[place, 1]))[:CONTEXTS]  # stable
    assert (top.documents_NF[:, 1] * 7 + top.places_NF[:, 1]).tolist() == expected
    assert top.values_NF[:, 1].tolist() == [float(activations_MF[place, 1]) for place in expected]
    whole = streamed(activations_MF, [])
    assert torch.equal(whole.documents_NF, top.documents_NF) and torch.equal(whole.places_NF, top.places_NF)


def survey(seen, data, batch: int, documents: int = 0) -> dict[str, Top]:
    tops = {layer: Top(seen.model.config.d_ff, CONTEXTS) for layer in choose_layers(seen.model, "")}
    for each in read_batches(seen, data, documents, batch):
        with torch.inference_mode(), listening(seen.model, list(tops)) as heard:
            seen.model(**each.inputs(), use_cache=False)
        add_batch(tops, heard, each)
    return tops


@pytest.mark.parametrize("kind", ["validation", "held-out"])
def test_a_corpus_in_batches_of_any_size_gives_the_same_places(subject, corpora, kind):
    seen = subject()
    data = open_data(str(corpora / kind), seen)
    one, several, all_ = (survey(seen, data, batch, documents=8) for batch in (1, 3, 100))
    for layer in one:
        for other in (several[layer], all_[layer]):
            torch.testing.assert_close(one[layer].values_NF, other.values_NF, rtol=0, atol=PARITY)
            # Neighbours closer than rounding may change places.
            apart = one[layer].values_NF.diff(dim=0).abs().min(dim=0).values > PARITY
            assert apart.any() and torch.equal(one[layer].places_NF[:-1, apart], other.places_NF[:-1, apart])


def test_memory_does_not_grow_with_the_corpus(subject, corpora, monkeypatch):
    seen, asked = subject(), []
    data = open_data(str(corpora / "validation"), seen)
    read = Corpus.read
    monkeypatch.setattr(Corpus, "read", lambda self, *where: asked.append(len(where[0])) or read(self, *where))
    sizes = []
    for documents in (4, 16):
        tops = survey(seen, data, 2, documents)
        sizes.append(
            {
                layer: (top.values_NF.untyped_storage().nbytes(), top.places_NF.untyped_storage().nbytes())
                for layer, top in tops.items()
            }
        )
    assert sizes[0] == sizes[1] and set(asked) == {2}


@pytest.mark.parametrize("proj", ["relu", "gated-gelu"])
def test_activations_are_what_the_down_projection_reads(subject, passage_of, proj):
    seen, read = subject(feed_forward_proj=proj), []
    passage = passage_of(seen)
    found = activations(seen.model, passage, ["encoder.0", "decoder.1"])
    assert found["decoder.1"].shape == (len(passage.target.ids), seen.model.config.d_ff)
    network = seen.model.encoder.layers[0].mlp
    network.register_forward_hook(lambda _, x, y: read.append((x[0], y)))
    with torch.no_grad():
        seen.model(**passage.ids(seen.model))
        ((x, y),) = read
        torch.testing.assert_close(network.down_proj(found["encoder.0"]), y[0])
        up = network.up_proj(x[0])
        own = network.activation(up) if proj == "relu" else network.activation(network.gate_proj(x[0])) * up
    torch.testing.assert_close(found["encoder.0"], own)


def test_texts_are_read_in_halves_and_pairs_whole(subject, corpora):
    seen = subject()
    texts = Corpus.open(corpora / "validation")
    batch = next(read_batches(seen, texts, 3, 2))
    length = int(texts.lengths[0])
    row, places = batch.encoder.ids_BT[0], batch.encoder.places_BT[0]
    assert seen.loaded.tokenizer.decode(row[:1]) == "[S]" and places[:2].tolist() == [NOWHERE, 0]
    assert batch.decoder.places_BT[0][:2].tolist() == [NOWHERE, (length + 1) // 2]
    assert batch.encoder.mask_BT[0].sum() + batch.decoder.mask_BT[0].sum() == length + 2
    pairs = PairCorpus.open(corpora / "held-out")
    batch = next(read_batches(seen, pairs, 3, 2))
    assert [len(side.places_BT[1][side.places_BT[1] != NOWHERE]) for side in (batch.encoder, batch.decoder)] == [
        pairs.inputs.lengths[1], pairs.targets.lengths[1]
    ]  # fmt: skip
    end = int(batch.encoder.mask_BT[1].sum()) - 1
    assert batch.encoder.ids_BT[1, end] == seen.loaded.tokenizer.eos_token_id


def test_contexts_show_the_token_in_its_neighbourhood(subject, corpora):
    seen, data = subject(), Corpus.open(corpora / "validation")
    tops = survey(seen, data, 4, documents=4)
    for layer, top in tops.items():
        for context in contexts(top, 7, layer, data, around=3):
            document = np.array([context.document])
            ids = data.read(document, document * 0, data.lengths[document]).values
            assert len(context.texts) <= 7 and context.at <= 3
            piece = seen.loaded.tokenizer.convert_ids_to_tokens(int(ids[context.place])).replace("\u2581", " ")
            assert context.texts[context.at] == piece or piece.startswith("<0x")
            half = (len(ids) + 1) // 2
            assert (context.place < half) == layer.startswith("encoder")


def test_units_that_are_named_are_shown_and_else_those_that_the_text_excites(subject, passage_of, corpora):
    seen, data = subject(), Corpus.open(corpora / "validation")
    passage = passage_of(seen)
    settings = {"attribution": AttributionConfig(steps=0, leave_out=0), "data": data, "max_new_tokens": 2}
    few = {"documents": 2, "contexts": 2, "layers": "decoder.1"}
    named = look(seen, passage, neurons=NeuronConfig(units="5,2", **few), **settings).survey
    assert named is not None and [unit.number for unit in named.units["decoder.1"]] == [5, 2]
    best = look(seen, passage, neurons=NeuronConfig(shown=3, **few), **settings).survey
    assert best is not None
    peaks = activations(seen.model, passage, ["decoder.1"])["decoder.1"].max(0).values
    assert [unit.number for unit in best.units["decoder.1"]] == peaks.topk(3).indices.tolist()
    assert best.units["decoder.1"][0].on_text == float(peaks.max()) and set(best.units) == {"decoder.1"}


def test_mistakes_are_told(subject, tmp_path):
    model = subject(num_experts=2, encoder_sparse_step=2, decoder_sparse_step=0).model
    assert choose_layers(model, "") == ["encoder.0", "decoder.0", "decoder.1"]
    with pytest.raises(UserError, match=r"encoder\.1 is of experts"):
        choose_layers(model, "encoder.0,encoder.1")
    with pytest.raises(UserError, match=r"no layer 'encoder\.7': did you mean"):
        choose_layers(model, "encoder.7")
    with pytest.raises(UserError, match="no unit 48: they have 48"):
        choose_units(model, "3,48")
    with pytest.raises(UserError, match="no corpus at"):
        open_data(str(tmp_path), subject())
    found = problems(AttributionConfig(steps=-1), NeuronConfig(units="1,b", batch=0, around=-1))
    wrong = ["attribution.steps", "neurons.around", "neurons.batch", "neurons.units"]
    assert [told.split()[0] for told in found] == wrong
