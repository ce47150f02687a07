"""`rot5 inspect`: the folder it writes, its mistakes, and what stands in the documentation."""

import json
from pathlib import Path

import numpy as np
import pytest

STORY = 'Tom had a red kite. One day Mia took the kite. "Give it back," Tom said.'


@pytest.fixture
def place(tmp_path, corpora, monkeypatch, tiny_model) -> Path:
    """A working folder with a small model of ours that has experts, its corpora, and a story."""
    from rot5.data.corpus import Corpus
    from rot5.data.tokenizer import special_ids

    tokenizer = Corpus.open(corpora / "stories").tokenizer()
    ids = special_ids(tokenizer)
    model = tiny_model(
        vocab_size=ids.vocab_size,
        num_experts=3,
        encoder_sparse_step=2,
        decoder_sparse_step=0,
        pad_token_id=ids.pad,
        eos_token_id=ids.eos,
        decoder_start_token_id=ids.decoder_start,
    )
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    for name in ("validation", "held-out"):
        (tmp_path / name).symlink_to(corpora / name)
    (tmp_path / "story.txt").write_text(STORY)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_everything_is_written(rot5, place):
    words = ["inspect", "model", "--text", "story.txt", "--target", "Tom lost it.", "--out", "inside"]
    called = rot5(*words, "--corpus", "validation", "--neurons.documents", "5", "--neurons.shown", "2")
    assert called.code == 0, called
    told = json.loads((place / "inside" / "inside.json").read_text())
    with np.load(place / "inside" / "inside.npz") as arrays:
        shapes = {name: array.shape for name, array in arrays.items()}
    read, written = len(told["source"]["ids"]), len(told["target"]["ids"])
    assert shapes["attention/encoder"] == (2, 4, read, read)
    assert shapes["attention/cross"] == (3, 4, written, read)
    assert shapes["attribution/integrated"] == (len(told["target"]["words"]), len(told["source"]["words"]))
    assert shapes["experts/encoder.1"] == (read, 1) and shapes["neurons/decoder.2/values"] == (8, 48)
    assert [layer["layer"] for layer in told["lens"]] == [0, 1, 2]
    assert told["neurons"]["documents"] == 5 and len(told["neurons"]["layers"]["encoder.0"]) == 2
    assert told["experts"]["of"] == "corpus" and list(told["experts"]["layers"]) == ["encoder.1"]


def test_an_older_look_is_replaced_on_request_alone(rot5, place):
    few = ["--max_new_tokens", "3", "--attribution.steps", "0", "--attribution.leave_out", "0"]
    words = ["inspect", "model", "--text", "story.txt", "--out", "inside", *few]
    assert rot5(*words).code == 0
    assert "already exists: replace it with --overwrite true" in rot5(*words).err
    called = rot5(*words, "--overwrite", "true")
    assert called.code == 0 and json.loads(Path("inside/inside.json").read_text())["given"] is False
    (place / "other").mkdir()
    assert "other exists and holds no inside.json" in rot5(*words, "--out", "other", "--overwrite", "true").err
