"""Prepared text: token shards on disk, mapped into memory and read by whole vectors of documents.

    tokens-00000.npy   uint16 (uint32 beyond 65,536 ids): the documents of a shard end to end, without special tokens
    offsets-00000.npy  int64, one more than documents: where in the shard each one starts
    tokenizer/         the tokenizer that made them
    manifest.json      fingerprint, counts, size and sha256 of each file, source and licence

A folder of pairs holds two such folders, `inputs/` and `targets/`, `references.jsonl` and a manifest of kind "pairs".
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Encoding
from transformers import PreTrainedTokenizerFast

from rot5.data.ragged import Ragged
from rot5.data.sources import Pair
from rot5.data.tokenizer import fingerprint, load_tokenizer, text_encoder
from rot5.errors import UserError
from rot5.folders import complete_or_absent, write_json

FORMAT = 1
MANIFEST = "manifest.json"
REFERENCES = "references.jsonl"
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
) -> dict[str, Any]:
    """Encode `documents` into a corpus and return its manifest.

    A stream of any length takes bounded memory. The folder is complete or absent, and a corpus that was there stays
    until this one is whole. Raises UserError if there are no documents, or if the folder holds something else.
    """
    with complete_or_absent(_free(folder)) as partial:
        writer = _Writer(partial, tokenizer, max_shard_tokens)
        for (texts,), (encodings,) in _encoded(((text,) for text in documents), tokenizer):
            writer.add(texts, encodings)
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
) -> dict[str, Any]:
    """Encode pairs into two corpora of equal length, keep their texts for evaluation, and return the manifest.

    Complete or absent, bounded in memory and refused as in `prepare`.
    """
    with complete_or_absent(_free(folder)) as partial:
        inputs = _Writer(partial / "inputs", tokenizer, max_shard_tokens)
        targets = _Writer(partial / "targets", tokenizer, max_shard_tokens)
        with open(partial / REFERENCES, "w", encoding="utf-8", newline="\n") as references:

            def kept() -> Iterator[tuple[str, str]]:
                for pair in pairs:
                    references.write(json.dumps(pair._asdict()) + "\n")
                    yield pair.input, pair.target

            for (stories, summaries), (encoded_stories, encoded_summaries) in _encoded(kept(), tokenizer):
                inputs.add(stories, encoded_stories)
                targets.add(summaries, encoded_summaries)
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
        write_json(partial / MANIFEST, manifest)
        return manifest


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
        self._shards = [np.load(folder / name, mmap_mode="r") for name in names]
        offsets = [np.load(folder / name.replace("tokens-", "offsets-")) for name in names]
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


def data_fingerprint(folder: Path) -> str:
    """A fingerprint of prepared text or pairs: of tokens and tokenizer, wherever they lie and came from."""

    def without_origin(found: dict) -> dict:
        return {key: value for key, value in found.items() if key not in ("source", "licence")}

    found = json.loads((folder / MANIFEST).read_text(encoding="utf-8"), object_hook=without_origin)
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()[:16]


class _Writer:
    """Writes one corpus, shard by shard; nothing but the offsets of the open shard is held in memory."""

    def __init__(self, folder: Path, tokenizer: PreTrainedTokenizerFast, max_shard_tokens: int) -> None:
        folder.mkdir(exist_ok=True)
        tokenizer.save_pretrained(str(folder / "tokenizer"))
        self.folder = folder
        self.fingerprint = fingerprint(tokenizer)
        self.num_documents = self.num_tokens = self.num_bytes = self.num_shards = 0
        self._vocab_size = len(tokenizer)
        self._dtype = np.dtype(np.uint16 if self._vocab_size <= 2**16 else np.uint32)
        self._max_shard_tokens = max_shard_tokens
        self._file: Any = None
        self._lengths: list[np.ndarray] = []
        self._shard_tokens = 0

    def add(self, texts: list[str], encodings: list[Encoding]) -> None:
        """Append a batch of documents, given with their encodings."""
        lengths = np.fromiter(map(len, encodings), np.int64, len(encodings))
        tokens = np.fromiter(chain.from_iterable(each.ids for each in encodings), self._dtype, lengths.sum())
        ends = np.cumsum(lengths)
        done = 0
        while done < len(texts):
            # as many documents as the shard has room for, but at least one in an empty shard
            begin = ends[done] - lengths[done]
            room = begin + self._max_shard_tokens - self._shard_tokens
            fitting = int(np.searchsorted(ends, room, side="right"))
            if fitting <= done:
                if self._shard_tokens or self._lengths:
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
        paths = sorted(path for path in self.folder.rglob("*") if path.is_file())
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
        write_json(self.folder / MANIFEST, manifest)
        return manifest

    def _append(self, tokens: np.ndarray, lengths: np.ndarray) -> None:
        if self._file is None:
            self._file = (self.folder / f"tokens-{self.num_shards:05d}.npy").open("wb")
            self._write_header()
        self._file.write(tokens.tobytes())
        self._lengths.append(lengths)
        self._shard_tokens += len(tokens)
        self.num_tokens += len(tokens)

    def _close_shard(self) -> None:
        self._file.seek(0)
        self._write_header()
        self._file.close()
        offsets = np.concatenate([[0], np.cumsum(np.concatenate(self._lengths))]).astype(np.int64)
        np.save(self.folder / f"offsets-{self.num_shards:05d}.npy", offsets)
        self.num_shards += 1
        self._file, self._lengths, self._shard_tokens = None, [], 0

    def _write_header(self) -> None:
        """The header of a .npy file, which numpy pads so that the final length fits over the first one written."""
        header = {"descr": self._dtype.str, "fortran_order": False, "shape": (self._shard_tokens,)}
        np.lib.format.write_array_header_1_0(self._file, header)


def _encoded(
    rows: Iterable[tuple[str, ...]], tokenizer: PreTrainedTokenizerFast
) -> Iterator[tuple[list[list[str]], list[list[Encoding]]]]:
    """Batches of rows as columns of texts and columns of encodings.

    A batch is encoded in a second thread, which needs no interpreter, while the caller deals with the one before.
    """
    encoder = text_encoder(tokenizer)

    def encode(columns: list[list[str]]) -> list[list[Encoding]]:
        return [encoder.encode_batch_fast(column, add_special_tokens=False) for column in columns]

    with ThreadPoolExecutor(max_workers=1) as pool:
        before = None
        for columns in _batches(rows):
            coming = columns, pool.submit(encode, columns)
            if before:
                yield before[0], before[1].result()
            before = coming
        if before:
            yield before[0], before[1].result()


def _batches(rows: Iterable[tuple[str, ...]]) -> Iterator[list[list[str]]]:
    """Columns of as many rows as make up a fixed amount of text; raises UserError for a text that has no UTF-8 form."""
    batch: list[tuple[str, ...]] = []
    characters = 0
    for number, row in enumerate(rows):
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


def _manifest(folder: Path, kind: str) -> dict[str, Any]:
    """The manifest of a folder of that kind whose files are all there in full length."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        found = manifest["kind"], manifest["format"]
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"no corpus at {folder}: prepare one") from None
    if found != (kind, FORMAT):
        raise UserError(f"{folder} holds {found[0]} in format {found[1]}, not {kind} in format {FORMAT}")
    for name, seal in manifest["files"].items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != seal["size"]:
            raise UserError(f"the corpus at {folder} is incomplete: {name} is missing or cut short; prepare it again")
    return manifest


def _verify(folder: Path, manifest: dict[str, Any]) -> None:
    for name, seal in manifest["files"].items():
        if _seal(folder / name) != seal:
            raise UserError(f"the corpus at {folder} is damaged: {name} has changed; prepare it again")


def _seal(path: Path) -> dict[str, Any]:
    with open(path, "rb") as file:
        return {"size": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
