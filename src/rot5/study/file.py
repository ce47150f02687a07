"""A study as its author writes it: one YAML file of variants, seeds, budgets and data, read and checked."""

import copy
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from rot5.config import recipe
from rot5.errors import UserError, nearest

OF_A_VARIANT = ("budget", "tune", "pretrain", "finetune")
"""What a variant may change; each also stands at the top of the file, for all variants."""

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
        return Variant(name=self.name, family=self.family, **settings)

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
    """The family that the others are compared with, budget by budget."""
    variants: tuple[Variant, ...]
    """In the order of the file."""
    law: bool
    """Whether a scaling law is fitted to the runs."""

    def counterparts(self) -> dict[str, str]:
        """For each variant outside the baseline's family, the member of that family with the same budget."""
        of_baseline = [variant for variant in self.variants if variant.family == self.baseline]
        return {
            variant.name: other.name
            for variant in self.variants
            for other in of_baseline
            if variant.family != self.baseline and variant.budget == other.budget
        }


def read_study(path: Path) -> Study:
    """Read and check a study file. Raises UserError that names everything wrong with it."""
    content = recipe(path)
    found = [f"unknown key {key!r}: {nearest(key, KEYS)}" for key in content if key not in KEYS]
    variants = content.get("variants") or {"all": {}}
    sweep = content.get("sweep") or {}
    if not isinstance(variants, dict) or not all(isinstance(each or {}, dict) for each in variants.values()):
        raise UserError(f"{path}: variants must be `name: settings`")
    for name, settings in variants.items():
        unknown = [key for key in settings or {} if key not in OF_A_VARIANT]
        found += [f"variant {name}: unknown key {key!r}: {nearest(key, OF_A_VARIANT)}" for key in unknown]
    grids = {"sweep": sweep} | {
        f"tune of {name}": ((settings or {}).get("tune") or {}).get("grid") or {} for name, settings in variants.items()
    }
    grids["tune"] = (content.get("tune") or {}).get("grid") or {}
    for where, grid in grids.items():
        found += [
            f"{where}: {key} must be a list of values, under one of {', '.join(OF_A_VARIANT)}"
            for key, values in grid.items()
            if not isinstance(values, list) or not values or key.split(".")[0] not in OF_A_VARIANT
        ]
    seeds = content.get("seeds", [0])
    if not isinstance(seeds, list) or not seeds or not all(isinstance(seed, int) for seed in seeds):
        found.append(f"seeds {seeds!r} must be a list of numbers")
    elif len(set(seeds)) < len(seeds):
        found.append(f"seeds {seeds!r} repeat themselves")
    if found:
        raise UserError(f"{path}: {'; '.join(found)}")

    shared = {key: content.get(key) or {} for key in OF_A_VARIANT}
    made = [
        _variant(path, name, point, merged(shared, settings or {}), sole=len(variants) == 1)
        for name, settings in variants.items()
        for point in _points(sweep)
    ]
    families = list(dict.fromkeys(variant.family for variant in made))
    baseline = str(content.get("baseline", families[0]))
    if baseline not in families:
        raise UserError(f"{path}: baseline {baseline!r} is no variant: {nearest(baseline, families)}")
    return Study(
        name=path.stem,
        about=" ".join(str(content.get("about", "")).split()),
        data=tuple(content.get("data") or ()),
        seeds=tuple(seeds),
        baseline=baseline,
        variants=tuple(made),
        law=bool(content.get("law", False)),
    )


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
    found += [f"unknown budget {key!r}: {nearest(key, BUDGETS)}" for key in unknown]
    if len(budget) > 1:
        found.append(f"one budget, not {' and '.join(budget)}")
    found += [
        f"budget.{key} {value!r} must be a number above 0"
        for key, value in budget.items()
        if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0
    ]
    found += [f"tune: unknown key {key!r}: {nearest(key, TUNE_KEYS)}" for key in tune if key not in TUNE_KEYS]
    share, grid = tune.get("share", 1.0), tune.get("grid") or {}
    if not isinstance(share, int | float) or not 0 < share <= 1:
        found.append(f"tune.share {share!r} must be above 0 and at most 1")
    elif grid and share < 1 and not budget:
        found.append("tune.share needs a budget to be a share of")
    if not settings["pretrain"]:
        found.append("pretrain says nothing: give at least its corpus and validation")
    if found:
        raise UserError(f"{path}: variant {name}: {'; '.join(found)}")
    return Variant(
        name=" ".join([*words, *told.values()]),
        family=" ".join([*words, *(text for key, text in told.items() if key not in of_budget)]),
        budget=budget,
        pretrain=settings["pretrain"],
        finetune=settings["finetune"],
        grid=grid,
        share=float(share),
    )


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


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with what `over` sets, at any depth.

    >>> merged({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}})
    {'a': {'b': 3, 'c': 2}}
    """
    result = copy.deepcopy(dict(base))
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = merged(result[key], value) if both else copy.deepcopy(value)
    return result


def as_yaml(settings: Mapping[str, Any]) -> str:
    """Settings as a recipe."""
    return yaml.safe_dump(dict(settings), sort_keys=False, allow_unicode=True)
