"""Shares of attention and labels of heads, on matrices made by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rot5.inspect.heads import MIXED, THRESHOLD, TIMES_EVEN, cross_marks, self_marks, summarise_heads, visible
from rot5.inspect.tokens import Tokens

WORDS = ["[S]", "Tom", "ran", ",", "Tom", "sang"]
KINDS = ["special", "name", "other", "punctuation", "name", "other"]
STORY = Tokens([9, 3, 4, 5, 3, 6], WORDS, WORDS, KINDS, np.arange(6))
ANSWER = Tokens([3, 7, 6, 9], ["Tom", "so", "sang", "[S]"], ["Tom", "so", "sang", "[S]"],
                ["name", "other", "other", "special"], np.arange(4))  # fmt: skip

TO_PREVIOUS = np.eye(6, k=-1) + np.diag([1, 0, 0, 0, 0, 0])
TO_NEXT = np.eye(6, k=1) + np.diag([0, 0, 0, 0, 0, 1])
TO_SAME = np.eye(6)[[0, 4, 2, 3, 1, 5]]
TO_NAMES = np.tile([0, 0.5, 0, 0, 0.5, 0], (6, 1))
TO_COMMA = np.tile([0, 0, 0, 1, 0, 0], (6, 1))
HEADS = {"itself": np.eye(6), "previous": TO_PREVIOUS, "next": TO_NEXT, "names": TO_NAMES, "delimiters": TO_COMMA}


@pytest.mark.parametrize("kind", HEADS)
def test_a_head_of_one_kind_has_its_label(kind):
    heads = summarise_heads(HEADS[kind][None, None], self_marks(STORY, causal=False), causal=False)
    assert heads.labels == [[kind]]
    assert heads.shares_LHK[0, 0, heads.kinds.index(kind)] == pytest.approx(1)


def test_other_occurrences_count_over_the_queries_that_have_some():
    heads = summarise_heads(TO_SAME[None, None], self_marks(STORY, causal=False), causal=False)
    same = heads.kinds.index("same")
    assert heads.shares_LHK[0, 0, same] == 1 and heads.queries_K[same] == pytest.approx(2 / 6)
    assert heads.shares_LHK[0, 0, heads.kinds.index("itself")] == pytest.approx(4 / 6)
    assert heads.labels == [["same"]]


def test_even_attention_has_the_even_share_and_no_label():
    even = np.full((1, 1, 6, 6), 1 / 6)
    heads = summarise_heads(even, {"names": np.tile(np.array(KINDS) == "special", (6, 1))}, causal=False)
    assert heads.even_K == pytest.approx([1 / 6]) and heads.shares_LHK[0, 0] == pytest.approx([1 / 6])
    assert heads.labels == [[MIXED]]


def test_a_label_needs_more_than_the_threshold_and_enough_queries():
    mark = np.zeros((20, 20), dtype=bool)
    mark[:, 0] = True
    weights = np.zeros((1, 2, 20, 20))
    weights[0, 0, :, 0], weights[0, 1, :, 0] = THRESHOLD - 0.01, THRESHOLD + 0.01
    assert summarise_heads(weights, {"names": mark}, causal=False).labels == [[MIXED, "names"]]
    mark[1:] = False
    heads = summarise_heads(weights, {"names": mark}, causal=False)
    assert heads.labels == [[MIXED, MIXED]] and heads.shares_LHK[0, 1, 0] == pytest.approx(THRESHOLD + 0.01)


def test_a_label_needs_more_than_looking_at_everything_alike_would_give():
    marks = {"names": np.tile(np.arange(10) < 4, (10, 1))}
    weights = np.zeros((1, 2, 10, 10))
    weights[0, 0, :, 0], weights[0, 1, :, 0] = 0.4 * TIMES_EVEN - 0.01, 0.4 * TIMES_EVEN + 0.01
    assert summarise_heads(weights, marks, causal=False).labels == [[MIXED, "names"]]


def test_the_decoder_sees_nothing_behind():
    marks = self_marks(STORY, causal=True)
    assert not any((mark & ~visible(6, 6, causal=True)).any() for mark in marks.values())
    assert not marks["next"].any() and marks["same"].sum() == 1 and marks["same"][4, 1]
    heads = summarise_heads(np.tril(np.ones((1, 1, 6, 6))) / np.arange(1, 7)[:, None], marks, causal=True)
    assert heads.shares_LHK[0, 0] == pytest.approx(heads.even_K, nan_ok=True)
    assert np.isnan(heads.even_K[heads.kinds.index("next")])


def test_cross_attention_copies_what_is_written_next():
    marks = cross_marks(ANSWER, STORY)
    assert np.argwhere(marks["copied"]).tolist() == [[0, 1], [0, 4], [2, 5]]  # special tokens are not copied
    copying = np.zeros((1, 1, 4, 6))
    copying[0, 0, [0, 0, 2], [1, 4, 5]] = [0.5, 0.5, 1]
    copying[0, 0, [1, 3], 2] = 1
    heads = summarise_heads(copying, marks, causal=False)
    assert heads.labels == [["copied"]] and heads.queries_K[heads.kinds.index("copied")] == 0.5


@hypothesis_settings(max_examples=40, deadline=None)
@given(scores=arrays(np.float64, (2, 3, 6, 6), elements=st.floats(-9, 9)), order=st.permutations(range(3)))
def test_heads_do_not_hang_on_each_other(scores, order):
    weights = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    marks = self_marks(STORY, causal=False)
    heads, moved = (summarise_heads(each, marks, causal=False) for each in (weights, weights[:, order]))
    assert moved.labels == [[layer[head] for head in order] for layer in heads.labels]
    assert np.nanmin(heads.shares_LHK) >= 0 and np.nanmax(heads.shares_LHK) <= 1 + 1e-9
