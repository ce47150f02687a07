"""Story tokens per second of packed training, eager and compiled, beside what the machine's matrix products allow."""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from rich.console import Console

from rot5 import runtime
from rot5.build import denoising_rows, new_model
from rot5.config import BenchConfig
from rot5.data import sources
from rot5.data.batches import Batch
from rot5.data.corpus import Corpus, prepare
from rot5.data.denoise import DenoiseConfig
from rot5.data.tokenizer import build_tokenizer, special_ids
from rot5.model.settings import ModelConfig
from rot5.report.tables import Column, text_table
from rot5.train.losses import backward_step, language_model_loss, to_tensors
from rot5.train.optimizers import build_optimizer
from rot5.train.settings import OptimizerConfig

STORIES = 3000
"""StoryWorld stories to train on when no corpus is given."""

COLUMNS = (
    Column("variant", "Variant", text=True),
    Column("story_tokens_per_second", "Story tokens/s", digits=0),
    Column("slowest", "Slowest", digits=0),
    Column("fastest", "Fastest", digits=0),
    Column("first_step_seconds", "First step, s", digits=1),
    Column("peak_memory_gib", "Peak memory, GiB", digits=2),
)


def matmul_ceiling(device: torch.device, precision: torch.dtype, size: int = 2048, rounds: int = 8) -> float:
    """Floating-point operations per second of a large matrix product (2 n^3 each), the median of `rounds`."""
    a, b = (torch.randn(size, size, device=device, dtype=precision) for _ in range(2))
    seconds = []
    for _ in range(rounds + 2):
        began = time.perf_counter()
        torch.mm(a, b)
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    return 2 * size**3 / statistics.median(seconds[2:])


def bench_train(config: BenchConfig) -> dict:
    """Time whole optimizer steps on different batches of real rows, the variants taking turns."""
    runtime.keep_freed_memory()
    with tempfile.TemporaryDirectory(prefix="rot5-bench-") as folder:
        return _measure(config, _corpus(config, Path(folder) / "stories"))


def _measure(config: BenchConfig, corpus: Corpus) -> dict:
    device = runtime.device()
    tokenizer = corpus.tokenizer()
    specials = special_ids(tokenizer)
    rows = denoising_rows(corpus, specials, DenoiseConfig(), config.pack, 0, shuffle=True)
    batches = [rows.rows(step * config.batch_rows, config.batch_rows) for step in range(config.rounds + 2)]
    model = new_model(ModelConfig(preset=config.preset), tokenizer, seed=0).train()
    ceiling = matmul_ceiling(device, torch.bfloat16)

    steps = {"eager": _step(model, config, compiled=False)}
    if runtime.has_compiler():
        steps["compiled"] = _step(model, config, compiled=True)
    first, peak = {}, {}
    for variant, step in steps.items():
        first[variant] = _timed(step, batches[0])
        _timed(step, batches[1])
        peak[variant] = runtime.peak_memory_bytes() / 2**30
    speeds: dict[str, list[float]] = {variant: [] for variant in steps}
    for batch in batches[2:]:
        for variant, step in steps.items():
            speeds[variant].append(batch.story_tokens / _timed(step, batch))
    table = [
        {
            "variant": variant,
            "story_tokens_per_second": statistics.median(measured),
            "slowest": min(measured),
            "fastest": max(measured),
            "first_step_seconds": first[variant],
            "peak_memory_gib": peak[variant],
        }
        for variant, measured in speeds.items()
    ]
    title = (
        f"Training {config.preset} ({model.num_parameters():,} parameters), {config.batch_rows} rows of "
        f"{config.pack.encoder_length}/{config.pack.decoder_length}, {config.rounds} rounds; "
        f"bf16 matrix products reach {ceiling / 1e9:,.0f} GFLOP/s"
    )
    Console(width=120).print(text_table(table, COLUMNS, title))
    fill = {
        "encoder_fill": statistics.mean(batch.encoder_fill for batch in batches),
        "decoder_fill": statistics.mean(batch.decoder_fill for batch in batches),
    }
    print(f"fill: encoder {fill['encoder_fill']:.1%}, decoder {fill['decoder_fill']:.1%}")
    return {"environment": runtime.environment(), "matmul_flops_per_second": ceiling, "variants": table, **fill}


def _corpus(config: BenchConfig, folder: Path) -> Corpus:
    """The corpus that is asked for, or StoryWorld prepared in `folder`."""
    if config.corpus:
        return Corpus.open(Path(config.corpus))
    stories = sources.documents(sources.SourceConfig(name="storyworld", limit=STORIES))
    prepare(stories, build_tokenizer(), folder, source="storyworld")
    return Corpus.open(folder)


def _step(model, config: BenchConfig, *, compiled: bool) -> Callable[[Batch], None]:
    optimizer = build_optimizer(model, OptimizerConfig(lr=1e-4))
    loss = language_model_loss(model, model.device, "bf16")
    if compiled:
        loss = torch.compile(loss, dynamic=False)

    def step(batch: Batch) -> None:
        fields = to_tensors(batch.fields, model.device)
        backward_step(loss, fields, config.batch_rows, batch.num_targets)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if model.device.type == "cuda":
            torch.cuda.synchronize()

    return step


def _timed(step: Callable[[Batch], None], batch: Batch) -> float:
    began = time.perf_counter()
    step(batch)
    return time.perf_counter() - began
