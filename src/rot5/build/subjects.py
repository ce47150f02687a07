"""What a run trains: a model, its rows, and what the loop and the end of a run need to know of its kind."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from rot5 import ranks
from rot5.build.scoring import score
from rot5.data.batches import Batch, Examples, PackedRows, Rows
from rot5.evaluation.likelihood import Likelihood
from rot5.model.modeling_rot5 import Rot5ForConditionalGeneration
from rot5.sizing.batch import batch_flops
from rot5.train.losses import LossFunction, language_model_loss

Scorer = Callable[[], Likelihood]


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A model and its rows, with what differs between kinds of models."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    rows: Rows
    steps: int
    """Updates of the run."""
    validation: Examples
    """What is scored."""
    scorer: Callable[[int | None], Scorer]
    """What scores the first so many validation documents or pairs, or all of them for None, again and again."""
    loss: Callable[[nn.Module, torch.device, str], LossFunction]
    """The loss of what is called in training in place of the model, on a device and in a precision."""
    flops: Callable[[Batch], float]
    """Work of an update."""
    observe: Callable[[], dict[str, float]]
    """Metrics of the update that was just made."""
    after_update: Callable[[bool], None]
    """Called behind each update, and told whether it moved weights."""
    fixed_shapes: bool
    """Whether all batches have one shape, so that compiling pays."""
    merge: Callable[[], None]
    """Called once behind the last update: what was trained becomes the model's own weights."""
    save: Callable[[Path, dict[str, torch.Tensor]], None]
    """Write the model into a folder for transformers, from its weights, whole and beside the device."""


def packed(
    model: Rot5ForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    rows: PackedRows,
    steps: int,
    *,
    validation: Examples,
    scorer: Callable[[int | None], Scorer],
    save: Callable[[Path, dict[str, torch.Tensor]], None],
) -> Subject:
    """A model that takes packed rows."""
    return Subject(
        model=model,
        tokenizer=tokenizer,
        rows=rows,
        steps=steps,
        validation=validation,
        scorer=scorer,
        loss=language_model_loss,
        flops=partial(batch_flops, model.config),
        observe=lambda: {f"router/{key}": value for key, value in model.routing_metrics().items()},
        after_update=lambda moved: model.end_step(ranks.add_up, balance=moved),
        fixed_shapes=True,
        merge=lambda: None,
        save=save,
    )


def own(
    model: Rot5ForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    rows: PackedRows,
    steps: int,
    validation: PackedRows,
    precision: str,
) -> Subject:
    """A model of ours on text prepared with its tokenizer, scored on the examples of the rows `validation`."""
    examples = validation.examples

    def scorer(limit: int | None) -> Scorer:
        size = len(examples) if limit is None else min(limit, len(examples))
        sample = PackedRows(examples, validation.pack_config, validation.specials, size)
        return lambda: score(model, sample, tokenizer, precision)

    return packed(
        model,
        tokenizer,
        rows,
        steps,
        validation=examples,
        scorer=scorer,
        save=lambda folder, weights: model.save_pretrained(folder, state_dict=weights),
    )
