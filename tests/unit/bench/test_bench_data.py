"""`rot5 bench data`: every stage, the wait and the start of corpora of any size."""

import pytest

from rot5.bench import data
from rot5.bench.ceilings import Ceilings
from rot5.config import BenchConfig


@pytest.fixture
def small(corpora, monkeypatch) -> BenchConfig:
    monkeypatch.setattr(data, "DOCUMENTS", 100)
    monkeypatch.setattr(data, "CORPUS_SIZES", (300, 200_000))
    return BenchConfig(what="data", preset="smoke", corpus=str(corpora / "stories"), rounds=2, batch_rows=4)


def test_stages_the_wait_and_the_start(small):
    found = data.measure(small, Ceilings(1e12, 1e12, 1e10))
    stages, (wait,), starts = (table.rows for table in found.tables)
    speed = {row["stage"]: row["tokens_per_second"] for row in stages}
    assert list(speed) == [
        "tokenizer alone", "prepare", "plan", "materialise", "denoise", "pack", "whole batches"
    ]  # fmt: skip
    assert all(0 < row["slowest"] <= row["tokens_per_second"] <= row["fastest"] for row in stages)
    assert speed["whole batches"] < speed["pack"] < speed["plan"], "a stage is part of the other"
    assert 0 < wait["wait_share"] < 1 and wait["wait_ms"] < wait["step_ms"]
    assert [row["documents"] for row in starts] == [300, 200_000]
    lengths_and_ends = 2 * 8 * 200_000 / 1e6
    assert starts[1]["memory_mb"] - starts[0]["memory_mb"] == pytest.approx(lengths_and_ends, rel=0.5)
    assert found.facts["encoder_fill"] > 0.8 and len(found.facts["prepare_to_tokenizer_rounds"]) == 2
