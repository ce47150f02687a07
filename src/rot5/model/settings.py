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
    feed_forward_proj: str | None = None
    """relu, gelu, silu, or one of them behind `gated-`."""
    cross_position_encoding: str | None = None
    """none or aligned."""
    dropout_rate: float | None = None
    """Dropout while training."""


def resolve(config: ModelConfig) -> dict:
    """The fields of `Rot5Config` that the settings stand for. Raises UserError for an unknown preset."""
    own = {key: value for key, value in asdict(config).items() if value is not None and key != "preset"}
    return preset(config.preset) | own
