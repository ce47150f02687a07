"""Texts and tables in files, read as streams; every fault of a file is told with its place."""

import contextlib
import csv
import json
import sys
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from rot5.data.parts import WHOLE, Part, Span, spans
from rot5.errors import UserError, nearest

SEPARATOR = "<|endoftext|>"
SUFFIXES = {"text": ".txt", "jsonl": ".jsonl", "csv": ".csv", "parquet": ".parquet"}
_BLOCK = 1 << 20


def texts(path: Path, part: Part = WHOLE) -> Iterator[str]:
    """The texts of a file between separators, or those of a folder, one per `.txt` file in order of path.

    White space around a text is dropped, and so are texts of nothing else. Line ends become a line feed. A part has the
    texts that begin in it.
    """
    separator = None if path.is_dir() else SEPARATOR.encode()
    parts = (found for span in spans(paths(path, "text"), part) for found in _parts(span, separator))
    return filter(None, (_decode(*found).strip() for found in parts))


def texts_given(name: str) -> list[str]:
    """The texts of a file or a folder, or of standard input for `-`; raises UserError if there are none."""
    if name == "-":
        try:
            text = sys.stdin.buffer.read().decode()
        except UnicodeDecodeError as error:
            raise UserError(f"standard input is not UTF-8 text at byte {error.start}: convert it to UTF-8") from error
        found = [part.strip() for part in text.split(SEPARATOR) if part.strip()]
    else:
        found = list(texts(Path(name)))
    if not found:
        raise UserError(f"{'standard input' if name == '-' else name} is empty: give some text")
    return found


def rows(path: Path, file_format: str, columns: tuple[str, ...], part: Part = WHOLE) -> Iterator[tuple[str, ...]]:
    """The named columns of a "jsonl", "csv" or "parquet" file, or of all in a folder, row by row, untouched.

    A part has the lines that begin in it of a jsonl file, and whole files of the others: those that begin in it.
    """
    for span in spans(paths(path, file_format), part):
        if file_format == "jsonl":
            yield from _jsonl(span, columns)
        elif span.start == 0:
            yield from _READERS[file_format](span.path, columns)


def paths(path: Path, file_format: str) -> list[Path]:
    """The file itself, or the files of that format in a folder, in order."""
    if not path.is_dir():
        return [path]
    suffix = SUFFIXES[file_format]
    found = sorted(each for each in path.rglob(f"*{suffix}") if each.is_file())
    if not found:
        raise UserError(f"no {suffix} files in {path}")
    return found


class _Piece(NamedTuple):
    """Some of a file, and where in it that stands."""

    path: Path
    data: bytes
    position: int


def _parts(span: Span, separator: bytes | None) -> Iterator[_Piece]:
    """What stands between separators and begins in the span, or the file if it does; a byte order mark is dropped."""
    try:
        with open(span.path, "rb") as file:
            position = len(BOM_UTF8) if file.read(len(BOM_UTF8)) == BOM_UTF8 else 0
            if separator is None:
                if span.start == 0:
                    file.seek(position)
                    yield _Piece(span.path, file.read(), position)
                return
            inside = span.start == 0
            if not inside:  # a separator that ends where the span starts stands in front of it
                position = max(span.start - len(separator), 0)
            file.seek(position)
            rest = b""
            while block := file.read(max(_BLOCK, len(rest))):
                *ended, rest = (rest + block).split(separator)
                for data in ended:
                    if inside:
                        yield _Piece(span.path, data, position)
                    inside = True
                    position += len(data) + len(separator)
                    if position >= span.stop:
                        return
            if inside:
                yield _Piece(span.path, rest, position)
    except OSError as error:
        raise UserError(f"cannot read {span.path}: {error.strerror}") from error


def _decode(path: Path, data: bytes, position: int) -> str:
    """The text of a part of the file, or a complaint that says where it stops to be UTF-8."""
    try:
        return data.decode().replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        at = position + error.start
        raise UserError(
            f"{path}: not UTF-8 text at byte {at} (line {_line(path, at)}): convert the file to UTF-8"
        ) from None


def _line(path: Path, position: int) -> int:
    """The number of the line in which a byte stands."""
    with open(path, "rb") as file:
        return file.read(position).count(b"\n") + 1


def _jsonl(span: Span, columns: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for piece in _parts(span, b"\n"):
        line = _decode(*piece)
        if not line.strip():
            continue
        try:
            found = _row(line, columns)
        except UserError as error:
            raise UserError(f"{piece.path}, line {_line(piece.path, piece.position)}: {error}") from None
        yield found


def _row(line: str, columns: tuple[str, ...]) -> tuple[str, ...]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise UserError(f"not valid JSON: {error.msg} at character {error.pos + 1}") from None
    except (ValueError, RecursionError):
        raise UserError("JSON with a number too long or nested too deeply") from None
    if not isinstance(row, dict):
        raise UserError("not a JSON object with named columns")
    _require(columns, row)
    return _strings(columns, row)


def _csv(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    csv.field_size_limit(2**31 - 1)  # the standard limit is shorter than a novel
    reader = csv.DictReader(_decode(*piece) + "\n" for span in spans([path], WHOLE) for piece in _parts(span, b"\n"))
    try:
        with _located(str(path)):
            _require(columns, reader.fieldnames or columns)
        for row in reader:
            with _located(f"{path}, line {reader.line_num}"):
                found = _strings(columns, row)
            yield found
    except csv.Error as error:
        raise UserError(f"{path}, line {reader.line_num}: not valid CSV: {error}") from None


def _parquet(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            with _located(str(path)):
                _require(columns, file.schema_arrow.names)
            number = 0
            for batch in file.iter_batches(columns=list(dict.fromkeys(columns)), batch_size=1024):
                for row in batch.to_pylist():
                    number += 1
                    with _located(f"{path}, row {number}"):
                        found = _strings(columns, row)
                    yield found
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path} as Parquet: {str(error).splitlines()[0]}") from error


_READERS = {"csv": _csv, "parquet": _parquet}


@contextlib.contextmanager
def _located(where: str) -> Iterator[None]:
    """Complaints that say where."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{where}: {error}") from None


def _require(columns: tuple[str, ...], known: Iterable[object]) -> None:
    for column in columns:
        if column not in known:
            raise UserError(f"no column {column!r}: {nearest(column, map(str, known))}")


def _strings(columns: tuple[str, ...], row: Mapping[str, object]) -> tuple[str, ...]:
    found = []
    for column in columns:
        text = row.get(column)
        if not isinstance(text, str):
            held = "nothing" if text is None else type(text).__name__
            raise UserError(f"column {column!r} holds {held}, not text")
        found.append(text)
    return tuple(found)
