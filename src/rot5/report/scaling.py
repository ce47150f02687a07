"""Charts of laws of size: runs as dots, what was fitted to them as lines."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rot5.report.charts import Chart, Series
from rot5.sizing.fitting import budgets
from rot5.sizing.laws import CHINCHILLA, Law, ParametricLaw, Point, laws_from

CURVE_POINTS = 40
"""Points of a drawn curve."""


def scaling_charts(found: Mapping[str, Any], unit: str) -> list[Chart]:
    """Loss against size per budget, and the best size against the budget, of what `rot5.sizing.fitting.fit` gave.

    `unit` is that of the losses.
    """
    points, laws = [Point(**point) for point in found["points"]], laws_from(found)
    return [loss_chart(points, laws.get("parametric"), unit), optimum_chart(found.get("isoflop"), laws, points)]


def loss_chart(points: Sequence[Point], law: Law | None, unit: str) -> Chart:
    """Loss against parameters: dots and, with a parametric law, its curve for each compute budget.

    A curve follows the law at the budget's mean cost, so that tokens go down as parameters go up.
    """
    series = []
    for style, (name, group) in enumerate(budgets(points).items()):
        ordered = sorted(group, key=lambda point: point.parameters)
        label = f"{name} operations" if not group[0].group else name
        dots = [(point.parameters, point.loss) for point in ordered]
        series.append(Series(label, dots, style, dots=True))
        if isinstance(law, ParametricLaw) and len(group) > 1:
            flops = float(np.exp(np.mean(np.log([point.flops for point in group]))))
            sizes = np.geomspace(ordered[0].parameters, ordered[-1].parameters, CURVE_POINTS)
            losses = law.loss(sizes, flops / (law.k * sizes))
            curve = [(float(x), float(y)) for x, y in zip(sizes, losses, strict=True)]
            series.append(Series(f"{label}, law", curve, style))
    return Chart("Loss by size", unit, series, along="parameters", log_along=True)


def optimum_chart(isoflop: Mapping[str, Any] | None, laws: Mapping[str, Law], points: Sequence[Point]) -> Chart:
    """The best number of parameters against the budget: minima of curves of equal budget, and every law's line.

    Chinchilla's line is for comparison; its parameters are all of a model, those of fitted laws are not.
    """
    if not points:
        return Chart("Best size by budget", "parameters", [])
    low, high = min(point.flops for point in points), max(point.flops for point in points)
    costs = np.geomspace(low, high * 1.0001, 2)
    minima = [(group["flops"], group["parameters"]) for group in (isoflop or {}).get("groups", ())]
    series = [Series("minima", sorted(minima), 0, dots=True)]
    drawn = {"fitted loss": laws.get("parametric"), "equal budgets": laws.get("isoflop"), "Chinchilla": CHINCHILLA}
    for style, (name, law) in enumerate(drawn.items()):
        if law is not None:
            line = [(float(flops), float(law.optimal(float(flops)).parameters)) for flops in costs]
            series.append(Series(name, line, style))
    return Chart("Best size by budget", "parameters", series, along="operations", log_along=True, log=True, form=",.3g")
