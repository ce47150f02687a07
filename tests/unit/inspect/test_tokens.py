"""Tokens and the words they make."""

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from rot5.data.tokenizer import text_encoder
from rot5.inspect.tokens import KINDS, read_tokens

CLASSES = {
    "Tom": "name",  # StoryWorld's, though it opens the sentence
    "saw": "other",
    "Zorb": "name",  # by its capital
    "and": "function word",
    "12": "number",
    ".": "punctuation",
    "Kites": "other",  # opens a sentence
    "don't": "function word",
    "</s>": "special",
}


@pytest.fixture(scope="session")
def ids_of(tokenizer):
    encoder = text_encoder(tokenizer)
    return lambda text: encoder.encode(text, add_special_tokens=False).ids


def test_words_and_their_classes(tokenizer):
    tokens = read_tokens(tokenizer, tokenizer("Tom saw Zorb and 12. Kites don't").input_ids)
    assert tokens.words == list(CLASSES)
    assert tokens.kinds == list(CLASSES.values())
    assert set(CLASSES.values()) == set(KINDS)


def test_a_word_behind_a_quotation_mark_or_on_a_new_line_opens_a_sentence(tokenizer, ids_of):
    tokens = read_tokens(tokenizer, ids_of('he said, "Zorb" and, Zorb\nZorb'))
    kinds = [kind for word, kind in zip(tokens.words, tokens.kinds, strict=True) if "Zorb" in word]
    assert kinds == ["other", "name", "other"]


def test_special_tokens_part_words(tokenizer):
    tokens = read_tokens(tokenizer, tokenizer("[S]Tom[MASK-0] ran").input_ids)
    assert [word for word, kind in zip(tokens.words, tokens.kinds, strict=True) if kind == "special"] == [
        "[S]", "[MASK-0]", "</s>"
    ]  # fmt: skip


@hypothesis_settings(max_examples=60, deadline=None)
@given(text=st.text(max_size=40) | st.sampled_from(["é", "a é b", "日本 12's", " \n\n x", '".a"b']))
def test_every_token_belongs_to_one_word_and_words_follow_each_other(tokenizer, ids_of, text):
    tokens = read_tokens(tokenizer, ids_of(text))
    if "\u2581" not in text and text:
        assert "".join(tokens.texts) == " " + text
    assert len(tokens.texts) == len(tokens.word_of_token) == len(tokens.ids)
    assert len(tokens.words) == len(tokens.kinds)
    assert sorted(tokens.word_of_token) == tokens.word_of_token.tolist()
    assert set(tokens.word_of_token) == set(range(len(tokens.words)))
    for number, word in enumerate(tokens.words):
        of_word = [text for text, its in zip(tokens.texts, tokens.word_of_token, strict=True) if its == number]
        assert "".join(of_word).strip() == word
