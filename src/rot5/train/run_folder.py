"""The folder of one run: its shape, how it is begun, continued and read."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from rot5.errors import UserError
from rot5.folders import LOCK, write_json, write_text
from rot5.train.settings import FREE

SETTINGS, ENVIRONMENT = "config.yaml", "environment.json"
"""What a run begins with: the environment is written first, and a folder with settings holds a run."""
REPORT = "report.html"
FILES = {
    *(f"{word}{name}" for word in ("", "partial-") for name in (SETTINGS, ENVIRONMENT, "metrics.jsonl", "eval.json")),
    *("samples.jsonl", "partial-samples.jsonl", REPORT, "tokenizer", "checkpoints", "export"),
    *("partial-export", "old-export", "skipped-batch.npz", "partial-skipped-batch.npz"),
}
"""All that a run can leave."""
APART = {"train": FREE, "derived": ("data",)}
"""By group what may differ when a run is taken up: it touches no result, or is compared by `refuse_other_data`."""


@dataclass(frozen=True)
class RunFolder:
    """Paths of a run folder, and its small files as values."""

    path: Path

    @property
    def settings_file(self) -> Path:
        return self.path / SETTINGS

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def export(self) -> Path:
        return self.path / "export"

    @property
    def metrics_file(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def samples_file(self) -> Path:
        return self.path / "samples.jsonl"

    @property
    def evaluation_file(self) -> Path:
        return self.path / "eval.json"

    def exists(self) -> bool:
        """Whether a run was begun here."""
        return self.settings_file.is_file()

    def refuse_begun(self, *, resume: bool, overwrite: bool) -> None:
        """Raise UserError if a run was begun here that is neither to go on nor to be replaced."""
        if self.exists() and not (resume or overwrite):
            raise UserError(
                f"{self.path} already holds a run: continue it with --resume or replace it with --overwrite"
            )

    def refuse_other_data(self, data: Mapping[str, str]) -> None:
        """Raise UserError if a run was begun here on data that have changed since; `data` are fingerprints by folder.

        A run of older software did not note them.
        """
        begun = self.config()["derived"].get("data", {}) if self.exists() else {}
        if changed := [folder for folder, found in data.items() if begun.get(folder, found) != found]:
            raise UserError(
                f"{self.path} was begun on other data than {', '.join(changed)} now holds: restore them to resume, or "
                "begin anew with another --out"
            )

    def config(self) -> dict:
        """The resolved settings of the run."""
        return yaml.safe_load(self.settings_file.read_text(encoding="utf-8"))

    def environment(self) -> dict:
        return json.loads((self.path / ENVIRONMENT).read_text(encoding="utf-8"))

    def metrics(self) -> list[dict]:
        """Lines of metrics, oldest first; a half-written last line is left out."""
        return read_jsonl(self.metrics_file)

    def samples(self) -> list[dict]:
        return read_jsonl(self.samples_file)

    def evaluation(self) -> dict:
        """What evaluation wrote, or nothing yet."""
        if not self.evaluation_file.is_file():
            return {}
        return json.loads(self.evaluation_file.read_text(encoding="utf-8"))

    def finished(self, summaries: object) -> bool:
        """Whether the run was trained to its end, evaluated, with summaries if there are to be any, and reported."""
        needed = {"likelihood", "summaries"} if summaries else {"likelihood"}
        return (self.path / REPORT).is_file() and needed <= self.evaluation().keys()

    def add_evaluation(self, key: str, value: object) -> None:
        """Set one entry of `eval.json`, keeping the others."""
        write_json(self.evaluation_file, self.evaluation() | {key: value})


def read_jsonl(path: Path) -> list[dict]:
    """Complete lines of a JSON-lines file; a torn last line, left by a kill, is not one."""
    if not path.is_file():
        return []
    *lines, _ = path.read_bytes().split(b"\n")  # a text may hold other ends of lines, U+2028 and its like
    return [json.loads(line) for line in lines]


def difference(old: dict, new: dict, prefix: str = "") -> list[str]:
    """Settings that differ between two resolved configurations, as `key: old -> new`."""
    found = []
    for key in sorted(old.keys() | new.keys()):
        before, after = old.get(key), new.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            found += difference(before, after, f"{prefix}{key}.")
        elif before != after:
            found.append(f"{prefix}{key}: {before} -> {after}")
    return found


def decisive(settings: dict, defaults: dict) -> dict:
    """What a run's settings are compared by: with the `defaults` of those that older software did not know, and without
    those that may differ."""
    return {
        key: {name: inner for name, inner in value.items() if name not in APART[key]} if key in APART else value
        for key, value in filled(settings, defaults).items()
    }


def filled(settings: dict, defaults: dict) -> dict:
    """Settings with the defaults of those that they lack, at any depth.

    >>> filled({"a": {"b": 1}}, {"a": {"b": 2, "c": 3}, "d": 4})
    {'a': {'b': 1, 'c': 3}, 'd': 4}
    """
    inner = {
        key: filled(value, defaults[key])
        for key, value in settings.items()
        if isinstance(value, dict) and isinstance(defaults.get(key), dict)
    }
    return {**settings, **inner, **{key: value for key, value in defaults.items() if key not in settings}}


def begin_run(
    path: Path, config: dict, defaults: dict, environment: dict, *, resume: bool, overwrite: bool
) -> RunFolder:
    """Make the folder of a new run, or open one to go on; `defaults` are what settings mean that a run begun by older
    software does not know.

    Raises UserError where a run exists and neither `resume` nor `overwrite` is set, or `resume` meets other settings.
    """
    run = RunFolder(path)
    if run.exists() and resume:
        run.refuse_other_data(config["derived"]["data"])
        if changed := difference(decisive(run.config(), defaults), decisive(config, defaults)):
            raise UserError(f"{path} was begun with other settings ({'; '.join(changed)}): restore them to resume")
        return run
    run.refuse_begun(resume=resume, overwrite=overwrite)
    others = {entry.name for entry in path.iterdir()} - {LOCK} if path.is_dir() else set()
    hardly_begun = not others or (ENVIRONMENT in others and others <= FILES) or others == {f"partial-{ENVIRONMENT}"}
    if path.is_file() or not (run.exists() or hardly_begun):
        raise UserError(f"{path} exists and is not a run folder: choose another --out")
    (path / SETTINGS).unlink(missing_ok=True)
    for name in others - {SETTINGS, ENVIRONMENT}:
        _clear(path / name)
    path.mkdir(parents=True, exist_ok=True)
    write_json(path / ENVIRONMENT, environment)
    write_text(path / SETTINGS, yaml.safe_dump(config, sort_keys=False, allow_unicode=True))
    return run


def _clear(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
