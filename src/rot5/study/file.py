"""A study as its author writes it: one YAML file of variants, seeds, budgets and data, read and checked."""

import itertools
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from rot5.errors import UserError, nearest
from rot5.recipes import merged, recipe

OF_A_VARIANT = ("budget", "tune", "pretrain", "finetune")
"""What a variant may change; each also stands at the top of the file, for all variants."""

STAGES = ("pretrain", "finetune")
OWN = ("pretrain.out", "pretrain.seed", "finetune.out", "finetune.seed", "finetune.init")
LENGTH = ("pretrain.train.steps", "pretrain.train.epochs")
KEYS = ("about", "data", "seeds", "baseline", "variants", "sweep", "law", *OF_A_VARIANT)
BUDGETS = ("story_tokens", "seconds", "flops")
TUNE_KEYS = ("share", "grid")


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One thing that a study compares: the settings of its stages, seeds apart."""

    name: str
    """As tables call it."""
    family: str
    """The name without what was swept over budgets: variants of one family differ in nothing but their budget."""
    against: str
    """Family that it is compared with, budget by budget; its own for none."""
    budget: Mapping[str, float] = field(default_factory=dict)
    """At most one of story_tokens, seconds and flops, of pretraining; empty where `pretrain.train` says it."""
    pretrain: Mapping[str, Any] = field(default_factory=dict)
    """Settings of `rot5 pretrain`."""
    finetune: Mapping[str, Any] = field(default_factory=dict)
    """Settings of `rot5 finetune` on the pretrained model; empty for none."""
    grid: Mapping[str, list] = field(default_factory=dict)
    """Dotted settings to be tuned -> values to try."""
    share: float = 1.0
    """The budget of runs that tune, as a share of the whole."""

    def at(self, changes: Mapping[str, Any]) -> "Variant":
        """The variant with dotted settings changed, nothing left to tune."""
        settings = {"budget": self.budget, "pretrain": self.pretrain, "finetune": self.finetune}
        for key, value in changes.items():
            settings = merged(settings, nested(key, value))
        return Variant(name=self.name, family=self.family, against=self.against, **settings)

    def trials(self) -> list[dict[str, Any]]:
        """Every combination of the values to try; one empty combination where there is nothing to tune."""
        return [dict(zip(self.grid, values, strict=True)) for values in itertools.product(*self.grid.values())]

    def trial(self, changes: Mapping[str, Any]) -> "Variant":
        """The variant that tries one combination, on its share of the budget."""
        told = ", ".join(f"{key.split('.')[-1]}={told_value(value)}" for key, value in changes.items())
        smaller = {f"budget.{kind}": amount * self.share for kind, amount in self.budget.items()}
        return replace(self.at({**changes, **smaller}), name=f"{self.name} ({told})")


@dataclass(frozen=True, kw_only=True)
class Study:
    """A study file, understood."""

    name: str
    """The file's name without its suffix."""
    about: str
    """What it asks."""
    data: tuple[Mapping[str, Any], ...]
    """Settings of `rot5 prepare`, one for each folder that is to be made where it is missing."""
    seeds: tuple[int, ...]
    """Seeds of every variant."""
    baseline: str
    """The family that times are relative to, and that variants are compared with which name no other."""
    variants: tuple[Variant, ...]
    """In the order of the file."""
    law: bool
    """Whether a scaling law is fitted to the runs."""

    def counterparts(self) -> dict[str, str]:
        """For each variant, the one of the same budget in the family that it is compared with."""
        return {
            variant.name: other.name
            for variant in self.variants
            for other in self.variants
            if variant.family != variant.against == other.family and variant.budget == other.budget
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
        under = OF_A_VARIANT if where == "sweep" else STAGES
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

    shared = {key: content.get(key) or {} for key in OF_A_VARIANT}
    made = [
        _variant(path, name, point, merged(shared, settings), sole=len(variants) == 1)
        for name, settings in variants.items()
        for point in _points(sweep)
    ]
    names = [variant.name for variant in made]
    families = list(dict.fromkeys(variant.family for variant in made))
    baseline = str(content.get("baseline", families[0]))
    made = [replace(variant, against=variant.against or baseline) for variant in made]
    found = [f"two variants are called {name!r}" for name in dict.fromkeys(names) if names.count(name) > 1]
    named = {"baseline": baseline} | {f"variant {each.name}: against": each.against for each in made}
    found += [
        f"{where} {family!r} is no variant: {nearest(family, families)}"
        for where, family in named.items()
        if family not in families and (family != baseline or where == "baseline")
    ]
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
        for key in ("variants", "sweep", *OF_A_VARIANT) if _is_group(of) else ():
            if not _is_group((of or {}).get(key)):
                found.append(f"{where}{key} must be `key: value`")
            elif key == "tune" and not _is_group(((of or {}).get(key) or {}).get("grid")):
                found.append(f"{where}tune.grid must be `setting: values`")
    data = content.get("data") or []
    if not isinstance(data, list) or not all(isinstance(each, dict) and "out" in each for each in data):
        found.append("data must be a list of settings of `rot5 prepare`, each with `out`")
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
    budget, tune = settings["budget"], settings["tune"]
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
    found += [f"{key} is the study's to set" for key in OWN if _has(settings, key)]
    found += [f"{key} is tuned, and the study's to set" for key in grid if key in OWN]
    if budget:
        said = [key for key in LENGTH if _has(settings, key) or key in grid]
        found += [f"{key} and a budget both say how long to train: give one" for key in said]
    if not settings["pretrain"]:
        found.append("pretrain says nothing: give at least its corpus and validation")
    if found:
        raise UserError(f"{path}: variant {name}: {'; '.join(found)}")
    return Variant(
        name=" ".join([*words, *told.values()]),
        family=" ".join([*words, *(text for key, text in told.items() if key not in of_budget)]),
        against=str(settings.get("against", "")),
        budget=budget,
        pretrain=settings["pretrain"],
        finetune=settings["finetune"],
        grid=grid,
        share=float(share),
    )


def _has(settings: Mapping[str, Any], dotted: str) -> bool:
    first, _, rest = dotted.partition(".")
    inner = settings.get(first)
    return first in settings if not rest else isinstance(inner, Mapping) and _has(inner, rest)


def told_value(value: object) -> str:
    """A value as names and tables say it: large numbers with thousands set apart, groups in short."""
    if isinstance(value, dict):
        return "/".join(told_value(each) for each in value.values())
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def nested(dotted: str, value: object) -> dict[str, Any]:
    """A dotted key as dicts within dicts.

    >>> nested("train.optimizer.lr", 0.1)
    {'train': {'optimizer': {'lr': 0.1}}}
    """
    for part in reversed(dotted.split(".")):
        value = {part: value}
    assert isinstance(value, dict)
    return value


def as_yaml(settings: Mapping[str, Any]) -> str:
    """Settings as a recipe."""
    return yaml.safe_dump(dict(settings), sort_keys=False, allow_unicode=True)
