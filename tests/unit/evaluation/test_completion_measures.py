"""Completions without a judge: each figure by hand, copying from a corpus as a search of all runs finds it."""

import random

import pytest

from rot5.evaluation.completion_measures import measure_completions, names_told, unknown_words
from rot5.evaluation.overlap import Overlap, overlaps
from rot5.evaluation.rubric import Opening


def by_brute_force(text: str, documents: list[str], run: int) -> Overlap:
    said = text.split()
    there = [f" {document} " for document in documents]
    runs = [said[n : n + run] for n in range(len(said) - run + 1)]
    found = sum(any(f" {' '.join(words)} " in document for document in there) for words in runs)
    longest = max(
        (
            stop - start
            for start in range(len(said))
            for stop in range(start + run, len(said) + 1)
            if any(f" {' '.join(said[start:stop])} " in document for document in there)
        ),
        default=0,
    )
    return Overlap(len(runs), found, longest)


@pytest.mark.parametrize("words", [2, 3, 6])
def test_overlaps_are_those_of_a_search_of_all_substrings(words):
    rng = random.Random(words)

    def text(length: int) -> str:
        return " ".join(rng.choice("abcdef"[:words]) for _ in range(length))

    documents = [text(rng.randrange(0, 60)) for _ in range(20)]
    texts = [text(rng.randrange(0, 40)) for _ in range(20)] + [documents[0], ""]
    expected = [by_brute_force(each, documents, 5) for each in texts]
    assert overlaps(texts, iter(documents), 5) == expected
    assert sum(each.found for each in expected) > 20
    assert words == 2 or any(0 < each.found < each.runs for each in expected), "nothing in between"


def test_a_run_ends_with_its_document_and_words_decide():
    halves = ["one two three four", "five six seven eight"]
    assert overlaps(["One two, three four five six seven eight!"], halves) == [Overlap(1, 0, 0)]
    assert overlaps(["One two, three four five six seven eight!"], [" ".join(halves)]) == [Overlap(1, 1, 8)]
    assert overlaps(["a b"], ["a b"]) == [Overlap(0, 0, 0)]


@pytest.mark.parametrize(
    ("opening", "completion", "counts"),
    [
        ("Tom had a dog.", "He ran to Tom.", (1, 1)),
        ("Tom had a dog.", "He ran to Ben.", (0, 1)),
        ("Tom had a dog.", "The dog, Spot, ran. He called Spot.", (1, 1)),
        ("Tom had a dog.", "Her name was Ann. He liked Ann.", (1, 1)),
        ("Tom had a dog.", "Ben was a boy. He saw Ben.", (1, 1)),
        ("Tom had a dog.", "Ben ran home. He saw Ben.", (0, 1)),
        ("Tom had a dog.", "He met his friend Ben.", (1, 1)),
        ("Tom saw", "Mia and Mia saw Zoe.", (0, 2)),
        ("Tom saw", "nothing. Then he slept. On Monday I ran.", (0, 0)),
        ("Tom saw", "", (0, 0)),
        ("Tom saw", "that I'm sad, and She'd cry. He said I'll go.", (0, 0)),
        ("Tom saw", "it - She ran \u2014 Then he cried, 'Stop' and \u2018Wait\u2019 to the TV.", (0, 0)),
        ("Tom saw", "his Mommy and Tom's Uncle.", (3, 3)),
        ("Tom saw", "Mommy and the Uncle of Tom'll.", (1, 3)),
    ],
)
def test_names_are_told_or_come_from_nowhere(opening, completion, counts):
    assert names_told(opening, completion) == counts


def test_words_that_no_dictionary_has_are_counted():
    assert unknown_words("A zorble sat.", "The zorble ate glimfy kites. Then Zyx slept on a frubbish.") == (2, 6)


def test_the_figures_of_all_completions():
    openings = [Opening("Tom had a kite.", "Words: dog, ball\nFeatures: Twist", "words"), Opening("It rained.")]
    texts = [["The dog ran and ran and ran and ran.", "He met Zelda."], ["The sun came out.", ""]]
    training = ["Once upon a time the dog ran and ran and ran and ran home."]
    found = measure_completions(openings, texts, iter(training))
    # 2 runs of 8 words in the 9 of the first completion, and both are there; no other completion is as long.
    assert found["in_training"]["mean"] == 100 and found["longest_in_training_of_all"] == 9
    assert found["longest_in_training"]["mean"] == pytest.approx(9 / 4)
    assert found["repetition"]["mean"] == pytest.approx(100 * 2 / 7)
    assert found["instructions_kept"]["mean"] == pytest.approx(100 * 1 / 4)
    assert (found["instructions_checked"], found["instructions_unchecked"]) == (4, 2)
    assert found["words"]["mean"] == pytest.approx(16 / 4)
    assert found["names_told"]["mean"] == 0 and found["completions"] == 4
    without = measure_completions(openings[1:], texts[1:])
    assert {"in_training", "instructions_kept", "names_told"}.isdisjoint(without)
