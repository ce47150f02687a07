"""What a run says while it trains: one line per record in a file, and a live line on the terminal."""

import json
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from rot5.train.run_folder import read_jsonl


class MetricsLog:
    """Appends records to a JSON-lines file. After a resume it first drops what lies beyond the resumed step."""

    def __init__(self, path: Path, resume_step: int):
        kept = [record for record in read_jsonl(path) if record["step"] <= resume_step]
        partial = path.with_name(f"partial-{path.name}")
        partial.write_text("".join(json.dumps(record) + "\n" for record in kept), encoding="utf-8")
        partial.replace(path)
        self._file = path.open("a", encoding="utf-8")

    def write(self, record: dict) -> None:
        """Append one record; it is on its way to the disk when this returns."""
        self._file.write(json.dumps(record) + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()


class Live:
    """A progress bar with loss and speed on a terminal; a plain line now and then elsewhere."""

    def __init__(self, title: str, steps: int, start: int):
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
            disable=not self._console.is_terminal,
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
        if not self._console.is_terminal and (step >= self._next_plain or step == self._steps):
            self._next_plain = step + max(1, self._steps // 20)
            print(f"{self._title}: step {step}/{self._steps}  {note}  {seconds_left:.0f} s left", flush=True)

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        if self._console.is_terminal:
            self._progress.console.print(text)
        else:
            print(text, flush=True)
