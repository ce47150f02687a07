"""What `rot5 plan` says of memory and time beside what training really takes, one process per shape."""

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from rot5 import runtime
from rot5.bench.ceilings import Ceilings
from rot5.bench.figures import Figures
from rot5.bench.steps import batches_of, corpus_of
from rot5.config import BenchConfig
from rot5.model.configuration_rot5 import Rot5Config
from rot5.model.presets import find_preset
from rot5.report.tables import Column, Table
from rot5.sizing.calibration import calibrate
from rot5.sizing.compute import packed_load
from rot5.sizing.memory import training_memory
from rot5.sizing.time import step_seconds

PASSES = 3
"""Times that everything is measured, calibration too, so that a busy minute of the machine falls on both."""

ABOUT = (
    "What `rot5 plan` says of a training step's memory and time beside what it takes, each shape in a process of "
    "its own. Errors are estimate / measured - 1. Memory is the largest peak of all passes. A step's time and its "
    "estimate are medians over passes, the error the median of each pass's own: its calibration beside its steps."
)
COLUMNS = (
    Column("preset", "Preset", text=True),
    Column("memory_mb", "Peak memory,\nMB", digits=0),
    Column("memory_mb_estimated", "Estimated,\nMB", digits=0),
    Column("memory_error", "Error,\u00a0%", scale=100),
    Column("step_ms", "Step,\nms", digits=0),
    Column("step_ms_estimated", "Estimated,\nms", digits=0),
    Column("step_error", "Error,\u00a0%", scale=100),
)


def measure(config: BenchConfig, ceilings: Ceilings) -> Figures:
    """Measure each shape in turn, several times, and set the estimates beside it."""
    names = config.preset.split(",")
    shapes = {name: Rot5Config(vocab_size=find_preset(name).vocab_size, **find_preset(name).shape) for name in names}
    pack = config.pack
    with corpus_of(config) as corpus:
        batches, document = batches_of(corpus, config), round(float(corpus.lengths.mean()))
    load = packed_load(config.batch_rows, pack.encoder_length, pack.decoder_length, document=document)
    peaks: dict[str, list[float]] = {name: [] for name in names}
    seconds: dict[str, list[float]] = {name: [] for name in names}
    expected: dict[str, list[float]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory(prefix="rot5-bench-") as folder:
        path = Path(folder) / "batches.npz"
        fields = {key: np.concatenate([batch.fields[key] for batch in batches]) for key in batches[0].fields}
        np.savez(path, **fields)  # type: ignore[arg-type]
        for _ in range(PASSES):
            hardware = calibrate()
            for name, shape in shapes.items():
                measured = _peak_and_seconds(name, path, config.batch_rows)
                peaks[name].append(measured["peak_bytes"])
                seconds[name].append(statistics.median(measured["seconds"]))
                expected[name].append(step_seconds(shape, config.batch_rows, load, hardware, optimizer="adamw"))
    cuda = runtime.device().type == "cuda"
    table = []
    for name, shape in shapes.items():
        memory = training_memory(shape, config.batch_rows, load, optimizer="adamw", cuda=cuda).total
        errors = [told / took - 1 for told, took in zip(expected[name], seconds[name], strict=True)]
        table.append(
            {
                "preset": name,
                "memory_mb": max(peaks[name]) / 1e6,
                "memory_mb_estimated": memory / 1e6,
                "memory_error": memory / max(peaks[name]) - 1,
                "step_ms": 1e3 * statistics.median(seconds[name]),
                "step_ms_estimated": 1e3 * statistics.median(expected[name]),
                "step_error": statistics.median(errors),
                "step_errors": errors,
            }
        )
    title = (
        f"{config.batch_rows} rows of {pack.encoder_length}/{pack.decoder_length}, {PASSES} passes of "
        f"{config.rounds} steps"
    )
    return Figures("Estimates", ABOUT, [Table(title, table, COLUMNS)], facts={"document_tokens": document})


def _peak_and_seconds(preset: str, batches: Path, batch_rows: int) -> dict:
    command = [sys.executable, "-m", "rot5.bench.one_shape", preset, str(batches), str(batch_rows)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
