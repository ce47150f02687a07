"""Named shapes. A preset fixes everything but the vocabulary, which comes from the tokenizer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rot5.errors import UserError, nearest


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A shape, and the vocabulary that its parameter count speaks of."""

    about: str
    """What it is, in a few words."""
    vocab_size: int
    """Ids that the stated number of parameters is for; a model that is trained takes its tokenizer's."""
    shape: Mapping[str, Any]
    """The fields of `Rot5Config` that it sets."""


ORIGINAL_VOCABULARY = 32_502
"""Ids of the original experiment's tokenizer: Mistral's 32,000 pieces, 500 sentinels, start and padding."""
T5_VOCABULARY = 32_128
"""Ids of the published T5 models, padding included."""
PRUNED_VOCABULARY = 9_344
"""Ids, padding included, of Mistral's tokenizer pruned to real TinyStories."""
SMALL_VOCABULARY = 4_096

_BASE = {
    "d_model": 768,
    "d_kv": 64,
    "d_ff": 3072,
    "num_layers": 12,
    "num_decoder_layers": 12,
    "num_heads": 12,
    "feed_forward_proj": "relu",
}
_BASE_GQA = _BASE | {"num_key_value_heads": 4}
_BASE_MOE = _BASE_GQA | {"num_experts": 8, "num_experts_per_tok": 1, "encoder_sparse_step": 1, "decoder_sparse_step": 1}
_T5 = {"position_encoding": "relative_bias", "parametrization": "t5"}


def _gated(width: int, layers: int, heads: int, key_value_heads: int, head_width: int, inner: int) -> dict[str, Any]:
    """A shape of today's parts: as many encoder as decoder layers, grouped queries, a gated feed-forward."""
    return {
        "d_model": width,
        "d_kv": head_width,
        "d_ff": inner,
        "num_layers": layers,
        "num_decoder_layers": layers,
        "num_heads": heads,
        "num_key_value_heads": key_value_heads,
        "feed_forward_proj": "gated-gelu",
    }


def _t5(width: int, inner: int, layers: int, heads: int) -> dict[str, Any]:
    """A shape of T5 1.0 (arXiv:1910.10683): plain feed-forward, tied embeddings."""
    return _T5 | {
        "d_model": width,
        "d_kv": 64,
        "d_ff": inner,
        "num_layers": layers,
        "num_decoder_layers": layers,
        "num_heads": heads,
        "feed_forward_proj": "relu",
    }


def _t5_v1_1(width: int, inner: int, layers: int, heads: int) -> dict[str, Any]:
    """A shape of T5 1.1 (arXiv:2002.05202), which Flan-T5 shares: gated feed-forward, a head of its own."""
    return _t5(width, inner, layers, heads) | {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}


PRESETS: dict[str, Preset] = {
    "base-t5": Preset(
        about="T5-base with relative bias: the original experiment's baseline",
        vocab_size=ORIGINAL_VOCABULARY,
        shape=_BASE | _T5,
    ),
    "base-rope": Preset(
        about="T5-base with rotary positions in all three attentions",
        vocab_size=ORIGINAL_VOCABULARY,
        shape=_BASE,
    ),
    "base-gqa": Preset(
        about="base-rope with 4 key-value heads for its 12 heads",
        vocab_size=ORIGINAL_VOCABULARY,
        shape=_BASE_GQA,
    ),
    "base-moe": Preset(
        about="base-gqa with 8 experts in every layer, one per token, unbalanced",
        vocab_size=ORIGINAL_VOCABULARY,
        shape=_BASE_MOE | {"router_aux_loss_coef": 0.0, "router_z_loss_coef": 0.0},
    ),
    "base-moe-balanced": Preset(
        about="base-moe with the balance loss and the router's z-loss",
        vocab_size=ORIGINAL_VOCABULARY,
        shape=_BASE_MOE,
    ),
    "mini": Preset(
        about="the Chinchilla-sized model of the original experiment",
        vocab_size=ORIGINAL_VOCABULARY,
        shape={
            "d_model": 512,
            "d_kv": 32,
            "d_ff": 512,
            "num_layers": 10,
            "num_heads": 16,
            "num_key_value_heads": 4,
            "feed_forward_proj": "gelu_new",
        },
    ),
    "10m": Preset(
        about="below 10 M parameters, for real TinyStories",
        vocab_size=PRUNED_VOCABULARY,
        shape=_gated(256, 4, 4, 2, 64, 768),
    ),
    "5m": Preset(
        about="5 M parameters, for real TinyStories",
        vocab_size=PRUNED_VOCABULARY,
        shape=_gated(192, 4, 6, 2, 32, 448),
    ),
    "2m": Preset(
        about="2 M parameters, for stories of few words",
        vocab_size=SMALL_VOCABULARY,
        shape=_gated(128, 4, 4, 2, 32, 288),
    ),
    "1m": Preset(
        about="1 M parameters, for stories of few words",
        vocab_size=SMALL_VOCABULARY,
        shape=_gated(96, 3, 3, 1, 32, 224),
    ),
    "260k": Preset(
        about="260 k parameters, for text spelled nearly in bytes",
        vocab_size=512,
        shape=_gated(64, 3, 2, 1, 32, 96),
    ),
    "one-block": Preset(
        about="one wide encoder layer and one wide decoder layer, of the size of 10m",
        vocab_size=PRUNED_VOCABULARY,
        shape=_gated(512, 1, 8, 2, 64, 1024),
    ),
    "demo": Preset(
        about="learns to summarize in minutes on two cores",
        vocab_size=3_072,
        shape=_gated(256, 3, 4, 2, 64, 512),
    ),
    "smoke": Preset(
        about="for tests: everything there, nothing learned",
        vocab_size=512,
        shape=_gated(64, 2, 4, 2, 16, 128),
    ),
    "t5-small": Preset(about="T5 1.0 small", vocab_size=T5_VOCABULARY, shape=_t5(512, 2048, 6, 8)),
    "t5-base": Preset(about="T5 1.0 base", vocab_size=T5_VOCABULARY, shape=_t5(768, 3072, 12, 12)),
    "t5-large": Preset(about="T5 1.0 large", vocab_size=T5_VOCABULARY, shape=_t5(1024, 4096, 24, 16)),
    "t5-v1_1-small": Preset(about="T5 1.1 and Flan small", vocab_size=T5_VOCABULARY, shape=_t5_v1_1(512, 1024, 8, 6)),
    "t5-v1_1-base": Preset(about="T5 1.1 and Flan base", vocab_size=T5_VOCABULARY, shape=_t5_v1_1(768, 2048, 12, 12)),
    "t5-v1_1-large": Preset(
        about="T5 1.1 and Flan large", vocab_size=T5_VOCABULARY, shape=_t5_v1_1(1024, 2816, 24, 16)
    ),
    "t5-v1_1-xl": Preset(about="T5 1.1 and Flan XL", vocab_size=T5_VOCABULARY, shape=_t5_v1_1(2048, 5120, 24, 32)),
    "t5-v1_1-xxl": Preset(about="T5 1.1 and Flan XXL", vocab_size=T5_VOCABULARY, shape=_t5_v1_1(4096, 10240, 24, 64)),
}


def find_preset(name: str) -> Preset:
    """The preset of a name. Raises UserError with the nearest name for an unknown one."""
    if name not in PRESETS:
        raise UserError(f"unknown preset {name!r}: {nearest(name, PRESETS)}")
    return PRESETS[name]


def preset(name: str) -> dict[str, Any]:
    """The fields of `Rot5Config` that a preset sets. Raises UserError with the nearest name for an unknown one."""
    return dict(find_preset(name).shape)
