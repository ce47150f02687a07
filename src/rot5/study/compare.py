"""What the runs of a study say: means over seeds, paired differences, and what is noise."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from rot5.evaluation.intervals import Interval, over_seeds
from rot5.evaluation.tasks import mean_score
from rot5.study.runs import Chain, Run

SUMMARY_FIGURES = ("content_true", "content_covered", "rougeL", "bleu")
TUNED = "finetune"
"""What figures of a tuned model go by, however it was tuned."""


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
    "tasks": "Tasks, mean score",
}


def evaluated(chain: Chain) -> list[tuple[str, Run]]:
    """The runs whose evaluations say what a model is worth, by what their figures go by; of like stages the last."""
    last = {"pretrain" if run.verb == "pretrain" else TUNED: run for run in chain.trained}
    return [*last.items(), *chain.judged.items()]


class Figure(NamedTuple):
    """A value, and the name of the run that it is of."""

    value: float
    run: str


Figures = Mapping[str, Figure]


def figures(chain: Chain) -> dict[str, Figure]:
    """The figures of one variant and seed, by name: `pretrain/bits_per_byte`, `pretrain/R`, `finetune/rougeL`,
    `held-out/tasks`, …; where there are tasks, their mean stands for what is measured of summaries."""
    found = {}
    for stage, run in evaluated(chain):
        evaluation = run.folder.evaluation()
        values = {}
        if stage not in chain.judged:
            values |= {
                "bits_per_byte" if name == "overall" else name: each["bits_per_byte"]["mean"]
                for name, each in evaluation["likelihood"].items()
                if name != "settings"
            }
        summaries = evaluation.get("summaries", {})
        if tasks := summaries.get("tasks"):
            values["tasks"] = mean_score(tasks)
        else:
            model = summaries.get("systems", {}).get("model", {})
            values |= {key: model[key]["mean"] for key in SUMMARY_FIGURES if key in model}
        found |= {f"{stage}/{key}": Figure(value, run.name) for key, value in values.items()}
    return found


def task_figures(chain: Chain) -> dict[str, Figure]:
    """The score of every task of one variant and seed, by the name of the evaluation and of the task."""
    return {
        f"{stage}: {task}": Figure(each["score"]["mean"], run.name)
        for stage, run in evaluated(chain)
        for task, each in run.folder.evaluation().get("summaries", {}).get("tasks", {}).items()
    }


def metric(key: str) -> Metric:
    """How a figure is called and read."""
    stage, name = key.split("/", 1)
    if name in HEADINGS:
        return Metric(key, HEADINGS[name] if stage in ("pretrain", TUNED) else f"{HEADINGS[name]}, {stage}", 1, 1)
    told = "all" if name == "bits_per_byte" else name
    return Metric(key, f"Bits per byte, {'pairs' if stage == TUNED else told}", 4, -1)


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

    `chains` holds finished runs alone. A run that several seeds share, as that of a model which was there already,
    counts once; what two variants share, as a pretraining that both are tuned from, is no difference. Differences are
    paired: variants of one corpus see the same data in the same order with the same seed. Returns `{"variants": {name:
    {metric: {"mean", "low", "high", "values"}}}, "differences": {name: {metric: {"mean", "low", "high", "verdict",
    "seeds"}}}, "tasks": as variants, of every task}`.
    """
    found = {name: {each.seed: figures(each) for each in of_one} for name, of_one in chains.items()}
    differences = {
        name: {
            key: each
            for key in _keys(by_seed)
            if (each := _difference(key, by_seed, found[counterparts[name]])) is not None
        }
        for name, by_seed in found.items()
        if by_seed and found.get(counterparts.get(name, ""))
    }
    tasks = {name: {each.seed: task_figures(each) for each in of_one} for name, of_one in chains.items()}
    return {
        "variants": {name: _means(by_seed) for name, by_seed in found.items() if by_seed},
        "differences": differences,
        "tasks": {name: _means(by_seed) for name, by_seed in tasks.items() if any(by_seed.values())},
    }


def _keys(by_seed: Mapping[int, Figures]) -> list[str]:
    return list(dict.fromkeys(key for each in by_seed.values() for key in each))


def _means(by_seed: Mapping[int, Figures]) -> dict[str, dict]:
    """Every figure over the seeds that have it."""
    means = {}
    for key in _keys(by_seed):
        values = list({each[key].run: each[key].value for each in by_seed.values() if key in each}.values())
        means[key] = {**_told(over_seeds(values)), "values": [finite(value) for value in values]}
    return means


def _difference(key: str, by_seed: Mapping[int, Figures], of_baseline: Mapping[int, Figures]) -> dict | None:
    pairs = {
        (each[key].run, other[key].run): each[key].value - other[key].value
        for seed, each in by_seed.items()
        for other in [of_baseline.get(seed, {})]
        if key in each and key in other and each[key].run != other[key].run
    }
    if not pairs:
        return None
    found = over_seeds(list(pairs.values()))
    return {**_told(found), "verdict": verdict(found, metric(key).sign), "seeds": len(pairs)}


def _told(found: Interval) -> dict[str, float | None]:
    return {key: finite(value) for key, value in found._asdict().items()}


def finite(value: float) -> float | None:
    """A figure for JSON, which knows neither nan nor infinity."""
    return value if math.isfinite(value) else None
