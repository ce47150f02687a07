"""A model from scratch on denoising."""

from pathlib import Path

from rot5.build.jobs import Job, new_job, rank_problems, refuse, resolved_settings, steps_of
from rot5.build.models import grown_model, new_model, shape_problems
from rot5.build.scoring import EVALUATION_SEED, denoising_rows
from rot5.build.subjects import own
from rot5.config import PretrainConfig
from rot5.data import denoise, packing
from rot5.data.corpus import Corpus, Verification
from rot5.data.mixture import open_corpus
from rot5.data.tokenizer import special_ids
from rot5.train import settings as train_settings


def pretraining(config: PretrainConfig, *, resume: bool, overwrite: bool) -> Job:
    """A pretraining run, new or taken up. Raises UserError before anything is written if something cannot work."""
    refuse([] if config.temperature > 0 else [f"temperature {config.temperature} must be above 0"])
    corpus, validation = open_corpus(config.corpus, config.temperature), Corpus.open(Path(config.validation))
    tokenizer = corpus.tokenizer()
    validation.check_tokenizer(tokenizer)
    specials = special_ids(tokenizer)
    lengths = {"encoder_length": config.pack.encoder_length, "decoder_length": config.pack.decoder_length}
    refuse(
        train_settings.problems(config.train)
        + rank_problems(config.train)
        + packing.problems(config.pack)
        + denoise.problems(config.denoise, num_sentinels=specials.num_sentinels, **lengths)
        + ([] if config.init else shape_problems(config.model, specials))
    )
    if config.init:
        model = grown_model(config.init, config.model, tokenizer, config.seed)
    else:
        model = new_model(config.model, tokenizer, config.seed)
    rows = denoising_rows(corpus, specials, config.denoise, config.pack, config.seed, shuffle=True)
    steps = steps_of(config.train, rows.examples, config.pack, specials)
    scored = denoising_rows(validation, specials, config.denoise, config.pack, EVALUATION_SEED, shuffle=False)
    subject = own(model, tokenizer, rows, steps, scored, config.train.precision)
    longest = denoise.longest_piece(config.denoise, **lengths)
    resolved = resolved_settings(config, subject, longest_piece=longest, examples_per_epoch=len(rows.examples))
    return new_job(
        "pretrain",
        config,
        resolved=resolved,
        subject=subject,
        verification=Verification(corpus, validation),
        resume=resume,
        overwrite=overwrite,
    )
