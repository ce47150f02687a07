"""An app on a socket until a signal comes: then nothing more is accepted, and what was accepted is finished."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

from rot5.errors import UserError
from rot5.serve.models import Served
from rot5.serve.settings import ServerConfig
from rot5.stopping import SIGNALS

HEADER_BYTES = 1 << 14
"""Most bytes of a request's first line and headers together."""

KEEP_ALIVE = 15
"""Seconds that a connection without a request is kept."""

LAST_WORDS = 5
"""Seconds to tell clients that their answers were given up."""


class Connection(H11Protocol):
    """A connection whose headers must arrive in time: uvicorn waits for them for ever."""

    patience = 10.0
    """Seconds from the first byte, or the beginning of the connection, to the end of the headers."""
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._begin()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._begin()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._deadline is not None:
            self._deadline.cancel()

    def _at_work(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _begin(self) -> None:
        if self._deadline is None and not self._at_work():
            self._deadline = self.loop.call_later(self.patience, self._late)

    def _late(self) -> None:
        self._deadline = None
        if not self._at_work() and self.timeout_keep_alive_task is None:
            self.transport.close()


class _Server(uvicorn.Server):
    """A server whose signals are ours."""

    def __init__(self, config: uvicorn.Config, started: Callable[[], None]):
        super().__init__(config)
        self.tell = started

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self.tell()


def bind(config: ServerConfig) -> socket.socket:
    """The socket of the server, which listens to nobody yet. Raises UserError if it cannot be had."""
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    found = socket.socket(family)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((config.host, config.port))
    except OSError as error:
        found.close()
        reason = error.strerror or str(error)
        raise UserError(f"cannot listen on {config.host}, port {config.port} ({reason}): choose another") from error
    return found


def new_server(app: Starlette, config: ServerConfig, started: Callable[[], None]) -> uvicorn.Server:
    """A server of the app, which tells when it has started and does not touch the process's signals."""
    patient = type("PatientConnection", (Connection,), {"patience": config.body_seconds})
    settings = uvicorn.Config(
        app,
        http=patient,
        ws="none",
        log_config=None,
        log_level="error",
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=round(config.grace_seconds) + LAST_WORDS,
        h11_max_incomplete_event_size=HEADER_BYTES,
    )
    return _Server(settings, started)


def serve(
    app: Starlette, served: Sequence[Served], config: ServerConfig, place: socket.socket, started: Callable[[], None]
) -> bool:
    """Serve until a signal of `stopping` comes, and say whether all that was accepted has been answered.

    A second signal ends it at once.
    """
    server, all_answered = new_server(app, config, started), True

    def give_up() -> None:
        nonlocal all_answered
        all_answered = not any(each.worker.open for each in served)
        for each in served:
            asyncio.get_running_loop().run_in_executor(None, each.close, 0)

    def stop() -> None:
        server.force_exit = server.should_exit
        server.should_exit = app.state.service.draining = True
        asyncio.get_running_loop().call_later(config.grace_seconds, give_up)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for each in SIGNALS:
            loop.add_signal_handler(each, stop)
        await server.serve([place])

    before = {each: signal.getsignal(each) for each in SIGNALS}
    try:
        asyncio.run(main())
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
    all_answered = all_answered and not any(each.worker.open for each in served)
    for each in served:
        each.close(0)
    return all_answered
