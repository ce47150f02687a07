"""What the parser reads and makes: the words of a text, noun phrases, and verbs with who did what to whom."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from rot5.evaluation import reading_words as words

_TOKEN = re.compile(r"[A-Za-z]+(?:'(?!s\b)[a-z]+)?|'s\b|\d+|\n|[^\sA-Za-z\d]")
_QUOTES = {'"': '"', "\u201c": '"', "\u201d": '"'}


@dataclass(slots=True)
class Phrase:
    """A noun phrase: a name, a pronoun, a thing with its adjectives, or a quality ("happy")."""

    kind: str
    """name, pronoun, thing or quality."""
    head: str
    """The name, the pronoun, or the noun in small letters."""
    at: int
    """The position of the head among the tokens."""
    adjectives: tuple[tuple[int, str], ...] = ()
    """Position and word of each."""
    owner: Phrase | None = None

    @property
    def text(self) -> str:
        """Adjectives and head, without articles."""
        return " ".join([*(word for _, word in self.adjectives), self.head])

    @property
    def is_place(self) -> bool:
        """Whether it is somewhere to be: "the old park", but no "ant hill"."""
        return self.head in words.PLACES and all(word in words.QUALITIES for _, word in self.adjectives)


@dataclass(slots=True)
class Event:
    """A verb with who did it and what to: the unit in which stories and summaries are compared."""

    verb: str
    """The base form."""
    at: int
    """The position of the verb among the tokens; -1 for an event that is only implied."""
    agents: list[Phrase]
    things: list[tuple[str, Phrase]] = field(default_factory=list)
    """Preposition ("" for an object) and phrase."""
    particles: list[tuple[int, str]] = field(default_factory=list)
    denied: bool = False
    """Said not to have happened: "did not stop"."""
    unreal: bool = False
    """Denied, wished or only possible: "did not win", "wanted to win", "could win"."""
    passive: bool = False
    action: str = ""
    """What happened, one phrase for all its wordings: "run away"."""
    who: frozenset[str] = frozenset()
    """Everyone who may be the agent: one name, or several where a pronoun leaves it open."""
    marks: frozenset[int] = frozenset()
    """Positions of the particles and objects that are part of the action ("the truth" of "tell the truth")."""
    outer: frozenset[str] = frozenset()
    """Who acts in the main clause, where the verb may belong there: "stopped when Ben fell and helped him"."""
    outers: list[Phrase] = field(default_factory=list)
    reports: bool = False
    """Whether a clause with "that" follows: "saw that"."""
    purpose: Event | None = None
    """The infinitive that depends on it: "learned to ride"."""


def tokens_of(text: str) -> list[str]:
    """Words and marks; a quotation mark without its fellow on the line is left out."""
    tokens = []
    for line in text.splitlines():
        found = [_QUOTES.get(token, token) for token in _TOKEN.findall(line)]
        if found.count('"') % 2:
            del found[len(found) - 1 - found[::-1].index('"')]
        tokens += [*found, "\n"]
    return tokens


def quoted(tokens: list[str]) -> frozenset[int]:
    """Positions between quotation marks, marks included."""
    inside, start = set(), -1
    for i, token in enumerate(tokens):
        if token == '"':
            if start >= 0:
                inside.update(range(start, i + 1))
            start = -1 if start >= 0 else i
    return frozenset(inside)
