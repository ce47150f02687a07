"""All views of one model and one text together."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch

from rot5.data.corpus import Corpus, PairCorpus
from rot5.inspect.attention import Attentions, attention_maps
from rot5.inspect.attribution import Attribution, attribute
from rot5.inspect.experts import Route, Specialisation, Tally, routes
from rot5.inspect.heads import Heads, cross_marks, self_marks, summarise_heads
from rot5.inspect.lens import Lens, decoder_lens
from rot5.inspect.neurons import Context, Top, activations, add_batch, choose_layers, choose_units, contexts, listening
from rot5.inspect.passage import Passage, Subject, start_of
from rot5.inspect.reading import NOWHERE, Batch, read_batches
from rot5.inspect.settings import AttributionConfig, NeuronConfig
from rot5.inspect.tokens import Tokens, read_tokens


class Unit(NamedTuple):
    """A unit of a layer that is shown."""

    number: int
    on_text: float
    """Its largest activation on the text that was looked at."""
    contexts: list[Context]


class Survey(NamedTuple):
    """What a corpus has shown."""

    documents: int
    tops: dict[str, Top]
    """All units by layer."""
    units: dict[str, list[Unit]]
    """Those shown."""
    experts: dict[str, dict[str, Specialisation]]
    """By layer of experts and what tokens are told apart by."""


@dataclass(frozen=True, kw_only=True)
class Inside:
    """What a model does with a text."""

    subject: Subject
    passage: Passage
    before: Tokens
    """What the decoder reads: its start token and the target but for the last token."""
    attention: Attentions
    heads: dict[str, Heads]
    """By encoder, decoder and cross."""
    lens: Lens
    attribution: Attribution
    routes: dict[str, Route]
    """By layer of experts."""
    experts: dict[str, dict[str, Specialisation]]
    """Of the corpus where one was given, else of the text."""
    survey: Survey | None


def look(
    subject: Subject,
    passage: Passage,
    *,
    attribution: AttributionConfig,
    neurons: NeuronConfig,
    data: Corpus | PairCorpus | None = None,
    max_new_tokens: int = 96,
    progress: Callable[[int], None] = lambda documents: None,
) -> Inside:
    """Look at everything; `progress` is told how many documents are read. Raises UserError for layers or units that are
    not there."""
    model = subject.model
    layers, units = choose_layers(model, neurons.layers), choose_units(model, neurons.units)
    before = read_tokens(subject.loaded.tokenizer, [start_of(model), *passage.target.ids[:-1]])
    maps = attention_maps(model, passage)
    encoder, decoder, cross = (weights.numpy() for weights in maps)
    heads = {
        "encoder": summarise_heads(encoder, self_marks(passage.source, causal=False), causal=False),
        "decoder": summarise_heads(decoder, self_marks(before, causal=True), causal=True),
        "cross": summarise_heads(cross, cross_marks(passage.target, passage.source), causal=False),
    }
    ways = routes(model, passage)
    survey = None
    if data is not None:
        survey = _survey(subject, passage, data, layers, units, neurons, progress)
    return Inside(
        subject=subject,
        passage=passage,
        before=before,
        attention=maps,
        heads=heads,
        lens=decoder_lens(model, passage, max_new_tokens),
        attribution=attribute(model, passage, attribution),
        routes=ways,
        experts=_experts_of_text(subject, passage, before, ways) if survey is None else survey.experts,
        survey=survey,
    )


def _experts_of_text(
    subject: Subject, passage: Passage, before: Tokens, ways: dict[str, Route]
) -> dict[str, dict[str, Specialisation]]:
    tally = Tally(subject.model)
    for place, way in ways.items():
        tokens = passage.source if place.startswith("encoder") else before
        tally.add(place, way.experts_TK.numpy(), tokens.kind_of_token)
    return tally.found()


@torch.inference_mode()
def _survey(
    subject: Subject,
    passage: Passage,
    data: Corpus | PairCorpus,
    layers: list[str],
    units: list[int],
    config: NeuronConfig,
    progress: Callable[[int], None],
) -> Survey:
    """Read the corpus once, a batch at a time, and keep of each unit its best places and of experts their counts."""
    model = subject.model
    tops = {layer: Top(model.config.d_ff, config.contexts) for layer in layers}
    tally, read = Tally(model), 0
    for batch in read_batches(subject, data, config.documents, config.batch):
        with listening(model, layers) as heard:
            output = model(**batch.inputs(), use_cache=False, output_routing=True)
        add_batch(tops, heard, batch)
        if tally.places:
            rows, chosen = _rows(subject, batch)
            tally.add_batch(output.routing or (), rows, chosen)
        read += len(batch.documents_B)
        progress(read)
    on_text = activations(model, passage, layers)
    shown = {}
    for layer in layers:
        peak_F = on_text[layer].max(0).values
        best = units or peak_F.topk(min(config.shown, len(peak_F))).indices.tolist()
        shown[layer] = [
            Unit(unit, float(peak_F[unit]), contexts(tops[layer], unit, layer, data, config.around)) for unit in best
        ]
    return Survey(read, tops, shown, tally.found())


def _rows(subject: Subject, batch: Batch) -> tuple[dict[str, list[Tokens]], dict[str, list]]:
    """The corpus's tokens of each row, and which places of the row they stand at."""
    rows, chosen = {}, {}
    for stack, stream in (("encoder", batch.encoder), ("decoder", batch.decoder)):
        real_BT, ids_BT = stream.places_BT != NOWHERE, stream.ids_BT.cpu().numpy()
        pairs = list(zip(ids_BT, real_BT, strict=True))
        rows[stack] = [read_tokens(subject.loaded.tokenizer, ids_T[real_T].tolist()) for ids_T, real_T in pairs]
        chosen[stack] = [real_T for _, real_T in pairs]
    return rows, chosen
