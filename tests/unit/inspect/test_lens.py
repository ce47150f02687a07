"""The decoder lens: what is written from each layer of the encoder."""

import pytest
import torch
from tolerances import PARITY
from transformers.modeling_outputs import BaseModelOutput

from rot5.generate.answers import generate
from rot5.generate.settings import GenerateConfig
from rot5.inspect.lens import decoder_lens, memories

VARIANTS = {
    "rope": {"cross_position_encoding": "continuous"},
    "bias": {"position_encoding": "relative_bias", "parametrization": "t5"},
    "experts": {"num_experts": 3},
}


@pytest.mark.parametrize("settings", VARIANTS.values(), ids=VARIANTS)
def test_the_last_layer_gives_the_models_own_answer(subject, passage_of, settings):
    seen = subject(**settings)
    passage = passage_of(seen)
    lens = decoder_lens(seen.model, passage, max_new_tokens=8)
    pad = seen.loaded.tokenizer.pad_token_id
    assert len(lens.answers) == seen.model.config.num_layers + 1
    assert lens.answers[-1:] == generate(seen.model, [passage.source.ids], pad, GenerateConfig(max_new_tokens=8))
    logits, _ = seen.loaded.logits([passage.source.ids], [passage.target.ids], "float32")
    own_T = logits[0].log_softmax(-1)[range(len(passage.target.ids)), passage.target.ids]
    torch.testing.assert_close(lens.log_probs_KT[-1], own_T, rtol=0, atol=PARITY)
    assert not torch.allclose(lens.log_probs_KT[0], own_T, atol=1e-2)


def test_inner_layers_are_read_under_the_final_norm(subject, passage_of):
    seen = subject()
    passage = passage_of(seen)
    ids = passage.ids(seen.model)["input_ids"]
    memory_KSD = memories(seen.model, passage)
    with torch.no_grad():
        encoder = seen.model.encoder
        torch.testing.assert_close(memory_KSD[0], encoder.norm(encoder.embed_tokens(ids))[0])
        cut, layers = encoder.layers[:1], encoder.layers
        encoder.layers = cut
        first = encoder(ids).last_hidden_state
        encoder.layers = layers
        torch.testing.assert_close(memory_KSD[1], first[0])
        logits = seen.model(
            encoder_outputs=BaseModelOutput(last_hidden_state=first),
            decoder_input_ids=passage.ids(seen.model)["decoder_input_ids"],
        ).logits[0]
    lens = decoder_lens(seen.model, passage, max_new_tokens=2)
    own_T = logits.log_softmax(-1)[range(len(passage.target.ids)), passage.target.ids]
    torch.testing.assert_close(lens.log_probs_KT[1], own_T, rtol=0, atol=PARITY)
