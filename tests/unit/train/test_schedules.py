"""Learning rates: the shapes at their corners."""

import pytest

from rot5.train.schedules import SCHEDULES, rate
from rot5.train.settings import SCHEDULE_NAMES, ScheduleConfig


def rates(steps: int, **settings) -> list[float]:
    return [rate(step, steps, ScheduleConfig(**settings)) for step in range(steps)]


@pytest.mark.parametrize("name", SCHEDULE_NAMES)
def test_warm_up_reaches_the_peak_and_nothing_exceeds_it(name):
    found = rates(100, name=name, warmup_fraction=0.1)
    assert found[:10] == pytest.approx([(i + 1) / 10 for i in range(10)])
    assert max(found) == 1.0
    assert min(found) >= 0


def test_the_shapes():
    assert rates(10, name="constant", warmup_fraction=0) == [1.0] * 10
    assert rates(101, name="linear", warmup_fraction=0)[50] == pytest.approx(0.5)
    assert rates(101, name="cosine", warmup_fraction=0)[25] == pytest.approx(0.5 + 0.5 * 0.5**0.5)
    wsd = rates(100, name="wsd", warmup_fraction=0, decay_fraction=0.2)
    assert wsd[79] == 1.0 and wsd[89] == pytest.approx(0.5, abs=0.01) and wsd[99] == 0


@pytest.mark.parametrize("name", ["linear", "cosine", "wsd"])
def test_the_last_step_has_the_final_rate(name):
    assert rates(50, name=name, final_fraction=0.1)[-1] == pytest.approx(0.1)


def test_names_are_the_same_everywhere():
    assert set(SCHEDULES) == set(SCHEDULE_NAMES)
