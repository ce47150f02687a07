"""`rot5 study`: runs what a study file names and is not there yet, then compares."""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from rot5.config import EvaluateConfig, MixConfig, PrepareConfig, PretrainConfig, StudyConfig, TeachConfig
from rot5.data.manifest import MANIFEST
from rot5.data.mixture import corpus_fingerprint
from rot5.errors import UserError
from rot5.folders import check_writable, sole, write_json
from rot5.recipes import command_line, recipe
from rot5.study.compare import compare
from rot5.study.file import Study, read_study
from rot5.study.law import law_of
from rot5.study.pace import paces
from rot5.study.page import write_page
from rot5.study.reach import reach
from rot5.study.record import JUDGED, check_unchanged, remember
from rot5.study.runs import Chain, as_new, chain, complete, described, identity, model_content, typed
from rot5.study.tune import tune
from rot5.study.variant import VERBS, Variant
from rot5.verbs import mix, prepare, teach

MAKERS = {"mixture": (MixConfig, mix.run), "teacher": (TeachConfig, teach.run), "": (PrepareConfig, prepare.run)}
"""What makes data, by the setting that tells it from the others."""


def run(config: StudyConfig) -> None:
    """Make the missing data and runs, compare what is there, and say what failed."""
    if config.jobs < 1:
        raise UserError(f"jobs {config.jobs} must be at least 1")
    if config.markdown:
        check_writable(Path(config.markdown), "markdown")
    study = read_study(Path(config.file))
    out, runs = Path(config.out or f"runs/studies/{study.name}"), Path(config.runs)
    threads = max(1, torch.get_num_threads() // config.jobs)
    failed: dict[str, str] = {}
    with sole(runs) as lock:

        def make(chains: Sequence[Chain]) -> None:
            failed.update(complete(chains, runs, config.jobs, threads, _tell, lock))

        _prepare(study, out, runs, config.accept_changes)
        meaning = {variant.name: _meaning(variant, runs) for variant in study.variants}
        check_unchanged(out, meaning, config.accept_changes)
        timed = _paces(study, out, runs, threads)
        remember(out, meaning)
        seconds = {name: [each["seconds"] for each in of_stages] for name, of_stages in timed.items()}
        tuned = tune(study, runs, seconds, make)
        chains = {
            variant.name: [chain(variant, seed, runs, seconds[variant.name]) for seed in study.seeds]
            for variant in tuned.variants
        }
        make([of_one[n] for n in range(len(study.seeds)) for of_one in chains.values()])
    finished = {name: [each for each in of_one if each.done()] for name, of_one in chains.items()}
    if not any(finished.values()):
        raise UserError(f"no run finished: {_told(failed)}")
    results = {
        "study": study.name,
        "about": study.about,
        "seeds": list(study.seeds),
        "baseline": study.baseline,
        "against": study.counterparts(),
        "paces": timed,
        "tuned": tuned.told,
        **compare(finished, study.counterparts()),
        "reach": reach(study, finished, seconds),
    }
    if study.law:
        try:
            results["law"] = law_of(study, finished)
            write_json(out / "law.json", results["law"])
        except UserError as error:
            failed["law"] = str(error)
    write_json(out / "results.json", results)
    print(write_page(out, results, finished, shlex.join(command_line("study", config)), config.markdown))
    if failed:
        raise UserError(f"not all could be done ({_told(failed)}); the rest is compared; the same command tries again")


def _tell(line: str) -> None:
    print(line, flush=True)


def _told(failed: dict[str, str]) -> str:
    return "; ".join(f"{title}: {words}" for title, words in failed.items())


def _prepare(study: Study, out: Path, runs: Path, accept_changes: bool) -> None:
    """Make the prepared data that is missing, and anew what an accepted change means; in the order of the file, as data
    may be made of data before them."""
    for settings in study.data:
        kind, maker = next(made for key, made in MAKERS.items() if key in settings or not key)
        config = typed(kind, settings)
        meaning = {f"data {config.out}": {**settings, **_read(config, runs)}}
        changed = check_unchanged(out, meaning, accept_changes)
        there = (Path(config.out) / MANIFEST).is_file()
        if changed or not there or not isinstance(config, TeachConfig):
            maker(config, resume=not changed, overwrite=True)
        remember(out, meaning)


def _read(config: PrepareConfig | MixConfig | TeachConfig, runs: Path) -> dict[str, Any]:
    """What data are made of, by content where it may become another under its name."""
    match config:
        case MixConfig():
            return {"mixture": recipe(Path(config.mixture))}
        case TeachConfig():
            return {"pairs": corpus_fingerprint(config.pairs), "teacher": model_content(config.teacher, runs)}
    return {}


def _meaning(variant: Variant, runs: Path) -> dict[str, Any]:
    """What a variant stands for, seeds apart: refused settings come to light here, before any work."""
    meaning: dict[str, Any] = {"budget": dict(variant.budget), "grid": dict(variant.grid), "share": variant.share}
    for stage in variant.plan():
        key = stage.verb if stage.name == stage.verb else f"{stage.name}.{stage.verb}"
        meaning[key] = described(typed(VERBS[stage.verb], stage.settings, out="", seed=0), runs)
        if variant.stages and stage.budget:
            meaning[f"{stage.name}.budget"] = dict(stage.budget)
    for name, settings in variant.evaluate.items():
        if variant.model:
            settings = {**settings, "model": variant.model}
        meaning[f"{name}.{JUDGED}"] = described(typed(EvaluateConfig, settings), runs)
    return meaning


def _paces(study: Study, out: Path, runs: Path, threads: int) -> dict[str, list[dict[str, float]]]:
    """`seconds` per step and their `ratio` to the baseline's for every variant, stage by stage of its pretraining;
    measured when the study is begun and kept: budgets in seconds rest on them."""
    path = out / "paces.json"
    known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    stages: dict[str, list[str]] = {}
    configs: dict[str, PretrainConfig] = {}
    for variant in {each.family: each for each in study.variants}.values():
        names = [stage.name for stage in variant.plan() if stage.verb == "pretrain"]
        stages[variant.family] = [f"{variant.family}: {name}" if variant.stages else variant.family for name in names]
        configs |= zip(stages[variant.family], as_new(variant), strict=True)
    if not configs:
        return {variant.name: [] for variant in study.variants}
    beside = next(iter(stages[study.baseline] or configs))
    told = {name: identity(config, runs) for name, config in configs.items()}
    marks = {name: {"settings": told[name], "beside": told[beside]} for name in configs}
    missing = {
        name: config
        for name, config in configs.items()
        if {key: known.get(name, {}).get(key) for key in marks[name]} != marks[name]
    }
    if missing:
        torch.set_num_threads(threads)
        first = {json.dumps(told[name]): name for name in reversed([beside, *missing])}
        measured = paces({name: configs[name] for name in first.values()}, beside, _tell)
        known |= {
            name: {**measured[first[json.dumps(told[name])]], "threads": threads, **marks[name]} for name in missing
        }
        out.mkdir(parents=True, exist_ok=True)
        write_json(path, known)
    seconds = known[beside]["seconds"]
    return {
        variant.name: [
            {"ratio": known[name]["ratio"], "seconds": seconds * known[name]["ratio"]}
            for name in stages[variant.family]
        ]
        for variant in study.variants
    }
