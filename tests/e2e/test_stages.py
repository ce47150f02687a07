"""Models that grow and learn in stages, by one command that can be stopped anywhere."""

import json
from pathlib import Path

import pytest
import yaml

from rot5.loading import load
from rot5.train.run_folder import RunFolder

LOOP = {"steps": 2, "batch_rows": 2, "micro_batch_rows": 2, "evaluation_examples": 4}


@pytest.fixture
def recipe(tmp_path, monkeypatch, corpora):
    """A small model, one that has grown from it, one with experts, and what it is tuned to."""
    monkeypatch.chdir(tmp_path)
    rows = {"encoder_length": 256, "decoder_length": 160}
    corpus = {"corpus": str(corpora / "stories"), "validation": str(corpora / "validation")}
    pairs = {"pairs": str(corpora / "pairs"), "validation": str(corpora / "held-out")}
    return {
        "about": "small to large",
        "pretrain": {**corpus, "pack": rows, "train": LOOP},
        "finetune": {**pairs, "pack": {**rows, "encoder_length": 512}, "train": LOOP, "summaries": 2},
        "stages": {
            "small": {"pretrain": {"model": {"preset": "smoke"}}},
            "deeper": {"pretrain": {"model": {"num_layers": 3, "dropout_rate": 0.1}, "seed": 1}},
            "experts": {"pretrain": {"model": {"num_experts": 2}, "train": {"steps": 3}}},
            "tuned": {"finetune": {"max_new_tokens": 4}},
        },
    }


def written(recipe: dict) -> str:
    Path("stages.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
    return "stages.yaml"


def test_each_stage_goes_on_from_the_one_before(recipe, rot5):
    file = written(recipe)
    called = rot5("stages", file, "--out", "all")
    assert called.code == 0, called.err
    assert all(f"stage {n} of 4: {name}" in called.out for n, name in enumerate(recipe["stages"], start=1))
    table = json.loads(Path("all/results.json").read_text())
    assert [row["stage"] for row in table] == list(recipe["stages"])
    assert [row["steps"] for row in table] == [2, 2, 3, 2]
    sizes = [row["parameters"] for row in table]
    assert sizes[0] < sizes[1] < sizes[2] == sizes[3]
    for before, name in zip(("all/small", "all/deeper", "all/experts"), ("deeper", "experts", "tuned"), strict=True):
        assert RunFolder(Path("all", name)).config()["init"] == before
    assert load("all/experts").model.config.num_experts == 2 and load("all/tuned").model.config.num_layers == 3

    written_at = Path("all/tuned/report.html").stat().st_mtime_ns
    again = rot5("stages", file, "--out", "all")
    assert again.code == 0 and "stage 1" not in again.out
    assert Path("all/tuned/report.html").stat().st_mtime_ns == written_at

    record = json.loads(Path("all/stages.json").read_text())
    del record["small"]["temperature"], record["tuned"]["lora"], record["deeper"]["train"]["optimizer"]["beta2"]
    Path("all/stages.json").write_text(json.dumps(record))
    recipe["pretrain"]["train"] = {**LOOP, "keep_checkpoints": 5}
    later = rot5("stages", written(recipe), "--out", "all")
    assert later.code == 0, "begun by software that knew less, and with a setting that touches no result"

    recipe["stages"]["small"]["pretrain"]["seed"] = 5
    changed = rot5("stages", written(recipe), "--out", "all")
    assert changed.code == 2 and "small: seed: 0 -> 5" in changed.err


def test_growing_keeps_what_was_learned(recipe, rot5):
    del recipe["stages"]["experts"], recipe["stages"]["tuned"]
    recipe["stages"]["small"]["pretrain"]["train"] = {"steps": 12}
    recipe["stages"]["deeper"]["pretrain"]["train"] = {"steps": 1, "optimizer": {"lr": 1e-9}}
    assert rot5("stages", written(recipe), "--out", "all").code == 0
    small, deeper = json.loads(Path("all/results.json").read_text())
    assert deeper["bits_per_byte"] == pytest.approx(small["bits_per_byte"], rel=2e-2)
    first, grown = (RunFolder(Path("all", name)).metrics()[0]["train/loss"] for name in ("small", "deeper"))
    assert grown < 0.95 * first


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stages": {}}, "stages must be a group"),
        ({"stage": {}}, "unknown key 'stage': did you mean stages"),
        ({"stages": {"a": {"pretrain": {}, "finetune": {}}}}, "stage a must hold settings of one of"),
        ({"stages": {"a": {"pretrain": {"out": "x"}}}}, "stage a: out follows from the stages"),
        ({"stages": {"a": {"pretrain": {"trian": {}}}}}, "stage a: unknown key 'trian': did you mean train"),
        ({"stages": {"a": {"pretrain": 3}}}, "stage a must hold settings"),
        ({"stages": {"a": {"pretrain": {}}, "b": {"finetune": {"init": "x"}}}}, "stage b: init follows"),
        ({"stages": {"a": {"pretrain": {"init": "nowhere"}}}}, "nowhere"),
    ],
)
def test_faults_are_told_in_one_line(recipe, rot5, changes, message):
    called = rot5("stages", written({**recipe, **changes}), "--out", "all")
    assert called.code == 2 and message in called.err and called.err.count("\n") == 1, called.err


def test_a_model_that_cannot_grow_so_is_told(recipe, rot5):
    recipe["stages"]["deeper"]["pretrain"]["model"] = {"d_ff": 8}
    called = rot5("stages", written(recipe), "--out", "all")
    assert called.code == 2 and "model: " in called.err and "d_ff" in called.err
