"""How soon each variant reaches what the baseline reaches in the end, at learning rates that have fully decayed.

A loss in the middle of a run says little: its rate has not decayed yet (arXiv:2307.06440). So each point here is the
end of a run of its own, and budgets in between are read off a line through those of the same family and seed.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np

from rot5.evaluation.intervals import over_seeds
from rot5.study.file import Study
from rot5.study.runs import Chain

Ends = Mapping[str, Mapping[int, Sequence[tuple[float, float]]]]
"""Family -> seed -> (story tokens, loss) at the end of runs, in ascending order of tokens."""


def reach(
    study: Study, finished: Mapping[str, Sequence[Chain]], seconds_per_step: Mapping[str, Sequence[float]]
) -> dict[str, dict]:
    """Shares of the baseline's tokens and seconds in which other families reach its final loss, over seeds.

    Empty unless variants were run with budgets of several sizes. `seconds_per_step` are those of each variant's
    pretraining, stage by stage. Returns per family `tokens` and `seconds` (each `{"mean", "low", "high", "values"}`,
    means of logarithms over seeds, as shares) and `beyond`: how many of the seeds had to be read off beyond the budgets
    that were run.
    """
    ends: dict[str, dict[int, list[tuple[float, float]]]] = {}
    per_token: dict[str, list[float]] = {}
    for variant in study.variants:
        for each in finished.get(variant.name, ()):
            pretrained = each.of("pretrain")
            if not pretrained:
                continue
            last = [run.folder.metrics()[-1] for run in pretrained]
            tokens = sum(record["story_tokens"] for record in last)
            seconds = np.dot([record["step"] for record in last], seconds_per_step[variant.name])
            per_token.setdefault(variant.family, []).append(float(seconds) / tokens)
            loss = pretrained[-1].folder.evaluation()["likelihood"]["overall"]["bits_per_byte"]["mean"]
            ends.setdefault(variant.family, {}).setdefault(each.seed, []).append((tokens, loss))
    ordered = {
        family: {seed: sorted(dict(of_one).items()) for seed, of_one in by_seed.items()}
        for family, by_seed in ends.items()
    }
    usual = fmean(per_token.get(study.baseline, [1.0]))
    return shares(ordered, study.baseline, {family: fmean(of_one) / usual for family, of_one in per_token.items()})


def shares(ends: Ends, baseline: str, ratios: Mapping[str, float]) -> dict[str, dict[str, Any]]:
    """The shares from the ends of runs and from times of a story token against the baseline's; families and seeds with
    fewer than two budgets say nothing and are left out."""
    found = {}
    for family, by_seed in ends.items():
        seeds = [seed for seed, of_one in by_seed.items() if len(of_one) > 1 and ends.get(baseline, {}).get(seed)]
        if family == baseline or not seeds:
            continue
        logs, beyond = [], 0
        for seed in seeds:
            whole, aim = ends[baseline][seed][-1]
            log_tokens = _tokens_for(aim, by_seed[seed])
            logs.append(log_tokens - math.log(whole))
            low, high = (math.log(by_seed[seed][end][0]) for end in (0, -1))
            beyond += not low < log_tokens <= high
        found[family] = {
            "tokens": _shares(logs),
            "seconds": _shares([each + math.log(ratios[family]) for each in logs]),
            "beyond": beyond,
            "seeds": len(seeds),
        }
    return found


def _tokens_for(aim: float, ends: Sequence[tuple[float, float]]) -> float:
    """The logarithm of the tokens at which a line through the ends of runs has the loss `aim`.

    Of several budgets the two count between which the loss passes the aim, or else the nearest two. Where losses do not
    fall, those that are good enough from the start need at most the smallest budget, the others never come there.
    """
    pairs = list(itertools.pairwise(ends))
    (before, high), (after, low) = next(
        (pair for pair in pairs if pair[0][1] >= aim >= pair[1][1]), _nearest(pairs, aim)
    )
    slope = (low - high) / (math.log(after) - math.log(before))
    if not slope < 0:
        return math.log(ends[0][0]) if ends[0][1] <= aim else math.inf
    return math.log(before) + (aim - high) / slope


def _nearest(pairs: Sequence, aim: float):
    return min(pairs, key=lambda pair: min(abs(pair[0][1] - aim), abs(pair[1][1] - aim)))


def _shares(logs: Sequence[float]) -> dict[str, Any]:
    """Means of logarithms over seeds as shares; one that is never reached leaves no interval."""
    if not all(np.isfinite(logs)):
        return {
            "mean": None,
            "low": None,
            "high": None,
            "values": [math.exp(x) if math.isfinite(x) else None for x in logs],
        }
    shares = [math.exp(x) for x in logs]
    found = over_seeds(shares, geometric=True)
    ends = {"low": found.low, "high": found.high} if len(logs) > 1 else {"low": None, "high": None}
    return {"mean": found.mean, **ends, "values": shares}
