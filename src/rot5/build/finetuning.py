"""A model tuned on pairs: a new one, one of ours, or any sequence-to-sequence model."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from transformers import PreTrainedTokenizerFast

from rot5 import ranks, runtime
from rot5.build.foreign import foreign
from rot5.build.jobs import Job, new_job, rank_problems, refuse, resolved_settings, steps_of
from rot5.build.models import new_model, shape_problems
from rot5.build.scoring import EVALUATION_SEED
from rot5.build.subjects import Subject, own
from rot5.config import FinetuneConfig
from rot5.data import packing
from rot5.data.batches import PackedRows
from rot5.data.corpus import PairCorpus, Verification
from rot5.data.pairs import Pairs
from rot5.data.tokenizer import special_ids
from rot5.errors import UserError
from rot5.generate import settings as generate_settings
from rot5.generate.settings import GenerateConfig
from rot5.loading import Loaded, load
from rot5.model.modeling_rot5 import Rot5ForConditionalGeneration
from rot5.train import settings as train_settings
from rot5.train.adapters import Adapters


class Tuning(NamedTuple):
    """What is tuned, and what a run writes down about it."""

    subject: Subject
    resolved: dict[str, Any]
    pairs: PairCorpus
    validation: PairCorpus


def finetuning(config: FinetuneConfig, *, resume: bool, overwrite: bool) -> Job:
    """A tuning run, new or taken up. Raises UserError before anything is written if something cannot work."""
    tuned = tuning(config, (lambda: load(config.init)) if config.init else None)
    return new_job(
        "finetune",
        config,
        resolved=tuned.resolved,
        subject=tuned.subject,
        verification=Verification(tuned.pairs, tuned.validation),
        resume=resume,
        overwrite=overwrite,
    )


def tuning(config: FinetuneConfig, begin: Callable[[], Loaded] | None) -> Tuning:
    """A model that begins as `begin` says, or as a new one, on pairs. Raises UserError if something cannot work."""
    pairs, validation = PairCorpus.open(Path(config.pairs)), PairCorpus.open(Path(config.validation))
    tokenizer = pairs.inputs.tokenizer()
    specials = special_ids(tokenizer)
    if config.mode not in (*specials.modes, "none"):
        raise UserError(f"mode {config.mode!r} is not one of {', '.join([*specials.modes, 'none'])}")
    if begin:
        refuse(problems(config))
    loaded = begin() if begin else None
    if loaded and not isinstance(loaded.model, Rot5ForConditionalGeneration):
        subject = foreign(config, loaded, pairs, validation)
    else:
        subject = _ours(config, loaded, pairs, validation, tokenizer)
    if begin:
        runtime.seed_everything(config.seed)
    resolved = resolved_settings(config, subject, examples_per_epoch=len(subject.rows.examples))
    if config.lora.rank:
        adapters = Adapters(subject.model, config.lora)
        resolved["derived"] |= {"trained_parameters": adapters.trained(), "frozen_weights": adapters.frozen()}
        subject = replace(subject, merge=adapters.merge)
    return Tuning(subject, resolved, pairs, validation)


def problems(config: FinetuneConfig) -> list[str]:
    """What is wrong with the settings by themselves."""
    found = train_settings.problems(config.train) + train_settings.lora_problems(config.lora)
    if config.lora.rank and ranks.world_size() > 1:
        found.append(f"lora.rank {config.lora.rank} is for one process: leave torchrun out, or set it to 0")
    return (
        found
        + rank_problems(config.train)
        + packing.problems(config.pack)
        + [f"{key} {getattr(config, key)} is negative" for key in ("limit", "summaries") if getattr(config, key) < 0]
        + generate_settings.problems(GenerateConfig(max_new_tokens=config.max_new_tokens))
    )


def _ours(
    config: FinetuneConfig,
    loaded: Loaded | None,
    pairs: PairCorpus,
    validation: PairCorpus,
    tokenizer: PreTrainedTokenizerFast,
) -> Subject:
    """A new model, or one of ours, on pairs as they were prepared."""
    validation.inputs.check_tokenizer(tokenizer)
    specials, pack = special_ids(tokenizer), config.pack
    mode = None if config.mode == "none" else config.mode
    examples = Pairs(pairs, specials, mode, config.seed, limit=max(0, config.limit) or None)
    scored = Pairs(validation, specials, mode, EVALUATION_SEED, shuffle=False)
    lengths = (pack.encoder_length, pack.decoder_length)
    refuse(
        problems(config)
        + [f"pairs: {problem}" for problem in examples.problems(*lengths)]
        + [f"validation pairs: {problem}" for problem in scored.problems(*lengths)]
        + ([] if loaded else shape_problems(config.model, specials))
    )
    if loaded:
        pairs.inputs.check_tokenizer(loaded.tokenizer)
        model = loaded.model
        assert isinstance(model, Rot5ForConditionalGeneration)
    else:
        model = new_model(config.model, tokenizer, config.seed)
    model.config.task_specific_params = {"summarization": {"prefix": "" if mode is None else f"[{mode}]"}}
    rows, judged = (PackedRows(each, pack, specials) for each in (examples, scored))
    steps = steps_of(config.train, examples, pack, specials)
    return own(model, tokenizer, rows, steps, judged, config.train.precision)
