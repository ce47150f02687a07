"""The shape of a new model as settings: a preset and what differs from it."""

from dataclasses import asdict, dataclass

from rot5.model.presets import preset


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """A preset's shape; every field that is set replaces the preset's value."""

    preset: str = "mini"
    """Name of the shape to start from."""
    d_model: int | None = None
    """Width of the residual stream."""
    d_kv: int | None = None
    """Width of one attention head."""
    d_ff: int | None = None
    """Width inside the feed-forward network."""
    num_layers: int | None = None
    """Encoder layers."""
    num_decoder_layers: int | None = None
    """Decoder layers."""
    num_heads: int | None = None
    """Query heads."""
    num_key_value_heads: int | None = None
    """Key and value heads; must divide the query heads."""
    qk_norm: bool | None = None
    """Normalise queries and keys per head."""
    feed_forward_proj: str | None = None
    """relu, gelu, gelu_new, silu, or one of them behind `gated-`."""
    parametrization: str | None = None
    """rot5, or t5: unscaled attention and T5's initialisation."""
    position_encoding: str | None = None
    """rope, or relative_bias as in T5."""
    cross_position_encoding: str | None = None
    """none, aligned or continuous."""
    rope_parameters: dict | None = None
    """`rope_type` (default, linear, dynamic), `rope_theta` and `factor`, as transformers names them."""
    max_position_embeddings: int | None = None
    """Trained length, from which dynamic scaling starts."""
    tie_word_embeddings: bool | None = None
    """Whether the head is the embedding."""
    attention_backend: str | None = None
    """auto, sdpa, per_document, flex_attention, varlen or eager."""
    num_experts: int | None = None
    """Experts per sparse layer; 0 for a dense model."""
    num_experts_per_tok: int | None = None
    """Experts that each token goes to."""
    num_shared_experts: int | None = None
    """Experts that every token goes to besides."""
    encoder_sparse_step: int | None = None
    """Every so many encoder layers hold experts; 1 for all, 0 for none."""
    decoder_sparse_step: int | None = None
    """The same in the decoder."""
    expert_capacity_factor: float | None = None
    """Places of an expert, as a multiple of an even share; tokens beyond are dropped. Unset drops none."""
    router_aux_loss_coef: float | None = None
    """Weight of the balance loss."""
    router_z_loss_coef: float | None = None
    """Weight of the router's z-loss."""
    router_bias_update_rate: float | None = None
    """Step of the biases that balance experts without a loss; 0 for none."""
    router_jitter_noise: float | None = None
    """Largest relative noise on what routers read while training."""
    dropout_rate: float | None = None
    """Dropout while training."""


def changes(config: ModelConfig) -> dict:
    """The fields of `Rot5Config` that are set besides the preset."""
    return {key: value for key, value in asdict(config).items() if value is not None and key != "preset"}


def resolve(config: ModelConfig) -> dict:
    """The fields of `Rot5Config` that the settings stand for. Raises UserError for an unknown preset."""
    return preset(config.preset) | changes(config)
