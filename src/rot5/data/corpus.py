"""Prepared text: token shards on disk, mapped into memory and read by whole vectors of documents.

    tokens-00000.npy   uint16 (uint32 beyond 65,536 ids): the documents of a shard end to end, without special tokens
    offsets-00000.npy  int64, one more than documents: where in the shard each one starts
    tokenizer/         the tokenizer that made them
    manifest.json      fingerprint, counts, size and sha256 of each file, source and licence

A folder of pairs holds two such folders, `inputs/` and `targets/`, `references.jsonl` and a manifest of kind "pairs".
"""

import contextlib
import hashlib
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice
from pathlib import Path
from tokenize import TokenError
from typing import Any, Protocol
from zipfile import BadZipFile

import numpy as np
from tokenizers import Encoding
from transformers import PreTrainedTokenizerFast

from rot5.data.order import Order
from rot5.data.ragged import Ragged
from rot5.data.sources import Pair
from rot5.data.tokenizer import fingerprint, load_tokenizer, text_encoder
from rot5.errors import UserError
from rot5.folders import locked, put_in_place, settle, sync, undo, unfinished, write_json

FORMAT = 1
MANIFEST = "manifest.json"
REFERENCES = "references.jsonl"
SEAL = "seal"
"""Of a manifest: the sha256 of all else in it."""
PROGRESS = "progress.json"
"""In an unfinished folder: how far it is good, to go on from there."""
_TOKENS_PER_NOTE = 1 << 24
_CHARACTERS_PER_BATCH = 1 << 20
_DOCUMENTS_AT_ONCE = 1024


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
            "files": {REFERENCES: _seal(partial / REFERENCES)},
        }
        return _sealed(partial, manifest)


class Corpus:
    """A prepared corpus; its tokens stay on disk until they are read. Can be sent to other processes."""

    folder: Path
    manifest: dict[str, Any]
    lengths: np.ndarray
    """int64[documents]: tokens of each document."""

    def __init__(self, folder: Path, manifest: dict[str, Any]) -> None:
        self.folder = folder
        self.manifest = manifest
        names = sorted(name for name in manifest["files"] if name.startswith("tokens-"))
        self._shards = [_vector(folder / name, "ui", mapped=True) for name in names]
        offsets = [_vector(folder / name.replace("tokens-", "offsets-"), "i") for name in names]
        for shard, starts in zip(self._shards, offsets, strict=True):
            if not len(starts) or starts[0] or starts[-1] != len(shard) or (np.diff(starts) < 0).any():
                raise UserError(
                    f"the corpus at {folder} is damaged: offsets are not those of its tokens; prepare it again"
                )
        if manifest["documents"] != sum(len(each) - 1 for each in offsets) or not names:
            raise UserError(f"the corpus at {folder} is damaged: {MANIFEST} counts other documents; prepare it again")
        self._starts = np.concatenate([each[:-1] for each in offsets])
        self._first_documents = np.cumsum([0, *(len(each) - 1 for each in offsets)])
        self.lengths = np.concatenate([np.diff(each) for each in offsets])

    @classmethod
    def open(cls, folder: Path | str) -> "Corpus":
        """Map the corpus at `folder`; raises UserError if there is none, or if files are missing or cut short."""
        folder = Path(folder)
        return cls(folder, _manifest(folder, "documents"))

    def __reduce__(self):
        return Corpus.open, (self.folder,)

    @property
    def num_documents(self) -> int:
        return self.manifest["documents"]

    @property
    def num_tokens(self) -> int:
        return self.manifest["tokens"]

    @property
    def num_bytes(self) -> int:
        """UTF-8 bytes of all documents: the denominator of bits per byte."""
        return self.manifest["bytes"]

    @property
    def tokenizer_fingerprint(self) -> str:
        return self.manifest["tokenizer"]

    def read(self, documents: np.ndarray, starts: np.ndarray, stops: np.ndarray) -> Ragged:
        """Tokens `starts[i]:stops[i]` of document `documents[i]`, for all i at once and in any order.

        All three are int64[N] with 0 <= starts <= stops <= the document's length.
        """
        documents, starts, stops = (np.asarray(each, dtype=np.int64) for each in (documents, starts, stops))
        assert ((starts >= 0) & (starts <= stops) & (stops <= self.lengths[documents])).all()
        assert (documents >= 0).all()
        lengths = stops - starts
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        # place[j] is where in its shard the j-th value stands
        place = np.repeat(self._starts[documents] + starts - offsets[:-1], lengths) + np.arange(offsets[-1])
        if len(self._shards) == 1:
            return Ragged(self._shards[0][place].astype(np.int64), offsets)
        shards = np.searchsorted(self._first_documents, documents, side="right") - 1
        shard_of_value = np.repeat(shards, lengths)
        values = np.empty(offsets[-1], dtype=np.int64)
        for shard in np.unique(shards):
            here = shard_of_value == shard
            values[here] = self._shards[shard][place[here]]
        return Ragged(values, offsets)

    def order(self, longest_piece: int, seed: int, shuffle: bool) -> Order:
        """Which piece of which document an example shows."""
        return Order(self.lengths, longest_piece, seed, shuffle)

    def tokenizer(self) -> PreTrainedTokenizerFast:
        """The tokenizer that made the corpus."""
        return load_tokenizer(self.folder / "tokenizer")

    def check_tokenizer(self, tokenizer: PreTrainedTokenizerFast) -> None:
        """Raise UserError unless `tokenizer` gives the ids that the corpus holds."""
        if fingerprint(tokenizer) != self.tokenizer_fingerprint:
            raise UserError(f"{self.folder} was prepared with another tokenizer: prepare it again with this one")

    def verify(self) -> None:
        """Read every file and raise UserError if one is not as it was written."""
        _verify(self.folder, self.manifest)


def documents(corpus: Corpus) -> Iterator[str]:
    """The texts of a corpus in their order; a bounded number is in memory at a time."""
    tokenizer = corpus.tokenizer()
    for first in range(0, corpus.num_documents, _DOCUMENTS_AT_ONCE):
        chosen = np.arange(first, min(first + _DOCUMENTS_AT_ONCE, corpus.num_documents))
        rows = corpus.read(chosen, np.zeros_like(chosen), corpus.lengths[chosen])
        yield from tokenizer.batch_decode([rows.row(n).tolist() for n in range(len(chosen))], skip_special_tokens=False)


class PairCorpus:
    """Prepared pairs: document i of `inputs` goes with document i of `targets`."""

    def __init__(self, folder: Path, manifest: dict[str, Any]) -> None:
        self.folder = folder
        self.manifest = manifest
        self.inputs = Corpus.open(folder / "inputs")
        self.targets = Corpus.open(folder / "targets")

    @classmethod
    def open(cls, folder: Path | str) -> "PairCorpus":
        """Map the pairs at `folder`; raises UserError as `Corpus.open` does."""
        folder = Path(folder)
        return cls(folder, _manifest(folder, "pairs"))

    def __reduce__(self):
        return PairCorpus.open, (self.folder,)

    def __len__(self) -> int:
        return self.manifest["pairs"]

    def references(self) -> Iterator[Pair]:
        """The pairs as text, with all their references, in order."""
        with open(self.folder / REFERENCES, encoding="utf-8") as lines:
            for line in lines:
                pair = json.loads(line)
                yield Pair(pair["input"], pair["target"], tuple(pair["references"]), pair["index"])

    def tokenizer(self) -> PreTrainedTokenizerFast:
        """The tokenizer that made the pairs."""
        return self.inputs.tokenizer()

    def check_tokenizer(self, tokenizer: PreTrainedTokenizerFast) -> None:
        """Raise UserError unless `tokenizer` gives the ids that the pairs hold."""
        self.inputs.check_tokenizer(tokenizer)

    def verify(self) -> None:
        """Read every file and raise UserError if one is not as it was written."""
        _verify(self.folder, self.manifest)
        self.inputs.verify()
        self.targets.verify()


class Verifiable(Protocol):
    """Prepared data of any kind."""

    def verify(self) -> None: ...


class Verification(threading.Thread):
    """Reads prepared data through beside other work, which asks now and then whether it is as it was written."""

    def __init__(self, *data: Verifiable) -> None:
        super().__init__(name="rot5-verification", daemon=True)
        self._data = data
        self._found: UserError | None = None

    def run(self) -> None:
        """Verify one after the other."""
        try:
            for each in self._data:
                each.verify()
        except UserError as error:
            self._found = error
        except OSError as error:
            self._found = UserError(f"data cannot be read: {error}")

    def check(self) -> None:
        """Raise UserError if damage was found by now."""
        if self._found:
            raise self._found

    def wait(self) -> None:
        """Raise UserError if there is damage anywhere."""
        self.join()
        self.check()


def data_fingerprint(folder: Path) -> str:
    """A fingerprint of prepared text or pairs: of tokens and tokenizer, wherever they lie and came from."""

    def without_origin(found: dict) -> dict:
        return {key: value for key, value in found.items() if key not in ("source", "licence", SEAL)}

    found = json.loads((folder / MANIFEST).read_text(encoding="utf-8"), object_hook=without_origin)
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()[:16]


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
            "files": {path.relative_to(self.folder).as_posix(): _seal(path) for path in paths},
        }
        return _sealed(self.folder, manifest)

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


def _sealed(folder: Path, manifest: dict[str, Any]) -> dict[str, Any]:
    """Write a manifest with its seal, and return it."""
    manifest = manifest | {SEAL: _digest(manifest)}
    write_json(folder / MANIFEST, manifest)
    return manifest


def _digest(manifest: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def _manifest(folder: Path, kind: str) -> dict[str, Any]:
    """The manifest of a folder of that kind whose files are all there in full length."""
    path = folder / MANIFEST
    if not path.is_file():
        raise UserError(f"no corpus at {folder}: prepare one")
    manifest = read_manifest(folder)
    found, told = (manifest["kind"], manifest["format"]), manifest.get(SEAL)
    if found != (kind, FORMAT):
        raise UserError(f"{folder} holds {found[0]} in format {found[1]}, not {kind} in format {FORMAT}")
    if told and told != _digest({key: value for key, value in manifest.items() if key != SEAL}):
        raise UserError(f"the corpus at {folder} is damaged: {MANIFEST} has changed; prepare it again")
    for name, seal in manifest["files"].items():
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise UserError(f"{path} names {name}, which is outside of its folder: prepare it again")
        if not (folder / name).is_file() or (folder / name).stat().st_size != seal["size"]:
            raise UserError(f"the corpus at {folder} is incomplete: {name} is missing or cut short; prepare it again")
    return manifest


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of prepared text or pairs. Raises UserError if it is none."""
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        manifest = None
    if not (isinstance(manifest, dict) and _is_manifest(manifest)):
        raise UserError(f"{path} is no manifest of prepared data: prepare it again")
    return manifest


def _is_manifest(found: dict[str, Any]) -> bool:
    """Whether all that is read of a manifest is there and of its type."""
    counts = {"documents": ("documents", "tokens", "bytes", "vocab_size"), "pairs": ("pairs",)}
    kind, files = found.get("kind"), found.get("files")
    if not (
        isinstance(kind, str) and kind in counts and isinstance(files, dict) and isinstance(found.get("format"), int)
    ):
        return False
    numbers = [found.get(key) for key in counts[kind]]
    sealed = all(
        isinstance(seal, dict) and isinstance(seal.get("size"), int) and isinstance(seal.get("sha256"), str)
        for seal in files.values()
    )
    texts = [found.get(key) for key in ("tokenizer", "source", "licence")]
    counted = all(isinstance(number, int) and number >= 0 for number in numbers)
    return sealed and counted and all(isinstance(text, str) for text in texts)


def _vector(path: Path, kinds: str, *, mapped: bool = False) -> np.ndarray:
    """The whole numbers in a .npy file, left on the disk where they are `mapped`. Raises UserError for all else."""
    try:
        found = np.load(path, mmap_mode="r" if mapped else None)
    except (OSError, ValueError, EOFError, SyntaxError, TokenError, BadZipFile) as error:
        raise UserError(f"{path} is damaged: prepare its corpus again") from error
    if not isinstance(found, np.ndarray) or found.ndim != 1 or found.dtype.kind not in kinds:
        raise UserError(f"{path} is damaged: prepare its corpus again")
    return found


def _verify(folder: Path, manifest: dict[str, Any]) -> None:
    for name, seal in manifest["files"].items():
        if _seal(folder / name) != seal:
            raise UserError(f"the corpus at {folder} is damaged: {name} has changed; prepare it again")


def _seal(path: Path) -> dict[str, Any]:
    with open(path, "rb") as file:
        return {"size": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
