"""The thread that owns an engine: requests come in by the line, tokens go out as they are written."""

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from rot5.errors import UserError
from rot5.generate.answers import Engine
from rot5.generate.encoder import TOKENS
from rot5.generate.queue import Queue, Request

LOG = logging.getLogger(__name__)

REMEMBERED = 64
"""Ends of answers by which the pace is measured."""

LONGEST_WAIT = 60
"""Seconds that a refused client is told to wait at most."""

Listener = Callable[[str | None], None]
"""Is told in the worker's thread that its request has more tokens or is done, or what went wrong; it must be quick."""


class Full(UserError):
    """No place in the line; `seconds` is when there should be one, by the measured pace."""

    def __init__(self, seconds: int):
        super().__init__(f"all places are taken: try again in {seconds} s")
        self.seconds = seconds


class Closed(UserError):
    """The worker takes nothing more."""

    def __init__(self) -> None:
        super().__init__("the server is about to stop and takes no more requests")


class Worker:
    """Answers requests in a thread of its own until it is closed. All methods may be called from any thread."""

    def __init__(self, engine: Engine, slots: int, waiting: int, name: str):
        self.engine, self.slots, self.places = engine, slots, slots + waiting
        self.written = 0
        """Tokens of all answers so far."""
        self._changed = threading.Condition()
        self._open: dict[Request, Listener] = {}
        """Accepted and not done."""
        self._arrived: list[Request] = []
        self._cancelled: list[Request] = []
        self._ends: deque[float] = deque(maxlen=REMEMBERED)
        self._closed = False
        self._thread = threading.Thread(target=self._work, name=f"worker of {name}", daemon=True)
        self._thread.start()

    @property
    def open(self) -> int:
        """Requests that are accepted and not done."""
        return len(self._open)

    def submit(self, requests: Sequence[Request], listeners: Sequence[Listener]) -> None:
        """Accept all of these requests, or raise Full or Closed and accept none."""
        with self._changed:
            if self._closed:
                raise Closed
            if len(self._open) + len(requests) > self.places:
                raise Full(self._seconds_until(len(requests)))
            self._open.update(zip(requests, listeners, strict=True))
            self._arrived += requests
            self._changed.notify()

    def cancel(self, request: Request) -> None:
        """Give up a request; nothing more is told of it. One that is done stays as it is."""
        with self._changed:
            if self._open.pop(request, None) is not None:
                self._cancelled.append(request)
                self._changed.notify()

    def close(self, grace: float) -> bool:
        """Take nothing more, finish what is accepted within so many seconds, and say whether all was finished."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(grace)
        with self._changed:
            left = list(self._open.items())
            self._open.clear()
            self._cancelled += [request for request, _ in left]
            self._changed.notify()
        for _, listener in left:
            _tell(listener, "the server stopped before the answer was whole")
        self._thread.join(1.0)
        return not left

    def _seconds_until(self, places: int) -> int:
        """When so many places should be free."""
        if len(self._ends) < 2:
            return 1
        each = (self._ends[-1] - self._ends[0]) / (len(self._ends) - 1)
        return min(LONGEST_WAIT, max(1, math.ceil(places * each)))

    def _work(self) -> None:
        queue = self._new_queue()
        while True:
            with self._changed:
                while not (queue.busy or self._arrived or self._cancelled or self._closed):
                    self._ends.clear()  # pauses are no measure of the pace
                    self._changed.wait()
                arrived, self._arrived = self._arrived, []
                cancelled, self._cancelled = self._cancelled, []
                if self._closed and not (queue.busy or arrived or cancelled):
                    return
            for request in arrived:
                queue.add(request)
            for request in cancelled:
                queue.cancel(request)
            if not queue.busy:
                continue
            try:
                grown = queue.advance()
            except Exception:  # whatever a device or a library raises: the others go on
                LOG.exception("answers were lost")
                queue = self._without_failed(queue)
                continue
            for request in grown:
                self._told(request)

    def _new_queue(self) -> Queue:
        return Queue(self.engine.decoder, self.engine.start, self.engine.ends, self.slots, TOKENS)

    def _without_failed(self, failed: Queue) -> Queue:
        """A new queue with the requests that still waited; those at work are told that they are lost."""
        queue, waiting = self._new_queue(), set(failed.waiting)
        with self._changed:
            lost = [request for request in self._open if request not in waiting and request not in self._arrived]
            listeners = [self._open.pop(request) for request in lost]
        for listener in listeners:
            _tell(listener, "the model failed on this answer or on one beside it")
        for request in failed.waiting:
            queue.add(request)
        return queue

    def _told(self, request: Request) -> None:
        self.written += 1
        with self._changed:
            listener = self._open.pop(request, None) if request.done else self._open.get(request)
            if request.done:
                self._ends.append(time.monotonic())
        if listener is not None:
            _tell(listener, None)


def _tell(listener: Listener, failure: str | None) -> None:
    try:
        listener(failure)
    except Exception:  # a listener whose event loop is gone must not end the others' answers
        LOG.exception("a listener failed")
