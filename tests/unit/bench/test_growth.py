"""`rot5 bench growth` in small: rows of every length hold the same tokens, models grow."""

import numpy as np
import pytest

from rot5.bench import growth
from rot5.bench.ceilings import Ceilings
from rot5.config import BenchConfig
from rot5.data.packing import PackConfig
from rot5.data.ragged import Ragged


@pytest.mark.slow
def test_curves_over_rows_and_over_sizes(monkeypatch):
    monkeypatch.setattr("rot5.bench.steps.STORIES", 60)
    monkeypatch.setattr(growth, "LENGTHS", (128, 256))
    monkeypatch.setattr(growth, "SIZES", ("260k", "smoke"))
    monkeypatch.setattr(growth, "HALF", "smoke")
    monkeypatch.setattr(growth, "MOST_WORK", 130_000)
    pack = PackConfig(encoder_length=128, decoder_length=96)
    found = growth.measure(BenchConfig(preset="smoke", rounds=1, batch_rows=2, pack=pack), Ceilings(1e12, 1e12, 1e10))
    lengths, sizes = (table.rows for table in found.tables)
    assert [(row["encoder_length"], row["rows"]) for row in lengths] == [(128, 2), (128, 2), (256, 1), (256, 1)]
    assert [row["documents"] for row in lengths] == [growth.STORIES, growth.LONG] * 2
    assert [row["model"] for row in sizes] == ["smoke, half the layers", "smoke", "260k"]
    assert [row["rows"] for row in sizes] == [2, 1, 1]
    assert sorted(row["parameters"] for row in sizes) == [row["parameters"] for row in sizes]
    assert all(0 < row["of_ceiling"] < 1 and row["slowest"] > 0 for row in (*lengths, *sizes))
    assert [len(line.points) for chart in found.charts for line in chart.lines] == [2, 2, 3]


class Corpus:
    """Documents 1 | 2 3 | 4 5 6 | 7."""

    num_documents = 4
    lengths = np.array([1, 2, 3, 1])

    def read(self, documents, starts, stops):
        assert documents.tolist() == [0, 1, 2, 3] and starts.tolist() == [0] * 4 and stops.tolist() == [1, 2, 3, 1]
        return Ragged(np.arange(1, 8), np.array([0, 1, 3, 6, 7]))


def test_documents_end_to_end_are_cut_at_one_length():
    joined = growth.EndToEnd(Corpus(), 3)  # type: ignore[arg-type]
    assert joined.documents.tolist() == [[1, 2, 3], [4, 5, 6]]
    found = joined.read(np.array([1, 0]), np.array([0, 1]), np.array([3, 2]))
    assert found.values.tolist() == [4, 5, 6, 2] and found.offsets.tolist() == [0, 3, 4]
