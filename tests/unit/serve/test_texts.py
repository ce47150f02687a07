"""Text that is given out while tokens come is never taken back, and nothing is missing in the end."""

import random

import pytest
from transformers import AutoTokenizer

from rot5.data.corpus import Corpus
from rot5.serve.texts import TextStream, byte_ids, whole_text

TEXTS = (
    "Tom went home. He was glad!",
    "  a  b\n\n c \n",
    "naïve café: 東京 and 😀😀, then more",
    "é",
    "<0x41> is no byte",
    "",
)


@pytest.fixture(params=["ours", "t5", "bart"])
def tokenizer(request, corpora, foreigners):
    if request.param == "ours":
        return Corpus.open(corpora / "stories").tokenizer()
    return AutoTokenizer.from_pretrained(foreigners / request.param)


def pieces(tokenizer, tokens: list[int], step: int = 1) -> list[str]:
    stream = TextStream(tokenizer, byte_ids(tokenizer))
    found = [stream.more(tokens[:end]) for end in range(step, len(tokens) + 1, step)]
    return [*found, stream.rest(tokens)]


@pytest.mark.parametrize("step", [1, 3])
@pytest.mark.parametrize("text", TEXTS)
def test_pieces_are_the_text(tokenizer, text, step):
    tokens = tokenizer(text).input_ids
    found = pieces(tokenizer, tokens, step)
    assert "".join(found) == whole_text(tokenizer, tokens)
    assert not any("\ufffd" in each for each in found) or "\ufffd" in whole_text(tokenizer, tokens)


def test_pieces_of_any_tokens_are_their_text(tokenizer):
    """Broken characters, special tokens and bytes without order among them."""
    draw = random.Random(0)
    bytes_ = sorted(byte_ids(tokenizer))
    for _ in range(60):
        tokens = [
            draw.choice(bytes_) if bytes_ and draw.random() < 0.4 else draw.randrange(len(tokenizer))
            for _ in range(draw.randint(1, 20))
        ]
        assert "".join(pieces(tokenizer, tokens)) == whole_text(tokenizer, tokens)


def test_text_comes_early(tokenizer):
    tokens = tokenizer("Tom went home. He was glad!").input_ids
    assert sum(bool(each) for each in pieces(tokenizer, tokens)) > 4


def test_what_a_tokenizer_tidies_up_comes_at_the_end(tokenizer):
    tokenizer.clean_up_tokenization_spaces = True
    tokens = tokenizer("He said : it is n't , is it ?").input_ids
    found = pieces(tokenizer, tokens)
    assert not any(found[:-1]) and found[-1] == whole_text(tokenizer, tokens)
