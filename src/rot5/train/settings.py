"""How a run trains: optimizer, schedule, batches, evaluation and checkpoints, as settings."""

import math
from dataclasses import dataclass, field, fields

from rot5.errors import nearest


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """How weights move. Every optimizer decays matrices alone."""

    name: str = "muon"
    """muon (matrices inside the layers, those of experts too, by Muon, the rest by AdamW); adamw (arXiv:1711.05101);
    adamw_rms (AdamW with steps relative to the RMS of each tensor, as in nanoT5); or adafactor (arXiv:1804.04235)."""
    lr: float = 1e-2
    """Peak learning rate, reached after the warm-up. adamw wants less (try 2e-3); it means a share of the weights to
    adamw_rms (try 2e-2) and adafactor (try 1e-2)."""
    weight_decay: float = 0.1
    """Decoupled decay of matrices, times the learning rate; norms and embeddings have none."""
    beta1: float = 0.9
    """Decay of the mean of gradients; adafactor has none, muon uses it outside its matrices."""
    beta2: float = 0.95
    """Decay of the mean of squared gradients; adafactor has its own schedule, muon uses it outside its matrices."""
    epsilon: float = 1e-8
    """Added to the root of the second moment; adafactor ignores it, muon uses it outside its matrices."""
    momentum: float = 0.95
    """Decay of the mean of gradients of the matrices of muon; the others ignore it."""
    clip_norm: float = 1.0
    """Largest global gradient norm; gradients above it are scaled down."""


@dataclass(frozen=True, kw_only=True)
class ScheduleConfig:
    """How the learning rate moves over the run."""

    name: str = "linear"
    """linear, cosine, constant or wsd (warm-up, stable, decay)."""
    warmup_fraction: float = 0.02
    """Share of all steps over which the rate rises linearly from 0."""
    decay_fraction: float = 0.2
    """Share of all steps at the end over which wsd decays linearly; the others ignore it."""
    final_fraction: float = 0.0
    """The last rate as a share of the peak."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """One run of the training loop. Steps are optimizer updates."""

    steps: int = 0
    """Optimizer updates; 0 derives them from `epochs`."""
    epochs: float = 1.0
    """Passes over the data when `steps` is 0."""
    batch_rows: int = 16
    """Packed rows per step."""
    micro_batch_rows: int = 16
    """Packed rows per forward and backward; changes memory and speed, not the gradient."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    """How weights move."""
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    """How the learning rate moves."""
    precision: str = "auto"
    """Of matrix products (weights stay float32): bf16, float32, or auto: bf16 on GPUs and CPUs that multiply in it."""
    compile: str = "auto"
    """on, off, or auto: on a GPU, where it pays."""
    checkpointing: bool = False
    """Keep each layer's input alone and make the rest again in the backward pass; changes memory and speed, not the
    gradient."""
    evaluate_every: int = 200
    """Steps between evaluations on the fixed validation sample; 0 for none but the last."""
    evaluation_examples: int = 500
    """Documents or pairs of the fixed validation sample."""
    checkpoint_every: int = 500
    """Steps between checkpoints; one is always written at the end."""
    keep_checkpoints: int = 2
    """Newest checkpoints kept."""
    log_every: int = 10
    """Steps between lines of metrics."""
    parallel: str = "ddp"
    """What each of several ranks holds: ddp (all of the model) or fsdp (a part of it); changes memory and speed."""
    max_skipped_steps: int = 10
    """Steps of the run that may be skipped, as their loss or gradient is no finite number; the next one ends it."""


@dataclass(frozen=True, kw_only=True)
class LoraConfig:
    """Low-rank adapters (arXiv:2106.09685) on all linear layers but the head: they alone are trained, and merged into
    the weights at the end. Needs the extra `peft`."""

    rank: int = 0
    """Rank of the adapters; 0 trains all weights instead."""
    alpha: float = 16.0
    """What an adapter adds counts alpha / rank."""


HIGHEST_RANK = 4096
"""Adapters above it are larger than what they are put on."""


FREE = ("checkpoint_every", "keep_checkpoints", "max_skipped_steps", "parallel")
"""Settings that change nothing of a run's result, and may be others when it is taken up."""


OPTIMIZER_NAMES = ("muon", "adamw", "adamw_rms", "adafactor")
SCHEDULE_NAMES = ("linear", "cosine", "constant", "wsd")
PRECISION_NAMES = ("auto", "bf16", "float32")
COMPILE_NAMES = ("auto", "on", "off")
PARALLEL_NAMES = ("ddp", "fsdp")


def problems(config: TrainConfig) -> list[str]:
    """What cannot work, one sentence each."""
    found = []
    for key, value, names in (
        ("schedule.name", config.schedule.name, SCHEDULE_NAMES),
        ("precision", config.precision, PRECISION_NAMES),
        ("compile", config.compile, COMPILE_NAMES),
        ("parallel", config.parallel, PARALLEL_NAMES),
    ):
        if value not in names:
            found.append(f"train.{key} {value!r} is not one of {', '.join(names)}")
    if config.steps == 0 and config.epochs <= 0:
        found.append("train.steps and train.epochs are both 0: set one")
    if config.steps < 0:
        found.append(f"train.steps {config.steps} is negative")
    for key in (
        "batch_rows",
        "micro_batch_rows",
        "evaluation_examples",
        "checkpoint_every",
        "keep_checkpoints",
        "log_every",
    ):
        if getattr(config, key) < 1:
            found.append(f"train.{key} {getattr(config, key)} must be at least 1")
    if config.micro_batch_rows >= 1 and config.batch_rows % config.micro_batch_rows:
        found.append(
            f"train.batch_rows {config.batch_rows} must be a multiple of "
            f"train.micro_batch_rows {config.micro_batch_rows}"
        )
    for key in ("warmup_fraction", "decay_fraction", "final_fraction"):
        if not 0 <= getattr(config.schedule, key) <= 1:
            found.append(f"train.schedule.{key} {getattr(config.schedule, key)} must be between 0 and 1")
    for key in ("evaluate_every", "max_skipped_steps"):
        if getattr(config, key) < 0:
            found.append(f"train.{key} {getattr(config, key)} is negative")
    name = config.optimizer.name
    if name not in OPTIMIZER_NAMES:
        found.append(f"train.optimizer.name {name!r} is unknown: {nearest(name, OPTIMIZER_NAMES)}")
    for key in ("lr", "clip_norm", "epsilon"):
        if getattr(config.optimizer, key) <= 0:
            found.append(f"train.optimizer.{key} {getattr(config.optimizer, key)} must be above 0")
    for key in ("beta1", "beta2", "momentum"):
        if not 0 <= getattr(config.optimizer, key) < 1:
            found.append(f"train.optimizer.{key} {getattr(config.optimizer, key)} must be at least 0 and below 1")
    if config.parallel == "fsdp" and name == "adafactor":
        found.append("train.parallel fsdp has no adafactor, as torch's knows no sharded tensors: use another optimizer")
    for prefix, group in (("", config), ("schedule.", config.schedule), ("optimizer.", config.optimizer)):
        for key in (entry.name for entry in fields(group)):
            if isinstance(value := getattr(group, key), float) and not math.isfinite(value):
                found.append(f"train.{prefix}{key} {value} must be a finite number")
    if config.optimizer.weight_decay < 0:
        found.append(f"train.optimizer.weight_decay {config.optimizer.weight_decay} is negative")
    return found


def lora_problems(config: LoraConfig) -> list[str]:
    """What cannot work, one sentence each."""
    found = []
    if not 0 <= config.rank <= HIGHEST_RANK:
        found.append(f"lora.rank {config.rank} must be between 0 and {HIGHEST_RANK:,}")
    if not 0 < config.alpha < math.inf:
        found.append(f"lora.alpha {config.alpha} must be a finite number above 0")
    return found
