"""UL2's denoisers over a ragged batch of pieces: R and X mask random spans, S continues a prefix.

The mixture follows UL2 (Tay et al. 2022, arXiv:2205.05131), R and X the random spans of T5 (Raffel et al. 2020). What
decides an example's lengths is drawn first and costs nothing per token, so rows are packed before any token is read.

Short pieces: a piece of one token, always a whole document, is all noise under R and X; under S it is its own prefix
and the target is EOS alone.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rot5.data.order import Ordered, Pieces
from rot5.data.ragged import Ragged
from rot5.data.randomness import Stream, uniform
from rot5.data.spans import POSITION_BITS, Spans, random_spans, span_counts, starts_of

if TYPE_CHECKING:
    from rot5.data.tokenizer import SpecialIds

LEAST_PIECE_LIMIT = 4
"""The least that the longest piece may be: cutting documents at a lower limit could leave pieces of one token."""


@dataclass(frozen=True, kw_only=True)
class DenoiserConfig:
    """One denoiser of the mixture."""

    name: str
    """What figures call it; unique in the mixture."""

    kind: Literal["R", "X", "S"]
    """R and X mask spans and differ only in their mode token; S continues a prefix."""

    probability: float
    """The share of examples that it gets."""

    mean_span: float = 3.0
    """R and X: mean length of a masked span, in tokens."""

    density: float = 0.15
    """R and X: the share of a piece's tokens that is masked."""

    shortest_prefix: float = 0.25
    """S: the smallest share of a piece that is the prefix; shares are drawn uniformly."""

    longest_prefix: float = 0.75
    """S: the largest share of a piece that is the prefix."""


@dataclass(frozen=True, kw_only=True)
class DenoiseConfig:
    """The mixture of denoisers."""

    denoisers: tuple[DenoiserConfig, ...] = (
        DenoiserConfig(name="R", kind="R", probability=0.25, mean_span=3.0, density=0.15),
        DenoiserConfig(name="X32", kind="X", probability=0.125, mean_span=32.0, density=0.5),
        DenoiserConfig(name="X64", kind="X", probability=0.125, mean_span=64.0, density=0.2),
        DenoiserConfig(name="S", kind="S", probability=0.5),
    )
    """Each example is given to one of them; their probabilities sum to 1."""

    mode_tokens: bool = True
    """Whether an example's input opens with the mode token of its denoiser's kind."""


def prefix_lengths(lengths: ArrayLike, share: ArrayLike) -> NDArray[np.int64]:
    """The prefix of S: that share of the piece, rounded; at least one token and, from two tokens on, never all."""
    lengths = np.asarray(lengths, np.int64)
    prefix = np.rint(lengths * np.asarray(share)).astype(np.int64)
    return np.clip(prefix, 1, np.maximum(lengths - 1, 1))


def longest_piece(config: DenoiseConfig, encoder_length: int, decoder_length: int) -> int:
    """The longest piece such that it and every shorter one fits both rows, whatever is drawn; 0 if none does.

    None is longer than 2**POSITION_BITS, however long the rows.
    """
    lengths = np.arange(1, min(encoder_length + decoder_length, 2**POSITION_BITS) + 1)
    fits = np.ones(lengths.size, np.bool_)
    for denoiser in config.denoisers:
        inputs, targets = _worst_lengths(denoiser, lengths, config.mode_tokens)
        fits &= (inputs <= encoder_length) & (targets <= decoder_length)
    return int(lengths.size if fits.all() else np.argmin(fits))


def sentinels_needed(config: DenoiseConfig, longest_piece: int) -> int:
    """The most sentinels that any example of a piece up to that length can take."""
    return max(_sentinels(denoiser, longest_piece) for denoiser in config.denoisers)


def expected_lengths(config: DenoiseConfig, piece_lengths: ArrayLike) -> tuple[float, float]:
    """Mean input and target length, in tokens, over all draws for whole documents of these lengths (from 1 on)."""
    lengths = np.asarray(piece_lengths, np.int64).reshape(-1)
    inputs = targets = 0.0
    for denoiser in config.denoisers:
        if denoiser.kind == "S":
            prefix = np.clip(
                lengths * (denoiser.shortest_prefix + denoiser.longest_prefix) / 2, 1, np.maximum(lengths - 1, 1)
            )
            shown, asked = prefix, lengths - prefix + 1
        else:
            noise, spans = span_counts(lengths, denoiser.density, denoiser.mean_span)
            runs = spans + (noise - spans) / lengths
            shown, asked = lengths - noise + runs + 1, noise + runs + 1
        inputs += denoiser.probability * (float(shown.mean()) + config.mode_tokens)
        targets += denoiser.probability * float(asked.mean())
    return inputs, targets


def problems(config: DenoiseConfig, *, encoder_length: int, decoder_length: int, num_sentinels: int) -> list[str]:
    """What is wrong with the mixture, or with the rows or the sentinels for it; empty if nothing is."""
    found = []
    names = [denoiser.name for denoiser in config.denoisers]
    if not names:
        found.append("denoisers is empty: name at least one denoiser")
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        found.append(f"denoiser names must differ: {', '.join(repeated)} occurs more than once")
    total = sum(denoiser.probability for denoiser in config.denoisers)
    if names and abs(total - 1) > 1e-6:
        found.append(f"the probabilities of the denoisers sum to {total:g}: they must sum to 1")
    for denoiser in config.denoisers:
        found += _denoiser_problems(denoiser)
    if found:
        return found
    longest = longest_piece(config, encoder_length, decoder_length)
    if longest < LEAST_PIECE_LIMIT:
        return [f"rows of {encoder_length} / {decoder_length} tokens leave no room for the denoisers: lengthen them"]
    if longest >= 2**POSITION_BITS:
        return [
            f"rows of {encoder_length} / {decoder_length} tokens hold pieces of {longest} tokens, more than the "
            f"{2**POSITION_BITS - 1} that denoising takes: shorten them"
        ]
    for denoiser in config.denoisers:
        if (needed := _sentinels(denoiser, longest)) > num_sentinels:
            found.append(
                f"denoiser {denoiser.name} needs {needed} sentinels for pieces of {longest} tokens and the tokenizer "
                f"has {num_sentinels}: raise num_sentinels or mean_span, or lower density or the row lengths"
            )
    return found


def _denoiser_problems(denoiser: DenoiserConfig) -> list[str]:
    found = []
    label = f"denoiser {denoiser.name}"
    if denoiser.kind not in ("R", "X", "S"):
        found.append(f"{label}: kind is {denoiser.kind!r}, must be R, X or S")
    if not 0 <= denoiser.probability <= 1:
        found.append(f"{label}: probability is {denoiser.probability:g}, must be between 0 and 1")
    if not 0 < denoiser.density < 1:
        found.append(f"{label}: density is {denoiser.density:g}, must be above 0 and below 1")
    if not 1 <= denoiser.mean_span < np.inf:
        found.append(f"{label}: mean_span is {denoiser.mean_span:g}, must be at least 1")
    if not 0 < denoiser.shortest_prefix <= denoiser.longest_prefix < 1:
        found.append(
            f"{label}: prefixes of {denoiser.shortest_prefix:g} to {denoiser.longest_prefix:g} of a piece, must ascend "
            "between 0 and 1"
        )
    return found


def _worst_lengths(denoiser: DenoiserConfig, lengths: NDArray[np.int64], mode_token: bool) -> tuple[NDArray, NDArray]:
    """The longest input and the longest target that pieces of each of the lengths can become."""
    if denoiser.kind == "S":
        shown, left = (prefix_lengths(lengths, x) for x in (denoiser.longest_prefix, denoiser.shortest_prefix))
        return int(mode_token) + shown, lengths - left + 1
    noise, spans = span_counts(lengths, denoiser.density, denoiser.mean_span)
    runs = spans + (noise > spans)
    return int(mode_token) + lengths - noise + runs + 1, noise + runs + 1


def _sentinels(denoiser: DenoiserConfig, longest_piece: int) -> int:
    if denoiser.kind == "S":
        return 0
    noise, spans = span_counts(np.arange(1, longest_piece + 1), denoiser.density, denoiser.mean_span)
    return int((spans + (noise > spans)).max(initial=0))


class Plan(NamedTuple):
    """N examples without their tokens; each array has one entry per example."""

    numbers: NDArray[np.int64]
    pieces: Pieces
    kinds: NDArray[np.int64]
    story_tokens: NDArray[np.int64]
    input_lengths: NDArray[np.int64]
    target_lengths: NDArray[np.int64]
    prefix: NDArray[np.int64]
    """S: tokens of the prefix; elsewhere 0."""

    noise: NDArray[np.int64]
    """Tokens that the target spells out."""

    spans: NDArray[np.int64]
    """Noise spans before the roll."""

    wraps: NDArray[np.bool_]
    """Whether the roll cuts a span in two."""

    closes_input: NDArray[np.bool_]
    closes_target: NDArray[np.bool_]
    """Whether EOS closes the input, and the target."""

    def take(self, chosen: NDArray[np.int64]) -> "Plan":
        """The plan of some of the examples, in the order of `chosen`."""
        pieces = Pieces(
            self.pieces.document[chosen],
            self.pieces.start[chosen],
            self.pieces.stop[chosen],
            self.pieces.ends_document[chosen],
        )
        arrays = {name: array[chosen] for name, array in self._asdict().items() if name != "pieces"}
        return Plan(pieces=pieces, **arrays)


class Documents(Protocol):
    """What is needed of a corpus."""

    def read(self, documents: NDArray[np.int64], starts: NDArray[np.int64], stops: NDArray[np.int64]) -> Ragged:
        """The tokens from start to stop of each document."""
        ...


class Denoised:
    """Examples made of a corpus: piece, denoiser and masked spans of example n are pure functions of (seed, n).

    `problems` says beforehand whether the settings can be met; `longest_piece` gives the limit for the order.
    """

    def __init__(
        self, corpus: Documents, order: Ordered, specials: "SpecialIds", config: DenoiseConfig, seed: int
    ) -> None:
        assert LEAST_PIECE_LIMIT <= order.longest_piece < 2**POSITION_BITS
        assert sentinels_needed(config, order.longest_piece) <= specials.num_sentinels
        self.corpus = corpus
        self.order = order
        self.specials = specials
        self.config = config
        self.seed = seed
        self.kind_names = tuple(denoiser.name for denoiser in config.denoisers)
        self._upper = np.cumsum([denoiser.probability for denoiser in config.denoisers])[:-1]
        self._continues = np.array([denoiser.kind == "S" for denoiser in config.denoisers])
        self._modes = np.array([specials.modes[denoiser.kind] for denoiser in config.denoisers])
        self._mean_span, self._density, self._shortest_prefix, self._longest_prefix = (
            np.array([getattr(denoiser, field) for denoiser in config.denoisers], np.float64)
            for field in ("mean_span", "density", "shortest_prefix", "longest_prefix")
        )

    def __len__(self) -> int:
        """Examples in one pass over the corpus."""
        return self.order.num_pieces

    def plan(self, numbers: ArrayLike) -> Plan:
        """What examples `numbers` (int64[N]) will be, without reading a token."""
        numbers = np.asarray(numbers, np.int64)
        pieces = self.order.pieces(numbers)
        lengths = pieces.stop - pieces.start
        kinds = np.searchsorted(self._upper, uniform(self.seed, Stream.DENOISER, numbers), side="right")
        continues = self._continues[kinds]

        shortest, longest = self._shortest_prefix[kinds], self._longest_prefix[kinds]
        share = shortest + (longest - shortest) * uniform(self.seed, Stream.SPLIT, numbers)
        prefix = np.where(continues, prefix_lengths(lengths, share), 0)

        noise, spans = span_counts(lengths, self._density[kinds], self._mean_span[kinds])
        wraps = ~continues & (uniform(self.seed, Stream.WRAP, numbers) * lengths < noise - spans)
        noise, spans = np.where(continues, lengths - prefix, noise), np.where(continues, 1, spans)

        sentinels = np.where(continues, 0, spans + wraps)
        closes_input = ~continues & pieces.ends_document
        closes_target = ~continues | pieces.ends_document
        input_lengths = int(self.config.mode_tokens) + lengths - noise + sentinels + closes_input
        target_lengths = noise + sentinels + closes_target
        return Plan(
            numbers,
            pieces,
            kinds,
            lengths,
            input_lengths,
            target_lengths,
            prefix,
            noise,
            spans,
            wraps,
            closes_input,
            closes_target,
        )

    def spans(self, plan: Plan) -> Spans:
        """Where the noise of each example of the plan lies in its piece; for S it is what follows the prefix."""
        offsets = starts_of(plan.spans + plan.wraps)
        num_spans = np.diff(offsets)
        starts, stops = np.repeat(plan.prefix, num_spans), np.repeat(plan.story_tokens, num_spans)
        at_random = ~self._continues[plan.kinds] & (plan.story_tokens > 1)
        if at_random.any():
            drawn = random_spans(
                self.seed,
                plan.numbers[at_random],
                plan.story_tokens[at_random],
                plan.noise[at_random],
                plan.spans[at_random],
                plan.wraps[at_random],
            )
            places = np.repeat(at_random, num_spans)
            starts[places], stops[places] = drawn.starts, drawn.stops
        return Spans(starts, stops, offsets)

    def materialise(self, plan: Plan, chosen: NDArray[np.int64]) -> tuple[Ragged, Ragged]:
        """Inputs and targets of the chosen (int64[K], indices into the plan) examples, in that order."""
        plan = plan.take(np.asarray(chosen, np.int64))
        tokens = self.corpus.read(plan.pieces.document, plan.pieces.start, plan.pieces.stop)
        spans = self.spans(plan)
        num_spans = np.diff(spans.offsets)
        shift = np.repeat(tokens.offsets[:-1], num_spans)
        starts, stops = spans.starts + shift, spans.stops + shift
        edges = np.zeros(tokens.values.size + 1, np.int8)
        edges[starts[starts < stops]] += 1
        edges[stops[starts < stops]] -= 1
        noise = np.cumsum(edges[:-1], dtype=np.int8).view(np.bool_)

        marked = np.repeat(~self._continues[plan.kinds], num_spans)
        rank = np.arange(starts.size) - np.repeat(spans.offsets[:-1], num_spans)
        sentinels = self.specials.first_sentinel + rank[marked]
        shown, kept = tokens.values.copy(), ~noise
        shown[starts[marked]] = sentinels
        kept[starts[marked]] = True

        offsets = starts_of(plan.input_lengths)
        placed: list[tuple[NDArray[np.int64], ArrayLike]] = [
            (offsets[1:][plan.closes_input] - 1, self.specials.eos),
        ]
        if self.config.mode_tokens:
            placed.append((offsets[:-1], self._modes[plan.kinds]))
        inputs = _compose(offsets, placed, shown[kept])

        offsets = starts_of(plan.target_lengths)
        written = starts_of(stops - starts + marked)
        opened = written[:-1] + np.repeat(offsets[:-1] - written[spans.offsets[:-1]], num_spans)
        placed = [(opened[marked], sentinels), (offsets[1:][plan.closes_target] - 1, self.specials.eos)]
        targets = _compose(offsets, placed, tokens.values[noise])
        return inputs, targets


def _compose(
    offsets: NDArray[np.int64], placed: list[tuple[NDArray[np.int64], ArrayLike]], others: NDArray[np.int64]
) -> Ragged:
    """Rows in which ids are placed at some positions (flat) and the `others` fill what is left, in order."""
    values = np.empty(offsets[-1], np.int64)
    free = np.ones(offsets[-1], np.bool_)
    for positions, ids in placed:
        values[positions] = ids
        free[positions] = False
    values[free] = others
    return Ragged(values, offsets)
