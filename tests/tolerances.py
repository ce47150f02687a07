"""How close is equal, in one place."""

PARITY = 1e-5
"""Float32 against an oracle or another way to compute the same."""

OTHER_CUT = 1e-5
"""Relative, for a batch cut in another way."""

BF16 = 2e-2
"""Relative, in bfloat16."""
