"""Runs that are ready to train, and their completion: what pretraining and tuning have in common."""

import json
import math
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerFast
from transformers.utils import logging

from rot5 import ranks, runtime
from rot5.build.scoring import likelihood_settings, objective_of
from rot5.build.subjects import Subject
from rot5.config import FinetuneConfig, PretrainConfig
from rot5.data.batches import Examples, PackedRows, RowIds
from rot5.data.corpus import Verification
from rot5.data.manifest import data_fingerprint
from rot5.data.mixture import corpus_folders
from rot5.data.packing import PackConfig
from rot5.data.tokenizer import SpecialIds
from rot5.errors import UserError
from rot5.evaluation.likelihood import Likelihood, as_metrics, as_table
from rot5.folders import complete_or_absent
from rot5.model.configuration_rot5 import Rot5Config
from rot5.recipes import command_line, defaults
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
    subject: Subject
    verification: Verification
    """Of the data, which is being read through."""

    @property
    def model(self) -> PreTrainedModel:
        return self.subject.model

    @property
    def tokenizer(self) -> PreTrainedTokenizerFast:
        return self.subject.tokenizer

    def likelihood(self) -> Likelihood:
        """Scores of the validation set."""
        return self.subject.scorer(None)()


def refuse(found: list[str]) -> None:
    """Raise UserError for all problems together, if there are any."""
    if found:
        raise UserError("; ".join(found))


def rank_problems(config: TrainConfig) -> list[str]:
    """What does not go with the number of processes."""
    if config.batch_rows % ranks.world_size():
        return [f"train.batch_rows {config.batch_rows} must be a multiple of the {ranks.world_size()} ranks"]
    return []


def steps_of(config: TrainConfig, examples: Examples, pack: PackConfig, specials: SpecialIds | RowIds) -> int:
    """Updates of a run: as set, or as many as `epochs` passes take at the fill of the first window."""
    if config.steps:
        return config.steps
    sample = min(len(examples), pack.window)
    rows_per_example = PackedRows(examples, pack, specials, limit=sample).num_rows / sample
    return max(1, math.ceil(config.epochs * len(examples) * rows_per_example / config.batch_rows))


def resolved_settings(config: PretrainConfig | FinetuneConfig, subject: Subject, **derived) -> dict:
    """Settings, the model's shape and the derived values, as they are written to the run folder."""
    settings, model = asdict(config), subject.model
    del settings["out"]
    shape = {key: value for key, value in model.config.to_diff_dict().items() if key != "transformers_version"}
    embedding = sum(weight.numel() for weight in model.get_input_embeddings().parameters())
    derived |= {
        "data": {str(folder): data_fingerprint(folder) for folder in _data_of(config)},
        "steps": subject.steps,
        "precision": runtime.resolved_precision(config.train.precision, model.device),
        "parameters": model.num_parameters(),
        "parameters_without_embedding": model.num_parameters() - embedding,
        "shape": shape,
    }
    return json.loads(json.dumps(settings | {"derived": derived}))


def _data_of(config: PretrainConfig | FinetuneConfig) -> list[Path]:
    """The folders that a run is trained and judged on."""
    training = corpus_folders(config.corpus) if isinstance(config, PretrainConfig) else [Path(config.pairs)]
    return [*training, Path(config.validation)]


def new_job(
    title: str,
    config: PretrainConfig | FinetuneConfig,
    *,
    resolved: dict,
    subject: Subject,
    verification: Verification,
    resume: bool,
    overwrite: bool,
) -> Job:
    """A run, its folder begun or found; the data are being read through from now on."""
    runtime.keep_freed_memory()
    environment = runtime.environment() | {"ranks": ranks.world_size(), "command": command_line(title, config)}
    model, rows, train = subject.model, subject.rows, config.train
    shape = Rot5Config().to_dict() if isinstance(model.config, Rot5Config) else {}
    known = {key: value for key, value in defaults(type(config)).items() if key in resolved}
    known["derived"] = {
        "precision": resolved["derived"]["precision"],
        "shape": {key: shape[key] for key in resolved["derived"]["shape"] if key in shape},
    }

    def begin() -> RunFolder:
        begun = begin_run(Path(config.out), resolved, known, environment, resume=resume, overwrite=overwrite)
        subject.tokenizer.save_pretrained(begun.path / "tokenizer")
        return begun

    run = ranks.on_main(begin)
    sampled = subject.scorer(train.evaluation_examples)

    def evaluate() -> dict[str, float]:
        found = as_metrics(sampled(), rows.examples.kind_names)
        reshard(model)
        return found

    if train.checkpointing:
        model.gradient_checkpointing_enable()
    spreaded = spread(model, train.parallel)
    trainer = Trainer(
        title=title,
        model=model,
        optimizer=build_optimizer(model, train.optimizer),
        loss=subject.loss(spreaded, model.device, train.precision),
        unsynced=partial(unsynced, spreaded),
        rows=rows,
        steps=subject.steps,
        config=train if subject.fixed_shapes else replace(train, compile="off"),
        run=run,
        evaluate=evaluate,
        observe=subject.observe,
        after_update=subject.after_update,
        flops=subject.flops,
        check=verification.check,
        seed=config.seed,
    )
    if ranks.is_main():
        verification.start()
    return Job(run, trainer, subject, verification)


def complete(job: Job, *, resume: bool) -> None:
    """Train to the end, export model and tokenizer as transformers loads them, and score the whole validation set."""
    if resume:
        job.trainer.resume()
    job.trainer.train()
    ranks.on_main(job.verification.wait)
    job.subject.merge()
    job.model.eval()
    logging.disable_progress_bar()
    weights = gathered_weights(job.model)
    if ranks.is_main():
        with complete_or_absent(job.run.export) as export:
            job.subject.save(export, weights)
            job.tokenizer.save_pretrained(export)
    scores = job.likelihood()
    if ranks.is_main():
        settings = job.run.config()
        table = as_table(scores, job.trainer.rows.examples.kind_names)
        told = likelihood_settings(settings["validation"], objective_of(settings))
        job.run.add_evaluation("likelihood", table | {"settings": told})
