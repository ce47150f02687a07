"""The runs of a study: which there are, which are done, and how the missing ones are made.

A run is known by what decides its result, so that studies with equal runs share them, and a study that is begun again
makes only what is missing.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from rot5.config import EvaluateConfig, FinetuneConfig, PretrainConfig
from rot5.data.mixture import corpus_fingerprint
from rot5.evaluation.tasks import mean_score
from rot5.loading import model_folder
from rot5.model.settings import resolve
from rot5.recipes import defaults, merged, read
from rot5.study.budget import with_budget
from rot5.study.variant import PLACES, VERBS, Variant, as_yaml
from rot5.train.run_folder import RunFolder
from rot5.train.settings import FREE

DATA = ("corpus", "pairs", "validation", "data")
"""Settings that name prepared data: a run is known by what is in it, not by where it lies."""
MODELS = ("init", "model", "teacher")
"""Settings that name a model."""
POLL_SECONDS = 0.2
LAST_LINES = 3


Config = PretrainConfig | FinetuneConfig | EvaluateConfig


@dataclass(frozen=True)
class Run:
    """One run: the verb that makes it and all its settings."""

    verb: str
    config: Config

    @property
    def folder(self) -> RunFolder:
        return RunFolder(Path(self.config.out))

    @property
    def name(self) -> str:
        return self.folder.path.name

    def done(self) -> bool:
        """Whether a model has been trained to its end, evaluated and reported; or judged, if that is all."""
        if isinstance(self.config, EvaluateConfig):
            return bool(self.folder.evaluation())
        return self.folder.finished(isinstance(self.config, FinetuneConfig) and self.config.summaries)


@dataclass(frozen=True)
class Chain:
    """A variant with one seed: the stages of its model, and what that is judged on besides."""

    variant: str
    seed: int
    trained: tuple[Run, ...]
    judged: Mapping[str, Run]

    @property
    def last(self) -> Run:
        """The run that the model came out of; of one that was there already the first that judges it."""
        return self.trained[-1] if self.trained else next(iter(self.judged.values()))

    @property
    def runs(self) -> list[Run]:
        """All runs, in the order in which they can be made."""
        return [*self.trained, *self.judged.values()]

    def done(self) -> bool:
        return all(run.done() for run in self.runs)

    def of(self, *verbs: str) -> list[Run]:
        """Its runs of some verbs."""
        return [run for run in self.trained if run.verb in verbs]


def chain(variant: Variant, seed: int, runs: Path, seconds_per_step: Sequence[float]) -> Chain:
    """The runs of a variant with a seed; `seconds_per_step` are those of its pretraining, stage by stage.

    Raises UserError for settings that the verbs refuse.
    """
    trained: list[Run] = []
    paces, models = iter(seconds_per_step), as_new(variant)
    for stage in variant.plan():
        before = {"init": trained[-1].config.out} if trained else {}
        config = typed(VERBS[stage.verb], {**stage.settings, **before}, out="", seed=seed)
        if isinstance(config, PretrainConfig):
            config = with_budget(config, stage.budget, next(paces, 0.0), next(models))
        trained.append(_named(stage.verb, config, runs))
    model = {"model": trained[-1].config.out if trained else variant.model}
    judged = {
        name: _named("evaluate", typed(EvaluateConfig, {**settings, **model}), runs)
        for name, settings in variant.evaluate.items()
    }
    return Chain(variant.name, seed, tuple(trained), judged)


def as_new(variant: Variant) -> Iterator[PretrainConfig]:
    """Each pretraining of a variant as if its model began there, in the shape that it has grown into: what a step of it
    costs can be told before there is anything to grow."""
    plan = variant.plan()
    shape: dict[str, Any] = {}
    for stage in plan:
        if stage.verb == "pretrain":
            shape = merged(shape, stage.settings.get("model") or {})
            whole = {"model": shape} | {key: value for key, value in plan[0].settings.items() if key == "init"}
            yield typed(PretrainConfig, {**stage.settings, **whole}, out="", seed=0)


def typed(kind: type, settings: Mapping[str, Any], **more: object) -> Any:
    """Settings of a verb, read and checked as a recipe is. Raises UserError for what the verb would refuse to read."""
    return _typed(kind, as_yaml({**settings, **more}))


@cache
def _typed(kind: type, told: str) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "study.yaml"
        path.write_text(told, encoding="utf-8")
        return read(kind, kind.__name__.removesuffix("Config").lower(), ["--config", str(path)])


def _named(verb: str, config: Config, runs: Path) -> Run:
    digest = hashlib.sha256(json.dumps(identity(config, runs), sort_keys=True).encode()).hexdigest()
    return Run(verb, replace(config, out=str(runs / f"{verb}-{digest[:12]}")))


def identity(config: Config, runs: Path) -> dict[str, Any]:
    """What decides a run's result, as plain values: the shape, data and models by content, and what else is not at its
    default, so that settings which later software adds rename no run."""
    settings = described(config, runs)
    if isinstance(config, EvaluateConfig):
        return _own(settings, defaults(type(config)))
    model = {} if settings.get("init") else {"model": resolve(config.model)}
    for key in FREE:
        del settings["train"][key]
    return json.loads(json.dumps(_own(settings, defaults(type(config))) | model))


def described(config: Config, runs: Path) -> dict[str, Any]:
    """All settings of a run but where it lies: data and models by content. A run among `runs` that it begins with is
    content enough by its name, and may be still to make."""
    settings = asdict(config)
    for key in PLACES:
        settings.pop(key, None)
    for key in DATA:
        if settings.get(key):
            settings[key] = corpus_fingerprint(settings[key])
    for key in MODELS:
        if isinstance(settings.get(key), str) and settings[key]:
            settings[key] = model_content(settings[key], runs)
    return json.loads(json.dumps(settings))


def model_content(model: str, runs: Path) -> str:
    """What tells a model from others: the name of a run of a study, a folder's weights, else the hub's name."""
    if Path(model).parent == runs:
        return Path(model).name
    weights = sorted(Path(model_folder(model)).glob("*.safetensors"))
    return _weights(tuple((str(path), path.stat().st_mtime_ns) for path in weights)) if weights else model


@cache
def _weights(files: tuple[tuple[str, int], ...]) -> str:
    digest = hashlib.sha256()
    for path, _ in files:
        with Path(path).open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]


def _own(settings: Mapping[str, Any], usual: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that differ from their defaults, at any depth."""
    found = {}
    for key, value in settings.items():
        inner = usual.get(key)
        if isinstance(value, dict) and isinstance(inner, dict):
            if own := _own(value, inner):
                found[key] = own
        elif key not in usual or value != inner:
            found[key] = value
    return found


def complete(
    wanted: Sequence[Chain], runs: Path, jobs: int, threads: int, tell: Callable[[str], None], lock: int
) -> dict[str, str]:
    """Make every run of the chains that is missing, `jobs` at a time on `threads` each; stage by stage.

    Returns, for each variant and seed that failed, the last words of its run; the others go on regardless.
    """
    failed: dict[str, str] = {}
    for turn in range(max((len(each.runs) for each in wanted), default=0)):
        missing: dict[str, tuple[Run, list[str]]] = {}
        for each in wanted:
            title = f"{each.variant}, seed {each.seed}"
            for run in each.runs[turn : turn + 1]:
                if not run.done() and title not in failed:
                    missing.setdefault(run.name, (run, []))[1].append(title)
        failed |= _make(list(missing.values()), runs, jobs, threads, tell, lock)
    return failed


def _make(
    missing: Sequence[tuple[Run, list[str]]],
    runs: Path,
    jobs: int,
    threads: int,
    tell: Callable[[str], None],
    lock: int,
) -> dict[str, str]:
    waiting, active, failed, done = list(missing), {}, {}, 0
    try:
        while waiting or active:
            while waiting and len(active) < jobs:
                run, titles = waiting.pop(0)
                active[_start(run, runs, threads, lock)] = (run, titles, time.monotonic())
            for process in [process for process in active if process.poll() is not None]:
                run, titles, began = active.pop(process)
                done += 1
                head = f"[{done}/{len(missing)}] {run.verb} of {' and '.join(titles)}"
                if run.done():
                    tell(f"{head}: {headline(run)}, {(time.monotonic() - began) / 60:.1f} min")
                else:
                    words = _last_words(runs, run) or f"ended with {process.poll()} and said nothing"
                    failed |= dict.fromkeys(titles, words)
                    tell(f"{head} failed: {words}")
            time.sleep(POLL_SECONDS)
    finally:
        for process in active:
            process.terminate()
        for process in active:
            process.wait()
    return failed


def _start(run: Run, runs: Path, threads: int, lock: int) -> subprocess.Popen:
    """Start a run, or take it up; it holds on to the lock of the study for as long as it lives."""
    for name in ("recipes", "logs"):
        (runs / name).mkdir(parents=True, exist_ok=True)
    recipe = runs / "recipes" / f"{run.name}.yaml"
    recipe.write_text(as_yaml(json.loads(json.dumps(asdict(run.config)))), encoding="utf-8")
    how = "--overwrite" if _moved(run) else "--resume"
    words = [sys.executable, "-m", "rot5.cli", run.verb, "--config", str(recipe), how]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    with _log(runs, run).open("wb") as log:
        return subprocess.Popen(words, stdout=log, stderr=log, env=environment, pass_fds=(lock,))


def _moved(run: Run) -> bool:
    """Whether a run was begun when its data lay elsewhere: it cannot be taken up there, and begins anew."""
    if not run.folder.exists():
        return False
    before, now = run.folder.config(), asdict(run.config)
    return any(before.get(key) != now[key] for key in (*DATA, *MODELS) if isinstance(now.get(key), str))


def _log(runs: Path, run: Run) -> Path:
    return runs / "logs" / f"{run.name}.log"


def _last_words(runs: Path, run: Run) -> str:
    lines = [line for line in _log(runs, run).read_text(encoding="utf-8", errors="replace").splitlines() if line]
    errors = [line for line in lines if line.startswith("rot5: error: ")]
    return errors[-1].removeprefix("rot5: error: ") if errors else " | ".join(lines[-LAST_LINES:])


def headline(run: Run) -> str:
    """A run's result in a few words."""
    found = run.folder.evaluation()
    words = []
    if "likelihood" in found:
        words.append(f"{found['likelihood']['overall']['bits_per_byte']['mean']:.4f} bits per byte")
    if tasks := found.get("summaries", {}).get("tasks"):
        words.append(f"{len(tasks)} tasks at {mean_score(tasks):.1f}")
    model = found.get("summaries", {}).get("systems", {}).get("model", {})
    if "rougeL" in model:
        words.append(f"ROUGE-L {model['rougeL']['mean']:.1f}")
    return ", ".join(words)
