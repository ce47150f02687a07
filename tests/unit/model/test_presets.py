"""Shapes: the parameter counts that are promised, and impossible shapes refused."""

import pytest
import torch

from rot5.errors import UserError
from rot5.model.configuration_rot5 import Rot5Config
from rot5.model.modeling_rot5 import Rot5ForConditionalGeneration
from rot5.model.presets import PRESETS, preset
from rot5.model.settings import ModelConfig, resolve

EXPERIMENT = {
    "base-t5": 223_190_784,
    "base-rope": 223_190_016,
    "base-gqa": 194_878_464,
    "base-moe": 987_749_376,
    "base-moe-balanced": 987_749_376,
    "mini": 46_814_208,
}
"""Parameters of the original experiment's six models, at 32,502 ids."""

LADDER = {"260k": 260e3, "1m": 1e6, "2m": 2e6, "5m": 5e6}

TRAINED = {
    "mini": {
        "d_model": 512,
        "d_kv": 32,
        "d_ff": 512,
        "num_layers": 10,
        "num_heads": 16,
        "num_key_value_heads": 4,
        "feed_forward_proj": "gelu_new",
    },
    "demo": {
        "d_model": 256,
        "d_kv": 64,
        "d_ff": 512,
        "num_layers": 3,
        "num_decoder_layers": 3,
        "num_heads": 4,
        "num_key_value_heads": 2,
        "feed_forward_proj": "gated-gelu",
    },
    "smoke": {
        "d_model": 64,
        "d_kv": 16,
        "d_ff": 128,
        "num_layers": 2,
        "num_decoder_layers": 2,
        "num_heads": 4,
        "num_key_value_heads": 2,
        "feed_forward_proj": "gated-gelu",
    },
    "10m": {
        "d_model": 256,
        "d_kv": 64,
        "d_ff": 768,
        "num_layers": 4,
        "num_decoder_layers": 4,
        "num_heads": 4,
        "num_key_value_heads": 2,
        "feed_forward_proj": "gated-gelu",
    },
}
"""Shapes that models were trained with: they must not change."""


def count(**shape) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in Rot5ForConditionalGeneration(Rot5Config(**shape)).parameters())


@pytest.mark.parametrize("name", EXPERIMENT)
def test_the_original_experiment_has_its_parameters(name):
    assert PRESETS[name].vocab_size == 32_502
    assert count(vocab_size=32_502, **preset(name)) == EXPERIMENT[name]


@pytest.mark.parametrize("name", LADDER)
def test_the_ladder_has_the_parameters_of_its_names(name):
    assert count(vocab_size=PRESETS[name].vocab_size, **preset(name)) == pytest.approx(LADDER[name], rel=0.05)


@pytest.mark.parametrize("name", ["10m", "one-block"])
def test_the_top_of_the_ladder_stays_below_10_million(name):
    assert 9.4e6 < count(vocab_size=PRESETS[name].vocab_size, **preset(name)) < 10e6


def test_one_block_is_one_layer_on_each_side():
    config = Rot5Config(**preset("one-block"))
    assert (config.num_layers, config.num_decoder_layers) == (1, 1)


def test_the_demo_has_the_parameters_of_its_published_results():
    assert count(vocab_size=PRESETS["demo"].vocab_size, **preset("demo")) == 4_919_552


@pytest.mark.parametrize("name", TRAINED)
def test_shapes_of_trained_models_stay(name):
    assert preset(name) == TRAINED[name]


def test_experts_differ_in_their_balance_alone():
    plain, balanced = (Rot5Config(**preset(name)) for name in ("base-moe", "base-moe-balanced"))
    assert (plain.router_aux_loss_coef, plain.router_z_loss_coef) == (0, 0)
    assert (balanced.router_aux_loss_coef, balanced.router_z_loss_coef) == (0.3, 0.001)
    assert balanced.num_experts == 8 and balanced.num_experts_per_tok == 1
    same = preset("base-moe") | {"router_aux_loss_coef": 0.3, "router_z_loss_coef": 0.001}
    assert Rot5Config(**same).to_dict() == balanced.to_dict()


def test_a_preset_is_a_copy():
    preset("demo")["d_model"] = 1
    assert preset("demo") == TRAINED["demo"]


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_can_be_built(name):
    assert count(vocab_size=128, **preset(name)) > 0


def test_an_unknown_preset_names_the_nearest():
    with pytest.raises(UserError, match="did you mean mini"):
        preset("mimi")


def test_settings_replace_the_preset():
    assert resolve(ModelConfig(preset="demo", d_ff=7)) == preset("demo") | {"d_ff": 7}


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"num_heads": 6, "num_key_value_heads": 4}, "multiple of num_key_value_heads"),
        ({"d_kv": 7}, "even"),
        ({"feed_forward_proj": "gated-swish"}, "gated-swish"),
        ({"cross_position_encoding": "sideways"}, "sideways"),
    ],
)
def test_impossible_shapes_are_refused(settings, told):
    with pytest.raises(Exception, match=told):
        Rot5Config(**settings)
