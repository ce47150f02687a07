"""Models that keep some of their layers."""

import pytest
import torch
from transformers import AutoModelForSeq2SeqLM

from rot5.model.modeling_rot5 import Rot5ForConditionalGeneration
from rot5.model.shrinking import with_layers

FIELDS = {"input_ids": torch.arange(5, 15)[None], "decoder_input_ids": torch.arange(5, 9)[None]}


def test_layers_of_ours_stay_where_the_first_and_the_last_are_kept(tiny_model):
    model = tiny_model(num_layers=4, num_decoder_layers=3)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    small = with_layers(model, 2, 2)
    assert (small.config.num_layers, small.config.num_decoder_layers) == (2, 2)
    assert (model.config.num_layers, model.config.num_decoder_layers) == (4, 3)
    for name, weight in small.state_dict().items():
        source = name.replace("encoder.layers.1.", "encoder.layers.3.").replace(
            "decoder.layers.1.", "decoder.layers.2."
        )
        assert torch.equal(weight, before[source])
    again = Rot5ForConditionalGeneration(small.config)
    again.load_state_dict(small.state_dict())
    words = {"input_ids": FIELDS["input_ids"], "max_new_tokens": 5}
    with torch.inference_mode():
        assert torch.equal(small(**FIELDS).logits, again.eval()(**FIELDS).logits)
        assert torch.equal(small.generate(**words), again.generate(**words)), "caches go by the places of layers"
        small.shared.weight.add_(1)
    assert torch.equal(model.shared.weight, before["shared.weight"])
    assert small.lm_head.weight is small.shared.weight


def test_a_t5_that_is_cut_is_a_t5(foreigners):
    model = AutoModelForSeq2SeqLM.from_pretrained(foreigners / "t5").eval()
    small = with_layers(model, 0, 1)
    assert (small.config.num_layers, small.config.num_decoder_layers) == (2, 1)
    ours = Rot5ForConditionalGeneration.from_t5(small)
    with torch.inference_mode():
        torch.testing.assert_close(ours(**FIELDS).logits, small(**FIELDS).logits, rtol=1e-4, atol=1e-4)


def test_what_cannot_be_cut_is_told(tiny_model):
    with pytest.raises(ValueError, match="encoder_layers 3 must be between 1 and the 2"):
        with_layers(tiny_model(), 3, 0)
    sparse = tiny_model(num_layers=4, num_experts=2, encoder_sparse_step=2, decoder_sparse_step=1)
    with pytest.raises(ValueError, match="which layers hold experts"):
        with_layers(sparse, 3, 0)
    assert with_layers(sparse, 2, 1).config.num_decoder_layers == 1
