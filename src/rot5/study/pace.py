"""How long a step of each variant takes, measured beside the baseline's, so that the machine's noise is shared."""

import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from rot5.build.pretraining import pretraining
from rot5.config import PretrainConfig
from rot5.data.batches import Batch
from rot5.errors import UserError
from rot5.train.losses import host_tensors
from rot5.train.trainer import Trainer

WARM_UP = 2
ROUNDS = 8
LR = 1e-6


def paces(
    configs: Mapping[str, PretrainConfig], baseline: str, tell: Callable[[str], None]
) -> dict[str, dict[str, float]]:
    """For each family `seconds` per step and `ratio` to the baseline's step, both medians over rounds.

    In every round each of the two makes one step on a batch of its own data, one after the other; a variant's seconds
    are its ratio times the baseline's median over all rounds.
    """
    ratios: dict[str, float] = {}
    seconds: list[float] = []
    for name, config in configs.items():
        if name != baseline:
            try:
                of_variant, of_baseline = _side_by_side(config, configs[baseline])
            except UserError as error:
                raise UserError(f"variant {name}: {error}") from error
            ratios[name] = statistics.median(a / b for a, b in zip(of_variant, of_baseline, strict=True))
            seconds += of_baseline
            tell(f"a step of {name} takes {ratios[name]:.2f} times that of {baseline}")
    if not seconds:
        seconds, _ = _side_by_side(configs[baseline], configs[baseline])
    median = statistics.median(seconds)
    return {name: {"seconds": median * ratios.get(name, 1.0), "ratio": ratios.get(name, 1.0)} for name in configs}


def _side_by_side(a: PretrainConfig, b: PretrainConfig) -> tuple[list[float], list[float]]:
    with tempfile.TemporaryDirectory(prefix="rot5-pace-") as folder:
        trainers = [_trainer(config, Path(folder) / name) for name, config in (("a", a), ("b", b))]
        taken: list[list[float]] = [[], []]
        for step in range(ROUNDS + WARM_UP):
            for trainer, of_one in zip(trainers, taken, strict=True):
                batch_rows = trainer.config.batch_rows
                of_one.append(_timed(trainer, trainer.rows.rows(step * batch_rows, batch_rows)))
    return taken[0][WARM_UP:], taken[1][WARM_UP:]


def _trainer(config: PretrainConfig, out: Path) -> Trainer:
    steps = replace(config.train, steps=config.train.steps or ROUNDS)
    job = pretraining(replace(config, out=str(out), train=steps), resume=False, overwrite=False)
    job.model.train()
    return job.trainer


def _timed(trainer: Trainer, batch: Batch) -> float:
    began = time.perf_counter()
    _, norm = trainer.update(host_tensors(batch.fields, trainer.device), batch.num_targets, LR)
    float(norm)  # waits for the device
    trainer.after_update(True)
    return time.perf_counter() - began
