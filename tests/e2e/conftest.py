"""The command line as users call it, in this process: its true entry point, its exit code and what it prints."""

import io
import sys
from collections.abc import Callable
from typing import NamedTuple

import pytest

from rot5.cli import main


class Called(NamedTuple):
    """What a user sees of one command."""

    code: int
    out: str
    err: str


@pytest.fixture
def rot5(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Called]:
    """Calls `rot5` with words, and with bytes on standard input."""

    def call(*words: object, stdin: bytes = b"") -> Called:
        monkeypatch.setattr(sys, "argv", ["rot5", *map(str, words)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as stop:
            assert stop.code is None or isinstance(stop.code, int)
            code = stop.code or 0
        return Called(code, *capsys.readouterr())

    return call
