"""Laws of size: the borrowed constants, what fits recover of known laws, and what they refuse."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rot5.errors import UserError
from rot5.sizing.fitting import budgets, fit, fit_parametric
from rot5.sizing.laws import (
    CHINCHILLA,
    IsoflopLaw,
    ParametricLaw,
    Point,
    as_dict,
    budget,
    laws_from,
    optimal,
    read_laws,
)

TRUE = ParametricLaw(E=0.6, A=60.0, alpha=0.35, B=200.0, beta=0.4, k=7.0)
BUDGETS = (1e13, 1e14, 1e15, 1e16)


def runs(noise: float = 0.0, spread=(0.2, 0.45, 1.0, 2.2, 5.0), law: ParametricLaw = TRUE) -> list[Point]:
    """Sizes around the best of each budget, with losses of a known law."""
    random = np.random.default_rng(1)
    points = []
    for flops in BUDGETS:
        for share in spread:
            size = optimal(law, flops).parameters * share
            tokens = flops / law.k / size
            loss = float(law.loss(size, tokens)) * math.exp(noise * random.normal())
            points.append(Point(size, tokens, flops, loss, f"{flops:.0e}-{share}"))
    return points


@pytest.fixture(scope="module")
def noisy() -> dict:
    return fit(runs(0.003), draws=60)


def test_the_original_experiment_was_sized_by_these_constants():
    flops = budget(CHINCHILLA, 2 * 684_805_492)
    assert flops == pytest.approx(3.65e17, rel=2e-3)
    assert optimal(CHINCHILLA, flops).parameters == pytest.approx(48e6, rel=1e-3)


def test_without_noise_the_constants_come_back():
    points = runs()
    found = fit_parametric(
        *([getattr(p, k) for p in points] for k in ("parameters", "tokens", "loss", "flops")), draws=1
    )
    for name in ("E", "A", "alpha", "B", "beta", "k"):
        assert getattr(found.law, name) == pytest.approx(getattr(TRUE, name), rel=2e-2), name


def test_with_noise_the_constants_lie_in_their_intervals(noisy):
    for name, interval in noisy["parametric"]["intervals"].items():
        assert interval["low"] <= interval["mean"] * (1 + 1e-9) and interval["mean"] <= interval["high"] * (1 + 1e-9)
        width = interval["high"] - interval["low"]
        assert interval["low"] - 0.3 * width - 1e-6 <= getattr(TRUE, name) <= interval["high"] + 0.3 * width + 1e-6, (
            name
        )
    assert 0 < noisy["parametric"]["intervals"]["a"]["high"] - noisy["parametric"]["intervals"]["a"]["low"] < 0.1


def test_the_dearest_budget_is_predicted_unseen(noisy):
    held = noisy["held_out"]
    assert held["fitted_to"] == 15 and len(held["predictions"]) == 5
    assert all(abs(row["relative_error"]) < 0.02 for row in held["predictions"])
    first = held["predictions"][0]
    assert first["relative_error"] == pytest.approx(first["predicted"]["mean"] / first["loss"] - 1)
    assert laws_from(held["law"])["parametric"] != laws_from(noisy)["parametric"]


def test_a_whole_budget_is_held_out_though_one_of_its_runs_cost_a_little_more():
    points = [p._replace(group=f"{p.flops:.0e}") for p in runs()]
    points[-1] = points[-1]._replace(flops=1.12 * points[-1].flops)
    assert fit(points, draws=1)["held_out"]["fitted_to"] == 15


def test_minima_that_no_law_of_budgets_can_have_leave_none():
    """Best sizes that shrink as budgets grow, as noise can make them: the other law is there all the same."""
    points = [
        Point(size, flops / size / 6, flops, 1 + 0.1 * math.log(size / (1e20 / flops)) ** 2 + 1e2 / flops**0.3)
        for flops in (1e13, 2e13)
        for size in 1e20 / flops * np.geomspace(0.2, 5, 5)
    ]
    found = fit(points, draws=1)
    assert found["isoflop"]["law"] is None and "slope -1.00" in found["isoflop"]["left_out"][-1]["why"]
    assert set(laws_from(found)) == {"parametric"}


def test_one_wild_run_hardly_moves_the_law():
    points = runs()
    points[7] = points[7]._replace(loss=points[7].loss * 1.5)
    assert laws_from(fit(points, draws=1))["parametric"].alpha == pytest.approx(TRUE.alpha, rel=0.05)


def test_equal_budgets_give_the_same_exponent(noisy):
    isoflop = noisy["isoflop"]
    assert isoflop["law"]["a"] == pytest.approx(TRUE.a, abs=0.02) and isoflop["left_out"] == []
    assert isoflop["intervals"]["a"]["low"] < isoflop["law"]["a"] < isoflop["intervals"]["a"]["high"]
    for group in isoflop["groups"]:
        assert group["parameters"] == pytest.approx(optimal(TRUE, group["flops"]).parameters, rel=0.15)
        square, slope, level = group["curve"]
        x = math.log(group["parameters"])
        assert square * x * x + slope * x + level == pytest.approx(group["loss"])


@pytest.mark.parametrize(
    ("spread", "why"),
    [((0.01, 0.02, 0.05, 0.1), "above the sizes tried"), ((10.0, 20.0, 50.0), "below the sizes tried")],
)
def test_a_minimum_outside_the_sizes_tried_is_named_and_left_out(spread, why):
    outside = runs(spread=spread)
    points = [point for point in runs() if point.flops != 1e14] + [point for point in outside if point.flops == 1e14]
    isoflop = fit(points, draws=1)["isoflop"]
    assert [(each["group"], why in each["why"]) for each in isoflop["left_out"]] == [("1.00e+14", True)]
    assert len(isoflop["groups"]) == 3 and isoflop["law"]["a"] == pytest.approx(TRUE.a, abs=0.02)


def test_a_parabola_that_opens_downward_is_left_out():
    points = runs()
    points[:5] = [point._replace(loss=3 - point.loss) for point in points[:5]]
    isoflop = fit(points, draws=1)["isoflop"]
    assert "does not open upward" in isoflop["left_out"][0]["why"]


def test_groups_by_name_or_by_cost():
    points = [Point(1, 1, cost, 1, str(cost)) for cost in (100, 105, 110, 111, 200)]
    assert [[p.name for p in group] for group in budgets(points).values()] == [["100", "105", "110"], ["111"], ["200"]]
    named = [point._replace(group="ab"[i % 2]) for i, point in enumerate(points)]
    assert [len(group) for group in budgets(named).values()] == [3, 2]
    with pytest.raises(UserError, match="these do not: 200"):
        budgets([*named[:4], points[4]])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda points: points[:5], "5 runs"),
        (lambda points: [point._replace(parameters=1e6) for point in points], "1 sizes"),
        (lambda points: [point._replace(tokens=1e6) for point in points], "1 amounts of text"),
        (lambda points: [points[0]._replace(loss=float("nan")), *points[1:]], "finite"),
        (lambda points: [points[0]._replace(flops=0), *points[1:]], "above 0"),
    ],
)
def test_runs_that_cannot_tell_are_refused(change, told):
    with pytest.raises(UserError, match=told):
        fit(change(runs()), draws=1)


def test_what_is_written_is_read(noisy, tmp_path):
    path = tmp_path / "law.json"
    path.write_text(json.dumps(noisy))
    laws = read_laws(path)
    assert set(laws) == {"parametric", "isoflop"}
    for law in (*laws.values(), CHINCHILLA):
        assert list(laws_from(json.loads(json.dumps(as_dict(law)))).values()) == [law]


@pytest.mark.parametrize(
    ("found", "told"),
    [
        ({}, "no law"),
        ({"kind": "cubic"}, "unknown kind of law 'cubic'"),
        ({"kind": "isoflop", "a": 0.5, "c": 1.0}, "a number for k"),
        ({"kind": "isoflop", "a": 1.5, "c": 1.0, "k": 6.0}, "below 1"),
        (as_dict(TRUE) | {"alpha": -1.0}, "alpha -1"),
        (as_dict(TRUE) | {"E": True}, "a number for E"),
    ],
)
def test_what_is_no_law_is_refused(found, told):
    with pytest.raises(UserError, match=told):
        laws_from(found)


def test_budgets_below_zero_are_refused():
    with pytest.raises(UserError, match="not above 0"):
        optimal(TRUE, -1)
    with pytest.raises(UserError, match="not above 0"):
        budget(TRUE, 0)


LAWS = (TRUE, CHINCHILLA, IsoflopLaw(a=0.5, c=-2.0, k=7.0))


@given(st.sampled_from(LAWS), st.floats(1e10, 1e24))
def test_the_budget_of_the_best_tokens_is_the_budget(law, flops):
    assert budget(law, optimal(law, flops).tokens) == pytest.approx(flops, rel=1e-6)


@given(st.floats(1e10, 1e24), st.floats(0.2, 5).filter(lambda share: abs(share - 1) > 0.02))
def test_no_other_use_of_a_budget_is_better(flops, share):
    best = optimal(TRUE, flops)
    assert best.parameters * best.tokens * TRUE.k == pytest.approx(flops)
    assert TRUE.loss(best.parameters * share, best.tokens / share) > TRUE.loss(best.parameters, best.tokens)
