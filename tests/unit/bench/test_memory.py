"""`rot5 bench memory`: processes of a small shape, and what each of them is given."""

import io
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from rot5.bench import memory
from rot5.bench.ceilings import Ceilings
from rot5.bench.one_peer import Peer, PeerProcess, main, write_task
from rot5.bench.one_shape import shape_of
from rot5.bench.peers import PaddedBatch
from rot5.config import BenchConfig
from rot5.runtime import peak_memory_bytes


@pytest.mark.slow
def test_peaks_of_ours_and_theirs_on_the_same_documents(monkeypatch):
    monkeypatch.setattr("rot5.bench.steps.STORIES", 60)
    found = memory.measure(BenchConfig(what="memory", preset="smoke", batch_rows=1), Ceilings(1e12, 1e12, 1e10))
    rows = {row["variant"]: row for row in found.tables[0].rows}
    ours = rows.pop(memory.OURS)
    assert ours["to_ours"] == 1 and len(rows) == 5 and len(found.charts[0].lines) == 6
    for name, row in rows.items():
        assert row["to_ours"] == pytest.approx(row["peak_mb"] / ours["peak_mb"]) and row["step_seconds"] > 0
        assert row["documents"] == ours["documents"]
        if name.startswith((memory.OURS, memory.PEOPLE)):
            assert row["story_tokens"] == ours["story_tokens"]


def test_a_size_that_may_not_fit_is_left_out(monkeypatch):
    monkeypatch.setattr(memory, "memory_bytes", lambda: 10_000_000)
    assert memory._fits("T5", 1, [])
    assert memory._fits("T5", 2, [{"variant": "T5", "rows": 1, "peak_mb": 4}])
    assert not memory._fits("T5", 2, [{"variant": "T5", "rows": 1, "peak_mb": 6}])
    assert not memory._fits("T5", 4, [{"variant": "T5", "rows": 1, "peak_mb": 1}])
    assert not memory._fits("T5", 2, [{"variant": "another", "rows": 1, "peak_mb": 1}])


def test_a_peer_does_what_its_file_says(tmp_path, capsys, monkeypatch):
    seen = []
    monkeypatch.setattr("rot5.bench.one_peer.PeerStep.turn", lambda step, batch: seen.append((step, batch)) or Turned())
    fields = {"input_ids": torch.tensor([[600, 3, 0]]), "attention_mask": torch.tensor([[1, 1, 0]])}
    fields["labels"] = torch.tensor([[700, -100]])
    batch = PaddedBatch(fields, np.array([2]), np.array([1]), 3)
    peer = Peer(shape=shape_of("smoke").to_dict(), attention="eager", checkpointing=True)
    write_task(tmp_path / "task.npz", peer, [batch] * 3)
    main(str(tmp_path / "task.npz"), io.StringIO("\n" * 4))
    ready, *seconds, peak = capsys.readouterr().out.split()
    assert ready == "ready" and seconds == ["7.0"] * 4 and int(peak) > 1e6 and len(seen) == 4
    step, given = seen[0]
    assert step.model.is_gradient_checkpointing and step.model.config._attn_implementation == "eager"
    assert given.fields["input_ids"].tolist() == [[88, 3, 0]] and given.fields["labels"].tolist() == [[188, -100]]
    assert (given.input_lengths.tolist(), given.target_lengths.tolist()) == ([2], [1])


class Turned:
    seconds = 7.0


def test_a_process_that_dies_is_told_of(monkeypatch):
    monkeypatch.setattr("rot5.bench.one_peer.sys.executable", shutil.which("false"))
    with pytest.raises(RuntimeError, match="transformers' T5 died"):
        PeerProcess(Peer(shape={}, attention="eager"), [])


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="getrusage alone tells the peak here")
def test_the_peak_is_the_process_s_own(monkeypatch):
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    monkeypatch.setattr("resource.getrusage", lambda who: SimpleNamespace(ru_maxrss=resident))
    assert resident / 2 < peak_memory_bytes() < 1024 * resident
