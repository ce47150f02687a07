"""The known defects of the original (the first public experiment of this name, 2024) in its objectives, one test each.

Each test holds the defective formula too: a check that passes on ours has to fail on it. Those of its model are in
`test_original_model_defects.py`.
"""

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest

from rot5.data.denoise import DenoiseConfig, Denoised, target_shares
from rot5.data.order import Order
from rot5.data.ragged import Ragged
from rot5.data.spans import corrupt, random_spans, span_counts
from rot5.evaluate.likelihood import Likelihood, as_table

EOS = 1
MODES = {"R": 3, "S": 4, "X": 5}
FIRST_WORD, FIRST_SENTINEL = 10, 10_000_000
SPECIALS = SimpleNamespace(
    pad=0, eos=EOS, decoder_start=2, modes=MODES, first_sentinel=FIRST_SENTINEL, num_sentinels=1000
)


class Texts:
    """Documents of given lengths, of each the words 10, 11, 12 and so on."""

    def read(self, documents, starts, stops) -> Ragged:
        rows = [np.arange(start, stop) + FIRST_WORD for start, stop in zip(starts, stops, strict=True)]
        return Ragged(np.concatenate(rows), np.cumsum([0, *map(len, rows)]))


class Denoising:
    """Examples of documents of given lengths by our default mixture, each once, as lists of ids."""

    def __init__(self, lengths: list[int], longest_piece: int = 512):
        self.config = DenoiseConfig()
        self.examples = Denoised(Texts(), Order(lengths, longest_piece, 7, False), SPECIALS, self.config, 7)
        self.plan = self.examples.plan(np.arange(len(self.examples)))
        everyone = np.arange(len(self.plan.numbers))
        self.inputs, self.targets = (
            [side.row(n).tolist() for n in everyone] for side in self.examples.materialise(self.plan, everyone)
        )
        self.names = [self.config.denoisers[kind].name for kind in self.plan.kinds]
        self.lengths = self.plan.story_tokens.tolist()
        self.ends = self.plan.pieces.ends_document.tolist()

    def of(self, name: str) -> list[int]:
        """The examples of one denoiser."""
        return [n for n, own in enumerate(self.names) if own == name]


def words(ids: list[int]) -> list[int]:
    return [token for token in ids if FIRST_WORD <= token < FIRST_SENTINEL]


def sentinels(ids: list[int]) -> list[int]:
    return [token for token in ids if token >= FIRST_SENTINEL]


def test_x_denoising_is_the_union_of_two_masks():
    """Both masks fell on one example: about 57 % of it was masked, which is neither of UL2's denoisers."""
    denoising = Denoising([400] * 800)

    def holds(shares: dict[str, list[float]]) -> bool:
        expected = {"X32": 0.5, "X64": 0.2}
        return all(len(shares[n]) > 50 and np.allclose(shares[n], expected[n], atol=0.02) for n in expected)

    def masked_by_ours(name: str) -> list[float]:
        return [1 - len(words(denoising.inputs[n])) / 400 for n in denoising.of(name)]

    def masked_by_both(count: int) -> list[float]:
        masks = np.zeros((count, 400), np.bool_)
        for seed, (density, mean_span) in enumerate(((0.5, 32), (0.2, 64))):
            noise, spans = (np.full(count, each) for each in span_counts(400, density, mean_span))
            drawn = random_spans(seed, np.arange(count), np.full(count, 400), noise, spans, np.zeros(count, np.bool_))
            for n in range(count):
                for span in range(drawn.offsets[n], drawn.offsets[n + 1]):
                    masks[n, drawn.starts[span] : drawn.stops[span]] = True
        return masks.mean(axis=1).tolist()

    union = masked_by_both(200)
    assert holds({name: masked_by_ours(name) for name in ("X32", "X64")})
    assert not holds({"X32": union, "X64": union})
    assert 0.55 < np.mean(union) < 0.65


def test_s_denoising_always_splits_at_half():
    """The decoder never met a prefix of another share of its text than a half."""
    denoising = Denoising([400] * 800)

    def holds(shares: np.ndarray) -> bool:
        inside = 0.25 <= shares.min() < 0.28 and 0.72 < shares.max() <= 0.75
        return len(shares) > 300 and inside and abs(shares.mean() - 0.5) < 0.03 and shares.std() > 0.13

    chosen = denoising.of("S")
    for n in chosen:
        assert words(denoising.inputs[n]) + words(denoising.targets[n]) == [*range(FIRST_WORD, FIRST_WORD + 400)]
    assert holds(np.array([len(words(denoising.inputs[n])) / 400 for n in chosen]))
    assert not holds(np.array([(400 // 2) / 400 for _ in chosen]))


def test_no_mode_token():
    """Nothing in the input said which denoiser it was for, so that none could be asked for afterwards."""
    denoising = Denoising([30] * 100)
    kinds = {denoiser.name: denoiser.kind for denoiser in denoising.config.denoisers}

    def holds(inputs: list[list[int]]) -> bool:
        told = [ids[0] == MODES[kinds[name]] for ids, name in zip(inputs, denoising.names, strict=True)]
        alone = all(not set(ids[1:]) & set(MODES.values()) for ids in inputs)
        return all(told) and alone and {ids[0] for ids in inputs} == set(MODES.values())

    assert holds(denoising.inputs)
    assert not holds([ids[1:] for ids in denoising.inputs])


def test_no_eos():
    """Nothing ended a target, so that a model was never taught to stop."""
    denoising = Denoising([70, 30] * 100, longest_piece=40)
    assert {True, False} == set(denoising.ends), "some pieces were meant to be cut before their document's end"

    def closed(ids: list[int], by_eos: bool) -> bool:
        return (ids[-1] == EOS) == by_eos and EOS not in ids[:-1]

    def without_eos(rows: list[list[int]]) -> list[list[int]]:
        return [[token for token in ids if token != EOS] for ids in rows]

    def holds(inputs: list[list[int]], targets: list[list[int]]) -> bool:
        return all(
            closed(shown, ends and name != "S") and closed(asked, ends or name != "S")
            for shown, asked, ends, name in zip(inputs, targets, denoising.ends, denoising.names, strict=True)
        )

    assert holds(denoising.inputs, denoising.targets)
    assert not holds(denoising.inputs, without_eos(denoising.targets))
    assert not holds(without_eos(denoising.inputs), denoising.targets)


def test_trailing_sentinel_from_the_padding_of_batch_mates():
    """Padding was taken for masked text: an input ended in a sentinel, or not, by the length of its batch-mates."""
    denoising = Denoising([20, 35, 50, 64] * 10)
    examples, everyone = denoising.examples, np.arange(40)

    def ours(numbers: np.ndarray) -> list[list[int]]:
        inputs, _ = examples.materialise(examples.plan(numbers), np.arange(len(numbers)))
        return [inputs.row(n).tolist() for n in range(len(numbers))]

    def padding_masked(numbers: np.ndarray) -> list[list[int]]:
        plan = examples.plan(numbers)
        spans, width, rows = examples.spans(plan), plan.story_tokens.max(), []
        for n, length in enumerate(plan.story_tokens):
            own = slice(spans.offsets[n], spans.offsets[n + 1])
            masked = [*zip(spans.starts[own], spans.stops[own], strict=True)]
            if length < width:
                masked.append((length, width))
            names = range(FIRST_SENTINEL, FIRST_SENTINEL + len(masked))
            rows.append(corrupt(np.arange(width).tolist(), masked, names, EOS)[0])
        return rows

    def holds(denoise: Callable[[np.ndarray], list[list[int]]]) -> bool:
        together, alone = denoise(everyone), [denoise(everyone[n : n + 1])[0] for n in everyone]
        return together == alone == denoise(everyone[::-1])[::-1]

    assert holds(ours)
    assert not holds(padding_masked)
    for shown, asked in zip(denoising.inputs, denoising.targets, strict=True):
        assert sentinels(shown) == sentinels(asked)


def test_target_share_taken_for_the_example_share():
    """R, S and X had .25, .5 and .25 of the examples but .11, .56 and .33 of the targets: only the first was told."""
    denoising = Denoising([230] * 1000)
    names = denoising.examples.kind_names
    tokens = {name: sum(len(denoising.targets[n]) for n in denoising.of(name)) for name in names}
    counted = {name: (len(denoising.of(name)) / 1000, tokens[name] / sum(tokens.values())) for name in names}
    assert all(abs(examples - targets) > 0.02 for examples, targets in counted.values())
    plan = denoising.plan
    scores = Likelihood(plan.kinds, np.ones(1000), plan.target_lengths, plan.target_lengths)

    def by_plan() -> dict[str, tuple[float, float]]:
        shares = target_shares(names, plan.kinds, plan.target_lengths)
        return {name: (share["examples"], share["target_tokens"]) for name, share in shares.items()}

    def by_table() -> dict[str, tuple[float, float]]:
        table = as_table(scores, names)
        return {name: (table[name]["examples"] / 1000, table[name]["share_of_targets"]) for name in names}

    def as_drawn() -> dict[str, tuple[float, float]]:
        return {each.name: (counted[each.name][0], each.probability) for each in denoising.config.denoisers}

    def holds(shares: dict[str, tuple[float, float]]) -> bool:
        return all(shares[name] == pytest.approx(counted[name]) for name in names)

    assert holds(by_plan()) and holds(by_table())
    assert not holds(as_drawn())


def test_row_of_two_tokens_crashes():
    """A short row left the sampler no place to draw a span from, and one such row ended the run."""
    denoising = Denoising([1, 2, 3] * 100)
    seen = {(name, length) for name, length in zip(denoising.names, denoising.lengths, strict=True)}
    assert len(seen) == 4 * 3, "every denoiser was meant to meet every length"
    generator = np.random.default_rng(0)

    def inside(length: int) -> tuple[list[int], list[int]]:
        noise = max(1, round(length * 0.15))
        start = int(generator.integers(1, length - noise))
        return corrupt([*range(FIRST_WORD, FIRST_WORD + length)], [(start, start + noise)], [FIRST_SENTINEL], EOS)

    def joined(shown: list[int], asked: list[int]) -> list[int]:
        """The text: what the target says of each sentinel in its place, what stands under none behind."""
        spans: dict[int | None, list[int]] = {None: []}
        sentinel = None
        for token in asked:
            if token >= FIRST_SENTINEL:
                sentinel = token
                spans[sentinel] = []
            else:
                spans[sentinel] += words([token])
        return [word for token in [*shown, None] for word in spans.get(token) or words([token or 0])]

    def holds(denoise: Callable[[int], tuple[list[int], list[int]]], length: int) -> bool:
        try:
            return joined(*denoise(length)) == [*range(FIRST_WORD, FIRST_WORD + length)]
        except ValueError:
            return False

    for shown, asked, length in zip(denoising.inputs, denoising.targets, denoising.lengths, strict=True):
        assert holds(lambda _, pair=(shown, asked): pair, length)
    assert holds(inside, 30)
    assert not holds(inside, 2)
