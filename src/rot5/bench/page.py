"""The page of all benchmarks: `docs/benchmarks.md` and its charts, out of the figures in a folder."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rot5.bench.figures import figures_from
from rot5.errors import UserError
from rot5.report.markdown import markdown_table
from rot5.report.plots import Gallery


def write_page(folder: Path, order: Sequence[str], path: Path) -> Path:
    """Write the benchmarks whose JSON lies in `folder`, in `order`, to `path`; charts go into `folder`."""
    if not any((folder / f"{name}.json").is_file() for name in order):
        raise UserError(f"{folder} holds no figures: measure some with `rot5 bench train --out {folder}`")
    parts = [
        "# Benchmarks",
        f"Written by `rot5 bench page --out {folder} --markdown {path}` out of the figures in that folder; the command "
        "that measured them stands below each. Alternatives took turns in one process or one run, so that ratios mean "
        "more than the absolute figures, which are those of a shared machine.",
    ]
    for name in order:
        file = folder / f"{name}.json"
        if file.is_file():
            parts += _section(json.loads(file.read_text(encoding="utf-8")), Gallery(folder, name), path.parent)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return path


def _section(found: Mapping[str, Any], gallery: Gallery, beside: Path) -> list[str]:
    figures = figures_from(found)
    parts = [f"## {figures.title}", figures.about, f"`{found['command']}` on {_machine(found)}."]
    for table in figures.tables:
        parts += [f"### {table.title}", markdown_table(table.rows, table.columns)]
        parts += [table.about] if table.about else []
    for chart in figures.charts:
        if saved := gallery.add(chart):
            parts.append(f"![{chart.title}]({os.path.relpath(saved, beside)})")
    return parts


def _machine(found: Mapping[str, Any]) -> str:
    where, best = found["environment"], found["ceilings"]
    return (
        f"{where['device']}, {where['threads']} threads, torch {where['torch']}, transformers {where['transformers']}: "
        f"matrix products at {best['matmul_bf16'] / 1e9:,.0f} GFLOP/s in bf16 and {best['matmul_float32'] / 1e9:,.0f} "
        f"in float32, memory at {best['bandwidth'] / 1e9:,.1f} GB/s"
    )
