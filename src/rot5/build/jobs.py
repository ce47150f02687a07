"""Runs that are ready to train, and their completion: what pretraining and tuning have in common."""

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerFast
from transformers.utils import logging

from rot5 import ranks, runtime
from rot5.build.scoring import likelihood_settings, objective_of, score
from rot5.config import FinetuneConfig, PretrainConfig
from rot5.data.batches import Examples, PackedRows
from rot5.data.corpus import Verification
from rot5.data.packing import PackConfig
from rot5.data.tokenizer import SpecialIds
from rot5.errors import UserError
from rot5.evaluate.likelihood import Likelihood, as_metrics, as_table
from rot5.folders import complete_or_absent
from rot5.model.configuration_rot5 import Rot5Config
from rot5.model.modeling_rot5 import Rot5ForConditionalGeneration
from rot5.recipes import command_line, defaults
from rot5.sizing.batch import batch_flops
from rot5.train.losses import language_model_loss
from rot5.train.optimizers import build_optimizer
from rot5.train.parallel import gathered_weights, reshard, spread, unsynced
from rot5.train.run_folder import RunFolder, begin_run
from rot5.train.settings import TrainConfig
from rot5.train.trainer import Trainer


@dataclass(frozen=True)
class Job:
    """A run that is ready to train."""

    run: RunFolder
    trainer: Trainer
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    validation: Callable[[int | None], PackedRows]
    """Rows of the first so many validation documents or pairs; of all of them for None."""
    verification: Verification
    """Of the data, which is being read through."""

    def likelihood(self, limit: int | None = None) -> Likelihood:
        """Scores of the validation set."""
        return score(self.model, self.validation(limit), self.tokenizer, self.trainer.config.precision)


def refuse(found: list[str]) -> None:
    """Raise UserError for all problems together, if there are any."""
    if found:
        raise UserError("; ".join(found))


def rank_problems(config: TrainConfig) -> list[str]:
    """What does not go with the number of processes."""
    if config.batch_rows % ranks.world_size():
        return [f"train.batch_rows {config.batch_rows} must be a multiple of the {ranks.world_size()} ranks"]
    return []


def steps_of(config: TrainConfig, examples: Examples, pack: PackConfig, specials: SpecialIds) -> int:
    """Updates of a run: as set, or as many as `epochs` passes take at the fill of the first window."""
    if config.steps:
        return config.steps
    sample = min(len(examples), pack.window)
    rows_per_example = PackedRows(examples, pack, specials, limit=sample).num_rows / sample
    return max(1, math.ceil(config.epochs * len(examples) * rows_per_example / config.batch_rows))


def resolved_settings(config: PretrainConfig | FinetuneConfig, model: PreTrainedModel, steps: int, **derived) -> dict:
    """Settings, the model's shape and the derived values, as they are written to the run folder."""
    settings = asdict(config)
    del settings["out"]
    shape = {key: value for key, value in model.config.to_diff_dict().items() if key != "transformers_version"}
    embedding = model.get_parameter("shared.weight").numel()
    derived |= {
        "steps": steps,
        "parameters": model.num_parameters(),
        "parameters_without_embedding": model.num_parameters() - embedding,
        "shape": shape,
    }
    return json.loads(json.dumps(settings | {"derived": derived}))


def new_job(
    title: str,
    config: PretrainConfig | FinetuneConfig,
    *,
    resolved: dict,
    tokenizer: PreTrainedTokenizerFast,
    model: Rot5ForConditionalGeneration,
    rows: PackedRows,
    steps: int,
    validation: Callable[[int | None], PackedRows],
    verification: Verification,
    resume: bool,
    overwrite: bool,
) -> Job:
    """A run, its folder begun or found; the data are being read through from now on."""
    runtime.keep_freed_memory()
    environment = runtime.environment() | {"ranks": ranks.world_size(), "command": command_line(title, config)}
    shape = Rot5Config().to_dict()
    known = {key: value for key, value in defaults(type(config)).items() if key in resolved}
    known["derived"] = {"shape": {key: shape[key] for key in resolved["derived"]["shape"] if key in shape}}

    def begin() -> RunFolder:
        begun = begin_run(Path(config.out), resolved, known, environment, resume=resume, overwrite=overwrite)
        tokenizer.save_pretrained(begun.path / "tokenizer")
        return begun

    run = ranks.on_main(begin)
    sample = validation(config.train.evaluation_examples)

    def evaluate() -> dict[str, float]:
        found = as_metrics(score(model, sample, tokenizer, config.train.precision), rows.examples.kind_names)
        reshard(model)
        return found

    if config.train.checkpointing:
        model.gradient_checkpointing_enable()
    spreaded = spread(model, config.train.parallel)
    trainer = Trainer(
        title=title,
        model=model,
        optimizer=build_optimizer(model, config.train.optimizer),
        loss=language_model_loss(spreaded, model.device, config.train.precision),
        unsynced=partial(unsynced, spreaded),
        rows=rows,
        steps=steps,
        config=config.train,
        run=run,
        evaluate=evaluate,
        observe=lambda: {f"router/{key}": value for key, value in model.routing_metrics().items()},
        after_update=lambda moved: model.end_step(ranks.add_up, balance=moved),
        flops=lambda batch: batch_flops(model.config, batch),
        check=verification.check,
        seed=config.seed,
    )
    if ranks.is_main():
        verification.start()
    return Job(run, trainer, model, tokenizer, validation, verification)


def complete(job: Job, *, resume: bool) -> None:
    """Train to the end, export model and tokenizer as transformers loads them, and score the whole validation set."""
    if resume:
        job.trainer.resume()
    job.trainer.train()
    ranks.on_main(job.verification.wait)
    job.model.eval()
    logging.disable_progress_bar()
    weights = gathered_weights(job.model)
    if ranks.is_main():
        with complete_or_absent(job.run.export) as export:
            job.model.save_pretrained(export, state_dict=weights)
            job.tokenizer.save_pretrained(export)
    scores = job.likelihood()
    if ranks.is_main():
        settings = job.run.config()
        table = as_table(scores, job.trainer.rows.examples.kind_names)
        told = likelihood_settings(settings["validation"], objective_of(settings))
        job.run.add_evaluation("likelihood", table | {"settings": told})
