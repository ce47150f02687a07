from types import SimpleNamespace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rot5.data.denoise import DenoiseConfig, Denoised, DenoiserConfig, longest_piece, sentinels_needed
from rot5.data.order import Order
from rot5.data.ragged import Ragged
from rot5.data.spans import corrupt

EOS = 1
MODES = {"R": 3, "S": 4, "X": 5}
FIRST_SENTINEL = 10_000_000
SPECIALS = SimpleNamespace(
    pad=0, eos=EOS, decoder_start=2, modes=MODES, first_sentinel=FIRST_SENTINEL, num_sentinels=10_000
)


class Texts:
    """Every token of every document is another one."""

    def __init__(self, lengths):
        self.lengths = np.asarray(lengths, np.int64)
        self.offsets = np.cumsum([0, *lengths])

    def text(self, document, start, stop):
        return list(range(self.offsets[document] + start + 10, self.offsets[document] + stop + 10))

    def read(self, documents, starts, stops):
        rows = [self.text(*piece) for piece in zip(documents, starts, stops, strict=True)]
        return Ragged(np.array([token for row in rows for token in row], np.int64), np.cumsum([0, *map(len, rows)]))


masking = st.builds(
    lambda kind, density, mean_span: {"kind": kind, "density": density, "mean_span": mean_span},
    st.sampled_from("RX"),
    st.floats(0.01, 0.99),
    st.floats(1, 70),
)
continuing = st.tuples(st.floats(0.01, 0.99), st.floats(0.01, 0.99)).map(
    lambda bounds: {"kind": "S", "shortest_prefix": min(bounds), "longest_prefix": max(bounds)}
)
configs = st.builds(
    lambda kinds, mode_tokens: DenoiseConfig(
        denoisers=tuple(
            DenoiserConfig(name=f"d{i}", probability=1 / len(kinds), **kind) for i, kind in enumerate(kinds)
        ),
        mode_tokens=mode_tokens,
    ),
    st.lists(masking | continuing, min_size=1, max_size=4),
    st.booleans(),
)
document_lengths = st.lists(st.integers(0, 60) | st.integers(0, 600), min_size=1, max_size=30).filter(any)


def whole(inputs, targets, kind):
    """The text, from nothing but an example's input and target without mode token."""
    if kind == "S":
        return [*inputs, *(t for t in targets if t != EOS)]
    spans = {}
    for token in targets[:-1]:
        if token >= FIRST_SENTINEL:
            spans[token] = []
        else:
            spans[next(reversed(spans))].append(token)
    assert targets[-1] == EOS and all(spans.values())
    assert list(spans) == list(range(FIRST_SENTINEL, FIRST_SENTINEL + len(spans)))
    assert [token for token in inputs if token >= FIRST_SENTINEL] == list(spans)
    return [part for token in inputs if token != EOS for part in spans.get(token, [token])]


@settings(max_examples=300, deadline=None)
@given(document_lengths, configs, st.integers(4, 700), st.integers(0, 2**63), st.booleans())
def test_input_and_target_join_to_the_text_and_agree_with_the_reference(lengths, config, longest, seed, shuffle):
    texts = Texts(lengths)
    examples = Denoised(texts, Order(lengths, longest, seed, shuffle), SPECIALS, config, seed)
    numbers = np.arange(min(60, 2 * len(examples)))
    plan = examples.plan(numbers)
    inputs, targets = examples.materialise(plan, numbers)
    spans = examples.spans(plan)
    np.testing.assert_array_equal(inputs.lengths, plan.input_lengths)
    np.testing.assert_array_equal(targets.lengths, plan.target_lengths)
    for n in numbers:
        text = texts.text(*(int(x[n]) for x in plan.pieces[:3]))
        ends = bool(plan.pieces.ends_document[n])
        kind = config.denoisers[plan.kinds[n]].kind
        shown, asked = inputs.row(n).tolist(), targets.row(n).tolist()
        if config.mode_tokens:
            assert shown.pop(0) == MODES[kind]
        assert shown and asked
        assert whole(shown, asked, kind) == text
        bounds = [(int(spans.starts[s]), int(spans.stops[s])) for s in range(spans.offsets[n], spans.offsets[n + 1])]
        if kind == "S":
            ((split, stop),) = bounds
            assert stop == len(text)
            expected = text[:split], text[split:] + [EOS] * ends
        else:
            sentinels = list(range(FIRST_SENTINEL, FIRST_SENTINEL + len(bounds)))
            expected = corrupt(text, bounds, sentinels, EOS, ends)
        assert (shown, asked) == expected


@settings(max_examples=300, deadline=None)
@given(configs, st.integers(12, 200), st.integers(12, 200), st.integers(0, 2**32))
def test_pieces_up_to_the_longest_always_fit(config, encoder_length, decoder_length, seed):
    longest = longest_piece(config, encoder_length, decoder_length)
    if longest < 4:
        return
    lengths = list(range(1, longest + 1))
    examples = Denoised(Texts(lengths), Order(lengths, longest, seed, False), SPECIALS, config, seed)
    plan = examples.plan(np.arange(4 * longest))
    assert plan.input_lengths.max() <= encoder_length
    assert plan.target_lengths.max() <= decoder_length
    masks = np.array([denoiser.kind != "S" for denoiser in config.denoisers])[plan.kinds]
    sentinels = (plan.spans + plan.wraps)[masks]
    assert sentinels.max(initial=0) <= sentinels_needed(config, longest)
