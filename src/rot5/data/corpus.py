"""Prepared text: token shards on disk, mapped into memory and read by whole vectors of documents.

    tokens-00000.npy   uint16 (uint32 beyond 65,536 ids): the documents of a shard end to end, without special tokens
    offsets-00000.npy  int64, one more than documents: where in the shard each one starts
    tokenizer/         the tokenizer that made them
    manifest.json      fingerprint, counts, size and sha256 of each file, source and licence

Of text prepared in parts the shards lie in folders `part-00000` and so on, which the one manifest names in their order.
A folder of pairs holds two such folders, `inputs/` and `targets/`, `references.jsonl` and a manifest of kind "pairs".
"""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from transformers import PreTrainedTokenizerFast

from rot5.data.manifest import MANIFEST, open_manifest, verify_files
from rot5.data.order import Order
from rot5.data.ragged import Ragged
from rot5.data.sources import Pair
from rot5.data.tokenizer import fingerprint, load_tokenizer
from rot5.errors import UserError

REFERENCES = "references.jsonl"
_DOCUMENTS_AT_ONCE = 1024


class Corpus:
    """A prepared corpus; its tokens stay on disk until they are read. Can be sent to other processes."""

    folder: Path
    manifest: dict[str, Any]
    lengths: np.ndarray
    """int64[documents]: tokens of each document."""

    def __init__(self, folder: Path, manifest: dict[str, Any]) -> None:
        self.folder = folder
        self.manifest = manifest
        names = sorted(name for name in manifest["files"] if Path(name).name.startswith("tokens-"))
        self._shards = [_vector(folder / name, "u", mapped=True) for name in names]
        offsets = [_vector(folder / name.replace("tokens-", "offsets-"), "i") for name in names]
        for shard, starts in zip(self._shards, offsets, strict=True):
            if not len(starts) or starts[0] or starts[-1] != len(shard) or (starts[1:] < starts[:-1]).any():
                raise UserError(
                    f"the corpus at {folder} is damaged: offsets are not those of its tokens; prepare it again"
                )
        counts = sum(len(each) - 1 for each in offsets), sum(map(len, self._shards))
        if (manifest["documents"], manifest["tokens"]) != counts or not names:
            raise UserError(
                f"the corpus at {folder} is damaged: {MANIFEST} counts other documents or tokens; prepare it again"
            )
        self._starts = np.concatenate([each[:-1] for each in offsets])
        self._first_documents = np.cumsum([0, *(len(each) - 1 for each in offsets)])
        self.lengths = np.concatenate([np.diff(each) for each in offsets])

    @classmethod
    def open(cls, folder: Path | str) -> "Corpus":
        """Map the corpus at `folder`; raises UserError if there is none, or if files are missing or cut short."""
        folder = Path(folder)
        return cls(folder, open_manifest(folder, "documents"))

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
            values = self._shards[0][place].astype(np.int64)
        else:
            shards = np.searchsorted(self._first_documents, documents, side="right") - 1
            shard_of_value = np.repeat(shards, lengths)
            values = np.empty(offsets[-1], dtype=np.int64)
            for shard in np.unique(shards):
                here = shard_of_value == shard
                values[here] = self._shards[shard][place[here]]
        if values.max(initial=0) >= self.manifest["vocab_size"]:
            raise UserError(
                f"the corpus at {self.folder} is damaged: it holds id {values.max()}, and its tokenizer has "
                f"{self.manifest['vocab_size']}; prepare it again"
            )
        return Ragged(values, offsets)

    def order(self, longest_piece: int, seed: int, shuffle: bool) -> Order:
        """Which piece of which document an example shows."""
        return Order(self.lengths, longest_piece, seed, shuffle)

    def tokenizer(self) -> PreTrainedTokenizerFast:
        """The tokenizer that made the corpus."""
        found = load_tokenizer(self.folder / "tokenizer")
        if (fingerprint(found), len(found)) != (self.tokenizer_fingerprint, self.manifest["vocab_size"]):
            raise UserError(
                f"the corpus at {self.folder} was made by another tokenizer than it holds: prepare it again"
            )
        return found

    def check_tokenizer(self, tokenizer: PreTrainedTokenizerFast) -> None:
        """Raise UserError unless `tokenizer` gives the ids that the corpus holds."""
        if fingerprint(tokenizer) != self.tokenizer_fingerprint:
            raise UserError(f"{self.folder} was prepared with another tokenizer: prepare it again with this one")

    def verify(self) -> None:
        """Read every file and raise UserError if one is not as it was written."""
        verify_files(self.folder, self.manifest)


def documents(corpus: Corpus, numbers: np.ndarray | None = None) -> Iterator[str]:
    """The texts of a corpus in their order, or those of these numbers; a bounded number is in memory at a time."""
    tokenizer = corpus.tokenizer()
    numbers = np.arange(corpus.num_documents) if numbers is None else numbers
    for first in range(0, len(numbers), _DOCUMENTS_AT_ONCE):
        chosen = numbers[first : first + _DOCUMENTS_AT_ONCE]
        rows = corpus.read(chosen, np.zeros_like(chosen), corpus.lengths[chosen])
        yield from tokenizer.batch_decode([rows.row(n).tolist() for n in range(len(chosen))], skip_special_tokens=False)


class PairCorpus:
    """Prepared pairs: document i of `inputs` goes with document i of `targets`."""

    def __init__(self, folder: Path, manifest: dict[str, Any]) -> None:
        self.folder = folder
        self.manifest = manifest
        self.inputs = Corpus.open(folder / "inputs")
        self.targets = Corpus.open(folder / "targets")
        if not len(self) == self.inputs.num_documents == self.targets.num_documents:
            raise UserError(f"the pairs at {folder} are damaged: {MANIFEST} counts other pairs; prepare them again")

    @classmethod
    def open(cls, folder: Path | str) -> "PairCorpus":
        """Map the pairs at `folder`; raises UserError as `Corpus.open` does."""
        folder = Path(folder)
        return cls(folder, open_manifest(folder, "pairs"))

    def __reduce__(self):
        return PairCorpus.open, (self.folder,)

    def __len__(self) -> int:
        return self.manifest["pairs"]

    def references(self) -> Iterator[Pair]:
        """The pairs as text, with all their references, in order."""
        number = 0
        with open(self.folder / REFERENCES, "rb") as lines:
            for number, line in enumerate(lines, start=1):
                try:
                    pair = _pair(line)
                except (ValueError, LookupError, TypeError, RecursionError):
                    raise UserError(
                        f"{self.folder / REFERENCES}, line {number} is damaged: prepare the pairs again"
                    ) from None
                yield pair
        if number != len(self):
            raise UserError(f"{self.folder / REFERENCES} has {number} of {len(self)} pairs: prepare them again")

    def tokenizer(self) -> PreTrainedTokenizerFast:
        """The tokenizer that made the pairs."""
        return self.inputs.tokenizer()

    def check_tokenizer(self, tokenizer: PreTrainedTokenizerFast) -> None:
        """Raise UserError unless `tokenizer` gives the ids that the pairs hold."""
        self.inputs.check_tokenizer(tokenizer)

    def verify(self) -> None:
        """Read every file and raise UserError if one is not as it was written."""
        verify_files(self.folder, self.manifest)
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


def _pair(line: bytes) -> Pair:
    """A pair as a line of JSON. Raises ValueError, LookupError, TypeError or RecursionError for all else."""
    found = json.loads(line)
    told = {key: found[key] for key in ("task", "metric") if key in found}
    pair = Pair(found["input"], found["target"], tuple(found["references"]), found["index"], **told)
    "".join((pair.input, pair.target, *pair.references, pair.task, pair.metric)).encode()
    if not isinstance(pair.index, int):
        raise TypeError
    return pair


def _vector(path: Path, kind: str, *, mapped: bool = False) -> np.ndarray:
    """The whole numbers in a .npy file, left on the disk where they are `mapped`. Raises UserError for all else.

    numpy's own reader is not asked: headers of strangers can make it end the process.
    """
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            (size,), _, dtype = np.lib.format.read_array_header_1_0(file)
            begin = file.tell()
            whole = path.stat().st_size == begin + size * dtype.itemsize
            if version != (1, 0) or dtype.kind != kind or not whole:
                raise ValueError(f"{dtype} of {size} numbers")
            return np.memmap(path, dtype, "r", begin, (size,)) if mapped else np.fromfile(file, dtype, size)
    except Exception as error:  # of many kinds, by what stands in the header
        raise UserError(f"{path} is damaged: prepare its corpus again") from error
