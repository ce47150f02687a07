"""Shapes: the parameter counts that are promised, and impossible shapes refused."""

import pytest
import torch

from rot5.errors import UserError
from rot5.model.configuration_rot5 import Rot5Config
from rot5.model.modeling_rot5 import Rot5ForConditionalGeneration
from rot5.model.presets import PRESETS, preset
from rot5.model.settings import ModelConfig, resolve

ORIGINAL_VOCABULARY = 32_502


def count(**shape) -> int:
    with torch.device("meta"):
        return Rot5ForConditionalGeneration(Rot5Config(**shape)).num_parameters()


def test_mini_has_the_parameters_of_the_original():
    assert count(vocab_size=ORIGINAL_VOCABULARY, **preset("mini")) == 46_814_208


def test_the_demo_is_between_2_and_5_million():
    assert 2e6 < count(vocab_size=3072, **preset("demo")) < 5e6


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
