"""A study as its author writes it: one YAML file of variants, seeds, budgets and data, read and checked."""

import itertools
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rot5.errors import UserError, nearest
from rot5.recipes import merged, recipe
from rot5.study.variant import VERBS, Variant, nested, told_value

GROUPS = ("budget", "tune", "stages", "evaluate", *VERBS)
"""Groups of settings."""
OF_A_VARIANT = (*GROUPS, "model")
"""What a variant may change; each also stands at the top of the file, for all variants."""

OWN = ("out", "seed")
"""Settings of runs that follow from the study."""
LENGTH = ("train.steps", "train.epochs")
KEYS = ("about", "data", "seeds", "baseline", "variants", "sweep", "law", *OF_A_VARIANT)
BUDGETS = ("story_tokens", "seconds", "flops")
TUNE_KEYS = ("share", "grid")
ROUNDING = 1e-6
"""That shares may be off by."""


@dataclass(frozen=True, kw_only=True)
class Study:
    """A study file, understood."""

    name: str
    """The file's name without its suffix."""
    about: str
    """What it asks."""
    data: tuple[Mapping[str, Any], ...]
    """Settings of `rot5 prepare`, of `rot5 mix` (which name a `mixture`) or of `rot5 teach` (a `teacher`), one for each
    folder that is to be made where it is missing."""
    seeds: tuple[int, ...]
    """Seeds of every variant."""
    baseline: str
    """The family that times are relative to, and that variants are compared with which name no other."""
    variants: tuple[Variant, ...]
    """In the order of the file."""
    law: bool
    """Whether a scaling law is fitted to the runs."""

    def counterparts(self) -> dict[str, str]:
        """For each variant the one of its budget, or the only one, in the family that it is compared with."""
        families: dict[str, list[Variant]] = {}
        for variant in self.variants:
            families.setdefault(variant.family, []).append(variant)
        return {
            variant.name: other.name
            for variant in self.variants
            for other in families.get(variant.against, [])
            if variant.family != other.family and (variant.budget == other.budget or len(families[other.family]) == 1)
        }


def read_study(path: Path) -> Study:
    """Read and check a study file. Raises UserError that names everything wrong with it."""
    content = recipe(path)
    _refuse(path, _wrong_types(content))
    variants = {str(name): settings or {} for name, settings in (content.get("variants") or {"all": {}}).items()}
    sweep, seeds = content.get("sweep") or {}, content.get("seeds", [0])
    groups = {"": content} | {f"variant {name}: ": settings for name, settings in variants.items()}
    found = [
        f"{where}unknown key {key!r}: {nearest(str(key), known)}"
        for where, settings in groups.items()
        for known in [(*OF_A_VARIANT, "against") if where else KEYS]
        for key in settings
        if key not in known
    ]
    grids = {"sweep": sweep} | {
        f"{where}tune": (settings.get("tune") or {}).get("grid") or {} for where, settings in groups.items()
    }
    for where, grid in grids.items():
        under = ("budget", *VERBS) if where == "sweep" else tuple(VERBS)
        found += [
            f"{where}: {key} must be a list of values, under one of {', '.join(under)}"
            for key, values in grid.items()
            if not isinstance(values, list) or not values or str(key).split(".")[0] not in under
        ]
    if not isinstance(seeds, list) or not seeds or not all(type(seed) is int for seed in seeds):
        found.append(f"seeds {seeds!r} must be a list of numbers")
    elif len(set(seeds)) < len(seeds):
        found.append(f"seeds {seeds!r} repeat themselves")
    _refuse(path, found)

    shared = {key: content.get(key) or {} for key in GROUPS}
    swept = [
        (name, _variant(path, name, point, merged(shared, settings), sole=len(variants) == 1))
        for name, settings in variants.items()
        for point in _points(sweep)
    ]
    names = [variant.name for _, variant in swept]
    families = list(dict.fromkeys(variant.family for _, variant in swept))
    wanted = str(content.get("baseline", families[0]))
    baseline = next((each.family for name, each in swept if wanted in (name, each.family)), wanted)
    made = [
        replace(each, against=_at_its_point(each.against or wanted, name, each.family, families))
        for name, each in swept
    ]
    found = [f"two variants are called {name!r}" for name in dict.fromkeys(names) if names.count(name) > 1]
    named = {"baseline": baseline} | {f"variant {each.name}: against": each.against for each in made}
    found += [
        f"{where} {family!r} is no variant: {nearest(family, families)}"
        for where, family in named.items()
        if family not in families and (family != baseline or where == "baseline")
    ]
    if any(key.startswith("budget.") for key in sweep) and not any(
        stage.budget for each in made for stage in each.plan()
    ):
        found.append("sweep: a budget is of pretraining, and no variant pretrains: sweep over finetune.train.steps")
    _refuse(path, found)
    return Study(
        name=path.stem,
        about=" ".join(str(content.get("about", "")).split()),
        data=tuple(content.get("data") or ()),
        seeds=tuple(seeds),
        baseline=baseline,
        variants=tuple(made),
        law=bool(content.get("law", False)),
    )


def _at_its_point(wanted: str, name: str, family: str, families: list[str]) -> str:
    """The family that a variant is compared with: where a variant is named that was swept, that at the same point."""
    same = f"{wanted}{family.removeprefix(name)}"
    return same if same in families else wanted


def _refuse(path: Path, found: list[str]) -> None:
    if found:
        raise UserError(f"{path}: {'; '.join(found)}")


def _wrong_types(content: Mapping[str, Any]) -> list[str]:
    """Groups that are not `key: value`, in the file and in its variants."""
    groups = {"": content}
    if isinstance(content.get("variants"), dict):
        groups |= {f"variant {name}: ": settings for name, settings in content["variants"].items()}
    found = [f"{where.removesuffix(': ')} must be `key: value`" for where, of in groups.items() if not _is_group(of)]
    for where, of in groups.items():
        for key in ("variants", "sweep", *GROUPS) if _is_group(of) else ():
            if not _is_group((of or {}).get(key)):
                found.append(f"{where}{key} must be `key: value`")
            elif key == "tune" and not _is_group(((of or {}).get(key) or {}).get("grid")):
                found.append(f"{where}tune.grid must be `setting: values`")
    data = content.get("data") or []
    if not isinstance(data, list) or not all(isinstance(each, dict) and "out" in each for each in data):
        found.append("data must be a list of settings of `rot5 prepare`, `mix` or `teach`, each with `out`")
    return found


def _is_group(value: object) -> bool:
    return value is None or isinstance(value, dict)


def _points(sweep: Mapping[str, list]) -> Iterator[dict[str, Any]]:
    """Every combination of the values of a sweep."""
    for values in itertools.product(*sweep.values()):
        yield dict(zip(sweep, values, strict=True))


def _variant(path: Path, name: str, point: Mapping[str, Any], settings: Mapping[str, Any], sole: bool) -> Variant:
    for key, value in point.items():
        settings = merged(settings, nested(key, value))
    told = {key: f"{key.split('.')[-1]}={told_value(value)}" for key, value in point.items()}
    of_budget = {key for key in told if key.startswith("budget.")}
    words = [] if sole and told else [name]
    found = []
    budget = {kind: amount for kind, amount in settings["budget"].items() if amount is not None}
    tune = settings["tune"]
    unknown = [key for key in budget if key not in BUDGETS]
    found += [f"unknown budget {key!r}: {nearest(str(key), BUDGETS)}" for key in unknown]
    if len(budget) > 1:
        found.append(f"one budget, not {' and '.join(map(str, budget))}")
    found += [
        f"budget.{key} {value!r} must be a number above 0"
        for key, value in budget.items()
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= sys.float_info.max
    ]
    found += [f"tune: unknown key {key!r}: {nearest(str(key), TUNE_KEYS)}" for key in tune if key not in TUNE_KEYS]
    share, grid = tune.get("share", 1.0), tune.get("grid") or {}
    if not isinstance(share, int | float) or not 0 < share <= 1:
        found.append(f"tune.share {share!r} must be above 0 and at most 1")
    elif grid and share < 1 and not budget:
        found.append("tune.share needs a budget to be a share of")
    found += [f"{key} is tuned, and the study's to set" for key in grid if key.split(".", 1)[1] in (*OWN, "init")]
    found += _wrong_stages(settings["stages"]) + _wrong_judging(settings["evaluate"])
    if found:
        raise UserError(f"{path}: variant {name}: {'; '.join(found)}")
    made = Variant(
        name=" ".join([*words, *told.values()]),
        family=" ".join([*words, *(text for key, text in told.items() if key not in of_budget)]),
        against=str(settings.get("against", "")),
        budget=budget,
        model=str(settings.get("model", "")),
        **{key: settings[key] or {} for key in ("stages", "evaluate", *VERBS)},
        grid=grid,
        share=float(share),
    )
    if found := _wrong_plan(made, point):
        raise UserError(f"{path}: variant {name}: {'; '.join(found)}")
    return made


def _wrong_stages(stages: Mapping[str, Any]) -> list[str]:
    """What is wrong with the stages that a variant names, by themselves."""
    found = []
    for name, own in stages.items():
        if not isinstance(own, dict) or len(set(own) & set(VERBS)) != 1 or set(own) - {*VERBS, "share"}:
            found.append(f"stage {name} must hold settings of one of {', '.join(VERBS)}, and perhaps a share")
        elif not all(_is_group(value) for key, value in own.items() if key != "share"):
            found.append(f"stage {name} must hold settings as `key: value`")
        elif isinstance(own.get("share", 1), bool) or not isinstance(own.get("share", 1), int | float):
            found.append(f"stage {name}: share {own['share']!r} must be a number")
        elif not 0 < own.get("share", 1) <= 1:
            found.append(f"stage {name}: share {own['share']} must be above 0 and at most 1")
        elif "share" in own and "pretrain" not in own:
            found.append(f"stage {name}: a share is of the budget of pretraining: leave it out")
    return found


def _wrong_judging(judged: Mapping[str, Any]) -> list[str]:
    found = [
        f"evaluate.{name} must be settings of `rot5 evaluate`, with data"
        for name, settings in judged.items()
        if not isinstance(settings, dict) or not settings.get("data")
    ]
    taken = [name for name in judged if name in VERBS or "/" in str(name)]
    return found + [
        f"evaluate.{name}: a verb or a name with a / in it says something else: call it otherwise" for name in taken
    ]


def _wrong_plan(variant: Variant, swept: Iterable[str]) -> list[str]:
    """What is wrong with the settings of a variant's stages as they come to be."""
    plan = variant.plan()
    if variant.model and not variant.evaluate:
        return [f"model {variant.model} is judged as it is: say under evaluate on what"]
    if not plan and not variant.model:
        return ["no stage says anything: give at least pretrain its corpus and validation"]
    found = []
    for number, stage in enumerate(plan):
        own = (*OWN, "init") if number else OWN
        found += [f"{stage.verb}.{key} is the study's to set" for key in own if _has(stage.settings, key)]
        if stage.budget:
            told = [
                f"{stage.verb}.{key}"
                for key in LENGTH
                if _has(stage.settings, key) or f"{stage.verb}.{key}" in variant.grid
            ]
            found += [f"{key} and a budget both say how long to train: give one" for key in told]
    for name, stage in variant.stages.items():
        found += [
            f"{key} is {how}, and stage {name} sets it itself"
            for how, keys in (("tuned", variant.grid), ("swept over", swept))
            for key in keys
            if _has(stage, key)
        ]
    shares = {name: stage.get("share") for name, stage in variant.stages.items() if "pretrain" in stage}
    named = sum(filter(None, shares.values()))
    if shares and None not in shares.values() and abs(named - 1) > ROUNDING:
        found.append(f"shares of the pretraining stages add up to {named:g}, not to 1")
    found += [f"shares leave nothing for stage {name}" for name, own in shares.items() if own is None and named >= 1]
    for name, settings in variant.evaluate.items():
        found += [f"evaluate.{name}.{key} is the study's to set" for key in ("model", "out") if key in settings]
    return found


def _has(settings: Mapping[str, Any], dotted: str) -> bool:
    first, _, rest = dotted.partition(".")
    inner = settings.get(first)
    return first in settings if not rest else isinstance(inner, Mapping) and _has(inner, rest)
