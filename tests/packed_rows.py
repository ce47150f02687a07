"""All rows of a packing at once, as tests of it look at them."""

import numpy as np
from numpy.typing import NDArray

from rot5.data.packing import PackConfig, pack
from rot5.data.ragged import Ragged


def plan_rows(
    input_lengths: NDArray[np.int64],
    target_lengths: NDArray[np.int64],
    encoder_length: int,
    decoder_length: int,
    look_ahead: int = PackConfig.look_ahead,
) -> Ragged:
    """All rows of `pack`: row r holds the examples `plan_rows(...).row(r)`."""
    rows = list(pack(input_lengths, target_lengths, encoder_length, decoder_length, look_ahead))
    offsets = np.cumsum([0, *(len(row) for row in rows)], dtype=np.int64)
    return Ragged(np.array([index for row in rows for index in row], np.int64), offsets)
