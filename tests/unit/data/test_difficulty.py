"""Documents from easy to hard."""

import json
from itertools import pairwise

import numpy as np
import pytest

from rot5.data.corpus import Corpus, documents
from rot5.data.difficulty import parts_by, rarity


def test_rare_words_make_a_document_difficult_whatever_its_length(corpora, tmp_path):
    from rot5.data.preparing import prepare

    tokenizer = Corpus.open(corpora / "stories").tokenizer()
    texts = ["the dog ran " * 4] * 30 + ["the dog", "a blanket floated under a branch", "the the the the the"]
    prepare(texts, tokenizer, tmp_path / "corpus", source="test")
    found = rarity(Corpus.open(tmp_path / "corpus"))
    assert found.argmax() == 31 and abs(found[0] - found[29]) < 1e-9
    counts = np.bincount(np.concatenate([tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]))
    ids = tokenizer(texts[32], add_special_tokens=False)["input_ids"]
    assert found[32] == pytest.approx(np.mean([-np.log2(counts[each] / counts.sum()) for each in ids]))


def test_parts_are_alike_in_tokens_and_keep_the_order_of_documents():
    draw = np.random.default_rng(0)
    lengths, difficulty = draw.integers(5, 400, 3000), draw.random(3000)
    parts = parts_by(difficulty, lengths, 4)
    assert sorted(np.concatenate(parts)) == list(range(3000))
    assert all((np.diff(part) > 0).all() for part in parts)
    tokens = [lengths[part].sum() for part in parts]
    assert max(tokens) - min(tokens) <= 2 * 400
    bounds = [(difficulty[part].min(), difficulty[part].max()) for part in parts]
    assert all(before[1] <= after[0] for before, after in pairwise(bounds))


def test_a_document_that_is_cut_has_no_end(corpora, tmp_path, tiny_model, monkeypatch):
    from rot5.verbs import sort

    tokenizer = Corpus.open(corpora / "validation").tokenizer()
    tiny_model(vocab_size=len(tokenizer)).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    asked: list[list[int]] = []
    monkeypatch.setattr(
        sort, "measure_ids", lambda _, inputs, targets, *__: asked.extend(targets) or np.ones(len(targets))
    )
    corpus = Corpus.open(corpora / "validation")
    longest = int(np.median(corpus.lengths))
    monkeypatch.setattr(sort, "LONGEST", longest)
    sort._losses(corpus, str(tmp_path / "model"))
    ends = [target[-1] == tokenizer.eos_token_id for target in asked]
    assert ends == [length <= longest for length in corpus.lengths] and len(set(ends)) == 2


@pytest.mark.parametrize("by", ["length", "vocabulary", "loss"])
def test_sorted_parts_hold_the_corpus(corpora, tmp_path, rot5, by, tiny_model):
    corpus = Corpus.open(corpora / "validation")
    tokenizer = corpus.tokenizer()
    tiny_model(vocab_size=len(tokenizer)).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    flags = ["--model", tmp_path / "model"] if by == "loss" else []
    out = tmp_path / "sorted"
    called = rot5("sort", corpora / "validation", "--by", by, "--out", out, *flags)
    assert called.code == 0, called.err
    parts = [Corpus.open(out / str(number)) for number in (1, 2, 3)]
    texts = [text for part in parts for text in documents(part)]
    assert sorted(texts) == sorted(documents(corpus))
    assert [part.manifest["licence"] for part in parts] == ["Apache-2.0"] * 3
    told = json.loads((out / "difficulty.json").read_text())
    means = [part[by] for part in told["parts"]]
    assert means == sorted(means) and means[0] < means[2]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--by", "lenght"], "unknown measure 'lenght': did you mean length"),
        (["--by", "loss"], "by loss needs a model"),
        (["--parts", "1"], "parts 1 must be at least 2"),
        (["--parts", "999"], "too few documents for 999 parts"),
    ],
)
def test_faults_are_told(corpora, tmp_path, rot5, flags, message):
    called = rot5("sort", corpora / "validation", "--out", tmp_path / "sorted", *flags)
    assert called.code == 2 and message in called.err
    assert not (tmp_path / "sorted").exists()
