"""Study files: what they mean, and that everything wrong with one is said at once."""

from pathlib import Path

import pytest
import yaml

from rot5.errors import UserError
from rot5.study.file import Study, read_study

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


@pytest.mark.parametrize(
    "content, words",
    [
        ({"varants": {}}, ["unknown key 'varants'", "variants"]),
        ({"variants": {"a": {"pretran": {}}}}, ["variant a: unknown key 'pretran'", "pretrain"]),
        ({"variants": ["a"]}, ["variants must be"]),
        ({"seeds": [0, 0]}, ["seeds [0, 0] repeat"]),
        ({"seeds": "all"}, ["seeds 'all' must be a list of numbers"]),
        ({"baseline": "planet", "variants": {"plain": {}}}, ["baseline 'planet' is no variant", "plain"]),
        ({"budget": {"tokens": 5}}, ["unknown budget 'tokens'", "story_tokens"]),
        ({"budget": {"story_tokens": "1.5e6"}}, ["budget.story_tokens '1.5e6' must be a number above 0"]),
        ({"budget": {"story_tokens": 5, "seconds": 5}}, ["one budget, not story_tokens and seconds"]),
        ({"sweep": {"model.d_model": [1]}}, ["sweep: model.d_model must be a list of values, under one of"]),
        ({"tune": {"grid": {"pretrain.seed": 3}}}, ["tune: pretrain.seed must be a list"]),
        ({"tune": {"share": 0.5, "grid": {"pretrain.x": [1]}}}, ["tune.share needs a budget"]),
        ({"tune": {"share": 2, "grid": {"pretrain.x": [1]}}, "budget": {"seconds": 9}}, ["tune.share 2 must be"]),
        ({"pretrain": {}}, ["pretrain says nothing"]),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_is_wrong_is_named(study, content, words):
    with pytest.raises(UserError) as caught:
        study(**content)
    assert "some.yaml" in str(caught.value) and "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_studies_that_come_along_are_understood(path):
    found = read_study(path)
    assert found.about and len(found.variants) > 1
