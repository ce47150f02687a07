"""Curves of equal budget: the best size at each, and the line through them (Hoffmann et al. 2022, approach 2)."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rot5.sizing.laws import IsoflopLaw, Point, as_dict

LEAST_RUNS = 3
"""Sizes that a parabola needs."""

LEAST_TO_RESAMPLE = 4
"""Sizes of a budget from which its minimum can be another after resampling."""

TRIES = 50
"""Resamples for each that is wanted: many of few runs have no minimum."""


class Valley(NamedTuple):
    """A parabola of the loss in log N: its minimum and that point's loss."""

    log_parameters: float
    loss: float
    curve: tuple[float, float, float]
    """Coefficients of the parabola in log N, the square's first."""


def _valley(log_n: NDArray, losses: NDArray) -> Valley | str:
    """The minimum of one budget, or why it has none."""
    sizes = len(set(log_n.tolist()))
    if sizes < LEAST_RUNS:
        return f"{sizes} sizes, a parabola needs {LEAST_RUNS}"
    centre = log_n.mean()
    square, slope, level = (float(value) for value in np.polyfit(log_n - centre, losses, 2))
    if square <= 0:
        return "its parabola does not open upward"
    lowest = -slope / (2 * square)
    if not log_n.min() <= lowest + centre <= log_n.max():
        side = "below" if lowest + centre < log_n.min() else "above"
        return f"its minimum lies {side} the sizes tried"
    curve = (square, slope - 2 * square * centre, square * centre**2 - slope * centre + level)
    return Valley(float(lowest + centre), level - slope**2 / (4 * square), curve)


def _cost(points: Sequence[Point]) -> float:
    return float(np.mean(np.log([point.flops for point in points])))


def _arrays(points: Sequence[Point]) -> tuple[NDArray, NDArray]:
    return np.log([point.parameters for point in points]), np.array([point.loss for point in points])


def fit_isoflop(groups: Mapping[str, Sequence[Point]], *, draws: int, seed: int) -> dict[str, Any]:
    """log N_opt = a log C + c over budgets, as JSON: `law`, `intervals`, `groups` and `left_out`.

    A budget whose parabola does not open upward, or has its minimum outside of the sizes tried, is left out and named.
    `law` is None for fewer than two minima, and where larger budgets would want smaller models or less text. Intervals
    resample the runs of each budget, and are None where no budget has more runs than its parabola needs: resampling can
    say nothing there. They are of those resamples alone in which every budget of the law has a minimum, and so rather
    too narrow.
    """
    valleys, kept, left_out = {}, {}, []
    for name, points in groups.items():
        found = _valley(*_arrays(points))
        if isinstance(found, str):
            left_out.append({"group": name, "why": found})
        else:
            valleys[name], kept[name] = found, points
    described = [
        {
            "group": name,
            "flops": float(np.exp(_cost(kept[name]))),
            "runs": len(kept[name]),
            "parameters": float(np.exp(valley.log_parameters)),
            "loss": valley.loss,
            "curve": list(valley.curve),
        }
        for name, valley in valleys.items()
    ]
    everything = [point for points in groups.values() for point in points]
    k = float(np.exp(np.mean([np.log(p.flops / (p.parameters * p.tokens)) for p in everything])))
    line = _line({name: valley.log_parameters for name, valley in valleys.items()}, kept)
    law = IsoflopLaw(a=line[0], c=line[1], k=k) if line and 0 < line[0] < 1 else None
    if line and law is None:
        left_out.append({"group": "the line through all minima", "why": f"its slope {line[0]:.2f} is not in 0 to 1"})
    return {
        "law": None if law is None else as_dict(law),
        "intervals": None if law is None else _intervals(law, kept, draws, seed),
        "groups": described,
        "left_out": left_out,
    }


def _line(minima: Mapping[str, float], groups: Mapping[str, Sequence[Point]]) -> tuple[float, float] | None:
    """Slope and offset of the minima over the logarithms of the budgets; None for fewer than two."""
    if len(minima) < 2:
        return None
    a, c = np.polyfit([_cost(groups[name]) for name in minima], list(minima.values()), 1)
    return float(a), float(c)


def _intervals(
    law: IsoflopLaw, groups: Mapping[str, Sequence[Point]], draws: int, seed: int
) -> dict[str, dict[str, float]] | None:
    if all(len({point.parameters for point in points}) < LEAST_TO_RESAMPLE for points in groups.values()):
        return None
    random, lines = np.random.default_rng(seed), []
    for _ in range(draws * TRIES):
        minima = {}
        for name, points in groups.items():
            found = _valley(*_arrays([points[i] for i in random.integers(len(points), size=len(points))]))
            if not isinstance(found, str):
                minima[name] = found.log_parameters
        if len(minima) == len(groups):
            lines.append(_line(minima, groups))
        if len(lines) == draws:
            break
    if len(lines) < draws:
        return None
    low, high = np.percentile(np.array(lines), [2.5, 97.5], axis=0)
    return {
        name: {"mean": getattr(law, name), "low": float(low[i]), "high": float(high[i])} for i, name in enumerate("ac")
    }
