"""Shared by all tests: no network, one thread per process, and small models and corpora to test on."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import io
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from xdist.scheduler import LoadGroupScheduling

from rot5.cli import main


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadGroupScheduling | None:
    """The tests with a browser go to one worker, which starts one browser and one server.

    Marks of groups do not reach pytest-xdist 3.8 under pytest 9.2.
    """

    class OneBrowser(LoadGroupScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "browser" if nodeid.startswith("tests/browser/") else super()._split_scope(nodeid)

    return OneBrowser(config, log) if config.getoption("dist") == "loadgroup" else None


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse connections to anything but this machine."""
    connect = socket.socket.connect

    def guarded(self, address):
        if isinstance(address, tuple) and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise OSError(f"tests must not reach the network: {address}")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(scope="session")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `stories`, `validation`, `pairs` and `held-out` of StoryWorld, all with one small tokenizer."""
    from rot5.data import sources
    from rot5.data.preparing import prepare, prepare_pairs
    from rot5.data.tokenizer import build_tokenizer, prune_tokenizer

    folder = tmp_path_factory.mktemp("corpora")

    def source(**settings):
        return sources.SourceConfig(name="storyworld", **settings)

    texts = list(sources.Documents(source(limit=300)))
    tokenizer = prune_tokenizer(build_tokenizer(64), texts, 64)
    told = {"source": "storyworld", "licence": "Apache-2.0"}
    prepare(texts, tokenizer, folder / "stories", **told)
    prepare(sources.Documents(source(limit=40, split="test")), tokenizer, folder / "validation", **told)
    prepare_pairs(sources.pairs(source(limit=60)), tokenizer, folder / "pairs", **told)
    prepare_pairs(sources.pairs(source(limit=8, split="held_out")), tokenizer, folder / "held-out", **told)
    return folder


@pytest.fixture(scope="session")
def foreigners(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `t5` (1.1: gated, with a head of its own; pieces of SentencePiece's unigram kind) and `bart` (bytes
    merged in pairs) as transformers writes them, small, new, and each with a tokenizer that has read StoryWorld."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import (
        BartConfig,
        BartForConditionalGeneration,
        PreTrainedTokenizerFast,
        T5Config,
        T5ForConditionalGeneration,
    )
    from transformers.utils import logging

    from rot5.data.storyworld import StoryWorld

    logging.disable_progress_bar()
    folder, world = tmp_path_factory.mktemp("foreigners"), StoryWorld(0)
    texts = [text for n in range(40) for text in ("summarize: ", world[n].story, *world[n].summaries)]
    named = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    torch.manual_seed(0)

    pieces = Tokenizer(models.Unigram())
    pieces.pre_tokenizer, pieces.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    special = ["<pad>", "</s>", "<unk>"]
    pieces.train_from_iterator(
        texts,
        trainers.UnigramTrainer(vocab_size=300, special_tokens=special, unk_token="<unk>", show_progress=False),
    )
    pieces.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=pieces, **named)
    tokenizer.save_pretrained(folder / "t5")
    small = {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4, "decoder_start_token_id": 0}
    shape = T5Config(vocab_size=len(tokenizer) + 5, feed_forward_proj="gated-gelu", tie_word_embeddings=False, **small)
    shape.task_specific_params = {"summarization": {"prefix": "summarize: ", "length_penalty": 2.0}}
    shape.n_positions = 512  # as every T5 of the hub says, and nobody reads
    t5 = T5ForConditionalGeneration(shape)
    t5.config.tie_word_embeddings = False
    t5.lm_head.weight = torch.nn.Parameter(0.1 * torch.randn_like(t5.lm_head.weight))
    t5.save_pretrained(folder / "t5")

    merged = Tokenizer(models.BPE())
    merged.pre_tokenizer, merged.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    special, alphabet = ["<s>", "<pad>", "</s>", "<unk>"], pre_tokenizers.ByteLevel.alphabet()
    merged.train_from_iterator(
        texts,
        trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=alphabet, show_progress=False),
    )
    merged.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=merged, bos_token="<s>", **named)
    tokenizer.save_pretrained(folder / "bart")
    small = {
        f"{side}_{what}": size
        for side in ("encoder", "decoder")
        for what, size in (("layers", 2), ("attention_heads", 4), ("ffn_dim", 48))
    }
    bart = BartConfig(vocab_size=len(tokenizer), d_model=32, max_position_embeddings=600, **small)
    BartForConditionalGeneration(bart).save_pretrained(folder / "bart")
    return folder


@pytest.fixture
def tiny_model() -> Callable:
    """Makes a small model in evaluation mode, its settings replaced by keyword."""
    import torch

    from rot5.model.configuration_rot5 import Rot5Config
    from rot5.model.modeling_rot5 import Rot5ForConditionalGeneration

    def make(**settings):
        torch.manual_seed(0)
        shape = {
            "vocab_size": 96,
            "d_model": 32,
            "d_kv": 8,
            "d_ff": 48,
            "num_layers": 2,
            "num_decoder_layers": 3,
            "num_heads": 4,
            "num_key_value_heads": 2,
            "feed_forward_proj": "gated-gelu",
            "pad_token_id": 0,
            "eos_token_id": 1,
            "decoder_start_token_id": 2,
        }
        return Rot5ForConditionalGeneration(Rot5Config(**{**shape, **settings})).eval()

    return make


class Called(NamedTuple):
    """What a user sees of one command."""

    code: int
    out: str
    err: str


@pytest.fixture
def rot5(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Called]:
    """Calls `rot5` with words, and with bytes on standard input."""

    def call(*words: object, stdin: bytes = b"") -> Called:
        monkeypatch.setattr(sys, "argv", ["rot5", *map(str, words)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as stop:
            assert stop.code is None or isinstance(stop.code, int)
            code = stop.code or 0
        return Called(code, *capsys.readouterr())

    return call
