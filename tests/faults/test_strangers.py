"""Files from strangers: none of them runs code, leads out of its folder, fills the memory or ends in a traceback."""

import json
import pickle
import shutil
from pathlib import Path

import pytest
import torch

from rot5.data.corpus import Corpus
from rot5.data.manifest import MANIFEST, SEAL
from rot5.errors import UserError
from rot5.loading import load
from rot5.train.checkpoint import damage


@pytest.fixture
def model(tiny_model, corpora, tmp_path) -> Path:
    folder = tmp_path / "model"
    tokenizer = Corpus.open(corpora / "stories").tokenizer()
    tiny_model(vocab_size=len(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    load(str(folder))
    return folder


class Trap:
    """Pickled, it makes a file where it is read."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_pickled_weights_are_refused_unread(model, tmp_path):
    sprung = tmp_path / "sprung"
    with (model / "pytorch_model.bin").open("wb") as file:
        pickle.dump(Trap(sprung), file)
    load(str(model))  # the safetensors beside them are read, they are not
    assert not sprung.exists()
    (model / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"holds pickled weights \(pytorch_model.bin\).* safetensors"):
        load(str(model))
    assert not sprung.exists()
    with (model / "pytorch_model.bin").open("rb") as file:
        pickle.load(file)
    assert sprung.exists(), "the trap works"
    torch.save({}, model / "pytorch_model.bin")
    with pytest.raises(UserError, match="pickled weights"):
        load(str(model))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("num_layers", 10**9),
        ("num_decoder_layers", 10**12),
        ("vocab_size", 10**12),
        ("d_model", 2**40),
        ("d_ff", 2**50),
        ("num_heads", 2**40),
        ("d_kv", 2**40),
        ("num_experts", 2**33),
        ("d_model", -8),
        ("d_model", "a lot"),
        ("d_model", None),
        ("d_model", 1e400),
        ("num_heads", 0),
        ("rope_parameters", {"rope_type": "default", "rope_theta": "x"}),
        ("rope_parameters", []),
        ("feed_forward_proj", {"a": 1}),
        ("model_type", "rot6"),
        ("model_type", 5),
        ("dropout_rate", float("nan")),
        ("auto_map", {"AutoConfig": "evil.Config", "AutoModelForSeq2SeqLM": "evil.Model"}),
    ],
)
def test_a_hostile_configuration_is_refused_or_harmless(model, key, value):
    path = model / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {key: value}))
    (model / "evil.py").write_text("raise SystemExit('foreign code was run')\n")
    try:
        assert load(str(model)).model.config.d_model == config["d_model"]
    except UserError as error:
        assert str(model) in str(error) and "\n" not in str(error) and key != "auto_map"


@pytest.mark.parametrize("content", ["", "[]", "{", "null", '{"a": NaN}', "\x00", '{"model_type": "rot5"'])
def test_a_configuration_that_is_none_is_refused(model, content):
    (model / "config.json").write_text(content)
    with pytest.raises(UserError):
        load(str(model))


@pytest.fixture
def stolen(corpora, tmp_path) -> Path:
    shutil.copytree(corpora / "stories", tmp_path / "stories")
    (tmp_path / "secret").write_text("secret")
    return tmp_path / "stories"


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "tokenizer/../../secret"])
def test_a_manifest_does_not_lead_out_of_its_folder(stolen, name):
    path = stolen / MANIFEST
    manifest = json.loads(path.read_text())
    del manifest[SEAL]
    manifest["files"][name] = {"size": 6, "sha256": ""}
    path.write_text(json.dumps(manifest))
    with pytest.raises(UserError, match="outside of its folder"):
        Corpus.open(stolen)


def test_a_checkpoint_does_not_lead_out_of_its_folder(tmp_path):
    folder = tmp_path / "step-00000001"
    folder.mkdir()
    for name in ("../secret", "/etc/passwd"):
        (folder / MANIFEST).write_text(json.dumps({name: {"bytes": 6, "sha256": ""}, "state.json": {}}))
        assert damage(folder) == name


@pytest.mark.parametrize(
    "change",
    [
        {"files": []},
        {"files": {"tokens-00000.npy": 5}},
        {"files": {"tokens-00000.npy": {}}},
        {"files": {}},
        {"documents": "many"},
        {"documents": -1},
        {"kind": []},
        {"format": None},
        {"tokenizer": 7},
        {"vocab_size": 10**30},
    ],
    ids=str,
)
def test_a_hostile_manifest_ends_in_one_line(stolen, change, rot5, tmp_path):
    path = stolen / MANIFEST
    manifest = json.loads(path.read_text())
    del manifest[SEAL]
    path.write_text(json.dumps(manifest | change))
    words = (
        f"pretrain --corpus {stolen} --validation {stolen} --out {tmp_path}/run --model.preset smoke --train.steps 1"
    )
    found = rot5(*words.split(), "--train.batch_rows", "2", "--train.micro_batch_rows", "2")
    assert found.code in (0, 2)
    if found.code:
        assert found.err.startswith("rot5: error: ") and found.err.count("\n") == 1, found.err
