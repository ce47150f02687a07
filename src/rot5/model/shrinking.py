"""Fewer layers of a trained model: what a student begins as (shrink and fine-tune, arXiv:2010.13002)."""

import copy
from typing import TypeVar

from torch import nn
from transformers import MT5ForConditionalGeneration, PreTrainedModel, T5ForConditionalGeneration

from rot5.model.modeling_rot5 import Rot5ForConditionalGeneration

SHRINKABLE = (Rot5ForConditionalGeneration, T5ForConditionalGeneration, MT5ForConditionalGeneration)
"""Models that lose layers."""

Model = TypeVar("Model", bound=PreTrainedModel)


def kept_layers(count: int, total: int) -> list[int]:
    """Which of `total` layers `count` are, evenly spaced, the first and the last among them; a single one is the first.

    >>> kept_layers(3, 6), kept_layers(1, 6), kept_layers(2, 2)
    ([0, 2, 5], [0], [0, 1])
    """
    return [round(place * (total - 1) / max(1, count - 1)) for place in range(count)]


def with_layers(model: Model, encoder_layers: int, decoder_layers: int) -> Model:
    """A copy of the model, one of `SHRINKABLE`, with so many of its layers; 0 for all of them.

    Raises ValueError for more layers than there are, and where experts would stand in other layers.
    """
    model = copy.deepcopy(model)
    for side, name, wanted in (
        ("encoder", "num_layers", encoder_layers),
        ("decoder", "num_decoder_layers", decoder_layers),
    ):
        total = getattr(model.config, name)
        if not 0 <= wanted <= total:
            raise ValueError(f"{side}_layers {wanted} must be between 1 and the {total} of the model")
        kept = kept_layers(wanted or total, total)
        if isinstance(model, Rot5ForConditionalGeneration):
            decoder = side == "decoder"
            places = [(model.config.is_sparse(decoder, old), model.config.is_sparse(decoder, new))
                      for new, old in enumerate(kept)]  # fmt: skip
            if any(was != is_now for was, is_now in places):
                raise ValueError(f"{side}_layers {wanted} of {total} would change which layers hold experts")
        _keep(getattr(model, side), kept)
        setattr(model.config, name, len(kept))
    return model


def _keep(stack: nn.Module, kept: list[int]) -> None:
    """Drop the other layers of a stack, and number those that stay anew."""
    held = "layers" if hasattr(stack, "layers") else "block"
    layers = nn.ModuleList(getattr(stack, held)[place] for place in kept)
    setattr(stack, held, layers)
    for number, layer in enumerate(layers):
        for module in layer.modules():
            for name in ("layer_index", "layer_idx"):
                if hasattr(module, name):
                    setattr(module, name, number)
