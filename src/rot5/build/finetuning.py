"""A model tuned on pairs."""

from pathlib import Path

from rot5 import runtime
from rot5.build.jobs import Job, new_job, rank_problems, refuse, resolved_settings, steps_of
from rot5.build.models import new_model, shape_problems
from rot5.build.scoring import EVALUATION_SEED
from rot5.config import FinetuneConfig
from rot5.data import packing
from rot5.data.batches import PackedRows
from rot5.data.corpus import PairCorpus, Verification
from rot5.data.pairs import Pairs
from rot5.data.tokenizer import special_ids
from rot5.errors import UserError
from rot5.generate import settings as generate_settings
from rot5.generate.settings import GenerateConfig
from rot5.load import load
from rot5.model.modeling_rot5 import Rot5ForConditionalGeneration
from rot5.train import settings as train_settings


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
    refuse(
        train_settings.problems(config.train)
        + rank_problems(config.train)
        + packing.problems(config.pack)
        + [f"pairs: {problem}" for problem in examples.problems(*lengths)]
        + [f"validation pairs: {problem}" for problem in scored.problems(*lengths)]
        + [f"{key} {getattr(config, key)} is negative" for key in ("limit", "summaries") if getattr(config, key) < 0]
        + generate_settings.problems(GenerateConfig(max_new_tokens=config.max_new_tokens))
        + ([] if config.init else shape_problems(config.model, specials))
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
    resolved = resolved_settings(config, model, steps, examples_per_epoch=len(examples))

    def validation_rows(limit: int | None) -> PackedRows:
        return PackedRows(scored, config.pack, specials, len(scored) if limit is None else min(limit, len(scored)))

    return new_job(
        "finetune",
        config,
        resolved=resolved,
        tokenizer=tokenizer,
        model=model,
        rows=rows,
        steps=steps,
        validation=validation_rows,
        verification=Verification(pairs, validation),
        resume=resume,
        overwrite=overwrite,
    )
