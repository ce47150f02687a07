"""What pages tell people to type: commands of their blocks and sentences, and the settings that a verb would get."""

import importlib
import re
import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest

from rot5 import cli

ROOT = Path(__file__).parents[1]


def fenced(page: str) -> list[list[str]]:
    """The commands of a page's bash blocks, as words, comments dropped, continued lines joined and pipes cut."""
    blocks = re.findall(r"^```bash\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [
        command for line in lines for command in _cut(shlex.split(line.removeprefix("$ "), comments=True)) if command
    ]


def _cut(words: list[str]) -> list[list[str]]:
    """The commands of a line, without where their output goes."""
    commands: list[list[str]] = [[]]
    for word in words:
        if word == "|":
            commands.append([])
        else:
            commands[-1].append(word)
    return [command[: command.index(">")] if ">" in command else command for command in commands]


def inline(page: str) -> list[list[str]]:
    """The `rot5 …` commands inside sentences and tables."""
    text = re.sub(r"^```.*?^```", "", page, flags=re.MULTILINE | re.DOTALL)
    return [shlex.split(command) for command in re.findall(r"`(rot5 [^`]+)`", text)]


def of_program(program: str, commands: list[list[str]]) -> list[list[str]]:
    """The arguments of every call of a program."""
    return [words[1:] for words in commands if Path(words[0]).name == program]


def understood(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> object:
    """The settings that a command's handler would be called with; None for help."""
    received = []
    handler = SimpleNamespace(run=lambda settings, **switches: received.append(settings))
    handlers = {verb.module for verb in cli.VERBS.values()}
    found = importlib.import_module
    monkeypatch.setattr(importlib, "import_module", lambda name, *rest: handler if name in handlers else found(name))
    monkeypatch.chdir(ROOT)
    try:
        cli.run(arguments)
    except SystemExit as stop:
        assert not stop.code
    return received[0] if received else None
