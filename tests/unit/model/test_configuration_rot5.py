"""The configuration: what cannot be built is refused by name, and what was left open is settled."""

import pytest
from huggingface_hub.errors import StrictDataclassError

from rot5.model.configuration_rot5 import Rot5Config

BIAS = {"position_encoding": "relative_bias"}
EXPERTS = {"num_experts": 4}
IMPOSSIBLE = [
    ({"num_heads": 8, "num_key_value_heads": 3}, "num_heads (8) must be a multiple of num_key_value_heads (3)"),
    ({"d_kv": 7}, "d_kv (7) must be even"),
    ({"d_ff": 0}, "d_ff (0) must be at least 1"),
    ({"dropout_rate": 1.0}, "dropout_rate (1.0) must be at least 0 and below 1"),
    ({"feed_forward_proj": "gated-tanh"}, "feed_forward_proj 'gated-tanh' is not one of relu, gelu, gelu_new, silu"),
    ({"position_encoding": "learned"}, "position_encoding 'learned' is not one of rope, relative_bias"),
    ({"cross_position_encoding": "both"}, "is not one of none, aligned, continuous"),
    ({"parametrization": "mup"}, "parametrization 'mup' is not one of rot5, t5"),
    ({"attention_backend": "flash"}, "attention_backend 'flash' is not one of"),
    ({"attention_backend": "flex_attention", "dropout_rate": 0.1}, "cannot drop attention weights"),
    ({"rope_parameters": {"rope_type": "yarn", "factor": 2.0}}, "rope_type 'yarn' is not one of"),
    ({"rope_parameters": {"rope_type": "linear"}}, "rope_type 'linear' needs a factor of at least 1, not None"),
    ({"rope_parameters": {"rope_type": "linear", "factor": "2"}}, "factor ('2') of rope_parameters must be a number"),
    ({"rope_parameters": {"rope_theta": 0.0}}, "rope_theta (0.0) must be above 0"),
    ({"rope_parameters": {"rope_type": "dynamic", "factor": 2.0}, "d_kv": 2}, "d_kv (2) must be at least 4"),
    ({**BIAS, "cross_position_encoding": "aligned"}, "'aligned' needs position_encoding 'rope'"),
    ({**BIAS, "attention_backend": "varlen"}, "'varlen' has no place for a relative bias"),
    ({**BIAS, "relative_attention_num_buckets": 7}, "relative_attention_num_buckets (7) must be even"),
    ({**BIAS, "relative_attention_max_distance": 16}, "relative_attention_max_distance (16) must be above half"),
    ({"num_experts": 1}, "num_experts (1) leaves the router nothing to choose"),
    ({**EXPERTS, "num_experts_per_tok": 5}, "num_experts_per_tok (5) must be between 1 and num_experts (4)"),
    ({**EXPERTS, "num_experts_per_tok": 0}, "num_experts_per_tok (0) must be between 1 and num_experts (4)"),
    ({**EXPERTS, "d_ff": 12}, "d_ff (12) must be a multiple of 8 with experts"),
    ({**EXPERTS, "expert_capacity_factor": 0.0}, "expert_capacity_factor (0.0) must be above 0, or None"),
    ({**EXPERTS, "router_scaling_factor": 0.0}, "router_scaling_factor (0.0) must be above 0"),
    ({**EXPERTS, "router_jitter_noise": 1.0}, "router_jitter_noise (1.0) must be at least 0 and below 1"),
    ({"num_experts": -1}, "num_experts (-1) must not be negative"),
]


@pytest.mark.parametrize(("settings", "message"), IMPOSSIBLE, ids=[message for _, message in IMPOSSIBLE])
def test_what_cannot_be_built_is_refused_by_name(settings, message):
    with pytest.raises(StrictDataclassError) as refusal:
        Rot5Config(**settings)
    assert message in str(refusal.value.__cause__ or refusal.value)


def test_what_is_left_open_follows_the_rest():
    config = Rot5Config(num_layers=4, num_heads=8)
    assert (config.num_decoder_layers, config.num_key_value_heads) == (4, 8)
    assert (config.cross_position_encoding, config.scale_decoder_outputs) == ("aligned", False)
    assert config.rope_parameters == {"rope_type": "default", "rope_theta": 10000.0}
    assert Rot5Config(rope_theta=500.0).rope_parameters["rope_theta"] == 500.0
    assert Rot5Config(**BIAS).cross_position_encoding == "none"
    assert Rot5Config(**BIAS, parametrization="t5").scale_decoder_outputs
    assert not Rot5Config(**BIAS, parametrization="t5", tie_word_embeddings=False).scale_decoder_outputs


@pytest.mark.parametrize("settings", [{}, BIAS, EXPERTS, {"rope_parameters": {"rope_type": "linear", "factor": 2.0}}])
def test_a_saved_configuration_is_the_same(settings, tmp_path):
    config = Rot5Config(**settings)
    config.save_pretrained(tmp_path)
    assert Rot5Config.from_pretrained(tmp_path).to_dict() == config.to_dict()


def test_sparse_layers_are_those_of_transformers():
    """`i % step == 1`, all at step 1, none at step 0 (SwitchTransformersConfig)."""
    config = Rot5Config(num_layers=6, num_experts=4, encoder_sparse_step=2, decoder_sparse_step=0)
    assert [i for i in range(6) if config.is_sparse(False, i)] == [1, 3, 5]
    assert not any(config.is_sparse(True, i) for i in range(6))
    assert all(Rot5Config(num_experts=4).is_sparse(True, i) for i in range(6))
    assert not Rot5Config().is_sparse(False, 1)
