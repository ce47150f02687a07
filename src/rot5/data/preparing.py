"""Text and pairs of texts into corpora, shard by shard; what was stopped on the way can be taken up."""

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Encoding
from transformers import PreTrainedTokenizerFast

from rot5.data.corpus import REFERENCES
from rot5.data.manifest import FORMAT, MANIFEST, seal_of, write_sealed
from rot5.data.sources import Pair
from rot5.data.tokenizer import fingerprint, text_encoder
from rot5.errors import UserError
from rot5.folders import locked, put_in_place, settle, sync, undo, unfinished, write_json

PROGRESS = "progress.json"
"""In an unfinished folder: how far it is good, to go on from there."""
_TOKENS_PER_NOTE = 1 << 24
_CHARACTERS_PER_BATCH = 1 << 20


def prepare(
    documents: Iterable[str],
    tokenizer: PreTrainedTokenizerFast,
    folder: Path | str,
    *,
    source: str,
    licence: str = "unknown",
    max_shard_tokens: int = 2**26,
    settings: Mapping[str, Any] | None = None,
    resume: bool = False,
) -> dict[str, Any]:
    """Encode `documents` into a corpus and return its manifest.

    A stream of any length takes bounded memory. The folder is complete or absent, and a corpus that was there stays
    until this one is whole. With `resume`, documents that a stopped call has dealt with are passed over; `settings`,
    plain JSON, must then be what they were. Raises UserError if they are not, if there are no documents, or if the
    folder holds something else.
    """
    with _begun(folder, dict(settings or {}), resume) as journal:
        writer = _Writer(journal.folder, tokenizer, max_shard_tokens, journal.place("documents"))
        rows = ((text,) for text in islice(documents, writer.num_documents, None))
        for (texts,), (encodings,) in _encoded(rows, tokenizer, 1, writer.num_documents):
            writer.add(texts, encodings)
            journal.note(writer.num_tokens, lambda: {"documents": writer.commit()})
        if not writer.num_documents:
            raise UserError(f"no documents in {source}")
        return writer.finish(source, licence)


def prepare_pairs(
    pairs: Iterable[Pair],
    tokenizer: PreTrainedTokenizerFast,
    folder: Path | str,
    *,
    source: str,
    licence: str = "unknown",
    max_shard_tokens: int = 2**26,
    settings: Mapping[str, Any] | None = None,
    resume: bool = False,
) -> dict[str, Any]:
    """Encode pairs into two corpora of equal length, keep their texts for evaluation, and return the manifest.

    Complete or absent, bounded in memory, taken up and refused as in `prepare`.
    """
    with _begun(folder, dict(settings or {}), resume) as journal:
        partial = journal.folder
        inputs, targets = (
            _Writer(partial / side, tokenizer, max_shard_tokens, journal.place(side)) for side in ("inputs", "targets")
        )
        with open(partial / REFERENCES, "ab") as references:
            references.truncate(journal.place("references").get("bytes", 0))
            references.seek(0, os.SEEK_END)

            def commit() -> dict[str, dict[str, int]]:
                references.flush()
                os.fsync(references.fileno())
                return {
                    "inputs": inputs.commit(), "targets": targets.commit(), "references": {"bytes": references.tell()}
                }  # fmt: skip

            rows = (
                (pair.input, pair.target, json.dumps(pair._asdict()) + "\n")
                for pair in islice(pairs, inputs.num_documents, None)
            )
            for (stories, summaries, lines), (encoded_stories, encoded_summaries) in _encoded(
                rows, tokenizer, 2, inputs.num_documents
            ):
                inputs.add(stories, encoded_stories)
                targets.add(summaries, encoded_summaries)
                references.writelines(line.encode() for line in lines)
                journal.note(inputs.num_tokens + targets.num_tokens, commit)
        if not inputs.num_documents:
            raise UserError(f"no pairs in {source}")
        manifest = {
            "format": FORMAT,
            "kind": "pairs",
            "source": source,
            "licence": licence,
            "tokenizer": inputs.fingerprint,
            "pairs": inputs.num_documents,
            "inputs": inputs.finish(source, licence),
            "targets": targets.finish(source, licence),
            "files": {REFERENCES: seal_of(partial / REFERENCES)},
        }
        return write_sealed(partial, manifest)


class _Journal:
    """How far an unfinished folder is good. `place(part)` is what a part noted last, nothing at the beginning."""

    def __init__(self, folder: Path, settings: dict[str, Any], noted: dict[str, Any]) -> None:
        self.folder = folder
        self._settings = settings
        self._places: dict[str, dict[str, int]] = noted.get("places", {})
        self._tokens = noted.get("tokens", 0)

    def place(self, part: str) -> dict[str, int]:
        return self._places.get(part, {})

    def note(self, tokens: int, commit: Callable[[], dict[str, dict[str, int]]]) -> None:
        """With so many tokens written, see whether it is time to make them durable, and to note it."""
        if tokens - self._tokens >= _TOKENS_PER_NOTE:
            self._tokens, self._places = tokens, commit()
            noted = {"settings": self._settings, "tokens": tokens, "places": self._places}
            write_json(self.folder / PROGRESS, noted)


@contextlib.contextmanager
def _begun(folder: Path | str, settings: dict[str, Any], resume: bool) -> Iterator[_Journal]:
    """The folder where a corpus is made, new or taken up, which takes the place of `folder` if the block ends well.

    It stays behind when the block is stopped from outside, to be taken up, and goes where the block fails.
    """
    folder = _free(folder)
    partial = unfinished(folder)
    with _lock(folder):
        settle(folder)
        noted = noted_progress(folder, settings) if resume else {}
        if not noted:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
        for torn in partial.rglob("partial-*"):
            torn.unlink()
        try:
            yield _Journal(partial, settings, noted)
            (partial / PROGRESS).unlink(missing_ok=True)
            put_in_place(folder)
        except BaseException as reason:
            if isinstance(reason, Exception) or not (partial / PROGRESS).is_file():
                undo(folder)
            raise


def tidy(folder: Path) -> None:
    """Clear away what a killed preparation left beside a corpus that is whole."""
    with _lock(folder):
        settle(folder)


def _lock(folder: Path) -> contextlib.AbstractContextManager[int]:
    return locked(folder.with_name(f"lock-{folder.name}"))


def noted_progress(folder: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What a stopped preparation of `folder` noted; nothing if there is none. Raises UserError for other settings."""
    path = unfinished(folder) / PROGRESS
    if not path.is_file():
        return {}
    noted = json.loads(path.read_text(encoding="utf-8"))
    changed = [
        key for key in settings.keys() | noted["settings"].keys() if settings.get(key) != noted["settings"].get(key)
    ]
    if changed:
        raise UserError(
            f"{folder} was begun with other settings ({', '.join(sorted(changed))}): restore them to go on, or leave "
            "out --resume to begin anew"
        )
    return noted


class _Growing:
    """A one-dimensional .npy file that is written from front to end. Its header is right once it is closed."""

    def __init__(self, path: Path, dtype: np.dtype, size: int = 0) -> None:
        """Begin the file, or go on behind the `size` values that are good."""
        self.size = size
        self._dtype = dtype
        self._file = path.open("r+b" if size else "wb")
        self._write_header()
        self._file.truncate(self._file.tell() + size * dtype.itemsize)
        self._file.seek(0, os.SEEK_END)

    def append(self, values: np.ndarray) -> None:
        self._file.write(values.astype(self._dtype, copy=False).tobytes())
        self.size += len(values)

    def commit(self) -> int:
        """Make durable what was written, and return how much that is."""
        self._file.flush()
        os.fsync(self._file.fileno())
        return self.size

    def close(self) -> None:
        self._file.seek(0)
        self._write_header()
        self.commit()
        self._file.close()

    def _write_header(self) -> None:
        """The header of a .npy file, which numpy pads so that the final length fits over the first one written."""
        header = {"descr": self._dtype.str, "fortran_order": False, "shape": (self.size,)}
        np.lib.format.write_array_header_1_0(self._file, header)


class _Writer:
    """Writes one corpus, shard by shard; nothing but a batch of documents is held in memory."""

    def __init__(
        self,
        folder: Path,
        tokenizer: PreTrainedTokenizerFast,
        max_shard_tokens: int,
        place: Mapping[str, int],
    ) -> None:
        folder.mkdir(exist_ok=True)
        if not place:
            tokenizer.save_pretrained(str(folder / "tokenizer"))
            for path in (folder / "tokenizer").iterdir():
                sync(path)
        self.folder = folder
        self.fingerprint = fingerprint(tokenizer)
        self.num_documents, self.num_tokens, self.num_bytes, self.num_shards = (
            place.get(key, 0) for key in ("documents", "tokens", "bytes", "shards")
        )
        self._vocab_size = len(tokenizer)
        self._dtype = np.dtype(np.uint16 if self._vocab_size <= 2**16 else np.uint32)
        self._max_shard_tokens = max_shard_tokens
        self._tokens: _Growing | None = None
        self._offsets: _Growing | None = None
        for path in [*folder.glob("tokens-*.npy"), *folder.glob("offsets-*.npy")]:
            if int(path.stem.partition("-")[2]) >= self.num_shards + bool(place.get("open_offsets")):
                path.unlink()
        if place.get("open_offsets"):
            self._open_shard(place["open_tokens"], place["open_offsets"])

    def commit(self) -> dict[str, int]:
        """Make durable what was written; the place to go on from."""
        return {
            "documents": self.num_documents,
            "tokens": self.num_tokens,
            "bytes": self.num_bytes,
            "shards": self.num_shards,
            "open_tokens": self._tokens.commit() if self._tokens else 0,
            "open_offsets": self._offsets.commit() if self._offsets else 0,
        }

    def add(self, texts: list[str], encodings: list[Encoding]) -> None:
        """Append a batch of documents, given with their encodings."""
        lengths = np.fromiter(map(len, encodings), np.int64, len(encodings))
        tokens = np.fromiter(chain.from_iterable(each.ids for each in encodings), self._dtype, lengths.sum())
        ends = np.cumsum(lengths)
        done = 0
        while done < len(texts):
            # as many documents as the shard has room for, but at least one in an empty shard
            begin = ends[done] - lengths[done]
            room = begin + self._max_shard_tokens - (self._tokens.size if self._tokens else 0)
            fitting = int(np.searchsorted(ends, room, side="right"))
            if fitting <= done:
                if self._tokens:
                    self._close_shard()
                    continue
                fitting = done + 1
            self._append(tokens[begin : ends[fitting - 1]], lengths[done:fitting])
            done = fitting
        self.num_documents += len(texts)
        self.num_bytes += sum(len(text) if text.isascii() else len(text.encode()) for text in texts)

    def finish(self, source: str, licence: str) -> dict[str, Any]:
        """Close the last shard, write the manifest and return it."""
        self._close_shard()
        paths = sorted(
            path for path in self.folder.rglob("*") if path.is_file() and path.name not in (PROGRESS, MANIFEST)
        )
        manifest = {
            "format": FORMAT,
            "kind": "documents",
            "source": source,
            "licence": licence,
            "tokenizer": self.fingerprint,
            "vocab_size": self._vocab_size,
            "documents": self.num_documents,
            "tokens": self.num_tokens,
            "bytes": self.num_bytes,
            "files": {path.relative_to(self.folder).as_posix(): seal_of(path) for path in paths},
        }
        return write_sealed(self.folder, manifest)

    def _append(self, tokens: np.ndarray, lengths: np.ndarray) -> None:
        if not self._tokens:
            self._open_shard(0, 0)
        assert self._tokens and self._offsets
        self._offsets.append(self._tokens.size + np.cumsum(lengths))
        self._tokens.append(tokens)
        self.num_tokens += len(tokens)

    def _open_shard(self, num_tokens: int, num_offsets: int) -> None:
        names = (self.folder / f"{kind}-{self.num_shards:05d}.npy" for kind in ("tokens", "offsets"))
        self._tokens = _Growing(next(names), self._dtype, num_tokens)
        self._offsets = _Growing(next(names), np.dtype(np.int64), num_offsets)
        if not num_offsets:
            self._offsets.append(np.zeros(1, np.int64))

    def _close_shard(self) -> None:
        if self._tokens and self._offsets:
            self._tokens.close()
            self._offsets.close()
            self.num_shards += 1
        self._tokens = self._offsets = None


def _encoded(
    rows: Iterable[tuple[str, ...]], tokenizer: PreTrainedTokenizerFast, encoded: int, first: int
) -> Iterator[tuple[list[list[str]], list[list[Encoding]]]]:
    """Batches of rows, numbered from `first`, as columns of texts, and encodings of the first `encoded` columns.

    A batch is encoded in a second thread, which needs no interpreter, while the caller deals with the one before.
    """
    encoder = text_encoder(tokenizer)

    def encode(columns: list[list[str]]) -> list[list[Encoding]]:
        return [encoder.encode_batch_fast(column, add_special_tokens=False) for column in columns[:encoded]]

    with ThreadPoolExecutor(max_workers=1) as pool:
        before = None
        for columns in _batches(rows, first):
            coming = columns, pool.submit(encode, columns)
            if before:
                yield before[0], before[1].result()
            before = coming
        if before:
            yield before[0], before[1].result()


def _batches(rows: Iterable[tuple[str, ...]], first: int) -> Iterator[list[list[str]]]:
    """Columns of as many rows as make up a fixed amount of text; raises UserError for a text that has no UTF-8 form."""
    batch: list[tuple[str, ...]] = []
    characters = 0
    for number, row in enumerate(rows, start=first):
        for text in row:
            if not text.isascii():
                _check_text(text, number)
            characters += len(text)
        batch.append(row)
        if characters >= _CHARACTERS_PER_BATCH:
            yield [list(column) for column in zip(*batch, strict=True)]
            batch, characters = [], 0
    if batch:
        yield [list(column) for column in zip(*batch, strict=True)]


def _check_text(text: str, number: int) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UserError(
            f"document {number} holds a lone surrogate at character {error.start}, which is no text: remove it"
        ) from None


def _free(folder: Path | str) -> Path:
    """The folder, if nothing would be lost by writing a corpus there."""
    folder = Path(folder)
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir()) and not (folder / MANIFEST).is_file()):
        raise UserError(f"{folder} exists and is not a corpus: name a new folder")
    return folder
