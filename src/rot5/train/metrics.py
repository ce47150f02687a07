"""What a run says while it trains: one line per record in a file, and a live line on the terminal."""

import json
import os
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from rot5.folders import write_text
from rot5.train.run_folder import read_jsonl


class MetricsLog:
    """Appends records to a JSON-lines file. After a resume it first drops what lies beyond the resumed step.

    One that does not write is for the other ranks.
    """

    def __init__(self, path: Path, resume_step: int, *, writes: bool):
        self._file = None
        if not writes:
            return
        kept = [record for record in read_jsonl(path) if record["step"] <= resume_step]
        write_text(path, "".join(json.dumps(record) + "\n" for record in kept))
        self._file = path.open("a", encoding="utf-8")

    def write(self, record: dict) -> None:
        """Append one record; it is on its way to the disk when this returns."""
        if self._file:
            self._file.write(json.dumps(record) + "\n")
            self._file.flush()

    def sync(self) -> None:
        """Force to the disk what was written, so that no checkpoint is newer than the records before it."""
        if self._file:
            os.fsync(self._file.fileno())

    def close(self) -> None:
        if self._file:
            self._file.close()


class Live:
    """A progress bar with loss and speed on a terminal; a plain line now and then elsewhere. Nothing on other ranks."""

    def __init__(self, title: str, steps: int, start: int, *, shows: bool):
        self._shows = shows
        self._console = Console(stderr=True)
        self._title = title
        self._steps = steps
        self._next_plain = start
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total}"),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            disable=not (shows and self._console.is_terminal),
        )
        self._task = self._progress.add_task(title, total=steps, completed=start, note="")

    def __enter__(self) -> "Live":
        self._progress.start()
        return self

    def __exit__(self, *exception) -> None:
        self._progress.stop()

    def update(self, step: int, loss: float, story_tokens_per_second: float, seconds_left: float) -> None:
        """Show the state after `step` updates."""
        note = f"loss {loss:.3f}  {story_tokens_per_second:,.0f} story tokens/s"
        self._progress.update(self._task, completed=step, note=note)
        if self._shows and not self._console.is_terminal and (step >= self._next_plain or step == self._steps):
            self._next_plain = step + max(1, self._steps // 20)
            print(f"{self._title}: step {step}/{self._steps}  {note}  {seconds_left:.0f} s left", flush=True)

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        if not self._shows:
            return
        if self._console.is_terminal:
            self._progress.console.print(text)
        else:
            print(text, flush=True)
