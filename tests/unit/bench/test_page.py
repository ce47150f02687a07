"""Figures go to JSON and back, and onto one page."""

import importlib
import json
from dataclasses import asdict

import pytest

from rot5.bench.figures import Figures, figures_from
from rot5.bench.run import BENCHES, run
from rot5.config import BenchConfig
from rot5.report.charts import Chart, Series
from rot5.report.tables import Column, Table

FIGURES = Figures(
    "Training",
    "Ours beside theirs.",
    [Table("Steps", [{"who": "ours", "speed": 12.34}], [Column("who", "Who", text=True), Column("speed", "Speed")])],
    [Chart("Growth", "tokens/s", [Series("ours", [(1, 2.0), (2, 4.0)])], along="rows", log_along=True)],
    {"rounds": [1, 2]},
)
TOLD = {
    "command": "rot5 bench train",
    "environment": {"device": "abacus", "threads": 2, "torch": "2", "transformers": "5"},
    "ceilings": {"matmul_bf16": 8e11, "matmul_float32": 2e11, "bandwidth": 1e10},
}


def test_figures_come_back_from_json():
    plain = json.loads(json.dumps(asdict(FIGURES)))
    assert json.loads(json.dumps(asdict(figures_from(plain)))) == plain
    assert figures_from(plain).tables[0].columns == FIGURES.tables[0].columns


def test_a_page_of_what_was_measured(tmp_path):
    folder, path = tmp_path / "bench", tmp_path / "docs" / "benchmarks.md"
    folder.mkdir()
    for name in ("train", "moe"):
        (folder / f"{name}.json").write_text(json.dumps({**TOLD, **asdict(FIGURES), "title": f"About {name}"}))
    run(BenchConfig(what="page", out=str(folder), markdown=str(path)))
    page = path.read_text()
    assert page.index("## About train") < page.index("## About moe") and "| ours | 12.3 |" in page
    assert "abacus, 2 threads" in page and "800 GFLOP/s" in page and "rot5 bench train" in page
    assert "(../bench/train-1.svg)" in page and (folder / "moe-1.svg").is_file()


@pytest.mark.parametrize("name", BENCHES)
def test_every_benchmark_has_a_measure(name):
    assert callable(importlib.import_module(BENCHES[name]).measure)
