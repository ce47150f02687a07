"""Story tokens per second of packed training, eager and compiled, beside what the machine's matrix products allow."""

import statistics

from rot5 import runtime
from rot5.bench.ceilings import Ceilings
from rot5.bench.figures import Figures
from rot5.bench.steps import WARM_UP, TrainingStep, batches_of, corpus_of, take_turns
from rot5.build import new_model
from rot5.config import BenchConfig
from rot5.data.batches import Batch
from rot5.model.settings import ModelConfig
from rot5.report.tables import Column, Table

ABOUT = "Whole optimizer steps on different batches of real rows, the variants taking turns."
COLUMNS = (
    Column("variant", "Variant", text=True),
    Column("story_tokens_per_second", "Story tokens/s", digits=0),
    Column("slowest", "Slowest", digits=0),
    Column("fastest", "Fastest", digits=0),
    Column("first_step_seconds", "First step, s", digits=1),
    Column("peak_memory_gib", "Peak memory, GiB", digits=2),
)


def measure(config: BenchConfig, ceilings: Ceilings) -> Figures:
    """Time whole optimizer steps on different batches of real rows, the variants taking turns."""
    with corpus_of(config) as corpus:
        batches = batches_of(corpus, config)
        model = new_model(ModelConfig(preset=config.preset), corpus.tokenizer(), seed=0).train()
    steps = {"eager": TrainingStep(model, config)}
    if runtime.has_compiler():
        steps["compiled"] = TrainingStep(model, config, compiled=True)

    def seconds(step: TrainingStep, batch: Batch) -> float:
        return step.gradient(batch) + step.update()

    first, peak = {}, {}
    for variant, step in steps.items():
        warm_up = [seconds(step, batch) for batch in batches[:WARM_UP]]
        first[variant] = warm_up[0]
        peak[variant] = runtime.peak_memory_bytes() / 2**30
    speeds = take_turns(
        {name: lambda batch, step=step: batch.story_tokens / seconds(step, batch) for name, step in steps.items()},
        batches[WARM_UP:],
    )
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
        f"{config.preset} ({model.num_parameters():,} parameters), {config.batch_rows} rows of "
        f"{config.pack.encoder_length}/{config.pack.decoder_length}, {config.rounds} rounds"
    )
    fill = {
        "encoder_fill": statistics.mean(batch.encoder_fill for batch in batches),
        "decoder_fill": statistics.mean(batch.decoder_fill for batch in batches),
    }
    return Figures("Training", ABOUT, [Table(title, table, COLUMNS)], facts=fill)
