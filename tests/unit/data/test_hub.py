"""Data sets streamed from the hub: broken connections and stopped runs are taken up where they were."""

import json
from types import SimpleNamespace

import datasets
import pytest

from rot5.data import hub
from rot5.data.parts import WHOLE, Part
from rot5.data.preparing import prepare
from rot5.data.sources import Documents, SourceConfig
from rot5.errors import UserError

ROWS, FILES = 900, 4


@pytest.fixture
def connection(tmp_path, monkeypatch):
    """Local files in place of the hub's; a read of a row for which `breaks` has an error raises that, once."""
    for n in range(FILES):
        lines = [json.dumps({"text": f"story {n * ROWS + row}" if row % 50 else " "}) for row in range(ROWS)]
        (tmp_path / f"{n}.jsonl").write_text("\n".join(lines))
    real = datasets.load_dataset
    breaks: dict[int, Exception] = {}
    opened, waited, read = [], [], []

    class Breaking(datasets.IterableDataset):
        def __iter__(self):
            for row in super().__iter__():
                read.append(row["text"])
                if error := breaks.pop(len(read), None):
                    raise error
                yield row

    def load(name, split, streaming):
        assert streaming
        opened.append((name, split))
        found = real("json", data_files=sorted(map(str, tmp_path.glob("*.jsonl"))), split="train", streaming=True)
        found.__class__ = Breaking
        return found

    monkeypatch.setattr(datasets, "load_dataset", load)
    monkeypatch.setattr(hub.time, "sleep", waited.append)
    monkeypatch.setattr(hub, "ROWS_PER_STATE", 64)
    monkeypatch.setattr(hub, "DOCUMENTS_PER_BOOKMARK", 100)

    expected = [f"story {n}" for n in range(ROWS * FILES) if n % ROWS % 50]
    return SimpleNamespace(breaks=breaks, opened=opened, waited=waited, read=read, expected=expected)


CONFIG = SourceConfig(name="tinystories")


def test_a_broken_connection_is_taken_up_where_it_broke(connection, capsys):
    connection.breaks.update({700: TimeoutError("slow"), 1500: OSError("gone")})
    assert list(Documents(CONFIG)) == connection.expected
    assert connection.opened == [("roneneldan/TinyStories", "train")] * 3
    assert connection.waited == [1, 1]
    assert "slow; trying again in 1 s" in capsys.readouterr().err
    assert len(connection.read) < ROWS * FILES + 2 * 2 * hub.ROWS_PER_STATE, "it does not begin anew"


def test_waits_double_and_come_to_an_end(connection):
    stream = hub.Stream("a/b", "train", WHOLE)
    rows = iter(stream)
    next(rows)
    connection.breaks.update({n: ConnectionError("still down") for n in range(2, 20)})
    with pytest.raises(UserError, match="cannot read a/b from the hub: still down"):
        list(rows)
    assert connection.waited == list(hub.WAITS)


def test_what_never_was_and_what_will_not_pass_is_told_at_once(connection):
    connection.breaks[1] = ConnectionError("no route")
    with pytest.raises(UserError, match="no route"):
        list(Documents(CONFIG))
    connection.breaks[len(connection.read) + 40] = FileNotFoundError("no such file")
    with pytest.raises(UserError, match="no such file"):
        list(Documents(CONFIG))
    assert not connection.waited


def test_a_stopped_run_goes_on_near_where_it_was(connection, tmp_path):
    marks = tmp_path / "marks"
    documents = Documents(CONFIG).behind(0, marks)
    assert [next(documents) for _ in range(2345)] == connection.expected[:2345]
    with marks.open("a") as file:
        file.write('{"documents": 23')  # torn
    connection.read.clear()
    assert list(Documents(CONFIG).behind(2345, marks)) == connection.expected[2345:]
    assert len(connection.read) < ROWS * FILES - 2345 + 300
    assert list(Documents(CONFIG).behind(50, marks)) == connection.expected[50:]
    limited = SourceConfig(name="tinystories", limit=2400)
    assert list(Documents(limited).behind(2345, marks)) == connection.expected[2345:2400]


def test_a_corpus_from_the_hub_is_whole_and_leaves_no_bookmarks(connection, corpora, tmp_path):
    from rot5.data.corpus import Corpus, documents

    tokenizer = Corpus.open(corpora / "stories").tokenizer()
    prepare(Documents(CONFIG), tokenizer, tmp_path / "corpus", source="hub")
    assert list(documents(Corpus.open(tmp_path / "corpus"))) == connection.expected
    assert {path.name for path in (tmp_path / "corpus").iterdir()} == {
        "manifest.json", "offsets-00000.npy", "tokens-00000.npy", "tokenizer"
    }  # fmt: skip


@pytest.mark.parametrize("number", [2, 3, 4])
def test_parts_are_the_whole(connection, number):
    found = [text for n in range(number) for text in Documents(CONFIG, Part(n, number))]
    assert sorted(found) == sorted(connection.expected)
