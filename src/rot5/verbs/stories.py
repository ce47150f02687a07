"""`rot5 stories`: records of StoryWorld as text, for reading, for other programs, or to summarize."""

import sys
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import TextIO

from rot5.config import StoriesConfig
from rot5.data.files import SEPARATOR
from rot5.data.sources import storyworld
from rot5.data.storyworld import Record, write_instruct, write_jsonl
from rot5.errors import UserError, nearest
from rot5.progress import counted


def write_text(records: Iterable[Record], file: TextIO) -> None:
    """The stories alone, separated."""
    file.write(f"\n{SEPARATOR}\n".join(record.story for record in records) + "\n")


FORMATS: dict[str, Callable[[Iterable[Record], TextIO], None]] = {
    "text": write_text,
    "instruct": write_instruct,
    "jsonl": write_jsonl,
}


def run(config: StoriesConfig) -> None:
    """Write the records to a file or to standard output."""
    if config.format not in FORMATS:
        raise UserError(f"unknown format {config.format!r}: {nearest(config.format, FORMATS)}")
    if config.count < 1:
        raise UserError(f"count {config.count} must be at least 1")
    records = islice(storyworld(config.seed, config.split), config.count)
    if config.out == "-":
        FORMATS[config.format](records, sys.stdout)
        return
    try:
        with Path(config.out).open("w", encoding="utf-8", newline="\n") as file:
            FORMATS[config.format](counted(records, "stories", config.count), file)
    except OSError as error:
        raise UserError(f"cannot write {config.out}: {error.strerror}") from error
