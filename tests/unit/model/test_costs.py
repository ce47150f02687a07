"""Costs: the closed formulas say what the modules hold and what their matrix products take."""

import pytest
import torch
from torch._subclasses import FakeTensorMode
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForSeq2SeqLM, DynamicCache, EncoderDecoderCache, T5Config, T5ForConditionalGeneration

from rot5.model.configuration_rot5 import Rot5Config
from rot5.model.costs import ParameterCounts, forward_flops, parameter_counts
from rot5.model.modeling_rot5 import Rot5ForConditionalGeneration
from rot5.model.presets import PRESETS

TINY = {
    "vocab_size": 100,
    "d_model": 32,
    "d_kv": 8,
    "d_ff": 48,
    "num_layers": 4,
    "num_decoder_layers": 3,
    "num_heads": 6,
    "num_key_value_heads": 2,
}
EXPERTS = {"num_experts": 8, "num_experts_per_tok": 2}

SHAPES = {name: {"vocab_size": each.vocab_size, **each.shape} for name, each in PRESETS.items()} | {
    "plain": TINY,
    "gated": TINY | {"feed_forward_proj": "gated-silu"},
    "untied": TINY | {"tie_word_embeddings": False},
    "normed queries": TINY | {"qk_norm": True},
    "biased": TINY | {"position_encoding": "relative_bias", "relative_attention_num_buckets": 20},
    "experts": TINY | EXPERTS,
    "gated experts, one shared": TINY | EXPERTS | {"feed_forward_proj": "gated-gelu", "num_shared_experts": 1},
    "experts here and there": TINY | EXPERTS | {"encoder_sparse_step": 2, "decoder_sparse_step": 2},
    "experts in the decoder": TINY | EXPERTS | {"encoder_sparse_step": 0, "num_shared_experts": 2},
}

CASES = [(name, (24, 16)) for name in SHAPES] + [(name, (8, 40)) for name in SHAPES if name not in PRESETS]
"""Shapes with encoder and decoder lengths."""

T5 = {
    "t5-small": {"d_model": 512, "d_ff": 2048, "num_layers": 6, "num_heads": 8},
    "t5-base": {"d_model": 768, "d_ff": 3072, "num_layers": 12, "num_heads": 12},
    "t5-large": {"d_model": 1024, "d_ff": 4096, "num_layers": 24, "num_heads": 16},
    "t5-v1_1-small": {"d_model": 512, "d_ff": 1024, "num_layers": 8, "num_heads": 6},
    "t5-v1_1-base": {"d_model": 768, "d_ff": 2048, "num_layers": 12, "num_heads": 12},
    "t5-v1_1-large": {"d_model": 1024, "d_ff": 2816, "num_layers": 24, "num_heads": 16},
    "t5-v1_1-xl": {"d_model": 2048, "d_ff": 5120, "num_layers": 24, "num_heads": 32},
    "t5-v1_1-xxl": {"d_model": 4096, "d_ff": 10240, "num_layers": 24, "num_heads": 64},
}
"""What the published configurations say."""

PUBLISHED = {
    "t5-small": 60_506_624,
    "t5-base": 222_903_552,
    "t5-large": 737_668_096,
    "t5-v1_1-small": 76_961_152,
    "t5-v1_1-base": 247_577_856,
    "t5-v1_1-large": 783_150_080,
    "t5-v1_1-xl": 2_849_757_184,
    "t5-v1_1-xxl": 11_135_332_352,
}
"""Parameters of the published models. transformers builds T5 1.1 with a tied head and unties it for their weights."""


def built(config: Rot5Config) -> Rot5ForConditionalGeneration:
    """The model without its numbers."""
    with torch.device("meta"):
        return Rot5ForConditionalGeneration(config)


def counted(model: Rot5ForConditionalGeneration) -> ParameterCounts:
    """The same counts, taken from the modules: experts are the weights of three dimensions."""
    config = model.config
    total = active = 0
    for parameter in model.parameters():
        total += parameter.numel()
        chosen = parameter.ndim == 3
        active += parameter.numel() * config.num_experts_per_tok // config.num_experts if chosen else parameter.numel()
    embedding = sum(table.numel() for table in {model.shared.weight, model.lm_head.weight})
    return ParameterCounts(total, active, embedding, total - embedding, active - embedding)


def grouped_mm_flops(rows_shape, weights_shape, *rest, out_shape=None, **kwargs) -> int:
    """Each row is multiplied by the matrix of its group alone."""
    return 2 * rows_shape[0] * weights_shape[1] * weights_shape[2]


def counter() -> FlopCounterMode:
    return FlopCounterMode(display=False, custom_mapping={torch.ops.aten._grouped_mm: grouped_mm_flops})


@pytest.fixture
def pretended():
    """Runs models whose numbers nobody makes; attention is made of matrix products that can be counted.

    In bfloat16, the only precision for which the grouped matrix product knows its shapes.
    """

    def make(config: Rot5Config) -> Rot5ForConditionalGeneration:
        return AutoModelForSeq2SeqLM.from_config(config, dtype=torch.bfloat16).eval()

    with FakeTensorMode(), sdpa_kernel(SDPBackend.MATH), torch.no_grad():
        yield make


@pytest.mark.parametrize("name", SHAPES)
def test_parameters_are_those_of_the_modules(name):
    config = Rot5Config(**SHAPES[name])
    assert parameter_counts(config) == counted(built(config))


@pytest.mark.parametrize("name", T5)
def test_t5_presets_have_the_parameters_of_t5(name):
    modern = "v1_1" in name
    config = T5Config(vocab_size=32_128, d_kv=64, feed_forward_proj="gated-gelu" if modern else "relu", **T5[name])
    with torch.device("meta"):
        theirs = T5ForConditionalGeneration(config)
    count = sum(parameter.numel() for parameter in theirs.parameters())
    if modern and theirs.lm_head.weight is theirs.shared.weight:
        count += theirs.lm_head.weight.numel()
    assert parameter_counts(Rot5Config(**SHAPES[name])).total == count == PUBLISHED[name]


def shallow(shape: dict) -> dict:
    """At most four layers a stack: all that one layer can be is in them."""
    return {key: min(value, 4) if key.endswith("layers") and value else value for key, value in shape.items()}


@pytest.mark.parametrize(("name", "lengths"), CASES)
def test_operations_are_those_of_a_forward_pass(name, lengths, pretended):
    config = Rot5Config(attention_backend="sdpa", **shallow(SHAPES[name]))
    model = pretended(config)
    encoder_ids, decoder_ids = (torch.zeros(1, length, dtype=torch.int64) for length in lengths)
    with counter() as flops:
        model(input_ids=encoder_ids, decoder_input_ids=decoder_ids, use_cache=False)
    found = forward_flops(config, *lengths, masked_too=True)
    assert flops.get_total_flops() == lengths[0] * found.encoder_token + lengths[1] * found.decoder_token


@pytest.mark.parametrize("name", ["plain", "gated experts, one shared", "biased"])
def test_causal_attention_counts_what_decoding_token_by_token_takes(name, pretended):
    config = Rot5Config(attention_backend="sdpa", **SHAPES[name])
    model, (S, T) = pretended(config), (12, 7)
    cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
    with counter() as flops:
        memory = model.encoder(torch.zeros(1, S, dtype=torch.int64))
        for _ in range(T):
            one = torch.zeros(1, 1, dtype=torch.int64)
            model(encoder_outputs=memory, decoder_input_ids=one, past_key_values=cache)
    found = forward_flops(config, S, T)
    assert flops.get_total_flops() == S * found.encoder_token + T * found.decoder_token


def test_an_encoder_token_pays_for_its_keys_in_cross_attention(pretended):
    config = Rot5Config(attention_backend="sdpa", **TINY)
    model = pretended(config)
    with counter() as flops:
        model.encoder(torch.zeros(1, 10, dtype=torch.int64))
    keys_and_values = 3 * 2 * (2 * 32 * 2 * 8)
    assert forward_flops(config, 10, 5).encoder_token == flops.get_total_flops() // 10 + keys_and_values


@pytest.mark.parametrize("lengths", [(0, 4), (4, 0)])
def test_lengths_below_one_are_refused(lengths):
    with pytest.raises(ValueError, match="at least 1"):
        forward_flops(Rot5Config(**TINY), *lengths)
