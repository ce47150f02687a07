"""`rot5 inspect`: the folder it writes, its mistakes, and what stands in the documentation."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from rot5.inspect.heads import THRESHOLD
from rot5.inspect.passage import MOST_READ, MOST_WRITTEN

DOCUMENTATION = Path(__file__).parents[2] / "docs" / "inspect.md"
NEURONS = ("--neurons.documents", "5", "--neurons.shown", "2")
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
    called = rot5(*words, "--corpus", "validation", *NEURONS, "--attribution.steps", "16")
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
    page = (place / "inside" / "inside.html").read_text()
    assert "Leaving a word out" in page and "encoder.1, lift by word class, of the corpus" in page
    schema = DOCUMENTATION.read_text(encoding="utf-8")
    for name in [
        *told,
        *told["lens"][0],
        *told["attribution"],
        *told["source"],
        *{each.split("/")[0] for each in shapes},
    ]:
        assert f"`{name}" in schema, name
    for rule in (f"{MOST_READ} tokens, targets {MOST_WRITTEN}", f"above {THRESHOLD:g},"):
        assert rule in schema


def test_an_older_look_is_replaced_on_request_alone(rot5, place):
    few = ["--max_new_tokens", "3", "--attribution.steps", "0", "--attribution.leave_out", "0"]
    words = ["inspect", "model", "--text", "story.txt", "--out", "inside", *few]
    assert rot5(*words).code == 0
    assert "already exists: replace it with --overwrite true" in rot5(*words).err
    called = rot5(*words, "--overwrite", "true")
    assert called.code == 0 and json.loads(Path("inside/inside.json").read_text())["given"] is False
    (place / "other").mkdir()
    assert "other exists and holds no inside.json" in rot5(*words, "--out", "other", "--overwrite", "true").err


MISTAKES = {
    "--text empty.txt": "empty.txt is empty: give some text",
    "--text several.txt": "several.txt holds 2 texts: give one",
    "--text long.txt": "tokens, and 512 can be looked at: shorten it",
    "--text story.txt --max_new_tokens 0 --attribution.steps 3": "at least 16, or 0 to leave them out; max_new",
    "--text story.txt --neurons.layers decoder.9": "the model has no layer 'decoder.9'",
    "--text story.txt --neurons.units 48": "the layers have no unit 48: they have 48",
    "--text story.txt --corpus other": "other was prepared with another tokenizer",
    "--text story.txt --model decoder-only": "decoder-only is a gpt2 model, not an encoder-decoder",
    "--text story.txt --model bart": "bart is a bart model: only those of rot5, T5 and its kin",
}


def test_a_mistake_is_told_in_one_line(rot5, place, foreigners):
    from rot5.data.corpus import Corpus
    from rot5.data.preparing import prepare
    from rot5.data.tokenizer import prune_tokenizer

    (place / "empty.txt").write_text(" ")
    (place / "several.txt").write_text("A dog.<|endoftext|>A cat.")
    (place / "long.txt").write_text("kite " * 600)
    (place / "decoder-only").mkdir()
    (place / "decoder-only" / "config.json").write_text('{"model_type": "gpt2"}')
    (place / "bart").symlink_to(foreigners / "bart")
    prepare([STORY], prune_tokenizer(Corpus.open("validation").tokenizer(), [STORY], 4), place / "other", source="x")
    for words, complaint in MISTAKES.items():
        called = rot5("inspect", "model", *words.split(), "--out", "inside")
        assert called.code == 2 and called.err.startswith("rot5: error: ") and called.err.count("\n") == 1, called
        assert complaint in called.err
        assert not (place / "inside").exists()


def test_a_t5_is_looked_into(rot5, place, foreigners):
    few = ["--attribution.steps", "16", "--max_new_tokens", "4"]
    called = rot5("inspect", foreigners / "t5", "--text", "story.txt", "--out", "inside", *few)
    assert called.code == 0, called
    told = json.loads((place / "inside" / "inside.json").read_text())
    assert told["source"]["words"][:2] == ["summarize", ":"] and told["experts"]["layers"] == {}


def test_the_example_of_the_documentation_runs(place, capsys):
    (place / "runs" / "mine").mkdir(parents=True)
    (place / "runs" / "mine" / "tuned").symlink_to(place / "model")
    (example,) = re.findall(r"^```python\n(.*?)^```", DOCUMENTATION.read_text(encoding="utf-8"), re.M | re.DOTALL)
    exec(example, {})
    assert capsys.readouterr().out.count("\n") >= 3
