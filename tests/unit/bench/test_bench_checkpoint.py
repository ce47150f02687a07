"""What safety costs, measured at a size at which it costs nothing."""

from pathlib import Path

import pytest

from rot5.bench import checkpoint
from rot5.bench.ceilings import Ceilings
from rot5.config import BenchConfig
from rot5.data.packing import PackConfig


def test_the_cost_of_a_checkpoint_is_what_steps_beside_it_take_longer(corpora, tmp_path, monkeypatch):
    """By a clock that goes on by 1 second for each step, by 3 more while a checkpoint is written."""
    pack = PackConfig(encoder_length=256, decoder_length=160)
    config = BenchConfig(
        preset="smoke", corpus=str(corpora / "stories"), rounds=2, batch_rows=2, pack=pack, out=str(tmp_path)
    )
    busy = iter([True, True, False] * 3)
    turn = checkpoint.TrainingStep.turn
    beside = []

    def timed(step, batch):
        taken = turn(step, batch)
        return taken._replace(seconds=4.0 if beside else 1.0)

    def writing(writer) -> bool:
        if next(busy):
            beside.append(1)
            return True
        beside.clear()
        return False

    monkeypatch.setattr(checkpoint.TrainingStep, "turn", timed)
    monkeypatch.setattr(checkpoint.CheckpointWriter, "busy", property(writing))
    figures = checkpoint.measure(config, Ceilings(matmul_bf16=1.0, matmul_float32=1.0, bandwidth=1.0))
    rows = figures.tables[0].rows
    assert [row["round"] for row in rows] == ["1", "2", "median"]
    for row in rows:
        assert row["steps"] == 2 and row["step_ms"] == 1000 and row["meanwhile_ms"] == 4000
        assert row["extra_s"] == pytest.approx(6, abs=1) and row["share"] == pytest.approx(10, abs=2)
    (data,) = figures.tables[1].rows
    assert data["bytes"] > 1000 and 0 < data["share"] < 100
    assert list(Path(tmp_path).iterdir()) == []
