"""Some of what `make fuzz` tries for half an hour, and every input that ever broke something."""

import io
import json
import os
import signal
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from faults.fuzz import TOLD, attempt, check_refusal, fuzz
from faults.hostile_data import resealed
from faults.hostile_rows import Rows
from faults.hostile_settings import Command
from faults.hostile_text import Table, Written
from faults.targets import TARGETS
from faults.world import Damage, Target, World

from rot5.data.denoise import DenoiseConfig, DenoiserConfig
from rot5.data.manifest import MANIFEST
from rot5.data.packing import PackConfig
from rot5.errors import UserError


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> World:
    return World(tmp_path_factory.mktemp("world"))


@pytest.mark.parametrize("name", TARGETS)
def test_strangers_are_taken_or_refused_in_one_line(world, name):
    taken = [attempt(world, TARGETS[name], name, 0, number) for number in range(TARGETS[name].quick)]
    assert any(taken) and (all(taken) or name not in ("records", "tokenizer"))


def npy(header: str, data: bytes = b"") -> bytes:
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + data


def vector(*numbers: int, kind: str = "<i8") -> bytes:
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': ({len(numbers)},)}}"
    return npy(header, np.array(numbers, kind).tobytes())


def documents(**contents: bytes) -> Callable[[World], Damage]:
    """The corpus with these shards, sealed anew."""
    changes = {f"{name.replace('_', '-')}.npy": data for name, data in contents.items()}
    return lambda world: Damage("documents", resealed(world.files["documents"] | changes, recount=True))


def references(line: bytes) -> Callable[[World], Damage]:
    """The pairs with another last line of references, sealed anew."""

    def changed(world: World) -> Damage:
        lines = world.files["pairs"]["references.jsonl"].splitlines(keepends=True)
        changes = {"references.jsonl": b"".join([*lines[:-1], line])}
        return Damage("pairs", resealed(world.files["pairs"] | changes, recount=False))

    return changed


def manifest(kind: str = "documents", **changes: Any) -> Callable[[World], Damage]:
    """A manifest of other content, without a seal."""

    def changed(world: World) -> Damage:
        found = json.loads(world.files[kind][MANIFEST]) | changes
        del found["seal"]
        return Damage(kind, {MANIFEST: json.dumps(found).encode()})

    return changed


def model(file: str, **changes: Any) -> Callable[[World], Damage]:
    """A model folder of which one file says something else; "model__x" is x in the group `model`."""

    def changed(world: World) -> Damage:
        found = json.loads(world.files["model"][file])
        for key, value in changes.items():
            group, _, inner = key.rpartition("__")
            (found[group] if group else found)[inner] = value
        return Damage("model", {file: json.dumps(found).encode()})

    return changed


def pretrain(recipe: str, *flags: str) -> Callable[[World], Command]:
    return lambda world: Command("pretrain", f"corpus: a\nvalidation: b\nout: c\n{recipe}".encode(), flags)


def rows(pack: PackConfig, **denoiser: Any) -> Callable[[World], Rows]:
    mixture = DenoiseConfig(denoisers=(DenoiserConfig(name="R", kind="R", probability=1.0, **denoiser),))
    return lambda world: Rows(mixture, pack, 100, [30, 5], 0)


def given(value: Any) -> Callable[[World], Any]:
    return lambda world: value


def parquet() -> bytes:
    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table({"text": ["A dog."]}), file, store_schema=False)
    return file.getvalue()


BOMB = ", ".join(["l0: &l0 lol", *(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 10))])
MERGED = ", ".join(["l0: &l0 {a: 1}", *(f"l{n}: &l{n} {{<<: [*l{n - 1}, *l{n - 1}]}}" for n in range(1, 30))])

FOUND: dict[str, tuple[str, Callable[[World], Any], str | None]] = {
    "a table that begins with an empty line": (
        "tables",
        given(Table(".csv", b"\nA dog.\n", False, 1)),
        "line 2: column 'text' holds nothing",
    ),
    "a column with a line end in its name": (
        "tables",
        given(Table(".csv", "te\u2028xt\nA dog.\n".encode(), False, 1)),
        "did you mean te xt",
    ),
    "a column with a name of 100,000 letters": (
        "tables",
        given(Table(".csv", b"text" * 25_000 + b"\nA dog.\n", False, 1)),
        "no column 'text'",
    ),
    "JSON within JSON": ("tables", given(Table(".jsonl", b"[" * 100_000, False, 1)), "line 1: .*nested too deeply"),
    "a number of 5,000 digits": (
        "tables",
        given(Table(".jsonl", b'{"text": %s}' % (b"9" * 5000), False, 1)),
        "line 1: .*number too long",
    ),
    "a Parquet column whose name is no text": (
        "tables",
        lambda world: Table(".parquet", parquet().replace(b"text", b"\xb6ext"), False, 1),
        "as Parquet",
    ),
    "a tokenizer pruned to no text": ("tokenizer", given(Written(2, "A dog.", ("",))), None),
    "rows of two thousand million tokens": ("rows", rows(PackConfig(encoder_length=2**31)), "must be at most 65,536"),
    "rows of more tokens than there are numbers": ("rows", rows(PackConfig(decoder_length=10**400)), "must be at most"),
    "spans without end": ("rows", rows(PackConfig(), mean_span=float("inf")), "mean_span is inf"),
    "a date that is none": ("settings", pretrain("seed: 2001-99-99"), "is not YAML: month must be in 1..12"),
    "a switch that is none": ("settings", pretrain("seed: !!bool maybe"), "is not YAML: 'maybe'"),
    "a number that is none": ("settings", pretrain("seed: !!int ''"), "is not YAML"),
    "a number that is none as a flag": (
        "settings",
        pretrain("", "--train.optimizer.lr", "._"),
        "convert string to float",
    ),
    "YAML within YAML": ("settings", pretrain("seed: " + "[" * 5000), "nested too deeply"),
    "a thousand million values by aliases": (
        "settings",
        pretrain(f"model: {{rope_parameters: {{{BOMB}}}}}"),
        "more than 100,000",
    ),
    "a thousand million values by merging": ("settings", pretrain(f"model: {{{MERGED}}}"), "more than 100,000"),
    "values that hold themselves": ("settings", pretrain("model: &a {rope_parameters: *a}"), "more than 100,000"),
    "nothing where something must be": (
        "settings",
        pretrain("train: {optimizer: {name: null}}"),
        "train.optimizer.name must not be null",
    ),
    "a learning rate that is no number": (
        "settings",
        pretrain("train: {optimizer: {lr: .nan}}"),
        "lr nan must be a finite",
    ),
    "a setting of unusual letters": ("settings", pretrain('model: {rope_parameters: {"▁\\U0004b719": 3}}'), None),
    "a budget beyond all numbers": (
        "studies",
        given(b"pretrain: {corpus: d}\ntune: {share: 0.5}\nbudget: {seconds: 1%s}" % (b"0" * 400)),
        "must be a number above 0",
    ),
    "a budget that is called by a number": (
        "studies",
        given(b"pretrain: {corpus: d}\nbudget: {7: 1}"),
        "unknown budget 7",
    ),
    "two budgets, one called by a number": (
        "studies",
        given(b"pretrain: {corpus: d}\nbudget: {seconds: 1, 7: 1}"),
        "one budget, not seconds and 7",
    ),
    "a manifest nested deeply": (
        "manifests",
        given(Damage("documents", {MANIFEST: b'{"files": ' + b"[" * 100_000})),
        "is no manifest",
    ),
    "a manifest that counts other tokens": ("manifests", manifest(tokens=7), "counts other"),
    "a manifest that counts other pairs": ("manifests", manifest("pairs", pairs=4), "counts other"),
    "a manifest that counts other ids": ("manifests", manifest(vocab_size=10**30), "is no manifest"),
    "a manifest that counts more than there can be": ("manifests", manifest("pairs", pairs=2**63), "is no manifest"),
    "a manifest of another tokenizer": ("manifests", manifest(tokenizer="x"), "another tokenizer"),
    "numbers of no bytes, which ended the process": (
        "shards",
        documents(tokens_00000=npy("{'descr': '<V0', 'fortran_order': True, 'shape': (-1,)}", bytes(16))),
        "tokens-00000.npy is damaged",
    ),
    "offsets so far apart that their distance is none": (
        "shards",
        documents(tokens_00000=vector(5, 6, kind="<u2"), offsets_00000=vector(0, 2**63 - 1, -2, 2)),
        "offsets are not those of its tokens",
    ),
    "more numbers than any memory holds": (
        "shards",
        documents(offsets_00000=npy("{'descr': '<i8', 'fortran_order': False, 'shape': (1000000000000,)}")),
        "offsets-00000.npy is damaged",
    ),
    "more numbers than there are numbers": (
        "shards",
        documents(tokens_00000=npy(f"{{'descr': '<u2', 'fortran_order': False, 'shape': ({10**30},)}}")),
        "tokens-00000.npy is damaged",
    ),
    "a length that is none": (
        "shards",
        documents(tokens_00000=npy("{'descr': '<u2', 'fortran_order': False, 'shape': (None,)}")),
        "tokens-00000.npy is damaged",
    ),
    "ids below 0": (
        "shards",
        documents(tokens_00000=vector(5, -1, kind="<i4"), offsets_00000=vector(0, 2)),
        "tokens-00000.npy is damaged",
    ),
    "ids that the tokenizer has not": (
        "shards",
        documents(tokens_00000=vector(5, 65_535, kind="<u2"), offsets_00000=vector(0, 2)),
        "holds id 65535",
    ),
    "references that are no JSON": ("shards", references(b"{\n"), "line 5 is damaged"),
    "references that are no text": ("shards", references(b'{"input": "\xff"}\n'), "line 5 is damaged"),
    "references that are no object": ("shards", references(b"true\n"), "line 5 is damaged"),
    "references that are missing": ("shards", references(b""), "has 4 of 5 pairs"),
    "a tokenizer at which its reader panics": (
        "models",
        model("tokenizer.json", model__continuing_subword_prefix="x" * 40),
        "cannot read the tokenizer",
    ),
    "merges that are none": ("models", model("tokenizer.json", model__merges=[7]), "cannot read the tokenizer"),
    "special tokens that are none": (
        "models",
        model("tokenizer_config.json", extra_special_tokens=7),
        "cannot read the tokenizer",
    ),
    "an id that is no number": ("models", model("config.json", pad_token_id="x"), "model"),
    "numbers of no type": ("models", model("config.json", dtype=1.5), "model"),
    "a prefix that is none": ("models", model("config.json", task_specific_params=5), None),
    "a prefix that is no text": (
        "models",
        model("config.json", task_specific_params={"summarization": {"prefix": 5}}),
        None,
    ),
    "a model of two that nobody named": ("models", model("config.json", model_type="encoder-decoder"), "far more than"),
    "a model that brings its code": (
        "models",
        model("config.json", model_type="x", auto_map={"AutoConfig": "x.C"}),
        "no model",
    ),
}
"""What was given, by what is unusual about it, and what must be told; None where it must be taken."""


@pytest.mark.parametrize("found", FOUND)
def test_what_was_found_stays_mended(world, found):
    name, make, told = FOUND[found]
    if told is None:
        TARGETS[name].check(world, make(world))
        return
    with pytest.raises(UserError, match=told) as refusal:
        TARGETS[name].check(world, make(world))
    check_refusal(str(refusal.value))


BROKEN = {
    "error": lambda world, case: [][case],
    "invariant": lambda world, case: pytest.fail("not so"),
    "complaint": lambda world, case: exec("raise UserError(' ')", {"UserError": UserError}),
    "memory": lambda world, case: bytearray(2**43),
    "death": lambda world, case: os.kill(os.getpid(), signal.SIGKILL) if case % 2 else None,
    "hang": lambda world, case: time.sleep(60) if not case else None,
}


@pytest.mark.parametrize("kind", BROKEN)
def test_what_breaks_is_noted_and_fuzzing_goes_on(world, kind, monkeypatch, tmp_path):
    monkeypatch.setattr("faults.fuzz.SECONDS", 0.3)
    monkeypatch.setattr(world, "folder", tmp_path)
    counter = iter(range(10))
    target = Target(lambda world, draw: next(counter), BROKEN[kind], 0)
    found = fuzz(world, {kind: target, "records": TARGETS["records"]}, seed=0, seconds=60, inputs=8)
    assert found["inputs"] == 8 and found["targets"][kind]["failed"] == found["failed"] >= 1
    assert 1 <= len(found["failures"]) <= max(TOLD, 4) and found["failures"][0]["target"] == kind
    expected = {"error": "IndexError", "invariant": "not so", "complaint": "no line", "memory": "MemoryError"}
    told = " ".join(found["failures"][0]["failure"])
    assert expected.get(kind, {"death": "SIGKILL", "hang": "Hanging"}.get(kind, "")) in told
