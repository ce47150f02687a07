"""Text and pairs of texts into corpora, shard by shard; what was stopped on the way can be taken up."""

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

from tokenizers import Encoding
from transformers import PreTrainedTokenizerFast

from rot5.data.corpus import REFERENCES
from rot5.data.manifest import FORMAT, MANIFEST, SETTINGS, UNKNOWN_LICENCE, seal_of, write_sealed
from rot5.data.shards import BOOKMARKS, PROGRESS, Writer
from rot5.data.sources import Documents, Pair
from rot5.data.tokenizer import text_encoder
from rot5.errors import UserError
from rot5.folders import locked, put_in_place, settle, undo, unfinished, write_json
from rot5.progress import shown
from rot5.recipes import merged

_TOKENS_PER_NOTE = 1 << 24
_CHARACTERS_PER_BATCH = 1 << 20


def prepare(
    documents: Documents | Iterable[str],
    tokenizer: PreTrainedTokenizerFast,
    folder: Path | str,
    *,
    source: str,
    licence: str = UNKNOWN_LICENCE,
    max_shard_tokens: int = 2**26,
    settings: Mapping[str, Any] | None = None,
    resume: bool = False,
    may_be_empty: bool = False,
) -> dict[str, Any]:
    """Encode `documents` into a corpus and return its manifest.

    A stream of any length takes bounded memory. The folder is complete or absent, and a corpus that was there stays
    until this one is whole. With `resume`, documents that a stopped call has dealt with are passed over; `settings`,
    plain JSON that is kept in the manifest, must then be what they were. Raises UserError if they are not, if there are
    no documents where there must be some, or if the folder holds something else.
    """
    with _begun(folder, dict(settings or {}), resume) as journal, shown("documents written") as tell:
        writer = Writer(journal.folder, tokenizer, max_shard_tokens, journal.place("documents"))
        if isinstance(documents, Documents):
            texts = documents.behind(writer.num_documents, journal.folder / BOOKMARKS)
        else:
            texts = islice(documents, writer.num_documents, None)
        for (column,), (encodings,) in _encoded(zip(texts), tokenizer, 1, writer.num_documents):
            writer.add(column, encodings)
            tell(writer.num_documents)
            journal.note(writer.num_tokens, lambda: {"documents": writer.commit()})
        if not (writer.num_documents or may_be_empty):
            raise UserError(f"no documents in {source}")
        return writer.finish(_origin(source, licence, settings))


def prepare_pairs(
    pairs: Iterable[Pair],
    tokenizer: PreTrainedTokenizerFast,
    folder: Path | str,
    *,
    source: str,
    licence: str = UNKNOWN_LICENCE,
    max_shard_tokens: int = 2**26,
    settings: Mapping[str, Any] | None = None,
    resume: bool = False,
) -> dict[str, Any]:
    """Encode pairs into two corpora of equal length, keep their texts for evaluation, and return the manifest.

    Complete or absent, bounded in memory, taken up and refused as in `prepare`.
    """
    with _begun(folder, dict(settings or {}), resume) as journal, shown("pairs written") as tell:
        partial = journal.folder
        inputs, targets = (
            Writer(partial / side, tokenizer, max_shard_tokens, journal.place(side)) for side in ("inputs", "targets")
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

            rows = ((pair.input, pair.target, _told(pair) + "\n") for pair in islice(pairs, inputs.num_documents, None))
            for (stories, summaries, lines), (encoded_stories, encoded_summaries) in _encoded(
                rows, tokenizer, 2, inputs.num_documents
            ):
                inputs.add(stories, encoded_stories)
                targets.add(summaries, encoded_summaries)
                tell(inputs.num_documents)
                references.writelines(line.encode() for line in lines)
                journal.note(inputs.num_tokens + targets.num_tokens, commit)
        if not inputs.num_documents:
            raise UserError(f"no pairs in {source}")
        manifest = {
            "format": FORMAT,
            "kind": "pairs",
            **_origin(source, licence, settings),
            "tokenizer": inputs.fingerprint,
            "pairs": inputs.num_documents,
            "inputs": inputs.finish(_origin(source, licence)),
            "targets": targets.finish(_origin(source, licence)),
            "files": {REFERENCES: seal_of(partial / REFERENCES)},
        }
        return write_sealed(partial, manifest)


def _origin(source: str, licence: str, settings: Mapping[str, Any] | None = None) -> dict[str, Any]:
    return {"source": source, "licence": licence} | ({SETTINGS: dict(settings)} if settings else {})


def _told(pair: Pair) -> str:
    """A pair as a line of JSON; what is empty in pairs of no task is left out."""
    return json.dumps({key: value for key, value in pair._asdict().items() if value or key not in ("task", "metric")})


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
    folder = free(folder)
    partial = unfinished(folder)
    with lock(folder):
        settle(folder)
        noted = noted_progress(folder, settings) if resume else {}
        if not noted:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
        for torn in partial.rglob("partial-*"):
            torn.unlink()
        try:
            yield _Journal(partial, settings, noted)
            put_in_place(folder, (PROGRESS, BOOKMARKS))
        except BaseException as reason:
            if isinstance(reason, Exception) or not (partial / PROGRESS).is_file():
                undo(folder)
            raise


def tidy(folder: Path) -> None:
    """Clear away what a killed preparation left beside a corpus that is whole."""
    with lock(folder):
        settle(folder)


def lock(folder: Path) -> contextlib.AbstractContextManager[int]:
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


def check_settings(folder: Path, manifest: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    """Raise UserError where the whole data of `folder` were made with other settings.

    What an older manifest does not know, as it may be all of them, is taken to be the same.
    """
    kept = merged(settings, manifest.get(SETTINGS, {}))
    if changed := sorted(key for key in settings if kept[key] != settings[key]):
        raise UserError(
            f"{folder} was made with other settings ({', '.join(changed)}): restore them, or leave out --resume and "
            "replace it with --overwrite or choose another --out"
        )


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


def free(folder: Path | str) -> Path:
    """The folder, if nothing would be lost by writing a corpus there."""
    folder = Path(folder)
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir()) and not (folder / MANIFEST).is_file()):
        raise UserError(f"{folder} exists and is not a corpus: name a new folder")
    return folder
