"""`rot5 stages`: a model trained in stages, each from the one before: other data, a larger shape, experts, tuning."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from rot5.config import DistillConfig, FinetuneConfig, PretrainConfig, StagesConfig
from rot5.errors import UserError, nearest
from rot5.folders import sole, write_json
from rot5.recipes import defaults, from_dict, merged, recipe
from rot5.report.tables import Column, text_table
from rot5.train.run_folder import RunFolder, decisive, difference
from rot5.verbs import distill, finetune, pretrain

KINDS = {
    "pretrain": (PretrainConfig, pretrain.run),
    "finetune": (FinetuneConfig, finetune.run),
    "distill": (DistillConfig, distill.run),
}
KEYS = ("about", "stages", *KINDS)
RECORD = "stages.json"

COLUMNS = (
    Column("stage", "Stage", text=True),
    Column("parameters", "Parameters"),
    Column("steps", "Steps"),
    Column("story_tokens", "Story tokens"),
    Column("seconds", "Seconds", digits=0),
    Column("bits_per_byte", "Bits per byte", digits=3),
)
"""Of every stage by itself: what it trained, on how much text, and how good it was at its end on its own validation."""


@dataclass(frozen=True)
class Stage:
    """One run of a recipe."""

    name: str
    kind: str
    config: PretrainConfig | FinetuneConfig

    @property
    def run(self) -> RunFolder:
        return RunFolder(Path(self.config.out))

    def done(self) -> bool:
        """Whether it was trained to its end, evaluated and reported."""
        return self.run.finished(isinstance(self.config, FinetuneConfig) and self.config.summaries)


def read_stages(path: Path, out: Path) -> list[Stage]:
    """The stages of a file, in order, each beginning with what the one before has left.

    Raises UserError for whatever is wrong with the file.
    """
    content = recipe(path)
    for key in content:
        if key not in KEYS:
            raise UserError(f"{path}: unknown key {key!r}: {nearest(str(key), KEYS)}")
    given = content.get("stages")
    if not isinstance(given, dict) or not given:
        raise UserError(f"{path}: stages must be a group of stages by name, with at least one")
    found: list[Stage] = []
    for name, told in given.items():
        where = f"{path}: stage {name}"
        kinds = [kind for kind in KINDS if isinstance(told, dict) and kind in told]
        if len(kinds) != 1 or set(told) != set(kinds):
            raise UserError(f"{where} must hold settings of one of {', '.join(KINDS)}, and nothing else")
        settings = _settings(content.get(kinds[0]), told[kinds[0]], where)
        for key in ("out", "init")[: 2 if found else 1]:
            if key in settings:
                raise UserError(f"{where}: {key} follows from the stages: leave it out")
        settings["out"] = str(out / str(name))
        if found:
            settings["init"] = found[-1].config.out
        found.append(Stage(str(name), kinds[0], from_dict(KINDS[kinds[0]][0], settings, where)))
    return found


def _settings(shared: Any, own: Any, where: str) -> dict[str, Any]:
    if not all(each is None or isinstance(each, Mapping) for each in (shared, own)):
        raise UserError(f"{where} must hold settings as `key: value`")
    return merged(shared or {}, own or {})


def run(config: StagesConfig) -> None:
    """Train what is missing, stage by stage, and print what each came to; what was stopped goes on where it was."""
    out = Path(config.out)
    stages = read_stages(Path(config.file), out)
    with sole(out):
        _check_unchanged(out / RECORD, stages)
        for number, stage in enumerate(stages, start=1):
            if not stage.done():
                print(f"stage {number} of {len(stages)}: {stage.name}", flush=True)
                KINDS[stage.kind][1](stage.config, resume=True)  # type: ignore[arg-type]
        rows = [_row(stage) for stage in stages]
        write_json(out / "results.json", rows)
    Console(width=None if Console().is_terminal else 140).print(text_table(rows, COLUMNS, "Stages"))


def _check_unchanged(path: Path, stages: list[Stage]) -> None:
    """Raise UserError if a stage that was begun meant something else then; note what stages mean now."""
    now = {stage.name: json.loads(json.dumps(asdict(stage.config))) for stage in stages}
    before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    told = []
    for stage in stages:
        if stage.run.exists() and stage.name in before:
            usual = defaults(type(stage.config))
            old, new = (decisive(settings[stage.name], usual) for settings in (before, now))
            told += [f"{stage.name}: {line}" for line in difference(old, new)]
    if told:
        changes = "; ".join(told)
        raise UserError(
            f"{path.parent} was begun with other settings ({changes}): restore them, or choose another --out"
        )
    write_json(path, now)


def _row(stage: Stage) -> dict[str, Any]:
    last = stage.run.metrics()[-1]
    return {
        "stage": stage.name,
        "parameters": stage.run.config()["derived"]["parameters"],
        "steps": last["step"],
        "story_tokens": last["story_tokens"],
        "seconds": last["seconds"],
        "bits_per_byte": stage.run.evaluation()["likelihood"]["overall"]["bits_per_byte"],
    }
