"""What is there before strangers come, and what an input of theirs is."""

import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import torch

from rot5.data import preparing, sources
from rot5.data.tokenizer import (
    build_tokenizer,
    prune_tokenizer,
    special_ids,
    spellings,
    text_encoder,
)
from rot5.model.configuration_rot5 import Rot5Config
from rot5.model.modeling_rot5 import Rot5ForConditionalGeneration

Files = dict[str, bytes]
"""Contents by path."""


class World:
    """What is there before strangers come: tokenizers, and a corpus, pairs and a model as files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stories = list(sources.Documents(sources.SourceConfig(limit=30)))
        self.pairs = list(sources.pairs(sources.SourceConfig(limit=5)))
        whole = build_tokenizer(8)
        small = prune_tokenizer(whole, self.stories[:3], 8)
        self.tokenizers = [whole, prune_tokenizer(whole, self.stories, 300), small]
        self.encoders = [text_encoder(each) for each in self.tokenizers]
        self.spellings = [spellings(each) for each in self.tokenizers]
        preparing.prepare(self.stories[:12], small, folder / "documents", source="storyworld", max_shard_tokens=900)
        preparing.prepare_pairs(self.pairs, small, folder / "pairs", source="storyworld")
        torch.manual_seed(0)
        ids = special_ids(small)
        sizes = {"d_model": 8, "d_kv": 4, "d_ff": 8, "num_layers": 1, "num_heads": 2}
        tokens = {"pad_token_id": ids.pad, "eos_token_id": ids.eos, "decoder_start_token_id": ids.decoder_start}
        model = Rot5ForConditionalGeneration(Rot5Config(vocab_size=ids.vocab_size, **sizes, **tokens))
        model.config.task_specific_params = {"summarization": {"prefix": "[S]"}}
        model.save_pretrained(folder / "model")
        small.save_pretrained(folder / "model")
        self.files = {kind: _read(folder / kind) for kind in ("documents", "pairs", "model")}

    def restored(self, kind: str, changes: dict[str, bytes | None]) -> Path:
        """The folder of a kind as it was, but for these files; None takes a file away."""
        folder = self.folder / kind
        shutil.rmtree(folder)
        for name, data in (self.files[kind] | changes).items():
            if data is not None:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(data)
        return folder

    def file(self, name: str, data: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(data)
        return path


def _read(folder: Path) -> Files:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


class Damage(NamedTuple):
    """A folder of prepared data of which some files are another's."""

    kind: str
    changes: dict[str, bytes | None]


class Target(NamedTuple):
    """One kind of input; `quick` cases of it are tried by every `make test`."""

    make: Callable[[World, Random], Any]
    check: Callable[[World, Any], None]
    quick: int
