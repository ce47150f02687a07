"""Files that were damaged on the disk: one bit turned, cut short, overwritten with zeros, lengthened or lost."""

import random
from collections.abc import Callable
from pathlib import Path


def turn_a_bit(path: Path, draw: random.Random) -> None:
    data = bytearray(path.read_bytes())
    data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    path.write_bytes(data)


def cut(path: Path, draw: random.Random) -> None:
    with path.open("r+b") as file:
        file.truncate(draw.randrange(path.stat().st_size))


def blank(path: Path, draw: random.Random) -> None:
    """A block that never reached the disk."""
    data = bytearray(path.read_bytes())
    start = draw.randrange(len(data))
    stop = min(len(data), start + 4096)
    data[start:stop] = bytes(stop - start)
    path.write_bytes(data)


def lengthen(path: Path, draw: random.Random) -> None:
    with path.open("ab") as file:
        file.write(draw.randbytes(draw.randint(1, 64)))


def lose(path: Path, draw: random.Random) -> None:
    path.unlink()


DAMAGES: tuple[Callable[[Path, random.Random], None], ...] = (turn_a_bit, turn_a_bit, cut, blank, lengthen, lose)
"""Turned bits come twice as often: they alone leave the size as it was."""


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size)
