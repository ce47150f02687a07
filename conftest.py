"""What the examples in the docstrings of `rot5.api` find: a small tuned model, and pairs to judge it on."""

import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest


@pytest.fixture(scope="session")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with `runs/mine/tuned`, which knows a few pieces and nothing else, and `runs/mine/data/test`."""
    import torch

    from rot5.data import sources
    from rot5.data.preparing import prepare_pairs
    from rot5.data.tokenizer import build_tokenizer, prune_tokenizer, special_ids
    from rot5.model.configuration_rot5 import Rot5Config
    from rot5.model.modeling_rot5 import Rot5ForConditionalGeneration

    folder = tmp_path_factory.mktemp("mine")
    source = sources.SourceConfig(name="storyworld", limit=4, split="test")
    texts = [text for pair in sources.pairs(source) for text in (pair.input, *pair.references)]
    tokenizer = prune_tokenizer(build_tokenizer(64), texts, 64)
    prepare_pairs(sources.pairs(source), tokenizer, folder / "runs/mine/data/test", source="storyworld")
    ids = special_ids(tokenizer)
    torch.manual_seed(0)
    settings = Rot5Config(
        vocab_size=ids.vocab_size,
        d_model=16,
        d_kv=8,
        d_ff=32,
        num_layers=2,
        num_decoder_layers=2,
        num_heads=2,
        num_key_value_heads=1,
        pad_token_id=ids.pad,
        eos_token_id=ids.eos,
        decoder_start_token_id=ids.decoder_start,
    )
    Rot5ForConditionalGeneration(settings).save_pretrained(folder / "runs/mine/tuned/export")
    tokenizer.save_pretrained(folder / "runs/mine/tuned/export")
    return folder


@pytest.fixture(autouse=True)
def _in_that_folder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if isinstance(request.node, pytest.DoctestItem) and request.node.name.startswith("rot5.api."):
        monkeypatch.chdir(request.getfixturevalue("mine"))
