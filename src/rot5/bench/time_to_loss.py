"""How soon our recipe reaches the loss at which the original's, on transformers' T5, ends: whole runs on one clock."""

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from rot5 import runtime
from rot5.bench.ceilings import Ceilings
from rot5.bench.figures import Figures
from rot5.bench.kept import KeptRuns
from rot5.bench.race import race
from rot5.bench.recipes_raced import ORIGINAL, OURS, RECIPES, SHORTER, Recipe
from rot5.config import BenchConfig
from rot5.data.corpus import Corpus
from rot5.data.manifest import data_fingerprint
from rot5.errors import UserError
from rot5.evaluation.intervals import over_seeds
from rot5.report.charts import Chart, Series
from rot5.report.tables import Column, Table

SCORE = "eval/bits_per_byte"
RUNS = "time-to-loss-runs.jsonl"

Runs = Mapping[str, Sequence[Mapping[str, Any]]]
"""Recipe -> its runs, in the order of seeds."""

ABOUT = (
    "Each recipe trains for its share of the time, its learning rate decayed to zero at its own end, on the same text; "
    "each is scored on the same masked validation documents. The original is transformers' T5 of the same width, depth "
    "and vocabulary on padded batches with AdamW at 5e-4 and linear decay. Ours: packed rows, rotary positions, scaled "
    "attention, Muon. Each ablation changes one thing of ours, at an eighth of the time. The clock runs while batches "
    "are made and weights move; building, compiling and scoring stand outside. Recipes take turns within each seed, "
    "each in a process of its own. "
    "Intervals are Student's over seeds."
)
COLUMNS = (
    Column("recipe", "Recipe", text=True),
    Column("bits_per_byte", "Bits per byte", digits=3),
    Column("loss", "Nats per target", digits=3),
    Column("against", "Bits per byte,\nless the original's", digits=3),
    Column("seconds", "Training\nseconds"),
    Column("story_tokens", "Story tokens", digits=0),
    Column("updates", "Updates", digits=0),
    Column("speed", "Story tokens/s", digits=0),
    Column("parameters", "Parameters", digits=0),
)
REACHED_COLUMNS = (
    Column("figure", "At the original's final loss", text=True),
    Column("original", "Original", digits=0),
    Column("ours", "Ours", digits=0),
    Column("gain", "Gain", digits=2),
)


def measure(config: BenchConfig, ceilings: Ceilings) -> Figures:
    """Run what has not been run, seed by seed, and compare. Raises UserError without a corpus and its validation."""
    if not (config.corpus and config.validation):
        raise UserError("time-to-loss trains on one corpus and scores on another: name both --corpus and --validation")
    if config.minutes <= 0:
        raise UserError(f"minutes {config.minutes} must be above 0")
    corpus, validation = Corpus.open(Path(config.corpus)), Corpus.open(Path(config.validation))
    validation.check_tokenizer(corpus.tokenizer())
    Path(config.out).mkdir(parents=True, exist_ok=True)
    kept = KeptRuns(Path(config.out) / RUNS)
    runs: dict[str, list[dict]] = {recipe.name: [] for recipe in RECIPES}
    for seed in range(config.seeds):
        for recipe in RECIPES:
            told = _told(recipe, seed, config)
            found = kept.find(told) or kept.add(told, _run(recipe, seed, config))
            runs[recipe.name].append(found)
            print(
                f"seed {seed}, {recipe.name}: {found[SCORE]:.3f} bits per byte in {found['seconds']:.0f} s", flush=True
            )
    return compared(runs, config)


def _run(recipe: Recipe, seed: int, config: BenchConfig) -> dict[str, Any]:
    """One run in a process of its own, so that none has to do with the memory that another left behind."""
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as process:
        return process.submit(race, recipe, seed, config).result()


def _told(recipe: Recipe, seed: int, config: BenchConfig) -> dict[str, Any]:
    """All that a run's result depends on, as it comes back from JSON."""
    machine = runtime.environment()
    told = {
        "recipe": asdict(recipe),
        "seed": seed,
        "minutes": config.minutes,
        "preset": config.preset,
        "pack": asdict(config.pack),
        "corpus": data_fingerprint(Path(config.corpus)),
        "validation": data_fingerprint(Path(config.validation)),
        "machine": {key: machine[key] for key in ("torch", "transformers", "device", "threads")},
    }
    return json.loads(json.dumps(told))


def compared(runs: Runs, config: BenchConfig) -> Figures:
    """Tables and chart of finished runs, as many of each recipe as of the original."""
    theirs = runs[ORIGINAL.name]
    rows = []
    for name, of_one in runs.items():
        gaps = [own[SCORE] - other[SCORE] for own, other in zip(of_one, theirs, strict=True)]
        rows.append(
            {
                "recipe": name,
                "bits_per_byte": shown([run[SCORE] for run in of_one]),
                "loss": shown([run["eval/loss"] for run in of_one]),
                "against": None if name == ORIGINAL.name else shown(gaps),
                **{key: float(np.mean([run[key] for run in of_one])) for key in ("seconds", "story_tokens", "updates")},
                "speed": float(np.mean([run["story_tokens"] / run["seconds"] for run in of_one])),
                "parameters": of_one[0]["parameters"],
            }
        )
    title = f"{config.preset}, {config.minutes:g} minutes for the original, seeds: {len(theirs)}"
    series = [Series(name, _mean_curve(of_one), style) for style, (name, of_one) in enumerate(runs.items())]
    chart = Chart(
        "Loss over training time, on the way and at the end of each run",
        "bits per byte",
        series,
        along="training seconds",
        log_along=True,
    )
    return Figures("Time to loss", ABOUT, [Table(title, rows, COLUMNS), _reached(runs)], [chart], {"runs": runs})


def _mean_curve(of_one: Sequence[Mapping[str, Any]]) -> list[tuple[float, float]]:
    curves = np.array([run["curve"] for run in of_one])
    return [(float(seconds), float(loss)) for seconds, loss in curves.mean(axis=0)]


def _reached(runs: Runs) -> Table:
    """Seconds and story tokens with which ours has the original's final loss, and what it gains by that."""
    theirs = runs[ORIGINAL.name]
    by_seed = list(zip(*(runs[recipe.name] for recipe in (*SHORTER, OURS)), strict=True))
    rows = []
    for key, figure in (("seconds", "training seconds"), ("story_tokens", "story tokens")):
        needed = [
            amount_for(other[SCORE], [(run[key], run[SCORE]) for run in own])
            for other, own in zip(theirs, by_seed, strict=True)
        ]
        gains = [other[key] / amount for other, amount in zip(theirs, needed, strict=True)]
        reached = all(map(math.isfinite, needed))
        rows.append(
            {
                "figure": figure,
                "original": float(np.mean([other[key] for other in theirs])),
                "ours": shown(needed, geometric=True) if reached else None,
                "gain": shown(gains, geometric=True) if reached else None,
            }
        )
    whole, first = (
        sum(own[budget][SCORE] <= other[SCORE] for own, other in zip(by_seed, theirs, strict=True))
        for budget in (-1, 0)
    )
    about = (
        f"An eighth of the time suffices in {whole} of {len(theirs)} seeds. Amounts are read off between runs "
        "of ours at several shares of the time, each decayed to its own end, on a logarithmic scale; means are "
        f"geometric. In {first} of {len(theirs)} seeds the smallest of them was good enough already: there the gain is "
        "at least this."
    )
    return Table("When ours is as good as the original ends", rows, REACHED_COLUMNS, about)


def amount_for(aim: float, ends: Sequence[tuple[float, float]]) -> float:
    """The seconds or tokens with which runs, given by ascending (amount, final loss), come to the loss `aim`.

    Between two runs by the logarithm of amounts; the least amount where that is good enough; infinite where none is.

    >>> amount_for(1.5, [(10.0, 2.0), (40.0, 1.0)])
    20.0
    """
    if ends[0][1] <= aim:
        return ends[0][0]
    for (before, high), (after, low) in itertools.pairwise(ends):
        if low <= aim:
            return before * (after / before) ** ((high - aim) / (high - low))
    return math.inf


def shown(values: Sequence[float], *, geometric: bool = False) -> dict[str, float] | float:
    """The mean over seeds with its interval, as tables show it; of one seed its value."""
    found = over_seeds(values, geometric=geometric)
    return found.mean if math.isnan(found.low) else found._asdict()
