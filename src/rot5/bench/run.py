"""`rot5 bench`: speed and memory, measured on this machine."""

from pathlib import Path

from rot5.bench.moe import bench_moe
from rot5.bench.plan import bench_plan
from rot5.bench.train import bench_train
from rot5.config import BenchConfig
from rot5.data import packing
from rot5.errors import UserError, nearest
from rot5.folders import write_json

BENCHES = {"train": bench_train, "moe": bench_moe, "plan": bench_plan}
COUNTS = ("rounds", "batch_rows")


def run(config: BenchConfig) -> None:
    """Measure, print the table, and write the figures where asked."""
    if config.what not in BENCHES:
        raise UserError(f"unknown benchmark {config.what!r}: {nearest(config.what, BENCHES)}")
    wrong = [f"{key} {getattr(config, key)} must be at least 1" for key in COUNTS if getattr(config, key) < 1]
    if wrong := wrong + packing.problems(config.pack):
        raise UserError("; ".join(wrong))
    figures = BENCHES[config.what](config)
    if config.out:
        write_json(Path(config.out), figures)
