"""Small models to look into, and a text with what they write for it."""

from collections.abc import Callable
from pathlib import Path

import pytest

STORY = 'Tom had a red kite. One day Mia took the kite. "Give it back," Tom said.'


@pytest.fixture(scope="session")
def tokenizer(corpora: Path):
    from rot5.data.corpus import Corpus

    return Corpus.open(corpora / "stories").tokenizer()


@pytest.fixture
def subject(tokenizer, tiny_model) -> Callable:
    """Makes a small model of ours to look into, its settings replaced by keyword."""
    from rot5.data.tokenizer import special_ids
    from rot5.inspect.passage import as_subject
    from rot5.loading import Loaded

    ids = special_ids(tokenizer)
    named = {"pad_token_id": ids.pad, "eos_token_id": ids.eos, "decoder_start_token_id": ids.decoder_start}

    def make(**settings):
        model = tiny_model(vocab_size=ids.vocab_size, num_decoder_layers=2, **named, **settings)
        return as_subject("tiny", Loaded(model, tokenizer, ""))

    return make


@pytest.fixture
def passage_of() -> Callable:
    """Reads the story, or another text, for a subject, with a target of some words."""
    from rot5.inspect.passage import read_passage

    def read(subject, text: str = STORY, target: str = "Tom lost the kite."):
        return read_passage(subject, text, target, max_new_tokens=12)

    return read
