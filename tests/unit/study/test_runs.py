"""What a run is known by, when it is done, and how budgets become updates."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from rot5.config import FinetuneConfig, PretrainConfig
from rot5.data.corpus import Corpus
from rot5.errors import UserError
from rot5.model import presets
from rot5.model.configuration_rot5 import Rot5Config
from rot5.model.costs import forward_flops
from rot5.model.settings import ModelConfig
from rot5.study.budget import flops_per_story_token, with_budget
from rot5.study.pace import paces
from rot5.study.page import curve, mean_curve
from rot5.study.runs import Run, as_new, described, identity
from rot5.study.tune import score
from rot5.study.variant import Variant
from rot5.train.settings import TrainConfig

RUNS = Path("runs/of/studies")


@pytest.fixture
def config(corpora) -> PretrainConfig:
    return PretrainConfig(
        corpus=str(corpora / "stories"),
        validation=str(corpora / "validation"),
        out="x",
        model=ModelConfig(preset="smoke"),
        train=TrainConfig(batch_rows=2, micro_batch_rows=2),
    )


def test_a_run_is_known_by_what_decides_its_result(config, corpora, tmp_path, monkeypatch):
    shutil.copytree(corpora / "stories", tmp_path / "moved")
    same = [replace(config, out="y"), replace(config, corpus=str(tmp_path / "moved"))]
    same.append(replace(config, train=replace(config.train, checkpoint_every=7)))
    assert all(identity(each, RUNS) == identity(config, RUNS) for each in same)
    other = [replace(config, seed=1), replace(config, corpus=config.validation)]
    other.append(replace(config, model=ModelConfig(preset="smoke", d_ff=64)))
    assert all(identity(each, RUNS) != identity(config, RUNS) for each in other)
    before = identity(config, RUNS)
    changed = presets.Preset(about="", vocab_size=512, shape={**presets.PRESETS["smoke"].shape, "d_ff": 96})
    monkeypatch.setitem(presets.PRESETS, "smoke", changed)
    assert identity(config, RUNS) != before, "the shape behind a preset's name was changed"


def test_a_model_that_a_run_begins_with_is_known_by_its_weights(config, tiny_model, tmp_path):
    for name in ("a/base", "b/base", "moved"):
        tiny_model(d_ff=32 if name == "b/base" else 64).save_pretrained(tmp_path / name)

    def of(init: Path | str) -> dict:
        return identity(replace(config, init=str(init)), RUNS)

    assert of(tmp_path / "a/base") != of(tmp_path / "b/base"), "the last part of a path says nothing"
    assert of(tmp_path / "a/base") == of(tmp_path / "moved")
    assert of("google/flan-t5-small") != of("other/flan-t5-small")
    assert of(RUNS / "pretrain-0123")["init"] == "pretrain-0123", "which may be still to make"


def test_a_default_is_no_part_of_a_runs_name(config):
    """Else every new setting would rename, and orphan, every finished run."""
    assert "qk_norm" in json.dumps(described(config, RUNS)) and "weight_decay" not in json.dumps(identity(config, RUNS))


def test_equal_pairs_of_other_files_are_equal(corpora, tmp_path):
    for name in ("pairs", "held-out"):
        shutil.copytree(corpora / name, tmp_path / name)
    for path in (tmp_path / "pairs").rglob("manifest.json"):
        path.write_text(json.dumps({**json.loads(path.read_text()), "source": "elsewhere"}))
    found = [
        identity(FinetuneConfig(pairs=str(folder / "pairs"), validation=str(folder / "held-out"), out="x"), RUNS)
        for folder in (corpora, tmp_path)
    ]
    assert found[0] == found[1]


def test_a_page_alone_is_no_finished_run(config, tmp_path):
    run = Run("pretrain", replace(config, out=str(tmp_path)))
    (tmp_path / "report.html").write_text("")
    assert not run.done()
    (tmp_path / "eval.json").write_text('{"likelihood": {"overall": {"bits_per_byte": {"mean": 1.5}}}}')
    assert run.done() and score(run) == 1.5
    pairs = FinetuneConfig(pairs="", validation="", out=str(tmp_path))
    assert not Run("finetune", pairs).done() and Run("finetune", replace(pairs, summaries=0)).done()


def test_a_mean_curve_has_the_ends_of_all_runs(tmp_path):
    """Packing goes by seed: the last steps of two runs of one budget are 5 and 6 here."""
    told = {"a": [(3, 30, 2.0), (5, 50, 1.0)], "b": [(3, 30, 4.0), (6, 60, 2.0)]}
    for name, records in told.items():
        (tmp_path / name).mkdir()
        lines = [json.dumps({"step": s, "story_tokens": t, "eval/x": v}) for s, t, v in records]
        (tmp_path / name / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    config = PretrainConfig(corpus="", validation="", out="")
    a, b = (Run("pretrain", replace(config, out=str(tmp_path / name))) for name in told)
    assert mean_curve([curve([run], "eval/x") for run in (a, b)]) == [(30.0, 3.0), (55.0, 1.5)]
    assert mean_curve([curve([run], "eval/x", [0.5]) for run in (a, b)]) == [(1.5, 3.0), (2.75, 1.5)]
    assert curve([a, b], "eval/x") == [(30, 2.0), (50, 1.0), (80, 4.0), (110, 2.0)], "one stage behind the other"
    assert curve([a, b], "eval/x", [0.5, 2.0]) == [(1.5, 2.0), (2.5, 1.0), (8.5, 4.0), (14.5, 2.0)]


def test_budgets_become_updates(config):
    assert with_budget(config, {}, 2.0) == config
    assert with_budget(config, {"seconds": 60.0}, 2.0).train.steps == 30
    tokens = Corpus.open(config.corpus).num_tokens
    assert with_budget(config, {"story_tokens": 3 * tokens}, 2.0).train.epochs == pytest.approx(3)
    flops = flops_per_story_token(config) * tokens
    assert with_budget(config, {"flops": flops}, 2.0).train.epochs == pytest.approx(1)


def test_operations_of_a_model_that_no_settings_shape_are_no_budget(config):
    with pytest.raises(UserError, match="some/run"):
        with_budget(config, {"flops": 1e9}, 2.0, replace(config, init="some/run"))
    assert with_budget(config, {"story_tokens": 1e3}, 2.0, replace(config, init="some/run")).train.epochs > 0


def test_a_stage_is_timed_in_the_shape_that_it_has_grown_into(config):
    shared = {"corpus": config.corpus, "validation": config.validation}
    stages = {
        "small": {"pretrain": {"model": {"preset": "smoke"}}},
        "experts": {"pretrain": {"model": {"num_experts": 4}}},
        "deep": {"pretrain": {"model": {"num_layers": 4}}},
    }
    variant = Variant(name="a", family="a", against="a", pretrain=shared, stages=stages)
    models = [each.model for each in as_new(variant)]
    assert [(each.preset, each.num_experts, each.num_layers) for each in models] == [
        ("smoke", None, None),
        ("smoke", 4, None),
        ("smoke", 4, 4),
    ]


def test_operations_per_story_token_are_three_forward_passes(config):
    """Between those of an encoder and of a decoder token of a story, times three."""
    shape = presets.PRESETS["smoke"].shape
    vocabulary = Corpus.open(config.corpus).manifest["vocab_size"]
    each = forward_flops(Rot5Config(vocab_size=-(-vocabulary // 128) * 128, **shape), 130, 80)
    assert 3 * each.encoder_token < flops_per_story_token(config) < 3 * each.decoder_token


def test_paces_are_ratios_to_the_baseline(config, monkeypatch):
    """A clock that charges each variant by its width: the ratio is found, and told of the right one."""
    wide = replace(config, model=ModelConfig(preset="smoke", d_ff=256))
    monkeypatch.setattr("rot5.study.pace._timed", lambda trainer, batch: trainer.model.config.d_ff / 64)
    told = []
    found = paces({"narrow": config, "wide": wide}, "narrow", told.append)
    assert found["narrow"] == {"seconds": 2.0, "ratio": 1.0} and found["wide"] == {"seconds": 4.0, "ratio": 2.0}
    assert told == ["a step of wide takes 2.00 times that of narrow"]
