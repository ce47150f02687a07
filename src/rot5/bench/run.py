"""`rot5 bench`: speed and memory, measured on this machine."""

import importlib
import shlex
from dataclasses import asdict, replace
from pathlib import Path

from rich.console import Console

from rot5 import runtime
from rot5.bench.ceilings import measure_ceilings
from rot5.bench.page import write_page
from rot5.config import BenchConfig
from rot5.data import packing
from rot5.data.corpus import Corpus
from rot5.errors import UserError, nearest
from rot5.folders import check_writable, write_json
from rot5.model.presets import find_preset
from rot5.progress import shown
from rot5.recipes import command_line
from rot5.report.tables import text_table

BENCHES = {
    "train": "rot5.bench.train",
    "memory": "rot5.bench.memory",
    "moe": "rot5.bench.moe",
    "decode": "rot5.bench.decode",
    "data": "rot5.bench.data",
    "time-to-loss": "rot5.bench.time_to_loss",
    "growth": "rot5.bench.growth",
    "plan": "rot5.bench.plan",
    "checkpoint": "rot5.bench.checkpoint",
    "serve": "rot5.bench.serve",
}
"""Modules whose `measure(config, ceilings)` gives the figures, in the order of the page."""

COUNTS = ("rounds", "batch_rows", "seeds")


def run(config: BenchConfig) -> None:
    """Measure, print the tables, write the figures, and the page where asked."""
    known = (*BENCHES, "page")
    if config.what not in known:
        raise UserError(f"unknown benchmark {config.what!r}: {nearest(config.what, known)}")
    if config.what == "page" and not config.markdown:
        raise UserError("bench page writes a page alone: name it with --markdown")
    wrong = [f"{key} {getattr(config, key)} must be at least 1" for key in COUNTS if getattr(config, key) < 1]
    if wrong := wrong + packing.problems(config.pack):
        raise UserError("; ".join(wrong))
    if config.markdown:
        check_writable(Path(config.markdown), "markdown")
    if Path(config.out).is_file():
        raise UserError(f"{config.out} is a file: choose another folder")
    if config.what != "page":
        for name in config.preset.split(","):
            find_preset(name)
        for folder in filter(None, (config.corpus, config.validation)):
            Corpus.open(folder)
        _measure(config)
    if config.markdown:
        print(write_page(Path(config.out), tuple(BENCHES), Path(config.markdown)))


def _measure(config: BenchConfig) -> None:
    module = importlib.import_module(BENCHES[config.what])
    runtime.keep_freed_memory()
    with shown(f"measuring {config.what}"):
        ceilings = measure_ceilings()
        figures = module.measure(config, ceilings)
    console = Console(width=140)
    for table in figures.tables:
        console.print(text_table(table.rows, table.columns, table.title))
    told = {
        "command": shlex.join(
            ["rot5", "bench", config.what, *command_line("bench", replace(config, what="train"))[2:]]
        ),
        "environment": runtime.environment(),
        "ceilings": asdict(ceilings),
        **asdict(figures),
    }
    Path(config.out).mkdir(parents=True, exist_ok=True)
    write_json(Path(config.out) / f"{config.what}.json", told)
