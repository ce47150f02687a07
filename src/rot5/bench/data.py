"""What feeds the training: text to corpus, corpus to batches, the wait for a batch, and the start of a huge corpus."""

import statistics
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from itertools import count, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rot5.bench.ceilings import Ceilings
from rot5.bench.figures import Figures
from rot5.bench.steps import WARM_UP, TrainingStep, corpus_of
from rot5.build.models import new_model
from rot5.build.scoring import denoising_rows
from rot5.config import BenchConfig
from rot5.data.batches import PackedRows, prefetch
from rot5.data.corpus import Corpus, documents
from rot5.data.denoise import DenoiseConfig, Denoised
from rot5.data.order import Order
from rot5.data.packing import pack
from rot5.data.preparing import prepare
from rot5.data.ragged import Ragged
from rot5.data.tokenizer import special_ids, text_encoder
from rot5.model.settings import ModelConfig
from rot5.report.tables import Column, Table

DOCUMENTS = 4096
"""Most documents of a round."""

TEXTS = 32_768
"""Most documents of a round that are texts: files of their own are written for any number of them."""

BLOCK = 64
"""Examples denoised together: about as many as a batch of the default size holds."""

CORPUS_SIZES = (10_000, 1_000_000, 100_000_000)
"""Documents of the corpora whose first batch is waited for."""

ABOUT = (
    "What feeds the training, stage by stage, in story tokens per second of processor time, the threads of a stage "
    "added up: the speed on one core. All stages take turns on the same documents. The tokenizer alone is "
    "encode_batch of tokenizers on all texts at once; prepare also writes the corpus. Denoising is planning and "
    "materialising; whole batches are planned, packed, materialised and laid out. The wait is what the training loop "
    "spends on batches that a thread makes ahead, in the time of the wall as all that follows. Huge corpora repeat the "
    "documents of the given one; their memory is that of document lengths, order and batches."
)
STAGE_COLUMNS = (
    Column("stage", "Stage", text=True),
    Column("tokens_per_second", "Story tokens/s", digits=0),
    Column("slowest", "Slowest", digits=0),
    Column("fastest", "Fastest", digits=0),
)
WAIT_COLUMNS = (
    Column("preset", "Preset", text=True),
    Column("step_ms", "Step, ms", digits=0),
    Column("wait_ms", "Wait, ms", digits=2),
    Column("wait_share", "Wait,\u00a0%", digits=3, scale=100),
)
START_COLUMNS = (
    Column("documents", "Documents", digits=0),
    Column("order_ms", "Order, ms", digits=1),
    Column("first_batch_ms", "First batch, ms", digits=1),
    Column("next_batch_ms", "Next batch, ms", digits=2),
    Column("memory_mb", "Peak memory, MB", digits=1),
)


def measure(config: BenchConfig, ceilings: Ceilings) -> Figures:
    """Time the stages by turns, the loop's wait for batches, and the first batches of ever larger corpora."""
    with corpus_of(config) as corpus, tempfile.TemporaryDirectory(prefix="rot5-bench-") as folder:
        first = min(DOCUMENTS, corpus.num_documents)
        texts = min(TEXTS, corpus.num_documents)
        stages = _text_stages(corpus, texts, Path(folder)) | _batch_stages(corpus, first, config)
        speeds = _by_turns(stages, config.rounds)
        wait = _wait(corpus, config)
        starts = [_start(corpus, size, config) for size in CORPUS_SIZES]
        rows = _rows(corpus, config, first)
        everything = rows.rows(0, rows.num_rows)
    ratios = [own / bare for own, bare in zip(speeds["prepare"], speeds["tokenizer alone"], strict=True)]
    facts = {
        "prepare_to_tokenizer": statistics.median(ratios),
        "prepare_to_tokenizer_rounds": ratios,
        "encoder_fill": everything.encoder_fill,
        "decoder_fill": everything.decoder_fill,
    }
    table = [
        {"stage": stage, "tokens_per_second": statistics.median(found), "slowest": min(found), "fastest": max(found)}
        for stage, found in speeds.items()
    ]
    title = f"Stages, {first:,} documents, rows of {config.pack.encoder_length}/{config.pack.decoder_length}, "
    told = (
        f"prepare, of {texts:,} documents, runs at {100 * facts['prepare_to_tokenizer']:.0f} % of the tokenizer's "
        "speed, the median of rounds; "
        f"rows are full to {100 * facts['encoder_fill']:.1f} / {100 * facts['decoder_fill']:.1f} %."
    )
    tables = [
        Table(f"{title}{config.rounds} rounds", table, STAGE_COLUMNS, told),
        Table(f"The wait for batches of {config.batch_rows} rows", [wait], WAIT_COLUMNS),
        Table(f"The first batch of {config.batch_rows} rows", starts, START_COLUMNS),
    ]
    return Figures("Data", ABOUT, tables, facts=facts)


Stage = tuple[int, Callable[[], object]]
"""The story tokens that the work deals with, and the work."""


def _by_turns(stages: dict[str, Stage], rounds: int) -> dict[str, list[float]]:
    """Story tokens per second of processor time of each stage in each round, behind one round to warm up."""
    speeds: dict[str, list[float]] = {name: [] for name in stages}
    for _ in range(rounds + 1):
        for name, (tokens, work) in stages.items():
            began = time.process_time()
            work()
            speeds[name].append(tokens / (time.process_time() - began))
    return {name: found[1:] for name, found in speeds.items()}


def _text_stages(corpus: Corpus, first: int, folder: Path) -> dict[str, Stage]:
    tokenizer = corpus.tokenizer()
    texts, encoder = list(islice(documents(corpus), first)), text_encoder(tokenizer)
    tokens = int(corpus.lengths[:first].sum())
    return {
        "tokenizer alone": (tokens, lambda: encoder.encode_batch(texts, add_special_tokens=False)),
        "prepare": (tokens, lambda: prepare(texts, tokenizer, folder / "corpus", source="bench")),
    }


def _batch_stages(corpus: Corpus, first: int, config: BenchConfig) -> dict[str, Stage]:
    rows = _rows(corpus, config)
    examples, specials = rows.examples, rows.specials
    numbers = np.arange(first)
    plan, blocks = examples.plan(numbers), np.array_split(numbers, -(-first // BLOCK))
    tokens = int(plan.story_tokens.sum())
    inputs, targets, size = plan.input_lengths, plan.target_lengths, config.pack

    def materialise() -> None:
        for block in blocks:
            examples.materialise(plan, block)

    def denoise() -> None:
        for block in blocks:
            examples.materialise(examples.plan(block), block - block[0])

    def make_batches() -> None:
        rows = PackedRows(examples, config.pack, specials, limit=first)
        batches = count(0, config.batch_rows)
        while rows.rows(next(batches), config.batch_rows).num_rows == config.batch_rows:
            pass

    return {
        "plan": (tokens, lambda: examples.plan(numbers)),
        "materialise": (tokens, materialise),
        "denoise": (tokens, denoise),
        "pack": (tokens, lambda: list(pack(inputs, targets, size.encoder_length, size.decoder_length))),
        "whole batches": (tokens, make_batches),
    }


def _rows(corpus: Corpus, config: BenchConfig, limit: int | None = None) -> PackedRows:
    specials = special_ids(corpus.tokenizer())
    return denoising_rows(corpus, specials, DenoiseConfig(), config.pack, seed=0, shuffle=True, limit=limit)


def _wait(corpus: Corpus, config: BenchConfig) -> dict[str, float | str]:
    """What the loop waits for batches, beside what it takes to train on them; medians of the rounds."""
    step = TrainingStep(new_model(ModelConfig(preset=config.preset), corpus.tokenizer(), seed=0).train(), config)
    stop = (config.rounds + WARM_UP) * config.batch_rows
    coming = prefetch(_rows(corpus, config), 0, config.batch_rows, stop=stop)
    waits, steps = [], []
    began = time.perf_counter()
    for batch in coming:
        waits.append(time.perf_counter() - began)
        steps.append(step.gradient(batch) + step.update())
        began = time.perf_counter()
    wait, seconds = (statistics.median(found[WARM_UP:]) for found in (waits, steps))
    return {
        "preset": config.preset,
        "step_ms": 1e3 * seconds,
        "wait_ms": 1e3 * wait,
        "wait_share": wait / (wait + seconds),
    }


class _Repeated:
    """The documents of a corpus again and again, as if they were many."""

    def __init__(self, corpus: Corpus) -> None:
        self.corpus = corpus

    def read(self, documents: NDArray[np.int64], starts: NDArray[np.int64], stops: NDArray[np.int64]) -> Ragged:
        return self.corpus.read(documents % self.corpus.num_documents, starts, stops)


def _start(corpus: Corpus, num_documents: int, config: BenchConfig) -> dict[str, float]:
    """Time to the order and to the first two batches; then their memory, in a second go that is not timed."""
    lengths = np.resize(corpus.lengths, num_documents)
    like = _rows(corpus, config).examples
    assert isinstance(like, Denoised)
    marks = []

    def go() -> None:
        marks.append(time.perf_counter())
        order = Order(lengths, like.order.longest_piece, seed=0)
        marks.append(time.perf_counter())
        examples = Denoised(_Repeated(corpus), order, like.specials, like.config, seed=0)
        rows = PackedRows(examples, config.pack, like.specials)
        for batch in range(2):
            rows.rows(batch * config.batch_rows, config.batch_rows)
            marks.append(time.perf_counter())

    go()
    order, first, following = 1e3 * np.diff(marks)
    tracemalloc.start()
    go()
    peak = tracemalloc.get_traced_memory()[1] + lengths.nbytes
    tracemalloc.stop()
    return {
        "documents": num_documents,
        "order_ms": float(order),
        "first_batch_ms": float(first),
        "next_batch_ms": float(following),
        "memory_mb": peak / 1e6,
    }
