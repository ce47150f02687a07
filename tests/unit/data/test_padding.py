"""Padded rows: each a function of its number, every pair in its turn, and little padding."""

from types import SimpleNamespace

import numpy as np
import pytest

from rot5.data.batches import IGNORED
from rot5.data.foreign import ForeignPairs
from rot5.data.padding import PaddedRows
from rot5.data.pairs import WholePairs

PAD = 7


def read(texts):
    """A tokenizer of characters: no text holds another's."""
    return [[ord(character) for character in text] for text in texts]


def pairs(count=200, seed=0):
    """Inputs and targets of all lengths; the first character of both is the number of the pair."""
    lengths = np.random.default_rng(0).integers(1, 90, (count, 2))
    corpus = [
        SimpleNamespace(input=chr(1000 + n) + "a" * long, target=chr(1000 + n) + "é" * short)
        for n, (long, short) in enumerate(lengths)
    ]
    return WholePairs(ForeignPairs(corpus, read, read), seed)


def shown(batch):
    """The pair of each row, which must be that of its input and of its target."""
    found = batch.fields["input_ids"][:, 0] - 1000
    np.testing.assert_array_equal(found, batch.fields["labels"][:, 0] - 1000)
    return found.tolist()


def rows_of(batch):
    """Each row without its padding."""
    ids, mask, labels = (batch.fields[name] for name in ("input_ids", "attention_mask", "labels"))
    assert (ids[mask == 0] == PAD).all() and (mask[:, :1] == 1).all() and (np.diff(mask, axis=1) <= 0).all()
    return [
        (row[seen == 1].tolist(), label[label != IGNORED].tolist())
        for row, seen, label in zip(ids, mask, labels, strict=True)
    ]


def test_a_row_is_the_same_however_it_is_asked_for():
    expected = rows_of(PaddedRows(pairs(), PAD, 8).rows(0, 48))
    rows = PaddedRows(pairs(), PAD, 8)
    assert rows_of(rows.rows(40, 8)) == expected[40:] and rows_of(rows.rows(3, 9)) == expected[3:12]
    whole, halves = rows.rows(8, 8), [rows.rows(8, 8, rank, 2) for rank in (0, 1)]
    assert [rows_of(half) for half in halves] == [expected[8:16:2], expected[9:16:2]]
    assert {(each.num_targets, each.story_tokens) for each in halves} == {(whole.num_targets, whole.story_tokens)}
    assert whole.num_targets == (whole.fields["labels"] != IGNORED).sum()
    assert shown(whole) == rows.examples.plan(whole.segment_examples[:, 0]).pair.tolist()


def test_a_resumed_object_goes_on_where_the_other_stopped():
    first, second = PaddedRows(pairs(), PAD, 8), PaddedRows(pairs(), PAD, 8)
    first.rows(0, 400)
    assert second.resume(first.state(400)) == 400
    assert rows_of(second.rows(400, 8)) == rows_of(first.rows(400, 8))


def test_every_pass_shows_every_pair_once():
    rows = PaddedRows(pairs(200), PAD, 8)
    found = [shown(rows.rows(first, 200)) for first in (0, 200)]
    assert sorted(found[0]) == sorted(found[1]) == list(range(200)) and found[0] != found[1]
    assert shown(PaddedRows(pairs(200, seed=1), PAD, 8).rows(0, 200)) != found[0]
    several_windows = PaddedRows(pairs(2000), PAD, 8).rows(0, 3 * 64 * 8)
    assert len(set(shown(several_windows))) == 3 * 64 * 8
    few = PaddedRows(pairs(3), PAD, 8)
    assert set(shown(few.rows(0, 8))) == {0, 1, 2}


@pytest.mark.parametrize("step_rows", [4, 16])
def test_steps_pad_little_and_come_in_no_order_of_length(step_rows):
    rows = PaddedRows(pairs(2000), PAD, step_rows)
    batches = [rows.rows(step_rows * n, step_rows) for n in range(60)]
    as_they_come = rows.examples.plan(np.arange(60 * step_rows)).input_lengths.reshape(60, step_rows)
    unsorted = (as_they_come.sum(axis=1) / as_they_come.max(axis=1) / step_rows).mean()
    assert np.mean([batch.encoder_fill for batch in batches]) > 0.8 > unsorted + 0.1
    assert np.mean([batch.decoder_fill for batch in batches]) > 0.8
    widths = [batch.fields["input_ids"].shape[1] for batch in batches]
    assert abs(np.corrcoef(np.arange(60), widths)[0, 1]) < 0.4


def test_story_tokens_are_those_of_the_prepared_pairs():
    foreign = ForeignPairs([SimpleNamespace(input="abc", target="né")] * 2, read, read)
    side = SimpleNamespace(lengths=np.array([10, 20]))
    told = WholePairs(foreign, 0, shuffle=False, story=SimpleNamespace(inputs=side, targets=side))
    assert told.plan(np.arange(2)).story_tokens.tolist() == [20, 40]
    assert told.plan(np.arange(2)).input_lengths.tolist() == [3, 3]
    assert foreign.target_bytes.tolist() == [3, 3] and foreign.targets.rows(1) == [[ord("n"), ord("é")]]
