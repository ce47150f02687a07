"""Texts and tables in files, read as streams; every fault of a file is told with its place."""

import csv
import json
from codecs import BOM_UTF8
from collections.abc import Iterator
from pathlib import Path

from rot5.errors import UserError, nearest

SEPARATOR = "<|endoftext|>"
_BLOCK = 1 << 20


def texts(path: Path) -> Iterator[str]:
    """The texts of a file between separators, or those of a folder, one per `.txt` file in order of path.

    White space around a text is dropped, and so are texts of nothing else. Line ends become a line feed.
    """
    if path.is_dir():
        paths = sorted(path.rglob("*.txt"))
        if not paths:
            raise UserError(f"no .txt files in {path}")
        found = (_decode(each, data, position) for each in paths for data, position in _parts(each, None))
    else:
        found = (_decode(path, data, position) for data, position in _parts(path, SEPARATOR.encode()))
    return filter(None, map(str.strip, found))


def rows(path: Path, file_format: str, columns: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The named columns of a "jsonl", "csv" or "parquet" file, row by row, untouched."""
    return _READERS[file_format](path, columns)


def _lines(path: Path) -> Iterator[str]:
    """The lines of a file without their line feeds."""
    return (_decode(path, data, position) for data, position in _parts(path, b"\n"))


def _parts(path: Path, separator: bytes | None) -> Iterator[tuple[bytes, int]]:
    """What stands between separators, or all of it, with its position in the file; a byte order mark is dropped."""
    try:
        with open(path, "rb") as file:
            position = len(BOM_UTF8) if file.read(len(BOM_UTF8)) == BOM_UTF8 else 0
            file.seek(position)
            rest = b""
            while block := file.read(max(_BLOCK, len(rest)) if separator else -1):
                *ended, rest = (rest + block).split(separator) if separator else (block,)
                for part in ended:
                    yield part, position
                    position += len(part) + len(separator or b"")
            yield rest, position
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error


def _decode(path: Path, data: bytes, position: int) -> str:
    """The text of a part of the file, or a complaint that says where it stops to be UTF-8."""
    try:
        return data.decode().replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        at = position + error.start
        with open(path, "rb") as file:
            line = file.read(at).count(b"\n") + 1
        raise UserError(f"{path}: not UTF-8 text at byte {at} (line {line}): convert the file to UTF-8") from None


def _jsonl(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise UserError(f"{where}: not valid JSON: {error.msg} at character {error.pos + 1}") from None
        if not isinstance(row, dict):
            raise UserError(f"{where}: not a JSON object with named columns")
        _require(where, columns, row)
        yield _strings(where, columns, row)


def _csv(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    csv.field_size_limit(2**31 - 1)  # the standard limit is shorter than a novel
    reader = csv.DictReader(line + "\n" for line in _lines(path))
    try:
        if reader.fieldnames is not None:
            _require(str(path), columns, reader.fieldnames)
        for row in reader:
            yield _strings(f"{path}, line {reader.line_num}", columns, row)
    except csv.Error as error:
        raise UserError(f"{path}, line {reader.line_num}: not valid CSV: {error}") from None


def _parquet(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            _require(str(path), columns, file.schema_arrow.names)
            number = 0
            for batch in file.iter_batches(columns=list(dict.fromkeys(columns)), batch_size=1024):
                for row in batch.to_pylist():
                    number += 1
                    yield _strings(f"{path}, row {number}", columns, row)
    except (pyarrow.ArrowException, OSError) as error:
        raise UserError(f"cannot read {path} as Parquet: {str(error).splitlines()[0]}") from error


_READERS = {"jsonl": _jsonl, "csv": _csv, "parquet": _parquet}


def _require(where: str, columns, known) -> None:
    for column in columns:
        if column not in known:
            raise UserError(f"{where}: no column {column!r}: {nearest(column, map(str, known))}")


def _strings(where: str, columns: tuple[str, ...], row: dict) -> tuple[str, ...]:
    for column in columns:
        if not isinstance(row[column], str):
            held = "nothing" if row[column] is None else type(row[column]).__name__
            raise UserError(f"{where}: column {column!r} holds {held}, not text")
    return tuple(row[column] for column in columns)
