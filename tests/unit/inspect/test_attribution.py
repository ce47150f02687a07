"""Attribution: gradients against differences, completeness, and leaving words out against doing so by hand."""

import numpy as np
import pytest
import torch
from tolerances import PARITY

from rot5.inspect import attribution
from rot5.inspect.attribution import _Tracing, attribute
from rot5.inspect.settings import AttributionConfig

VARIANTS = {
    "rope": {},
    "bias": {"position_encoding": "relative_bias", "parametrization": "t5"},
    "gated by silu": {"feed_forward_proj": "gated-silu", "qk_norm": True},
}


def word_scores(seen, source: list[int], passage) -> np.ndarray:
    """Log-probabilities of the written words behind a text, as the loaded model tells them."""
    logits, _ = seen.loaded.logits([source], [passage.target.ids], "float32")
    own_T = logits[0].double().log_softmax(-1)[range(len(passage.target.ids)), passage.target.ids].numpy()
    return np.bincount(passage.target.word_of_token, own_T)


@pytest.mark.parametrize("settings", VARIANTS.values(), ids=VARIANTS)
def test_integrated_gradients_are_complete(subject, passage_of, settings, monkeypatch):
    monkeypatch.setattr(attribution, "EXACT", 1e-4)
    seen = subject(**settings)
    passage = passage_of(seen)
    found = attribute(seen.model, passage, AttributionConfig(leave_out=0))
    assert found.integrated_WV is not None and found.gap is not None and found.gap < 5e-4
    np.testing.assert_allclose(found.integrated_WV.sum(1), found.difference_W, atol=5e-4)
    special = [kind == "special" for kind in passage.source.kinds]
    assert not found.integrated_WV[:, special].any() and np.abs(found.difference_W).max() > 0.05
    np.testing.assert_allclose(found.log_probs_W, word_scores(seen, passage.source.ids, passage), atol=PARITY)


def test_a_model_that_turns_sharply_takes_more_points(subject, passage_of):
    seen = subject()
    passage = passage_of(seen, "Tom had a red kite.", "Tom.")
    with torch.no_grad():
        for layer in seen.model.encoder.layers:
            layer.self_attn.q_proj.weight *= 8
    gaps = [attribute(seen.model, passage, AttributionConfig(steps=n, leave_out=0)).gap or 0 for n in (16, 64)]
    assert gaps[1] < 0.05 < gaps[0]


def test_gradient_times_input_is_the_slope_of_growing_a_word(subject, passage_of):
    seen = subject()
    passage = passage_of(seen)
    seen.model.double()
    found = attribute(seen.model, passage, AttributionConfig(steps=0, leave_out=0))
    assert found.integrated_WV is None and found.left_out_WV is None and found.gap is found.agreement is None
    tracing = _Tracing(seen.model, passage)
    text_1SD, _ = tracing.embeddings()
    step = 1e-5
    for word in (0, 3, 5):
        own_S1 = torch.from_numpy(passage.source.word_of_token == word)[:, None].double()
        with torch.no_grad():
            up, down = (tracing.scores(text_1SD * (1 + sign * step * own_S1)) for sign in (1, -1))
        slope_W = ((up - down)[0] / (2 * step)).numpy()
        np.testing.assert_allclose(found.gradient_WV[:, word], slope_W, rtol=1e-5, atol=1e-7)


def test_leaving_out_is_what_doing_so_by_hand_gives(subject, passage_of):
    seen = subject()
    passage = passage_of(seen)
    found = attribute(seen.model, passage, AttributionConfig(steps=0)).left_out_WV
    assert found is not None
    whole_W = word_scores(seen, passage.source.ids, passage)
    for word, kind in enumerate(passage.source.kinds):
        if kind == "special":
            assert np.isnan(found[:, word]).all()
            continue
        rest = np.array(passage.source.ids)[passage.source.word_of_token != word].tolist()
        np.testing.assert_allclose(found[:, word], whole_W - word_scores(seen, rest, passage), atol=PARITY)


def test_long_texts_are_not_left_out(subject, passage_of):
    seen = subject()
    passage = passage_of(seen)
    words = sum(kind != "special" for kind in passage.source.kinds)
    for most, done in ((words, True), (words - 1, False)):
        found = attribute(seen.model, passage, AttributionConfig(steps=0, leave_out=most))
        assert (found.left_out_WV is not None) == done
        assert (found.agreement is not None) == done and -1 <= (found.agreement or 0) <= 1
