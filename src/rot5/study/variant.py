"""What a study compares: variants, each a model that goes through stages; and settings as its file names them."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import yaml

from rot5.config import DistillConfig, FinetuneConfig, PretrainConfig
from rot5.recipes import merged

VERBS: dict[str, type] = {"pretrain": PretrainConfig, "finetune": FinetuneConfig, "distill": DistillConfig}
"""Verbs that train, in the order of a variant that names no stages."""


PLACES = ("out", "cache")
"""Settings that name where something is put: no part of what a variant means."""


class Stage(NamedTuple):
    """One run of a variant's model, which begins with what the stage before has left."""

    name: str
    verb: str
    settings: Mapping[str, Any]
    budget: Mapping[str, float]
    """Of pretraining: at most one of story_tokens, seconds and flops."""


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
    """At most one of story_tokens, seconds and flops, of all pretraining; empty where `pretrain.train` says it."""
    pretrain: Mapping[str, Any] = field(default_factory=dict)
    """Settings of `rot5 pretrain`: its stage, or what all its stages share; empty for none."""
    finetune: Mapping[str, Any] = field(default_factory=dict)
    """Settings of `rot5 finetune` on the pretrained model, or on what `init` names; empty for none."""
    distill: Mapping[str, Any] = field(default_factory=dict)
    """Settings of `rot5 distill`, in place of `finetune` or behind it; empty for none."""
    stages: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Stages by name in place of one of each verb: settings of one verb, and the `share` of the budget."""
    model: str = ""
    """A model that is there and judged as it is, in place of all stages."""
    evaluate: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By name what the model is judged on at the end besides its validation data: settings of `rot5 evaluate`."""
    grid: Mapping[str, list] = field(default_factory=dict)
    """Dotted settings to be tuned -> values to try."""
    share: float = 1.0
    """The budget of runs that tune, as a share of the whole."""

    def plan(self) -> list[Stage]:
        """All stages, in order, with their shares of the budget; pretrainings that name none share what is left."""
        if self.model:
            return []
        shared = {verb: getattr(self, verb) for verb in VERBS}
        told = self.stages or {verb: {verb: None} for verb, settings in shared.items() if settings}
        named = [(name, next(verb for verb in VERBS if verb in own), own) for name, own in told.items()]
        shares = [own.get("share") for _, verb, own in named if verb == "pretrain"]
        left = (1 - sum(filter(None, shares))) / max(1, shares.count(None))
        return [
            Stage(
                name,
                verb,
                merged(shared[verb], own[verb] or {}),
                {kind: amount * own.get("share", left) for kind, amount in self.budget.items()}
                if verb == "pretrain"
                else {},
            )
            for name, verb, own in named
        ]

    def at(self, changes: Mapping[str, Any]) -> "Variant":
        """The variant with dotted settings changed, nothing left to tune."""
        settings = {key: getattr(self, key) for key in ("budget", *VERBS)}
        for key, value in changes.items():
            settings = merged(settings, nested(key, value))
        return replace(self, grid={}, share=1.0, **settings)

    def trials(self) -> list[dict[str, Any]]:
        """Every combination of the values to try; one empty combination where there is nothing to tune."""
        return [dict(zip(self.grid, values, strict=True)) for values in itertools.product(*self.grid.values())]

    def trial(self, changes: Mapping[str, Any]) -> "Variant":
        """The variant that tries one combination, on its share of the budget, judged by its validation data alone."""
        told = ", ".join(f"{key.split('.')[-1]}={told_value(value)}" for key, value in changes.items())
        smaller = {f"budget.{kind}": amount * self.share for kind, amount in self.budget.items()}
        return replace(self.at({**changes, **smaller}), name=f"{self.name} ({told})", evaluate={})


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
