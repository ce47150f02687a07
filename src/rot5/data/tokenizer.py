"""The tokenizer: Mistral's SentencePiece model as a fast tokenizer with T5's sentinels, whole or pruned to a corpus.

Ids, in this order: `<unk>`, `<s>`, `</s>`, 256 bytes, pieces, `[MASK-0]` .. `[MASK-(n-1)]`, `[START]`, `[PAD]`, `[R]`,
`[S]`, `[X]`. SentencePiece writes a space as `▁` and puts one in front of every text; a `▁` of the text itself
therefore decodes to a space. Every other text decodes to itself.
"""

import contextlib
import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from rot5.errors import UserError

SPACE = "▁"
UNKNOWN, BEGIN, END = "<unk>", "<s>", "</s>"
START, PAD = "[START]", "[PAD]"
MODES = ("R", "S", "X")
MISTRAL = "mistral"
_BYTE = re.compile(r"<0x([0-9A-F]{2})>")
_TEXTS_PER_BATCH = 1024


def sentinel(index: int) -> str:
    """The piece that stands for masked span `index`."""
    return f"[MASK-{index}]"


@dataclass(frozen=True, kw_only=True)
class SpecialIds:
    """The ids that the objectives, the packer and the model need to know."""

    pad: int
    eos: int
    decoder_start: int
    modes: dict[str, int]
    """Ids of the mode tokens by name: R, S and X."""

    first_sentinel: int
    """Id of `[MASK-0]`; the others follow it in ascending order."""

    num_sentinels: int
    vocab_size: int
    """Number of ids, specials included, not padded."""


def build_tokenizer(num_sentinels: int = 500) -> PreTrainedTokenizerFast:
    """Mistral's 32,000 pieces and our special tokens.

    Without special tokens it encodes exactly as Mistral's library does. Called the usual way it closes a text with
    `</s>`, as T5's does, and reads special tokens written in the text; see `text_encoder` for text that is only text.
    """
    pieces = _mistral_pieces()
    vocabulary = {piece: index for index, (piece, _) in enumerate(pieces)}
    return _assemble(vocabulary, _merges(pieces), num_sentinels)


def prune_tokenizer(
    tokenizer: PreTrainedTokenizerFast, texts: Iterable[str], num_sentinels: int | None = None
) -> PreTrainedTokenizerFast:
    """Keep only the pieces that `texts` use and those through which byte-pair merging reaches them.

    The texts encode to the same pieces as before; any other text still decodes to itself, through bytes where pieces
    are missing. Ids are compact and keep their order. `num_sentinels` changes the number of sentinels. Pass
    every text that should stay short: stories as well as their summaries.
    """
    model = _model(tokenizer)
    pieces = list(model["vocab"])
    used = np.zeros(len(tokenizer), dtype=bool)
    encoder = text_encoder(tokenizer)
    for batch in _batches(texts, _TEXTS_PER_BATCH):
        for encoding in encoder.encode_batch_fast(batch, add_special_tokens=False):
            used[encoding.ids] = True

    ranks = {(left, right): rank for rank, (left, right) in enumerate(model["merges"])}
    kept = {UNKNOWN, BEGIN, END, SPACE} | {piece for piece in pieces if _BYTE.fullmatch(piece)}
    for piece in pieces:
        if piece not in kept and used[model["vocab"][piece]]:
            kept |= _path_to(piece, ranks)
    vocabulary = {piece: index for index, piece in enumerate(piece for piece in pieces if piece in kept)}
    merges = [(left, right) for left, right in model["merges"] if {left, right, left + right} <= kept]
    if num_sentinels is None:
        num_sentinels = special_ids(tokenizer).num_sentinels
    return _assemble(vocabulary, merges, num_sentinels)


def special_ids(tokenizer: PreTrainedTokenizerFast) -> SpecialIds:
    """Where the special tokens are; raises UserError if the tokenizer is not one of this project."""
    ids = tokenizer.get_added_vocab()
    missing = [token for token in (END, START, PAD, *(f"[{mode}]" for mode in MODES)) if token not in ids]
    if missing:
        raise UserError(f"this tokenizer has no {', '.join(missing)}: use one made by rot5")
    num_sentinels = 0
    while sentinel(num_sentinels) in ids:
        num_sentinels += 1
    first = ids[START] - num_sentinels
    if any(ids[sentinel(n)] != first + n for n in range(num_sentinels)):
        raise UserError(f"the sentinels of this tokenizer do not stand in a row before {START}: use one made by rot5")
    return SpecialIds(
        pad=ids[PAD],
        eos=ids[END],
        decoder_start=ids[START],
        modes={mode: ids[f"[{mode}]"] for mode in MODES},
        first_sentinel=first,
        num_sentinels=num_sentinels,
        vocab_size=len(tokenizer),
    )


def text_encoder(tokenizer: PreTrainedTokenizerFast) -> Tokenizer:
    """A private copy of the backend that takes all text as text: `[MASK-3]` or `</s>` in a document are characters.

    It neither truncates nor pads, whatever the tokenizer was last asked to do. Use it with `add_special_tokens=False`.
    """
    encoder = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    encoder.encode_special_tokens = True
    encoder.no_truncation()
    encoder.no_padding()
    return encoder


def byte_lengths(tokenizer: PreTrainedTokenizerFast) -> np.ndarray:
    """int32[vocab]: the UTF-8 bytes of text that each id spells, 0 for special tokens.

    Over the ids of a non-empty text these add up to the text's bytes and one more, for the space put in front.
    """
    return np.array([len(spelled) for spelled in spellings(tokenizer)], dtype=np.int32)


def spellings(tokenizer: PreTrainedTokenizerFast) -> list[bytes]:
    """The UTF-8 bytes of text that each id spells, none for special tokens; lengths as in `byte_lengths`.

    Together those of a non-empty text's ids are the text, with one space in front.
    """
    spelled = [b""] * len(tokenizer)
    special = tokenizer.get_added_vocab()
    for piece, index in _model(tokenizer)["vocab"].items():
        if piece not in special:
            byte = _BYTE.fullmatch(piece)
            spelled[index] = bytes([int(byte[1], 16)]) if byte else piece.replace(SPACE, " ").encode()
    return spelled


def fingerprint(tokenizer: PreTrainedTokenizerFast) -> str:
    """sha256 over all that decides which ids a text becomes; the same before saving and after loading."""
    backend = _backend(tokenizer)
    content = {
        "vocabulary": sorted((index, piece) for piece, index in backend["model"]["vocab"].items()),
        "merges": backend["model"]["merges"],
        "added": sorted((token["id"], token["content"]) for token in backend["added_tokens"]),
        "normalizer": backend["normalizer"],
        "pre_tokenizer": backend["pre_tokenizer"],
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def load_tokenizer(folder_or_name: str | Path) -> PreTrainedTokenizerFast:
    """Build the tokenizer if the name is "mistral", else load the folder in which one was saved."""
    if str(folder_or_name) == MISTRAL:
        return build_tokenizer()
    folder = Path(folder_or_name)
    if not (folder / "tokenizer.json").is_file():
        raise UserError(f"no tokenizer at {folder}: give a folder that holds tokenizer.json, or the name {MISTRAL}")
    with reading(folder):
        return PreTrainedTokenizerFast.from_pretrained(str(folder))


def saved_tokenizer(name: str) -> PreTrainedTokenizerFast:
    """The tokenizer of that name, or of a folder: of itself, a corpus, pairs, a run or an exported model."""
    folder = Path(name)
    inner = [folder / "tokenizer", folder / "inputs" / "tokenizer"]
    return load_tokenizer(next((path for path in inner if path.is_dir()), name))


@contextlib.contextmanager
def reading(folder_or_name: str | Path) -> Iterator[None]:
    """Raise UserError for whatever is raised while a tokenizer is read: the backend panics at some files."""
    try:
        yield
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        reason = str(error) or type(error).__name__
        raise UserError(f"cannot read the tokenizer at {folder_or_name}: {reason}") from error


def padded_vocab_size(size: int, multiple: int = 128) -> int:
    """The rows of an embedding for `size` ids: the next multiple, which matrix products like.

    >>> padded_vocab_size(32505), padded_vocab_size(32512)
    (32512, 32512)
    """
    return -(-size // multiple) * multiple


def _mistral_pieces() -> list[tuple[str, float]]:
    """Mistral's pieces with their scores, in the order of ids."""
    import mistral_common
    from transformers.convert_slow_tokenizer import import_protobuf

    path = Path(mistral_common.__file__).parent / "data" / "tokenizer.model.v1"
    protobuf: Any = import_protobuf()
    model = protobuf.ModelProto()
    model.ParseFromString(path.read_bytes())
    return [(piece.piece, piece.score) for piece in model.pieces]


def _merges(pieces: list[tuple[str, float]]) -> list[tuple[str, str]]:
    """The merges that make SentencePiece's choices: every pair of pieces that spells a piece, best score first.

    Control pieces and bytes are never merged into. All runs of spaces share one score; SentencePiece then takes the
    leftmost pair, so that one run grows to its full length before the next begins: among equals the longer comes first.
    """
    known = {piece for piece, _ in pieces if piece not in (UNKNOWN, BEGIN, END) and not _BYTE.fullmatch(piece)}
    ranked = []
    for piece, score in pieces:
        if piece in known:
            for cut in range(1, len(piece)):
                if piece[:cut] in known and piece[cut:] in known:
                    ranked.append((-score, -len(piece), piece[:cut], piece[cut:]))
    ranked.sort(key=lambda entry: entry[:2])
    return [(left, right) for _, _, left, right in ranked]


def _path_to(piece: str, ranks: dict[tuple[str, str], int]) -> set[str]:
    """All that merging passes through on its way from the characters of `piece` to `piece`, both included.

    Merges inside a piece never wait for its neighbours, so the way is the same inside any text.
    """
    symbols = list(piece)
    seen = set(symbols)
    while len(symbols) > 1:
        rank, at = min((ranks.get(pair, len(ranks)), at) for at, pair in enumerate(pairwise(symbols)))
        assert rank < len(ranks), f"{piece!r} cannot be reached"
        symbols[at : at + 2] = [symbols[at] + symbols[at + 1]]
        seen.add(symbols[at])
    return seen


def _assemble(vocabulary: dict[str, int], merges: list[tuple[str, str]], num_sentinels: int) -> PreTrainedTokenizerFast:
    if num_sentinels < 1:
        raise UserError(f"num_sentinels must be at least 1, not {num_sentinels}")
    backend = Tokenizer(
        models.BPE(vocab=vocabulary, merges=merges, unk_token=UNKNOWN, fuse_unk=True, byte_fallback=True)
    )
    backend.normalizer = normalizers.Sequence([normalizers.Prepend(SPACE), normalizers.Replace(" ", SPACE)])
    # No piece holds a space behind another character, so words can be merged one by one, and remembered.
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(f"{SPACE}+[^{SPACE}\n]*"), behavior="isolated")
    backend.decoder = decoders.Sequence(
        [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    extras = [*(sentinel(index) for index in range(num_sentinels)), START, PAD, *(f"[{mode}]" for mode in MODES)]
    backend.add_special_tokens([AddedToken(token, special=True) for token in (UNKNOWN, BEGIN, END, *extras)])
    backend.post_processor = processors.TemplateProcessing(
        single=f"$A {END}", pair=f"$A {END} $B {END}", special_tokens=[(END, vocabulary[END])]
    )
    extras.remove(PAD)
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        unk_token=UNKNOWN,
        bos_token=BEGIN,
        eos_token=END,
        pad_token=PAD,
        extra_special_tokens=extras,
        clean_up_tokenization_spaces=False,
    )


def _model(tokenizer: PreTrainedTokenizerFast) -> dict:
    """The merging model: "vocab" (piece to id, by ascending id) and "merges" (pairs, best first)."""
    model = _backend(tokenizer)["model"]
    vocabulary = dict(sorted(model["vocab"].items(), key=lambda entry: entry[1]))
    return {"vocab": vocabulary, "merges": [tuple(pair) for pair in model["merges"]]}


def _backend(tokenizer: PreTrainedTokenizerFast) -> dict:
    """All that decides what a tokenizer does; raises UserError if it merges no pairs."""
    backend = json.loads(tokenizer.backend_tokenizer.to_str())
    if backend["model"]["type"] != "BPE":
        raise UserError(f"this tokenizer is of type {backend['model']['type']}: use one made by rot5")
    return backend


def _batches(texts: Iterable[str], size: int) -> Iterator[list[str]]:
    texts = iter(texts)
    while batch := list(islice(texts, size)):
        yield batch
