"""Token shards as they are written: front to end, durable up to a place that is noted, whole when they are closed."""

import os
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Encoding
from transformers import PreTrainedTokenizerFast

from rot5.data.manifest import FORMAT, MANIFEST, seal_of, write_sealed
from rot5.data.tokenizer import fingerprint
from rot5.folders import sync

PROGRESS = "progress.json"
"""In an unfinished folder: how far it is good, to go on from there."""
BOOKMARKS = "bookmarks.jsonl"
"""In an unfinished folder: where a stream was."""


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


class Writer:
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

    def finish(self, origin: Mapping[str, Any]) -> dict[str, Any]:
        """Close the last shard, write the manifest, where the corpus came from in it, and return it."""
        self._close_shard()
        paths = sorted(
            path
            for path in self.folder.rglob("*")
            if path.is_file() and path.name not in (PROGRESS, BOOKMARKS, MANIFEST)
        )
        manifest = {
            "format": FORMAT,
            "kind": "documents",
            **origin,
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
