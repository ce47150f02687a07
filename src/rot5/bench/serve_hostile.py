"""Requests that no server should be hurt by: huge, malformed, of wrong types, slow, half-closed."""

import asyncio
import contextlib
import json
import random
from collections import Counter
from urllib.parse import urlsplit

AT_ONCE = 32
"""Strangers at the same time."""

SECONDS = 20.0
"""How long a stranger waits for a word."""

WORDS = ("text", "texts", "model", "stream", "max_new_tokens", "temperature", "top_p", "seed", "prefix", "prompt", "n")
VALUES = (
    *(None, True, -1, 0, 1e308, -1e308, 2**70, "", " ", "a", "\x00", "\u202e\ufeff", "\ud800", [], {}, [[]], [None]),
    *(["a", 1], {"a": {}}, "9" * 5000, "é" * 3000, "\U0001f600" * 500),
)
PATHS = ("/summarize", "/generate", "/v1/completions", "/", "/metrics", "/..%2f..%2fetc/passwd", "/summarize/%00")
METHODS = ("GET", "PUT", "DELETE", "PATCH", "TRACE", "OPTIONS", "HEAD", "BREW")


def message(draw: random.Random) -> tuple[bytes, bool]:
    """A request as bytes, and whether the sender says nothing more behind it but goes on listening."""
    kind = draw.randrange(8)
    path = draw.choice(PATHS[:3])
    if kind == 0:
        body = json.dumps({draw.choice(WORDS): draw.choice(VALUES) for _ in range(draw.randint(1, 5))}).encode()
        return _post(path, body), False
    if kind == 1:
        broken = (b"{", b"[" * 100_000, b'{"text":"a"', b"\xff\xfe", b'{"text":NaN}', b'{"text":1e999}', b"", b"null")
        return _post(path, draw.choice((*broken, draw.randbytes(200)))), False
    if kind == 2:
        size = draw.choice((2**20 + 1, 2**21))
        return _post(path, b'{"text":"' + b"a" * size + b'"}'), False
    if kind == 3:
        length = draw.choice(("-1", "1e3", "99999999999999999999", "12, 13", "abc"))
        return f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n".encode(), False
    if kind == 4:
        return f"{draw.choice(METHODS)} {draw.choice(PATHS)} HTTP/1.1\r\nHost: a\r\n\r\n".encode(), False
    if kind == 5:
        lines = ("X: " + "a" * 70_000, "X\x00: a", " folded: a", "no colon", "Transfer-Encoding: gzip", "Host: b")
        return f"GET /health HTTP/1.1\r\nHost: a\r\n{draw.choice(lines)}\r\n\r\n".encode("latin-1"), False
    if kind == 6:
        return draw.choice((b"\x16\x03\x01\x02\x00", b"GET", b"\r\n" * 50, draw.randbytes(300))), True
    return _post(path, b'{"text":"Once upon a time.","max_new_tokens":30}')[: -draw.randint(0, 30) or None], True


def _post(path: str, body: bytes) -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


async def attack(url: str, count: int, seed: int = 0) -> Counter[str]:
    """Send so many hostile requests and count what they were answered with: statuses, or `closed`, or `silence`."""
    draw, found, doors = random.Random(seed), Counter(), asyncio.Semaphore(AT_ONCE)
    messages = [message(draw) for _ in range(count)]

    async def one(content: bytes, half_closed: bool) -> None:
        async with doors:
            found[await _said(url, content, half_closed)] += 1

    async with asyncio.TaskGroup() as group:
        for content, half_closed in messages:
            group.create_task(one(content, half_closed))
    return found


async def _said(url: str, content: bytes, half_closed: bool) -> str:
    parts = urlsplit(url)
    writer = None
    try:
        async with asyncio.timeout(SECONDS):
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
            writer.write(content)
            await writer.drain()
            if half_closed:
                writer.write_eof()
            line = await reader.readline()
            return line.split(b" ")[1].decode() if line.startswith(b"HTTP/1.1 ") else "closed"
    except TimeoutError:
        return "silence"
    except OSError:
        return "closed"
    finally:
        if writer is not None:
            with contextlib.suppress(OSError):
                writer.close()
