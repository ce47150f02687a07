import threading
from itertools import islice
from types import SimpleNamespace

import numpy as np
import pytest

from rot5.data.batches import IGNORED, KEPT_WINDOWS, PackedRows, prefetch
from rot5.data.denoise import DenoiseConfig, Denoised, longest_piece
from rot5.data.order import Order
from rot5.data.packing import PackConfig
from rot5.data.pairs import Pairs
from rot5.data.ragged import Ragged
from rot5.errors import UserError

SPECIALS = SimpleNamespace(
    pad=0, eos=1, decoder_start=2, modes={"R": 3, "S": 4, "X": 5}, first_sentinel=1000, num_sentinels=500
)


class Texts:
    """Document d holds tokens 10,000 d + 10, 10,000 d + 11, ..."""

    def __init__(self, lengths):
        self.lengths = np.asarray(lengths, np.int64)

    def read(self, documents, starts, stops):
        rows = [np.arange(a, b) + 10_000 * d + 10 for d, a, b in zip(documents, starts, stops, strict=True)]
        return Ragged(np.concatenate([[], *rows]).astype(np.int64), np.cumsum([0, *map(len, rows)]))


class Counted:
    """Examples that note which numbers were planned."""

    def __init__(self, examples):
        self.examples, self.kind_names, self.materialise = examples, examples.kind_names, examples.materialise
        self.planned = []

    def __len__(self):
        return len(self.examples)

    def plan(self, numbers):
        self.planned.append(int(numbers[0]))
        return self.examples.plan(numbers)


PACK = PackConfig(encoder_length=256, decoder_length=160, look_ahead=64, window=100)


def story_rows(seed=0, limit=None, config=PACK, shuffle=True):
    texts = Texts(np.random.default_rng(0).integers(1, 250, 170))
    objective = DenoiseConfig()
    longest = longest_piece(objective, config.encoder_length, config.decoder_length)
    examples = Denoised(texts, Order(texts.lengths, longest, seed, shuffle), SPECIALS, objective, seed)
    return PackedRows(Counted(examples), config, SPECIALS, limit)


def assert_same(first, second):
    assert list(first.fields) == list(second.fields)
    for name in first.fields:
        np.testing.assert_array_equal(first.fields[name], second.fields[name], err_msg=name)
    for table in ("segment_examples", "segment_kinds"):
        ours, theirs = getattr(first, table), getattr(second, table)
        assert [row[row >= 0].tolist() for row in ours] == [row[row >= 0].tolist() for row in theirs]
    assert first.story_tokens == second.story_tokens


def joined(batches):
    """One batch of many, through the public fields."""
    batches = list(batches)
    width = max(batch.segment_examples.shape[1] for batch in batches)

    def rows(table):
        return np.concatenate(
            [np.pad(t, ((0, 0), (0, width - t.shape[1])), constant_values=-1) for t in map(table, batches)]
        )

    return SimpleNamespace(
        fields={name: np.concatenate([b.fields[name] for b in batches]) for name in batches[0].fields},
        segment_examples=rows(lambda b: b.segment_examples),
        segment_kinds=rows(lambda b: b.segment_kinds),
        story_tokens=sum(b.story_tokens for b in batches),
    )


def test_a_batch_by_eye():
    """Two pairs in the first row, one in the second."""
    corpus = SimpleNamespace(inputs=Texts([2, 3, 5]), targets=Texts([1, 2, 4]))
    packed = PackedRows(
        Pairs(corpus, SPECIALS, "R", seed=0, shuffle=False),
        PackConfig(encoder_length=10, decoder_length=6),
        SPECIALS,
        limit=3,
    )
    batch = packed.rows(0, 10)
    a, b, c = 10, 10_010, 20_010
    assert packed.num_rows == batch.num_rows == 2
    assert {name: field.tolist() for name, field in batch.fields.items()} == {
        "input_ids": [[3, a, a + 1, 1, 3, b, b + 1, b + 2, 1, 0], [3, c, c + 1, c + 2, c + 3, c + 4, 1, 0, 0, 0]],
        "encoder_segment_ids": [[1, 1, 1, 1, 2, 2, 2, 2, 2, 0], [1, 1, 1, 1, 1, 1, 1, 0, 0, 0]],
        "encoder_positions": [[0, 1, 2, 3, 0, 1, 2, 3, 4, 0], [0, 1, 2, 3, 4, 5, 6, 0, 0, 0]],
        "decoder_input_ids": [[2, a, 2, b, b + 1, 0], [2, c, c + 1, c + 2, c + 3, 0]],
        "decoder_segment_ids": [[1, 1, 2, 2, 2, 0], [1, 1, 1, 1, 1, 0]],
        "decoder_positions": [[0, 1, 0, 1, 2, 0], [0, 1, 2, 3, 4, 0]],
        "labels": [[a, 1, b, b + 1, 1, IGNORED], [c, c + 1, c + 2, c + 3, 1, IGNORED]],
    }
    assert batch.segment_examples.tolist() == [[0, 1], [2, -1]]
    assert batch.segment_kinds.tolist() == [[0, 0], [0, -1]]
    assert batch.story_tokens == 17 and batch.num_targets == 10
    assert (batch.encoder_fill, batch.decoder_fill) == (0.8, 10 / 12)
    assert all(field.dtype == np.int64 for field in batch.fields.values())


def test_segments_hold_their_examples():
    packed = story_rows()
    batch = packed.rows(10, 30)
    fields = batch.fields
    plan = packed.examples.plan(numbers := batch.segment_examples[batch.segment_examples >= 0])
    inputs, targets = packed.examples.materialise(plan, np.arange(numbers.size))
    np.testing.assert_array_equal(batch.segment_kinds[batch.segment_examples >= 0], plan.kinds)
    assert batch.story_tokens == plan.story_tokens.sum()
    assert batch.num_targets == plan.target_lengths.sum()
    index = 0
    for row, examples in enumerate(batch.segment_examples):
        for segment in range(1, (examples >= 0).sum() + 1):
            here = fields["encoder_segment_ids"][row] == segment
            assert fields["input_ids"][row][here].tolist() == inputs.row(index).tolist()
            assert fields["encoder_positions"][row][here].tolist() == list(range(here.sum()))
            here = fields["decoder_segment_ids"][row] == segment
            target = targets.row(index).tolist()
            assert fields["labels"][row][here].tolist() == target
            assert fields["decoder_input_ids"][row][here].tolist() == [SPECIALS.decoder_start, *target[:-1]]
            assert fields["decoder_positions"][row][here].tolist() == list(range(here.sum()))
            index += 1
    assert index == numbers.size
    empty = fields["decoder_segment_ids"] == 0
    assert (fields["labels"][empty] == IGNORED).all() and (fields["labels"][~empty] != IGNORED).all()
    for name in ("decoder_input_ids", "decoder_positions"):
        assert (fields[name][empty] == 0).all()
    assert (fields["input_ids"][fields["encoder_segment_ids"] == 0] == SPECIALS.pad).all()


def test_however_rows_are_asked_for_they_are_the_same():
    whole = story_rows().rows(0, 240)
    assert len(set(whole.segment_examples[whole.segment_examples >= 0] // PACK.window)) > 3
    packed = story_rows()
    assert_same(joined(packed.rows(first, 7) for first in range(0, 238, 7)), story_rows().rows(0, 238))
    assert_same(joined(packed.rows(row, 1) for row in range(240)), whole)
    assert_same(joined(reversed([packed.rows(row, 40) for row in range(200, -1, -40)])), whole)


def test_a_row_from_a_fresh_object_is_the_row_of_an_iteration():
    packed = story_rows()
    for row in range(0, 300, 50):
        assert_same(packed.rows(row, 50), story_rows().rows(row, 50))


@pytest.mark.parametrize("world_size", [1, 2, 3, 5])
def test_ranks_share_the_rows_out(world_size):
    whole = story_rows().rows(30, 32)
    for rank in range(world_size):
        mine = story_rows().rows(30, 32, rank, world_size)
        for name, field in whole.fields.items():
            np.testing.assert_array_equal(mine.fields[name], field[rank::world_size])


def test_seeds_differ_and_passes_differ():
    first, second = story_rows(seed=1).rows(0, 20), story_rows(seed=2).rows(0, 20)
    assert not np.array_equal(first.fields["input_ids"], second.fields["input_ids"])


def test_every_window_holds_its_examples_once():
    packed = story_rows()
    last = packed.state(400)["first_row"]
    seen = packed.rows(0, last).segment_examples
    assert sorted(seen[seen >= 0].tolist()) == list(range(packed.state(last)["window"] * PACK.window))


def test_a_state_resumes_without_packing_what_lies_before():
    packed = story_rows()
    state = packed.state(203)
    assert state["rows"] == 203 and state["first_row"] <= 203 and state["window"] > 2
    fresh = story_rows()
    assert fresh.resume(state) == 203
    assert_same(fresh.rows(203, 60), packed.rows(203, 60))
    assert min(fresh.examples.planned) == state["window"] * PACK.window
    assert_same(fresh.rows(0, 30), packed.rows(0, 30))
    assert fresh.state(203) == state


def test_the_state_at_the_first_row_of_a_window_names_that_window():
    packed = story_rows()
    first = packed.state(60)["first_row"]
    window = packed.state(first)["window"]
    assert packed.state(first - 1)["window"] == window - 1


def test_few_windows_are_kept():
    packed = story_rows()
    for row in range(0, 900, 10):
        packed.rows(row, 10)
        assert len(packed._windows) <= KEPT_WINDOWS
    assert len(packed.examples.planned) == len(set(packed.examples.planned)) > 5


@pytest.mark.parametrize("limit", [0, 1, 99, 100, 101, 170, 333])
def test_with_a_limit_every_example_comes_once_and_then_no_more(limit):
    packed = story_rows(limit=limit, shuffle=False)
    total = packed.num_rows
    seen = packed.rows(0, total + 50).segment_examples
    assert sorted(seen[seen >= 0].tolist()) == list(range(limit))
    assert len(seen) == total
    end = packed.rows(total, 8)
    assert end.num_rows == 0 and end.num_targets == 0 and end.story_tokens == 0 and end.encoder_fill == 0
    assert end.fields["labels"].shape == (0, PACK.decoder_length)


def test_without_a_limit_rows_never_end():
    with pytest.raises(ValueError, match="never end"):
        _ = story_rows().num_rows


def test_an_empty_corpus_is_refused():
    examples = Pairs(SimpleNamespace(inputs=Texts([]), targets=Texts([])), SPECIALS, "R", 0)
    with pytest.raises(UserError, match="empty"):
        PackedRows(examples, PACK, SPECIALS)


@pytest.mark.parametrize("ahead", [0, 1, 3])
def test_prefetching_changes_nothing(ahead):
    packed = story_rows()
    for step, batch in enumerate(islice(prefetch(story_rows(), 15, 6, ahead=ahead), 12)):
        assert_same(batch, packed.rows(15 + 6 * step, 6))


def test_prefetching_stops_where_it_is_told():
    batches = list(prefetch(story_rows(), 3, 8, stop=30))
    assert [batch.num_rows for batch in batches] == [8, 8, 8, 3]
    assert_same(joined(batches), story_rows().rows(3, 27))
    assert list(prefetch(story_rows(), 30, 8, stop=30)) == []


def test_prefetching_for_a_rank():
    (batch,) = prefetch(story_rows(), 0, 9, rank=1, world_size=2, stop=9)
    assert_same(batch, story_rows().rows(0, 9, 1, 2))


def test_leaving_off_ends_the_thread():
    before = threading.active_count()
    batches = prefetch(story_rows(), 0, 4)
    next(batches)
    assert threading.active_count() == before + 1
    batches.close()
    assert threading.active_count() == before


def test_an_error_while_prefetching_reaches_the_reader():
    packed = story_rows(config=PackConfig(encoder_length=256, decoder_length=160, window=100))
    packed.pack_config = PackConfig(encoder_length=20, decoder_length=20, window=100)
    with pytest.raises(UserError, match="more than the rows of 20 / 20"):
        next(prefetch(packed, 0, 4))
