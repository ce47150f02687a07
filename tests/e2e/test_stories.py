"""`rot5 stories`: what it writes is what the other verbs read."""

import json

from rot5.cli import run
from rot5.data import sources
from rot5.data.storyworld import StoryWorld

WORLD = StoryWorld(5, held_out=True)


def test_text_is_read_back_as_documents(tmp_path):
    path = tmp_path / "stories.txt"
    run(["stories", "4", "--seed", "5", "--out", str(path)])
    assert list(sources.Documents(sources.SourceConfig(name=str(path)))) == [WORLD[n].story for n in range(4)]


def test_instruct_records_are_read_back_as_pairs(tmp_path):
    path = tmp_path / "records.txt"
    run(["stories", "4", "--seed", "5", "--format", "instruct", "--out", str(path)])
    found = list(sources.pairs(sources.SourceConfig(name=str(path))))
    assert [pair.input for pair in found] == [WORLD[n].story for n in range(4)]
    assert all(pair.target in WORLD[n].summaries for n, pair in enumerate(found))


def test_jsonl_holds_the_facts(capsys):
    run(["stories", "2", "--split", "test", "--format", "jsonl"])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["index"] for line in lines] == [1, 3]
    assert all(line["facts"] and line["questions"] and line["summaries"] for line in lines)
