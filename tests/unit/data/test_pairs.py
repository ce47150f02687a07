from types import SimpleNamespace

import numpy as np
import pytest

from rot5.data.pairs import Pairs
from rot5.data.ragged import Ragged

SPECIALS = SimpleNamespace(
    pad=0, eos=1, decoder_start=2, modes={"R": 3, "S": 4, "X": 5}, first_sentinel=1000, num_sentinels=500
)


class Texts:
    def __init__(self, rows):
        self.rows = rows
        self.lengths = np.array([len(row) for row in rows], np.int64)

    def read(self, documents, starts, stops):
        rows = [self.rows[d][a:b] for d, a, b in zip(documents, starts, stops, strict=True)]
        return Ragged(np.array([t for row in rows for t in row], np.int64), np.cumsum([0, *map(len, rows)]))


def pairs(inputs, targets, mode="R", seed=0, shuffle=False):
    return Pairs(SimpleNamespace(inputs=Texts(inputs), targets=Texts(targets)), SPECIALS, mode, seed, shuffle)


def made(examples, numbers):
    plan = examples.plan(np.array(numbers))
    inputs, targets = examples.materialise(plan, np.arange(len(numbers)))
    np.testing.assert_array_equal(inputs.lengths, plan.input_lengths)
    np.testing.assert_array_equal(targets.lengths, plan.target_lengths)
    rows = range(len(numbers))
    return plan, [inputs.row(i).tolist() for i in rows], [targets.row(i).tolist() for i in rows]


@pytest.mark.parametrize(("mode", "head"), [("R", [3]), ("S", [4]), ("X", [5]), (None, [])])
def test_a_pair_by_eye(mode, head):
    plan, inputs, targets = made(pairs([[10, 11], [12]], [[20], [21, 22]], mode), [1, 0])
    assert inputs == [[*head, 12, 1], [*head, 10, 11, 1]]
    assert targets == [[21, 22, 1], [20, 1]]
    assert plan.kinds.tolist() == [0, 0] and plan.story_tokens.tolist() == [3, 3]


def test_empty_texts_are_still_examples():
    _, inputs, targets = made(pairs([[]], [[]]), [0])
    assert (inputs, targets) == ([[3, 1]], [[1]])


def test_every_pass_shows_every_pair_in_another_order():
    examples = pairs([[10 + i] for i in range(50)], [[100 + i] for i in range(50)], shuffle=True)
    assert len(examples) == 50 and examples.kind_names == ("pairs",)
    plan, inputs, targets = made(examples, range(100))
    assert sorted(plan.pair[:50]) == sorted(plan.pair[50:]) == list(range(50))
    assert (plan.pair[:50] == plan.pair[50:]).sum() < 10
    assert all(i[1] + 90 == t[0] for i, t in zip(inputs, targets, strict=True)), "input and target of different pairs"


def test_seeds_shuffle_differently_and_without_shuffling_pairs_come_in_order():
    rows = [[10]] * 50
    first, second = (pairs(rows, rows, seed=seed, shuffle=True).plan(np.arange(50)).pair for seed in (1, 2))
    assert (first == second).sum() < 10
    assert pairs(rows, rows).plan(np.arange(75)).pair.tolist() == [*range(50), *range(25)]


def test_chosen_examples_of_a_plan():
    examples = pairs([[10], [11, 12], [13]], [[20], [21], [22, 23]])
    inputs, targets = examples.materialise(examples.plan(np.arange(3)), np.array([2, 0]))
    assert [inputs.row(i).tolist() for i in range(2)] == [[3, 13, 1], [3, 10, 1]]
    assert [targets.row(i).tolist() for i in range(2)] == [[22, 23, 1], [20, 1]]


def test_rows_shorter_than_the_longest_pair_are_refused_with_figures():
    examples = pairs([[10] * 30, [10]], [[20], [20] * 9])
    assert examples.longest() == (32, 10)
    assert pairs([[10] * 30], [[20]], mode=None).longest() == (31, 2)
    assert examples.problems(32, 10) == []
    assert examples.problems(31, 9) == [
        "encoder_length is 31, less than the longest input of 32 tokens: set encoder_length to 32 or more",
        "decoder_length is 9, less than the longest target of 10 tokens: set decoder_length to 10 or more",
    ]
