"""Records that tasks are made of: what is known of a story, read from StoryWorld or from files."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from rot5.data import files
from rot5.data.instruct import parse_instruct
from rot5.data.manifest import UNKNOWN_LICENCE
from rot5.data.sources import LICENCES, SPLITS, STORYWORLD, storyworld
from rot5.errors import UserError, nearest


class Question(NamedTuple):
    """A question about a story, and every answer that is right, the one to learn first."""

    question: str
    answers: tuple[str, ...]


@dataclass(frozen=True)
class StoryRecord:
    """A story and what is known of it; empty where nothing is."""

    story: str
    summaries: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    sentence: str = ""
    title: str = ""
    hero: str = ""
    other: str = ""
    questions: tuple[Question, ...] = ()


class GivenRecord(NamedTuple):
    """An instruction and its right answers, as somebody else has written them, and the name of their task."""

    task: str
    definition: str
    input: str
    targets: tuple[str, ...]


def stories_of_storyworld(split: str, limit: int, seed: int) -> Iterator[StoryRecord]:
    """The first `limit` records of a split."""
    for record in storyworld(seed, split, 0, limit):
        yield StoryRecord(
            story=record.story,
            summaries=record.summaries,
            words=record.words,
            features=record.features,
            sentence=record.sentence,
            title=f"{record.hero} and the {record.thing}",
            hero=record.hero,
            other=record.other,
            questions=tuple(Question(question, (answer,)) for question, answer in record.questions),
        )


def stories_of_instruct(path: Path) -> Iterator[StoryRecord]:
    """Records of a TinyStories-Instruct file that have a story."""
    for text in files.texts(path):
        record = parse_instruct(text)
        if record.story:
            summaries = (record.summary,) if record.summary else ()
            yield StoryRecord(record.story, summaries, record.words, record.features, record.random_sentence or "")


_FAIRYTALE_SPLITS = {"train": "train", "validation": "val", "test": "test", "held_out": "test"}


def stories_of_fairytaleqa(path: Path, split: str) -> Iterator[StoryRecord]:
    """Sections of FairytaleQA's tales (arXiv:2203.13947), each with the questions about it alone; JSON lines.

    Questions without an answer are passed over.
    """
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            tale = json.loads(line)
            if tale["split"] != _FAIRYTALE_SPLITS[split]:
                continue
            for section in tale["sections"]:
                asked = [each for each in tale["qa"] if each["cor_section"] == section["id"]]
                answered = ((_line(each["question"]), _answers(each)) for each in asked)
                if questions := tuple(Question(*each) for each in answered if each[1]):
                    yield StoryRecord(_paragraphs(section["text"]), questions=questions)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise UserError(
                f"{path}, line {number}: no tale of FairytaleQA ({type(error).__name__}: {error})"
            ) from None


def _answers(question: dict[str, Any]) -> tuple[str, ...]:
    texts = (_line(value) for key, value in sorted(question.items()) if key.startswith("answer") and value)
    return tuple(dict.fromkeys(text for text in texts if text))


def _line(text: str) -> str:
    return " ".join(text.split())


def _paragraphs(text: str) -> str:
    """The text with the line breaks inside its paragraphs undone."""
    return "\n".join(_line(paragraph) for paragraph in text.split("\n\n") if paragraph.strip())


def given_by_natural_instructions(path: Path) -> Iterator[GivenRecord]:
    """Instances of Super-NaturalInstructions (arXiv:2204.07705): a task's JSON file, or a folder of them.

    Instances without an output are passed over.
    """
    for each in sorted(path.glob("*.json")) if path.is_dir() else [path]:
        try:
            task = json.loads(each.read_text(encoding="utf-8"))
            definition = task["Definition"] if isinstance(task["Definition"], str) else task["Definition"][0]
            for instance in task["Instances"]:
                outputs = instance["output"] if isinstance(instance["output"], list) else [instance["output"]]
                if outputs:
                    yield GivenRecord(each.stem, definition.strip(), instance["input"].strip(), tuple(outputs))
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise UserError(f"{each}: no task of Super-NaturalInstructions ({type(error).__name__}: {error})") from None


def given_by_flan(path: Path) -> Iterator[GivenRecord]:
    """Flan's examples: JSON lines, or columns between tabs, of `inputs`, `targets` and perhaps `task_name`."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if path.suffix == ".tsv":
            cells = line.split("\t")
            if len(cells) not in (2, 3):
                raise UserError(f"{path}, line {number}: {len(cells)} columns, not inputs, targets and a task's name")
            inputs, targets, name = *cells[:2], cells[2] if len(cells) == 3 else path.stem
        else:
            try:
                row = json.loads(line)
                inputs, targets, name = row["inputs"], row["targets"], row.get("task_name", path.stem)
                (inputs + targets + name).encode()
            except (ValueError, LookupError, TypeError, AttributeError) as error:
                raise UserError(
                    f"{path}, line {number}: no example of Flan ({type(error).__name__}: {error})"
                ) from None
        yield GivenRecord(name, "", inputs.strip(), (targets.strip(),))


FORMATS = (STORYWORLD, "instruct", "fairytaleqa", "natural-instructions", "flan")
GIVEN = {"natural-instructions": given_by_natural_instructions, "flan": given_by_flan}
_WITH_SPLITS = (STORYWORLD, "fairytaleqa")


@dataclass(frozen=True, kw_only=True)
class RecordsConfig:
    """Where records come from."""

    name: str
    """storyworld, or the path of a file."""
    format: str = "storyworld"
    """storyworld, instruct, fairytaleqa, natural-instructions or flan."""
    split: str = "train"
    """train, validation, test or held_out, of storyworld and fairytaleqa; a file of the others is one split."""
    limit: int = 2000
    """At most so many records; of natural-instructions and flan, so many of each task."""
    seed: int = 0
    """Seed of StoryWorld."""
    licence: str = ""
    """Licence of the texts, for the cards of models; that of storyworld is known."""


def licence_of(config: RecordsConfig) -> str:
    """What is said, or else known, of the records' licence; `unknown` otherwise."""
    return config.licence or LICENCES.get(config.format, UNKNOWN_LICENCE)


def problems(config: RecordsConfig) -> list[str]:
    """All that is wrong with the settings, found without reading any."""
    found = []
    if config.format not in FORMATS:
        found.append(f"unknown format {config.format!r} of records: {nearest(config.format, FORMATS)}")
    if config.split not in SPLITS:
        found.append(f"unknown split {config.split!r} of records: {nearest(config.split, SPLITS)}")
    elif config.split != "train" and config.format in FORMATS and config.format not in _WITH_SPLITS:
        found.append(
            f"format {config.format} knows no split {config.split!r}: name the file that holds it, and leave out split"
        )
    if config.limit < 1:
        found.append(f"the limit of records must be at least 1, not {config.limit}")
    if config.format == STORYWORLD and config.name != STORYWORLD:
        found.append(f"{config.name!r} is no storyworld: say its format, one of {', '.join(FORMATS[1:])}")
    if config.format in FORMATS[1:] and not Path(config.name).exists():
        found.append(f"no such file or folder: {config.name}")
    return found


def story_records(config: RecordsConfig) -> Iterator[StoryRecord]:
    """The records of a source of stories, in its order."""
    path = Path(config.name)
    readers: dict[str, Callable[[], Iterator[StoryRecord]]] = {
        "storyworld": lambda: stories_of_storyworld(config.split, config.limit, config.seed),
        "instruct": lambda: stories_of_instruct(path),
        "fairytaleqa": lambda: stories_of_fairytaleqa(path, config.split),
    }
    return islice(readers[config.format](), config.limit)
