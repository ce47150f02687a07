"""T5 as one choice of our settings: transformers' T5 from copied weights, both ways, and RoPE's own limit of it."""

import pytest
import torch
from tolerances import PARITY
from transformers import T5Config, T5ForConditionalGeneration

from rot5.model.configuration_rot5 import Rot5Config
from rot5.model.convert_t5 import weights_from_t5
from rot5.model.modeling_rot5 import Rot5ForConditionalGeneration
from rot5.model.positions import relative_buckets

SHAPE = {
    "vocab_size": 64,
    "d_model": 32,
    "d_kv": 8,
    "d_ff": 48,
    "num_layers": 2,
    "num_decoder_layers": 3,
    "num_heads": 4,
    "relative_attention_num_buckets": 8,
    "relative_attention_max_distance": 20,
}
SPECIAL = {"pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0}
LONG, SHORT = 40, 23
"""Tokens of the longest input and target: beyond the furthest bucket."""


def t5(tied: bool = True, **settings) -> T5ForConditionalGeneration:
    """A small T5 with biases and norms that matter; untied as T5 1.1 is, with a head of its own that is not scaled."""
    torch.manual_seed(0)
    config = T5Config(**SHAPE, **SPECIAL, **{"dropout_rate": 0.0, **settings})
    config.scale_decoder_outputs = tied
    theirs = T5ForConditionalGeneration(config)
    if not tied:
        theirs.config.tie_word_embeddings = False
        theirs.lm_head.weight = torch.nn.Parameter(torch.randn_like(theirs.shared.weight) * 0.2)
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():
            if "relative_attention_bias" in name or "layer_norm" in name:
                parameter.add_(torch.randn_like(parameter))
    return theirs.eval()


def ragged() -> dict[str, torch.Tensor]:
    """Inputs and targets of several lengths, padded, with their masks."""
    generator = torch.Generator().manual_seed(1)

    def padded(lengths: list[int], width: int) -> tuple[torch.Tensor, torch.Tensor]:
        mask = (torch.arange(width) < torch.tensor(lengths)[:, None]).long()
        return torch.randint(3, 64, mask.shape, generator=generator) * mask, mask

    source, source_mask = padded([LONG, 4, 27, 1], LONG)
    target, target_mask = padded([2, SHORT, 5, 1], SHORT)
    return {
        "input_ids": source,
        "attention_mask": source_mask,
        "decoder_input_ids": target,
        "decoder_attention_mask": target_mask,
    }


def logits(model: torch.nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Logits of the real targets."""
    with torch.inference_mode():
        return model(**batch).logits[batch["decoder_attention_mask"].bool()]


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize(("num_buckets", "max_distance"), [(32, 128), (8, 20), (16, 64)])
def test_buckets_equal_those_of_t5(bidirectional, num_buckets, max_distance):
    from transformers.models.t5.modeling_t5 import T5Attention

    distances = torch.arange(-300, 301)
    expected = T5Attention._relative_position_bucket(distances, bidirectional, num_buckets, max_distance)
    assert torch.equal(relative_buckets(distances, bidirectional, num_buckets, max_distance), expected)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("feed_forward_proj", ["relu", "gelu", "gated-gelu", "gated-silu"])
def test_the_whole_model_equals_t5(feed_forward_proj, tied):
    theirs = t5(tied, feed_forward_proj=feed_forward_proj)
    theirs.config.task_specific_params = {"summarization": {"prefix": "summarize: "}}
    ours = Rot5ForConditionalGeneration.from_t5(theirs)
    assert ours.to_t5().config.task_specific_params == theirs.config.task_specific_params
    assert ours.generation_config is not theirs.generation_config
    batch = ragged()
    expected = logits(theirs, batch)
    torch.testing.assert_close(logits(ours, batch), expected, rtol=0, atol=PARITY)
    torch.testing.assert_close(logits(ours.to_t5(), batch), expected, rtol=0, atol=0)
    assert expected.std() > 0.1, "logits too small to tell models apart"
    assert (ours.lm_head.weight is ours.shared.weight) == tied


@pytest.mark.parametrize("tied", [True, False])
def test_the_loss_and_its_gradient_equal_those_of_t5(tied):
    theirs = t5(tied)
    ours = Rot5ForConditionalGeneration.from_t5(theirs).train()
    batch = ragged()
    labels = batch.pop("decoder_input_ids").masked_fill(batch.pop("decoder_attention_mask") == 0, -100)
    expected = theirs(**batch, labels=labels).loss
    expected.backward()
    found = ours(**batch, labels=labels).loss
    found.backward()
    torch.testing.assert_close(found, expected, rtol=0, atol=PARITY)
    gradients = {name: parameter.grad for name, parameter in theirs.named_parameters(remove_duplicate=False)}
    for name, gradient in weights_from_t5(gradients, ours.config).items():
        torch.testing.assert_close(ours.get_parameter(name).grad, gradient, rtol=0, atol=PARITY, msg=name)


@pytest.mark.parametrize("attention_backend", ["sdpa", "per_document", "eager"])
def test_packed_rows_equal_t5_document_by_document(attention_backend):
    theirs = t5()
    ours = Rot5ForConditionalGeneration.from_t5(theirs)
    ours.config.attention_backend = attention_backend
    batch = ragged()
    sources = [row[mask.bool()] for row, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True)]
    targets = [
        row[mask.bool()] for row, mask in zip(batch["decoder_input_ids"], batch["decoder_attention_mask"], strict=True)
    ]

    def row(parts: list[torch.Tensor], padding: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        zeros = torch.zeros(padding, dtype=torch.long)
        segments = [torch.full_like(part, number) for number, part in enumerate(parts, start=1)]
        positions = [torch.arange(len(part)) for part in parts]
        return tuple(torch.cat([*each, zeros])[None] for each in (parts, segments, positions))  # type: ignore[return-value]

    ids, segments, positions = row(sources, 5)
    decoder_ids, decoder_segments, decoder_positions = row(targets, 3)
    with torch.inference_mode():
        found = ours(
            input_ids=ids,
            encoder_segment_ids=segments,
            encoder_positions=positions,
            decoder_input_ids=decoder_ids,
            decoder_segment_ids=decoder_segments,
            decoder_positions=decoder_positions,
        ).logits
    torch.testing.assert_close(found[0, :-3], logits(theirs, batch), rtol=0, atol=PARITY)


@pytest.mark.parametrize("tied", [True, False])
def test_a_saved_t5_loads_by_its_folder(tied, tmp_path):
    theirs = t5(tied, feed_forward_proj="gated-gelu")
    theirs.generation_config.num_beams = 3
    theirs.save_pretrained(tmp_path / "t5")
    ours = Rot5ForConditionalGeneration.from_t5(str(tmp_path / "t5"))
    batch = ragged()
    torch.testing.assert_close(logits(ours, batch), logits(theirs, batch), rtol=0, atol=PARITY)
    ours.save_pretrained(tmp_path / "ours")
    again = Rot5ForConditionalGeneration.from_pretrained(tmp_path / "ours")
    torch.testing.assert_close(logits(again, batch), logits(ours, batch), rtol=0, atol=0)
    inputs = {key: batch[key] for key in ("input_ids", "attention_mask")}
    expected = theirs.generate(**inputs, max_new_tokens=9, use_cache=False)  # its cache has the encoder's depth
    assert torch.equal(again.generate(**inputs, max_new_tokens=9), expected)


def test_initialisation_has_the_scale_of_t5():
    torch.manual_seed(0)
    settings = {"d_model": 256, "d_kv": 64, "d_ff": 512, "num_layers": 2, "num_heads": 8, "vocab_size": 500}
    theirs = T5ForConditionalGeneration(T5Config(**settings))
    ours = Rot5ForConditionalGeneration(
        Rot5Config(**settings, position_encoding="relative_bias", parametrization="t5", feed_forward_proj="relu")
    )
    for name, weight in weights_from_t5(theirs.state_dict(), ours.config).items():
        found, expected = ours.state_dict()[name], weight
        if found.ndim > 1:
            assert found.std() == pytest.approx(float(expected.std()), rel=0.1), name


def test_a_t5_with_an_activation_of_its_own_is_refused():
    with pytest.raises(ValueError, match="feed_forward_proj 'swish' is not one of"):
        Rot5ForConditionalGeneration.from_t5(t5(feed_forward_proj="swish"))


@pytest.mark.parametrize("setting", [{"num_key_value_heads": 2}, {"qk_norm": True}, {"parametrization": "rot5"}])
def test_what_is_no_t5_does_not_become_one(tiny_model, setting):
    t5_like = {"position_encoding": "relative_bias", "parametrization": "t5", "num_key_value_heads": 4}
    assert tiny_model(**t5_like).to_t5() is not None
    with pytest.raises(ValueError, match=next(iter(setting))):
        tiny_model(**t5_like | setting).to_t5()


@pytest.mark.parametrize("feed_forward_proj", ["relu", "gated-gelu"])
@pytest.mark.parametrize("attention_backend", ["sdpa", "per_document"])
def test_rope_at_position_0_equals_t5_without_bias(feed_forward_proj, attention_backend):
    """Rotations by nothing: our own parametrization, with the weights that undo the difference."""
    theirs = t5(feed_forward_proj=feed_forward_proj)
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():
            if "relative_attention_bias" in name:
                parameter.zero_()
    ours = Rot5ForConditionalGeneration(
        Rot5Config(**SHAPE, **SPECIAL, feed_forward_proj=feed_forward_proj, attention_backend=attention_backend)
    ).eval()
    weights = {
        name: weight * (SHAPE["d_kv"] ** 0.5 if "q_proj" in name else 1.0)
        for name, weight in weights_from_t5(theirs.state_dict(), ours.config).items()
        if "relative_bias" not in name
    }
    for name in ("shared.weight", "encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight"):
        weights[name] = theirs.shared.weight * SHAPE["d_model"] ** -0.5
    ours.load_state_dict(weights)
    batch = ragged()
    with torch.inference_mode():
        found = ours(
            input_ids=batch["input_ids"],
            decoder_input_ids=batch["decoder_input_ids"],
            encoder_segment_ids=batch["attention_mask"],
            decoder_segment_ids=batch["decoder_attention_mask"],
            encoder_positions=torch.zeros_like(batch["input_ids"]),
            decoder_positions=torch.zeros_like(batch["decoder_input_ids"]),
        ).logits[batch["decoder_attention_mask"].bool()]
    torch.testing.assert_close(found, logits(theirs, batch), rtol=0, atol=PARITY)
