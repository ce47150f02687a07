"""What is fuzzed: for each kind of input from strangers, how one is made, and what must hold of it.

`make(world, draw)` gives an input; `check(world, input)` returns if it is taken, raises UserError if it is refused, and
fails by anything else.
"""

import contextlib
import hashlib
import io
import json
import math
import os
import pickle
import shutil
import warnings
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from itertools import chain, islice
from pathlib import Path
from random import Random
from typing import Any, NamedTuple
from unittest.mock import patch

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import torch
from faults import hostile
from safetensors.numpy import save
from transformers.utils import logging

from rot5 import cli
from rot5.build import shape
from rot5.config import FinetuneConfig, PlanConfig, PrepareConfig, PretrainConfig
from rot5.data import corpus, denoise, packing, preparing, sources
from rot5.data.batches import PackedRows
from rot5.data.corpus import Corpus, PairCorpus
from rot5.data.denoise import DenoiseConfig, Denoised, DenoiserConfig
from rot5.data.instruct import InstructRecord, looks_like_instruct, parse_instruct
from rot5.data.manifest import MANIFEST, SEAL, data_fingerprint
from rot5.data.mixture import open_corpus
from rot5.data.order import Order
from rot5.data.packing import PackConfig
from rot5.data.parts import Part
from rot5.data.ragged import Ragged
from rot5.data.tokenizer import (
    SPACE,
    SpecialIds,
    build_tokenizer,
    prune_tokenizer,
    special_ids,
    spellings,
    text_encoder,
)
from rot5.errors import UserError
from rot5.load import load
from rot5.model.configuration_rot5 import Rot5Config
from rot5.model.modeling_rot5 import Rot5ForConditionalGeneration
from rot5.recipes import command_line, keys
from rot5.study.file import read_study
from rot5.train import settings as train_settings
from rot5.verbs import plan

logging.set_verbosity_error()
logging.disable_progress_bar()
warnings.simplefilter("ignore")

Files = dict[str, bytes]
"""Contents by path."""


class World:
    """What is there before strangers come: tokenizers, and a corpus, pairs and a model as files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stories = list(sources.Documents(sources.SourceConfig(limit=30)))
        self.pairs = list(sources.pairs(sources.SourceConfig(limit=5)))
        whole = build_tokenizer(8)
        small = prune_tokenizer(whole, self.stories[:3], 8)
        self.tokenizers = [whole, prune_tokenizer(whole, self.stories, 300), small]
        self.encoders = [text_encoder(each) for each in self.tokenizers]
        self.spellings = [spellings(each) for each in self.tokenizers]
        preparing.prepare(self.stories[:12], small, folder / "documents", source="storyworld", max_shard_tokens=900)
        preparing.prepare_pairs(self.pairs, small, folder / "pairs", source="storyworld")
        torch.manual_seed(0)
        ids = special_ids(small)
        sizes = {"d_model": 8, "d_kv": 4, "d_ff": 8, "num_layers": 1, "num_heads": 2}
        tokens = {"pad_token_id": ids.pad, "eos_token_id": ids.eos, "decoder_start_token_id": ids.decoder_start}
        model = Rot5ForConditionalGeneration(Rot5Config(vocab_size=ids.vocab_size, **sizes, **tokens))
        model.config.task_specific_params = {"summarization": {"prefix": "[S]"}}
        model.save_pretrained(folder / "model")
        small.save_pretrained(folder / "model")
        self.files = {kind: _read(folder / kind) for kind in ("documents", "pairs", "model")}

    def restored(self, kind: str, changes: dict[str, bytes | None]) -> Path:
        """The folder of a kind as it was, but for these files; None takes a file away."""
        folder = self.folder / kind
        shutil.rmtree(folder)
        for name, data in (self.files[kind] | changes).items():
            if data is not None:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(data)
        return folder

    def file(self, name: str, data: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(data)
        return path


def _read(folder: Path) -> Files:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


class Target(NamedTuple):
    """One kind of input; `quick` cases of it are tried by every `make test`."""

    make: Callable[[World, Random], Any]
    check: Callable[[World, Any], None]
    quick: int


# Records of TinyStories-Instruct

_LINES = (
    "Features:",
    "Words:",
    "Summary:",
    "Random sentence:",
    "Story:",
    "Story: \n\n",
    "Mom:",
    "",
    "Summary",
    " Story:",
)


def make_record(world: World, draw: Random) -> str:
    lines = [draw.choice(_LINES) + hostile.text(draw, 4) for _ in range(draw.randint(0, 7))]
    return "\n".join(lines)


def check_record(world: World, text: str) -> None:
    """All that is read of a record stands in it, in good form, and written down again it reads the same."""
    record, known = parse_instruct(text), looks_like_instruct(text)
    assert known or not (record.story and (record.summary or record.words)), "it was a record after all"
    assert record.story == record.story.strip() and record.story in text
    assert record.summary != "" and record.random_sentence != ""
    for sentence in filter(None, (record.summary, record.random_sentence)):
        assert sentence == " ".join(sentence.split()) and all(word in text for word in sentence.split())
    for item in (*record.features, *record.words):
        assert item == item.strip() != "" and "," not in item
    assert parse_instruct(written(record)) == record


def written(record: InstructRecord) -> str:
    items = [f"Features: {', '.join(record.features)}", f"Words: {', '.join(record.words)}"]
    sentences = [f"Summary: {record.summary or ''}", f"Random sentence: {record.random_sentence or ''}"]
    return "\n".join([*items, *sentences, f"Story: {record.story}"])


# Texts and tables


class Table(NamedTuple):
    """A file of a stranger, and as what it is read."""

    suffix: str
    data: bytes
    pairs: bool
    parts: int


def make_table(world: World, draw: Random) -> Table:
    suffix = draw.choice((".txt", ".jsonl", ".jsonl", ".csv", ".csv", ".parquet"))
    rows = [
        {
            key: hostile.value(draw) if draw.random() < 0.1 else hostile.text(draw)
            for key in ("text", "story", "summary")
        }
        for _ in range(draw.randint(0, 4))
    ]
    if suffix == ".txt":
        data = "<|endoftext|>".join(make_record(world, draw) for _ in range(draw.randint(0, 4)))
        data = data.encode("utf-8", draw.choice(("surrogatepass", "replace")))
    elif suffix == ".jsonl":
        lines = (json.dumps(row, ensure_ascii=draw.random() < 0.5) for row in rows)
        data = draw.choice(("\n", "\r\n", "\n\n")).join(lines).encode("utf-8", "surrogatepass")
    elif suffix == ".csv":
        data = _as_csv(rows, draw)
    else:
        data = _as_parquet(rows)
    return Table(
        suffix, hostile.damaged(data, draw) if draw.random() < 0.6 else data, draw.random() < 0.3, draw.randint(1, 4)
    )


def _as_csv(rows: list[dict], draw: Random) -> bytes:
    header = draw.choice(("text,story,summary", '"text","story",summary,', "story,text,text,summary"))
    cells = (f'"{cell}"' if draw.random() < 0.7 else str(cell) for row in rows for cell in row.values())
    lines = [header, *(",".join(islice(cells, 3)) for _ in rows)]
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def _as_parquet(rows: list[dict]) -> bytes:
    import pyarrow
    import pyarrow.parquet

    columns = {
        key: [str(row[key]).encode("utf-8", "replace").decode() for row in rows] for key in ("text", "story", "summary")
    }
    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns), file)
    return file.getvalue()


def check_table(world: World, table: Table) -> None:
    """What is read of a file is text that a tokenizer takes, never blank, and the same in parts."""
    path = world.file(f"table{table.suffix}", table.data)
    source = sources.SourceConfig(name=str(path))
    if table.pairs:
        rows = [(pair.input, pair.target) for pair in sources.pairs(source)]
    else:
        rows = [(text,) for text in sources.Documents(source)]
        parts = (sources.Documents(source, Part(number, table.parts)) for number in range(table.parts))
        assert rows == [(text,) for text in chain.from_iterable(parts)]
    assert rows and all(text.strip() for text in chain.from_iterable(rows))
    for batch in preparing._batches(iter(rows), 0):
        for column in batch:
            world.encoders[2].encode_batch_fast(column, add_special_tokens=False)


# The tokenizer


class Written(NamedTuple):
    """A text for one of the tokenizers; perhaps others that a tokenizer is pruned to."""

    tokenizer: int
    text: str
    pruned_to: tuple[str, ...]


def make_written(world: World, draw: Random) -> Written:
    pruned_to = tuple(_utf8(hostile.text(draw)) for _ in range(2)) if draw.random() < 0.002 else ()
    return Written(draw.randrange(3), _utf8(hostile.text(draw, 12)), pruned_to)


def _utf8(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def check_written(world: World, case: Written) -> None:
    """Every text decodes to itself, but that ▁ becomes a space, and none of it is read as a special token."""
    tokenizer, encoder = world.tokenizers[case.tokenizer], world.encoders[case.tokenizer]
    spelled = world.spellings[case.tokenizer]
    if case.pruned_to:
        tokenizer = prune_tokenizer(world.tokenizers[2], case.pruned_to, 3)
        for text in case.pruned_to:
            kept, before = (
                each.encode(text, add_special_tokens=False).tokens
                for each in (text_encoder(tokenizer), world.encoders[2])
            )
            assert kept == before
        encoder, spelled = text_encoder(tokenizer), spellings(tokenizer)
    ids = encoder.encode(case.text, add_special_tokens=False).ids
    expected = case.text.replace(SPACE, " ")
    assert tokenizer.decode(ids, skip_special_tokens=False) == expected
    assert all(spelled[index] for index in ids), "a special token"
    assert b"".join(spelled[index] for index in ids) == (b" " + expected.encode() if case.text else b"")


# Text into corpora and back


def make_texts(world: World, draw: Random) -> list[str]:
    return [hostile.text(draw, 8) for _ in range(draw.randint(0, 6))]


def check_texts(world: World, texts: list[str]) -> None:
    """A corpus holds its texts, whole and in order; a refused one leaves nothing behind."""
    folder = world.folder / "prepared"
    try:
        preparing.prepare(texts, world.tokenizers[2], folder, source="a stranger", max_shard_tokens=40)
        found = Corpus.open(folder)
        found.verify()
        assert list(corpus.documents(found)) == [text.replace(SPACE, " ") for text in texts]
        assert found.num_bytes == sum(len(text.encode()) for text in texts)
    except UserError:
        assert not folder.exists()
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    assert not list(world.folder.glob("*-prepared"))


# Denoising and packing


class Rows(NamedTuple):
    """Settings of rows and denoisers, and the lengths of documents."""

    denoise: DenoiseConfig
    pack: PackConfig
    num_sentinels: int
    lengths: list[int]
    seed: int


def make_rows(world: World, draw: Random) -> Rows:
    def share() -> float:
        return draw.choice(hostile.FLOATS) if draw.random() < 0.03 else draw.uniform(0.02, 0.98)

    def count(most: int) -> int:
        return draw.choice(hostile.NUMBERS) if draw.random() < 0.03 else draw.randint(1, most)

    kinds = [draw.choice("RXS") for _ in range(draw.randint(1, 3))]
    denoisers = tuple(
        DenoiserConfig(
            name=f"d{0 if draw.random() < 0.02 else n}",
            kind=draw.choice(("", "s", kind)) if draw.random() < 0.02 else kind,  # type: ignore[arg-type]
            probability=share() if draw.random() < 0.05 else 1 / len(kinds),
            mean_span=share() if draw.random() < 0.05 else draw.uniform(1, 9),
            density=share(),
            **dict(zip(("shortest_prefix", "longest_prefix"), sorted((share(), share())), strict=True)),
        )
        for n, kind in enumerate(kinds)
    )
    pack = PackConfig(encoder_length=count(120), decoder_length=count(120), look_ahead=count(20), window=count(30))
    lengths = [draw.choice((0, 1, 2, draw.randint(0, 40), draw.randint(0, 400))) for _ in range(draw.randint(0, 8))]
    mixture = DenoiseConfig(denoisers=denoisers, mode_tokens=draw.random() < 0.7)
    return Rows(mixture, pack, draw.randint(1, 200), lengths, count(99))


class Numbered:
    """Documents in which every token is another one."""

    def __init__(self, lengths: list[int]) -> None:
        self.lengths = np.asarray(lengths, np.int64)
        self.offsets = np.cumsum([0, *lengths])

    def read(self, documents: np.ndarray, starts: np.ndarray, stops: np.ndarray) -> Ragged:
        assert ((starts >= 0) & (starts < stops) & (stops <= self.lengths[documents])).all()
        first = self.offsets[documents]
        rows = [np.arange(*ends) for ends in zip(first + starts, first + stops, strict=True)]
        return Ragged(np.concatenate([np.zeros(0, np.int64), *rows]), np.cumsum([0, *(stops - starts)]))


def check_rows(world: World, case: Rows) -> None:
    """Settings are refused, or every token of every document comes once, in rows that keep their lengths."""
    sides = {"encoder_length": case.pack.encoder_length, "decoder_length": case.pack.decoder_length}
    found = packing.problems(case.pack) + denoise.problems(case.denoise, num_sentinels=case.num_sentinels, **sides)
    if found:
        raise UserError("; ".join(found))
    texts, tokens = Numbered(case.lengths), sum(case.lengths)
    sentinels = range(tokens, tokens + case.num_sentinels)
    eos, pad, start, *modes = range(sentinels.stop, sentinels.stop + 6)
    ids = SpecialIds(
        pad=pad,
        eos=eos,
        decoder_start=start,
        modes=dict(zip("RSX", modes, strict=True)),
        first_sentinel=tokens,
        num_sentinels=case.num_sentinels,
        vocab_size=sentinels.stop + 6,
    )
    longest = denoise.longest_piece(case.denoise, **sides)
    order = Order(case.lengths, longest, case.seed)
    examples = Denoised(texts, order, ids, case.denoise, case.seed)
    rows = PackedRows(examples, case.pack, ids, limit=len(examples))
    batch = rows.rows(0, rows.num_rows)
    assert sorted(batch.segment_examples[batch.segment_examples >= 0].tolist()) == list(range(len(examples)))
    seen = []
    for side, ids_of in (("encoder", "input_ids"), ("decoder", "labels")):
        segments, values = batch.fields[f"{side}_segment_ids"], batch.fields[ids_of]
        assert segments.shape == values.shape == (rows.num_rows, sides[f"{side}_length"])
        filled = values[segments > 0]
        assert ((filled >= 0) & (filled < ids.vocab_size) & (filled != pad)).all()
        assert (values[segments == 0] == (pad if side == "encoder" else -100)).all()
        assert (np.diff(segments, axis=1, prepend=0).max(initial=0)) <= 1
        seen += filled[filled < tokens].tolist()
    assert sorted(seen) == list(range(tokens)), "a token is lost or told twice"
    assert batch.story_tokens == tokens


# Manifests and shards


class Damage(NamedTuple):
    """A folder of prepared data of which some files are another's."""

    kind: str
    changes: dict[str, bytes | None]


def make_manifest(world: World, draw: Random) -> Damage:
    kind = draw.choice(("documents", "documents", "pairs"))
    name = draw.choice((MANIFEST, f"inputs/{MANIFEST}")) if kind == "pairs" else MANIFEST
    manifest = json.loads(world.files[kind][name])
    for _ in range(draw.choice((1, 1, 2))):
        manifest = hostile.changed(manifest, draw)
    if draw.random() < 0.8 and isinstance(manifest, dict):
        manifest.pop(SEAL, None)
    return Damage(kind, {name: hostile.as_json(manifest, draw)})


def make_shards(world: World, draw: Random) -> Damage:
    """Damaged files behind a manifest whose sums agree with them."""
    kind = draw.choice(("documents", "documents", "pairs"))
    files = dict(world.files[kind])
    likely = [name for name in files if MANIFEST not in name and ("tokenizer/" not in name or draw.random() < 0.1)]
    for name in draw.sample(likely, draw.choice((1, 1, 2))):
        if name.endswith(".npy"):
            files[name] = _hostile_vector(files[name], draw)
        elif name.endswith(".jsonl"):
            lines = files[name].splitlines(keepends=True)
            at = draw.randrange(len(lines))
            lines[at] = hostile.as_json(hostile.changed(json.loads(lines[at]), draw), draw)
            files[name] = b"".join(lines)
        else:
            files[name] = hostile.damaged(files[name], draw)
    return Damage(kind, resealed(files, draw.random() < 0.5))


def resealed(files: Files, recount: bool) -> dict[str, bytes | None]:
    """The files, with manifests whose sums, seals and perhaps counts are theirs."""
    found: dict[str, bytes | None] = dict(files)
    for path in [name for name in files if name.endswith(MANIFEST)]:
        folder, manifest = path.removesuffix(MANIFEST), json.loads(files[path])
        for name in manifest["files"]:
            data = files[folder + name]
            manifest["files"][name] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        if recount and "documents" in manifest:
            for key, kind, extra in (("documents", "offsets-", 1), ("tokens", "tokens-", 0)):
                manifest[key] = sum(
                    _length(files[folder + name]) - extra for name in manifest["files"] if name.startswith(kind)
                )
        manifest.pop(SEAL, None)
        manifest[SEAL] = hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()
        found[path] = json.dumps(manifest).encode()
    return found


def _length(data: bytes) -> int:
    try:
        return len(np.load(io.BytesIO(data)))
    except Exception:
        return 0


_DTYPES = (
    "<u2",
    "<u4",
    "<i8",
    ">u2",
    "|u1",
    "|i1",
    "<u8",
    "<i4",
    "<f8",
    "|b1",
    "|O",
    "<U3",
    "<M8[s]",
    "<V0",
    "|S0",
    "<c16",
    "x",
)


def _hostile_vector(data: bytes, draw: Random) -> bytes:
    """The bytes of a .npy file of another shape or type, with other numbers, or damaged."""
    way, array = draw.randrange(6), np.load(io.BytesIO(data))
    file = io.BytesIO()
    if way == 0:
        return hostile.damaged(data, draw)
    if way == 1:
        number = draw.choice((*hostile.NUMBERS, len(array), -len(array)))
        shape = draw.choice(((number,), (), (number, 1), (1, number), number, (True,), (1.5,), None, "x", [3], (3, 3)))
        header = {"descr": draw.choice(_DTYPES), "fortran_order": draw.random() < 0.2, "shape": shape}
        if draw.random() < 0.2:
            header = hostile.changed(
                {"descr": data[20:23].decode("latin1"), "fortran_order": False, "shape": [7]}, draw
            )
        head = repr(header).encode("utf-8", "replace")
        version = draw.choice((b"\x01\x00", b"\x02\x00", b"\x03\x00", b"\x09\x00"))
        size = len(head).to_bytes(2 if version[0] == 1 else 4, "little")
        return b"\x93NUMPY" + version + size + head + data[128:]
    if way == 2:
        pickle.dump(array, file) if draw.random() < 0.5 else np.savez(file, array)
        return file.getvalue()
    if way == 3:
        with np.errstate(all="ignore"):
            array = array.astype(draw.choice(_DTYPES[:8]))
    elif way == 4 and len(array):
        info = np.iinfo(array.dtype)
        numbers = [number for number in hostile.NUMBERS if info.min <= number <= info.max]
        for _ in range(draw.choice((1, 2))):
            array[draw.choice((0, -1, draw.randrange(len(array))))] = draw.choice(numbers)
    else:
        array = draw.choice(
            (array[::-1], array[:-1], array[:0], np.concatenate([array, array]), array.reshape(1, -1), np.sort(array))
        )
    np.save(file, array)
    return file.getvalue()


def check_data(world: World, damage: Damage) -> None:
    """Prepared data are refused, or all that can be asked of them is answered."""
    folder = world.restored(damage.kind, damage.changes)
    if damage.kind == "pairs":
        pairs = PairCorpus.open(folder)
        pairs.verify()
        assert len(list(pairs.references())) == len(pairs)
        assert len(pairs) == pairs.inputs.num_documents == pairs.targets.num_documents
        found = [pairs.inputs, pairs.targets]
    else:
        found = [Corpus.open(folder)]
        open_corpus(f"{folder},{folder}", 2.0).verify()
        data_fingerprint(folder)
    for each in found:
        every = np.arange(each.num_documents)
        tokens = each.read(every, np.zeros_like(every), each.lengths)
        assert len(tokens.values) == each.num_tokens == each.lengths.sum()
        assert len(list(corpus.documents(each))) == each.num_documents
        tokenizer = each.tokenizer()
        special_ids(tokenizer)
        assert ((tokens.values >= 0) & (tokens.values < len(tokenizer))).all(), "an id that is none"
        if each.num_tokens:
            order = each.order(100, 0, shuffle=True)
            each.read(*order.pieces(np.arange(order.num_pieces))[:3])


# Settings


class Command(NamedTuple):
    """A verb, its recipe, and its flags."""

    verb: str
    recipe: bytes | None
    flags: tuple[str, ...]


_RECIPES: dict[str, dict[str, Any]] = {
    "pretrain": {
        "corpus": "a",
        "validation": "b",
        "out": "c",
        "model": {"preset": "demo", "d_model": 64, "rope_parameters": {"rope_type": "linear", "factor": 2.0}},
        "denoise": {"denoisers": [{"name": name, "kind": name, "probability": 0.5} for name in "RS"]},
        "pack": {"encoder_length": 256, "window": 64},
        "train": {"steps": 7, "optimizer": {"name": "adamw", "lr": 2.0e-3}, "schedule": {"name": "cosine"}},
        "seed": 3,
    },
    "finetune": {"pairs": "a", "validation": "b", "out": "c", "limit": 3, "train": {"epochs": 2.0}, "mode": "S"},
    "prepare": {"source": {"name": "storyworld", "limit": 8, "format": "auto"}, "out": "o", "num_sentinels": 9},
    "plan": {"preset": "mini", "tokens": 1.0e9, "hardware": "H200", "pack": {"encoder_length": 64}},
    "evaluate": {"model": "m", "data": "d", "precision": "int8", "summaries": 3},
    "judge": {"model": "m", "prompts": "p", "out": "o", "temperature": 0.5},
    "summarize": {"input": "-", "model": "m"},
    "stories": {"count": 3, "split": "train"},
    "export": {"model": "m", "out": "o", "portable": True},
}
_CLASSES = {"pretrain": PretrainConfig, "finetune": FinetuneConfig, "prepare": PrepareConfig, "plan": PlanConfig}


def make_command(world: World, draw: Random) -> Command:
    verb = draw.choice(list(_RECIPES))
    settings = json.loads(json.dumps(_RECIPES[verb]))
    for _ in range(draw.choice((0, 1, 1, 2))):
        settings = hostile.changed(settings, draw)
    flags = []
    known = list(keys(_CLASSES[verb])) if verb in _CLASSES else list(_RECIPES[verb])
    for _ in range(draw.choice((0, 0, 1, 2))):
        key, given = (
            draw.choice(known),
            draw.choice((hostile.text(draw, 1), json.dumps(hostile.value(draw)), "3", "true")),
        )
        flag = hostile.text(draw, 1) if draw.random() < 0.1 else f"--{key}"
        flags += draw.choice(([flag, given], [f"{flag}={given}"], [flag], [f"{flag}.x", given], ["--resume", given]))
    return Command(verb, hostile.as_yaml(settings, draw), tuple(flags))


def check_command(world: World, command: Command) -> None:
    """What a user gives becomes settings that can be written down as a command, or is refused in one line."""
    words = [command.verb]
    if command.recipe is not None:
        words += ["--config", str(world.file("recipe.yaml", command.recipe))]
    settings = taken(words + list(command.flags))
    if settings is None:
        return
    if found := _problems(settings):
        raise UserError("; ".join(found))
    if command.verb in ("pretrain", "finetune", "prepare"):
        again = taken(command_line(command.verb, settings)[1:])
        assert repr(again) == repr(settings), f"{again} is not {settings}"
    rooms = [getattr(settings, name) for name in ("train", "pack", "denoise") if hasattr(settings, name)]
    assert all(math.isfinite(number) for room in rooms for number in _numbers(room)), "no number at all"


def taken(words: list[str]) -> Any:
    """The settings that a verb would have been called with; None for help."""
    found: list[Any] = []

    class Verb:
        @staticmethod
        def run(settings: Any, **_: bool) -> None:
            found.append(settings)

    real = cli.importlib.import_module

    def instead(name: str) -> Any:
        return Verb if name.startswith(("rot5.verbs", "rot5.demo", "rot5.study")) else real(name)

    out = io.StringIO()
    try:
        with patch.object(cli.importlib, "import_module", instead), contextlib.redirect_stdout(out):
            cli.run(words)
    except SystemExit as stop:
        assert stop.code in (None, 0) and out.getvalue(), "it ends without a word"
    return found[0] if found else None


def _problems(settings: Any) -> list[str]:
    """What the rooms say against the settings before any work."""
    found = []
    if hasattr(settings, "train"):
        found += train_settings.problems(settings.train)
    if hasattr(settings, "denoise") and not packing.problems(settings.pack):
        sides = {"encoder_length": settings.pack.encoder_length, "decoder_length": settings.pack.decoder_length}
        found += denoise.problems(settings.denoise, num_sentinels=100, **sides)
    if isinstance(settings, PlanConfig):
        found += plan.problems(settings)
    elif hasattr(settings, "pack"):
        found += packing.problems(settings.pack)
    if hasattr(settings, "source"):
        found += sources.problems(settings.source)
    if hasattr(settings, "model") and not isinstance(settings.model, str):
        ids = SpecialIds(pad=0, eos=1, decoder_start=2, modes={}, first_sentinel=3, num_sentinels=9, vocab_size=512)
        shape(settings.model, ids)
    return found


def _numbers(settings: Any):
    for entry in fields(settings):
        value = getattr(settings, entry.name)
        for each in value if isinstance(value, tuple) else (value,):
            if is_dataclass(each):
                yield from _numbers(each)
            elif isinstance(each, float):
                yield each


# Studies

_STUDY: dict[str, Any] = {
    "about": "what?",
    "data": [{"out": "d", "source": {"limit": 3}}],
    "seeds": [0, 1],
    "budget": {"story_tokens": 1000},
    "tune": {"share": 0.5, "grid": {"pretrain.train.optimizer.lr": [0.1, 0.2]}},
    "sweep": {"budget.story_tokens": [1000, 2000]},
    "baseline": "a",
    "pretrain": {"corpus": "d", "validation": "d", "model": {"preset": "2m"}},
    "variants": {"a": {}, "b": {"pretrain": {"model": {"preset": "1m"}}, "against": "a"}},
    "law": True,
}


def make_study(world: World, draw: Random) -> bytes:
    study = json.loads(json.dumps(_STUDY))
    for _ in range(draw.choice((1, 1, 2, 3))):
        study = hostile.changed(study, draw)
    return hostile.as_yaml(study, draw)


def check_study(world: World, data: bytes) -> None:
    study = read_study(world.file("study.yaml", data))
    assert study.variants and study.seeds
    for variant in study.variants:
        for changes in variant.trials():
            variant.trial(changes)
    study.counterparts()


# Models


def make_model(world: World, draw: Random) -> Damage:
    files = world.files["model"]
    name = draw.choice(("config.json", "config.json", "config.json", *files))
    if draw.random() < 0.02:
        return Damage("model", {name: None})
    if name.endswith(".safetensors"):
        return Damage("model", {name: _hostile_weights(files[name], draw)})
    tree = json.loads(files[name])
    for _ in range(draw.choice((1, 1, 2))):
        tree = hostile.changed(tree, draw)
    if name == "config.json" and draw.random() < 0.2:
        other = draw.choice(("t5", "bart", "gpt2", "llama", "mt5", "encoder-decoder", "clip", "x"))
        tree = {"model_type": other, "auto_map": {"AutoConfig": "x.C"}} if draw.random() < 0.3 else tree
        tree = {**tree, "model_type": other} if isinstance(tree, dict) else tree
    return Damage("model", {name: hostile.as_json(tree, draw)})


def _hostile_weights(data: bytes, draw: Random) -> bytes:
    if draw.random() < 0.3:
        return hostile.damaged(data, draw)
    if draw.random() < 0.1:
        return save({"shared.weight": np.zeros((draw.choice((0, 1, 5)), 8), draw.choice((np.float32, np.int8)))})
    size = int.from_bytes(data[:8], "little")
    header = json.dumps(hostile.changed(json.loads(data[8 : 8 + size]), draw)).encode()
    return len(header).to_bytes(8, "little") + header + data[8 + size :]


def check_model(world: World, damage: Damage) -> None:
    """A model folder is refused, or its model answers."""
    folder = world.restored("model", damage.changes)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        found = load(str(folder))
    assert sum(weights.numel() for weights in found.model.parameters()) < 2**22
    assert isinstance(found.prefix, str)


TARGETS = {
    "records": Target(make_record, check_record, 1000),
    "tables": Target(make_table, check_table, 400),
    "tokenizer": Target(make_written, check_written, 1000),
    "corpora": Target(make_texts, check_texts, 40),
    "rows": Target(make_rows, check_rows, 200),
    "manifests": Target(make_manifest, check_data, 150),
    "shards": Target(make_shards, check_data, 100),
    "settings": Target(make_command, check_command, 60),
    "studies": Target(make_study, check_study, 200),
    "models": Target(make_model, check_model, 30),
}
