"""Parts that Llama shares with us, against its functions in transformers."""

import torch
from tolerances import PARITY
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import (
    LlamaRotaryEmbedding,
    apply_rotary_pos_emb,
    eager_attention_forward,
    repeat_kv,
)

from rot5.model.attention import attend, attend_eagerly
from rot5.model.positions import rotate, rotation_table


def test_rotation_equals_llama():
    positions = torch.tensor([[0, 1, 2, 300, 1023, 40000]])
    q, k = torch.randn(1, 4, 6, 16), torch.randn(1, 2, 6, 16)
    config = LlamaConfig(hidden_size=64, num_attention_heads=4, head_dim=16, rope_theta=10000.0)
    cos, sin = LlamaRotaryEmbedding(config)(q, positions)
    expected_q, expected_k = apply_rotary_pos_emb(q, k, cos, sin)
    table = rotation_table(positions, 16, {"rope_type": "default", "rope_theta": 10000.0})
    torch.testing.assert_close(rotate(q, table), expected_q, rtol=0, atol=PARITY)
    torch.testing.assert_close(rotate(k, table), expected_k, rtol=0, atol=PARITY)


def test_the_table_is_exact_in_low_precision():
    positions = torch.arange(2048)[None]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cos, _ = rotation_table(positions, 16, {"rope_type": "default", "rope_theta": 10000.0})
    assert cos.dtype == torch.float32
    assert len(cos[0, 0].unique(dim=0)) == 2048


class Module:
    num_key_value_groups = 2
    training = False


def test_grouped_queries_equal_llama():
    q, k, v = torch.randn(2, 4, 5, 8), torch.randn(2, 2, 5, 8), torch.randn(2, 2, 5, 8)
    mask = torch.zeros(2, 1, 5, 5).masked_fill(torch.ones(5, 5).triu(1).bool(), torch.finfo(torch.float32).min)
    expected, weights = eager_attention_forward(Module(), q, k, v, mask, scaling=8**-0.5)
    expected = expected.transpose(1, 2)
    torch.testing.assert_close(attend(q, k, v, mask, True, 0.0), expected, rtol=0, atol=PARITY)
    torch.testing.assert_close(attend(q, k, v, None, True, 0.0), expected, rtol=0, atol=PARITY)
    eager, own_weights = attend_eagerly(q, k, v, None, True, 0.0)
    torch.testing.assert_close(eager, expected, rtol=0, atol=PARITY)
    torch.testing.assert_close(own_weights, weights, rtol=0, atol=PARITY)
    assert repeat_kv(k, 2).shape == q.shape
