"""UL2's denoisers over a ragged batch of pieces: R and X mask random spans, S continues a prefix.

R and X follow `random_spans_noise_mask` of T5 (Raffel et al. 2020, section 3.1.4) with its random roll; the mixture
follows UL2 (Tay et al. 2022, arXiv:2205.05131). Lengths cost nothing per token, so that rows are packed before any
token is read: whether the roll cuts a span in two has the same chance for every segmentation, hence it is drawn first
and the roll afterwards, given the answer.

Short pieces: a piece of one token is all noise under R and X; under S it is its own prefix and the target is EOS alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rot5.data.order import Order, Pieces
from rot5.data.ragged import Ragged
from rot5.data.randomness import Stream, below, example_keys, keyed_bits, uniform

if TYPE_CHECKING:
    from rot5.data.tokenizer import SpecialIds

POSITION_BITS = 16
RANDOM_BITS = 28
GROUP_BITS = 64 - POSITION_BITS - RANDOM_BITS
"""How a sort key of 64 bits is shared out: which segmentation, a random rank in it, and the position ranked."""

SHORTEST_LONGEST_PIECE = 4
"""Below this limit cut pieces of one token could arise."""


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


def corrupt(
    tokens: Sequence[int],
    spans: Sequence[tuple[int, int]],
    sentinels: Sequence[int],
    eos: int,
    ends_document: bool = True,
) -> tuple[list[int], list[int]]:
    """Replace each span by one sentinel; the targets spell the spans out in order. The readable reference of R and X.

    Spans are (start, stop), ascending and not touching. EOS closes the targets, and the input where the text really
    ends.

    >>> corrupt([10, 11, 12, 13], [(1, 3)], sentinels=[99], eos=1)
    ([10, 99, 13, 1], [99, 11, 12, 1])
    >>> corrupt([10, 11, 12, 13], [(0, 1), (3, 4)], sentinels=[98, 99], eos=1, ends_document=False)
    ([98, 11, 12, 99], [98, 10, 99, 13, 1])
    """
    inputs: list[int] = []
    targets: list[int] = []
    position = 0
    for sentinel, (start, stop) in zip(sentinels, spans, strict=False):
        inputs += [*tokens[position:start], sentinel]
        targets += [sentinel, *tokens[start:stop]]
        position = stop
    inputs += tokens[position:]
    return [*inputs, eos] if ends_document else inputs, [*targets, eos]


def span_counts(
    lengths: ArrayLike, density: ArrayLike, mean_span: ArrayLike
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How many tokens of a piece are noise, and in how many spans before the roll; arrays broadcast, lengths at least 1.

    At least one token is noise and, from two tokens on, one is not; both can be cut into that many non-empty segments.
    """
    lengths = np.asarray(lengths, np.int64)
    noise = np.clip(np.rint(lengths * np.asarray(density)), 1, np.maximum(lengths - 1, 1)).astype(np.int64)
    spans = np.rint(noise / np.asarray(mean_span)).astype(np.int64)
    return noise, np.maximum(np.minimum(np.minimum(spans, noise), lengths - noise), 1)


def prefix_lengths(lengths: ArrayLike, share: ArrayLike) -> NDArray[np.int64]:
    """The prefix of S: the nearest whole number to that share of the piece, at least 1, and from two tokens on never all of it."""
    lengths = np.asarray(lengths, np.int64)
    prefix = np.rint(lengths * np.asarray(share)).astype(np.int64)
    return np.clip(prefix, 1, np.maximum(lengths - 1, 1))


def longest_piece(config: DenoiseConfig, encoder_length: int, decoder_length: int) -> int:
    """The longest piece such that it and every shorter one fits both rows, whatever is drawn; 0 if none does."""
    lengths = np.arange(1, encoder_length + decoder_length + 1)
    fits = np.ones(lengths.size, np.bool_)
    for denoiser in config.denoisers:
        inputs, targets = _worst_lengths(denoiser, lengths, config.mode_tokens)
        fits &= (inputs <= encoder_length) & (targets <= decoder_length)
    return int(lengths.size if fits.all() else np.argmin(fits))


def sentinels_needed(config: DenoiseConfig, longest_piece: int) -> int:
    """The most sentinels that any example of a piece up to that length can take."""
    return max(_sentinels(denoiser, longest_piece) for denoiser in config.denoisers)


def expected_lengths(config: DenoiseConfig, piece_lengths: ArrayLike) -> tuple[float, float]:
    """Mean input and target length, in tokens, over all draws for whole documents of these lengths (at least 1 each)."""
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


def expected_decoder_share(config: DenoiseConfig, piece_lengths: ArrayLike = 230) -> float:
    """Expected target tokens per input token: the decoder row for an encoder row of E tokens is E times this."""
    inputs, targets = expected_lengths(config, piece_lengths)
    return targets / inputs


def target_shares(
    kind_names: Sequence[str], kinds: NDArray[np.int64], target_lengths: NDArray[np.int64]
) -> dict[str, dict[str, float]]:
    """Per denoiser, the share of examples that it was drawn for and the share of target tokens that came of it."""
    examples = np.bincount(kinds, minlength=len(kind_names)) / max(1, kinds.size)
    tokens = np.bincount(kinds, weights=target_lengths, minlength=len(kind_names)) / max(1, target_lengths.sum())
    return {
        name: {"examples": float(drawn), "target_tokens": float(realised)}
        for name, drawn, realised in zip(kind_names, examples, tokens, strict=True)
    }


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
    if longest < SHORTEST_LONGEST_PIECE:
        return [f"rows of {encoder_length} / {decoder_length} tokens leave no room for the denoisers: lengthen them"]
    if longest >= 2**POSITION_BITS:
        return [
            f"rows of {encoder_length} / {decoder_length} tokens hold pieces of {longest} tokens; the limit is {2**POSITION_BITS - 1}"
        ]
    for denoiser in config.denoisers:
        if (needed := _sentinels(denoiser, longest)) > num_sentinels:
            found.append(
                f"denoiser {denoiser.name} needs {needed} sentinels for pieces of {longest} tokens and the tokenizer has "
                f"{num_sentinels}: raise num_sentinels or mean_span, or lower density or the row lengths"
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
    if not denoiser.mean_span >= 1:
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
    noise: NDArray[np.int64]
    spans: NDArray[np.int64]
    wraps: NDArray[np.bool_]
    prefix: NDArray[np.int64]

    def take(self, chosen: NDArray[np.int64]) -> "Plan":
        """The plan of some of the examples, in the order of `chosen`."""
        return Plan(
            *(Pieces(*(x[chosen] for x in part)) if isinstance(part, Pieces) else part[chosen] for part in self)
        )


class Spans(NamedTuple):
    """Noise runs of N examples, ascending in each: example i has runs `offsets[i]` up to `offsets[i + 1]`."""

    starts: NDArray[np.int64]
    stops: NDArray[np.int64]
    offsets: NDArray[np.int64]


class Documents(Protocol):
    """What is needed of a corpus."""

    def read(self, documents: NDArray[np.int64], starts: NDArray[np.int64], stops: NDArray[np.int64]) -> Ragged:
        """The tokens from start to stop of each document."""
        ...


class Denoised:
    """Examples made of a corpus: example n is a piece of the order, one denoiser, one layout; all pure functions of (seed, n)."""

    def __init__(
        self, corpus: Documents, order: Order, specials: "SpecialIds", config: DenoiseConfig, seed: int
    ) -> None:
        assert SHORTEST_LONGEST_PIECE <= order.longest_piece < 2**POSITION_BITS
        self.corpus = corpus
        self.order = order
        self.specials = specials
        self.config = config
        self.seed = seed
        self.kind_names = tuple(denoiser.name for denoiser in config.denoisers)
        self._upper = np.cumsum([denoiser.probability for denoiser in config.denoisers])[:-1]
        self._continues = np.array([denoiser.kind == "S" for denoiser in config.denoisers])
        self._modes = np.array(
            [specials.modes[denoiser.kind] if config.mode_tokens else -1 for denoiser in config.denoisers]
        )
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

        noise, spans = span_counts(lengths, self._density[kinds], self._mean_span[kinds])
        wraps = uniform(self.seed, Stream.WRAP, numbers) * lengths < noise - spans
        shortest, longest = self._shortest_prefix[kinds], self._longest_prefix[kinds]
        share = shortest + (longest - shortest) * uniform(self.seed, Stream.SPLIT, numbers)
        prefix = np.where(continues, prefix_lengths(lengths, share), 0)
        noise, spans, wraps = (
            np.where(continues, lengths - prefix, noise),
            np.where(continues, 1, spans),
            wraps & ~continues,
        )

        runs = np.where(continues, 0, spans + wraps)
        closes_input = pieces.ends_document & ~continues
        closes_target = ~continues | pieces.ends_document | (noise == 0)
        input_lengths = int(self.config.mode_tokens) + lengths - noise + runs + closes_input
        target_lengths = noise + runs + closes_target
        return Plan(numbers, pieces, kinds, lengths, input_lengths, target_lengths, noise, spans, wraps, prefix)

    def spans(self, plan: Plan) -> Spans:
        """Where the noise of each example of the plan lies in its piece; for S it is what follows the prefix."""
        offsets = _starts(plan.spans + plan.wraps)
        starts, stops = np.repeat(plan.prefix, np.diff(offsets)), np.repeat(plan.story_tokens, np.diff(offsets))
        rolled = np.flatnonzero(~self._continues[plan.kinds] & (plan.story_tokens > 1))
        if rolled.size:
            inner = _random_spans(
                self.seed, *(x[rolled] for x in (plan.numbers, plan.story_tokens, plan.noise, plan.spans, plan.wraps))
            )
            target = np.repeat(offsets[rolled] - inner.offsets[:-1], np.diff(inner.offsets)) + np.arange(
                inner.starts.size
            )
            starts[target], stops[target] = inner.starts, inner.stops
        return Spans(starts, stops, offsets)

    def materialise(self, plan: Plan, chosen: NDArray[np.int64]) -> tuple[Ragged, Ragged]:
        """Inputs and targets of the chosen (int64[K], indices into the plan) examples, in that order."""
        plan = plan.take(np.asarray(chosen, np.int64))
        tokens = self.corpus.read(*plan.pieces[:3])
        masked = ~self._continues[plan.kinds]
        spans = self.spans(plan)
        num_runs = np.diff(spans.offsets)
        has_sentinel = np.repeat(masked, num_runs)
        shift = np.repeat(tokens.offsets[:-1], num_runs)
        starts, stops = spans.starts + shift, spans.stops + shift
        sentinels = (np.arange(starts.size) - np.repeat(spans.offsets[:-1], num_runs) + self.specials.first_sentinel)[
            has_sentinel
        ]

        edges = np.zeros(tokens.values.size + 1, np.int8)
        edges[starts[starts < stops]] += 1
        edges[stops[starts < stops]] -= 1
        noise = np.cumsum(edges[:-1], dtype=np.int8).view(np.bool_)
        kept = ~noise
        kept[starts[has_sentinel]] = True
        shown = tokens.values.copy()
        shown[starts[has_sentinel]] = sentinels

        input_offsets = _starts(plan.input_lengths)
        closed = input_offsets[1:][masked & plan.pieces.ends_document] - 1
        placed: list[tuple[NDArray[np.int64], ArrayLike]] = [(closed, self.specials.eos)]
        if self.config.mode_tokens:
            placed.append((input_offsets[:-1], self._modes[plan.kinds]))
        inputs = _compose(input_offsets, placed, shown[kept])

        target_offsets = _starts(plan.target_lengths)
        run_starts = _starts(stops - starts + has_sentinel)
        within = run_starts[:-1] - np.repeat(run_starts[spans.offsets[:-1]], num_runs)
        opened = (np.repeat(target_offsets[:-1], num_runs) + within)[has_sentinel]
        closed = target_offsets[1:][masked | plan.pieces.ends_document | (plan.noise == 0)] - 1
        targets = _compose(target_offsets, [(opened, sentinels), (closed, self.specials.eos)], tokens.values[noise])
        return inputs, targets


def _starts(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Offsets, int64[N + 1], of rows of these lengths."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])


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


def _random_spans(
    seed: int, numbers: NDArray, lengths: NDArray, noise: NDArray, spans: NDArray, wraps: NDArray
) -> Spans:
    """T5's random spans for pieces of two tokens and more: segment noise and the rest, interleave, roll."""
    segments = _random_segments(seed, numbers, np.stack([lengths - noise, noise], axis=1), spans)
    first_run = _starts(spans)
    owner = np.repeat(np.arange(spans.size), spans)
    first = np.repeat(first_run[:-1], spans)
    rank = np.arange(owner.size) - first

    clean_length, noise_length = segments[: owner.size], segments[owner.size :]
    begins = _starts(clean_length + noise_length)
    clean_start = begins[:-1] - begins[first]
    noise_start = clean_start + clean_length

    # The roll brings one position of the piece to its front. Given that it cuts a span, every position inside a span,
    # behind its first, is as likely as another; given that it does not, every other position is.
    ways_in_run = np.where(wraps[owner], noise_length - 1, clean_length + 1)
    ways = _starts(ways_in_run)
    picked = ways[first_run[:-1]] + below(
        np.where(wraps, noise - spans, lengths - noise + spans), seed, Stream.ROLL, numbers
    )
    cut_run = np.searchsorted(ways, picked, side="right") - 1
    front = picked - ways[cut_run] + np.where(wraps, noise_start[cut_run] + 1, clean_start[cut_run])

    offsets = _starts(spans + wraps)
    turned = (rank - (cut_run - first_run[:-1])[owner]) % spans[owner]
    place = offsets[:-1][owner] + turned
    starts, stops = np.empty(offsets[-1], np.int64), np.empty(offsets[-1], np.int64)
    starts[place] = (noise_start - front[owner]) % lengths[owner]
    stops[place] = starts[place] + noise_length
    head, tail = offsets[1:][wraps] - 1, offsets[:-1][wraps]
    starts[head], stops[head] = starts[tail], lengths[wraps]
    starts[tail], stops[tail] = 0, stops[tail] - lengths[wraps]
    return Spans(starts, stops, offsets)


def _random_segments(seed: int, numbers: NDArray, items: NDArray, segments: NDArray) -> NDArray[np.int64]:
    """Cut each row's two counts of items (int64[N, 2]) into `segments` (int64[N]) non-empty segments, every cut equally likely.

    Returns int64[2 * total segments]: the segments of all first counts, then of all second ones. Each item but the
    first draws a random rank; the first and the lowest of the others open a segment.
    """
    counts, opened = items.T.reshape(-1), np.tile(segments, 2)
    assert counts.size < 2**GROUP_BITS
    offsets = _starts(counts)
    group = np.repeat(np.arange(counts.size), counts)
    position = np.arange(group.size) - offsets[group]
    keys = np.tile(example_keys(seed, Stream.SEGMENTS, numbers), 2)
    ranks = keyed_bits(keys[group], 2 * position + (group >= numbers.size)) >> np.uint64(64 - RANDOM_BITS)
    ranks[offsets[:-1]] = 0
    ranked = (
        (group.astype(np.uint64) << np.uint64(64 - GROUP_BITS))
        | (ranks << np.uint64(POSITION_BITS))
        | position.astype(np.uint64)
    )
    ranked.sort()

    owner = np.repeat(np.arange(counts.size), opened)
    lowest = offsets[owner] + np.arange(owner.size) - _starts(opened)[owner]
    openers = (ranked[lowest] & np.uint64(2**POSITION_BITS - 1)).astype(np.int64) + offsets[owner]
    opens = np.zeros(group.size + 1, np.bool_)
    opens[openers] = True
    opens[-1] = True
    return np.diff(np.flatnonzero(opens))
