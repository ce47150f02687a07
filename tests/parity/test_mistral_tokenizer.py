"""Our tokenizer against Mistral's own library: the same ids for any text."""

import random
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rot5.data.tokenizer import build_tokenizer, text_encoder

pytest.importorskip("sentencepiece", reason="Mistral's library reads this model with sentencepiece")

TEXTS = [
    "",
    " ",
    "Once upon a time, there was a little girl named Lily.",
    " one leading space",
    "     five leading spaces",
    "inner   spaces      of  several lengths ",
    "1234567890 3.14 007 1st {a: [1, {b: 2}]} }{",
    "🙂 👩‍👩‍👧 🇨🇭 ☕",
    "line\nline\n\n\nline \n line\r\n\ttab\t\ttab",
    "你好世界。こんにちは 안녕 ゼ梦 \u3000 wide",
    "Ünïcödé e\u0301 \u200b \x00 \x7f ﬁ",
    "</s> <s> <unk> <0x41> [INST] ▁ ▁▁a",
    "...... ------ ====== !!!!!!! ___ aaaaaaaaaaaaaaaaaaaaaaa",
]


@pytest.fixture(scope="module")
def both():
    """Two functions from text to ids: ours and theirs."""
    import mistral_common
    from mistral_common.tokens.tokenizers.sentencepiece import SentencePieceTokenizer

    theirs = SentencePieceTokenizer(Path(mistral_common.__file__).parent / "data" / "tokenizer.model.v1")
    ours = text_encoder(build_tokenizer())
    return (
        lambda text: ours.encode(text, add_special_tokens=False).ids,
        lambda text: theirs.encode(text, bos=False, eos=False),
    )


@pytest.mark.parametrize("text", TEXTS)
def test_same_ids(both, text):
    ours, theirs = both
    assert ours(text) == theirs(text)


@pytest.mark.parametrize("character", list(" \n\t.-=_*#aA0"))
def test_same_ids_for_runs_of_one_character(both, character):
    ours, theirs = both
    for count in range(70):
        text = "x" + character * count + "y"
        assert ours(text) == theirs(text)


@settings(max_examples=500, deadline=None)
@given(st.text() | st.text(alphabet="abet  .,\n'\"{}019AT-_"))
@example("x" + " " * 15 + "y")
def test_same_ids_for_any_text(both, text):
    ours, theirs = both
    assert ours(text) == theirs(text)


def test_same_ids_for_random_strings_of_pieces(both):
    """Texts made of the model's own pieces, with every piece used: most tries at a wrong merge."""
    ours, theirs = both
    generator = random.Random(0)
    spellings = [piece.replace("▁", " ") for piece in build_tokenizer().get_vocab()]
    generator.shuffle(spellings)
    for start in range(0, len(spellings), 8):
        text = "".join(spellings[start : start + 8])
        assert ours(text) == theirs(text)
