"""Settings chosen by trial: every combination of a variant's small grid, with the first seed, and the best of them."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rot5.study.compare import finite
from rot5.study.file import Study
from rot5.study.runs import Chain, Run, chain
from rot5.study.variant import Variant


class Tuned(NamedTuple):
    """Variants at their best settings, and how these were found."""

    variants: list[Variant]
    told: dict[str, dict[str, Any]]
    """Per tuned family the `trials` (`changes`, `score`), the `chosen` changes, the `share` of the budget that trials
    had, and the settings that were best `at_edge`, at an end of their values."""


def tune(
    study: Study, runs: Path, seconds_per_step: Mapping[str, Sequence[float]], make: Callable[[Sequence[Chain]], None]
) -> Tuned:
    """Run the trials with the first seed and set each variant to its best.

    Variants that differ in their budget alone share the trials of the first of them. The score is bits per byte of the
    last stage's validation targets; a trial that diverged has none. A variant of whose trials none finished is left
    out, as are its runs.
    """
    firsts: dict[str, Variant] = {}
    for variant in study.variants:
        if variant.grid:
            firsts.setdefault(variant.family, variant)
    trials = {
        family: [
            (changes, chain(variant.trial(changes), study.seeds[0], runs, seconds_per_step[variant.name]))
            for changes in variant.trials()
        ]
        for family, variant in firsts.items()
    }
    make([each for of_one in trials.values() for _, each in of_one])
    told = {}
    for family, variant in firsts.items():
        scored = [(changes, score(each.last)) for changes, each in trials[family] if each.done()]
        if scored:
            chosen, _ = min(scored, key=lambda trial: (not math.isfinite(trial[1]), trial[1]))
            told[family] = {
                "trials": [{"changes": changes, "score": finite(found)} for changes, found in scored],
                "chosen": chosen,
                "share": variant.share,
                "at_edge": [key for key, value in chosen.items() if _at_edge(value, variant.grid[key])],
            }
    kept = [each for each in study.variants if not each.grid or each.family in told]
    return Tuned([each.at(told[each.family]["chosen"]) if each.grid else each for each in kept], told)


def _at_edge(value: object, values: Sequence) -> bool:
    return len(values) > 1 and value in (values[0], values[-1])


def score(run: Run) -> float:
    """What tuning goes by: bits per byte of all validation targets; the smallest wins."""
    return run.folder.evaluation()["likelihood"]["overall"]["bits_per_byte"]["mean"]
