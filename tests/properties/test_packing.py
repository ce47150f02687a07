import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from packed_rows import plan_rows


@st.composite
def problems(draw):
    encoder_length, decoder_length = draw(st.integers(1, 80)), draw(st.integers(1, 60))
    shape = st.tuples(st.integers(1, encoder_length), st.integers(1, decoder_length))
    small = st.tuples(st.integers(1, -(-encoder_length // 6)), st.integers(1, -(-decoder_length // 6)))
    shapes = draw(st.lists(shape | small, max_size=120))
    lengths = np.array(shapes, np.int64).reshape(-1, 2)
    return lengths[:, 0], lengths[:, 1], encoder_length, decoder_length, draw(st.integers(1, 50))


@settings(max_examples=300, deadline=None)
@given(problems())
def test_every_example_once_and_no_row_too_long(problem):
    inputs, targets, encoder_length, decoder_length, look_ahead = problem
    rows = plan_rows(inputs, targets, encoder_length, decoder_length, look_ahead)
    assert sorted(rows.values.tolist()) == list(range(inputs.size))
    assert rows.offsets[0] == 0 and rows.offsets[-1] == inputs.size and (rows.lengths > 0).all()
    for row in range(rows.offsets.size - 1):
        members = rows.row(row)
        assert inputs[members].sum() <= encoder_length
        assert targets[members].sum() <= decoder_length


@settings(max_examples=150, deadline=None)
@given(problems())
def test_rows_start_with_the_oldest_and_look_no_further_ahead_than_they_may(problem):
    inputs, targets, encoder_length, decoder_length, look_ahead = problem
    rows = plan_rows(inputs, targets, encoder_length, decoder_length, look_ahead)
    waiting = list(range(inputs.size))
    for row in range(rows.offsets.size - 1):
        members = rows.row(row).tolist()
        assert members[0] == waiting[0]
        assert set(members) <= set(waiting[:look_ahead])
        waiting = [index for index in waiting if index not in members]


@settings(max_examples=150, deadline=None)
@given(problems())
def test_a_row_is_closed_only_when_nothing_at_hand_fits(problem):
    inputs, targets, encoder_length, decoder_length, look_ahead = problem
    rows = plan_rows(inputs, targets, encoder_length, decoder_length, look_ahead)
    waiting = list(range(inputs.size))
    for row in range(rows.offsets.size - 1):
        members = rows.row(row).tolist()
        left = [index for index in waiting[:look_ahead] if index not in members]
        room = encoder_length - inputs[members].sum(), decoder_length - targets[members].sum()
        assert not any(inputs[index] <= room[0] and targets[index] <= room[1] for index in left)
        waiting = [index for index in waiting if index not in members]


@settings(max_examples=100, deadline=None)
@given(problems())
def test_the_same_lengths_give_the_same_rows(problem):
    for first, second in zip(plan_rows(*problem), plan_rows(*problem), strict=True):
        np.testing.assert_array_equal(first, second)
