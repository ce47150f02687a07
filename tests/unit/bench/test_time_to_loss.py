"""`rot5 bench time-to-loss`: the clock, what is kept of a run, and what is read off finished ones."""

import dataclasses
import itertools
import json

import numpy as np
import pytest
import torch

from rot5.bench import race, time_to_loss
from rot5.bench.ceilings import Ceilings
from rot5.bench.race import Scorer, model_of, steps_of, train
from rot5.bench.recipes_raced import ABLATIONS, ORIGINAL, OURS, RECIPES, SHORTER
from rot5.bench.time_to_loss import amount_for, compared, measure
from rot5.config import BenchConfig
from rot5.data.corpus import Corpus
from rot5.data.packing import PackConfig
from rot5.errors import UserError

PACK = PackConfig(encoder_length=256, decoder_length=160)
CEILINGS = Ceilings(1e12, 1e12, 1e10)


@pytest.fixture
def clock(monkeypatch):
    """A clock that shows a second more whenever it is read, so that an update takes one second."""
    ticks = itertools.count()
    monkeypatch.setattr(race.time, "perf_counter", lambda: float(next(ticks)))


@pytest.fixture
def corpus(corpora):
    return Corpus.open(corpora / "stories")


def settings(corpora, out, **others):
    return BenchConfig(
        what="time-to-loss", preset="smoke", corpus=str(corpora / "stories"), validation=str(corpora / "validation"),
        pack=PACK, minutes=0.3, seeds=2, out=str(out), **others,
    )  # fmt: skip


def raced(recipe, corpus, score, seconds=9.0):
    torch.manual_seed(0)
    model = model_of(recipe, "smoke", corpus.tokenizer(), seed=0)
    return train(model, recipe, steps_of(recipe, corpus, PACK, seed=0), seconds, score)


def test_a_run_takes_its_time_and_its_rate_decays_with_it(corpus, clock, monkeypatch):
    rates, scored = [], []
    monkeypatch.setattr(race, "set_rate", lambda optimizer, lr: rates.append(lr))

    def score(model):
        scored.append(len(rates))
        for _ in range(100):
            race.time.perf_counter()  # what scoring takes is nobody's training time
        return {"eval/bits_per_byte": float(len(rates))}

    recipe = dataclasses.replace(ORIGINAL, batch=2)
    found = raced(recipe, corpus, score)
    assert (found["updates"], found["seconds"]) == (9, 9.0)
    assert rates[0] == pytest.approx(recipe.optimizer.lr / 100, rel=0.01) and rates[-1] == pytest.approx(
        recipe.optimizer.lr / 9, rel=0.02
    )
    assert rates[1:] == sorted(rates[1:], reverse=True)
    assert found["curve"] == [(3.0, 3.0), (5.0, 5.0), (9.0, 9.0)] and scored == [3, 5, 9]


def test_a_run_too_short_for_marks_still_has_its_curve(corpus, clock):
    found = raced(dataclasses.replace(OURS, batch=1), corpus, lambda model: {"eval/bits_per_byte": 1.0}, seconds=0.3)
    assert found["updates"] == 1 and len(found["curve"]) == len(race.MARKS) + 1


def test_padded_and_packed_batches_hold_the_same_examples(corpus):
    """Every recipe of one objective reads the same examples in the same order: the targets of ours hold theirs."""
    packed, _ = next(steps_of(dataclasses.replace(OURS, batch=30), corpus, PACK, seed=3))
    padded, read = next(steps_of(dataclasses.replace(ORIGINAL, batch=4), corpus, PACK, seed=3))
    rows = [labels[labels != -100].tolist() for labels in packed["labels"]]
    for labels in padded["labels"]:
        target = labels[labels != -100].tolist()
        assert any(row[n : n + len(target)] == target for row in rows for n in range(len(row)))
    assert read > 0


@pytest.mark.slow
def test_a_run_in_a_process_of_its_own(corpora, tmp_path):
    found = time_to_loss._run(
        dataclasses.replace(OURS, share=1.0),
        0,
        settings(
            corpora,
            tmp_path,
        ),
    )
    assert found["updates"] > 1 and found["seconds"] == pytest.approx(18, rel=0.2) and found["parameters"] > 1000


def test_every_kind_of_recipe_learns(corpora, corpus, clock):
    scorer = Scorer(Corpus.open(corpora / "validation"), PACK, documents=3)
    for recipe in (ORIGINAL, OURS, dataclasses.replace(OURS, packed=False)):
        model = model_of(recipe, "smoke", corpus.tokenizer(), seed=0)
        before = scorer(model)["eval/loss"]
        found = train(model, dataclasses.replace(recipe, batch=2), steps_of(recipe, corpus, PACK, 0), 12.0, scorer)
        assert found["eval/loss"] < before, recipe.name


def test_only_what_is_missing_is_run_again(corpora, tmp_path, monkeypatch):
    calls = []

    def run(recipe, seed, *_):
        calls.append((recipe.name, seed))
        return result(2.0 - recipe.share - 0.1 * (recipe.model == "rot5"), 18 * recipe.share)

    monkeypatch.setattr(time_to_loss, "_run", run)
    config = settings(corpora, tmp_path)
    first = measure(config, CEILINGS)
    everything = [(recipe.name, seed) for seed in (0, 1) for recipe in RECIPES]
    assert calls == everything, "seeds take turns over recipes"
    kept = tmp_path / time_to_loss.RUNS
    lines = kept.read_text().splitlines()
    kept.write_text("\n".join(lines[:-1]) + "\n" + lines[-1][:40])  # a kill in the middle of the last line
    calls.clear()
    assert measure(config, CEILINGS) == first and calls == everything[-1:]
    calls.clear()
    measure(dataclasses.replace(config, minutes=0.2, seeds=1), CEILINGS)
    assert calls == everything[: len(RECIPES)], "other minutes are other runs"
    measure(config, CEILINGS)
    assert len(calls) == len(RECIPES), "and the old ones are still there"


def result(loss, seconds):
    score = {"eval/bits_per_byte": loss, "eval/loss": 2 * loss, "seconds": seconds, "story_tokens": int(100 * seconds)}
    return score | {"updates": 7, "curve": [[seconds / 2, loss + 0.5], [seconds, loss]], "parameters": 1000}


def test_what_is_read_off_finished_runs(corpora, tmp_path):
    losses = {ORIGINAL.name: (2.0, 512.0), SHORTER[0].name: (2.6, 16.0), SHORTER[1].name: (2.1, 32.0)}
    losses |= {OURS.name: (1.9, 64.0)} | {recipe.name: (2.2, 64.0) for recipe in ABLATIONS}
    runs = {name: [result(loss + shift, seconds) for shift in (0.0, 0.1)] for name, (loss, seconds) in losses.items()}
    found = compared(runs, settings(corpora, tmp_path))
    rows = {row["recipe"]: row for row in found.tables[0].rows}
    assert rows[OURS.name]["against"]["mean"] == pytest.approx(-0.1) and rows[ORIGINAL.name]["against"] is None
    assert rows[OURS.name]["bits_per_byte"]["mean"] == pytest.approx(1.95)
    assert rows[OURS.name]["speed"] == pytest.approx(100.0)
    seconds, tokens = found.tables[1].rows
    aimed = 32 * 2**0.5
    assert seconds["ours"]["mean"] == pytest.approx(aimed) and seconds["gain"]["mean"] == pytest.approx(512 / aimed)
    assert tokens["gain"]["mean"] == pytest.approx(512 / aimed, rel=1e-2)
    assert "suffices in 2 of 2" in found.tables[1].about and "In 0 of 2" in found.tables[1].about
    json.dumps(dataclasses.asdict(found), allow_nan=False)


def test_one_seed_has_values_and_no_intervals(corpora, tmp_path):
    runs = {recipe.name: [result(1.0 + recipe.share, 64 * recipe.share)] for recipe in RECIPES}
    found = compared(runs, settings(corpora, tmp_path))
    assert found.tables[0].rows[0]["bits_per_byte"] == 2.0
    assert found.tables[1].rows[0]["gain"] == pytest.approx(32.0) and "In 1 of 1" in found.tables[1].about


@pytest.mark.parametrize(
    ("aim", "amount"), [(3.0, 10.0), (2.5, 20.0), (2.0, 40.0), (1.5, 80.0), (1.0, 160.0), (0.9, np.inf)]
)
def test_amounts_lie_between_runs_on_a_logarithmic_scale(aim, amount):
    assert amount_for(aim, [(10.0, 3.0), (40.0, 2.0), (160.0, 1.0)]) == pytest.approx(amount)


def test_amounts_where_more_time_did_not_help():
    assert amount_for(2.5, [(10.0, 3.0), (40.0, 3.1), (160.0, 2.0)]) == pytest.approx(40 * 4 ** (0.6 / 1.1))


def test_text_to_train_and_to_score_on_are_needed(corpora, tmp_path):
    with pytest.raises(UserError, match="--validation"):
        measure(dataclasses.replace(settings(corpora, tmp_path), validation=""), CEILINGS)
    with pytest.raises(UserError, match="minutes"):
        measure(dataclasses.replace(settings(corpora, tmp_path), minutes=0.0), CEILINGS)
