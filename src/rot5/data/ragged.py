"""Rows of unequal length held as two flat arrays: the form in which token ids travel through the data room."""

from typing import NamedTuple

import numpy as np


class Ragged(NamedTuple):
    """N rows end to end: row i is `values[offsets[i]:offsets[i + 1]]`.

    >>> rows = Ragged(np.array([7, 8, 9]), np.array([0, 2, 2, 3]))
    >>> rows.lengths.tolist(), rows.row(0).tolist()
    ([2, 0, 1], [7, 8])
    """

    values: np.ndarray
    """int64[total]: all rows, one after the other."""

    offsets: np.ndarray
    """int64[N + 1]: where each row starts; the last entry is `total`."""

    @property
    def lengths(self) -> np.ndarray:
        """int64[N]: how many values each row holds."""
        return np.diff(self.offsets)

    def row(self, index: int) -> np.ndarray:
        """Row `index` as a view of `values`, 0 <= index < N."""
        return self.values[self.offsets[index] : self.offsets[index + 1]]
