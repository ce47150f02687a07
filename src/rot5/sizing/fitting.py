"""Laws fitted to finished runs, with intervals by bootstrap and the error on runs that the fit has not seen."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize, nnls

from rot5.errors import UserError
from rot5.sizing.isoflop import fit_isoflop
from rot5.sizing.laws import ParametricLaw, Point, as_dict

HUBER = 1e-3
"""Error of log loss beyond which a run pulls no harder (Hoffmann et al. 2022, appendix D.3)."""

SAME_BUDGET = 1.1
"""Runs are of one budget if none costs more than so many times the cheapest of them."""

DRAWS = 200
"""Resamples of the runs behind an interval."""

EXPONENTS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.9, 1.2)
"""Values of alpha and of beta from which fits start."""

STARTS = 4
"""The best of those pairs, each refined."""

Constants = tuple[float, float, float, float, float]
"""log E, log of A's term and of B's term at the runs' mean size and data, alpha, beta."""


@dataclass(frozen=True)
class ParametricFit:
    """A law with what was refitted to resampled runs."""

    law: ParametricLaw
    draws: tuple[ParametricLaw, ...]

    def interval(self, quantity: Callable[[ParametricLaw], float]) -> dict[str, float]:
        """`mean` (the law's own value), `low` and `high` (the central 95 % of the resamples) of any quantity."""
        low, high = np.percentile([quantity(law) for law in self.draws], [2.5, 97.5])
        return {"mean": float(quantity(self.law)), "low": float(low), "high": float(high)}

    def predict(self, parameters: float, tokens: float) -> dict[str, float]:
        """The loss to expect with its interval; of the law's own error, not of the noise of a new run."""
        return self.interval(lambda law: float(law.loss(parameters, tokens)))


class _Runs:
    """Logarithms of runs, sizes and data centred so that the constants are near 1."""

    def __init__(self, parameters: NDArray, tokens: NDArray, losses: NDArray) -> None:
        log_n, log_d = np.log(parameters), np.log(tokens)
        self.n_centre, self.d_centre = float(log_n.mean()), float(log_d.mean())
        self.n, self.d, self.losses = log_n - self.n_centre, log_d - self.d_centre, np.log(losses)

    def objective(self, constants: NDArray) -> tuple[float, NDArray]:
        """Sum of Huber losses of log(predicted) - log(loss), and its gradient (equation 3 of the paper)."""
        e, a, b, alpha, beta = constants
        terms = np.stack((np.full_like(self.n, e), a - alpha * self.n, b - beta * self.d))
        top = terms.max(axis=0)
        shares = np.exp(terms - top)
        total = shares.sum(axis=0)
        error = top + np.log(total) - self.losses
        shares /= total
        small = np.abs(error) <= HUBER
        value = np.where(small, error**2 / 2, HUBER * (np.abs(error) - HUBER / 2)).sum()
        slope = np.clip(error, -HUBER, HUBER)
        return float(value) / HUBER**2, np.array(
            [
                (slope * shares[0]).sum(),
                (slope * shares[1]).sum(),
                (slope * shares[2]).sum(),
                -(slope * shares[1] * self.n).sum(),
                -(slope * shares[2] * self.d).sum(),
            ]
        ) / HUBER**2

    def starts(self) -> list[Constants]:
        """For each pair of exponents the best E, A and B by least squares of relative errors, which is linear."""
        found = []
        weight = np.exp(-self.losses)
        for alpha in EXPONENTS:
            for beta in EXPONENTS:
                columns = np.stack((np.ones_like(self.n), np.exp(-alpha * self.n), np.exp(-beta * self.d)), axis=1)
                factors, _ = nnls(columns * weight[:, None], np.ones_like(weight))
                e, a, b = np.log(np.maximum(factors, 1e-4 * factors.max()))
                found.append((float(e), float(a), float(b), alpha, beta))
        return sorted(found, key=lambda each: self.objective(np.array(each))[0])[:STARTS]

    def refine(self, starts: Sequence[Constants]) -> Constants:
        """The best constants that L-BFGS finds from any of the starts."""
        span = float(self.losses.max())
        bounds = [(span - 12, span + 1), (span - 12, span + 3), (span - 12, span + 3), (0.005, 3), (0.005, 3)]
        done = [
            minimize(self.objective, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 500})
            for start in starts
        ]
        best = min(done, key=lambda each: each.fun)
        return tuple(float(value) for value in best.x)  # type: ignore[return-value]

    def law(self, constants: Constants, k: float) -> ParametricLaw:
        """The law of these constants, no longer centred."""
        e, a, b, alpha, beta = constants
        factor_a, factor_b = math.exp(a + alpha * self.n_centre), math.exp(b + beta * self.d_centre)
        return ParametricLaw(E=math.exp(e), A=factor_a, alpha=alpha, B=factor_b, beta=beta, k=k)


def _enough(parameters: NDArray, tokens: NDArray, runs: int) -> bool:
    return len(set(parameters)) >= 3 and len(set(tokens)) >= 3 and runs >= 6


def _refuse(parameters: NDArray, tokens: NDArray, losses: NDArray, flops: NDArray) -> None:
    if not all(np.isfinite(each).all() and (each > 0).all() for each in (parameters, tokens, losses, flops)):
        raise UserError("a fit needs parameters, tokens, operations and losses that are all finite and above 0")
    sizes, amounts = len(set(parameters)), len(set(tokens))
    if not _enough(parameters, tokens, len(losses)):
        raise UserError(
            f"a law with five constants needs at least 6 runs with 3 sizes and 3 amounts of text: there are "
            f"{len(losses)} runs with {sizes} sizes and {amounts} amounts of text"
        )


def fit_parametric(
    parameters: ArrayLike,
    tokens: ArrayLike,
    losses: ArrayLike,
    flops: ArrayLike,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> ParametricFit:
    """Fit `ParametricLaw` to runs, and again to `draws` resamples of them.

    Huber loss on the log of the loss, L-BFGS from several starts (Hoffmann et al. 2022, arXiv:2203.15556, section 3.3).
    Raises UserError, which names what is missing, for runs that cannot tell the constants.
    """
    n, d, loss, cost = (np.asarray(each, np.float64) for each in (parameters, tokens, losses, flops))
    _refuse(n, d, loss, cost)
    k = math.exp(float(np.mean(np.log(cost) - np.log(n) - np.log(d))))
    runs = _Runs(n, d, loss)
    best = runs.refine(runs.starts())
    law = runs.law(best, k)
    random, resampled = np.random.default_rng(seed), []
    while len(resampled) < draws:
        chosen = random.integers(len(loss), size=len(loss))
        if not _enough(n[chosen], d[chosen], len(set(chosen.tolist())) + 1):
            continue
        some = _Runs(n[chosen], d[chosen], loss[chosen])
        shifted = (
            best[0],
            best[1] - best[3] * (some.n_centre - runs.n_centre),
            best[2] - best[4] * (some.d_centre - runs.d_centre),
            best[3],
            best[4],
        )
        k_some = math.exp(float(np.mean((np.log(cost) - np.log(n) - np.log(d))[chosen])))
        resampled.append(some.law(some.refine([shifted, some.starts()[0]]), k_some))
    return ParametricFit(law, tuple(resampled))


def budgets(points: Sequence[Point]) -> dict[str, list[Point]]:
    """Runs by compute budget, the cheapest first: by their `group`, or those whose costs are within a tenth."""
    if any(point.group for point in points):
        if missing := [point.name or "a run" for point in points if not point.group]:
            raise UserError(f"some runs name their group and these do not: {', '.join(missing)}")
        names = sorted(
            {point.group for point in points}, key=lambda name: min(p.flops for p in points if p.group == name)
        )
        return {name: [point for point in points if point.group == name] for name in names}
    groups: list[list[Point]] = []
    for point in sorted(points, key=lambda each: each.flops):
        if groups and point.flops <= SAME_BUDGET * groups[-1][0].flops:
            groups[-1].append(point)
        else:
            groups.append([point])
    return {f"{group[0].flops:.2e}": group for group in groups}


def fit(points: Sequence[Point], *, draws: int = DRAWS, seed: int = 0) -> dict[str, Any]:
    """All that runs say about size, as JSON that `laws_from` reads.

    `points` as given. `parametric`: `law`, `intervals` (each constant, a, b), `predictions` per run with its relative
    error. `held_out`: the same law fitted without the most expensive budget, and its relative errors there; None where
    too few runs are left. `isoflop`: `law`, `intervals`, `groups` with their minima, `left_out` with reasons; `law` is
    None where fewer than two budgets have a minimum, and the whole entry where no budget has three runs. Intervals are
    {mean, low, high} of the central 95 % of resampled runs. Raises UserError where no parametric law can be fitted.
    """
    found = _fit(points, draws, seed)
    laws = {name: found.interval(lambda law, name=name: getattr(law, name)) for name in (*CONSTANTS, "a", "b")}
    groups = budgets(points)
    return {
        "points": [point._asdict() for point in points],
        "parametric": {"law": as_dict(found.law), "intervals": laws, "predictions": _predictions(found, points)},
        "held_out": _held_out(points, draws, seed),
        "isoflop": fit_isoflop(groups, draws=draws, seed=seed) if any(len(g) > 2 for g in groups.values()) else None,
    }


CONSTANTS = ("E", "A", "alpha", "B", "beta", "k")


def _fit(points: Sequence[Point], draws: int, seed: int) -> ParametricFit:
    columns = ([getattr(point, key) for point in points] for key in ("parameters", "tokens", "loss", "flops"))
    return fit_parametric(*columns, draws=draws, seed=seed)


def _predictions(found: ParametricFit, points: Sequence[Point]) -> list[dict[str, Any]]:
    rows = []
    for point in points:
        predicted = found.predict(point.parameters, point.tokens)
        error = predicted["mean"] / point.loss - 1
        rows.append({"name": point.name, "loss": point.loss, "predicted": predicted, "relative_error": error})
    return rows


def _held_out(points: Sequence[Point], draws: int, seed: int) -> dict[str, Any] | None:
    """The parametric law without the most expensive budget, tried on it."""
    *cheaper, unseen = budgets(points).values()
    seen = [point for group in cheaper for point in group]
    try:
        found = _fit(seen, draws, seed)
    except UserError:
        return None
    return {"fitted_to": len(seen), "law": as_dict(found.law), "predictions": _predictions(found, unseen)}
