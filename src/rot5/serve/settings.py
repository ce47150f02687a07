"""What a server listens on, and the one place that says how much it takes at once."""

import os
from dataclasses import dataclass

from rot5.errors import nearest
from rot5.generate.settings import PRECISIONS

TOKEN_VARIABLE = "ROT5_SERVE_TOKEN"
"""Environment variable of the bearer token: other users of a machine can read what stands on a command line."""

LIMITS = (
    *("slots", "waiting", "max_input_tokens", "max_new_tokens", "max_texts", "max_body_bytes"),
    *("body_seconds", "request_seconds", "grace_seconds"),
)
"""Settings that clients are told."""


@dataclass(frozen=True, kw_only=True)
class ServerConfig:
    """Where a server listens and what it takes; limits hold for each model."""

    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 lets the whole network in."""
    port: int = 8000
    """Port to listen on; 0 for any that is free."""
    token: str = ""
    """Bearer token that requests must carry; default: that of the variable ROT5_SERVE_TOKEN, else none."""
    slots: int = 64
    """Answers that grow together."""
    waiting: int = 256
    """Answers that may wait for a slot; more are refused with 429."""
    max_input_tokens: int = 2048
    """Longest input, in tokens."""
    max_new_tokens: int = 512
    """Longest answer that may be asked for, in tokens."""
    max_texts: int = 64
    """Most answers that one request may ask for."""
    max_body_bytes: int = 1 << 20
    """Largest body of a request."""
    body_seconds: float = 10.0
    """A body that has not arrived by then is refused."""
    request_seconds: float = 120.0
    """An answer that is not whole by then is given up."""
    grace_seconds: float = 60.0
    """What is under way when the server is told to stop may take so long."""
    precision: str = "float32"
    """float32, bf16 or, on a CPU, int8."""
    access_log: bool = False
    """Print a line for each request."""

    def bearer(self) -> str:
        """The token that is asked for; empty for none."""
        return self.token or os.environ.get(TOKEN_VARIABLE, "")


def problems(config: ServerConfig) -> list[str]:
    """What cannot work, one sentence each."""
    counts = ("slots", "max_input_tokens", "max_new_tokens", "max_texts", "max_body_bytes")
    found = [f"{key} {getattr(config, key)} must be at least 1" for key in counts if getattr(config, key) < 1]
    for key in ("body_seconds", "request_seconds"):
        if not 0 < getattr(config, key) < float("inf"):
            found.append(f"{key} {getattr(config, key)} must be above 0")
    if config.waiting < 0:
        found.append(f"waiting {config.waiting} must not be negative")
    if not 0 <= config.grace_seconds < float("inf"):
        found.append(f"grace_seconds {config.grace_seconds} must not be negative")
    if not 0 <= config.port < 2**16:
        found.append(f"port {config.port} must be between 0 and {2**16 - 1}")
    if config.precision not in PRECISIONS:
        found.append(f"unknown precision {config.precision!r}: {nearest(config.precision, PRECISIONS)}")
    if not all(" " < character <= "~" for character in config.bearer()):
        found.append("the token must be made of visible ASCII characters")
    return found
