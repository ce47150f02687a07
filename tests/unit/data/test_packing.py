from itertools import islice
from types import SimpleNamespace

import numpy as np
import pytest
from packed_rows import plan_rows

from rot5.data.denoise import DenoiseConfig, Denoised, longest_piece
from rot5.data.order import Order
from rot5.data.packing import PackConfig, pack, problems
from rot5.errors import UserError

SPECIALS = SimpleNamespace(eos=1, modes={"R": 3, "S": 4, "X": 5}, first_sentinel=1000, num_sentinels=500)


def story_lengths(count, encoder_length, decoder_length):
    """Input and target lengths that the default mixture makes of stories about as long as those of TinyStories."""
    stories = np.exp(np.random.default_rng(0).normal(5.2, 0.3, count)).astype(np.int64) + 30
    longest = longest_piece(DenoiseConfig(), encoder_length, decoder_length)
    plan = Denoised(None, Order(stories, longest, seed=0), SPECIALS, DenoiseConfig(), seed=0).plan(np.arange(count))
    return plan.input_lengths, plan.target_lengths


def fills(inputs, targets, encoder_length, decoder_length, **settings):
    rows = plan_rows(inputs, targets, encoder_length, decoder_length, **settings)
    assert sorted(rows.values) == list(range(inputs.size))
    per_row = [np.add.reduceat(side[rows.values], rows.offsets[:-1]) for side in (inputs, targets)]
    assert per_row[0].max() <= encoder_length and per_row[1].max() <= decoder_length
    return per_row[0].mean() / encoder_length, per_row[1].mean() / decoder_length


def test_rows_of_stories_are_full():
    encoder_fill, decoder_fill = fills(*story_lengths(10_000, 512, 312), 512, 312)
    assert encoder_fill >= 0.97 and decoder_fill >= 0.95


@pytest.mark.parametrize(("encoder_length", "decoder_length", "floor"), [(256, 160, 0.88), (1024, 624, 0.95)])
def test_other_row_lengths_fill_too(encoder_length, decoder_length, floor):
    lengths = story_lengths(5000, encoder_length, decoder_length)
    assert min(fills(*lengths, encoder_length, decoder_length)) >= floor


def test_one_side_fills_when_the_other_cannot():
    inputs, targets = story_lengths(5000, 512, 312)
    encoder_fill, decoder_fill = fills(inputs, targets, 512, 500)
    assert encoder_fill > 0.97 and decoder_fill < 0.65
    encoder_fill, decoder_fill = fills(inputs, targets, 900, 312)
    assert encoder_fill < 0.65 and decoder_fill > 0.97


def test_exact_partners_are_found():
    """Every first half has exactly one partner that fills its row to the last token."""
    first = np.arange(100, 200)
    inputs = np.concatenate([first, 400 - first])
    targets = np.concatenate([first // 3, 150 - first // 3])
    assert fills(inputs, targets, 400, 150) == (1.0, 1.0)


def test_many_short_examples_share_a_row():
    assert fills(np.full(1000, 4), np.full(1000, 2), 400, 200) == (1.0, 1.0)
    assert plan_rows(np.full(1000, 4), np.full(1000, 2), 400, 200).lengths.tolist() == [100] * 10


def test_an_example_as_large_as_a_row_gets_one():
    rows = plan_rows(np.array([10, 10, 1]), np.array([5, 5, 1]), 10, 5)
    assert [rows.row(r).tolist() for r in range(3)] == [[0], [1], [2]]


def test_no_examples_no_rows():
    rows = plan_rows(np.zeros(0, np.int64), np.zeros(0, np.int64), 10, 5)
    assert rows.values.size == 0 and rows.offsets.tolist() == [0]


def test_an_example_that_fits_no_row_is_refused_with_its_size():
    for inputs, targets in (([3, 11], [3, 3]), ([3, 3], [3, 6])):
        with pytest.raises(UserError, match=rf"{inputs[1]} input and {targets[1]} target .* 10 / 5"):
            plan_rows(np.array(inputs), np.array(targets), 10, 5)


def test_rows_are_found_as_they_are_asked_for():
    inputs, targets = story_lengths(3000, 512, 312)
    every = plan_rows(inputs, targets, 512, 312)
    for row, expected in zip(islice(pack(inputs, targets, 512, 312), 5), range(5), strict=True):
        assert row == every.row(expected).tolist()


def test_pinned_rows():
    """What runs were made of; a change here changes every run."""
    rows = plan_rows(*story_lengths(12, 512, 312), 512, 312)
    expected = [[0, 1, 4, 11], [2, 5, 7], [3, 9, 10], [6, 8]]
    assert [rows.row(r).tolist() for r in range(rows.offsets.size - 1)] == expected


def test_problems():
    assert problems(PackConfig()) == []
    assert problems(PackConfig(encoder_length=0, look_ahead=-1)) == [
        "encoder_length is 0, must be at least 1",
        "look_ahead is -1, must be at least 1",
    ]
