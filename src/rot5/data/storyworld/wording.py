"""Wordings: lists of alternative texts with choices `[a|b]` and slots `{H}`, compiled once and filled quickly."""

from __future__ import annotations

import re
from random import Random

Part = str | tuple[str, ...]


class Wordings:
    """A list of alternative texts. In the source each starts with "- " and may run over several lines.

    >>> Wordings("- {H} [ran].").fill(Random(0), {"H": "Mia"})
    'Mia ran.'
    """

    __slots__ = ("quiet", "texts")

    def __init__(self, source: str):
        items = [" ".join(item.split()) for item in re.split(r"(?m)^\s*- ", source) if item.strip()]
        self.texts: tuple[tuple[Part, ...], ...] = tuple(_compile(item) for item in items)
        self.quiet = tuple(text for text, item in zip(self.texts, items, strict=True) if '"' not in item)

    def fill(self, rng: Random, slots: dict[str, str], quiet: bool = False) -> str:
        """One text, chosen and filled; with `quiet`, one in which nobody speaks."""
        texts = self.quiet if quiet else self.texts
        return fill(texts[int(rng.random() * len(texts))], rng, slots)


def fill(text: tuple[Part, ...], rng: Random, slots: dict[str, str]) -> str:
    """Make the choices of one compiled text and put the slots in."""
    parts = [part if type(part) is str else part[int(rng.random() * len(part))] for part in text]
    return "".join(parts).format_map(slots)


def _compile(text: str) -> tuple[Part, ...]:
    pieces = re.split(r"\[([^\]]*)\]", text)
    return tuple(tuple(piece.split("|")) if i % 2 else piece for i, piece in enumerate(pieces) if piece)


def article(phrase: str) -> str:
    """The phrase with the indefinite article it needs.

    >>> article("old kite"), article("red kite")
    ('an old kite', 'a red kite')
    """
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"
