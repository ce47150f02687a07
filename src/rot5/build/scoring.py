"""What models are scored on: rows that are masked and packed alike for all."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from rot5.data import denoise
from rot5.data.batches import PackedRows
from rot5.data.corpus import Corpus
from rot5.data.denoise import DenoiseConfig, Denoised, DenoiserConfig
from rot5.data.manifest import data_fingerprint
from rot5.data.mixture import Mixture
from rot5.data.packing import PackConfig
from rot5.data.tokenizer import SpecialIds, byte_lengths
from rot5.evaluation.likelihood import Likelihood, measure

EVALUATION_SEED = 0
"""Seed of the masks of every evaluation, whatever the run's seed: runs are compared on the same targets."""


OWN, DEFAULT = "its own", "default"
"""Whose objective masked a text: the model's own, or that of a model without any."""


EVALUATION_ROWS = 16
"""Packed rows scored together."""


def score(model: PreTrainedModel, rows: PackedRows, tokenizer: PreTrainedTokenizerFast, precision: str) -> Likelihood:
    """Likelihood of fixed rows under a model."""
    spelled = np.zeros(model.config.vocab_size, dtype=np.int64)
    lengths = byte_lengths(tokenizer)
    spelled[: len(lengths)] = lengths
    return measure(model, rows, spelled, precision, EVALUATION_ROWS)


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
