"""Records of TinyStories-Instruct: a story preceded by fields in any order, some of which may be missing."""

import re
from dataclasses import dataclass

_FIELD = re.compile(r"(Features|Words|Summary|Random sentence|Story):(.*)")


@dataclass(frozen=True)
class InstructRecord:
    """One story and what its record says about it."""

    features: tuple[str, ...]
    words: tuple[str, ...]
    summary: str | None
    random_sentence: str | None
    story: str
    """Empty if the record has no story."""


def parse_instruct(text: str) -> InstructRecord:
    """Read one record.

    A field is a known name at the start of a line, met for the first time: `Mom: come here!` is a line like any
    other. Lines that open no field continue the one before. The story runs to the end of the record, unless a line
    opens a field that is still missing, its name followed by a space.

    >>> record = parse_instruct("Random sentence: It rained.\\nWords: run, wet\\nStory: \\n\\nA dog ran.\\nMom: no!")
    >>> record.random_sentence, record.words, record.summary, record.story
    ('It rained.', ('run', 'wet'), None, 'A dog ran.\\nMom: no!')
    """
    fields: dict[str, list[str]] = {}
    current: list[str] = []
    for line in text.split("\n"):
        match = _FIELD.match(line)
        if match and match[1] not in fields and ("Story" not in fields or match[2].startswith(" ")):
            current = fields[match[1]] = [match[2]]
        else:
            current.append(line)
    return InstructRecord(
        features=_items(fields.get("Features", [])),
        words=_items(fields.get("Words", [])),
        summary=_sentence(fields.get("Summary", [])) or None,
        random_sentence=_sentence(fields.get("Random sentence", [])) or None,
        story="\n".join(fields.get("Story", [])).strip(),
    )


def looks_like_instruct(text: str) -> bool:
    """Whether a text is such a record: it has a line `Story:` and at least one other field."""
    names = {match[1] for match in map(_FIELD.match, text.split("\n")) if match}
    return "Story" in names and len(names) > 1


def _items(lines: list[str]) -> tuple[str, ...]:
    return tuple(item for item in map(str.strip, " ".join(lines).split(",")) if item)


def _sentence(lines: list[str]) -> str:
    return " ".join(" ".join(lines).split())
