"""Steps that cannot be trusted move nothing, are counted, and end a run when they are too many."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from rot5.build.pretraining import pretraining
from rot5.config import PretrainConfig
from rot5.data.packing import PackConfig
from rot5.errors import UserError
from rot5.model.settings import ModelConfig
from rot5.train.health import BATCH, SPIKE, STEPS_BEFORE_SPIKES, Health
from rot5.train.losses import Loss
from rot5.train.settings import ScheduleConfig, TrainConfig


@pytest.fixture
def settings(corpora, tmp_path) -> PretrainConfig:
    return PretrainConfig(
        corpus=str(corpora / "stories"),
        validation=str(corpora / "validation"),
        out=str(tmp_path / "run"),
        model=ModelConfig(preset="smoke"),
        pack=PackConfig(encoder_length=256, decoder_length=160),
        train=TrainConfig(
            steps=4,
            batch_rows=2,
            micro_batch_rows=1,
            evaluate_every=0,
            evaluation_examples=4,
            log_every=1,
            schedule=ScheduleConfig(name="constant"),
        ),
    )


def poisoned(job, steps: set[int], value: float) -> None:
    """Multiply the objective of some steps by what is no finite number, in one micro-batch of two."""
    loss, calls = job.trainer.loss, 0

    def poisoning(fields, num_targets):
        nonlocal calls
        calls += 1
        found = loss(fields, num_targets)
        if calls % 2 and (calls + 1) // 2 in steps:
            return Loss(found.objective * value, found.reported)
        return found

    job.trainer.loss = poisoning


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_step_without_finite_gradients_moves_nothing_and_is_told(settings, value):
    job = pretraining(settings, resume=False, overwrite=False)
    poisoned(job, {2}, value)
    weights, update = [], job.trainer.update

    def watched(*arguments):
        found = update(*arguments)
        weights.append([parameter.detach().clone() for parameter in job.model.parameters()])
        return found

    job.trainer.update = watched
    job.trainer.train()
    moved = [not all(map(torch.equal, before, after)) for before, after in itertools.pairwise(weights)]
    assert moved == [False, True, True]
    records = job.run.metrics()
    (skip,) = (record for record in records if "skip/first_row" in record)
    assert (skip["step"], skip["skip/first_row"], skip["skip/rows"]) == (2, 2, 2)
    counts = [record["health/skipped_steps"] for record in records if "train/loss" in record]
    assert counts == [0, 1, 1, 1]
    losses = [record["train/loss"] for record in records if "train/loss" in record]
    assert math.isnan(losses[1]) and all(map(math.isfinite, [losses[0], *losses[2:]]))


def test_a_skipped_step_counts_across_a_stop(settings):
    job = pretraining(settings, resume=False, overwrite=False)
    poisoned(job, {1, 2}, math.nan)
    job.trainer.train()
    again = pretraining(settings, resume=True, overwrite=False)
    again.trainer.resume()
    assert again.trainer.health.skipped == 2


def test_too_many_skipped_steps_end_the_run_and_leave_the_batch(settings):
    few = replace(settings, train=replace(settings.train, max_skipped_steps=1))
    job = pretraining(few, resume=False, overwrite=False)
    poisoned(job, {1, 3}, math.nan)
    with pytest.raises(UserError, match=r"2 steps had .* step 3, whose batch is in .*skipped-batch.npz"):
        job.trainer.train()
    expected = job.trainer.rows.rows(4, 2).fields
    with np.load(job.run.path / BATCH) as kept:
        assert all((kept[name] == expected[name]).all() for name in expected)
    more = replace(few, train=replace(few.train, max_skipped_steps=9))
    pretraining(more, resume=True, overwrite=False)  # the limit may be raised when the run is taken up


def losses(steps: int) -> list[float]:
    draw = np.random.default_rng(0)
    return [4 * 0.99**step + 0.05 * draw.standard_normal() for step in range(steps)]


def test_a_leap_of_the_loss_is_told_and_noise_is_not():
    health = Health(0)
    assert not any(health.is_spike(loss) for loss in losses(300))
    distance, mean = health.state["distance"], health.state["mean"]
    assert health.is_spike(mean + 1.01 * SPIKE * distance) and health.metrics()["health/spikes"] == 1
    assert not health.is_spike(mean)
    assert health.state["distance"] < 1.5 * distance, "one leap does not blunt the eye for the next"


def test_nothing_is_told_before_there_is_something_to_compare_with():
    health = Health(0)
    assert not any(health.is_spike(loss) for loss in [4.0] * (STEPS_BEFORE_SPIKES - 1) + [4.0])
    fresh = Health(0)
    assert not fresh.is_spike(9.0) and not fresh.is_spike(1.0) and not fresh.is_spike(9.0)
