"""The charts of a report as picture files, for pages that cannot hold them inline."""

from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from rot5.report.charts import LOG_FROM_RATIO, Chart

COLOURS = ("#0b6b74", "#c25a17", "#7a4da6", "#6f7a12", "#b3315f", "#55636b")
DASHES = ("-", "--", ":", "-.")
STEADY: Any = {"svg.fonttype": "none", "svg.hashsalt": "rot5", "font.size": 9}
"""Text stays text, and the same chart gives the same file."""


class Gallery:
    """Saves charts as `stem-1.svg`, `stem-2.svg`, … in a folder."""

    def __init__(self, folder: Path, stem: str):
        self.folder = folder
        self.stem = stem
        self.saved: list[tuple[str, Path]] = []
        """Titles and files, in order."""

    def add(self, chart: Chart) -> Path | None:
        """Save one chart and return its path; None where there is no point."""
        series, form = chart.lines, chart.form
        if not series:
            return None
        with matplotlib.rc_context(STEADY):
            figure = Figure(figsize=(6.4, 4.2), layout="constrained")
            axes = figure.subplots()
            for line in series:
                x, y = zip(*line.points, strict=True)
                last = "" if line.dots else f"  {format(y[-1], form)}"
                (drawn,) = axes.plot(x, y, label=line.name + last, color=COLOURS[line.style % len(COLOURS)])
                drawn.set_linestyle("none" if line.dots else DASHES[line.style % len(DASHES)])
                drawn.set_marker("o" if line.dots else "")
            axes.set(title=chart.title, xlabel=chart.along, ylabel=chart.unit)
            if chart.log_along:
                axes.set_xscale("log")
            else:
                axes.set_xlim(left=0)
            heights = [y for line in series for _, y in line.points]
            if chart.log and min(heights) > 0 and max(heights) / min(heights) > LOG_FROM_RATIO:
                axes.set_yscale("log")
            if chart.zero:
                axes.set_ylim(bottom=0)
            axes.grid(alpha=0.3)
            figure.legend(loc="outside lower center", ncols=2, frameon=False)
            path = self.folder / f"{self.stem}-{len(self.saved) + 1}.svg"
            figure.savefig(path, metadata={"Date": None})
        self.saved.append((chart.title, path))
        return path
