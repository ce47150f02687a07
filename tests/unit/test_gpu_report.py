"""`scripts/gpu_report.py` without a GPU: checks find what is wrong, and no part can take the others down."""

import argparse
import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from rot5.bench.figures import Figures
from rot5.build.models import shape
from rot5.build.scoring import denoising_rows
from rot5.data.corpus import Corpus
from rot5.data.denoise import DenoiseConfig
from rot5.data.packing import PackConfig
from rot5.data.tokenizer import special_ids
from rot5.model.settings import ModelConfig
from rot5.report.tables import Column, Table

SCRIPTS = Path(__file__).parents[2] / "scripts"
CPU = torch.device("cpu")


@pytest.fixture
def scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return importlib.import_module("gpu_checks"), importlib.import_module("gpu_report")


@pytest.fixture(scope="module")
def task(corpora):
    """A tiny shape and two packed rows for it."""
    corpus = Corpus.open(corpora / "stories")
    specials = special_ids(corpus.tokenizer())
    pack = PackConfig(encoder_length=128, decoder_length=80)
    rows = denoising_rows(corpus, specials, DenoiseConfig(), pack, seed=0, shuffle=True)
    return shape(ModelConfig(preset="smoke", num_layers=1, num_decoder_layers=1), specials), rows.rows(0, 2)


def verdicts(records):
    return {record["what"]: record["verdict"] for record in records}


def test_the_cpu_agrees_with_itself(scripts, task):
    checks, _ = scripts
    torch.manual_seed(0)
    found = [*checks.check_packed_rows(*task, CPU, compiled=False), *checks.check_grouped_products(CPU)]
    found += checks.check_decoding(*task, CPU)
    assert len(found) == 3 * 2 * 3 + 3 + 2 and set(verdicts(found).values()) == {"ok"}


def test_a_wrong_backend_is_found_and_a_broken_one_stops_no_other(scripts, task, monkeypatch):
    checks, _ = scripts
    model_of = checks._model

    def model(shape, weights, backend, device):
        if backend == "flex_attention":
            raise RuntimeError("no such kernel")
        made = model_of(shape, weights, backend, device)
        if backend == "varlen":
            made.decoder.layers[0].cross_attn.scale *= 1.5
        return made

    monkeypatch.setattr(checks, "_model", model)
    torch.manual_seed(0)
    found = {record["what"]: record for record in checks.check_packed_rows(*task, CPU, compiled=False)}
    for precision in ("float32", "bf16"):
        assert found[f"packed rows, varlen, {precision}: gradient"]["verdict"] == "wrong"
        assert found[f"packed rows, sdpa, {precision}: gradient"]["verdict"] == "ok"
        broken = found[f"packed rows, flex_attention, {precision}"]
        assert broken["verdict"] == "failed" and "no such kernel" in broken["note"]


def test_answers_that_differ_are_found(scripts, task, monkeypatch):
    checks, _ = scripts
    monkeypatch.setattr(checks, "generate", lambda model, inputs, *_: [[7] for _ in inputs])
    torch.manual_seed(0)
    theirs, ours = checks.check_decoding(*task, CPU)
    assert (theirs["verdict"], ours["verdict"], ours["value"]) == ("ok", "wrong", 1.0)


def test_a_part_without_time_is_ended_and_told(scripts, tmp_path):
    _, report = scripts
    options = argparse.Namespace(
        scratch=str(tmp_path), device="cpu", corpus="", validation="", rounds=1, rows=1, minutes=0.1, smoke=True
    )
    (record,) = report.run_part("correctness", 0.1, options)
    assert (record["part"], record["verdict"]) == ("correctness", "failed") and "out of time" in record["what"]


def test_tables_of_benchmarks_become_records(scripts):
    _, report = scripts
    columns = [Column("who", "Who", text=True), Column("speed", "Story\ntokens/s", digits=0), Column("none", "None")]
    (record,) = report.told(Figures("Title", "about", [Table("t", [{"who": "ours", "speed": 1234.5}], columns)]))
    assert record == {"what": "ours", "note": "Story tokens/s 1,234", "row": {"who": "ours", "speed": 1234.5}}


@pytest.mark.slow
def test_the_report_on_a_cpu(corpora, tmp_path):
    words = [sys.executable, str(SCRIPTS / "gpu_report.py"), "--device", "cpu", "--smoke"]
    words += ["--corpus", str(corpora / "stories"), "--validation", str(corpora / "validation")]
    words += ["--parts", "correctness", "training mini", "experts", "time to loss", "--seconds", "3000"]
    words += ["--out", str(tmp_path / "gpu.json")]
    done = subprocess.run(words, capture_output=True, text=True)
    found = json.loads((tmp_path / "gpu.json").read_text())["records"]
    assert done.returncode == 0, done.stdout + done.stderr
    assert {record["part"] for record in found} == {"correctness", "training mini", "experts", "time to loss"}
    assert any("the script works" in record.get("note", "") for record in found)
