"""Settings turned into objects: the tokenizer, the model, the rows and the trainer of a run."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from huggingface_hub.errors import StrictDataclassError
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerFast
from transformers.utils import logging

from rot5 import ranks, runtime
from rot5.config import FinetuneConfig, PretrainConfig
from rot5.data import denoise, packing
from rot5.data.batches import Examples, PackedRows
from rot5.data.corpus import Corpus, PairCorpus, Verification
from rot5.data.denoise import DenoiseConfig, Denoised, DenoiserConfig
from rot5.data.manifest import data_fingerprint
from rot5.data.mixture import Mixture, open_corpus
from rot5.data.packing import PackConfig
from rot5.data.pairs import Pairs
from rot5.data.tokenizer import SpecialIds, byte_lengths, padded_vocab_size, special_ids
from rot5.errors import UserError
from rot5.evaluate.likelihood import Likelihood, as_metrics, as_table, measure
from rot5.folders import complete_or_absent
from rot5.generate import settings as generate_settings
from rot5.generate.settings import GenerateConfig
from rot5.load import load
from rot5.model.configuration_rot5 import Rot5Config
from rot5.model.modeling_rot5 import Rot5ForConditionalGeneration
from rot5.model.settings import ModelConfig, resolve
from rot5.recipes import command_line, defaults
from rot5.sizing.batch import batch_flops
from rot5.train import settings as train_settings
from rot5.train.losses import language_model_loss
from rot5.train.optimizers import build_optimizer
from rot5.train.parallel import gathered_weights, reshard, spread, unsynced
from rot5.train.run_folder import RunFolder, begin_run
from rot5.train.settings import TrainConfig
from rot5.train.trainer import Trainer

EVALUATION_SEED = 0
"""Seed of the masks of every evaluation, whatever the run's seed: runs are compared on the same targets."""

OWN, DEFAULT = "its own", "default"
"""Whose objective masked a text: the model's own, or that of a model without any."""

EVALUATION_ROWS = 16
"""Packed rows scored together."""


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


def score(model: PreTrainedModel, rows: PackedRows, tokenizer: PreTrainedTokenizerFast, precision: str) -> Likelihood:
    """Likelihood of fixed rows under a model."""
    spelled = np.zeros(model.config.vocab_size, dtype=np.int64)
    lengths = byte_lengths(tokenizer)
    spelled[: len(lengths)] = lengths
    return measure(model, rows, spelled, precision, EVALUATION_ROWS)


def shape(config: ModelConfig, specials: SpecialIds) -> Rot5Config:
    """The configuration of a new model. Raises UserError for an unknown preset or an impossible shape."""
    try:
        return Rot5Config(
            vocab_size=padded_vocab_size(specials.vocab_size),
            pad_token_id=specials.pad,
            eos_token_id=specials.eos,
            decoder_start_token_id=specials.decoder_start,
            **resolve(config),
        )
    except StrictDataclassError as error:
        raise UserError(f"model: {' '.join(str(error.__cause__ or error).split())}") from error


def _shape_problems(config: ModelConfig, specials: SpecialIds) -> list[str]:
    try:
        shape(config, specials)
    except UserError as error:
        return [str(error)]
    return []


def new_model(config: ModelConfig, tokenizer: PreTrainedTokenizerFast, seed: int) -> Rot5ForConditionalGeneration:
    """A freshly initialised model for a tokenizer. Raises UserError for an impossible shape."""
    specials = special_ids(tokenizer)
    runtime.seed_everything(seed)
    model = Rot5ForConditionalGeneration(shape(config, specials))
    model.generation_config = GenerationConfig(
        pad_token_id=specials.pad, eos_token_id=specials.eos, decoder_start_token_id=specials.decoder_start
    )
    return model.to(runtime.device())  # type: ignore[arg-type]


def denoising_rows(
    corpus: Corpus | Mixture,
    specials: SpecialIds,
    objective: denoise.DenoiseConfig,
    pack: PackConfig,
    seed: int,
    *,
    shuffle: bool,
    limit: int | None = None,
) -> PackedRows:
    """Packed denoising rows of a corpus; `limit` counts examples."""
    longest = denoise.longest_piece(objective, pack.encoder_length, pack.decoder_length)
    examples = Denoised(corpus, corpus.order(longest, seed, shuffle), specials, objective, seed)
    return PackedRows(examples, pack, specials, limit)


class Objective(NamedTuple):
    """What masks a text: the denoisers and, as they limit the pieces, the rows."""

    denoise: DenoiseConfig
    pack: PackConfig


def objective_of(settings: Mapping[str, Any]) -> Objective | None:
    """The objective of a run by its resolved settings; None for a run on pairs, which has none."""
    if "denoise" not in settings:
        return None
    denoisers = tuple(DenoiserConfig(**each) for each in settings["denoise"]["denoisers"])
    return Objective(DenoiseConfig(**{**settings["denoise"], "denoisers": denoisers}), PackConfig(**settings["pack"]))


def likelihood_settings(data: str, objective: Objective | None = None, whose: str = OWN) -> dict[str, Any]:
    """What a likelihood is of, to be kept beside it: the data and, for text, what masked it.

    `data` and `data_fingerprint`, then `objective` (`whose` it is: "its own", "default" or a run folder), `denoisers`,
    `mode_tokens` and `rows` (tokens of the encoder's and of the decoder's). Only figures that agree in all but `data`
    and `objective` can be compared.
    """
    found: dict[str, Any] = {"data": data, "data_fingerprint": data_fingerprint(Path(data))}
    if objective is None:
        return found
    rows = {key: getattr(objective.pack, key) for key in ("encoder_length", "decoder_length")}
    return found | {"objective": whose, **asdict(objective.denoise), "rows": rows}


def _rank_problems(config: TrainConfig) -> list[str]:
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


def _refuse(found: list[str]) -> None:
    if found:
        raise UserError("; ".join(found))


def _resolved(config: PretrainConfig | FinetuneConfig, model: PreTrainedModel, steps: int, **derived) -> dict:
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


def pretraining(config: PretrainConfig, *, resume: bool, overwrite: bool) -> Job:
    """A pretraining run, new or taken up. Raises UserError before anything is written if something cannot work."""
    _refuse([] if config.temperature > 0 else [f"temperature {config.temperature} must be above 0"])
    corpus, validation = open_corpus(config.corpus, config.temperature), Corpus.open(Path(config.validation))
    tokenizer = corpus.tokenizer()
    validation.check_tokenizer(tokenizer)
    specials = special_ids(tokenizer)
    lengths = {"encoder_length": config.pack.encoder_length, "decoder_length": config.pack.decoder_length}
    _refuse(
        train_settings.problems(config.train)
        + _rank_problems(config.train)
        + packing.problems(config.pack)
        + denoise.problems(config.denoise, num_sentinels=specials.num_sentinels, **lengths)
        + _shape_problems(config.model, specials)
    )
    model = new_model(config.model, tokenizer, config.seed)
    rows = denoising_rows(corpus, specials, config.denoise, config.pack, config.seed, shuffle=True)
    steps = steps_of(config.train, rows.examples, config.pack, specials)

    def validation_rows(limit: int | None) -> PackedRows:
        everything = denoising_rows(
            validation, specials, config.denoise, config.pack, EVALUATION_SEED, shuffle=False
        ).examples
        size = len(everything) if limit is None else min(limit, len(everything))
        return PackedRows(everything, config.pack, specials, size)

    longest = denoise.longest_piece(config.denoise, **lengths)
    resolved = _resolved(config, model, steps, longest_piece=longest, examples_per_epoch=len(rows.examples))
    data = Verification(corpus, validation)
    return _job("pretrain", config, resolved, tokenizer, model, rows, steps, validation_rows, data, resume, overwrite)


def finetuning(config: FinetuneConfig, *, resume: bool, overwrite: bool) -> Job:
    """A tuning run, new or taken up. Raises UserError before anything is written if something cannot work."""
    pairs, validation = PairCorpus.open(Path(config.pairs)), PairCorpus.open(Path(config.validation))
    tokenizer = pairs.inputs.tokenizer()
    validation.inputs.check_tokenizer(tokenizer)
    specials = special_ids(tokenizer)
    if config.mode not in (*specials.modes, "none"):
        raise UserError(f"mode {config.mode!r} is not one of {', '.join([*specials.modes, 'none'])}")
    mode = None if config.mode == "none" else config.mode
    examples = Pairs(pairs, specials, mode, config.seed, limit=max(0, config.limit) or None)
    scored = Pairs(validation, specials, mode, EVALUATION_SEED, shuffle=False)
    lengths = (config.pack.encoder_length, config.pack.decoder_length)
    _refuse(
        train_settings.problems(config.train)
        + _rank_problems(config.train)
        + packing.problems(config.pack)
        + [f"pairs: {problem}" for problem in examples.problems(*lengths)]
        + [f"validation pairs: {problem}" for problem in scored.problems(*lengths)]
        + [f"{key} {getattr(config, key)} is negative" for key in ("limit", "summaries") if getattr(config, key) < 0]
        + generate_settings.problems(GenerateConfig(max_new_tokens=config.max_new_tokens))
        + ([] if config.init else _shape_problems(config.model, specials))
    )
    if config.init:
        loaded = load(config.init)
        if not isinstance(loaded.model, Rot5ForConditionalGeneration):
            kind = loaded.model.config.model_type
            raise UserError(f"init: {config.init} is a {kind} model; packed rows are for a run or an export of rot5")
        pairs.inputs.check_tokenizer(loaded.tokenizer)
        model = loaded.model
        runtime.seed_everything(config.seed)
    else:
        model = new_model(config.model, tokenizer, config.seed)
    model.config.task_specific_params = {"summarization": {"prefix": "" if mode is None else f"[{mode}]"}}
    rows = PackedRows(examples, config.pack, specials)
    steps = steps_of(config.train, examples, config.pack, specials)
    resolved = _resolved(config, model, steps, examples_per_epoch=len(examples))

    def validation_rows(limit: int | None) -> PackedRows:
        return PackedRows(scored, config.pack, specials, len(scored) if limit is None else min(limit, len(scored)))

    data = Verification(pairs, validation)
    return _job("finetune", config, resolved, tokenizer, model, rows, steps, validation_rows, data, resume, overwrite)


def _job(
    title: str,
    config: PretrainConfig | FinetuneConfig,
    resolved: dict,
    tokenizer: PreTrainedTokenizerFast,
    model: Rot5ForConditionalGeneration,
    rows: PackedRows,
    steps: int,
    validation_rows: Callable[[int | None], PackedRows],
    data: Verification,
    resume: bool,
    overwrite: bool,
) -> Job:
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
    sample = validation_rows(config.train.evaluation_examples)

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
        check=data.check,
        seed=config.seed,
    )
    if ranks.is_main():
        data.start()
    return Job(run, trainer, model, tokenizer, validation_rows, data)


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
