"""Study files: what they mean, and that everything wrong with one is said at once."""

from pathlib import Path

import pytest
import yaml

from rot5.build.models import shape
from rot5.config import EvaluateConfig
from rot5.data.tokenizer import build_tokenizer, prune_tokenizer, special_ids
from rot5.errors import UserError
from rot5.study.file import Study, read_study
from rot5.study.run import MAKERS
from rot5.study.runs import as_new, typed
from rot5.study.variant import VERBS

RECIPES = Path(__file__).parents[3] / "recipes" / "studies"
PRETRAIN = {"corpus": "a", "validation": "b", "train": {"optimizer": {"lr": 0.1}, "batch_rows": 4}}


@pytest.fixture
def study(tmp_path: Path):
    """Reads a study of these keys; pretrain is there unless it is given."""

    def read(**content) -> Study:
        path = tmp_path / "some.yaml"
        path.write_text(yaml.safe_dump({"pretrain": PRETRAIN, **content}, sort_keys=False))
        return read_study(path)

    return read


def test_a_variant_changes_what_it_names_and_keeps_the_rest(study):
    found = study(variants={"plain": {}, "fast": {"pretrain": {"train": {"optimizer": {"lr": 0.5}}}}})
    assert found.name == "some" and found.seeds == (0,) and found.baseline == "plain"
    plain, fast = found.variants
    assert plain.pretrain == PRETRAIN
    assert fast.pretrain == {**PRETRAIN, "train": {"optimizer": {"lr": 0.5}, "batch_rows": 4}}
    assert found.counterparts() == {"fast": "plain"}


def test_a_variant_may_be_compared_with_another_than_the_baseline(study):
    found = study(variants={"a": {}, "b": {}, "c": {"against": "b"}}, sweep={"budget.seconds": [1, 2]})
    assert found.counterparts() == {
        "b seconds=1": "a seconds=1",
        "b seconds=2": "a seconds=2",
        "c seconds=1": "b seconds=1",
        "c seconds=2": "b seconds=2",
    }


def test_a_sweep_makes_every_combination(study):
    sweep = {"pretrain.train.batch_rows": [2, 4], "budget.story_tokens": [1000, 20000]}
    found = study(variants={"a": {}, "b": {}}, sweep=sweep)
    assert [variant.name for variant in found.variants[:4]] == [
        "a batch_rows=2 story_tokens=1,000",
        "a batch_rows=2 story_tokens=20,000",
        "a batch_rows=4 story_tokens=1,000",
        "a batch_rows=4 story_tokens=20,000",
    ]
    assert len(found.variants) == 8
    last = found.variants[-1]
    assert last.pretrain["train"]["batch_rows"] == 4 and last.budget == {"story_tokens": 20000}
    assert last.family == "b batch_rows=4"
    assert found.baseline == "a batch_rows=2"
    assert found.counterparts()[last.name] == "a batch_rows=2 story_tokens=20,000"


def test_variants_are_compared_at_the_same_point_of_a_sweep_where_one_is_named(study):
    sweep = {"pretrain.train.batch_rows": [2, 4]}
    found = study(variants={"a": {}, "b": {}, "c": {"against": "b"}}, baseline="a", sweep=sweep)
    assert found.baseline == "a batch_rows=2"
    assert found.counterparts() == {
        "b batch_rows=2": "a batch_rows=2",
        "b batch_rows=4": "a batch_rows=4",
        "c batch_rows=2": "b batch_rows=2",
        "c batch_rows=4": "b batch_rows=4",
    }


def test_a_sweep_alone_names_its_values(study):
    assert [v.name for v in study(sweep={"pretrain.model.d_model": [64, 96]}).variants] == ["d_model=64", "d_model=96"]


def test_trials_are_every_combination_on_their_share_of_the_budget(study):
    grid = {"pretrain.train.optimizer.lr": [0.1, 0.2], "pretrain.model.d_ff": [64, 128]}
    (variant,) = study(budget={"story_tokens": 1000}, tune={"share": 0.25, "grid": grid}).variants
    assert len(variant.trials()) == 4
    tried = variant.trial(variant.trials()[-1])
    assert tried.budget == {"story_tokens": 250} and tried.name == "all (lr=0.2, d_ff=128)"
    assert tried.pretrain["train"] == {"optimizer": {"lr": 0.2}, "batch_rows": 4}
    assert tried.pretrain["model"] == {"d_ff": 128}
    assert variant.pretrain["train"]["optimizer"]["lr"] == 0.1, "a trial changed what it was made from"
    chosen = variant.at(variant.trials()[0])
    assert chosen.budget == {"story_tokens": 1000} and chosen.grid == {} and chosen.name == "all"


def test_stages_share_the_budget_and_the_settings_of_their_verb(study):
    stages = {
        "small": {"pretrain": {"model": {"preset": "1m"}}, "share": 0.25},
        "large": {"pretrain": {"train": {"batch_rows": 8}}, "share": 0.75},
        "tuned": {"finetune": {"pairs": "p"}},
    }
    shared = {"validation": "v"}
    (variant,) = study(variants={"grown": {"stages": stages}}, budget={"story_tokens": 1000}, finetune=shared).variants
    small, large, tuned = variant.plan()
    assert (small.name, small.verb, small.budget) == ("small", "pretrain", {"story_tokens": 250})
    assert small.settings == {**PRETRAIN, "model": {"preset": "1m"}}
    assert large.budget == {"story_tokens": 750} and large.settings["train"]["batch_rows"] == 8
    assert tuned.settings == {"validation": "v", "pairs": "p"} and tuned.budget == {}


def test_stages_without_shares_are_equal(study):
    (variant,) = study(
        variants={"a": {"stages": {"x": {"pretrain": {}}, "y": {"pretrain": {}}}}}, budget={"seconds": 8}
    ).variants
    assert [stage.budget for stage in variant.plan()] == [{"seconds": 4.0}] * 2
    stages = {"x": {"pretrain": {}, "share": 0.5}, "y": {"pretrain": {}}, "z": {"pretrain": {}}}
    (variant,) = study(variants={"a": {"stages": stages}}, budget={"seconds": 8}).variants
    assert [stage.budget["seconds"] for stage in variant.plan()] == [4, 2, 2]


def test_a_variant_may_leave_a_stage_out_and_begin_with_any_model(study):
    found = study(
        finetune={"pairs": "p", "validation": "v"},
        variants={"both": {}, "tuned": {"pretrain": None, "finetune": {"init": "some/run"}}, "new": {"pretrain": None}},
    ).variants
    assert [[stage.verb for stage in each.plan()] for each in found] == [
        ["pretrain", "finetune"],
        ["finetune"],
        ["finetune"],
    ]
    assert found[1].plan()[0].settings["init"] == "some/run"


@pytest.mark.parametrize(
    "content, words",
    [
        ({"varants": {}}, ["unknown key 'varants'", "variants"]),
        ({"variants": {"a": {"pretran": {}}}}, ["variant a: unknown key 'pretran'", "pretrain"]),
        ({"variants": ["a"]}, ["variants must be `key: value`"]),
        ({"seeds": [0, 0]}, ["seeds [0, 0] repeat"]),
        ({"seeds": "all"}, ["seeds 'all' must be a list of numbers"]),
        ({"baseline": "planet", "variants": {"plain": {}}}, ["baseline 'planet' is no variant", "plain"]),
        ({"variants": {"a": {}, "b": {"against": "aa"}}}, ["variant b: against 'aa' is no variant"]),
        ({"budget": {"tokens": 5}}, ["unknown budget 'tokens'", "story_tokens"]),
        ({"budget": {"story_tokens": "1.5e6"}}, ["budget.story_tokens '1.5e6' must be a number above 0"]),
        ({"budget": {"story_tokens": 5, "seconds": 5}}, ["one budget, not story_tokens and seconds"]),
        ({"sweep": {"model.d_model": [1]}}, ["sweep: model.d_model must be a list of values, under one of"]),
        ({"tune": {"grid": {"pretrain.model.d_ff": 3}}}, ["tune: pretrain.model.d_ff must be a list"]),
        (
            {"tune": {"grid": {"budget.seconds": [3]}}},
            ["tune: budget.seconds must be a list of values, under one of pre"],
        ),
        ({"tune": {"grid": {"pretrain.seed": [3]}}}, ["pretrain.seed is tuned, and the study's to set"]),
        ({"sweep": {"pretrain.seed": [1, 2]}}, ["pretrain.seed is the study's to set"]),
        ({"finetune": {"init": "x"}}, ["finetune.init is the study's to set"]),
        ({"budget": {"seconds": 9}, "sweep": {"pretrain.train.steps": [1]}}, ["and a budget both say how long"]),
        ({"sweep": {"pretrain.model": [{"d_ff": 64}, {"num_layers": 64}]}}, ["two variants are called 'model=64'"]),
        ({"budget": {"story_tokens": float("inf")}}, ["budget.story_tokens inf must be a number above 0"]),
        ({"budget": 1000}, ["budget must be `key: value`"]),
        ({"tune": [1]}, ["tune must be `key: value`"]),
        ({"tune": {"grid": [1]}}, ["tune.grid must be"]),
        ({"pretrain": "x"}, ["pretrain must be `key: value`"]),
        ({"variants": {"a": {"finetune": "x"}}}, ["variant a: finetune must be"]),
        ({"data": {"out": "x"}}, ["data must be a list"]),
        ({"seeds": [True]}, ["seeds [True] must be a list of numbers"]),
        ({"tune": {"share": 0.5, "grid": {"pretrain.x": [1]}}}, ["tune.share needs a budget"]),
        ({"tune": {"share": 2, "grid": {"pretrain.x": [1]}}, "budget": {"seconds": 9}}, ["tune.share 2 must be"]),
        ({"pretrain": {}}, ["no stage says anything: give at least pretrain"]),
        ({"stages": {"a": {}}}, ["stage a must hold settings of one of pretrain, finetune"]),
        ({"stages": {"a": {"pretrain": {}, "finetune": {}}}}, ["stage a must hold settings of one of"]),
        ({"stages": {"a": {"pretrain": {}, "share": 2}}}, ["stage a: share 2 must be above 0 and at most 1"]),
        ({"stages": {"a": {"pretrain": {}, "share": 0.2}, "b": {"finetune": {}}}}, ["stages add up to 0.2, not to 1"]),
        (
            {"stages": {"a": {"pretrain": {}, "share": 0.9}, "b": {"pretrain": {}, "share": 0.9}}},
            ["stages add up to 1.8, not to 1"],
        ),
        (
            {"stages": {"a": {"pretrain": {}, "share": 1}, "b": {"pretrain": {}}}},
            ["shares leave nothing for stage b"],
        ),
        (
            {"stages": {"a": {"pretrain": {}}, "b": {"finetune": {}, "share": 0.5}}},
            ["stage b: a share is of the budget of pretraining"],
        ),
        (
            {"pretrain": {}, "finetune": {"pairs": "p"}, "sweep": {"budget.seconds": [1, 2]}},
            ["sweep: a budget is of pretraining, and no variant pretrains"],
        ),
        (
            {
                "stages": {"a": {"pretrain": {"train": {"batch_rows": 3}}}},
                "tune": {"grid": {"pretrain.train.batch_rows": [1, 2]}},
            },
            ["pretrain.train.batch_rows is tuned, and stage a sets it itself"],
        ),
        (
            {"stages": {"a": {"pretrain": {"model": {"d_ff": 3}}}}, "sweep": {"pretrain.model.d_ff": [1, 2]}},
            ["pretrain.model.d_ff is swept over, and stage a sets it itself"],
        ),
        ({"stages": {"a": {"pretrain": 3}}}, ["stage a must hold settings as `key: value`"]),
        ({"stages": {"a": {"pretrain": {}}, "b": {"pretrain": {"init": "x"}}}}, ["pretrain.init is the study's"]),
        (
            {"stages": {"a": {"pretrain": {"train": {"steps": 3}}}}, "budget": {"seconds": 9}},
            ["pretrain.train.steps and a budget both say how long"],
        ),
        ({"evaluate": {"held-out": {}}}, ["evaluate.held-out must be settings of `rot5 evaluate`, with data"]),
        ({"evaluate": {"a/b": {"data": "x"}}}, ["evaluate.a/b: a verb or a name with a / in it"]),
        ({"evaluate": {"seen": {"data": "x", "model": "y"}}}, ["evaluate.seen.model is the study's to set"]),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_is_wrong_is_named(study, content, words):
    with pytest.raises(UserError) as caught:
        study(**content)
    assert "some.yaml" in str(caught.value) and "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_names_may_look_like_numbers_or_truths(study):
    assert [v.name for v in study(variants={64: {}, True: {}}).variants] == ["64", "True"]


@pytest.fixture(scope="module")
def specials():
    return special_ids(prune_tokenizer(build_tokenizer(100), ["A dog ran."], 100))


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_studies_that_come_along_are_understood(path, specials):
    """Down to every setting of every trial, and to shapes that a model can have."""
    found = read_study(path)
    assert found.about and len(found.variants) > 1
    for variant in found.variants:
        for tried in [variant.trial(changes) for changes in variant.trials()]:
            for stage in tried.plan():
                typed(VERBS[stage.verb], stage.settings, out="", seed=0)
            for config in as_new(tried):
                assert config.init or shape(config.model, specials)
        for settings in variant.evaluate.values():
            typed(EvaluateConfig, settings)
    for settings in found.data:
        kind, _ = next(made for key, made in MAKERS.items() if key in settings or not key)
        typed(kind, settings)
