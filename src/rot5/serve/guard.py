"""What every request passes: the token, the size and the time of its body, and a line about how it ended."""

import asyncio
import hmac
import json
import time
from collections.abc import Collection

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rot5.serve.metrics import Metrics
from rot5.serve.protocol import Refusal, error_body
from rot5.serve.settings import ServerConfig


class Observed:
    """Counts requests by route and status, and prints a line for each if asked to."""

    def __init__(self, app: ASGIApp, metrics: Metrics, routes: Collection[str], access_log: bool):
        self.app, self.metrics, self.routes, self.access_log = app, metrics, routes, access_log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = time.monotonic(), 499  # what is said of a client that went away

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, noting)
        finally:
            seconds = time.monotonic() - began
            route = scope["path"] if scope["path"] in self.routes else "other"
            self.metrics.note_request(route, status, seconds)
            if self.access_log:
                print(f"{scope['method']} {scope['path'][:200]!r} {status} {seconds:.3f} s", flush=True)


class Guard:
    """Lets a request in with its whole body at hand, or refuses it."""

    def __init__(self, app: ASGIApp, config: ServerConfig, open_paths: Collection[str]):
        """`open_paths` need no token."""
        self.app, self.config, self.open_paths = app, config, open_paths
        self.bearer = config.bearer().encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        try:
            _check_origin(scope["method"], headers)
            self._check_token(scope["path"], headers)
            body = await self._body(headers, receive)
        except Refusal as refusal:
            await refuse(refusal, scope, send)
            return
        if body is None:
            return
        given = False

        async def replayed() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self.app(scope, replayed, send)

    def _check_token(self, path: str, headers: dict[bytes, bytes]) -> None:
        if not self.bearer or path in self.open_paths:
            return
        kind, _, token = headers.get(b"authorization", b"").partition(b" ")
        if kind.lower() != b"bearer" or not hmac.compare_digest(token.strip(), self.bearer):
            raise Refusal(401, "send the server's token as Authorization: Bearer", {"www-authenticate": "Bearer"})

    async def _body(self, headers: dict[bytes, bytes], receive: Receive) -> bytes | None:
        """The whole body, or None if the client went away before it was whole."""
        most, length = self.config.max_body_bytes, headers.get(b"content-length", b"")
        too_large = Refusal(413, f"the body is larger than {most} bytes")
        if length.isdigit() and int(length[:20]) > most:
            raise too_large
        parts, size = [], 0
        try:
            async with asyncio.timeout(self.config.body_seconds):
                while True:
                    message = await receive()
                    if message["type"] != "http.request":
                        return None
                    parts.append(message.get("body", b""))
                    size += len(parts[-1])
                    if size > most:
                        raise too_large
                    if not message.get("more_body", False):
                        return b"".join(parts)
        except TimeoutError as error:
            raise Refusal(408, f"the body was not whole within {self.config.body_seconds:g} s") from error


def _check_origin(method: str, headers: dict[bytes, bytes]) -> None:
    """A browser says which site's page asks; pages of other sites may look, but have nothing done."""
    origin = headers.get(b"origin", b"")
    if origin and method not in ("GET", "HEAD") and origin.partition(b"://")[2] != headers.get(b"host", b""):
        raise Refusal(403, "pages of other sites may not ask this server")


async def refuse(refusal: Refusal, scope: Scope, send: Send) -> None:
    """Say no and close the connection: what may still come of the body is not wanted."""
    body = json.dumps(error_body(refusal.status, refusal.message, scope["path"].startswith("/v1/"))).encode()
    headers = {"content-type": "application/json", "content-length": f"{len(body)}", "connection": "close"}
    pairs = [(key.encode(), value.encode()) for key, value in {**headers, **refusal.headers}.items()]
    await send({"type": "http.response.start", "status": refusal.status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})
