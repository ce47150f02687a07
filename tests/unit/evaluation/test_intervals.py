"""Intervals: exact where the answer is known, and covering the truth as often as they say."""

import math

import numpy as np
import pytest
from scipy import stats

from rot5.evaluation import intervals
from rot5.evaluation.intervals import interval, over_seeds, paired_difference, ratio_interval


def test_means_are_exact_and_the_order_is_low_mean_high():
    found = interval([1, 2, 3, 6])
    assert found.mean == 3
    assert found.low < found.mean < found.high
    ratio = ratio_interval([1, 0, 5], [2, 1, 7])
    assert ratio.mean == pytest.approx(6 / 10)
    assert ratio.low < ratio.mean < ratio.high


def test_width_is_that_of_the_normal_distribution_for_many_values():
    values = np.random.default_rng(1).normal(size=4000)
    found = interval(values, resamples=4000)
    assert found.high - found.low == pytest.approx(2 * 1.96 * values.std() / np.sqrt(4000), rel=0.05)


def test_an_interval_covers_the_truth_as_often_as_it_says():
    random = np.random.default_rng(2)
    samples = random.exponential(size=(150, 80))
    hits = [found.low <= 1 <= found.high for found in map(interval, samples)]
    assert 0.90 <= np.mean(hits) <= 0.98
    lengths = random.integers(1, 50, size=(150, 80))
    parts = random.binomial(lengths, 0.8)
    hits = [found.low <= 0.8 <= found.high for found in map(ratio_interval, parts, lengths)]
    assert 0.90 <= np.mean(hits) <= 0.98


def test_a_ratio_of_sums_weighs_long_documents_more():
    assert ratio_interval([10, 0], [10, 90]).mean == pytest.approx(0.1)
    assert interval([10 / 10, 0 / 90]).mean == pytest.approx(0.5)


def test_equal_ratios_have_no_width():
    assert ratio_interval([2, 4, 8], [1, 2, 4]) == (2, 2, 2)


def test_the_same_values_and_seed_give_the_same_interval(monkeypatch):
    values = np.random.default_rng(3).normal(size=100)
    whole = interval(values, seed=7)
    monkeypatch.setattr(intervals, "_INDICES_AT_ONCE", 300)
    assert interval(values, seed=7) == whole
    assert interval(values, seed=8) != whole


def test_pairing_sees_a_small_difference_between_noisy_systems():
    random = np.random.default_rng(4)
    difficulty = random.normal(scale=10, size=200)
    a = difficulty + random.normal(scale=0.5, size=200) + 0.5
    b = difficulty + random.normal(scale=0.5, size=200)
    found = paired_difference(a, b)
    assert found.mean == pytest.approx(np.mean(a) - np.mean(b))
    assert 0.3 < found.low < 0.5 < found.high < 0.7
    assert interval(a).low < interval(b).high


def test_resamples_without_weight_are_left_out():
    found = ratio_interval([1, 0], [1, 0])
    assert found == (1, 1, 1)


@pytest.mark.parametrize("case", [([], []), ([1, 2], [0, 0]), ([1, 2, 3], [1, 2])])
def test_nothing_to_divide_by_is_refused(case):
    with pytest.raises(ValueError):
        ratio_interval(*case)


def test_no_value_is_refused():
    with pytest.raises(ValueError):
        interval([])
    with pytest.raises(ValueError):
        paired_difference([1, 2], [1])


def test_the_interval_over_seeds_is_students():
    values = [1.31, 1.35, 1.30, 1.38]
    found = over_seeds(values)
    assert found == pytest.approx((np.mean(values), *stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))))
    assert math.isnan(over_seeds([1.0]).low)
    geometric = over_seeds([math.exp(value) for value in values], geometric=True)
    assert [math.log(each) for each in geometric] == pytest.approx(list(found))
