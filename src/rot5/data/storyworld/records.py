"""A record of StoryWorld, and the files of records: TinyStories-Instruct text and JSONL."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from random import Random
from typing import TextIO

from rot5.data.storyworld.world import Fact

SEPARATOR = "<|endoftext|>"


@dataclass(frozen=True, slots=True)
class Record:
    """One story with everything that is known about it."""

    index: int
    split: str
    """train, test or held_out."""
    plot: str
    turn: str
    side_event: str
    hero: str
    other: str
    """The second character's name."""
    thing: str
    """The main object, adjective and noun."""
    place: str
    story: str
    summaries: tuple[str, str, str]
    words: tuple[str, str, str]
    """A noun, a verb and an adjective, as they stand in the story."""
    features: tuple[str, ...]
    """Of Dialogue, BadEnding, MoralValue, Twist, Foreshadowing, Conflict: those that are true of the story."""
    sentence: str
    """One sentence of the story, verbatim."""
    facts: tuple[Fact, ...]
    questions: tuple[tuple[str, str], ...]

    def to_json(self) -> dict:
        """Everything as plain dicts, lists and strings."""
        return asdict(self) | {
            "summaries": list(self.summaries),
            "words": list(self.words),
            "features": list(self.features),
            "facts": [list(fact) for fact in self.facts],
            "questions": [list(pair) for pair in self.questions],
        }

    def to_instruct(self) -> str:
        """The record as TinyStories-Instruct writes it: some fields in some order, then the story.

        Which summary, which fields and which order hang on the record alone.
        """
        rng = Random(f"instruct {self.split} {self.index} {self.story[:40]}")
        noun, verb, adjective = self.words
        fields = [f"Summary: {self.summaries[rng.randrange(3)]}"]
        if self.features and rng.random() < 0.9:
            fields.append(f"Features: {', '.join(self.features)}")
        if rng.random() < 0.7:
            fields.append(f"Words: {verb}, {noun}, {adjective}")
        if rng.random() < 0.5:
            fields.append(f"Random sentence: {self.sentence}")
        rng.shuffle(fields)
        return "\n".join([*fields, f"Story: \n\n{self.story}", ""])


def write_instruct(records: Iterable[Record], file: TextIO) -> None:
    """Write records as TinyStories-Instruct text, each closed by a separator line."""
    for record in records:
        file.write(f"{record.to_instruct()}{SEPARATOR}\n")


def write_jsonl(records: Iterable[Record], file: TextIO) -> None:
    """Write one JSON object per record and line."""
    for record in records:
        file.write(json.dumps(record.to_json(), ensure_ascii=False) + "\n")
