"""The settings of a ROT5 model, as a transformers configuration with T5's field names."""

import copy

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

ROPE_TYPES = ("default", "linear", "dynamic")
ACTIVATIONS = ("relu", "gelu", "gelu_new", "silu")
CHOICES = {
    "position_encoding": ("rope", "relative_bias"),
    "cross_position_encoding": ("none", "aligned", "continuous"),
    "attention_backend": ("auto", "sdpa", "per_document", "flex_attention", "varlen", "eager"),
    "parametrization": ("rot5", "t5"),
}
AT_LEAST_ONE = (
    "vocab_size",
    "d_model",
    "d_kv",
    "d_ff",
    "num_layers",
    "num_decoder_layers",
    "num_heads",
    "num_key_value_heads",
    "max_position_embeddings",
)
NOT_NEGATIVE = (
    "num_experts",
    "num_shared_experts",
    "encoder_sparse_step",
    "decoder_sparse_step",
    "router_aux_loss_coef",
    "router_z_loss_coef",
    "router_bias_update_rate",
    "initializer_factor",
    "layer_norm_epsilon",
)


@strict
class Rot5Config(PreTrainedConfig):
    """Shape of an encoder-decoder; every architecture of the family is a choice of these fields.

    Fields that T5 has mean what they mean there. `num_decoder_layers` and `num_key_value_heads` default to `num_layers`
    and `num_heads`. `feed_forward_proj` is an activation (relu, gelu, gelu_new, silu), or `gated-` before one; as in
    T5, `gated-gelu` means the tanh form.

    Positions. `position_encoding` is `rope`, whose `rope_parameters` (`rope_theta`, `rope_type` default, linear or
    dynamic, `factor`) and `max_position_embeddings` (the trained length that dynamic scaling starts from) are named as
    in transformers, or `relative_bias`, T5's learned buckets. `cross_position_encoding` says what cross-attention knows
    of positions under RoPE: `none`; `aligned` (queries turn with decoder positions, keys with encoder positions); or
    `continuous` (decoder positions go on where the encoder's end, arXiv:2510.26622). It defaults to aligned with RoPE
    and to none with a relative bias.

    `parametrization` is `rot5` (scaled attention, embeddings scaled up where they are read) or `t5` (T5's: unscaled
    attention with the initialisation that makes it legal, unscaled embeddings); `scale_decoder_outputs` divides what
    the head reads by sqrt(d_model), as T5 1.0 with its tied embeddings does and T5 1.1 does not. `qk_norm` normalises
    queries and keys per head (arXiv:2010.04245, with RMSNorm).

    Experts (arXiv:2101.03961). `num_experts` 0 is dense. A stack's layer i is sparse where `i % step == 1`, or all are
    at step 1, none at step 0. Each token goes to `num_experts_per_tok` experts and to all `num_shared_experts`; gates
    are softmax probabilities over all experts times `router_scaling_factor`. Nothing is dropped but, while training,
    what is beyond an `expert_capacity_factor`. `router_aux_loss_coef` and `router_z_loss_coef` weigh the balance loss
    and the z-loss while training, means over layers where Switch sums them; `router_bias_update_rate` above 0 balances
    without a loss (arXiv:2408.15664).

    `attention_backend` says how packed rows are attended: under a mask (`sdpa`; `eager` by its definition), document by
    document (`per_document`), by `flex_attention` or, on CUDA, by the `varlen` kernel, or whichever is faster (`auto`).

    Raises StrictDataclassError (of huggingface_hub), which names the field, for shapes that cannot be built.
    """

    model_type = "rot5"
    keys_to_ignore_at_inference = ["past_key_values", "lm_loss", "balance_loss", "router_z_loss", "routing"]  # noqa: RUF012
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
    qk_norm: bool = False
    feed_forward_proj: str = "gelu"
    position_encoding: str = "rope"
    cross_position_encoding: str | None = None
    rope_parameters: dict | None = None
    max_position_embeddings: int = 512
    relative_attention_num_buckets: int = 32
    relative_attention_max_distance: int = 128
    parametrization: str = "rot5"
    scale_decoder_outputs: bool | None = None
    attention_backend: str = "auto"
    num_experts: int = 0
    num_experts_per_tok: int = 1
    num_shared_experts: int = 0
    encoder_sparse_step: int = 1
    decoder_sparse_step: int = 1
    expert_capacity_factor: float | int | None = None
    router_aux_loss_coef: float | int = 0.3
    router_z_loss_coef: float | int = 0.001
    router_bias_update_rate: float | int = 0.0
    router_jitter_noise: float | int = 0.0
    router_scaling_factor: float | int = 1.0
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
        if self.cross_position_encoding is None:
            self.cross_position_encoding = "aligned" if self.position_encoding == "rope" else "none"
        if self.scale_decoder_outputs is None:
            self.scale_decoder_outputs = self.parametrization == "t5" and self.tie_word_embeddings
        if self.position_encoding == "rope":
            theta = kwargs.pop("rope_theta", 10000.0)
            self.rope_parameters = {"rope_type": "default", "rope_theta": theta} | (self.rope_parameters or {})
        super().__post_init__(**kwargs)

    @property
    def is_gated(self) -> bool:
        """Whether the feed-forward multiplies two projections."""
        return self.feed_forward_proj.startswith("gated-")

    @property
    def activation(self) -> str:
        """Name of the feed-forward's activation, as transformers names it."""
        name = self.feed_forward_proj.removeprefix("gated-")
        return "gelu_new" if self.feed_forward_proj == "gated-gelu" else name

    def is_sparse(self, decoder: bool, layer_index: int) -> bool:
        """Whether a layer holds experts."""
        step = self.decoder_sparse_step if decoder else self.encoder_sparse_step
        return self.num_experts > 0 and step > 0 and (step == 1 or layer_index % step == 1)

    def get_text_config(self, decoder: bool | None = None, encoder: bool | None = None) -> "Rot5Config":
        """The configuration of one side, with as many layers as it has: what transformers sizes caches by."""
        if not decoder or encoder or self.num_decoder_layers == self.num_layers:
            return self
        side = copy.copy(self)
        side.num_layers = self.num_decoder_layers or self.num_layers
        return side

    def validate_architecture(self):
        """Refuse impossible shapes (called by transformers when a configuration is made)."""
        for name in AT_LEAST_ONE:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} ({getattr(self, name)}) must be at least 1")
        for name in NOT_NEGATIVE:
            if getattr(self, name) < 0:
                raise ValueError(f"{name} ({getattr(self, name)}) must not be negative")
        for name in ("dropout_rate", "router_jitter_noise"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} ({getattr(self, name)}) must be at least 0 and below 1")
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise ValueError(f"{name} {getattr(self, name)!r} is not one of {', '.join(known)}")
        if self.num_heads % (self.num_key_value_heads or self.num_heads):
            raise ValueError(
                f"num_heads ({self.num_heads}) must be a multiple of num_key_value_heads ({self.num_key_value_heads})"
            )
        if self.feed_forward_proj.removeprefix("gated-") not in ACTIVATIONS:
            raise ValueError(
                f"feed_forward_proj {self.feed_forward_proj!r} is not one of {', '.join(ACTIVATIONS)}, "
                "with or without 'gated-' before it"
            )
        if self.attention_backend in ("flex_attention", "varlen") and self.dropout_rate:
            raise ValueError(
                f"attention_backend {self.attention_backend!r} cannot drop attention weights: "
                f"set dropout_rate ({self.dropout_rate}) to 0, or use sdpa"
            )
        self._validate_positions()
        self._validate_experts()

    def _validate_positions(self):
        if self.position_encoding == "relative_bias":
            if self.cross_position_encoding != "none":
                raise ValueError(
                    f"cross_position_encoding {self.cross_position_encoding!r} needs position_encoding 'rope': "
                    "a relative bias has none in cross-attention"
                )
            if self.attention_backend == "varlen":
                raise ValueError("attention_backend 'varlen' has no place for a relative bias: use sdpa or auto")
            buckets, distance = self.relative_attention_num_buckets, self.relative_attention_max_distance
            if buckets < 4 or buckets % 2:
                raise ValueError(f"relative_attention_num_buckets ({buckets}) must be even and at least 4")
            if distance <= buckets // 2:
                raise ValueError(
                    f"relative_attention_max_distance ({distance}) must be above half of "
                    f"relative_attention_num_buckets ({buckets})"
                )
            return
        if self.d_kv % 2:
            raise ValueError(f"d_kv ({self.d_kv}) must be even: rotary positions turn pairs of features")
        rope = self.rope_parameters or {}
        if rope.get("rope_type") not in ROPE_TYPES:
            raise ValueError(f"rope_type {rope.get('rope_type')!r} is not one of {', '.join(ROPE_TYPES)}")
        for name in ("rope_theta", "factor"):
            if name in rope and not isinstance(rope[name], int | float):
                raise ValueError(f"{name} ({rope[name]!r}) of rope_parameters must be a number")
        if rope["rope_theta"] <= 0:
            raise ValueError(f"rope_theta ({rope['rope_theta']}) must be above 0")
        if rope["rope_type"] != "default" and rope.get("factor", 0) < 1:
            raise ValueError(f"rope_type {rope['rope_type']!r} needs a factor of at least 1, not {rope.get('factor')}")
        if rope["rope_type"] == "dynamic" and self.d_kv < 4:
            raise ValueError(f"d_kv ({self.d_kv}) must be at least 4 for rope_type 'dynamic'")

    def _validate_experts(self):
        if not self.num_experts:
            return
        if self.num_experts == 1:
            raise ValueError("num_experts (1) leaves the router nothing to choose: use at least 2, or 0 for dense")
        if not 1 <= self.num_experts_per_tok <= self.num_experts:
            raise ValueError(
                f"num_experts_per_tok ({self.num_experts_per_tok}) must be between 1 and "
                f"num_experts ({self.num_experts})"
            )
        for name in ("d_model", "d_ff"):
            if getattr(self, name) % 8:
                raise ValueError(
                    f"{name} ({getattr(self, name)}) must be a multiple of 8 with experts: "
                    "grouped matrix products read whole 16 bytes"
                )
        if self.expert_capacity_factor is not None and self.expert_capacity_factor <= 0:
            raise ValueError(f"expert_capacity_factor ({self.expert_capacity_factor}) must be above 0, or None")
        if self.router_scaling_factor <= 0:
            raise ValueError(f"router_scaling_factor ({self.router_scaling_factor}) must be above 0")
