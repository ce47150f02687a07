"""What the runs of a study say: means over seeds, paired differences, and what is noise."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rot5.evaluate.intervals import Interval, over_seeds
from rot5.study.runs import Chain

SUMMARY_FIGURES = ("content_true", "content_covered", "rougeL", "bleu")


@dataclass(frozen=True)
class Metric:
    """A figure of finished runs; `sign` is 1 where more is better and -1 where less is."""

    key: str
    heading: str
    digits: int
    sign: int


HEADINGS = {
    "content_true": "Content words true,\u00a0%",
    "content_covered": "Facts told,\u00a0%",
    "rougeL": "ROUGE-L",
    "bleu": "BLEU",
}


def figures(chain: Chain) -> dict[str, float]:
    """The figures of one variant and seed, by name: `pretrain/bits_per_byte`, `pretrain/R`, `finetune/rougeL`, …"""
    found = {}
    for run in chain.runs:
        evaluation = run.folder.evaluation()
        likelihood = evaluation["likelihood"]
        found |= {
            f"{run.verb}/{'bits_per_byte' if name == 'overall' else name}": each["bits_per_byte"]["mean"]
            for name, each in likelihood.items()
            if name != "settings"
        }
        model = evaluation.get("summaries", {}).get("systems", {}).get("model", {})
        found |= {f"{run.verb}/{key}": model[key]["mean"] for key in SUMMARY_FIGURES if key in model}
    return found


def metric(key: str) -> Metric:
    """How a figure is called and read."""
    stage, name = key.split("/")
    if name in HEADINGS:
        return Metric(key, HEADINGS[name], 1, 1)
    told = "all" if name == "bits_per_byte" else name
    return Metric(key, f"Bits per byte, {'pairs' if stage == 'finetune' else told}", 4, -1)


def verdict(difference: Interval, sign: int) -> str:
    """better, worse, within noise, one seed, or diverged: what a difference from the baseline amounts to."""
    if not math.isfinite(difference.mean):
        return "diverged"
    if math.isnan(difference.low):
        return "one seed"
    if difference.low <= 0 <= difference.high:
        return "within noise"
    return "better" if difference.mean * sign > 0 else "worse"


def compare(chains: Mapping[str, Sequence[Chain]], counterparts: Mapping[str, str]) -> dict[str, Any]:
    """Figures of every variant over its seeds, and their differences from its counterpart's, seed by seed.

    `chains` holds finished runs alone. Differences are paired: variants of one corpus see the same data in the same
    order with the same seed. Returns `{"variants": {name: {metric: {"mean", "low", "high", "values"}}}, "differences":
    {name: {metric: {"mean", "low", "high", "verdict", "seeds"}}}}`.
    """
    found = {name: {each.seed: figures(each) for each in of_one} for name, of_one in chains.items() if of_one}
    variants: dict[str, dict] = {}
    differences: dict[str, dict] = {}
    for name, by_seed in found.items():
        keys = list(dict.fromkeys(key for each in by_seed.values() for key in each))
        variants[name] = {
            key: {**_told(over_seeds(values)), "values": [finite(value) for value in values]}
            for key in keys
            for values in [[each[key] for each in by_seed.values() if key in each]]
        }
        if (other := counterparts.get(name)) in found:
            differences[name] = {
                key: each for key in keys if (each := _difference(key, by_seed, found[other])) is not None
            }
    return {"variants": variants, "differences": differences}


def _difference(key: str, by_seed: dict[int, dict], of_baseline: dict[int, dict]) -> dict | None:
    pairs = [
        (each[key], of_baseline[seed][key])
        for seed, each in by_seed.items()
        if key in each and key in of_baseline.get(seed, {})
    ]
    if not pairs:
        return None
    found = over_seeds([a - b for a, b in pairs])
    return {**_told(found), "verdict": verdict(found, metric(key).sign), "seeds": len(pairs)}


def _told(found: Interval) -> dict[str, float | None]:
    return {key: finite(value) for key, value in found._asdict().items()}


def finite(value: float) -> float | None:
    """A figure for JSON, which knows neither nan nor infinity."""
    return value if math.isfinite(value) else None
