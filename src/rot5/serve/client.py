"""A client of `rot5 serve` in Python, of the standard library alone."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from typing import Any, overload

AT_ONCE = 16
"""Texts of one request."""

FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0
"""Seconds before the first repetition, doubled each time, where the server names none; and the longest wait."""

PASSING = (429, 503)
"""Statuses behind which a request is sent again."""


class ServerError(Exception):
    """What the server said no with; `status` is HTTP's, 0 where no server was reached or an answer broke off."""

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status


class Client:
    """Asks one server. Settings of answers are those of `rot5 generate`: `max_new_tokens=60`, `do_sample=True`, ...

    Every method raises ServerError, behind as many repetitions as there are `retries` if the server is full.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        token: str | None = None,
        timeout: float = 120.0,
        retries: int = 5,
        model: str | None = None,
    ):
        """`timeout` is in seconds without a sign of the server; `model` names one of several that are served."""
        self.url, self.token, self.timeout, self.retries, self.model = url.rstrip("/"), token, timeout, retries, model

    @overload
    def summarize(self, texts: str, **settings: Any) -> str: ...
    @overload
    def summarize(self, texts: Sequence[str], **settings: Any) -> list[str]: ...
    def summarize(self, texts: str | Sequence[str], **settings: Any) -> str | list[str]:
        """A summary of a text, or of each text."""
        if isinstance(texts, str):
            return self.summarize([texts], **settings)[0]
        found: list[str] = []
        for first in range(0, len(texts), AT_ONCE):
            told = self._ask("/summarize", {"texts": list(texts[first : first + AT_ONCE]), **settings})
            found += [each["text"] for each in told["answers"]]
        return found

    def generate(self, text: str, prefix: str = "", **settings: Any) -> str:
        """What the model writes behind a text."""
        return self._ask("/generate", {"text": text, "prefix": prefix, **settings})["text"]

    def stream(self, text: str, prefix: str | None = None, **settings: Any) -> Iterator[str]:
        """Pieces of an answer as they come; without a prefix, of a summary."""
        body: dict[str, Any] = {"text": text, "stream": True, **settings}
        path = "/summarize"
        if prefix is not None:
            path, body["prefix"] = "/generate", prefix
        with self._open(path, body) as response:
            for line in response:
                if not line.startswith(b"data: "):
                    continue
                told = json.loads(line[6:])
                if "error" in told:
                    raise ServerError(0, told["error"])
                if told.get("done"):
                    return
                yield told["text"]
        raise ServerError(0, f"{self.url}: the answer broke off")

    def _ask(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        with self._open(path, body) as response:
            return json.load(response)

    def _open(self, path: str, body: dict[str, Any]) -> Any:
        """A response that is a success."""
        given = body if self.model is None else {"model": self.model, **body}
        request = urllib.request.Request(self.url + path, json.dumps(given).encode(), self._headers())
        wait = FIRST_WAIT
        for left in range(self.retries, -1, -1):
            try:
                return urllib.request.urlopen(request, timeout=self.timeout)
            except urllib.error.HTTPError as error:
                with error:
                    if error.code not in PASSING or not left:
                        raise ServerError(error.code, _message(error.read())) from error
                    asked = error.headers.get("Retry-After", "")
                time.sleep(min(LONGEST_WAIT, float(asked) if asked.isdigit() else wait))
                wait *= 2
            except OSError as error:  # URLError is one
                raise ServerError(0, f"{self.url}: {getattr(error, 'reason', error)}") from error
        raise AssertionError

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/json"}
        return headers if self.token is None else {**headers, "Authorization": f"Bearer {self.token}"}


def _message(body: bytes) -> str:
    """The sentence of a refusal, or what stands in its place."""
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return body[:200].decode(errors="replace")
