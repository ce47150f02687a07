"""Comparisons over seeds: Student's intervals, pairing by seed, and verdicts that call noise noise."""

import json
import math
from dataclasses import replace

import pytest

from rot5.config import EvaluateConfig, FinetuneConfig, PretrainConfig
from rot5.evaluation.intervals import Interval
from rot5.study.compare import compare, figures, metric, verdict
from rot5.study.file import Study
from rot5.study.reach import reach, shares
from rot5.study.runs import Chain, Run
from rot5.study.variant import Variant


@pytest.fixture
def chain(tmp_path):
    """A finished run of a variant and a seed with this result."""

    def make(variant: str, seed: int, bits: float) -> Chain:
        folder = tmp_path / f"{variant}-{seed}"
        folder.mkdir()
        told = {
            "overall": {"bits_per_byte": {"mean": bits}},
            "R": {"bits_per_byte": {"mean": 2 * bits}},
            "settings": {"data": "stories"},
        }
        (folder / "eval.json").write_text(json.dumps({"likelihood": told}))
        config = PretrainConfig(corpus="", validation="", out=str(folder))
        return Chain(variant, seed, (Run("pretrain", config),), {})

    return make


def test_a_verdict_goes_by_the_interval_and_by_what_is_better():
    assert verdict(Interval(-0.1, -0.2, 0.1), -1) == "within noise"
    assert verdict(Interval(-0.1, -0.2, -0.05), -1) == "better"
    assert verdict(Interval(-0.1, -0.2, -0.05), 1) == "worse"
    assert verdict(Interval(-0.1, math.nan, math.nan), -1) == "one seed"
    assert metric("pretrain/R").sign == -1 and metric("finetune/rougeL").sign == 1


def test_differences_are_paired_by_seed(chain):
    """Seeds differ by far more than variants: only pairing can see the difference."""
    of_seed = [1.0, 3.0, 2.0]
    chains = {
        "base": [chain("base", seed, bits) for seed, bits in enumerate(of_seed)],
        "other": [chain("other", seed, bits - 0.10 + 0.01 * seed) for seed, bits in enumerate(of_seed)],
    }
    found = compare(chains, {"other": "base"})
    assert found["variants"]["base"]["pretrain/bits_per_byte"]["values"] == of_seed
    difference = found["differences"]["other"]["pretrain/bits_per_byte"]
    assert difference["mean"] == pytest.approx(-0.09) and difference["verdict"] == "better"
    assert found["differences"]["other"]["pretrain/R"]["mean"] == pytest.approx(-0.18)
    assert set(found["differences"]) == {"other"}
    json.dumps(found, allow_nan=False)


def test_only_seeds_that_both_have_are_compared(chain):
    chains = {"base": [chain("base", 1, 2.0)], "other": [chain("other", 0, 1.0), chain("other", 1, 1.5)]}
    difference = compare(chains, {"other": "base"})["differences"]["other"]["pretrain/bits_per_byte"]
    assert difference["mean"] == -0.5 and difference["seeds"] == 1 and difference["verdict"] == "one seed"
    assert compare({"base": [], "other": chains["other"]}, {"other": "base"})["differences"] == {}


def test_a_run_that_seeds_share_counts_once(chain):
    """As that of a model which was there already: it has no seed, and no interval."""
    one, other = chain("there", 0, 1.0), chain("other", 0, 1.5)
    chains = {
        "there": [replace(one, seed=seed) for seed in (0, 1)],
        "other": [replace(other, seed=seed) for seed in (0, 1)],
        "seeded": [chain("seeded", seed, 2.0 + 0.1 * seed) for seed in (0, 1)],
    }
    found = compare(chains, {"there": "other", "seeded": "there"})
    assert found["variants"]["there"]["pretrain/bits_per_byte"] == {
        "mean": 1.0,
        "low": None,
        "high": None,
        "values": [1.0],
    }
    of = {name: each["pretrain/bits_per_byte"] for name, each in found["differences"].items()}
    assert (of["there"]["verdict"], of["there"]["seeds"]) == ("one seed", 1)
    assert of["seeded"]["seeds"] == 2 and of["seeded"]["low"] is not None


def test_the_share_of_tokens_is_found_on_the_line_through_the_ends():
    """Losses that fall by 1 per doubling; `fast` is as good with half the tokens, and its steps take twice as long."""

    def line(start: float) -> list[tuple[float, float]]:
        return [(tokens, start - math.log2(tokens)) for tokens in (1e5, 2e5, 4e5)]

    ends = {"base": {0: line(20), 1: line(21)}, "fast": {0: line(19), 1: line(20)}, "same": {0: line(20)}}
    found = shares(ends, "base", {"base": 1.0, "fast": 2.0, "same": 1.0})
    assert found["fast"]["tokens"]["mean"] == pytest.approx(0.5) and found["fast"]["beyond"] == 0
    assert found["fast"]["seconds"]["mean"] == pytest.approx(1.0)
    assert found["fast"]["tokens"]["low"] == pytest.approx(0.5)
    assert found["same"]["tokens"]["mean"] == pytest.approx(1.0) and found["same"]["tokens"]["low"] is None
    assert "base" not in found


def test_what_lies_beyond_the_budgets_is_counted_and_what_never_comes_is_left_empty():
    ends = {
        "base": {0: [(1e5, 3.0), (2e5, 2.0)]},
        "slow": {0: [(1e5, 4.0), (2e5, 3.0)]},
        "stuck": {0: [(1e5, 4.0), (2e5, 4.0)]},
    }
    found = shares(ends, "base", {"base": 1, "slow": 1, "stuck": 1})
    assert found["slow"]["beyond"] == 1 and found["slow"]["tokens"]["mean"] == pytest.approx(2.0)
    assert found["stuck"]["tokens"]["mean"] is None
    json.dumps(found, allow_nan=False)
    ends["base"] = {0: [(1e5, 3.0), (2e5, math.nan)]}
    json.dumps(shares(ends, "base", {"base": 1, "slow": 1, "stuck": 1}), allow_nan=False)


def test_seconds_go_by_tokens_not_by_updates(chain):
    """Updates of twice the rows that take twice as long are as fast."""
    chains: dict[str, list[Chain]] = {}
    for name, per_step in (("base", 100), ("wide", 200)):
        for tokens in (1000, 2000):
            each = chain(f"{name}{tokens}", 0, 3000 / tokens)
            each.last.folder.path.joinpath("metrics.jsonl").write_text(
                json.dumps({"step": tokens // per_step, "story_tokens": tokens}) + "\n"
            )
            chains[f"{name} {tokens}"] = [each]
    variants = [Variant(name=name, family=name.split()[0], against="base") for name in chains]
    study = Study(name="", about="", data=(), seeds=(0,), baseline="base", variants=tuple(variants), law=False)
    found = reach(study, chains, {name: [2.0 if name.startswith("wide") else 1.0] for name in chains})
    assert found["wide"]["tokens"]["mean"] == found["wide"]["seconds"]["mean"] == pytest.approx(1)


def test_what_is_better_from_the_start_needs_at_most_the_smallest_budget():
    ends = {"base": {0: [(1e5, 3.0), (2e5, 2.0)]}, "better": {0: [(1e5, 1.80), (2e5, 1.81)]}}
    found = shares(ends, "base", {"base": 1, "better": 1})["better"]
    assert found["tokens"]["mean"] == pytest.approx(0.5) and found["beyond"] == 1


def test_a_run_that_diverged_is_called_so_and_leaves_no_nan(chain):
    chains = {"base": [chain("base", 0, 1.0)], "other": [chain("other", 0, math.nan)]}
    found = compare(chains, {"other": "base"})
    assert found["differences"]["other"]["pretrain/bits_per_byte"]["verdict"] == "diverged"
    json.dumps(found, allow_nan=False)


def test_a_single_budget_says_nothing():
    assert shares({"base": {0: [(1e5, 3.0)]}, "other": {0: [(1e5, 2.0)]}}, "base", {}) == {}


def test_a_model_is_known_by_its_last_stages_and_by_what_it_is_judged_on(chain, tmp_path):
    """Of two pretrainings the last counts; where there are tasks, their mean, every task the same."""
    stages = [chain("a", number, bits).trained[0] for number, bits in enumerate((2.0, 1.0))]

    def evaluated(name: str, **found) -> str:
        (tmp_path / name).mkdir()
        (tmp_path / name / "eval.json").write_text(json.dumps(found))
        return str(tmp_path / name)

    scores = {"world/who": {"score": {"mean": 90.0}}, "world/word": {"score": {"mean": 50.0}}}
    likelihood = {"overall": {"bits_per_byte": {"mean": 0.5}}}
    model = {"model": {"rougeL": {"mean": 33.0}}}
    tuned = FinetuneConfig(
        pairs="", validation="", out=evaluated("t", likelihood=likelihood, summaries={"systems": model})
    )
    judged = EvaluateConfig(out=evaluated("j", likelihood=likelihood, summaries={"tasks": scores, "systems": model}))
    whole = Chain("a", 0, (*stages, Run("finetune", tuned)), {"held-out": Run("evaluate", judged)})
    assert {key: each.value for key, each in figures(whole).items()} == {
        "pretrain/bits_per_byte": 1.0,
        "pretrain/R": 2.0,
        "finetune/bits_per_byte": 0.5,
        "finetune/rougeL": 33.0,
        "held-out/tasks": 70.0,
    }
    assert metric("held-out/tasks").sign == 1 and "held-out" in metric("held-out/tasks").heading
    found = compare({"a": [whole]}, {})
    assert found["tasks"] == {
        "a": {
            "held-out: world/who": {"mean": 90.0, "low": None, "high": None, "values": [90.0]},
            "held-out: world/word": {"mean": 50.0, "low": None, "high": None, "values": [50.0]},
        }
    }


def test_what_two_variants_share_is_no_difference(chain):
    shared = chain("trunk", 0, 2.0).trained[0]
    tuned = {name: chain(name, 0, bits).trained[0] for name, bits in (("base", 1.0), ("other", 0.5))}
    chains = {
        name: [
            Chain(name, 0, (shared, Run("finetune", FinetuneConfig(pairs="", validation="", out=run.config.out))), {})
        ]
        for name, run in tuned.items()
    }
    assert set(compare(chains, {"other": "base"})["differences"]["other"]) == {"finetune/bits_per_byte", "finetune/R"}
