"""`rot5 bench decode`: ours beside transformers and CTranslate2 in small, whatever the speeds are."""

import pytest

from rot5.bench import ctranslate2_peer, decode
from rot5.bench.ceilings import Ceilings
from rot5.config import BenchConfig
from rot5.generate.settings import GenerateConfig


@pytest.fixture
def small(monkeypatch):
    for name, value in {"STORIES": 5, "ROUND": 4, "BATCH": 2, "NEW_TOKENS": 4, "BATCHES": (1, 2), "SHORT": 1,
                        "LONG": 2}.items():  # fmt: skip
        monkeypatch.setattr(decode, name, value)
    monkeypatch.setattr(decode, "EXACT", GenerateConfig(max_new_tokens=4, min_new_tokens=4, batch_size=2))
    monkeypatch.setattr(decode, "FREE", GenerateConfig(max_new_tokens=4, batch_size=2))


def test_ours_and_theirs_stand_in_one_table(small, corpora):
    found = decode.measure(
        BenchConfig(preset="smoke", corpus=str(corpora / "stories"), rounds=2), Ceilings(1e12, 1e12, 1e10)
    )
    rows = {row["variant"]: row for row in found.tables[0].rows}
    ours = ["rot5, float32", "rot5, bf16", "rot5, int8"]
    theirs = [name for name in rows if name not in ours]
    assert theirs[:2] == ["transformers, float32", "transformers, bf16"] and list(rows)[len(theirs) :] == ours
    assert len(theirs) == (4 if ctranslate2_peer.is_installed() else 2)
    assert rows["transformers, float32"]["to_float32"] == rows["transformers, bf16"]["to_bf16"] == 1
    assert all(row["slowest"] <= row["new_tokens_per_second"] <= row["fastest"] for row in rows.values())
    agreement = {row["variant"]: row for row in found.tables[1].rows}
    assert agreement["float32"]["equal"] == agreement["float32"]["before"] == 1
    assert [len(line.points) for line in found.charts[0].series] == [2, 2, 2]


def test_everybody_writes_just_as_many_tokens_as_asked_for(small, corpora):
    subject = decode._subject(BenchConfig(preset="smoke", corpus=str(corpora / "stories")))
    for name, write in decode._peers(subject).items():
        assert write(subject.inputs[:2]) == 2 * 4, name


def test_without_ctranslate2_its_rows_are_left_out_with_a_note(small, corpora, monkeypatch):
    monkeypatch.setattr(decode, "is_installed", lambda: False)
    found = decode.measure(
        BenchConfig(preset="smoke", corpus=str(corpora / "stories"), rounds=1), Ceilings(1e12, 1e12, 1e10)
    )
    assert not any("CTranslate2" in row["variant"] for row in found.tables[0].rows)
    assert "not installed" in found.tables[0].about and "to_ctranslate2" not in found.tables[0].rows[0]


def test_rounds_take_turns_over_all_stories(small):
    inputs = [[number] for number in range(5)]
    assert decode._taken(inputs, 0) == [[0], [1], [2], [3]] and decode._taken(inputs, 1) == [[4], [0], [1], [2]]


def test_the_share_before_the_first_difference():
    assert decode._share_before([1, 2, 3, 4], [1, 2, 9, 4]) == 0.5 and decode._share_before([1, 2], [1, 2]) == 1
