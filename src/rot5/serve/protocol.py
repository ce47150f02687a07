"""What clients say and are told: bodies of requests read strictly, and the shapes of answers, ours and OpenAI's."""

import json
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rot5.errors import nearest
from rot5.generate.settings import GenerateConfig

SETTINGS: Mapping[str, type] = {
    "max_new_tokens": int,
    "min_new_tokens": int,
    "do_sample": bool,
    "temperature": float,
    "top_k": int,
    "top_p": float,
    "seed": int,
}
"""Settings of an answer that a request may choose."""

OURS = ("text", "texts", "model", "stream", *SETTINGS)

OPENAI = ("prompt", "model", "max_tokens", "temperature", "top_p", "n", "seed", "stream", "stream_options")
IGNORED = ("user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key")
"""Fields of OpenAI's that change no answer."""
NEUTRAL: Mapping[str, tuple] = {
    "echo": (False, None),
    "logprobs": (None, 0, False),
    "stop": (None, [], ""),
    "suffix": (None, ""),
    "best_of": (None, 1),
    "frequency_penalty": (None, 0),
    "presence_penalty": (None, 0),
    "logit_bias": (None, {}),
}
"""Fields of OpenAI's that are not served, and the values by which they ask for nothing."""


class Refusal(Exception):
    """A request that gets no answer: the status and one sentence."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None):
        super().__init__(message)
        self.status, self.message, self.headers = status, message, dict(headers or {})


@dataclass(frozen=True, kw_only=True)
class Ask:
    """What a request wants."""

    texts: Sequence[str]
    """An answer is asked for to each of them."""
    settings: GenerateConfig
    model: str | None
    prefix: str | None = None
    """Written before each text; None for the model's own."""
    single: bool = False
    """Whether one text was given that is not in a list."""
    stream: bool = False
    with_usage: bool = False
    """Whether a stream ends with a count of tokens."""
    id: str = field(default_factory=lambda: f"cmpl-{secrets.token_hex(12)}")
    created: int = field(default_factory=lambda: int(time.time()))


def read_json(body: bytes) -> dict[str, Any]:
    """The object that a body holds. Raises Refusal."""
    try:
        found = json.loads(body.decode("utf-8"), parse_constant=_no_number)
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise Refusal(400, f"the body is no JSON in UTF-8: {str(error).splitlines()[0][:200]}") from error
    if not isinstance(found, dict):
        raise Refusal(400, "the body must be a JSON object")
    return found


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is no JSON")


def read_ask(body: bytes, prefixed: bool) -> Ask:
    """A request of /summarize, whose texts go behind the model's own prefix, or of /generate. Raises Refusal."""
    given = read_json(body)
    known = OURS if prefixed else (*OURS, "prefix")
    for key in given:
        if key not in known:
            raise Refusal(422, f"unknown field {key[:50]!r}: {nearest(key[:50], known)}")
    if ("text" in given) == ("texts" in given):
        raise Refusal(422, "give either text, a string, or texts, a list of strings")
    single = "text" in given
    return Ask(
        texts=[_text("text", given["text"])] if single else _texts("texts", given["texts"]),
        settings=_settings({key: given[key] for key in SETTINGS if key in given}),
        model=_value(given, "model", str, None),
        prefix=None if prefixed else _text("prefix", given.get("prefix", ""), may_be_empty=True),
        single=single,
        stream=_value(given, "stream", bool, False),
    )


def read_completion(body: bytes, most: int) -> Ask:
    """A request of OpenAI's /v1/completions for at most so many answers. Raises Refusal.

    As there, tokens are drawn at temperature 1 unless asked for otherwise, and 0 takes the likeliest.
    """
    given = read_json(body)
    known = (*OPENAI, *IGNORED, *NEUTRAL)
    for key, value in given.items():
        if key not in known:
            raise Refusal(400, f"unknown field {key[:50]!r}: {nearest(key[:50], known)}")
        if key in NEUTRAL and value not in NEUTRAL[key] and not (key == "best_of" and value == given.get("n")):
            raise Refusal(400, f"{key} is not served: leave it out")
    if "prompt" not in given:
        raise Refusal(400, "prompt is missing: give a string or a list of strings")
    prompt = given["prompt"]
    if isinstance(prompt, list) and any(isinstance(each, int | list) for each in prompt):
        raise Refusal(400, "prompt must be text, not token ids")
    prompts = _texts("prompt", prompt) if isinstance(prompt, list) else [_text("prompt", prompt)]
    count = _value(given, "n", int, 1)
    if not 1 <= count <= most:
        raise Refusal(400, f"n {count} must be between 1 and {most}")
    temperature = _value(given, "temperature", float, 1.0)
    drawn = temperature != 0
    settings = {
        "max_new_tokens": _value(given, "max_tokens", int, GenerateConfig.max_new_tokens),
        "do_sample": drawn,
        "temperature": temperature if drawn else 1.0,
        "top_p": _value(given, "top_p", float, 1.0),
        "seed": _value(given, "seed", int, secrets.randbits(32)),
    }
    options = _value(given, "stream_options", dict, {})
    return Ask(
        texts=[prompt for prompt in prompts for _ in range(count)],
        settings=_settings(settings),
        model=_value(given, "model", str, None),
        prefix="",
        stream=_value(given, "stream", bool, False),
        with_usage=_value(options, "include_usage", bool, False),
    )


def _settings(given: Mapping[str, Any]) -> GenerateConfig:
    return GenerateConfig(**{key: _value(given, key, SETTINGS[key], None) for key in given})


def _value(given: Mapping[str, Any], key: str, kind: type, default: Any) -> Any:
    """A value of just this type (whole numbers are taken for others); null and nothing are the default."""
    value = given.get(key)
    if value is None:
        if key in given and default is None and kind is not str:
            raise Refusal(422, f"{key} must not be null")
        return default
    if kind is float and isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53:
        return float(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        names = {int: "a whole number", float: "a number", bool: "true or false", str: "a string", dict: "an object"}
        raise Refusal(422, f"{key} must be {names[kind]}")
    if kind is int and abs(value) >= 2**63:
        raise Refusal(422, f"{key} must be a number of at most 63 bits")
    return value


def _texts(key: str, given: Any) -> list[str]:
    if not isinstance(given, list) or not given:
        raise Refusal(422, f"{key} must be a list of at least one string")
    return [_text(f"{key}[{number}]", each) for number, each in enumerate(given)]


def _text(key: str, given: Any, may_be_empty: bool = False) -> str:
    if not isinstance(given, str):
        raise Refusal(422, f"{key} must be a string")
    if not given.strip() and not may_be_empty:
        raise Refusal(422, f"{key} must not be empty")
    try:
        given.encode("utf-8")
    except UnicodeEncodeError as error:
        raise Refusal(422, f"{key} holds half a character (a lone surrogate)") from error
    return given


def event(data: Mapping[str, Any] | str) -> bytes:
    """A server-sent event."""
    return f"data: {data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)}\n\n".encode()


def completion(ask: Ask, model: str, choices: Sequence[Mapping[str, Any]], usage: tuple[int, int] | None) -> dict:
    """OpenAI's object of a whole completion or of a piece of one; `usage` is tokens read and written."""
    told = {
        "id": ask.id,
        "object": "text_completion",
        "created": ask.created,
        "model": model,
        "choices": list(choices),
    }
    if usage is not None:
        read, written = usage
        told["usage"] = {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}
    return told


def choice(index: int, text: str, finish: str | None) -> dict[str, Any]:
    """One of a completion's texts."""
    return {"index": index, "text": text, "logprobs": None, "finish_reason": finish}


def error_body(status: int, message: str, openai: bool) -> dict[str, Any]:
    """What a refused client is told."""
    if not openai:
        return {"error": message}
    kind = "invalid_request_error" if status < 500 and status != 429 else "server_error"
    kind = "rate_limit_error" if status == 429 else kind
    return {"error": {"message": message, "type": kind, "param": None, "code": None}}
