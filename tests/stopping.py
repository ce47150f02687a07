"""A run that is stopped on the way, as Ctrl-C does it."""

import pytest


def train_until(job, last: int) -> None:
    """Train, and interrupt right behind update `last`."""
    step = job.trainer._step

    def interrupted(*arguments):
        step(*arguments)
        if job.trainer.state.step == last:
            raise KeyboardInterrupt

    job.trainer._step = interrupted
    with pytest.raises(KeyboardInterrupt):
        job.trainer.train()
