"""Learning rates over a run, as pure functions of the step."""

import math

from rot5.train.settings import ScheduleConfig


def linear(progress: float, config: ScheduleConfig) -> float:
    """Straight down over the whole run."""
    return 1.0 - progress


def cosine(progress: float, config: ScheduleConfig) -> float:
    """Half a cosine down over the whole run (arXiv:1608.03983)."""
    return 0.5 * (1.0 + math.cos(math.pi * progress))


def constant(progress: float, config: ScheduleConfig) -> float:
    """No decay."""
    return 1.0


def wsd(progress: float, config: ScheduleConfig) -> float:
    """Flat, then straight down over the last `decay_fraction` (arXiv:2404.06395)."""
    if config.decay_fraction == 0:
        return 1.0
    return min(1.0, (1.0 - progress) / config.decay_fraction)


SCHEDULES = {"linear": linear, "cosine": cosine, "constant": constant, "wsd": wsd}


def rate(step: int, steps: int, config: ScheduleConfig) -> float:
    """Share of the peak learning rate that update `step` (from 0) of `steps` uses.

    Rises linearly over the warm-up, so that the last warm-up step has the peak; then follows the named shape from 1
    down to `final_fraction`, which the last step uses.

    >>> [rate(step, 5, ScheduleConfig(name="linear", warmup_fraction=0.2)) for step in range(5)]
    [1.0, 0.75, 0.5, 0.25, 0.0]
    """
    warmup = max(1, round(config.warmup_fraction * steps))
    if step < warmup:
        return (step + 1) / warmup
    progress = (step + 1 - warmup) / (steps - warmup)
    shape = SCHEDULES[config.name](progress, config)
    return config.final_fraction + (1.0 - config.final_fraction) * shape
