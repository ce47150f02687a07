"""`rot5 export` as users call it: what it writes, what it replaces, and what it refuses in one line."""

import json
import re
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer, T5Config, T5ForConditionalGeneration

from rot5.data.corpus import Corpus
from rot5.loading import load

WEIGHTS = {"config.json", "generation_config.json", "model.safetensors"}
PLAIN = WEIGHTS | {"README.md", "tokenizer.json", "tokenizer_config.json"}


@pytest.fixture
def place(tmp_path, corpora, tiny_model, monkeypatch) -> Path:
    """A working folder with a run of ours, a model of ours, a T5, and things that are no model."""
    tokenizer = Corpus.open(corpora / "stories").tokenizer()
    for folder in ("run/export", "ours"):
        tiny_model(vocab_size=len(tokenizer)).save_pretrained(tmp_path / folder)
        tokenizer.save_pretrained(tmp_path / folder)
    shape = T5Config(vocab_size=len(tokenizer), d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2)
    T5ForConditionalGeneration(shape).save_pretrained(tmp_path / "t5")
    tokenizer.save_pretrained(tmp_path / "t5")
    tiny_model(vocab_size=len(tokenizer), num_experts=4).save_pretrained(tmp_path / "experts")
    tokenizer.save_pretrained(tmp_path / "experts")
    monkeypatch.setattr("rot5.export.push.get_token", lambda: None)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mine.txt").write_text("not to be lost")
    (tmp_path / "file").write_text("not to be lost")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def logits(folder: str) -> torch.Tensor:
    ids = torch.arange(3, 40)[None]
    with torch.inference_mode():
        return AutoModelForSeq2SeqLM.from_pretrained(folder).eval()(input_ids=ids, decoder_input_ids=ids[:, :5]).logits


@pytest.mark.parametrize("model", ["run", "ours", "t5"])
def test_a_folder_for_transformers(rot5, place, model):
    called = rot5("export", model, "--out", "new/out")
    assert (called.code, called.err) == (0, "")
    assert ("import rot5.model.modeling_rot5; AutoModelForSeq2SeqLM" in called.out) == (model != "t5")
    assert 'AutoModelForSeq2SeqLM.from_pretrained("new/out")' in called.out
    assert len({path.stat().st_mode for path in Path("new/out").iterdir()}) == 1, "all who may read one may read all"
    assert {path.name for path in Path("new/out").iterdir()} == PLAIN
    assert [path.name for path in Path("new").iterdir()] == ["out"]
    source = "run/export" if model == "run" else model
    assert torch.equal(logits("new/out"), logits(source))
    text = "The dog lost a ball."
    assert (
        AutoTokenizer.from_pretrained("new/out")(text).input_ids
        == AutoTokenizer.from_pretrained(source)(text).input_ids
    )


def test_the_code_comes_along_and_goes_again(rot5, place):
    called = rot5("export", "run", "--portable", "--out", "out")
    assert called.code == 0 and "trust_remote_code=True" in called.out
    code = {path.name for path in Path("out").glob("*.py")}
    assert {path.name for path in Path("out").iterdir()} == PLAIN | code
    assert {"modeling_rot5.py", "configuration_rot5.py"} < code
    assert json.loads(Path("out/config.json").read_text())["auto_map"] == {
        "AutoConfig": "configuration_rot5.Rot5Config",
        "AutoModelForSeq2SeqLM": "modeling_rot5.Rot5ForConditionalGeneration",
    }
    assert load("out").model.config.model_type == "rot5"
    assert rot5("export", "out", "--out", "plain").code == 0
    assert {path.name for path in Path("plain").iterdir()} == PLAIN
    assert json.loads(Path("plain/config.json").read_text()) == json.loads(Path("ours/config.json").read_text())


def test_an_export_is_replaced_when_asked(rot5, place):
    assert rot5("export", "run", "--portable", "--out", "ours", "--overwrite").code == 0
    assert Path("ours/modeling_rot5.py").is_file()
    assert rot5("export", "ours", "--out", "ours", "--overwrite", "true").code == 0
    assert {path.name for path in Path("ours").iterdir()} == PLAIN
    assert torch.equal(logits("ours"), logits("run/export"))


@pytest.mark.parametrize(
    ("words", "phrases"),
    [
        ("export run --out ours", ["ours already exists", "--overwrite", "--out"]),
        ("export run --out folder --overwrite", ["folder exists and is not a model folder"]),
        ("export run --out file --overwrite", ["file exists and is not a model folder"]),
        ("export run --out file/out", ["file"]),
        ("export run --out run --overwrite", ["run exists and is not a model folder"]),
        ("export nowhere --out out", ["no model 'nowhere'"]),
        ("export folder --out out", ["folder holds no exported model"]),
        ("export t5 --portable --out out", ["t5 is a t5 model", "without --portable"]),
        ("export t5 --onnx true --out out", ["t5 model", "optimum"]),
        ("export experts --onnx true --out out", ["experts", "bfloat16", "leave --onnx out"]),
        ("export run --push name --out out", ["'name' does not say whose it is", "USER/name"]),
        ("export run --push a/b/c --out out", ["'a/b/c' is no name of the hub"]),
        ("export run --push me/name --out out", ["needs a login", "HF_TOKEN"]),
        ("export run", ["required", "out"]),
        ("export run --out out --portabel", ["'portabel': did you mean portable?"]),
    ],
)
def test_a_mistake_is_told_in_one_line(rot5, place, words, phrases):
    before = contents(place)
    called = rot5(*words.split())
    assert called.code == 2 and called.err.startswith("rot5: error: ") and called.err.count("\n") == 1, called
    for phrase in phrases:
        assert phrase in called.err, called.err
    assert contents(place) == before
    assert not Path("out").exists()


def test_weights_that_do_not_fit_are_told_in_one_line(rot5, place):
    shape = json.loads(Path("ours/config.json").read_text())
    for changes, phrase in (
        ({"d_ff": 64}, "layers.0.mlp.down_proj.weight is 32x48, not 32x64"),
        ({"num_layers": 3}, "encoder.layers.2.mlp.down_proj.weight is missing"),
        ({"num_layers": 1}, "encoder.layers.1.mlp.down_proj.weight has no place"),
    ):
        Path("ours/config.json").write_text(json.dumps(shape | changes))
        called = rot5("export", "ours", "--out", "out")
        assert called.code == 2 and called.err.count("\n") == 1, called
        assert "do not fit" in called.err and phrase in called.err, called.err
    assert not Path("out").exists()


def test_a_failure_leaves_what_was_there(rot5, place, monkeypatch):
    before = contents(place)

    def full(*_, **__):
        raise OSError(28, "No space left on device", "ours")

    monkeypatch.setattr("transformers.PreTrainedTokenizerFast.save_pretrained", full)
    assert rot5("export", "run", "--out", "ours", "--overwrite").err == "rot5: error: ours: No space left on device\n"
    assert contents(place) == before


def test_the_card_s_own_lines_load_the_model(rot5, place):
    """Those of a folder that needs rot5, run here."""
    assert rot5("export", "run", "--out", "out").code == 0
    lines = re.search("```python\n(.*?)```", Path("out/README.md").read_text(), re.DOTALL)
    assert lines
    space = {"text": "The dog lost a ball.", "print": lambda told: space.setdefault("told", told)}
    exec(lines[1], space)
    model, tokenizer = (kind.from_pretrained("ours") for kind in (AutoModelForSeq2SeqLM, AutoTokenizer))
    ids = tokenizer(space["text"], return_tensors="pt").input_ids
    written = model.generate(ids, max_new_tokens=96, do_sample=False)
    assert space["told"] == tokenizer.decode(written[0], skip_special_tokens=True) != ""


def test_a_run_s_settings_come_along(rot5, place):
    (place / "run" / "config.yaml").write_text("corpus: gone\nseed: 3\n")
    assert rot5("export", "run", "--out", "out", "--licence", "mit").code == 0
    assert {path.name for path in Path("out").iterdir()} == PLAIN | {"rot5_config.yaml"}
    assert Path("out/rot5_config.yaml").read_bytes() == (place / "run" / "config.yaml").read_bytes()
    card = ModelCard.load("out/README.md")
    assert card.data.license == "mit" and "| run | gone |" in card.text
