"""Measures of texts: sacrebleu's own figures, cases worked out by hand, and what must not change them."""

import random

import numpy as np
import pytest
import sacrebleu

from rot5.evaluation import text_measures
from rot5.evaluation.text_measures import (
    bleu,
    bleu_statistics,
    chrf,
    chrf_statistics,
    copied,
    coverage,
    density,
    distinct,
    exact_match,
    fragments,
    length_ratio,
    novel_ngrams,
    repetition,
    score_interval,
    words,
)

PREDICTIONS = ["Mia wanted a kite. Ben was sorry.", "Tom's cat ran, and (then) sat.", "", "A dog."]
REFERENCES = [
    ["Mia looks for her kite. Ben was sorry.", "Ben hid the kite of Mia."],
    ["Tom's cat ran and sat.", "The cat of Tom sat; then it ran away."],
    ["Something.", "Nothing at all."],
    ["A dog.", "Dogs."],
]
MEASURES = {"bleu": (bleu_statistics, bleu), "chrf": (chrf_statistics, chrf)}
LIBRARY = {"bleu": sacrebleu.corpus_bleu, "chrf": sacrebleu.corpus_chrf}
SOURCE = "Tom found a red kite in the park. He flew it with Mia all day, and Mia was glad."


def statistics(name: str, predictions=PREDICTIONS, references=REFERENCES) -> np.ndarray:
    return np.array([MEASURES[name][0](*each) for each in zip(predictions, references, strict=True)])


@pytest.mark.parametrize("name", MEASURES)
def test_corpus_figures_are_those_of_sacrebleu(name):
    ours = MEASURES[name][1](statistics(name).sum(axis=0))
    theirs = LIBRARY[name](PREDICTIONS, list(map(list, zip(*REFERENCES, strict=True)))).score
    assert 0 < ours < 100
    assert ours == pytest.approx(theirs, abs=1e-9)


@pytest.mark.parametrize("name", MEASURES)
def test_each_example_may_have_its_own_number_of_references(name):
    fewer = [REFERENCES[0], REFERENCES[1][:1], REFERENCES[2], REFERENCES[3][:1]]
    padded = [[of_one[0] for of_one in fewer], [of_one[1] if len(of_one) > 1 else None for of_one in fewer]]
    ours = MEASURES[name][1](statistics(name, references=fewer).sum(axis=0))
    assert ours == pytest.approx(LIBRARY[name](PREDICTIONS, padded).score, abs=1e-9)


@pytest.mark.parametrize("name", MEASURES)
def test_the_right_text_scores_100_nothing_scores_0_and_white_space_does_not_matter(name):
    make, score = MEASURES[name]
    text = "Tom found a red kite."
    assert score(make(text, ["Other.", text])) == pytest.approx(100)
    assert score(make(" Tom\nfound  a\tred kite.\n", [text])) == pytest.approx(100)
    assert score(make("", [text])) == 0
    assert score(make("", [""])) == 0
    with pytest.raises(ValueError, match="no reference"):
        make(text, [])


def test_bleu_by_hand():
    # 4 of 5 words, 3 of 4 pairs, 2 of 3 triples, 1 of 2 fours; the lengths are equal.
    expected = 100 * (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25
    assert bleu(bleu_statistics("the cat sat here now", ["the cat sat here then"])) == pytest.approx(expected)
    # All of a half as long text is right: the brevity penalty is exp(1 - 8 / 4).
    assert bleu(bleu_statistics("a b c d", ["a b c d e f g h"])) == pytest.approx(100 * np.exp(-1))


@pytest.mark.parametrize("name", MEASURES)
def test_intervals_hold_the_figure_and_are_repeatable(name):
    rows, score = np.repeat(statistics(name), 10, axis=0), MEASURES[name][1]
    found = score_interval(rows, score, resamples=200)
    assert found.mean == pytest.approx(score(rows.sum(axis=0)))
    assert found.low < found.mean < found.high
    assert found == score_interval(rows, score, resamples=200)
    alike = score_interval(rows[:1].repeat(5, axis=0), score, resamples=20)
    assert alike.low == pytest.approx(alike.mean) and alike.high == pytest.approx(alike.mean)
    with pytest.raises(ValueError, match="no example"):
        score_interval(rows[:0], score)


def test_intervals_are_as_wide_as_those_of_sacrebleu():
    draw = random.Random(0)
    texts = [" ".join(draw.choices(words("tom mia ran sat a the red kite park"), k=12)) for _ in range(120)]
    scorer = sacrebleu.BLEU()
    theirs = scorer.corpus_score(texts[:60], [texts[60:]], n_bootstrap=1000)
    ours = score_interval(statistics("bleu", texts[:60], [[text] for text in texts[60:]]), bleu)
    assert (ours.high - ours.low) / 2 == pytest.approx(theirs._ci, rel=0.15)


def test_exact_match_folds_white_space_alone():
    assert exact_match("Tom\n ran. ", ["Mia ran.", "Tom ran."])
    assert not exact_match("tom ran.", ["Tom ran."])
    assert not exact_match("Tom ran", ["Tom ran."])
    assert exact_match("", [" "])
    assert not exact_match("", [])


def test_length_is_measured_by_the_mean_reference():
    assert length_ratio("one two three", ["a", "a b c"]) == (3, 2)
    assert length_ratio("", ["a b"]) == (0, 2)
    with pytest.raises(ValueError):
        length_ratio("a", [])


def test_fragments_are_the_longest_runs_from_the_left():
    # "found a red kite" is the longest run from its word on; "flew" stands alone; "tom" and "mia" are not neighbours.
    said = "Mia found a red kite. Tom flew!"
    assert fragments(SOURCE, said) == (1, 4, 1, 1)
    assert coverage(SOURCE, said) == 1
    assert density(SOURCE, said) == pytest.approx((1 + 16 + 1 + 1) / 7)
    assert coverage(SOURCE, "A blue kite.") == pytest.approx(2 / 3)
    assert density(SOURCE, "A blue kite.") == pytest.approx(2 / 3)


def test_a_later_longer_run_is_found():
    assert fragments("a b x a b c y a", "a b c") == (3,)
    # Greedy from the left: "a b" is taken first, though "b c d" is longer.
    assert fragments("a b. b c d", "a b c d") == (2, 2)


def test_a_copy_is_covered_and_its_density_is_its_length():
    copy = "He flew it with Mia all day"
    assert (coverage(SOURCE, copy), density(SOURCE, copy), copied(SOURCE, copy)) == (1, 7, (7, 7))
    assert [novel_ngrams(SOURCE, copy, n)[0] for n in (1, 2, 3, 4)] == [0, 0, 0, 0]


def test_copied_words_lie_in_any_run_of_four():
    assert copied(SOURCE, "A red kite flew.") == (0, 4)
    assert copied(SOURCE, "He found a red kite, he said.") == (4, 7)
    # The greedy fragments are "a b c" and "d e"; the words of "b c d e" count nevertheless, since it is a run.
    assert fragments("a b c. b c d e.", "a b c d e") == (3, 2)
    assert copied("a b c. b c d e.", "a b c d e") == (4, 5)


def test_novel_ngrams_by_hand():
    said = "Tom found a blue kite, a blue kite."
    # Words: blue twice; pairs: "a blue", "blue kite" twice each, "kite a" once, of 7.
    assert novel_ngrams(SOURCE, said, 1) == (2, 8)
    assert novel_ngrams(SOURCE, said, 2) == (5, 7)
    assert novel_ngrams(SOURCE, said, 4) == (5, 5)
    assert novel_ngrams("", said, 1) == (8, 8)
    assert novel_ngrams(SOURCE, "Tom", 2) == (0, 0)


def test_repetition_by_hand():
    assert repetition("a b c d e f") == (0, 3)
    assert repetition("a b c d a b c d") == (1, 5)
    assert repetition("no " * 10) == (6, 7)
    assert repetition("a b a", n=1) == (1, 3)


def test_distinct_by_hand():
    texts = ["Tom ran.", "Tom ran away."]
    assert distinct(texts, 1) == pytest.approx(3 / 5)
    assert distinct(texts, 2) == pytest.approx(2 / 5)
    assert distinct(texts, 3) == pytest.approx(1 / 5)
    assert distinct(reversed(texts), 2) == distinct(texts, 2)


def test_an_empty_text_has_no_share_of_anything():
    assert (coverage(SOURCE, ""), density(SOURCE, ""), distinct(["", ""], 1), distinct([], 2)) == (0, 0, 0, 0)
    assert copied(SOURCE, " ... ") == novel_ngrams(SOURCE, "", 1) == repetition("") == (0, 0)
    assert fragments("", "Tom ran.") == ()


def test_case_punctuation_and_white_space_do_not_matter_to_words():
    said = "Mia found a red kite. Tom flew it with Mia!"
    other = " MIA found\na red kite -- Tom flew\tit with mia "
    assert words(said) == words(other)
    assert words("Café's \u201cDon\u2019t!\u201d 3.5") == ("café's", "don\u2019t", "3", "5")
    for measure in (fragments, coverage, density, copied):
        assert measure(SOURCE, said) == measure(SOURCE, other) == measure(SOURCE.upper(), said)
    assert repetition(said) == repetition(other)


def test_fragments_are_those_of_the_definition():
    draw = random.Random(1)
    for _ in range(200):
        source, said = (" ".join(draw.choices("abcd", k=draw.randrange(12))) for _ in range(2))
        expected, rest = [], said.split()
        while rest:
            runs = [n for n in range(1, len(rest) + 1) if f" {' '.join(rest[:n])} " in f" {source} "]
            expected += runs[-1:]
            rest = rest[max(runs, default=1) :]
        assert fragments(source, said) == tuple(expected)


def test_settings_name_the_library():
    assert sacrebleu.__version__ in text_measures.settings()["bleu"]
