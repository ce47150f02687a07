"""Where text comes from: StoryWorld, the hub's TinyStories or the user's files, as documents or as labelled pairs."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from rot5.data import files
from rot5.data.instruct import looks_like_instruct, parse_instruct
from rot5.errors import UserError, nearest

if TYPE_CHECKING:
    from rot5.data.storyworld import Record

STORYWORLD = "storyworld"
HUB = {"tinystories": "roneneldan/TinyStories", "tinystories-instruct": "skeskinen/TinyStories-Instruct-hf"}
NAMES = (STORYWORLD, *HUB)
FORMATS = ("auto", "text", "instruct", "jsonl", "csv", "parquet")
SPLITS = ("train", "test", "validation", "held_out")
TEXTS = ("story", "record")
_BY_SUFFIX = {".txt": "text", ".jsonl": "jsonl", ".csv": "csv", ".parquet": "parquet"}


@dataclass(frozen=True, kw_only=True)
class SourceConfig:
    """Which texts to read."""

    name: str = STORYWORLD
    """storyworld, tinystories, tinystories-instruct, or the path of a file or of a folder of .txt files."""

    format: str = "auto"
    """Of a file: text (split at <|endoftext|>), instruct (TinyStories-Instruct records), jsonl, csv or parquet; auto
    goes by the suffix, and for .txt by whether the first record has the fields of TinyStories-Instruct."""

    text_column: str = "text"
    """Column of a jsonl, csv or parquet file that holds the documents."""

    input_column: str = "story"
    """Column that holds the inputs of labelled pairs."""

    target_column: str = "summary"
    """Column that holds the targets of labelled pairs."""

    text: str = "story"
    """What unlabelled text is, where stories come with fields: the story alone, or the record, summary included."""

    split: str = "train"
    """train, test (the hub's is called validation: either word will do), or StoryWorld's held_out compositions."""

    limit: int | None = None
    """At most so many documents or pairs; StoryWorld, which has no end, needs it."""

    seed: int = 0
    """Seed of StoryWorld."""


class Pair(NamedTuple):
    """An input, the target to learn, all references to judge by, and the number of the record in its source."""

    input: str
    target: str
    references: tuple[str, ...]
    index: int


def problems(config: SourceConfig) -> list[str]:
    """All that is wrong with the settings, found without reading any text."""
    found = []
    for field, known in (("format", FORMATS), ("text", TEXTS), ("split", SPLITS)):
        value = getattr(config, field)
        if value not in known:
            found.append(f"unknown {field} {value!r} of a source: {nearest(str(value), known)}")
    if config.limit is not None and config.limit < 1:
        found.append(f"the limit of a source must be at least 1, not {config.limit}")
    if config.name == STORYWORLD:
        if config.limit is None:
            found.append("storyworld has no end: set the limit of the source")
    elif config.name in HUB:
        if config.split == "held_out":
            found.append(f"{config.name} has no split held_out: choose train or validation")
    else:
        found += _path_problems(config)
    return found


def documents(config: SourceConfig) -> Iterator[str]:
    """The unlabelled texts, as a stream; texts of nothing but white space are left out.

    Raises UserError, at once for wrong settings and on the way for a faulty file or one that holds no documents.
    """
    if config.name == STORYWORLD or config.name in HUB:
        _check(config)
        found = _named_documents(config)
    else:
        path, file_format = _file(config)
        if file_format == "text":
            found = files.texts(path)
        elif file_format == "instruct":
            found = (_unlabelled(record, config) for record in files.texts(path))
        else:
            found = (text for (text,) in files.rows(path, file_format, (config.text_column,)))
    return _some((text for text in found if text.strip()), config, "documents")


def pairs(config: SourceConfig) -> Iterator[Pair]:
    """The labelled pairs of story and summary, as a stream; records that lack either are left out.

    StoryWorld gives three references for each, of which the first is the target; elsewhere there is one. Raises
    UserError as `documents` does, and for a source without labels.
    """
    if config.name == STORYWORLD:
        _check(config)
        found = (
            Pair(record.story, record.summaries[0], tuple(record.summaries), record.index)
            for record in storyworld(config.seed, config.split)
        )
    elif config.name == "tinystories-instruct":
        _check(config)
        found = _instruct_pairs(_hub(config))
    elif config.name in HUB:
        raise UserError(f"{config.name} has no summaries: use tinystories-instruct or storyworld")
    else:
        path, file_format = _file(config)
        if file_format == "text":
            raise UserError(f"{path} is plain text without summaries: give TinyStories-Instruct records or a table")
        if file_format == "instruct":
            found = _instruct_pairs(files.texts(path))
        else:
            table = files.rows(path, file_format, (config.input_column, config.target_column))
            found = (Pair(story, summary, (summary,), n) for n, (story, summary) in enumerate(table))
    return _some((pair for pair in found if pair.input.strip() and pair.target.strip()), config, "pairs")


def _check(config: SourceConfig) -> None:
    if found := problems(config):
        raise UserError("; ".join(found))


def _path_problems(config: SourceConfig) -> list[str]:
    path = Path(config.name)
    if not path.exists():
        if path.suffix or len(path.parts) > 1:
            return [f"no such file or folder: {path}"]
        return [f"neither a source nor a file: {config.name!r}: {nearest(config.name, NAMES)}"]
    found = []
    if config.split != "train":
        found.append(f"{path} is a file and has no split {config.split!r}: name the file that holds it")
    if path.is_dir():
        if config.format not in ("auto", "text"):
            found.append(
                f"{path} is a folder, of which only .txt files are read: name a file of format {config.format}"
            )
    elif config.format == "auto" and path.suffix.lower() not in _BY_SUFFIX:
        found.append(f"the suffix of {path} does not tell its format: set it to one of {', '.join(FORMATS[1:])}")
    return found


def _file(config: SourceConfig) -> tuple[Path, str]:
    """The path and the format of a source that is no name."""
    _check(config)
    path = Path(config.name)
    if path.is_dir() or config.format != "auto":
        return path, "text" if path.is_dir() else config.format
    file_format = _BY_SUFFIX[path.suffix.lower()]
    if file_format == "text" and looks_like_instruct(next(files.texts(path), "")):
        file_format = "instruct"
    return path, file_format


def _some(found: Iterator[Any], config: SourceConfig, what: str) -> Iterator[Any]:
    """Up to the limit, and a complaint if there are none."""
    number = 0
    for number, each in enumerate(islice(found, config.limit), start=1):  # noqa: B007
        yield each
    if number == 0:
        raise UserError(f"no {what} in {config.name}")


def _named_documents(config: SourceConfig) -> Iterator[str]:
    if config.name == STORYWORLD:
        for record in storyworld(config.seed, config.split):
            yield record.story if config.text == "story" else record.to_instruct().replace(files.SEPARATOR, "").strip()
    else:
        for text in _hub(config):
            yield _unlabelled(text, config) if config.name == "tinystories-instruct" else text.strip()


def _unlabelled(record: str, config: SourceConfig) -> str:
    return parse_instruct(record).story if config.text == "story" else record


def _instruct_pairs(records: Iterator[str]) -> Iterator[Pair]:
    for index, text in enumerate(records):
        record = parse_instruct(text)
        if record.summary:
            yield Pair(record.story, record.summary, (record.summary,), index)


def storyworld(seed: int, split: str) -> Iterator["Record"]:
    """StoryWorld's records of a split, without end."""
    from rot5.data.storyworld import StoryWorld, is_test

    if split not in SPLITS:
        raise UserError(f"unknown split {split!r}: {nearest(split, SPLITS)}")
    world = StoryWorld(seed, held_out=split == "held_out")
    for number in count():
        if split == "held_out" or is_test(number) == (split != "train"):
            yield world[number]


def _hub(config: SourceConfig) -> Iterator[str]:
    """The texts of a data set on the hub, streamed."""
    import datasets
    from datasets.exceptions import DatasetsError

    name = HUB[config.name]
    try:
        stream = datasets.load_dataset(name, split="train" if config.split == "train" else "validation", streaming=True)
        for row in stream:
            yield row["text"].replace(files.SEPARATOR, "").strip()
    except (OSError, RuntimeError, ValueError, DatasetsError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"cannot read {name} from the hub: {reason}; the path of a local copy will do too") from error
