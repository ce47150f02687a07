"""Which expert takes which token, and whether experts share the work by what a word is or by where it stands.

Shape suffixes: T tokens of a stream, K choices of a token, C classes, E experts.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from rot5.inspect.passage import Passage
from rot5.inspect.tokens import KINDS, Tokens
from rot5.model.modeling_rot5 import Rot5ForConditionalGeneration
from rot5.model.moe import Routing

QUARTERS = ("first quarter", "second quarter", "third quarter", "last quarter")


class Route(NamedTuple):
    """The way of a row of tokens through a layer of experts."""

    experts_TK: torch.Tensor
    """The chosen experts, best first."""
    gates_TK: torch.Tensor
    """What the outputs of the chosen experts are multiplied by."""


class Specialisation(NamedTuple):
    """How the choice of experts hangs together with a class of the tokens; every choice of a token counts once."""

    classes: tuple[str, ...]
    counts_CE: NDArray[np.int64]

    @property
    def lift_CE(self) -> NDArray[np.float64]:
        """How often an expert takes a token of the class, in units of how often it takes any token; nan without such
        tokens or such choices.

        >>> Specialisation(("name", "other"), np.array([[3, 1], [1, 3]])).lift_CE.tolist()
        [[1.5, 0.5], [0.5, 1.5]]
        """
        counts_CE = self.counts_CE.astype(np.float64)
        expected_CE = counts_CE.sum(1, keepdims=True) * counts_CE.sum(0) / max(counts_CE.sum(), 1)
        return np.divide(counts_CE, expected_CE, out=np.full_like(counts_CE, np.nan), where=expected_CE > 0)

    @property
    def bits(self) -> float:
        """Mutual information of class and expert, estimated by plain counting; 0 if one tells nothing of the other.

        >>> Specialisation(("name", "other"), np.array([[4, 0], [0, 4]])).bits
        1.0
        """
        shares_CE, lift_CE = self.counts_CE / max(self.counts_CE.sum(), 1), self.lift_CE
        present_CE = self.counts_CE > 0
        return float((shares_CE[present_CE] * np.log2(lift_CE[present_CE])).sum())

    @property
    def bits_by_chance(self) -> float:
        """What `bits` is about where both have nothing to do with each other: counting overrates it (Miller, 1955).

        (classes - 1) (experts - 1) / (2 n ln 2), of classes and experts that occur, for n choices.
        """
        rows, columns = (np.count_nonzero(self.counts_CE.sum(axis)) for axis in (1, 0))
        return max(rows - 1, 0) * max(columns - 1, 0) / (2 * max(int(self.counts_CE.sum()), 1) * math.log(2))


@torch.inference_mode()
def routes(model: Rot5ForConditionalGeneration, passage: Passage) -> dict[str, Route]:
    """The ways of a passage by layer of experts (`encoder.1`); the decoder's tokens are its start token and the target
    but for its last."""
    output = model(**passage.ids(model), output_routing=True, use_cache=False)
    places = [place for place, _ in model.routers()]
    return {
        place: Route(each.experts_NK.cpu(), each.gates_NK.float().cpu())
        for place, each in zip(places, output.routing or (), strict=True)
    }


class Tally:
    """Counts of choices by word class and by position, layer by layer, while tokens stream by."""

    def __init__(self, model: Rot5ForConditionalGeneration):
        experts = model.config.num_experts
        self.places = [place for place, _ in model.routers()]
        self.by_class = {place: np.zeros((len(KINDS), experts), dtype=np.int64) for place in self.places}
        self.by_position = {place: np.zeros((len(QUARTERS), experts), dtype=np.int64) for place in self.places}

    def add(self, place: str, experts_TK: NDArray[np.int64], kinds: Sequence[str]) -> None:
        """Count one row of tokens, from its beginning to its end."""
        rows, choices = experts_TK.shape
        kind_T = np.array([KINDS.index(kind) for kind in kinds], dtype=np.int64)
        quarter_T = np.arange(rows) * len(QUARTERS) // max(rows, 1)
        for counts_CE, class_T in ((self.by_class[place], kind_T), (self.by_position[place], quarter_T)):
            np.add.at(counts_CE, (class_T.repeat(choices), experts_TK.flatten()), 1)

    def add_batch(self, routing: Sequence[Routing], rows: dict[str, list[Tokens]], chosen: dict[str, list]) -> None:
        """Count a batch: `rows` are the tokens of each stack's documents, `chosen` the places where they stand."""
        for place, each in zip(self.places, routing, strict=True):
            stack = place.partition(".")[0]
            experts_BTK = each.experts_NK.view(len(rows[stack]), -1, each.experts_NK.shape[1]).cpu().numpy()
            for experts_TK, tokens, real_T in zip(experts_BTK, rows[stack], chosen[stack], strict=True):
                self.add(place, experts_TK[real_T], tokens.kind_of_token)

    def found(self) -> dict[str, dict[str, Specialisation]]:
        """By layer, what the counts say by word class and by position."""
        return {
            place: {
                "word class": Specialisation(KINDS, self.by_class[place]),
                "position": Specialisation(QUARTERS, self.by_position[place]),
            }
            for place in self.places
        }
