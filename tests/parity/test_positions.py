"""Rotary positions against Llama's in transformers, at any length and scaling, and what they must not depend on."""

import pytest
import torch
from tolerances import PARITY
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding, apply_rotary_pos_emb

from rot5.model.configuration_rot5 import Rot5Config
from rot5.model.positions import rotate, rotation_table

D_KV = 16
TRAINED = 64
SCALINGS = {
    "default": {"rope_type": "default", "rope_theta": 10000.0},
    "factor without a type": {"rope_type": "default", "rope_theta": 10000.0, "factor": 4.0},
    "theta": {"rope_type": "default", "rope_theta": 500.0},
    "linear": {"rope_type": "linear", "factor": 4.0, "rope_theta": 10000.0},
    "dynamic": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0},
}


def ours(rope_parameters: dict) -> Rot5Config:
    return Rot5Config(d_kv=D_KV, rope_parameters=rope_parameters, max_position_embeddings=TRAINED)


def test_the_gradient_of_a_rotation():
    """By finite differences, in double precision: turning is written with a gradient of its own."""
    table = tuple(each.double() for each in rotation_table(torch.tensor([[0, 1, 5]]), ours(SCALINGS["default"])))
    x = torch.randn(1, 2, 3, D_KV, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: rotate(x, table), (x,))


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("length", [5, TRAINED, TRAINED + 1, 300])
def test_rotation_equals_llama(scaling, length):
    positions = torch.arange(length)[None]
    q, k = torch.randn(1, 4, length, D_KV), torch.randn(1, 2, length, D_KV)
    config = LlamaConfig(
        hidden_size=64, num_attention_heads=4, head_dim=D_KV, max_position_embeddings=TRAINED,
        rope_parameters=dict(SCALINGS[scaling]),
    )  # fmt: skip
    expected_q, expected_k = apply_rotary_pos_emb(q, k, *LlamaRotaryEmbedding(config)(q, positions))
    table = rotation_table(positions, ours(SCALINGS[scaling]), torch.full_like(positions, length))
    torch.testing.assert_close(rotate(q, table), expected_q, rtol=0, atol=PARITY)
    torch.testing.assert_close(rotate(k, table), expected_k, rtol=0, atol=PARITY)


def test_rotation_equals_llama_far_out():
    positions = torch.tensor([[0, 1, 2, 300, 1023, 40000]])
    q = torch.randn(1, 4, 6, D_KV)
    config = LlamaConfig(hidden_size=64, num_attention_heads=4, head_dim=D_KV)
    expected, _ = apply_rotary_pos_emb(q, q, *LlamaRotaryEmbedding(config)(q, positions))
    table = rotation_table(positions, ours(SCALINGS["default"]))
    torch.testing.assert_close(rotate(q, table), expected, rtol=0, atol=PARITY)


def test_the_table_is_exact_in_low_precision():
    positions = torch.arange(2048)[None]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cos, _ = rotation_table(positions, ours(SCALINGS["default"]))
    assert cos.dtype == torch.float32
    assert len(cos[0, 0].unique(dim=0)) == 2048


@pytest.mark.parametrize("scaling", ["default", "linear"])
def test_scores_depend_on_distance_alone(scaling):
    q, k = torch.randn(1, 1, 1, D_KV), torch.randn(1, 1, 1, D_KV)

    def score(query: int, key: int) -> torch.Tensor:
        tables = [rotation_table(torch.tensor([[place]]), ours(SCALINGS[scaling])) for place in (query, key)]
        return (rotate(q, tables[0]) * rotate(k, tables[1])).sum()

    torch.testing.assert_close(score(7, 3), score(104, 100), rtol=0, atol=PARITY)
    assert abs(score(7, 3) - score(7, 5)) > 1e-3


@pytest.mark.parametrize("scaling", ["default", "linear"])
@pytest.mark.parametrize("cross", ["none", "aligned", "continuous"])
def test_shifting_all_positions_changes_nothing(tiny_model, scaling, cross):
    model = tiny_model(rope_parameters=SCALINGS[scaling], cross_position_encoding=cross)
    source, target = torch.randint(3, 96, (2, 11)), torch.randint(3, 96, (2, 6))

    def logits(encoder_shift: int, decoder_shift: int) -> torch.Tensor:
        with torch.inference_mode():
            return model(
                input_ids=source,
                decoder_input_ids=target,
                encoder_positions=torch.arange(11).expand(2, 11) + encoder_shift,
                decoder_positions=torch.arange(6).expand(2, 6) + decoder_shift,
            ).logits

    expected = logits(0, 0)
    torch.testing.assert_close(logits(37, 37), expected, rtol=0, atol=PARITY)
    moved = (logits(37, 0) - expected).abs().max()
    assert moved < PARITY if cross == "none" else moved > 1e-3


def test_continuous_positions_go_on_where_the_encoder_ends(tiny_model):
    """Aligned positions with the decoder's numbered from the encoder's length are continuous ones."""
    aligned, continuous = (tiny_model(cross_position_encoding=name) for name in ("aligned", "continuous"))
    source, target = torch.randint(3, 96, (2, 11)), torch.randint(3, 96, (2, 6))
    mask = (torch.arange(11) < torch.tensor([[11], [4]])).long()
    inputs = {"input_ids": source, "attention_mask": mask, "decoder_input_ids": target}
    with torch.inference_mode():
        found = continuous(**inputs).logits
        expected = aligned(**inputs, decoder_positions=torch.arange(6) + mask.sum(dim=1, keepdim=True)).logits
        assert (found - aligned(**inputs).logits).abs().max() > 1e-3
    torch.testing.assert_close(found, expected, rtol=0, atol=PARITY)


@pytest.mark.parametrize("cross", ["aligned", "continuous"])
def test_dynamic_scaling_stretches_each_document_by_its_own_length(tiny_model, cross):
    settings = {"rope_parameters": SCALINGS["dynamic"], "max_position_embeddings": 8, "cross_position_encoding": cross}
    model = tiny_model(**settings)
    long, short = torch.randint(3, 96, (1, 20)), torch.randint(3, 96, (1, 5))
    targets = torch.randint(3, 96, (2, 3))
    both = torch.cat((long, torch.cat((short, torch.zeros(1, 15, dtype=torch.long)), dim=1)))
    with torch.inference_mode():
        together = model(input_ids=both, attention_mask=(both != 0).long(), decoder_input_ids=targets).logits
        alone = [model(input_ids=each, decoder_input_ids=targets[i : i + 1]).logits[0]
                 for i, each in enumerate((long, short))]  # fmt: skip
        unscaled = tiny_model(cross_position_encoding=cross)
        plain = [unscaled(input_ids=each, decoder_input_ids=targets[i : i + 1]).logits[0]
                 for i, each in enumerate((long, short))]  # fmt: skip
    torch.testing.assert_close(together, torch.stack(alone), rtol=0, atol=PARITY)
    torch.testing.assert_close(alone[1], plain[1], rtol=0, atol=PARITY)
    assert (alone[0] - plain[0]).abs().max() > 1e-3
