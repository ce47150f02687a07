"""Bodies of requests are read strictly, and what is refused is named."""

import json

import pytest

from rot5.serve.protocol import Refusal, read_ask, read_completion


def body(**given) -> bytes:
    return json.dumps(given).encode()


@pytest.mark.parametrize(
    ("content", "status", "words"),
    [
        (b"{", 400, "no JSON"),
        (b"[" * 100_000, 400, "no JSON"),
        (b'{"text":"\xff"}', 400, "no JSON in UTF-8"),
        (b'{"text":"a","temperature":Infinity}', 400, "Infinity"),
        (b"[]", 400, "object"),
        (body(), 422, "either text"),
        (body(text="a", texts=["a"]), 422, "either text"),
        (body(text=1), 422, "text must be a string"),
        (body(text=" \n"), 422, "must not be empty"),
        (body(text="\ud800"), 422, "half a character"),
        (body(texts=[]), 422, "at least one"),
        (body(texts=["a", None]), 422, r"texts\[1\] must be a string"),
        (body(text="a", max_new_token=4), 422, "did you mean max_new_tokens"),
        (body(text="a", prefix="b"), 422, "unknown field 'prefix'"),
        (body(text="a", max_new_tokens=True), 422, "max_new_tokens must be a whole number"),
        (body(text="a", max_new_tokens=None), 422, "must not be null"),
        (body(text="a", max_new_tokens=2.0), 422, "whole number"),
        (body(text="a", seed=2**70), 422, "63 bits"),
        (body(text="a", do_sample=1), 422, "true or false"),
        (body(text="a", temperature="hot"), 422, "a number"),
        (body(text="a", stream="yes"), 422, "true or false"),
        (body(text="a", model=3), 422, "a string"),
    ],
    ids=lambda each: str(each)[:40],
)
def test_what_is_wrong_is_said_in_one_sentence(content, status, words):
    with pytest.raises(Refusal, match=words) as refusal:
        read_ask(content, prefixed=True)
    assert refusal.value.status == status and "\n" not in refusal.value.message


def test_settings_and_prefix_are_taken_over():
    ask = read_ask(body(texts=["a", "b"], max_new_tokens=7, temperature=2, do_sample=True, seed=-3), prefixed=True)
    assert ask.texts == ["a", "b"] and not ask.single and ask.prefix is None and not ask.stream
    assert (ask.settings.max_new_tokens, ask.settings.temperature, ask.settings.seed) == (7, 2.0, -3)
    ask = read_ask(body(text="a", stream=True), prefixed=False)
    assert ask.prefix == "" and ask.single and ask.stream
    assert read_ask(body(text="a", prefix="[X]"), prefixed=False).prefix == "[X]"


def test_completions_follow_openai():
    ask = read_completion(body(model="m", prompt=["a", "b"], n=2, max_tokens=9, seed=4, user="me", stop=None), 8)
    assert ask.texts == ["a", "a", "b", "b"] and ask.model == "m"
    assert ask.settings.do_sample and ask.settings.temperature == 1 and ask.settings.seed == 4
    assert not read_completion(body(prompt="a", temperature=0), 8).settings.do_sample
    assert read_completion(body(prompt="a", stream=True, stream_options={"include_usage": True}), 8).with_usage
    assert read_completion(body(prompt="a"), 8).settings.seed != read_completion(body(prompt="a"), 8).settings.seed


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"prompt": [1, 2]}, "token ids"),
        ({}, "prompt is missing"),
        ({"prompt": "a", "stop": ["."]}, "stop is not served"),
        ({"prompt": "a", "echo": True}, "echo is not served"),
        ({"prompt": "a", "n": 9}, "between 1 and 8"),
        ({"prompt": "a", "messages": []}, "unknown field 'messages'"),
    ],
    ids=str,
)
def test_what_completions_do_not_have_is_refused(given, words):
    with pytest.raises(Refusal, match=words):
        read_completion(body(**given), 8)
