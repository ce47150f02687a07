"""Maps of attention are those of the model, and those of transformers' T5."""

import pytest
import torch
from tolerances import PARITY
from transformers import BartConfig, BartForConditionalGeneration, T5Config, T5ForConditionalGeneration

from rot5.errors import UserError
from rot5.inspect.attention import attention_maps
from rot5.inspect.passage import MOST_READ, as_subject, read_passage
from rot5.loading import Loaded

VARIANTS = {
    "rope": {},
    "bias": {"position_encoding": "relative_bias", "parametrization": "t5"},
    "experts": {"num_experts": 3, "encoder_sparse_step": 2, "qk_norm": True},
    "without cross positions": {"cross_position_encoding": "none", "attention_backend": "sdpa"},
}


@pytest.mark.parametrize("settings", VARIANTS.values(), ids=VARIANTS)
def test_they_equal_those_of_the_eager_model(subject, passage_of, settings):
    seen = subject(**settings)
    passage = passage_of(seen)
    seen.model.config.attention_backend = "eager"
    with torch.no_grad():
        expected = seen.model(**passage.ids(seen.model), output_attentions=True)
    seen.model.config.attention_backend = settings.get("attention_backend", "auto")
    maps = attention_maps(seen.model, passage)
    for found, layers in zip(
        maps, (expected.encoder_attentions, expected.decoder_attentions, expected.cross_attentions), strict=True
    ):
        assert torch.equal(found, torch.cat(layers))
        torch.testing.assert_close(found.sum(-1), torch.ones(found.shape[:-1]))
    assert not maps.decoder_LHTT.triu(1).any()
    assert maps.cross_LHTS.shape[2:] == (len(passage.target.ids), len(passage.source.ids))


@pytest.fixture
def t5(tokenizer) -> Loaded:
    torch.manual_seed(0)
    shape = {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_decoder_layers": 3, "num_heads": 4}
    ids = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id}
    config = T5Config(
        vocab_size=len(tokenizer), decoder_start_token_id=tokenizer.pad_token_id, dropout_rate=0.0, **shape, **ids
    )
    config._attn_implementation = "eager"
    model = T5ForConditionalGeneration(config).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "relative_attention_bias" in name:
                weight.add_(torch.randn_like(weight))
    return Loaded(model, tokenizer, "summarize: ")


def test_they_equal_those_of_t5(t5, passage_of):
    seen = as_subject("t5", t5)
    passage = passage_of(seen)
    with torch.no_grad():
        theirs = t5.model(**passage.ids(seen.model), output_attentions=True)
    for found, layers in zip(
        attention_maps(seen.model, passage),
        (theirs.encoder_attentions, theirs.decoder_attentions, theirs.cross_attentions),
        strict=True,
    ):
        torch.testing.assert_close(found, torch.cat(layers), rtol=0, atol=PARITY)


def test_a_model_of_t5_answers_and_reads_behind_its_prefix(t5):
    passage = read_passage(as_subject("t5", t5), "Tom ran.", max_new_tokens=5)
    assert not passage.given and 1 <= len(passage.target.ids) <= 5
    assert "".join(passage.source.texts).strip().startswith("summarize: Tom")


def test_an_untuned_model_of_ours_goes_on_behind_its_mode_token(subject):
    seen = subject()
    ends = seen.loaded.tokenizer.eos_token_id
    for text, first in (("Tom ran.", "[S]"), ("[R]Tom [MASK-0]", "[R]")):
        source = read_passage(seen, text, "So.").source
        assert source.texts[0] == first and ends not in source.ids


def test_what_cannot_be_seen_is_told(subject, tokenizer):
    bart = BartForConditionalGeneration(BartConfig(vocab_size=8, d_model=8, encoder_layers=1, decoder_layers=1,
        encoder_attention_heads=1, decoder_attention_heads=1, encoder_ffn_dim=8, decoder_ffn_dim=8))  # fmt: skip
    with pytest.raises(UserError, match="bart model: only those of rot5, T5"):
        as_subject("bart", Loaded(bart, tokenizer, ""))
    seen = subject()
    with pytest.raises(UserError, match="the text is empty"):
        read_passage(seen, " \n")
    with pytest.raises(UserError, match=f"tokens, and {MOST_READ} can be looked at"):
        read_passage(seen, "kite " * MOST_READ)
    with pytest.raises(UserError, match="the target has"):
        read_passage(seen, "kite", "kite " * MOST_READ)
    seen.model.config.vocab_size = 5
    with pytest.raises(UserError, match="its tokenizer is another"):
        read_passage(seen, "kite")
    seen.model.config.decoder_start_token_id = None
    with pytest.raises(UserError, match="decoder_start_token_id"):
        as_subject("tiny", seen.loaded)
