"""How answers are drawn."""

from dataclasses import dataclass

from rot5.errors import nearest

PRECISIONS = ("float32", "bf16", "int8")


@dataclass(frozen=True, kw_only=True)
class GenerateConfig:
    """How answers are drawn: by beam search, by sampling, or, as it stands, the likeliest token each time."""

    max_new_tokens: int = 96
    """Longest answer, in tokens."""
    min_new_tokens: int = 0
    """No answer ends before it has so many tokens."""
    num_beams: int = 1
    """1 is greedy decoding."""
    do_sample: bool = False
    """Draw tokens from the model's distribution."""
    temperature: float = 1.0
    """What logits are divided by before a token is drawn."""
    top_k: int = 0
    """Draw among so many of the likeliest tokens; 0 for all."""
    top_p: float = 1.0
    """Draw among the fewest likeliest tokens that hold this share of the probability."""
    seed: int = 0
    """With the number of an input and the place of a token it decides what is drawn."""
    batch_size: int = 64
    """Inputs decoded together."""
    precision: str = "float32"
    """float32, bf16, or, on a CPU, int8: weights in 8 bits per output, what they are multiplied with per token."""


def problems(config: GenerateConfig) -> list[str]:
    """What cannot work, one sentence each."""
    found = [
        f"{key} {getattr(config, key)} must be at least 1"
        for key in ("max_new_tokens", "num_beams", "batch_size")
        if getattr(config, key) < 1
    ]
    if config.precision not in PRECISIONS:
        found.append(f"unknown precision {config.precision!r}: {nearest(config.precision, PRECISIONS)}")
    if not 0 <= config.min_new_tokens <= max(config.max_new_tokens, 0):
        found.append(f"min_new_tokens {config.min_new_tokens} must be between 0 and max_new_tokens")
    if not 0 < config.temperature < float("inf"):
        found.append(f"temperature {config.temperature} must be above 0")
    if config.top_k < 0:
        found.append(f"top_k {config.top_k} must not be negative")
    if not 0 < config.top_p <= 1:
        found.append(f"top_p {config.top_p} must be above 0 and at most 1")
    if config.do_sample and config.num_beams > 1:
        found.append("do_sample and num_beams above 1 exclude each other: choose one")
    return found
