"""Many clients of a server at once, each waiting for its answer: what they asked, what came back, and when.

HTTP is spoken over plain sockets, for clients and server share the cores of one machine.
"""

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import urlsplit

STREAMED = 4
"""One request of so many asks for a stream."""


class Reply(NamedTuple):
    """A response: its status, headers in lower case, body, and seconds to the first byte of the body."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    first: float


@dataclass
class Outcome:
    """What became of one request; times are seconds."""

    began: float
    """By `time.monotonic()`."""
    seconds: float = 0.0
    status: int = 0
    """0 where the connection was refused or broke."""
    streamed: bool = False
    first: float = 0.0
    tokens: int = 0
    right: bool = False
    """Whether the text is the one that is written without company."""
    retry_after: str | None = None


class Connection:
    """A connection to a server that is kept from one request to the next."""

    def __init__(self, url: str):
        parts = urlsplit(url)
        self.host, self.port = parts.hostname or "", parts.port or 80
        self.reader: asyncio.StreamReader | None = None
        self.writer: asyncio.StreamWriter | None = None

    async def post(self, path: str, given: Any) -> Reply:
        """Send JSON and read the whole response. Raises OSError and EOFError."""
        body, began = json.dumps(given).encode(), time.monotonic()
        head = f"POST {path} HTTP/1.1\r\nHost: {self.host}\r\nContent-Type: application/json\r\n"
        if self.writer is None:
            self.reader, self.writer = await asyncio.open_connection(self.host, self.port)
        assert self.reader is not None
        try:
            self.writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            await self.writer.drain()
            reply = await _read(self.reader, began)
        except (OSError, EOFError, ValueError):
            self.close()
            raise
        if reply.headers.get("connection") == "close":
            self.close()
        return reply

    def close(self) -> None:
        """Let go of the connection."""
        if self.writer is not None:
            self.writer.close()
        self.reader = self.writer = None


async def _read(reader: asyncio.StreamReader, began: float) -> Reply:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    status = int(head[0].split(" ")[1])
    headers = {key.lower(): value.strip() for key, _, value in (line.partition(":") for line in head[1:] if line)}
    if headers.get("transfer-encoding") != "chunked":
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        return Reply(status, headers, body, time.monotonic() - began)
    parts: list[bytes] = []
    first = 0.0
    while size := int(await reader.readline(), 16):
        parts.append((await reader.readexactly(size + 2))[:-2])
        first = first or time.monotonic() - began
    await reader.readline()
    return Reply(status, headers, b"".join(parts), first)


@dataclass
class Load:
    """Clients of one server, and the outcomes of all their requests."""

    url: str
    texts: Sequence[str]
    expected: Mapping[str, str]
    """Summaries by text; for none, no answer is right."""
    outcomes: list[Outcome] = field(default_factory=list)

    async def run(self, clients: int, going: Callable[[], bool], obedient: bool = True) -> None:
        """Let so many clients ask, one request behind the other, until `going` says no and all have their answers.

        Obedient clients that are refused wait as long as they are told.
        """
        async with asyncio.TaskGroup() as group:
            for number in range(clients):
                group.create_task(self._client(number, clients, going, obedient))

    async def _client(self, number: int, clients: int, going: Callable[[], bool], obedient: bool) -> None:
        connection = Connection(self.url)
        while going():
            outcome = await self.ask(connection, self.texts[number % len(self.texts)], number % STREAMED == 0)
            self.outcomes.append(outcome)
            number += clients + 1
            if outcome.status == 0:
                await asyncio.sleep(0.2)
            elif outcome.status != 200:
                await asyncio.sleep(float(outcome.retry_after or 1) if obedient else 0.2)
        connection.close()

    async def ask(self, connection: Connection, text: str, streamed: bool = False) -> Outcome:
        """Ask for one summary."""
        outcome = Outcome(time.monotonic(), streamed=streamed)
        try:
            reply = await connection.post("/summarize", {"text": text, "stream": streamed})
        except (OSError, EOFError, ValueError):
            return outcome
        outcome.seconds, outcome.status = time.monotonic() - outcome.began, reply.status
        outcome.first, outcome.retry_after = reply.first, reply.headers.get("retry-after")
        if reply.status == 200:
            found, outcome.tokens = _streamed(reply.body) if streamed else _whole(reply.body)
            outcome.right = self.expected.get(text) == found
        return outcome


def _whole(body: bytes) -> tuple[str, int]:
    """The text and how many tokens it has."""
    told = json.loads(body)
    return told["text"], told["new_tokens"]


def _streamed(body: bytes) -> tuple[str | None, int]:
    told = [json.loads(line[6:]) for line in body.splitlines() if line.startswith(b"data: ")]
    if not told or not told[-1].get("done"):
        return None, 0
    return "".join(each["text"] for each in told[:-1]), told[-1]["new_tokens"]
