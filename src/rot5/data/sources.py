"""Where text comes from: StoryWorld, the hub's TinyStories or the user's files, as documents or as labelled pairs."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from rot5.data import files
from rot5.data.hub import Bookmarks, Stream
from rot5.data.instruct import looks_like_instruct, parse_instruct
from rot5.data.manifest import UNKNOWN_LICENCE
from rot5.data.parts import WHOLE, Part
from rot5.errors import UserError, nearest

if TYPE_CHECKING:
    from rot5.data.storyworld import Record

STORYWORLD = "storyworld"
HUB = {"tinystories": "roneneldan/TinyStories", "tinystories-instruct": "skeskinen/TinyStories-Instruct-hf"}
NAMES = (STORYWORLD, *HUB)
FORMATS = ("auto", "text", "instruct", "jsonl", "csv", "parquet")
SPLITS = ("train", "test", "validation", "held_out")
TEXTS = ("story", "record")
LICENCES = {STORYWORLD: "Apache-2.0", "tinystories": "cdla-sharing-1.0"}
"""Of texts that are known by name: what their makers say."""
_BY_SUFFIX = {suffix: file_format for file_format, suffix in files.SUFFIXES.items()}


@dataclass(frozen=True, kw_only=True)
class SourceConfig:
    """Which texts to read."""

    name: str = STORYWORLD
    """storyworld, tinystories, tinystories-instruct, or the path of a file or of a folder of files of one format."""

    format: str = "auto"
    """Of files: text (split at <|endoftext|>; in a folder each is one text), instruct (TinyStories-Instruct records),
    jsonl, csv or parquet; auto goes by the suffix, and for .txt by whether the first record has the fields of
    TinyStories-Instruct."""

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

    licence: str = ""
    """Licence of the texts, for the cards of models; those of storyworld and tinystories are known."""


class Pair(NamedTuple):
    """An input, the target to learn, all references to judge by, and the number of the record in its source."""

    input: str
    target: str
    references: tuple[str, ...]
    index: int
    task: str = ""
    """Of a mixture of tasks: which one."""
    metric: str = ""
    """How answers to the task are judged: rouge, exact or f1."""


def licence_of(config: SourceConfig) -> str:
    """What is said, or else known, of the texts' licence; `unknown` otherwise."""
    return config.licence or LICENCES.get(config.name, UNKNOWN_LICENCE)


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


class Documents:
    """The unlabelled texts of a source, as a stream; texts of nothing but white space are left out.

    Raises UserError, at once for wrong settings and on the way for a faulty file or one that holds no documents.
    """

    def __init__(self, config: SourceConfig, part: Part = WHOLE) -> None:
        """The whole source; or a part, which may be empty, of one without a limit or of StoryWorld."""
        self._config = config
        self._part = part
        _check(config)
        self._path, self._format = _file(config) if config.name not in NAMES else (None, config.name)

    def __iter__(self) -> Iterator[str]:
        """All, from the beginning."""
        return self._some(self._texts(), 0)

    def behind(self, first: int, bookmarks: Path) -> Iterator[str]:
        """Those behind the `first` documents.

        A stream from the hub is taken up near them, where the file `bookmarks` says, and says there how far it came.
        """
        if self._config.name not in HUB:
            return islice(iter(self), first, None)
        stream, marks = _hub(self._config, self._part), Bookmarks(bookmarks)
        passed, place = marks.newest(first)
        if place:
            stream.go_to(place)
        texts = marks.keep(filter(str.strip, self._told(stream)), stream, passed)
        return islice(self._some(texts, passed), first - passed, None)

    def _texts(self) -> Iterator[str]:
        config = self._config
        if config.name == STORYWORLD:
            records = storyworld(config.seed, config.split, *self._part.bounds(config.limit or 0))
            if config.text == "story":
                return (record.story for record in records)
            return (record.to_instruct().replace(files.SEPARATOR, "").strip() for record in records)
        if not self._path:
            return self._told(_hub(config, self._part))
        if self._format in ("text", "instruct"):
            return self._told(files.texts(self._path, self._part))
        return (text for (text,) in files.rows(self._path, self._format, (config.text_column,), self._part))

    def _told(self, records: Iterable[str]) -> Iterator[str]:
        """What there is to learn of each."""
        if self._format in ("instruct", "tinystories-instruct") and self._config.text == "story":
            return (parse_instruct(record).story for record in records)
        return iter(records)

    def _some(self, texts: Iterator[str], passed: int) -> Iterator[str]:
        spoken = filter(str.strip, texts)
        return _some(spoken, self._config, "documents", passed, may_be_empty=self._part != WHOLE)


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
        found = _instruct_pairs(_hub(config, WHOLE))
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
    if path.is_dir() and config.format in FORMATS:
        kinds = _kinds(path)
        if config.format == "instruct":
            found.append(f"{path} is a folder, each of whose .txt files is one text: name the file that holds records")
        elif config.format == "auto" and len(kinds) > 1:
            found.append(f"{path} holds files of formats {' and '.join(kinds)}: set the format to one of them")
        elif config.format not in ("auto", *kinds):
            found.append(f"no {files.SUFFIXES[config.format]} files in {path}")
    elif config.format == "auto" and path.suffix.lower() not in _BY_SUFFIX:
        found.append(f"the suffix of {path} does not tell its format: set it to one of {', '.join(FORMATS[1:])}")
    return found


def _file(config: SourceConfig) -> tuple[Path, str]:
    """The path and the format of a source that is no name."""
    _check(config)
    path = Path(config.name)
    if config.format != "auto":
        return path, config.format
    if path.is_dir():
        return path, next(iter(_kinds(path)), "text")
    file_format = _BY_SUFFIX[path.suffix.lower()]
    if file_format == "text" and looks_like_instruct(next(files.texts(path), "")):
        file_format = "instruct"
    return path, file_format


def _kinds(folder: Path) -> list[str]:
    """The formats of the files in a folder."""
    return sorted({_BY_SUFFIX[path.suffix] for path in folder.rglob("*") if path.suffix in _BY_SUFFIX})


def _some(
    found: Iterator[Any], config: SourceConfig, what: str, passed: int = 0, *, may_be_empty: bool = False
) -> Iterator[Any]:
    """Up to the limit, some of which were passed already, and a complaint if there are none."""
    number = passed
    for number, each in enumerate(islice(found, config.limit and config.limit - passed), start=passed + 1):  # noqa: B007
        yield each
    if number == 0 and not may_be_empty:
        raise UserError(f"no {what} in {config.name}")


def _instruct_pairs(records: Iterable[str]) -> Iterator[Pair]:
    for index, text in enumerate(records):
        record = parse_instruct(text)
        if record.summary:
            yield Pair(record.story, record.summary, (record.summary,), index)


def storyworld(seed: int, split: str, first: int = 0, stop: int | None = None) -> Iterator["Record"]:
    """StoryWorld's records of a split, from the `first` on, without end or to the one before `stop`."""
    from rot5.data.storyworld import StoryWorld, is_test

    if split not in SPLITS:
        raise UserError(f"unknown split {split!r}: {nearest(split, SPLITS)}")
    world = StoryWorld(seed, held_out=split == "held_out")
    numbers = (number for number in count() if split == "held_out" or is_test(number) == (split != "train"))
    return (world[number] for number in islice(numbers, first, stop))


def _hub(config: SourceConfig, part: Part) -> Stream:
    return Stream(HUB[config.name], "train" if config.split == "train" else "validation", part)
