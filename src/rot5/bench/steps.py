"""What benchmarks of training share: real rows, and whole optimizer steps."""

import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import torch

from rot5 import runtime
from rot5.bench.ceilings import wait
from rot5.build.scoring import denoising_rows
from rot5.config import BenchConfig
from rot5.data import sources
from rot5.data.batches import Batch, PackedRows
from rot5.data.corpus import Corpus
from rot5.data.denoise import DenoiseConfig
from rot5.data.preparing import prepare
from rot5.data.tokenizer import build_tokenizer, special_ids
from rot5.model.configuration_rot5 import Rot5Config
from rot5.model.modeling_rot5 import Rot5ForConditionalGeneration
from rot5.sizing.compute import training_flops
from rot5.train.losses import backward_step, language_model_loss, to_tensors
from rot5.train.optimizers import build_optimizer
from rot5.train.settings import OptimizerConfig

STORIES = 3000
"""StoryWorld stories to train on when no corpus is given."""

WARM_UP = 2
"""Batches that are not timed."""


@contextmanager
def corpus_of(config: BenchConfig) -> Iterator[Corpus]:
    """The corpus that is asked for, or StoryWorld for as long as it is needed."""
    if config.corpus:
        yield Corpus.open(Path(config.corpus))
        return
    with tempfile.TemporaryDirectory(prefix="rot5-bench-") as folder:
        stories = sources.Documents(sources.SourceConfig(name="storyworld", limit=STORIES))
        prepare(stories, build_tokenizer(), Path(folder) / "stories", source="storyworld")
        yield Corpus.open(Path(folder) / "stories")


def rows_of(corpus: Corpus, config: BenchConfig) -> PackedRows:
    """The corpus under the standard mixture of denoisers, shuffled and packed; it never ends."""
    return denoising_rows(corpus, special_ids(corpus.tokenizer()), DenoiseConfig(), config.pack, seed=0, shuffle=True)


def batches_of(corpus: Corpus, config: BenchConfig) -> list[Batch]:
    """The first batches of the corpus: those to warm up on, and one for each round."""
    rows = rows_of(corpus, config)
    return [rows.rows(step * config.batch_rows, config.batch_rows) for step in range(config.rounds + WARM_UP)]


class Turn(NamedTuple):
    """What was done when it was one alternative's turn to train."""

    seconds: float
    story_tokens: int
    flops: float
    """Operations that the model's own matrix products need: real tokens, attention inside documents."""

    @property
    def speed(self) -> float:
        """Story tokens per second."""
        return self.story_tokens / self.seconds


def together(turns: Iterable[Turn]) -> Turn:
    """Several turns as one."""
    seconds, story_tokens, flops = zip(*turns, strict=True)
    return Turn(sum(seconds), sum(story_tokens), sum(flops))


class TrainingStep:
    """A model's whole optimizer step on a batch, timed: `gradient` for loss and gradient, `update` for the rest."""

    def __init__(self, model: Rot5ForConditionalGeneration, config: BenchConfig, *, compiled: bool = False):
        self.model = model
        self.micro_batch_rows = config.batch_rows
        self.optimizer = build_optimizer(model, OptimizerConfig(name="adamw", lr=1e-4))
        loss = language_model_loss(model, model.device, "bf16")
        self.loss = torch.compile(loss, dynamic=False) if compiled else loss

    def turn(self, batch: Batch) -> Turn:
        """The whole step."""
        seconds = self.gradient(batch) + self.update()
        return Turn(seconds, batch.story_tokens, packed_flops(self.model.config, batch))

    def gradient(self, batch: Batch) -> float:
        """Seconds of forward and backward."""
        began = time.perf_counter()
        fields = to_tensors(batch.fields, self.model.device)
        backward_step(self.loss, fields, self.micro_batch_rows, batch.num_targets)
        wait(self.model.device)
        return time.perf_counter() - began

    def update(self) -> float:
        """Seconds of clipping and the optimizer's update."""
        began = time.perf_counter()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.model.end_step()
        wait(self.model.device)
        return time.perf_counter() - began


def packed_flops(shape: Rot5Config, batch: Batch) -> float:
    """Operations of a training step on packed rows: padding needs none, nor does attention between documents."""
    tokens = [float(np.count_nonzero(batch.fields[f"{side}_segment_ids"])) for side in ("encoder", "decoder")]
    documents = np.count_nonzero(batch.segment_examples >= 0)
    return training_flops(shape, *tokens, *(each / documents for each in tokens))


Item = TypeVar("Item")
Result = TypeVar("Result")


def take_turns(alternatives: Mapping[str, Callable[[Item], Result]], items: Iterable[Item]) -> dict[str, list[Result]]:
    """What each alternative gives for each item, all of them on one item before the next, so that noise is shared."""
    results: dict[str, list[Result]] = {name: [] for name in alternatives}
    for item in items:
        for name, measure in alternatives.items():
            results[name].append(measure(item))
    return results


def peak_bytes() -> int:
    """This process's peak: resident on a CPU; on a GPU all of the device in use, which its allocator keeps."""
    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        return total - free
    return runtime.peak_memory_bytes()


def memory_bytes() -> int:
    """All memory of the device."""
    if torch.cuda.is_available():
        return torch.cuda.mem_get_info()[1]
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
