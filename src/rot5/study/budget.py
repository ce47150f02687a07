"""Budgets of pretraining: story tokens, operations or seconds, turned into updates."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from rot5.build.models import shape
from rot5.build.scoring import denoising_rows
from rot5.config import PretrainConfig
from rot5.data.denoise import longest_piece
from rot5.data.mixture import open_corpus
from rot5.data.tokenizer import special_ids
from rot5.errors import UserError
from rot5.sizing.compute import training_flops

EXAMPLES = 512
"""Examples from which the operations per story token are estimated."""


def with_budget(
    config: PretrainConfig,
    budget: Mapping[str, float],
    seconds_per_step: float,
    as_new: PretrainConfig | None = None,
) -> PretrainConfig:
    """The run with as many updates as its budget allows; unchanged without a budget.

    Tokens and operations become passes over the corpus, so that runs of equal budget on the same rows make the same
    number of updates; seconds become updates by a measured `seconds_per_step`. `as_new` is a run whose
    settings tell all of the model's shape, where those of `config` tell what another model grows into.

    Raises UserError for operations of a model whose shape no settings tell.
    """
    if not budget:
        return config
    ((kind, amount),) = budget.items()
    if kind == "seconds":
        return replace(config, train=replace(config.train, steps=max(1, round(amount / seconds_per_step))))
    whole = as_new or config
    if kind == "flops" and whole.init:
        raise UserError(f"budget.flops is for new models, and this one is {whole.init}: give story_tokens or seconds")
    tokens = amount if kind == "story_tokens" else amount / flops_per_story_token(whole)
    longest = longest_piece(config.denoise, config.pack.encoder_length, config.pack.decoder_length)
    order = open_corpus(config.corpus, config.temperature).order(longest, config.seed, shuffle=True)
    epochs = tokens / order.num_tokens
    return replace(config, train=replace(config.train, steps=0, epochs=epochs))


def flops_per_story_token(config: PretrainConfig) -> float:
    """Operations of training, forward and backward, for each raw token of the corpus, at this run's objective."""
    corpus = open_corpus(config.corpus, config.temperature)
    specials = special_ids(corpus.tokenizer())
    rows = denoising_rows(corpus, specials, config.denoise, config.pack, config.seed, shuffle=True)
    plan = rows.examples.plan(np.arange(min(EXAMPLES, len(rows.examples))))
    inputs, targets = plan.input_lengths, plan.target_lengths
    flops = training_flops(
        shape(config.model, specials), inputs.sum(), targets.sum(), float(inputs.mean()), float(targets.mean())
    )
    return flops / int(plan.story_tokens.sum())
