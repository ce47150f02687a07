"""transformers' T5 on the text that ours is trained on: padded batches as people run it, and as an expert tunes it.

Both are made of the examples that ours packs, by their numbers, so that the work per story token can be compared. What
differs is what a user of transformers has to build: it has no packing for encoder-decoders, so a batch is padded.
"""

import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModelForSeq2SeqLM, T5Config, T5ForConditionalGeneration

from rot5.bench.ceilings import wait
from rot5.bench.steps import Turn
from rot5.data.batches import IGNORED, Examples
from rot5.data.ragged import Ragged
from rot5.model.configuration_rot5 import Rot5Config
from rot5.runtime import autocast, device
from rot5.sizing.compute import training_flops

ATTENTIONS = ("eager", "sdpa")
"""Attentions of transformers' T5 that train everywhere; its flex attention has no backward on a CPU."""

PEOPLE_BATCH = 8
"""Examples of a batch as people run it: the Trainer's default."""

SORTED_BATCHES = 100
"""Batches of examples that are sorted by length together."""

MULTIPLE = 16
"""What an expert pads lengths to a multiple of: full vectors, few shapes, and nine tenths of the positions filled."""

GOLDEN = (5**0.5 - 1) / 2

SAME_FIELDS = (
    "vocab_size", "d_model", "d_kv", "d_ff", "num_layers", "num_decoder_layers", "num_heads", "feed_forward_proj",
    "layer_norm_epsilon", "pad_token_id", "eos_token_id", "decoder_start_token_id",
)  # fmt: skip
"""Fields of our shape that T5 takes over under the same name."""


def t5_shape(shape: Rot5Config) -> Rot5Config:
    """What T5 makes of our shape, in our terms, so that its work can be counted.

    Width, depth, heads, feed-forward and vocabulary are the same; positions are a relative bias, every head keeps keys
    and values of its own (T5 has no grouped queries), and the head is tied to the embedding.
    """
    return Rot5Config(
        **{name: getattr(shape, name) for name in SAME_FIELDS}, position_encoding="relative_bias", parametrization="t5"
    )


def t5_of(
    shape: Rot5Config, attention: str = "sdpa", seed: int = 0, *, dropout: bool = False
) -> T5ForConditionalGeneration:
    """A new T5 of transformers with our shape (see `t5_shape`), on the device and ready to train.

    It drops nothing out unless it is to do so as it does by default.
    """
    torch.manual_seed(seed)
    config = T5Config(**{name: getattr(shape, name) for name in SAME_FIELDS})
    if not dropout:
        config.dropout_rate = 0.0
    return AutoModelForSeq2SeqLM.from_config(config, attn_implementation=attention).train().to(device())


@dataclass(frozen=True)
class PaddedBatch:
    """Examples side by side, each filled up to the length of the batch."""

    fields: dict[str, torch.Tensor]
    """`input_ids`, `attention_mask`: int64[examples, longest input]; `labels`: int64[examples, longest target]."""

    input_lengths: NDArray[np.int64]
    target_lengths: NDArray[np.int64]
    """int64[examples]: without padding."""

    story_tokens: int
    """Raw corpus tokens behind the examples, before masking."""

    @property
    def fill(self) -> tuple[float, float]:
        """The shares of the positions of inputs and of targets that are no padding."""
        return (
            float(self.input_lengths.sum()) / self.fields["input_ids"].numel(),
            float(self.target_lengths.sum()) / self.fields["labels"].numel(),
        )


def padded_batch(examples: Examples, numbers: Sequence[int] | NDArray, pad: int, multiple: int = 1) -> PaddedBatch:
    """The examples of these numbers in one batch, inputs and targets as long as their longest, up to a multiple.

    Padding is `pad` in inputs, where the mask is 0, and ignored in labels; T5 shifts the labels right by itself.
    """
    numbers = np.asarray(numbers, np.int64)
    plan = examples.plan(numbers)
    inputs, targets = examples.materialise(plan, np.arange(numbers.size))
    input_ids, labels = _padded(inputs, pad, multiple), _padded(targets, IGNORED, multiple)
    mask = np.arange(input_ids.shape[1]) < inputs.lengths[:, None]
    arrays = {"input_ids": input_ids, "attention_mask": mask.astype(np.int64), "labels": labels}
    fields = {name: torch.from_numpy(array).to(device()) for name, array in arrays.items()}
    return PaddedBatch(fields, inputs.lengths, targets.lengths, int(plan.story_tokens.sum()))


def _padded(rows: Ragged, filling: int, multiple: int) -> NDArray[np.int64]:
    """int64[rows, longest up to a multiple]."""
    lengths = rows.lengths
    width = -(-int(lengths.max()) // multiple) * multiple
    filled = np.full((lengths.size, width), filling, np.int64)
    filled[np.arange(width) < lengths[:, None]] = rows.values
    return filled


def people_batches(examples: Examples, pad: int, size: int = PEOPLE_BATCH) -> Iterator[PaddedBatch]:
    """Batches as people run them: `size` examples as they come, padded to the longest among them. They never end."""
    for first in itertools.count(0, size):
        yield padded_batch(examples, np.arange(first, first + size), pad)


def bucketed_batches(examples: Examples, pad: int, size: int) -> Iterator[PaddedBatch]:
    """Batches as an expert makes them: `size` examples of like lengths on both sides, lengths padded to a multiple.

    Examples are sorted within windows of many batches, by the padded length of the target and then of the input, and
    the batches of a window come in an order whose every stretch holds long and short ones alike. They never end.
    """
    for window in itertools.count():
        numbers = window * SORTED_BATCHES * size + np.arange(SORTED_BATCHES * size)
        plan = examples.plan(numbers)
        order = np.lexsort((plan.input_lengths, -(-plan.target_lengths // MULTIPLE)))
        for batch in np.argsort(np.arange(SORTED_BATCHES) * GOLDEN % 1):
            yield padded_batch(examples, numbers[order[batch * size : (batch + 1) * size]], pad, MULTIPLE)


class PeerStep:
    """A whole optimizer step of transformers' T5, timed: bf16 autocast, backward, clipping, fused AdamW.

    As people run it, T5 fills a cache that training never reads; tuned, it does not. Compiled, each block is, for all
    shapes: blocks share one piece of code, where the whole model as one graph takes many minutes on a CPU.
    """

    def __init__(
        self, model: T5ForConditionalGeneration, shape: Rot5Config, *, tuned: bool = False, compiled: bool = False
    ):
        model.config.use_cache = not tuned
        self.model = model
        self.shape = t5_shape(shape)
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.01, fused=True)
        if compiled:
            for block in (*model.encoder.block, *model.decoder.block):
                block.compile(dynamic=True)

    def turn(self, batch: PaddedBatch) -> Turn:
        """The whole step."""
        began = time.perf_counter()
        with autocast(self.model.device, "bf16"):
            loss = self.model(**batch.fields).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        wait(self.model.device)
        return Turn(time.perf_counter() - began, batch.story_tokens, padded_flops(self.shape, batch))


def padded_flops(shape: Rot5Config, batch: PaddedBatch) -> float:
    """Operations of a training step on a padded batch; padding needs none."""
    sides = (batch.input_lengths, batch.target_lengths)
    return training_flops(shape, *(float(side.sum()) for side in sides), *(float(side.mean()) for side in sides))
