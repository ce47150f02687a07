"""What it costs that nothing is lost: checkpoints written beside training, and data read through once."""

import statistics
import tempfile
import time
from pathlib import Path

from rot5.bench.ceilings import Ceilings
from rot5.bench.figures import Figures
from rot5.bench.steps import WARM_UP, TrainingStep, batches_of, corpus_of
from rot5.build.models import new_model
from rot5.config import BenchConfig
from rot5.data.batches import Batch
from rot5.data.corpus import Corpus
from rot5.model.settings import ModelConfig
from rot5.report.tables import Column, Table
from rot5.train.checkpoint import CheckpointWriter, checkpoints, damage

EVERY = 60.0
"""Seconds from one checkpoint to the next, in a run that wants to lose no more than that."""

ABOUT = (
    "A checkpoint is copied at once and written, hashed and forced to the disk while training goes on. Its cost is "
    "what the steps until it is whole took longer than the same steps before and behind it, and the copying; the share "
    f"is of the time between two checkpoints, {EVERY:.0f} seconds. A run reads its data through once, beside training, "
    "to see that it is as it was written: the share is of the time in which it trains on all of it once."
)
COLUMNS = (
    Column("round", "Round", text=True),
    Column("copy_ms", "Copying, ms", digits=0),
    Column("write_s", "Until it is whole, s", digits=2),
    Column("steps", "Steps meanwhile", digits=0),
    Column("step_ms", "Step, ms", digits=0),
    Column("meanwhile_ms", "Step meanwhile, ms", digits=0),
    Column("extra_s", "Cost, s", digits=2),
    Column("share", "Share, %", digits=2),
)
DATA_COLUMNS = (
    Column("bytes", "Bytes", digits=0),
    Column("seconds", "Seconds", digits=3),
    Column("epoch_s", "Training on it once, s", digits=0),
    Column("share", "Share, %", digits=4),
)


def measure(config: BenchConfig, ceilings: Ceilings) -> Figures:
    """Save as often as there are rounds, with steps before, meanwhile and behind."""
    with corpus_of(config) as corpus:
        batches = batches_of(corpus, config)
        model = new_model(ModelConfig(preset=config.preset), corpus.tokenizer(), seed=0).train()
        step = TrainingStep(model, config)
        for batch in batches[:WARM_UP]:
            step.turn(batch)
        Path(config.out).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=config.out) as folder:
            writer = CheckpointWriter(Path(folder), 2, sharded=False)
            rounds = [_round(step, batches, writer, number) for number in range(config.rounds + 1)][1:]
            writer.close()
            newest = checkpoints(Path(folder))[-1]
            assert not damage(newest)
            size = sum(file.stat().st_size for file in newest.iterdir())
        turn = step.turn(batches[-1])
        data = _data(corpus, turn.speed)
    shares = [each["share"] for each in rounds]
    table = [{"round": f"{n}", **each} for n, each in enumerate(rounds, start=1)]
    table.append({"round": "median", **{key: statistics.median(each[key] for each in rounds) for key in rounds[0]}})
    title = f"Checkpoints of {config.preset}, {size / 2**20:,.0f} MiB, {config.batch_rows} rows a step"
    tables = [Table(title, table, COLUMNS), Table("Data read through", [data], DATA_COLUMNS)]
    return Figures("What safety costs", ABOUT, tables, facts={"bytes": size, "shares": shares})


def _round(step: TrainingStep, batches: list[Batch], writer: CheckpointWriter, number: int) -> dict[str, float]:
    """One checkpoint, and the steps around it."""
    batch = batches[WARM_UP]
    plain = [step.turn(batch).seconds for _ in range(3)]
    began = time.perf_counter()
    writer.save(number, step.model, step.optimizer, {"step": number})
    copied = time.perf_counter() - began
    meanwhile = []
    while writer.busy:
        meanwhile.append(step.turn(batch).seconds)
    written = time.perf_counter() - began
    writer.wait()
    plain += [step.turn(batch).seconds for _ in range(3)]
    usual = statistics.median(plain)
    extra = copied + sum(meanwhile) - usual * len(meanwhile)
    return {
        "copy_ms": 1e3 * copied,
        "write_s": written,
        "steps": len(meanwhile),
        "step_ms": 1e3 * usual,
        "meanwhile_ms": 1e3 * statistics.mean(meanwhile) if meanwhile else 1e3 * usual,
        "extra_s": extra,
        "share": 100 * extra / EVERY,
    }


def _data(corpus: Corpus, story_tokens_per_second: float) -> dict[str, float]:
    began = time.perf_counter()
    corpus.verify()
    seconds = time.perf_counter() - began
    epoch = corpus.num_tokens / story_tokens_per_second
    size = sum(seal["size"] for seal in corpus.manifest["files"].values())
    return {"bytes": size, "seconds": seconds, "epoch_s": epoch, "share": 100 * seconds / epoch}
