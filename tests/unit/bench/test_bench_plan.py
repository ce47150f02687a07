"""`rot5 bench plan`: a small shape measured in its own process, beside its estimates."""

import dataclasses

import numpy as np
import pytest

from rot5.bench import plan
from rot5.bench.ceilings import Ceilings
from rot5.config import BenchConfig
from rot5.sizing.time import HARDWARE, Rates


@pytest.mark.slow
def test_memory_and_time_stand_beside_their_estimates(monkeypatch):
    rates = Rates(5e-12, 3e-11, 1e-9, 4e-10, 5e-9, 2.5e-9, 5e-3)
    here = dataclasses.replace(HARDWARE["H200"], cuda=False, measured=rates)
    monkeypatch.setattr(plan, "calibrate", lambda: here)
    monkeypatch.setattr(plan, "PASSES", 1)
    monkeypatch.setattr("rot5.bench.steps.STORIES", 60)
    found = plan.measure(BenchConfig(what="plan", preset="smoke", rounds=1, batch_rows=2), Ceilings(1e12, 1e12, 1e10))
    (row,) = found.tables[0].rows
    assert row["memory_mb_estimated"] == pytest.approx(row["memory_mb"], rel=0.25)
    assert row["memory_error"] == pytest.approx(row["memory_mb_estimated"] / row["memory_mb"] - 1)
    assert row["step_errors"] == [pytest.approx(row["step_ms_estimated"] / row["step_ms"] - 1)]
    assert np.isfinite(row["step_error"])
