"""`rot5 overlap` as users call it."""

import json

import pytest


@pytest.fixture
def copied(corpora, tmp_path, rot5):
    """A validation corpus of which a text in four stands in the training corpus as well."""
    lines = [json.dumps({"text": f"{n} " + "one two three four five six seven eight nine " * 2}) for n in range(3)]
    from rot5.data.corpus import Corpus, documents

    lines.append(json.dumps({"text": next(documents(Corpus.open(corpora / "stories")))}))
    (tmp_path / "valid.jsonl").write_text("\n".join(lines))
    rot5("prepare", tmp_path / "valid.jsonl", "--tokenizer", corpora / "stories", "--out", tmp_path / "valid")
    return tmp_path / "valid"


def test_what_is_shared_is_counted_and_kept(copied, corpora, tmp_path, rot5):
    out = tmp_path / "overlap.json"
    training = corpora / "stories"
    for _ in range(2):
        said = rot5("overlap", copied, "--training", training, "--out", out)
        assert "of 4 texts 1 stand whole" in said.out
    rot5("overlap", copied, "--training", corpora / "pairs", "--out", out)
    found = json.loads(out.read_text())
    assert [(each["training"], each["texts"]) for each in found] == [(str(training), 4), (str(corpora / "pairs"), 4)]
    assert 0 < found[0]["runs_seen_percent"] < 100


def test_faults_are_told(copied, corpora, tmp_path, rot5):
    assert "no corpus at" in rot5("overlap", tmp_path / "none", "--training", copied).err
    (tmp_path / "out.json").write_text("[1]")
    said = rot5("overlap", copied, "--training", copied, "--out", tmp_path / "out.json")
    assert said.code == 2 and "holds something else" in said.err
