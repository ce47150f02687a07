"""What the tab of runs shows: run folders in a table, and curves of some, read on while a run goes on."""

import json
import os
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rot5.folders import owner
from rot5.report.charts import Chart, Point, Series, line_chart, thinned
from rot5.report.html import Html, element, join
from rot5.report.runs import Run, by_name
from rot5.report.tables import Column, html_table
from rot5.train.run_folder import RunFolder

DEPTH, MOST_RUNS = 5, 300
"""How deep run folders are looked for, and how many are shown."""
MOST_READ = 1 << 22
"""Bytes of a run's metrics read at one look; what is left is read at the next."""
SECONDS = 1.0
"""For reading runs for the first time, at one look."""
MOST_POINTS = 4000
"""Points kept of a curve; it is thinned to half as many when there are more, with its extremes."""
MOST_CHOSEN = 6
"""Runs whose curves are drawn together."""

CURVES = {
    "train/loss": ("Training loss", "nats per target"),
    "eval/loss": ("Evaluation loss", "nats per target"),
    "eval/bits_per_byte": ("Bits per byte", "of the targets' text"),
    "speed/story_tokens_per_second": ("Speed", "story tokens per second"),
}
"""Metrics that are drawn, with titles and units."""
LAST = ("step", "story_tokens", *CURVES)
"""Metrics whose newest values the table shows."""

AT_WORK = "at work"
"""The state of a run that is being written by somebody."""

COLUMNS = (
    Column("run", "Run", text=True),
    Column("kind", "Kind", text=True),
    Column("state", "State", text=True),
    Column("parameters", "Parameters"),
    Column("step", "Steps"),
    Column("loss", "Evaluation loss", digits=3),
    Column("bits_per_byte", "Bits per byte", digits=3),
    Column("rougeL", "ROUGE-L"),
    Column("speed", "Story tokens/s", digits=0),
)


@dataclass
class Metrics:
    """A file of metrics that is read on from where it was read to; begun anew where it was replaced."""

    path: Path
    last: dict[str, float] = field(default_factory=dict)
    """The newest value of each metric in LAST."""
    curves: dict[str, list[Point]] = field(default_factory=dict)
    """(story tokens, value) of each metric in CURVES, oldest first."""
    written: float = 0.0
    """When it was written to last."""
    _read: int = 0
    _file: int = -1

    def read_on(self) -> bool:
        """Read what is new, up to MOST_READ bytes of whole lines, and tell whether there was anything."""
        try:
            with self.path.open("rb") as file:
                found = os.fstat(file.fileno())
                self.written = found.st_mtime
                if found.st_ino != self._file or found.st_size < self._read:
                    self.last, self.curves, self._read, self._file = {}, {}, 0, found.st_ino
                file.seek(self._read)
                new = file.read(MOST_READ)
        except FileNotFoundError:
            return False
        whole = new.rfind(b"\n") + 1
        for line in new[:whole].splitlines():
            self._add(line)
        self._read += whole
        return whole > 0

    def _add(self, line: bytes) -> None:
        try:
            record = json.loads(line)
        except ValueError:
            return
        if not isinstance(record, dict):
            return
        self.last |= {key: record[key] for key in LAST if isinstance(record.get(key), int | float)}
        along = record.get("story_tokens")
        for key in CURVES:
            if isinstance(record.get(key), int | float) and isinstance(along, int | float):
                points = self.curves.setdefault(key, [])
                points.append((along, record[key]))
                if len(points) > MOST_POINTS:
                    points[:] = thinned(points, MOST_POINTS // 2)


class Watched:
    """One run folder and what is known of it; files that did not change are not read again."""

    def __init__(self, name: str, folder: Path):
        self.name = name
        self.run = RunFolder(folder)
        self.metrics = Metrics(self.run.metrics_file)
        self.state = ""
        self._stamp: tuple | None = None
        self._fixed: dict[str, Any] = {}

    @property
    def read(self) -> bool:
        """Whether all of it was ever read."""
        return self._stamp is not None

    def refresh(self, metrics_alone: bool = False) -> bool:
        """Read what is new, and tell whether anything was."""
        changed = self.metrics.read_on()
        if metrics_alone:
            return changed
        stamp = tuple(_stamp(self.run.path / name) for name in ("config.yaml", "environment.json", "eval.json"))
        if stamp != self._stamp:
            self._fixed, self._stamp, changed = _overview(self.name, self.run), stamp, True
        state = _state(self.run)
        changed, self.state = changed or state != self.state, state
        return changed

    def row(self) -> dict[str, Any]:
        """For COLUMNS; the final evaluation goes before those during training."""
        last, fixed = self.metrics.last, self._fixed
        return {
            "run": self.name,
            "kind": fixed.get("kind"),
            "state": self.state,
            "parameters": fixed.get("parameters"),
            "step": last.get("step"),
            "loss": fixed.get("loss") or last.get("eval/loss"),
            "bits_per_byte": fixed.get("bits_per_byte") or last.get("eval/bits_per_byte"),
            "rougeL": fixed.get("rougeL"),
            "speed": last.get("speed/story_tokens_per_second"),
        }


class Board:
    """All runs below a folder, for any number of threads."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._watched: dict[str, Watched] = {}
        self._version = 0
        self._lock = threading.Lock()

    def refresh(self) -> tuple[int, list[Watched]]:
        """All runs by name, read on, and a number that grows with every change.

        Metrics are read at once. What else takes longer than SECONDS is left to the next look.
        """
        with self._lock:
            found, deadline = dict(find(self.folder)), time.monotonic() + SECONDS
            changed = found.keys() != self._watched.keys()
            self._watched = {name: self._watched.get(name) or Watched(name, path) for name, path in found.items()}
            for watched in sorted(self._watched.values(), key=lambda each: each.read):
                late = not watched.read and time.monotonic() > deadline
                changed = watched.refresh(metrics_alone=late) or changed
            self._version += changed
            return self._version, by_name(self._watched.values())


def find(folder: Path) -> Iterator[tuple[str, Path]]:
    """Run folders below a folder, by their way from it, the folder itself included; what a run holds is no run."""
    waiting, count = [(folder, 0)], 0
    while waiting and count < MOST_RUNS:
        path, depth = waiting.pop(0)
        if RunFolder(path).exists() or RunFolder(path).evaluation_file.is_file():
            count += 1
            yield (path.relative_to(folder).as_posix() if path != folder else folder.resolve().name), path
            continue
        if depth < DEPTH:
            try:
                inner = sorted(each for each in path.iterdir() if each.is_dir() and not each.is_symlink())
            except OSError:
                continue
            waiting += [(each, depth + 1) for each in inner if not each.name.startswith((".", "partial-", "old-"))]


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _overview(name: str, folder: RunFolder) -> dict[str, Any]:
    """What the files say that are written once; nothing where one cannot be read."""
    run = Run(name, folder)
    try:
        model, overall = run.summaries.get("systems", {}).get("model", {}), run.likelihood.get("overall", {})
        words = run.command
        return {
            "kind": words[1] if len(words) > 1 else "pretrain" if "denoise" in run.config else "",
            "parameters": run.parameters,
            "loss": _mean(overall.get("loss")),
            "bits_per_byte": _mean(overall.get("bits_per_byte")),
            "rougeL": _mean(model.get("rougeL")),
        }
    except Exception:  # whatever a file of a wrong shape makes YAML, JSON or Python raise
        return {"kind": "unreadable"}


def _mean(value: Any) -> float | None:
    """A figure that may be an interval."""
    return value.get("mean") if isinstance(value, dict) else value


def _state(run: RunFolder) -> str:
    if owner(run.path):
        return AT_WORK
    return "done" if run.evaluation_file.is_file() else "not finished"


def newest(runs: Sequence[Watched], most: int = 2) -> list[str]:
    """Names of the runs that have curves and were written to last."""
    trained = [watched for watched in runs if watched.metrics.curves]
    return [watched.name for watched in sorted(trained, key=lambda each: each.metrics.written)[-most:]]


def table_html(runs: Sequence[Watched], folder: Path) -> Html:
    """The table of all runs, those at work first, or one sentence where there is none."""
    if not runs:
        return element("p", f"There is no run in {folder} yet: rot5 pretrain, finetune and distill make some.")
    note = f"The first {MOST_RUNS} found." if len(runs) >= MOST_RUNS else None
    rows = [watched.row() for watched in sorted(runs, key=lambda each: each.state != AT_WORK)]
    table = element("div", html_table(rows, COLUMNS, f"Runs in {folder}"), class_="board")
    return join([element("p", note, class_="note") if note else None, table])


def curves_html(runs: Sequence[Watched]) -> Html:
    """A chart for each metric that some of the runs have, over story tokens."""
    charts = []
    for key, (title, unit) in CURVES.items():
        series = [
            Series(watched.name, watched.metrics.curves[key], style)
            for style, watched in enumerate(runs)
            if watched.metrics.curves.get(key)
        ]
        if len(series) == 1 < len(runs):
            title = f"{title}: {series[0].name}"
        speed = key.startswith("speed/")
        form = ",.0f" if speed else ",.3f"
        chart = Chart(title, unit, series, along="tokens", log=not speed, zero=speed, form=form)
        charts.append(line_chart(chart))
    drawn = [chart for chart in charts if chart is not None]
    if not drawn:
        return element("p", "Choose a run that has been trained to see its curves.", class_="note")
    return join([element("p", "Over story tokens.", class_="note"), element("div", *drawn, class_="charts")])
