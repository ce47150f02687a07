"""What a teacher said is kept as it was said, whatever is killed, and is no other teacher's."""

import json
import threading

import numpy as np
import pytest

from rot5.distill.cache import Block, Column, TeacherCache
from rot5.errors import UserError

COLUMNS = [Column("ids", "uint16", "int64", 2), Column("log_probs", "float16", "float32", 0)]
LENGTHS = np.array([3, 0, 2, 4, 1])
TOKENS = int(LENGTHS.sum())
IDS, LOG_PROBS = np.arange(2 * TOKENS).reshape(-1, 2), -np.arange(TOKENS, dtype=np.float64)


def cache(folder, **about) -> TeacherCache:
    return TeacherCache(folder, {"teacher": "a", **about}, COLUMNS, LENGTHS)


def asked(starts, kill_at: int = 99):
    """Blocks of two pairs; killed before the one that begins with pair `kill_at`."""

    def ask(first):
        while first < len(LENGTHS):
            if first >= kill_at:
                raise KeyboardInterrupt
            last = min(first + 2, len(LENGTHS))
            rows = slice(starts[first], starts[last])
            yield Block(last - first, [IDS[rows], LOG_PROBS[rows]])
            first = last

    return ask


def files(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_words_are_kept_and_what_was_killed_goes_on_to_the_same_bytes(tmp_path):
    told: list[str] = []
    whole = cache(tmp_path / "whole")
    whole.fill(asked(whole.starts), told.append)
    assert told[0] == "2 of 5 targets read by the teacher" and len(told) == 3
    ids, log_probs = whole.arrays()
    np.testing.assert_array_equal(ids, IDS)
    np.testing.assert_array_equal(log_probs, LOG_PROBS)
    assert (ids.dtype, log_probs.dtype) == (np.uint16, np.float16)

    stopped = cache(tmp_path / "stopped")
    with pytest.raises(KeyboardInterrupt):
        stopped.fill(asked(stopped.starts, kill_at=2), told.append)
    with (tmp_path / "stopped" / "ids.raw").open("ab") as file:
        file.write(b"torn" * 99)
    told.clear()
    cache(tmp_path / "stopped").fill(asked(stopped.starts), told.append)
    assert len(told) == 2, "the first block is not asked for again"
    assert files(tmp_path / "stopped") == files(tmp_path / "whole")
    cache(tmp_path / "whole").fill(asked(whole.starts, kill_at=0), told.append)
    whole.verify()


def test_students_that_share_words_wait_for_who_asks_and_read_what_is_there(tmp_path):
    folder = tmp_path / "words"
    first, second, other = cache(folder), cache(folder), cache(folder, teacher="b")
    at_work, waited = threading.Event(), threading.Event()
    told: list[str] = []

    def slowly(number):
        at_work.set()
        assert waited.wait(10)
        yield from asked(first.starts)(number)

    def tell(line):
        told.append(line)
        waited.set()

    asking = threading.Thread(target=first.fill, args=(slowly, lambda line: None))
    asking.start()
    assert at_work.wait(10)
    second.fill(asked(first.starts, kill_at=0), tell)
    asking.join()
    assert len(told) == 1 and "lock-words is held by process" in told[0] and told[0].endswith(": waiting for it")
    np.testing.assert_array_equal(second.arrays()[0], IDS)
    with pytest.raises(UserError, match="words of another teacher"):
        other.fill(asked(first.starts), tell)
    assert [path.name for path in tmp_path.iterdir()] == ["words"]


def test_a_folder_of_which_no_more_than_its_note_was_begun_is_taken(tmp_path):
    (tmp_path / "partial-teacher.json").touch()
    first = cache(tmp_path)
    first.fill(asked(first.starts), lambda line: None)
    assert set(files(tmp_path)) == {"teacher.json", "ids.raw", "log_probs.raw"}


def test_other_words_and_other_folders_are_refused(tmp_path):
    folder = tmp_path / "words"
    first = cache(folder)
    first.fill(asked(first.starts), lambda line: None)
    with pytest.raises(UserError, match=r"words of another teacher, .*teacher: a -> b.*choose another --cache"):
        cache(folder, teacher="b")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    (tmp_path / "file").touch()
    for name, told in (("mine", "holds no words of a teacher"), ("file", "is a file")):
        with pytest.raises(UserError, match=told):
            cache(tmp_path / name)


def test_damage_is_told(tmp_path):
    folder = tmp_path / "words"
    first = cache(folder)
    first.fill(asked(first.starts), lambda line: None)
    path = folder / "ids.raw"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + b"?")
    with pytest.raises(UserError, match=r"ids\.raw is damaged"):
        first.verify()
    path.write_bytes(whole[:-1])
    with pytest.raises(UserError, match=r"ids\.raw is missing or cut short"):
        cache(folder).fill(asked(first.starts), lambda line: None)
    note = json.loads((folder / "teacher.json").read_text())
    (folder / "teacher.json").write_text(json.dumps({key: note[key] for key in ("about", "pairs")}))
    with pytest.raises(UserError, match=r"ids\.raw is damaged"):
        cache(folder).fill(asked(first.starts), lambda line: None)
    (folder / "teacher.json").write_text("[")
    with pytest.raises(UserError, match=r"teacher\.json is damaged"):
        cache(folder)
