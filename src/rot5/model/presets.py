"""Named shapes. A preset fixes everything but the vocabulary, which comes from the tokenizer."""

from rot5.errors import UserError, nearest

PRESETS: dict[str, dict] = {
    # The Chinchilla-sized model of the original experiment.
    "mini": {
        "d_model": 512,
        "d_kv": 32,
        "d_ff": 512,
        "num_layers": 10,
        "num_heads": 16,
        "num_key_value_heads": 4,
        "feed_forward_proj": "gelu",
    },
    # Small enough to learn to summarize in minutes on two cores.
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
    # For tests: everything there, nothing learned.
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
    # Below 10 M parameters with a vocabulary pruned to real TinyStories (about 9,300 pieces).
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


def preset(name: str) -> dict:
    """The fields of `Rot5Config` that a preset sets. Raises UserError with the nearest name for an unknown one."""
    if name not in PRESETS:
        raise UserError(f"unknown preset {name!r}: {nearest(name, PRESETS)}")
    return dict(PRESETS[name])
