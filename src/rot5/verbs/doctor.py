"""`rot5 doctor`: what a run folder holds, what is missing or damaged, and what to do about it."""

import json
import shlex
import sys
from pathlib import Path

import yaml
from rich.console import Console
from safetensors import SafetensorError, safe_open

from rot5.config import DoctorConfig
from rot5.data.corpus import PairCorpus
from rot5.data.mixture import open_corpus
from rot5.errors import UserError
from rot5.folders import owner
from rot5.progress import shown
from rot5.train.checkpoint import checkpoints, damage, leftovers
from rot5.train.health import BATCH
from rot5.train.run_folder import RunFolder

MARKS = {True: "[green]ok[/]   ", False: "[red]wrong[/]", None: "[yellow]none[/] "}


class Findings:
    """What was found, line by line: fine (True), wrong (False) or not there yet (None); and what to do."""

    def __init__(self) -> None:
        self.lines: list[tuple[bool | None, str, str]] = []
        self.advice: list[str] = []

    def add(self, fine: bool | None, what: str, words: str, advice: str = "") -> None:
        self.lines.append((fine, what, words))
        if advice:
            self.advice.append(advice)

    @property
    def wrong(self) -> bool:
        return any(fine is False for fine, _, _ in self.lines)


def run(config: DoctorConfig) -> None:
    """Print what is found; exit code 1 if something is wrong with the folder."""
    folder = RunFolder(Path(config.folder))
    if not folder.path.is_dir():
        raise UserError(f"{folder.path} is not a folder: name a run folder")
    with shown("examining files"):
        found = examine(folder)
    console = Console(width=None if Console().is_terminal else 140, highlight=False)
    console.print(f"{folder.path}")
    width = max(len(what) for _, what, _ in found.lines)
    for fine, what, words in found.lines:
        console.print(f"  {MARKS[fine]} {what:<{width}}  ", end="")
        console.print(words, markup=False)
    for advice in found.advice:
        console.print(f"  -> {advice}", markup=False, soft_wrap=True)
    if found.wrong:
        sys.exit(1)


def examine(folder: RunFolder) -> Findings:
    """Look at everything in a run folder; nothing is changed."""
    found = Findings()
    writer = owner(folder.path)
    found.add(True, "writer", writer or "nobody is writing here")
    settings = _settings(folder, found)
    if settings is None:
        return found
    again = _command(folder, found)
    _data(settings, found)
    step, steps = _metrics(folder, settings, found)
    whole = _checkpoints(folder, found, again, writer)
    trained = step is not None and step >= steps
    if step is not None and (whole is None or step > whole) and not writer:
        found.add(None, "progress", f"steps {(whole or 0) + 1} to {step} are in no checkpoint and will be made again")
    exported = _export(folder, found, trained, again)
    evaluated = _evaluation(folder, found, exported)
    if writer:
        found.advice.append("wait: the run goes on")
    elif not (trained and exported and evaluated) and not found.wrong:
        found.advice.append(f"go on with: {again}")
    elif not found.wrong:
        found.advice.append("nothing: the run is complete")
    return found


def _settings(folder: RunFolder, found: Findings) -> dict | None:
    if not folder.exists():
        found.add(None, "settings", "there is no config.yaml: no run was begun here", "begin one with --out here")
        return None
    try:
        settings = folder.config()
        steps = settings["derived"]["steps"]
        assert isinstance(steps, int)
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError, AssertionError):
        remedy = "restore it, or begin anew with --overwrite"
        found.add(False, "settings", "config.yaml cannot be read", remedy)
        return None
    kind = "pretraining" if "denoise" in settings else "tuning"
    found.add(True, "settings", f"{kind}, {steps:,} steps, {settings['derived']['parameters']:,} parameters")
    return settings


def _command(folder: RunFolder, found: Findings) -> str:
    try:
        return f"{shlex.join(folder.environment()['command'])} --resume"
    except (OSError, ValueError, KeyError, TypeError):
        found.add(False, "environment", "environment.json cannot be read: how the run was begun is not known")
        return "the command that began the run, with --resume"


def _data(settings: dict, found: Findings) -> None:
    opens = open_corpus if "denoise" in settings else PairCorpus.open
    for key in ("corpus", "pairs", "validation"):
        if key not in settings:
            continue
        try:
            opens(settings[key]).verify()
            found.add(True, key, f"{settings[key]} is as it was written")
        except (UserError, OSError) as error:
            found.add(False, key, str(error), f"prepare {settings[key]} again")


def _metrics(folder: RunFolder, settings: dict, found: Findings) -> tuple[int | None, int]:
    """The last step that has a record, and the steps of the run."""
    steps = settings["derived"]["steps"]
    try:
        records = folder.metrics()
        last = max((record["step"] for record in records), default=None)
    except (ValueError, KeyError, TypeError):
        remedy = "cut metrics.jsonl before its first faulty line: --resume makes the records behind the checkpoint anew"
        found.add(False, "metrics", "metrics.jsonl has lines that are no records", remedy)
        return None, steps
    if last is None:
        found.add(None, "metrics", "no step was recorded yet")
        return None, steps
    logged = [record["step"] for record in records if "train/loss" in record]
    every = settings["train"]["log_every"]
    expected = [step for step in range(1, last + 1) if step % every == 0 or step == steps]
    complete = logged == expected
    words = f"{len(records)} records up to step {last:,} of {steps:,}"
    found.add(complete, "metrics", words if complete else f"{words}, with gaps or doubles")
    health = next((record for record in reversed(records) if "health/skipped_steps" in record), {})
    skipped, spikes = health.get("health/skipped_steps", 0), health.get("health/spikes", 0)
    advice = "" if not skipped else "lower train.optimizer.lr if more steps are skipped"
    found.add(not skipped, "health", f"{skipped} steps skipped, {spikes} leaps of the loss", advice)
    if (folder.path / BATCH).is_file():
        found.add(False, "batch", f"{BATCH} holds the batch at which the run was given up")
    return last, steps


def _checkpoints(folder: RunFolder, found: Findings, again: str, writer: str) -> int | None:
    """The step of the newest whole checkpoint."""
    saved = checkpoints(folder.checkpoints)
    whole, good = None, []
    for path in saved:
        file = damage(path)
        if file:
            found.add(False, "checkpoint", f"{path.name} is damaged: {file} is not as it was written")
        else:
            whole = int(path.name.removeprefix("step-"))
            good.append(path)
            found.add(True, "checkpoint", f"{path.name} is whole")
    if not saved:
        found.add(None, "checkpoint", "none was written yet")
    elif saved[-1] not in good:
        newer = [path for path in saved if not good or path > good[-1]]
        words = " ".join(map(str, newer))
        found.advice.append(f"delete {words}, then go on with: {again}" if good else "begin anew with --overwrite")
    for path in [] if writer else leftovers(folder.checkpoints):
        found.add(None, "checkpoint", f"{path.name} was left unfinished; --resume clears it away")
    return whole


def _export(folder: RunFolder, found: Findings, trained: bool, again: str) -> bool:
    path = folder.export / "model.safetensors"
    if not path.is_file():
        found.add(None, "export", "no model was exported yet" + (": training is over" if trained else ""))
        return False
    try:
        with safe_open(path, framework="numpy") as file:
            tensors = len(file.keys())
    except (SafetensorError, OSError):
        found.add(False, "export", f"{path} cannot be read", f"make it again: {again}")
        return False
    found.add(True, "export", f"a model of {tensors} tensors")
    return True


def _evaluation(folder: RunFolder, found: Findings, exported: bool) -> bool:
    try:
        evaluation = folder.evaluation()
        folder.samples()
    except json.JSONDecodeError:
        remedy = f"make it again: rot5 evaluate {folder.path}"
        found.add(False, "evaluation", "eval.json or samples.jsonl cannot be read", remedy)
        return False
    found.add(bool(evaluation) or None, "evaluation", ", ".join(evaluation) or "not made yet")
    return bool(evaluation)
