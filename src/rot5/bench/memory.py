"""Peak memory of a training step beside that of transformers' T5 on the same documents, each in its own process."""

import itertools
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from rot5.bench.ceilings import Ceilings
from rot5.bench.figures import Figures
from rot5.bench.one_peer import Peer, PeerProcess
from rot5.bench.one_shape import shape_of
from rot5.bench.peers import ATTENTIONS, PaddedBatch, bucketed_batches, padded_batch
from rot5.bench.steps import WARM_UP, corpus_of, memory_bytes, rows_of
from rot5.config import BenchConfig
from rot5.data.batches import Batch, PackedRows
from rot5.model.presets import find_preset
from rot5.report.charts import Chart, Series
from rot5.report.tables import Column, Table

STEPS = WARM_UP + 1
"""Steps of each process: from the second on, the optimizer's state is there while the gradient is computed."""

OURS, OURS_CHECKPOINTED, PEOPLE = "rot5", "rot5, checkpointed", "T5 as people run it"
TUNED, TUNED_CHECKPOINTED = "T5, like lengths together", "T5, like lengths together, checkpointed"

ABOUT = (
    "The largest resident memory of a process that trains, weights and optimizer included, by story tokens in a step. "
    "transformers' T5 has the shape of `rot5 bench train`, and as people run it takes the very documents of our rows, "
    "padded to the longest, under its default dropout; with like lengths together it takes as many documents of like "
    "length, without dropout, under the attention that needed less; checkpointed, it computes activations again in the "
    "backward pass. rot5 keeps freed memory for the next step, as its trainer does; transformers' runs as the C "
    "library has it. A size is left out where twice the memory of the size before is more than the machine has. A step "
    "is its median time."
)
COLUMNS = (
    Column("variant", "Variant", text=True),
    Column("rows", "Rows"),
    Column("documents", "Documents", digits=0),
    Column("story_tokens", "Story tokens", digits=0),
    Column("peak_mb", "Peak memory,\nMB", digits=0),
    Column("to_ours", "To ours", digits=2),
    Column("step_seconds", "Step, s", digits=2),
)


def measure(config: BenchConfig, ceilings: Ceilings) -> Figures:
    """Measure ours and transformers' T5 at 1, 2, 4, ... rows up to those of a step."""
    find_preset(config.preset)
    table: list[dict[str, Any]] = []
    with corpus_of(config) as corpus, tempfile.TemporaryDirectory(prefix="rot5-bench-") as folder:
        rows = rows_of(corpus, config)
        for size in itertools.takewhile(lambda size: size <= config.batch_rows, (2**n for n in itertools.count())):
            table += _of_size(config.preset, rows, size, table, Path(folder))
    lines = [
        Series(name, [(row["story_tokens"], row["peak_mb"]) for row in table if row["variant"] == name], style)
        for style, name in enumerate(dict.fromkeys(row["variant"] for row in table))
    ]
    title = f"{config.preset}, rows of {config.pack.encoder_length}/{config.pack.decoder_length}"
    chart = Chart("Peak memory of a training step", "MB", lines, along="story tokens in a step", zero=True, form=",.0f")
    return Figures("Memory", ABOUT, [Table(title, table, COLUMNS)], [chart])


def _of_size(
    preset: str, rows: PackedRows, size: int, before: list[dict[str, Any]], folder: Path
) -> list[dict[str, Any]]:
    """Rows of the table for steps of so many packed rows."""
    batches = [rows.rows(step * size, size) for step in range(STEPS)]
    numbers = [batch.segment_examples[batch.segment_examples >= 0] for batch in batches]
    documents = statistics.mean(each.size for each in numbers)
    examples, pad = rows.examples, rows.specials.pad
    ours = [
        _row(name, size, documents, batches, _ours(preset, batches, size, folder, *extra))
        for name, extra in ((OURS, ()), (OURS_CHECKPOINTED, ("checkpointed",)))
    ]
    theirs, shape = [], shape_of(preset).to_dict()
    people = [padded_batch(examples, each, pad) for each in numbers]
    for attention in ATTENTIONS:
        name = f"{PEOPLE}, {attention} attention"
        if _fits(name, size, before):
            peer = Peer(shape=shape, attention=attention, dropout=True)
            measured = _theirs(peer, people)
            theirs.append(_row(name, size, documents, people, measured) | {"attention": attention})
    known = [row for row in (*before, *theirs) if "attention" in row][-len(ATTENTIONS) :]
    attention = min(known, key=lambda row: row["peak_mb"])["attention"]
    tuned = list(itertools.islice(bucketed_batches(examples, pad, round(documents)), STEPS))
    for name, checkpointing in ((TUNED, False), (TUNED_CHECKPOINTED, True)):
        if _fits(name, size, before):
            peer = Peer(shape=shape, attention=attention, checkpointing=checkpointing)
            theirs.append(_row(name, size, documents, tuned, _theirs(peer, tuned)))
    return [row | {"to_ours": row["peak_mb"] / ours[0]["peak_mb"]} for row in (*ours, *theirs)]


def _fits(name: str, size: int, before: list[dict[str, Any]]) -> bool:
    """Whether twice the memory of half the size is there; what did not fit at half the size does not."""
    half = [row["peak_mb"] for row in before if row["variant"] == name and row["rows"] == size // 2]
    return size == 1 or any(2e6 * peak < memory_bytes() for peak in half)


def _row(
    name: str, size: int, documents: float, batches: list[Batch] | list[PaddedBatch], measured: dict[str, Any]
) -> dict[str, Any]:
    return {
        "variant": name,
        "rows": size,
        "documents": documents,
        "story_tokens": statistics.mean(batch.story_tokens for batch in batches),
        "peak_mb": measured["peak_bytes"] / 1e6,
        "step_seconds": statistics.median(measured["seconds"]),
    }


def _ours(preset: str, batches: list[Batch], size: int, folder: Path, *extra: str) -> dict[str, Any]:
    fields = {name: np.concatenate([batch.fields[name] for batch in batches]) for name in batches[0].fields}
    np.savez(folder / "ours.npz", **fields)  # type: ignore[arg-type]
    words = [sys.executable, "-m", "rot5.bench.one_shape", preset, str(folder / "ours.npz"), str(size), *extra]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _theirs(peer: Peer, batches: list[PaddedBatch]) -> dict[str, Any]:
    with PeerProcess(peer, batches) as process:
        seconds = [process.step() for _ in batches]
        return {"seconds": seconds[WARM_UP:], "peak_bytes": process.finish()}
