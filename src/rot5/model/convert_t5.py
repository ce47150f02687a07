"""T5's configuration and weights by our names, and back. T5 is one choice of our settings, so nothing is lost."""

import torch
from huggingface_hub.errors import StrictDataclassError
from transformers import MT5Config, T5Config

from rot5.model.configuration_rot5 import Rot5Config

SHARED_FIELDS = (
    "vocab_size", "d_model", "d_kv", "d_ff", "num_layers", "num_decoder_layers", "num_heads", "dropout_rate",
    "relative_attention_num_buckets", "relative_attention_max_distance", "layer_norm_epsilon", "initializer_factor",
    "use_cache", "pad_token_id", "eos_token_id", "decoder_start_token_id",
)  # fmt: skip
"""Settings that T5 and we both have, under one name and with one meaning."""

FEED_FORWARD_NAMES = {"up_proj": "wi", "down_proj": "wo"}
GATED_FEED_FORWARD_NAMES = {"gate_proj": "wi_0", "up_proj": "wi_1", "down_proj": "wo"}


def config_from_t5(theirs: T5Config | MT5Config, tied: bool) -> Rot5Config:
    """Our settings for those of T5 or mT5. `tied` says whether the head is the embedding.

    Raises ValueError for other activations.
    """
    own = {name: getattr(theirs, name) for name in SHARED_FIELDS}
    try:
        config = Rot5Config(
            **own,
            feed_forward_proj=theirs.feed_forward_proj,
            position_encoding="relative_bias",
            parametrization="t5",
            tie_word_embeddings=tied,
            scale_decoder_outputs=getattr(theirs, "scale_decoder_outputs", False),  # mT5 never does
        )
    except StrictDataclassError as error:
        raise ValueError(f"not a T5 that we know: {error.__cause__ or error}") from error
    config.task_specific_params = getattr(theirs, "task_specific_params", None)
    return config


def config_to_t5(ours: Rot5Config) -> T5Config:
    """T5's settings for ours. Raises ValueError, naming every reason, if the model is no T5."""
    reasons = [
        f"{name} {getattr(ours, name)!r}"
        for name, needed in (
            ("position_encoding", "relative_bias"),
            ("parametrization", "t5"),
            ("num_key_value_heads", ours.num_heads),
            ("qk_norm", False),
            ("num_experts", 0),
        )
        if getattr(ours, name) != needed
    ]
    if reasons:
        raise ValueError(f"not a T5: {', '.join(reasons)}")
    theirs = T5Config(**{name: getattr(ours, name) for name in SHARED_FIELDS}, feed_forward_proj=ours.feed_forward_proj)
    theirs.scale_decoder_outputs = bool(ours.scale_decoder_outputs)
    theirs.task_specific_params = getattr(ours, "task_specific_params", None)
    return theirs


def names(config: Rot5Config) -> dict[str, str]:
    """T5's name of each of our weights."""
    found = {"shared.weight": "shared.weight", "lm_head.weight": "lm_head.weight"}
    inner = GATED_FEED_FORWARD_NAMES if config.is_gated else FEED_FORWARD_NAMES
    for stack, count, attentions in (
        ("encoder", config.num_layers, {"self_attn": "SelfAttention"}),
        ("decoder", config.num_decoder_layers or 0, {"self_attn": "SelfAttention", "cross_attn": "EncDecAttention"}),
    ):
        found[f"{stack}.embed_tokens.weight"] = f"{stack}.embed_tokens.weight"
        found[f"{stack}.norm.weight"] = f"{stack}.final_layer_norm.weight"
        first = f"{stack}.block.0.layer.0.SelfAttention"
        found[f"{stack}.relative_bias.weight"] = f"{first}.relative_attention_bias.weight"
        for i in range(count):
            ours, theirs = f"{stack}.layers.{i}", f"{stack}.block.{i}.layer"
            for place, (name, kind) in enumerate(attentions.items()):
                found[f"{ours}.{name}_norm.weight"] = f"{theirs}.{place}.layer_norm.weight"
                for letter in "qkvo":
                    found[f"{ours}.{name}.{letter}_proj.weight"] = f"{theirs}.{place}.{kind}.{letter}.weight"
            found[f"{ours}.mlp_norm.weight"] = f"{theirs}.{len(attentions)}.layer_norm.weight"
            for name, kind in inner.items():
                found[f"{ours}.mlp.{name}.weight"] = f"{theirs}.{len(attentions)}.DenseReluDense.{kind}.weight"
    return found


def weights_from_t5(theirs: dict[str, torch.Tensor], config: Rot5Config) -> dict[str, torch.Tensor]:
    """T5's weights by our names."""
    return {ours: theirs[name] for ours, name in names(config).items()}


def weights_to_t5(ours: dict[str, torch.Tensor], config: Rot5Config) -> dict[str, torch.Tensor]:
    """Our weights by T5's names."""
    return {name: ours[own] for own, name in names(config).items()}
