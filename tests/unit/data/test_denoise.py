from collections import Counter
from dataclasses import replace
from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pytest

from rot5.data.denoise import (
    DenoiseConfig,
    Denoised,
    DenoiserConfig,
    expected_lengths,
    longest_piece,
    problems,
    sentinels_needed,
)
from rot5.data.order import Order
from rot5.data.ragged import Ragged
from rot5.data.spans import corrupt, span_counts

SPECIALS = SimpleNamespace(
    pad=0, eos=1, decoder_start=2, modes={"R": 3, "S": 4, "X": 5}, first_sentinel=1000, num_sentinels=500
)
EOS = SPECIALS.eos
SENTINELS = list(range(SPECIALS.first_sentinel, SPECIALS.first_sentinel + SPECIALS.num_sentinels))


class Texts:
    """Document d holds tokens 10,000 d + 10, 10,000 d + 11, ..."""

    def __init__(self, lengths):
        self.lengths = np.asarray(lengths, np.int64)

    def read(self, documents, starts, stops):
        rows = [np.arange(a, b) + 10_000 * d + 10 for d, a, b in zip(documents, starts, stops, strict=True)]
        return Ragged(np.concatenate([[], *rows]).astype(np.int64), np.cumsum([0, *map(len, rows)]))


def only(kind, **settings):
    return DenoiseConfig(denoisers=(DenoiserConfig(name=kind, kind=kind, probability=1.0, **settings),))


def denoised(lengths, config=None, seed=0, longest=None, shuffle=False):
    texts = Texts(lengths)
    longest = longest or max(4, *texts.lengths)
    return Denoised(texts, Order(texts.lengths, longest, seed, shuffle), SPECIALS, config or DenoiseConfig(), seed)


def made(examples, count):
    plan = examples.plan(np.arange(count))
    inputs, targets = examples.materialise(plan, np.arange(count))
    return plan, [inputs.row(i).tolist() for i in range(count)], [targets.row(i).tolist() for i in range(count)]


def mixed_lengths(count=400):
    return np.random.default_rng(0).integers(1, 420, count)


def test_materialised_lengths_are_the_planned_ones():
    examples = denoised(mixed_lengths(), longest=200)
    plan = examples.plan(np.arange(600))
    inputs, targets = examples.materialise(plan, np.arange(600))
    np.testing.assert_array_equal(inputs.lengths, plan.input_lengths)
    np.testing.assert_array_equal(targets.lengths, plan.target_lengths)
    assert inputs.values.dtype == targets.values.dtype == inputs.offsets.dtype == np.int64
    assert plan.story_tokens.sum() == (plan.pieces.stop - plan.pieces.start).sum()


def test_an_example_is_the_same_in_any_company():
    examples = denoised(mixed_lengths(), longest=200, shuffle=True)
    _, inputs, targets = made(examples, 300)
    for numbers in (np.array([299]), np.array([5, 5, 280]), np.arange(100, 200), np.arange(299, -1, -1)):
        plan = examples.plan(numbers)
        chosen = np.arange(numbers.size)[::-1]
        some_inputs, some_targets = examples.materialise(plan, chosen)
        for place, index in enumerate(chosen):
            assert some_inputs.row(place).tolist() == inputs[numbers[index]]
            assert some_targets.row(place).tolist() == targets[numbers[index]]


def test_seeds_differ():
    _, first, _ = made(denoised([300] * 20, seed=1), 20)
    _, second, _ = made(denoised([300] * 20, seed=2), 20)
    assert sum(a == b for a, b in zip(first, second, strict=True)) == 0


def test_passes_over_the_data_differ():
    examples = denoised([300] * 20)
    _, inputs, _ = made(examples, 40)
    assert len(examples) == 20
    assert sum(a == b for a, b in zip(inputs[:20], inputs[20:], strict=True)) == 0


def test_a_pinned_example():
    """What runs were made of; a change here changes every run."""
    _, inputs, targets = made(denoised([12], only("R", density=0.4, mean_span=2.0), seed=3), 1)
    assert inputs == [[3, 10, 11, 1000, 14, 1001, 18, 19, 20, 21, 1]]
    assert targets == [[1000, 12, 13, 1001, 15, 16, 17, 1]]


def t5_masks(length, density, mean_span):
    """T5's masks of one length with the number of ways to draw each: every segmentation and offset is as likely."""
    (noise,), (spans,) = span_counts([length], density, mean_span)

    def cuts(items):
        for inner in combinations(range(1, items), spans - 1):
            yield np.diff([0, *inner, items])

    ways = Counter()
    for clean_lengths in cuts(length - noise):
        for noise_lengths in cuts(noise):
            mask = np.concatenate(
                [np.repeat([False, True], pair) for pair in zip(clean_lengths, noise_lengths, strict=True)]
            )
            for offset in range(length):
                ways[tuple(np.roll(mask, offset).tolist())] += 1
    return ways


@pytest.mark.parametrize(
    ("length", "density", "mean_span"),
    [(7, 0.45, 1.5), (9, 0.5, 1.3), (6, 0.5, 3.0), (5, 0.4, 2.0), (3, 0.5, 1.0), (2, 0.5, 3.0)],
)
def test_masks_have_exactly_t5s_distribution(length, density, mean_span):
    draws = 20_000
    examples = denoised([length], only("R", density=density, mean_span=mean_span), seed=length)
    plan = examples.plan(np.arange(draws))
    spans = examples.spans(plan)
    edges = np.zeros((draws, length + 1), np.int64)
    owner = np.repeat(np.arange(draws), np.diff(spans.offsets))
    np.add.at(edges, (owner, spans.starts), 1)
    np.add.at(edges, (owner, spans.stops), -1)
    masks = np.cumsum(edges, axis=1)[:, :length].astype(bool)
    drawn = Counter(map(tuple, masks.tolist()))
    ways = t5_masks(length, density, mean_span)
    assert set(drawn) == set(ways)
    expected = np.array([ways[mask] for mask in ways]) / sum(ways.values()) * draws
    found = np.array([drawn[mask] for mask in ways])
    freedom = len(ways) - 1
    assert ((found - expected) ** 2 / expected).sum() < freedom + 4 * np.sqrt(2 * max(1, freedom)) + 8


def test_spans_do_not_touch_and_are_as_many_as_planned():
    examples = denoised(mixed_lengths(), only("X", density=0.5, mean_span=3.0))
    plan = examples.plan(np.arange(400))
    spans = examples.spans(plan)
    for i in range(400):
        starts = spans.starts[spans.offsets[i] : spans.offsets[i + 1]]
        stops = spans.stops[spans.offsets[i] : spans.offsets[i + 1]]
        assert len(starts) == plan.spans[i] + plan.wraps[i]
        assert (starts < stops).all() and (stops[:-1] < starts[1:]).all()
        assert starts[0] >= 0 and stops[-1] <= plan.story_tokens[i]
        assert (stops - starts).sum() == plan.noise[i]
        assert not plan.wraps[i] or (starts[0] == 0 and stops[-1] == plan.story_tokens[i])
    assert 0.2 < plan.wraps.mean() < 0.5


@pytest.mark.parametrize(
    ("length", "density", "mean_span", "expected"),
    [
        (230, 0.15, 3.0, (34, 11)),
        (230, 0.5, 32.0, (115, 4)),
        (230, 0.2, 64.0, (46, 1)),
        (1, 0.15, 3.0, (1, 1)),
        (2, 0.15, 3.0, (1, 1)),
        (2, 0.99, 1.0, (1, 1)),
        (3, 0.15, 3.0, (1, 1)),
        (10, 0.9, 1.0, (9, 1)),
        (10, 0.5, 1.0, (5, 5)),
    ],
)
def test_span_counts(length, density, mean_span, expected):
    noise, spans = span_counts([length], density, mean_span)
    assert (int(noise[0]), int(spans[0])) == expected


@pytest.mark.parametrize("mode_tokens", [True, False])
@pytest.mark.parametrize("kind", ["R", "X"])
def test_one_token_is_all_noise(kind, mode_tokens):
    config = replace(only(kind), mode_tokens=mode_tokens)
    _, inputs, targets = made(denoised([1], config), 1)
    assert inputs == [[SPECIALS.modes[kind]] * mode_tokens + [1000, EOS]]
    assert targets == [[1000, 10, EOS]]


def test_one_token_is_its_own_prefix():
    _, inputs, targets = made(denoised([1], only("S")), 1)
    assert (inputs, targets) == ([[4, 10]], [[EOS]])


def test_two_tokens():
    _, inputs, targets = made(denoised([2] * 40, only("R")), 40)
    kinds = {(len(i), len(t), i[1] == 1000) for i, t in zip(inputs, targets, strict=True)}
    assert kinds == {(4, 3, True), (4, 3, False)}
    _, inputs, targets = made(denoised([2], only("S")), 1)
    assert (inputs, targets) == ([[4, 10]], [[11, EOS]])


def test_end_of_text_only_where_the_text_ends():
    for kind in ("R", "X", "S"):
        examples = denoised([100], only(kind), longest=40)
        plan, inputs, targets = made(examples, 3)
        assert plan.pieces.ends_document.tolist() == [False, False, True]
        assert [i[-1] == EOS for i in inputs] == ([False] * 3 if kind == "S" else [False, False, True])
        assert [t[-1] == EOS for t in targets] == ([False, False, True] if kind == "S" else [True] * 3)
        assert all(EOS not in i[:-1] for i in inputs) and all(EOS not in t[:-1] for t in targets)


def test_mode_tokens_name_the_kind_and_can_be_switched_off():
    plan, inputs, targets = made(denoised([50] * 200), 200)
    _, bare, same = made(denoised([50] * 200, DenoiseConfig(mode_tokens=False)), 200)
    kinds = [DenoiseConfig().denoisers[k].kind for k in plan.kinds]
    assert set(kinds) == {"R", "X", "S"}
    assert [i[0] for i in inputs] == [SPECIALS.modes[kind] for kind in kinds]
    assert [i[1:] for i in inputs] == bare and targets == same


def test_the_prefix_of_s_is_uniform_between_its_bounds():
    plan = denoised([1000], only("S")).plan(np.arange(20_000))
    assert plan.prefix.min() == 250 and plan.prefix.max() == 750
    counts = np.bincount((plan.prefix - 250) * 10 // 501, minlength=10)
    assert abs(counts / 2000 - 1).max() < 0.1
    narrow = denoised([1000], only("S", shortest_prefix=0.5, longest_prefix=0.5)).plan(np.arange(50))
    assert (narrow.prefix == 500).all()


def test_denoisers_are_drawn_by_probability():
    examples = denoised([300])
    plan = examples.plan(np.arange(40_000))
    assert examples.kind_names == ("R", "X32", "X64", "S")
    drawn = np.bincount(plan.kinds) / plan.kinds.size
    assert drawn == pytest.approx([denoiser.probability for denoiser in DenoiseConfig().denoisers], abs=0.01)
    targets = np.bincount(plan.kinds, plan.target_lengths) / plan.target_lengths.sum()
    assert targets[0] < 0.16 < 0.6 < targets[3]


def test_a_denoiser_of_probability_nought_is_never_drawn():
    first, *others = DenoiseConfig().denoisers
    config = DenoiseConfig(
        denoisers=(
            replace(first, probability=0.0),
            replace(others[0], probability=1.0),
            replace(others[2], probability=0.0),
        )
    )
    assert set(denoised([100], config).plan(np.arange(1000)).kinds) == {1}


def test_x_is_two_denoisers_and_never_the_union_of_their_masks():
    examples = denoised([400])
    plan = examples.plan(np.arange(2000))
    for name, density in (("X32", 0.5), ("X64", 0.2)):
        mine = plan.kinds == examples.kind_names.index(name)
        assert (plan.noise[mine] == 400 * density).all()


def test_expected_lengths_are_the_realised_means():
    lengths = mixed_lengths()
    plan = denoised(lengths).plan(np.arange(400_000))
    inputs, targets = expected_lengths(DenoiseConfig(), lengths)
    assert plan.input_lengths.mean() == pytest.approx(inputs, rel=0.002)
    assert plan.target_lengths.mean() == pytest.approx(targets, rel=0.002)


@pytest.mark.parametrize("encoder_length, decoder_length", [(512, 312), (256, 160), (64, 200), (500, 24), (16, 16)])
def test_the_longest_piece_fits_and_the_next_may_not(encoder_length, decoder_length):
    config = DenoiseConfig()
    longest = longest_piece(config, encoder_length, decoder_length)
    plan = denoised([longest], config).plan(np.arange(20_000))
    assert plan.input_lengths.max() <= encoder_length and plan.target_lengths.max() <= decoder_length
    longer = denoised([longest + 1], config).plan(np.arange(20_000))
    assert longer.input_lengths.max() > encoder_length or longer.target_lengths.max() > decoder_length


def test_no_piece_fits_rows_that_are_too_short():
    assert longest_piece(DenoiseConfig(), 2, 2) == 0


def test_sentinels_needed_are_reached_and_never_exceeded():
    config = only("X", density=0.5, mean_span=3.0)
    _, inputs, _ = made(denoised([300], config), 500)
    assert max(sum(1000 <= token < 10_000 for token in i) for i in inputs) == sentinels_needed(config, 300) == 51
    assert sentinels_needed(only("X", density=0.5, mean_span=3.0), 1024) == 172
    assert sentinels_needed(only("S"), 1024) == 0


def test_problems_name_the_setting_the_value_and_the_remedy():
    good = {"encoder_length": 512, "decoder_length": 312, "num_sentinels": 500}
    assert problems(DenoiseConfig(), **good) == []

    def said(config, **changed):
        return " ".join(problems(config, **{**good, **changed}))

    assert "empty" in said(DenoiseConfig(denoisers=()))
    r, _, _, s = DenoiseConfig().denoisers
    assert "sum to 0.75" in said(DenoiseConfig(denoisers=(r, s)))
    half = replace(r, probability=0.5)
    assert "R occurs more than once" in said(DenoiseConfig(denoisers=(half, half)))
    assert "density is 1" in said(only("R", density=1.0))
    assert "density is nan" in said(only("R", density=float("nan")))
    assert "mean_span is 0.5" in said(only("X", mean_span=0.5))
    assert "prefixes of 0.8 to 0.2" in said(only("S", shortest_prefix=0.8, longest_prefix=0.2))
    assert "kind is 'Q'" in said(DenoiseConfig(denoisers=(replace(r, kind="Q", probability=1.0),)))
    assert "probability is -0.5" in said(
        DenoiseConfig(denoisers=(replace(r, probability=-0.5), replace(s, probability=1.5)))
    )
    assert "no room" in said(DenoiseConfig(), encoder_length=4, decoder_length=4)
    assert "65535" in said(DenoiseConfig(), encoder_length=100_000, decoder_length=100_000)
    few = said(DenoiseConfig(), num_sentinels=20)
    assert "denoiser R needs 22 sentinels for pieces of 415 tokens and the tokenizer has 20" in few
    assert "X32" not in few


def test_all_problems_come_at_once():
    r, *_ = DenoiseConfig().denoisers
    config = DenoiseConfig(denoisers=(replace(r, density=2.0, mean_span=0.0),))
    assert len(problems(config, encoder_length=512, decoder_length=312, num_sentinels=500)) == 3


def test_corrupt_refuses_more_spans_than_sentinels():
    with pytest.raises(ValueError):
        corrupt([1, 2, 3, 4], [(0, 1), (2, 3)], [99], EOS)
