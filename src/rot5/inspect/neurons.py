"""Units of feed-forward networks: how much each token excites them, and the places of a corpus that do so most.

A unit's activation is what the down-projection reads of it: `act(up(x))`, or `act(gate(x)) * up(x)`. Shape suffixes:
B documents of a batch, T tokens of a stream, M tokens of a batch, F units of a layer, N places kept of each.
"""

import contextlib
from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from rot5.data.corpus import Corpus, PairCorpus
from rot5.errors import UserError, nearest
from rot5.inspect.passage import Passage
from rot5.inspect.reading import NOWHERE, Batch, sides
from rot5.inspect.tokens import read_tokens
from rot5.model.feed_forward import FeedForward
from rot5.model.modeling_rot5 import Rot5ForConditionalGeneration


class Top:
    """The places that excite each unit of a layer most, kept while activations stream by in any number of pieces.

    Whatever the pieces, it holds the same: of equal activations the first stays.
    """

    values_NF: torch.Tensor
    """Falling in each unit; N is smaller while fewer places were seen."""
    documents_NF: torch.Tensor
    places_NF: torch.Tensor

    def __init__(self, units: int, contexts: int):
        self.contexts = contexts
        self.values_NF = torch.empty(0, units)
        self.documents_NF = self.places_NF = torch.empty(0, units, dtype=torch.int64)

    def add(self, activations_MF: torch.Tensor, documents_M: torch.Tensor, places_M: torch.Tensor) -> None:
        """Take in the activations of tokens that stand behind all those before."""
        values_XF = torch.cat([self.values_NF, activations_MF.float().cpu()])
        order_NF = _ranks(values_XF).topk(min(self.contexts, len(values_XF)), dim=0).indices
        self.values_NF = values_XF.gather(0, order_NF)

        def kept(before_NF: torch.Tensor, new_M: torch.Tensor) -> torch.Tensor:
            return torch.cat([before_NF, new_M[:, None].expand(-1, before_NF.shape[1])]).gather(0, order_NF)

        self.documents_NF, self.places_NF = kept(self.documents_NF, documents_M), kept(self.places_NF, places_M)


def _ranks(values_XF: torch.Tensor) -> torch.Tensor:
    """Whole numbers in the order of float32 values down a column, of equals the upper one above: no two are alike."""
    bits_XF = values_XF.view(torch.int32)
    ordered_XF = torch.where(bits_XF < 0, bits_XF ^ 0x7FFFFFFF, bits_XF).long()
    return (ordered_XF << 32) + torch.arange(len(values_XF) - 1, -1, -1)[:, None]


def dense_layers(model: Rot5ForConditionalGeneration) -> dict[str, FeedForward]:
    """Feed-forward networks of the layers without experts, by their place (`encoder.0`)."""
    stacks = (("encoder", model.encoder.layers), ("decoder", model.decoder.layers))
    return {
        f"{stack}.{n}": layer.mlp
        for stack, layers in stacks
        for n, layer in enumerate(layers)
        if isinstance(layer.mlp, FeedForward)
    }


def choose_layers(model: Rot5ForConditionalGeneration, named: str) -> list[str]:
    """The layers of a setting, or all without experts. Raises UserError for one that is not there or is of experts."""
    there = dense_layers(model)
    chosen = [name.strip() for name in named.split(",")] if named else list(there)
    sparse = {place for place, _ in model.routers()}
    for name in chosen:
        if name in sparse:
            raise UserError(f"neurons.layers: {name} is of experts, whose units are not followed: leave it out")
        if name not in there:
            raise UserError(f"neurons.layers: the model has no layer {name!r}: {nearest(name, there)}")
    return list(dict.fromkeys(chosen))


def choose_units(model: Rot5ForConditionalGeneration, named: str) -> list[int]:
    """The units of a setting, none if it is empty. Raises UserError for one that no layer has."""
    units = [int(number) for number in named.split(",")] if named else []
    if beyond := [unit for unit in units if unit >= model.config.d_ff]:
        raise UserError(
            f"neurons.units: the layers have no unit {beyond[0]}: they have {model.config.d_ff}, and count from 0"
        )
    return list(dict.fromkeys(units))


@contextlib.contextmanager
def listening(model: Rot5ForConditionalGeneration, layers: Sequence[str]) -> Iterator[dict[str, torch.Tensor]]:
    """Yield a dict in which each call of the model puts the activations [B, T, F] of these layers."""
    heard: dict[str, torch.Tensor] = {}

    def hear(layer: str, _, inputs: tuple[torch.Tensor]) -> None:
        heard[layer] = inputs[0].detach()

    networks = dense_layers(model)
    hooks = [networks[layer].down_proj.register_forward_pre_hook(partial(hear, layer)) for layer in layers]
    try:
        yield heard
    finally:
        for hook in hooks:
            hook.remove()


@torch.inference_mode()
def activations(
    model: Rot5ForConditionalGeneration, passage: Passage, layers: Sequence[str]
) -> dict[str, torch.Tensor]:
    """Activations [T, F] of layers at the tokens of a passage, which the decoder reads behind its start token."""
    with listening(model, layers) as heard:
        model(**passage.ids(model), use_cache=False)
    return {layer: heard[layer][0].float().cpu() for layer in layers}


def add_batch(tops: dict[str, Top], heard: dict[str, torch.Tensor], batch: Batch) -> None:
    """Take in what a batch of the corpus has excited, tokens of the corpus alone."""
    for layer, top in tops.items():
        stream = batch.encoder if layer.startswith("encoder") else batch.decoder
        real_BT = torch.from_numpy(stream.places_BT != NOWHERE)
        documents_B1 = torch.from_numpy(batch.documents_B)[:, None]
        top.add(
            heard[layer].cpu()[real_BT],
            documents_B1.expand(stream.places_BT.shape)[real_BT],
            torch.from_numpy(stream.places_BT)[real_BT],
        )


class Context(NamedTuple):
    """A place of a corpus with its neighbourhood."""

    value: float
    """The activation at the token in the middle."""
    document: int
    place: int
    texts: list[str]
    at: int
    """Which of the texts is the token."""


def contexts(top: Top, unit: int, layer: str, data: Corpus | PairCorpus, around: int) -> list[Context]:
    """The places kept of a unit, most exciting first, read from the corpus again."""
    corpus = sides(data)[0 if layer.startswith("encoder") else 1]
    documents_N, places_N = (each[:, unit].numpy() for each in (top.documents_NF, top.places_NF))
    starts_N = np.maximum(places_N - around, 0)
    stops_N = np.minimum(places_N + around + 1, corpus.lengths[documents_N])
    rows, tokenizer = corpus.read(documents_N, starts_N, stops_N), corpus.tokenizer()
    texts: list[list[str]] = [read_tokens(tokenizer, rows.row(n).tolist()).texts for n in range(len(places_N))]
    ats: NDArray[np.int64] = places_N - starts_N
    return [
        Context(float(value), int(document), int(place), text, int(at))
        for value, document, place, text, at in zip(
            top.values_NF[:, unit], documents_N, places_N, texts, ats, strict=True
        )
    ]
