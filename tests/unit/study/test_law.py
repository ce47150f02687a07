"""What a study shows of a law: its constants, every run beside it, the best sizes and why some budgets have none."""

import json

import numpy as np
import pytest

from rot5.report.charts import Chart, Series
from rot5.report.plots import Gallery
from rot5.report.scaling import scaling_charts
from rot5.report.tables import html_table
from rot5.sizing.fitting import fit
from rot5.sizing.laws import ParametricLaw, Point
from rot5.study.law import CONSTANT_COLUMNS, constant_rows, minimum_rows, prediction_rows

LAW = ParametricLaw(E=0.6, A=50.0, alpha=0.4, B=90.0, beta=0.4, k=6.0)


@pytest.fixture(scope="module")
def found() -> dict:
    """The fit of runs that follow a law exactly, at three budgets."""
    points = [
        Point(n, c / (6 * n), c, float(LAW.loss(n, c / (6 * n))), f"{n:.0f} at {c:.0e}", f"{c:.0e}")
        for c in (1e12, 4e12, 1.6e13)
        for n in np.geomspace(0.15, 6, 5) * LAW.optimal(c).parameters
    ]
    return json.loads(json.dumps(fit(points, draws=8)))


def test_constants_and_predictions_are_those_of_the_law(found):
    told = {row["constant"]: row["value"] for row in constant_rows(found)}
    assert told["alpha"]["mean"] == pytest.approx(0.4, abs=0.02) and told["E"]["mean"] == pytest.approx(0.6, abs=0.05)
    assert "a, of the minima of equal budgets" in told
    rows = prediction_rows(found)
    assert len(rows) == 15 and all(abs(row["error"]) < 0.01 for row in rows)
    assert [row["unseen"] is not None for row in rows] == [False] * 10 + [True] * 5
    assert all(abs(row["unseen"]) < 0.02 for row in rows[10:])
    assert "alpha" in html_table(constant_rows(found), CONSTANT_COLUMNS, "Law")


def test_best_sizes_and_what_was_left_out(found):
    rows = minimum_rows(found)
    assert len(rows) == 3 and rows[0]["parameters"] == pytest.approx(LAW.optimal(1e12).parameters, rel=0.2)
    spoiled = {**found, "isoflop": {**found["isoflop"], "left_out": [{"group": "9e9", "why": "opens downward"}]}}
    assert minimum_rows(spoiled)[-1] == {"budget": "9e9: opens downward"}
    assert minimum_rows({**found, "isoflop": None}) == []


def test_charts_show_runs_and_curves(found):
    charts = scaling_charts(found, "bits per byte")
    assert len(charts) == 2 and sum(len(line.points) for line in charts[0].lines if line.dots) == 15
    assert charts[0].along == "parameters"


def test_the_same_charts_as_files(found, tmp_path):
    for stem in ("a", "b"):
        gallery = Gallery(tmp_path, stem)
        for chart in scaling_charts(found, "bits per byte"):
            gallery.add(chart)
        assert gallery.add(Chart("Nothing", "", [Series("none", [])])) is None
        assert [title for title, _ in gallery.saved] == ["Loss by size", "Best size by budget"]
    first, again = ((tmp_path / f"{stem}-1.svg").read_text() for stem in ("a", "b"))
    assert first == again and "4e+12, law" in first and "bits per byte" in first
