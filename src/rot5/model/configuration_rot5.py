"""The settings of a ROT5 model, as a transformers configuration with T5's field names."""

import copy

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

CROSS_POSITION_ENCODINGS = ("none", "aligned")
ATTENTION_BACKENDS = ("auto", "sdpa", "per_document")
ACTIVATIONS = ("relu", "gelu", "silu")


@strict
class Rot5Config(PreTrainedConfig):
    """Shape of an encoder-decoder with rotary positions and grouped-query attention.

    Fields that T5 has mean what they mean there. `num_decoder_layers` and `num_key_value_heads` default to `num_layers`
    and `num_heads`. `feed_forward_proj` is an activation (relu, gelu, silu), or `gated-` before one. `rope_parameters`
    are named as in transformers. `cross_position_encoding` says what cross-attention knows of positions: `none`, or
    `aligned` (queries turn with decoder positions, keys with encoder positions). `attention_backend` says how packed
    rows are attended: under a mask (`sdpa`), document by document (`per_document`), or by whichever is faster on the
    device (`auto`).

    Raises ValueError for shapes that cannot be built.
    """

    model_type = "rot5"
    keys_to_ignore_at_inference = ["past_key_values"]  # noqa: RUF012 (transformers adds a list to it)
    attribute_map = {  # noqa: RUF012 (transformers reads a plain class attribute)
        "hidden_size": "d_model",
        "num_attention_heads": "num_heads",
        "num_hidden_layers": "num_layers",
        "head_dim": "d_kv",
        "intermediate_size": "d_ff",
    }

    vocab_size: int = 32512
    d_model: int = 512
    d_kv: int = 64
    d_ff: int = 2048
    num_layers: int = 6
    num_decoder_layers: int | None = None
    num_heads: int = 8
    num_key_value_heads: int | None = None
    feed_forward_proj: str = "gelu"
    cross_position_encoding: str = "aligned"
    attention_backend: str = "auto"
    rope_parameters: dict | None = None
    dropout_rate: float | int = 0.0
    layer_norm_epsilon: float = 1e-6
    initializer_factor: float = 1.0
    tie_word_embeddings: bool = True
    is_encoder_decoder: bool = True
    use_cache: bool = True
    pad_token_id: int | None = None
    eos_token_id: int | list[int] | None = None
    decoder_start_token_id: int | None = None

    def __post_init__(self, **kwargs):
        if self.num_decoder_layers is None:
            self.num_decoder_layers = self.num_layers
        if self.num_key_value_heads is None:
            self.num_key_value_heads = self.num_heads
        if self.rope_parameters is None:
            self.rope_parameters = {"rope_type": "default", "rope_theta": 10000.0}
        super().__post_init__(**kwargs)

    @property
    def is_gated(self) -> bool:
        """Whether the feed-forward multiplies two projections."""
        return self.feed_forward_proj.startswith("gated-")

    @property
    def activation(self) -> str:
        """Name of the feed-forward's activation."""
        return self.feed_forward_proj.removeprefix("gated-")

    def get_text_config(self, decoder: bool | None = None, encoder: bool | None = None) -> "Rot5Config":
        """The configuration of one side, with as many layers as it has: what transformers sizes caches by."""
        if not decoder or encoder or self.num_decoder_layers == self.num_layers:
            return self
        side = copy.copy(self)
        side.num_layers = self.num_decoder_layers or self.num_layers
        return side

    def validate_architecture(self):
        """Refuse impossible shapes (called by transformers when a configuration is made)."""
        for name in ("d_model", "d_kv", "d_ff", "num_layers", "num_decoder_layers", "num_heads", "num_key_value_heads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} ({getattr(self, name)}) must be at least 1")
        if not 0 <= self.dropout_rate < 1:
            raise ValueError(f"dropout_rate ({self.dropout_rate}) must be at least 0 and below 1")
        if self.num_heads % (self.num_key_value_heads or self.num_heads):
            raise ValueError(
                f"num_heads ({self.num_heads}) must be a multiple of num_key_value_heads ({self.num_key_value_heads})"
            )
        if self.d_kv % 2:
            raise ValueError(f"d_kv ({self.d_kv}) must be even: rotary positions turn pairs of features")
        if self.activation not in ACTIVATIONS:
            raise ValueError(
                f"feed_forward_proj {self.feed_forward_proj!r} is not one of {', '.join(ACTIVATIONS)}, "
                "with or without 'gated-' before it"
            )
        for name, known in (
            ("cross_position_encoding", CROSS_POSITION_ENCODINGS),
            ("attention_backend", ATTENTION_BACKENDS),
        ):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} {getattr(self, name)!r} is not one of {', '.join(known)}")
