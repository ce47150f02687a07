"""Texts that become corpora, and prepared data whose files are another's."""

import hashlib
import io
import json
import pickle
import shutil
from random import Random

import numpy as np
from faults import hostile
from faults.world import Damage, Files, World

from rot5.data import corpus, preparing
from rot5.data.corpus import Corpus, PairCorpus
from rot5.data.manifest import MANIFEST, SEAL, data_fingerprint
from rot5.data.mixture import open_corpus
from rot5.data.tokenizer import (
    SPACE,
    special_ids,
)
from rot5.errors import UserError


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
