"""Recipes, flags and studies of strangers."""

import contextlib
import io
import json
import math
from dataclasses import fields, is_dataclass
from random import Random
from typing import Any, NamedTuple
from unittest.mock import patch

from faults import hostile
from faults.world import World

from rot5 import cli
from rot5.build.models import shape
from rot5.config import FinetuneConfig, PlanConfig, PrepareConfig, PretrainConfig
from rot5.data import denoise, packing, sources
from rot5.data.tokenizer import (
    SpecialIds,
)
from rot5.errors import UserError
from rot5.recipes import command_line, keys
from rot5.study.file import read_study
from rot5.train import settings as train_settings
from rot5.verbs import plan


class Command(NamedTuple):
    """A verb, its recipe, and its flags."""

    verb: str
    recipe: bytes | None
    flags: tuple[str, ...]


_RECIPES: dict[str, dict[str, Any]] = {
    "pretrain": {
        "corpus": "a",
        "validation": "b",
        "out": "c",
        "model": {"preset": "demo", "d_model": 64, "rope_parameters": {"rope_type": "linear", "factor": 2.0}},
        "denoise": {"denoisers": [{"name": name, "kind": name, "probability": 0.5} for name in "RS"]},
        "pack": {"encoder_length": 256, "window": 64},
        "train": {"steps": 7, "optimizer": {"name": "adamw", "lr": 2.0e-3}, "schedule": {"name": "cosine"}},
        "seed": 3,
    },
    "finetune": {"pairs": "a", "validation": "b", "out": "c", "limit": 3, "train": {"epochs": 2.0}, "mode": "S"},
    "prepare": {"source": {"name": "storyworld", "limit": 8, "format": "auto"}, "out": "o", "num_sentinels": 9},
    "plan": {"preset": "mini", "tokens": 1.0e9, "hardware": "H200", "pack": {"encoder_length": 64}},
    "evaluate": {"model": "m", "data": "d", "precision": "int8", "summaries": 3},
    "judge": {"model": "m", "prompts": "p", "out": "o", "temperature": 0.5},
    "summarize": {"input": "-", "model": "m"},
    "stories": {"count": 3, "split": "train"},
    "export": {"model": "m", "out": "o", "portable": True},
}
_CLASSES = {"pretrain": PretrainConfig, "finetune": FinetuneConfig, "prepare": PrepareConfig, "plan": PlanConfig}


def make_command(world: World, draw: Random) -> Command:
    verb = draw.choice(list(_RECIPES))
    settings = json.loads(json.dumps(_RECIPES[verb]))
    for _ in range(draw.choice((0, 1, 1, 2))):
        settings = hostile.changed(settings, draw)
    flags = []
    known = list(keys(_CLASSES[verb])) if verb in _CLASSES else list(_RECIPES[verb])
    for _ in range(draw.choice((0, 0, 1, 2))):
        key, given = (
            draw.choice(known),
            draw.choice((hostile.text(draw, 1), json.dumps(hostile.value(draw)), "3", "true")),
        )
        flag = hostile.text(draw, 1) if draw.random() < 0.1 else f"--{key}"
        flags += draw.choice(([flag, given], [f"{flag}={given}"], [flag], [f"{flag}.x", given], ["--resume", given]))
    return Command(verb, hostile.as_yaml(settings, draw), tuple(flags))


def check_command(world: World, command: Command) -> None:
    """What a user gives becomes settings that can be written down as a command, or is refused in one line."""
    words = [command.verb]
    if command.recipe is not None:
        words += ["--config", str(world.file("recipe.yaml", command.recipe))]
    settings = taken(words + list(command.flags))
    if settings is None:
        return
    if found := _problems(settings):
        raise UserError("; ".join(found))
    if command.verb in ("pretrain", "finetune", "prepare"):
        again = taken(command_line(command.verb, settings)[1:])
        assert repr(again) == repr(settings), f"{again} is not {settings}"
    rooms = [getattr(settings, name) for name in ("train", "pack", "denoise") if hasattr(settings, name)]
    assert all(math.isfinite(number) for room in rooms for number in _numbers(room)), "no number at all"


def taken(words: list[str]) -> Any:
    """The settings that a verb would have been called with; None for help."""
    found: list[Any] = []

    class Verb:
        @staticmethod
        def run(settings: Any, **_: bool) -> None:
            found.append(settings)

    real = cli.importlib.import_module

    def instead(name: str) -> Any:
        return Verb if name.startswith(("rot5.verbs", "rot5.demo", "rot5.study")) else real(name)

    out = io.StringIO()
    try:
        with patch.object(cli.importlib, "import_module", instead), contextlib.redirect_stdout(out):
            cli.run(words)
    except SystemExit as stop:
        assert stop.code in (None, 0) and out.getvalue(), "it ends without a word"
    return found[0] if found else None


def _problems(settings: Any) -> list[str]:
    """What the rooms say against the settings before any work."""
    found = []
    if hasattr(settings, "train"):
        found += train_settings.problems(settings.train)
    if hasattr(settings, "denoise") and not packing.problems(settings.pack):
        sides = {"encoder_length": settings.pack.encoder_length, "decoder_length": settings.pack.decoder_length}
        found += denoise.problems(settings.denoise, num_sentinels=100, **sides)
    if isinstance(settings, PlanConfig):
        found += plan.problems(settings)
    elif hasattr(settings, "pack"):
        found += packing.problems(settings.pack)
    if hasattr(settings, "source"):
        found += sources.problems(settings.source)
    if hasattr(settings, "model") and not isinstance(settings.model, str):
        ids = SpecialIds(pad=0, eos=1, decoder_start=2, modes={}, first_sentinel=3, num_sentinels=9, vocab_size=512)
        shape(settings.model, ids)
    return found


def _numbers(settings: Any):
    for entry in fields(settings):
        value = getattr(settings, entry.name)
        for each in value if isinstance(value, tuple) else (value,):
            if is_dataclass(each):
                yield from _numbers(each)
            elif isinstance(each, float):
                yield each


_STUDY: dict[str, Any] = {
    "about": "what?",
    "data": [{"out": "d", "source": {"limit": 3}}],
    "seeds": [0, 1],
    "budget": {"story_tokens": 1000},
    "tune": {"share": 0.5, "grid": {"pretrain.train.optimizer.lr": [0.1, 0.2]}},
    "sweep": {"budget.story_tokens": [1000, 2000]},
    "baseline": "a",
    "pretrain": {"corpus": "d", "validation": "d", "model": {"preset": "2m"}},
    "variants": {"a": {}, "b": {"pretrain": {"model": {"preset": "1m"}}, "against": "a"}},
    "law": True,
}


def make_study(world: World, draw: Random) -> bytes:
    study = json.loads(json.dumps(_STUDY))
    for _ in range(draw.choice((1, 1, 2, 3))):
        study = hostile.changed(study, draw)
    return hostile.as_yaml(study, draw)


def check_study(world: World, data: bytes) -> None:
    study = read_study(world.file("study.yaml", data))
    assert study.variants and study.seeds
    for variant in study.variants:
        for changes in variant.trials():
            variant.trial(changes)
    study.counterparts()
