"""One run against the clock: a recipe trains for so many seconds, its rate decaying with the share that is over."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from rot5 import runtime
from rot5.bench.ceilings import wait
from rot5.bench.peers import people_batches, t5_of, t5_shape
from rot5.bench.recipes_raced import Recipe
from rot5.build.models import new_model, shape
from rot5.build.scoring import EVALUATION_SEED, denoising_rows
from rot5.config import BenchConfig
from rot5.data.batches import prefetch
from rot5.data.corpus import Corpus
from rot5.data.denoise import DenoiseConfig
from rot5.data.packing import PackConfig
from rot5.data.tokenizer import byte_lengths, special_ids
from rot5.evaluation.likelihood import Likelihood, as_metrics, measure_ids
from rot5.loading import Loaded
from rot5.model.modeling_rot5 import Rot5ForConditionalGeneration
from rot5.model.settings import ModelConfig
from rot5.train.losses import Fields, to_tensors
from rot5.train.optimizers import build_optimizer, set_rate
from rot5.train.schedules import rate
from rot5.train.trainer import compiles

MARKS = (0.25, 0.5)
"""Shares of a run's time at which it is scored on its way."""

TICKS = 10_000
"""Steps that a schedule is cut into, whatever the number of updates turns out to be."""

CLIP_NORM = 1.0
SCORED_DOCUMENTS = 200
SCORED_TOGETHER = 32

Step = tuple[Fields, int]
"""What a model is given to learn from, and the story tokens behind it."""


def race(recipe: Recipe, seed: int, config: BenchConfig) -> dict[str, Any]:
    """A whole run of a recipe for its share of the minutes: what `train` returns, and `parameters`."""
    runtime.keep_freed_memory()
    corpus, validation = Corpus.open(config.corpus), Corpus.open(config.validation)
    model = model_of(recipe, config.preset, corpus.tokenizer(), seed)
    steps = steps_of(recipe, corpus, config.pack, seed)
    scorer = Scorer(validation, config.pack, SCORED_DOCUMENTS)
    found = train(model, recipe, steps, 60 * config.minutes * recipe.share, scorer)
    return found | {"parameters": model.num_parameters()}


class Scorer:
    """Scores any sequence-to-sequence model on the same examples under the same masks, padded alike."""

    def __init__(self, corpus: Corpus, pack: PackConfig, documents: int):
        self.tokenizer: PreTrainedTokenizerFast = corpus.tokenizer()
        specials = special_ids(self.tokenizer)
        examples = denoising_rows(corpus, specials, DenoiseConfig(), pack, EVALUATION_SEED, shuffle=False).examples
        numbers = np.arange(min(documents, len(examples)))
        plan = examples.plan(numbers)
        inputs, targets = examples.materialise(plan, numbers)
        self.inputs = [inputs.row(n).tolist() for n in range(len(numbers))]
        self.targets = [targets.row(n).tolist() for n in range(len(numbers))]
        self.kinds, self.kind_names = plan.kinds, examples.kind_names
        spelled = byte_lengths(self.tokenizer)
        self.bytes = np.array([spelled[target].sum() for target in self.targets])

    def __call__(self, model: PreTrainedModel) -> dict[str, float]:
        """Nats per target and bits per byte, overall and per denoiser, as `as_metrics` names them."""
        model.eval()
        loaded = Loaded(model, self.tokenizer, "")
        nats = measure_ids(loaded, self.inputs, self.targets, "bf16", SCORED_TOGETHER)
        model.train()
        counts = np.array([len(target) for target in self.targets])
        return as_metrics(Likelihood(self.kinds, nats, counts, self.bytes), self.kind_names)


def model_of(recipe: Recipe, preset_name: str, tokenizer: PreTrainedTokenizerFast, seed: int) -> PreTrainedModel:
    """A new model of the preset's shape, on the device and ready to train."""
    config = ModelConfig(preset=preset_name)
    if recipe.model == "rot5":
        return new_model(config, tokenizer, seed).train()
    ours = shape(config, special_ids(tokenizer))
    if recipe.model == "hf-t5":
        return t5_of(ours, seed=seed)
    runtime.seed_everything(seed)
    return Rot5ForConditionalGeneration(t5_shape(ours)).to(runtime.device()).train()  # type: ignore[arg-type]


def steps_of(recipe: Recipe, corpus: Corpus, pack: PackConfig, seed: int) -> Iterator[Step]:
    """Batches without end, of the same examples in the same order for all recipes of one objective and seed."""
    specials, device = special_ids(corpus.tokenizer()), runtime.device()
    rows = denoising_rows(corpus, specials, recipe.denoise, pack, seed, shuffle=True)
    if recipe.packed:
        for batch in prefetch(rows, 0, recipe.batch):
            yield to_tensors(batch.fields, device), batch.story_tokens
    for batch in people_batches(rows.examples, specials.pad, recipe.batch):
        yield batch.fields, batch.story_tokens


def train(
    model: PreTrainedModel,
    recipe: Recipe,
    steps: Iterator[Step],
    seconds: float,
    score: Callable[[PreTrainedModel], dict[str, float]],
) -> dict[str, Any]:
    """Train for so many seconds; building, compiling and scoring stand outside the clock.

    Returns the final scores, and `seconds`, `story_tokens`, `updates` and `curve`: pairs of training seconds and bits
    per byte at the marks and the end.
    """
    optimizer = build_optimizer(model, recipe.optimizer)
    loss = _loss_function(model, recipe)
    loss(next(steps)[0]).backward()
    optimizer.zero_grad()
    marks, curve = list(MARKS), []
    elapsed, updates, story_tokens = 0.0, 0, 0
    while elapsed + (elapsed / updates / 2 if updates else 0.0) < seconds:
        began = time.perf_counter()
        set_rate(optimizer, recipe.optimizer.lr * _share_of_rate(elapsed / seconds, recipe))
        fields, read = next(steps)
        loss(fields).backward()
        nn.utils.clip_grad_norm_(model.parameters(), CLIP_NORM)
        optimizer.step()
        optimizer.zero_grad()
        wait(model.device)
        elapsed += time.perf_counter() - began
        updates, story_tokens = updates + 1, story_tokens + read
        while marks and elapsed >= marks[0] * seconds:
            marks.pop(0)
            curve.append((elapsed, score(model)["eval/bits_per_byte"]))
    scores = score(model)
    curve += [(elapsed, scores["eval/bits_per_byte"])] * (1 + len(marks))
    return scores | {"seconds": elapsed, "story_tokens": story_tokens, "updates": updates, "curve": curve}


def _share_of_rate(over: float, recipe: Recipe) -> float:
    return rate(min(int(over * TICKS), TICKS - 1), TICKS, recipe.schedule)


def _loss_function(model: PreTrainedModel, recipe: Recipe) -> Callable[[Fields], torch.Tensor]:
    """The mean loss of a batch; compiled where our trainer would, which padded batches of any shape are not."""

    def loss(fields: Fields) -> torch.Tensor:
        with runtime.autocast(model.device, "bf16"):
            return model(**fields, use_cache=False).loss

    return torch.compile(loss, dynamic=False) if recipe.packed and compiles("auto") else loss
