"""What benchmarks of training share: real rows, and whole optimizer steps."""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from rot5.bench.ceilings import wait
from rot5.build import denoising_rows
from rot5.config import BenchConfig
from rot5.data import sources
from rot5.data.batches import Batch
from rot5.data.corpus import Corpus, prepare
from rot5.data.denoise import DenoiseConfig
from rot5.data.tokenizer import build_tokenizer, special_ids
from rot5.model.modeling_rot5 import Rot5ForConditionalGeneration
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
        stories = sources.documents(sources.SourceConfig(name="storyworld", limit=STORIES))
        prepare(stories, build_tokenizer(), Path(folder) / "stories", source="storyworld")
        yield Corpus.open(Path(folder) / "stories")


def batches_of(corpus: Corpus, config: BenchConfig) -> list[Batch]:
    """The first batches of the corpus: those to warm up on, and one for each round."""
    rows = denoising_rows(corpus, special_ids(corpus.tokenizer()), DenoiseConfig(), config.pack, seed=0, shuffle=True)
    return [rows.rows(step * config.batch_rows, config.batch_rows) for step in range(config.rounds + WARM_UP)]


class TrainingStep:
    """A model's whole optimizer step on a batch, timed: `gradient` for loss and gradient, `update` for the rest."""

    def __init__(self, model: Rot5ForConditionalGeneration, config: BenchConfig, *, compiled: bool = False):
        self.model = model
        self.micro_batch_rows = config.batch_rows
        self.optimizer = build_optimizer(model, OptimizerConfig(lr=1e-4))
        loss = language_model_loss(model, model.device, "bf16")
        self.loss = torch.compile(loss, dynamic=False) if compiled else loss

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


Alternatives = dict[str, Callable[[Batch], object]]


def take_turns(alternatives: Alternatives, batches: list[Batch]) -> dict[str, list]:
    """What each alternative gives for each batch, all of them on one batch before the next, so that noise is shared."""
    results: dict[str, list] = {name: [] for name in alternatives}
    for batch in batches:
        for name, measure in alternatives.items():
            results[name].append(measure(batch))
    return results
