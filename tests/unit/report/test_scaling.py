"""Charts of laws of size: every budget, its curve, the minima and the laws are there."""

import json

import numpy as np
import pytest

from rot5.report.charts import line_chart
from rot5.report.scaling import loss_chart, optimum_chart, scaling_charts
from rot5.sizing.fitting import fit
from rot5.sizing.laws import CHINCHILLA, ParametricLaw, Point

LAW = ParametricLaw(E=0.6, A=60.0, alpha=0.35, B=200.0, beta=0.4, k=7.0)


@pytest.fixture(scope="module")
def points() -> list[Point]:
    found = []
    for flops in (1e13, 1e14, 1e15):
        for share in (0.3, 0.6, 1.0, 2.0, 4.0):
            size = LAW.optimal(flops).parameters * share
            found.append(Point(size, flops / 7 / size, flops, float(LAW.loss(size, flops / 7 / size))))
    return found


def test_a_whole_fit_as_it_is_read_back(points):
    charts = [
        str(line_chart(chart))
        for chart in scaling_charts(json.loads(json.dumps(fit(points, draws=2))), "bits per byte")
    ]
    assert len(charts) == 2
    for name in ("1.00e+13 operations, law", "1.00e+15 operations", "bits per byte", "parameters"):
        assert name in charts[0], name
    assert charts[0].count("<circle") >= len(points)
    for name in ("minima", "fitted loss", "equal budgets", "Chinchilla"):
        assert name in charts[1], name


def test_without_a_law_only_the_runs_are_drawn(points):
    assert not any("law" in line.name for line in loss_chart(points, None, "nats").lines)
    assert [line.name for line in optimum_chart(None, {}, points).lines] == ["Chinchilla"]
    assert line_chart(loss_chart([], None, "nats")) is None and line_chart(optimum_chart(None, {}, [])) is None


def test_the_laws_curve_meets_the_runs_of_a_perfect_fit(points):
    drawn = {line.name: line for line in loss_chart(points, LAW, "nats").series}
    dots, curve = drawn["1.00e+14 operations"], drawn["1.00e+14 operations, law"]
    assert dots.dots and not curve.dots and dots.style == curve.style
    assert [curve.points[0][1], curve.points[-1][1]] == pytest.approx([dots.points[0][1], dots.points[-1][1]])
    drawn = {line.name: line for line in optimum_chart(None, {"parametric": LAW}, points).series}
    for name, law in (("Chinchilla", CHINCHILLA), ("fitted loss", LAW)):
        x, y = np.log(np.array(drawn[name].points)).T
        assert np.diff(y) / np.diff(x) == pytest.approx(law.a if law is LAW else 0.45)
