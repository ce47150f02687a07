"""What a report shows of one run, read from its folder; whatever the run has not written is empty."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol, TypeVar

from rot5.errors import UserError
from rot5.report.charts import Point
from rot5.train.run_folder import RunFolder


class HasName(Protocol):
    @property
    def name(self) -> str: ...


Named = TypeVar("Named", bound=HasName)


@dataclass(frozen=True)
class Run:
    """A run folder under the name that the report calls it by."""

    name: str
    folder: RunFolder

    @cached_property
    def config(self) -> dict:
        return (self.folder.config() or {}) if self.folder.exists() else {}

    @cached_property
    def environment(self) -> dict:
        try:
            return self.folder.environment()
        except FileNotFoundError:
            return {}

    @cached_property
    def metrics(self) -> list[dict]:
        return self.folder.metrics()

    @cached_property
    def evaluation(self) -> dict:
        return self.folder.evaluation()

    @cached_property
    def samples(self) -> list[dict]:
        return self.folder.samples()

    @property
    def command(self) -> list[str]:
        """The command line that made the run, as words."""
        return [str(word) for word in self.environment.get("command") or []]

    @property
    def parameters(self) -> int | None:
        """The size of the model."""
        return self.config.get("derived", {}).get("parameters")

    @property
    def likelihood(self) -> dict:
        return self.evaluation.get("likelihood") or {}

    @property
    def summaries(self) -> dict:
        return self.evaluation.get("summaries") or {}

    def metric_keys(self) -> list[str]:
        """Names of metrics, in the order in which they first appear."""
        return list(dict.fromkeys(key for record in self.metrics for key in record))

    def points(self, key: str, scale: float = 1) -> list[Point]:
        """(step, value) of one metric, oldest first."""
        return [(record["step"], record[key] * scale) for record in self.metrics if key in record]

    def last(self, key: str) -> float | None:
        """The newest value of a metric."""
        return next((record[key] for record in reversed(self.metrics) if key in record), None)

    def overview(self) -> dict:
        """The row of this run for `tables.RUN_COLUMNS`; the final evaluation goes before the one during training."""
        model = self.summaries.get("systems", {}).get("model", {})
        overall = self.likelihood.get("overall", {})
        seconds = self.last("seconds")
        return {
            "run": self.name,
            "parameters": self.parameters,
            "step": self.last("step"),
            "story_tokens": self.last("story_tokens"),
            "minutes": None if seconds is None else seconds / 60,
            "train_loss": self.last("train/loss"),
            "loss": overall.get("loss", self.last("eval/loss")),
            "bits_per_byte": overall.get("bits_per_byte", self.last("eval/bits_per_byte")),
            "content_true": model.get("content_true"),
            "rougeL": model.get("rougeL"),
        }


def find_runs(folder: Path) -> list[Run]:
    """The run that `folder` is, or the runs in it, by name with numbers in their order; there may be none.

    What holds an evaluation counts, whoever made the model: `rot5 evaluate --out` writes such folders. Raises UserError
    where there is no folder.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder: give a run folder or a folder of run folders")
    if _is_run(folder):
        return [Run(folder.resolve().name, RunFolder(folder))]
    return by_name(Run(path.name, RunFolder(path)) for path in folder.iterdir() if _is_run(path))


def no_run(folder: Path) -> UserError:
    """What to tell of a folder that has nothing to report."""
    return UserError(
        f"{folder} holds no run (a run folder has a config.yaml or an eval.json, a judged one a judge.json): "
        "give a run folder or a folder of them"
    )


def _is_run(folder: Path) -> bool:
    run = RunFolder(folder)
    return run.exists() or run.evaluation_file.is_file()


def by_name(found: Iterable[Named]) -> list[Named]:
    """In the order of their names, numbers in theirs."""
    return sorted(found, key=lambda each: _natural(each.name))


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.findall(r"\d+|\D+", name)]
