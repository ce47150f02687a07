"""A large language model asked over HTTP: any server of the chat completions interface; no answer is paid for twice."""

import hashlib
import http.client
import json
import math
import os
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from rot5.errors import UserError
from rot5.folders import sync

KEY_VARIABLE = "ROT5_JUDGE_KEY"
"""Environment variable of the key; local servers need none. It is sent as a bearer token and written nowhere."""

CHARACTERS_PER_TOKEN = 4
"""Rule of thumb for English text, for estimates."""

FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0
"""Seconds before the first repetition, doubled each time; and the longest wait, whatever the server asks for."""

LONGEST_RESPONSE = 1 << 22
"""Bytes of a response that are read."""


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """The judge and how it is asked."""

    url: str
    """What stands before `/chat/completions`."""
    model: str
    """Its name on the server."""
    answer_tokens: int = 300
    """Longest answer."""
    parallel: int = 4
    """Requests at the same time."""
    timeout: float = 60.0
    """Seconds without a sign of the server until a request is given up."""
    retries: int = 5
    """Repetitions of a request that failed in passing."""

    def request(self, messages: Sequence[Mapping[str, str]]) -> dict[str, Any]:
        """The body of the request that asks for an answer."""
        return {"model": self.model, "messages": list(messages), "temperature": 0, "max_tokens": self.answer_tokens}

    def identity(self, request: Mapping[str, Any]) -> str:
        """sha256 of the whole request: where it goes and what it says, without the key."""
        whole = json.dumps([self.url.rstrip("/"), request], sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(whole.encode()).hexdigest()


def problems(endpoint: Endpoint) -> list[str]:
    """What cannot work, one sentence each."""
    found = [f"{key} {getattr(endpoint, key)} must be at least 1" for key in ("answer_tokens", "parallel")
             if getattr(endpoint, key) < 1]  # fmt: skip
    if not 0 < endpoint.timeout < math.inf:
        found.append(f"timeout {endpoint.timeout} must be a positive number of seconds")
    if endpoint.retries < 0:
        found.append(f"retries {endpoint.retries} must not be negative")
    if not endpoint.model:
        found.append("judge_model is empty: name the judge as its server does")
    try:
        parts = urlsplit(endpoint.url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return [*found, "judge_url is no address: give one like http://127.0.0.1:8000/v1"]
    if "@" in parts.netloc or parts.query or parts.fragment:
        found.append(f"judge_url must hold no key, name or query: put the key into the environment as {KEY_VARIABLE}")
    elif not usable or not endpoint.url.isascii() or any(c.isspace() for c in endpoint.url):
        found.append(f"judge_url {endpoint.url!r} is no address: give one like http://127.0.0.1:8000/v1")
    return found


class Estimate(NamedTuple):
    """What asking will take: requests, tokens in, and at most so many tokens out."""

    requests: int
    tokens_in: int
    tokens_out: int

    def cost(self, price_in: float, price_out: float) -> float:
        """In the currency of the prices, which are per million tokens."""
        return (self.tokens_in * price_in + self.tokens_out * price_out) / 1e6


def estimate(requests: Iterable[Mapping[str, Any]]) -> Estimate:
    """Four characters a token for what is sent; every answer as long as it may be."""
    requests = list(requests)
    characters = (sum(len(message["content"]) for message in request["messages"]) for request in requests)
    tokens_in = sum(math.ceil(count / CHARACTERS_PER_TOKEN) for count in characters)
    return Estimate(len(requests), tokens_in, sum(request["max_tokens"] for request in requests))


class Answers:
    """Answers on disk by the identity of their requests: JSON lines, each made durable before the next is waited for.

    A torn last line, left by a kill, is cut off. Raises UserError for any other line that is none of ours.
    """

    def __init__(self, path: Path):
        self.path = path
        self._lock = threading.Lock()
        self._known: dict[str, str] = {}
        if not path.exists():
            return
        content = path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        for number, line in enumerate(whole.splitlines(), start=1):
            try:
                row = json.loads(line)
                self._known[row["request"]] = row["answer"]
            except (ValueError, KeyError, TypeError) as error:
                raise UserError(f"{path}, line {number}: no answer of a judge: remove the line to ask again") from error
        if len(whole) < len(content):
            os.truncate(path, len(whole))

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, identity: str) -> bool:
        return identity in self._known

    def __getitem__(self, identity: str) -> str:
        return self._known[identity]

    def add(self, identity: str, request: Mapping[str, Any], answer: str) -> None:
        """Keep an answer, with what was asked."""
        line = json.dumps({"request": identity, "answer": answer, "asked": request}, ensure_ascii=True)
        with self._lock:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
            sync(self.path)
            self._known[identity] = answer


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirected request would take the key to another server."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        return None


def key_of_environment() -> str:
    """The key, or nothing. Raises UserError for what cannot be sent, without showing it."""
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise UserError(f"{KEY_VARIABLE} holds characters that no key has: set it again")
    return key


@dataclass
class Judge:
    """Asks an endpoint, keeping what it answers."""

    endpoint: Endpoint
    answers: Answers
    key: str = field(default="", repr=False)
    _stop: threading.Event = field(default_factory=threading.Event, init=False, repr=False)

    def missing(self, requests: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
        """Those that were never answered, by identity, each once."""
        named = {self.endpoint.identity(request): request for request in requests}
        return {identity: request for identity, request in named.items() if identity not in self.answers}

    def ask(self, requests: Sequence[Mapping[str, Any]], progress: Callable[[int], None] | None = None) -> list[str]:
        """The answer to each request, asking for those alone that were never answered. `progress` counts these.

        Raises UserError if the endpoint fails for good; what came until then is kept.
        """
        self._stop.clear()
        with ThreadPoolExecutor(self.endpoint.parallel) as pool:
            waiting = [pool.submit(self._answer, *entry) for entry in self.missing(requests).items()]
            try:
                for done, future in enumerate(as_completed(waiting), start=1):
                    future.result()
                    if progress:
                        progress(done)
            except BaseException:
                self._stop.set()
                pool.shutdown(wait=True, cancel_futures=True)
                raise
        return [self.answers[self.endpoint.identity(request)] for request in requests]

    def _answer(self, identity: str, request: Mapping[str, Any]) -> None:
        """Ask until there is an answer, and keep it."""
        for attempt in range(self.endpoint.retries + 1):
            wait = min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(attempt, 30))
            try:
                self.answers.add(identity, request, content(self._redacted(self._post(request))))
                return
            except urllib.error.HTTPError as error:
                with error:
                    if error.code not in (408, 429) and error.code < 500:
                        raise self._refusal(error) from error
                    wait = _retry_after(error.headers.get("Retry-After"), wait)
                    reason = f"{error.code} {error.reason}"
            except urllib.error.URLError as error:
                reason = str(error.reason)
            except TimeoutError:
                reason = f"no answer within {self.endpoint.timeout:g} seconds"
            except (OSError, http.client.HTTPException) as error:
                reason = str(error) or type(error).__name__
            if self._stop.is_set() or (attempt < self.endpoint.retries and self._stop.wait(wait)):
                return
        reason = " ".join(self._redacted(reason).split())[:200]
        raise UserError(
            f"the judge at {self.endpoint.url} gave no answer in {self.endpoint.retries + 1} tries ({reason}): "
            f"{self._kept()}, the same command continues from there"
        )

    def _post(self, request: Mapping[str, Any]) -> str:
        """The body of the response."""
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {self.key}"} if self.key else {})
        address = self.endpoint.url.rstrip("/") + "/chat/completions"
        posted = urllib.request.Request(address, json.dumps(request).encode(), headers, method="POST")
        opener = urllib.request.build_opener(_NoRedirect)
        with opener.open(posted, timeout=self.endpoint.timeout) as response:
            return response.read(LONGEST_RESPONSE).decode(errors="replace")

    def _refusal(self, error: urllib.error.HTTPError) -> UserError:
        """What to tell of a status that no repetition mends."""
        if error.code in (401, 403):
            said = f"wants another key ({error.code}): set {KEY_VARIABLE}"
        elif error.code < 400:
            said = f"sends elsewhere ({error.code}): give its final address as --judge_url"
        else:
            try:
                body = error.read(2000).decode(errors="replace")
            except (OSError, http.client.HTTPException):
                body = ""
            said = f"refuses the request ({error.code} {' '.join(self._redacted(body).split())[:200]})"
        return UserError(f"the judge at {self.endpoint.url} {said}; {self._kept()}")

    def _kept(self) -> str:
        return f"{len(self.answers)} answers are kept in {self.answers.path}"

    def _redacted(self, text: str) -> str:
        """A server may show a key it was sent; a word of a few letters is no secret and may be part of an answer."""
        return text.replace(self.key, "[key]") if len(self.key) >= 8 else text


def content(response: str) -> str:
    """The answer in a response; the response itself where it has none, so that nothing that came is lost.

    >>> content('{"choices": [{"message": {"content": "Good."}}]}'), content("<html>")
    ('Good.', '<html>')
    """
    try:
        found = json.loads(response)["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return response
    return found if isinstance(found, str) else response


def _retry_after(asked: str | None, otherwise: float) -> float:
    """Seconds to wait, by the header or else as planned, never longer than LONGEST_WAIT.

    >>> _retry_after("0", 8), _retry_after("9999", 8), _retry_after("Fri, 31 Dec 1999 23:59:59 GMT", 8)
    (0.0, 60.0, 8)
    """
    if asked is None or not asked.strip().isdecimal():
        return otherwise
    return min(float(asked), LONGEST_WAIT)
