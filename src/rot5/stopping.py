"""Ctrl-C and SIGTERM: at once where nothing is lost by it, behind the step under way where something would be."""

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator

SIGNALS = (signal.SIGINT, signal.SIGTERM)
PATIENCE = 5.0
"""Seconds behind a signal in which another one means the same."""


class Stopped(KeyboardInterrupt):
    """The process was asked to end; `signal` is by what, and the message what became of the work."""

    def __init__(self, by: int, words: str = "interrupted"):
        super().__init__(words)
        self.signal = signal.Signals(by)

    @property
    def exit_code(self) -> int:
        """What a shell reports of a process that the signal ended: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + self.signal


def stop_at_once() -> None:
    """From here on, both signals raise `Stopped` wherever the program is. Does nothing outside the main thread."""
    if threading.current_thread() is threading.main_thread():
        for each in SIGNALS:
            signal.signal(each, _stop)


def _stop(number: int, frame: object) -> None:
    raise Stopped(number)


@contextlib.contextmanager
def asked_to_stop() -> Iterator[Callable[[], int]]:
    """Within the block the first signal only changes what the yielded function says: 0, or the signal that came.

    A later one raises `Stopped`; one that follows at once does not, as both the terminal or the scheduler and a parent
    such as torchrun send theirs. Outside the main thread, which alone may deal with signals, it says 0.
    """
    came, at = 0, 0.0

    def note(number: int, frame: object) -> None:
        nonlocal came, at
        if came and time.monotonic() - at > PATIENCE:
            raise Stopped(number)
        if not came:
            came, at = number, time.monotonic()

    if threading.current_thread() is not threading.main_thread():
        yield lambda: 0
        return
    before = {each: signal.signal(each, note) for each in SIGNALS}
    try:
        yield lambda: came
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
