"""Recipes that `rot5 bench time-to-loss` races: the original's on transformers' T5, ours, ours but for one part."""

from dataclasses import dataclass, field, replace

from rot5.data.denoise import DenoiseConfig, DenoiserConfig
from rot5.train.settings import OptimizerConfig, ScheduleConfig


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One way to train: model, batches, optimizer, schedule and a share of the time. The defaults are ours."""

    name: str
    model: str = "rot5"
    """rot5 (the preset as it is), t5 (its shape with T5's parts, in our code) or hf-t5 (in transformers')."""
    packed: bool = True
    """Packed rows, or padded batches of stories as they come."""
    batch: int = 4
    """Rows of an update, or stories where they are padded: about 4 to a row of 512/312."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    """How weights move."""
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    """How the rate moves with the share of the time that is over."""
    denoise: DenoiseConfig = field(default_factory=DenoiseConfig)
    """The objective that is trained; all are scored on that of `DenoiseConfig()`."""
    share: float = 1 / 8
    """Of the original's time."""


ORIGINAL = Recipe(
    name="original on HF T5",
    model="hf-t5",
    packed=False,
    batch=8,
    optimizer=OptimizerConfig(name="adamw", lr=5e-4, weight_decay=0.01, beta2=0.999),
    schedule=ScheduleConfig(name="linear", warmup_fraction=0.01),
    share=1.0,
)
"""The original experiment's settings of transformers' Trainer; its dropout is left out, in its favour."""

OURS = Recipe(name="ours")

_HALF = {"shortest_prefix": 0.5, "longest_prefix": 0.5}
ORIGINAL_MIXTURE = DenoiseConfig(
    denoisers=(
        DenoiserConfig(name="R", kind="R", probability=0.25, mean_span=3.0, density=0.15),
        DenoiserConfig(name="X", kind="X", probability=0.25, mean_span=48.0, density=0.57),
        DenoiserConfig(name="S", kind="S", probability=0.5, **_HALF),
    )
)
"""As near as denoisers come to the original's: S splits in the middle, X unites two masks, which hide 57 % together."""

SHORTER = tuple(replace(OURS, name=f"ours, 1/{parts} of the time", share=1 / parts) for parts in (32, 16))

ABLATIONS = (
    replace(OURS, name="ours, AdamW for Muon", optimizer=OptimizerConfig(name="adamw", lr=2e-3)),
    replace(OURS, name="ours, T5's architecture", model="t5"),
    replace(OURS, name="ours, padded batches", packed=False, batch=16),
    replace(OURS, name="ours, flat and then decay", schedule=ScheduleConfig(name="wsd", decay_fraction=0.5)),
    replace(OURS, name="ours, the original's mixture", denoise=ORIGINAL_MIXTURE),
)

RECIPES = (ORIGINAL, OURS, *SHORTER, *ABLATIONS)
