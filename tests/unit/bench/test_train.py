"""`rot5 bench train`: ours beside transformers' T5 in small, whatever the speeds are."""

import numpy as np
import pytest
import torch

from rot5.bench import expert, train
from rot5.bench.ceilings import Ceilings
from rot5.bench.peers import PaddedBatch, padded_flops
from rot5.bench.steps import Turn, packed_flops, take_turns, together
from rot5.config import BenchConfig
from rot5.data.batches import Batch
from rot5.model.configuration_rot5 import Rot5Config
from rot5.model.presets import PRESETS

SHAPE = Rot5Config(vocab_size=512, **PRESETS["smoke"].shape)


@pytest.mark.slow
def test_ours_and_theirs_stand_in_one_table(monkeypatch):
    monkeypatch.setattr("rot5.runtime.has_compiler", lambda: False)
    monkeypatch.setattr("rot5.bench.steps.STORIES", 60)
    monkeypatch.setattr(expert, "SIZES", (2, 4))
    monkeypatch.setattr(expert, "STRETCH", 4)
    found = train.measure(BenchConfig(preset="smoke", rounds=2, batch_rows=1), Ceilings(1e12, 1e12, 1e10))
    rows = {row["variant"]: row for row in found.tables[0].rows}
    assert list(rows) == [
        train.OURS,
        f"{train.PEOPLE}, eager attention",
        f"{train.PEOPLE}, sdpa attention",
        train.EXPERT,
    ]
    for name, row in rows.items():
        turns = found.facts["turns"][name]
        speeds = [turn["story_tokens"] / turn["seconds"] for turn in turns]
        assert row["slowest"] == min(speeds) and row["fastest"] == max(speeds) and len(turns) == 2
        assert 0 < row["of_ceiling"] < 1
    assert rows[train.EXPERT]["to_expert"] == 1
    assert 1 in {rows[name]["to_people"] for name in rows if name.startswith(train.PEOPLE)}
    tried = [(row["attention"], row["batch"]) for row in found.tables[1].rows]
    assert tried[:2] == [("eager", 2), ("sdpa", 2)] and tried[2][1] == 4


def test_the_same_documents_are_the_same_work_packed_or_padded():
    lengths = (np.array([20, 20, 20]), np.array([10, 10, 10]))
    fields = {
        f"{side}_segment_ids": np.concatenate([np.repeat([1, 2, 3], each), np.zeros(7, np.int64)])[None]
        for side, each in zip(("encoder", "decoder"), lengths, strict=True)
    }
    packed = Batch(fields, np.array([[5, 6, 7, -1]]), np.array([[0, 0, 0, -1]]), 90, 0)
    padded = PaddedBatch({"input_ids": torch.zeros(3, 25), "labels": torch.zeros(3, 12)}, *lengths, 90)
    assert packed_flops(SHAPE, packed) == padded_flops(SHAPE, padded) > 0


def test_turns_are_taken_item_by_item():
    calls = []
    take_turns({name: lambda item, name=name: calls.append((name, item)) for name in "ab"}, [1, 2])
    assert calls == [("a", 1), ("b", 1), ("a", 2), ("b", 2)]
    assert together([Turn(1.0, 10, 5.0), Turn(3.0, 20, 7.0)]) == Turn(4.0, 30, 12.0)
    assert Turn(4.0, 30, 12.0).speed == 7.5
