"""Models that are not ours, tuned on pairs by their own tokenizers: T5 and its kin packed, all others padded."""

import copy
import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel

from rot5 import ranks
from rot5.build.jobs import refuse, steps_of
from rot5.build.scoring import EVALUATION_ROWS, EVALUATION_SEED
from rot5.build.subjects import Scorer, Subject, packed
from rot5.config import FinetuneConfig
from rot5.data.batches import PackedRows, RowIds
from rot5.data.corpus import PairCorpus
from rot5.data.foreign import ForeignPairs
from rot5.data.padding import PaddedRows
from rot5.data.pairs import WholePairs
from rot5.errors import UserError
from rot5.evaluation.likelihood import measure_read
from rot5.loading import Loaded, as_ours, positions
from rot5.model.modeling_rot5 import Rot5ForConditionalGeneration
from rot5.sizing.batch import padded_flops
from rot5.train.losses import padded_loss

OWN_PREFIX = ("S", "none")
"""Values of `mode` for models without mode tokens: their own prefix, or nothing."""


def foreign(config: FinetuneConfig, loaded: Loaded, pairs: PairCorpus, validation: PairCorpus) -> Subject:
    """A model of another architecture on the texts of prepared pairs. Raises UserError if something cannot work."""
    start = _checked(config, loaded)
    loaded = replace(_with_prefix(loaded, config.mode), model=loaded.model.float())
    read, limit = (loaded.read_inputs, loaded.read_targets), config.limit or None
    trained, scored = (
        ForeignPairs(islice(pairs.references(), limit), *read),
        ForeignPairs(validation.references(), *read),
    )
    sides = {"pairs": trained, "validation pairs": scored}
    refuse([f"{name}: {problem}" for name, texts in sides.items() for problem in _misfits(texts, loaded.model)])
    examples = WholePairs(trained, config.seed, story=pairs)
    judged = WholePairs(scored, EVALUATION_SEED, shuffle=False, story=validation)
    converted = as_ours(loaded.model)
    if converted is None:
        return _padded(config, loaded, examples, judged, scored)
    refuse([f"pairs: {each}" for each in examples.problems(config.pack.encoder_length, config.pack.decoder_length)])
    pad = loaded.tokenizer.pad_token_id
    assert isinstance(pad, int)
    ids = RowIds(pad, start)
    return packed(
        converted,
        loaded.tokenizer,
        PackedRows(examples, config.pack, ids),
        steps_of(config.train, examples, config.pack, ids),
        validation=judged,
        scorer=_scorer(replace(loaded, model=converted), scored, config.train.precision),
        save=partial(_save_t5, converted, _Origin(type(loaded.model), loaded.model.config)),
    )


def _checked(config: FinetuneConfig, loaded: Loaded) -> int:
    """The token that the model begins targets with. Raises UserError for what cannot be tuned."""
    name, tokenizer = config.init or "the student", loaded.tokenizer
    found = [
        f"init: the tokenizer of {name} has no {what} token: set {what}_token in its tokenizer_config.json"
        for what in ("pad", "eos")
        if getattr(tokenizer, f"{what}_token_id") is None
    ]
    if config.mode not in OWN_PREFIX:
        found.append(
            f"mode {config.mode} is a token of ours, and {name} is a {loaded.model.config.model_type} model: "
            "choose none, or leave it out for the model's own prefix"
        )
    refuse(found)
    try:
        start = loaded.decoder_start()
    except (AttributeError, TypeError, ValueError) as error:  # as each architecture meets what is missing
        raise UserError(f"init: {name} does not say what targets begin with: {error}") from error
    if start is None:
        raise UserError(f"init: {name} does not say what targets begin with: set decoder_start_token_id in config.json")
    return start


def _with_prefix(loaded: Loaded, mode: str) -> Loaded:
    """The model with its own prefix, or with none, which its configuration then says too."""
    if mode != "none" or not loaded.prefix:
        return loaded
    settings: Any = loaded.model.config
    tasks = settings.task_specific_params
    settings.task_specific_params = {**tasks, "summarization": {**tasks["summarization"], "prefix": ""}}
    return replace(loaded, prefix="")


def _misfits(texts: ForeignPairs, model: PreTrainedModel) -> list[str]:
    """What of the texts the model cannot read: more tokens than it has positions, ids that it does not know."""
    ids = len(next(model.get_input_embeddings().parameters()))
    found = [
        f"the tokenizer gives id {side.highest}, and the model has {ids} ids: take the tokenizer of this model"
        for side in (texts.inputs, texts.targets)
        if side.highest >= ids
    ]
    kind = model.config.model_type
    for what, side, room in zip(
        ("input", "target"), (texts.inputs, texts.targets), positions(model.config), strict=True
    ):
        longest = int(side.lengths.max(initial=0))
        if longest > room:
            found.append(
                f"the longest {what} has {longest} tokens, and this {kind} model {room} positions: shorten such texts, "
                "or choose a model with more"
            )
    return found


def _scorer(loaded: Loaded, texts: ForeignPairs, precision: str) -> Callable[[int | None], Scorer]:
    """Scores texts as `rot5 evaluate` does those of other models: in bits per byte of the targets."""

    def scorer(limit: int | None) -> Scorer:
        count = len(texts.target_bytes) if limit is None else limit
        read = texts.inputs.rows(count), texts.targets.rows(count), texts.target_bytes[:count]
        return lambda: measure_read(loaded, *read, precision, EVALUATION_ROWS)

    return scorer


class _Origin(NamedTuple):
    """What a converted model was: its class and configuration."""

    kind: Callable[[PreTrainedConfig], Any]
    config: PreTrainedConfig


def _save_t5(
    trained: Rot5ForConditionalGeneration, origin: _Origin, folder: Path, weights: dict[str, torch.Tensor]
) -> None:
    """Write a converted model as what it was: T5 to those who read T5, with all its configuration said."""
    whole = Rot5ForConditionalGeneration(trained.config)
    missing = whole.load_state_dict(weights, strict=False).missing_keys
    assert set(missing) <= whole.get_expanded_tied_weights_keys().keys(), "of tied weights a sharded model has one name"
    whole.generation_config = trained.generation_config
    whole.to_t5(origin.kind(copy.deepcopy(origin.config))).save_pretrained(folder)


def _padded(
    config: FinetuneConfig, loaded: Loaded, examples: WholePairs, judged: WholePairs, scored: ForeignPairs
) -> Subject:
    model, train = loaded.model, config.train
    kind, found = model.config.model_type, []
    if ranks.world_size() > 1:
        found.append(f"init: {config.init} is a {kind} model, which one process trains by itself: leave torchrun out")
    if train.compile == "on":
        found.append(f"train.compile on is for packed rows, and {config.init} is a {kind} model: leave it at auto")
    if train.checkpointing and not model.supports_gradient_checkpointing:
        found.append(f"train.checkpointing is not for {kind} models: leave it out")
    refuse(found)
    pad = loaded.tokenizer.pad_token_id
    assert isinstance(pad, int)
    return Subject(
        model=model,
        tokenizer=loaded.tokenizer,
        rows=PaddedRows(examples, pad, train.batch_rows),
        steps=train.steps or max(1, math.ceil(train.epochs * len(examples) / train.batch_rows)),
        validation=judged,
        scorer=_scorer(loaded, scored, train.precision),
        loss=padded_loss,
        flops=partial(padded_flops, *_matrices(model)),
        observe=dict,
        after_update=lambda moved: None,
        fixed_shapes=False,
        merge=lambda: None,
        save=lambda folder, weights: model.save_pretrained(folder, state_dict=weights),
    )


def _matrices(model: PreTrainedModel) -> tuple[int, int]:
    """Weights of the linear layers that an input token meets, and of those that a target token meets."""
    encoder = sum(map(_weights, model.get_encoder().modules()))
    return encoder, sum(map(_weights, model.modules())) - encoder


def _weights(module: nn.Module) -> int:
    return module.weight.numel() if isinstance(module, nn.Linear) else 0
