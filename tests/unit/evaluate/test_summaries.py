"""Summaries: rouge-score's own numbers, cases worked out by hand, and what each row of the comparison means."""

import json
import math

import numpy as np
import pytest
from rouge_score.rouge_scorer import RougeScorer

from rot5.evaluate.baselines import sentences
from rot5.evaluate.summaries import ROUGE, compare_systems, reference_ceiling, rouge_scores, score_summaries

STORIES = [
    'Mia wanted a red kite. "Where is it?" asked Mia. She looked for it all day. Ben had hidden it. He was sorry.',
    "Tom was afraid of the dark. He heard a noise. It was only a cat. Tom laughed and took the cat home.",
    "The boat was broken. Lily fixed the boats with Sam. They sailed to the island. They were happy.",
]
REFERENCES = [
    [
        "Mia looks for her kite. Ben hid it and says sorry.",
        "Ben hid the kite of Mia.",
        "Mia lost a kite that Ben had hidden.",
    ],
    [
        "Tom hears a cat and stops being afraid.",
        "A noise scares Tom. It is a cat.",
        "Tom was afraid, but it was only a cat.",
    ],
    [
        "Lily and Sam fix a boat and sail.",
        "A boat is fixed. Lily sails with Sam.",
        "Sam helps Lily to sail a broken boat.",
    ],
]
PREDICTIONS = [
    "Mia wanted a kite. Ben was sorry.",
    "Tom laughed at the noises.",
    "Lily sailed. Sam sailed. Happy boats!",
]


@pytest.mark.parametrize("name", ROUGE)
def test_scores_are_those_of_rouge_score(name):
    theirs = RougeScorer([name], use_stemmer=True)
    for prediction, references in zip(PREDICTIONS, REFERENCES, strict=True):
        expected = np.mean(
            [
                theirs.score("\n".join(sentences(reference)), "\n".join(sentences(prediction)))[name].fmeasure
                for reference in references
            ]
        )
        assert rouge_scores(prediction, references)[name] == pytest.approx(100 * expected, abs=1e-9)


def test_scores_worked_out_by_hand():
    # 3 of 4 words and 2 of 3 pairs are shared; the longest common subsequence is "the cat sat".
    scores = rouge_scores("the cat sat here", ["the cat sat there"])
    assert scores == pytest.approx({"rouge1": 75, "rouge2": 200 / 3, "rougeL": 75, "rougeLsum": 75})
    # Sentences in another order: the longest subsequence keeps one of them, Lsum finds both.
    scores = rouge_scores("Tom ran. Mia sang.", ["Mia sang. Tom ran."])
    assert scores == pytest.approx({"rouge1": 100, "rouge2": 200 / 3, "rougeL": 50, "rougeLsum": 100})


def test_words_are_stemmed_and_case_and_marks_ignored():
    assert rouge_scores("JUMPING cats!", ["jumped, cat"])["rouge1"] == 100


def test_the_mean_over_references_is_taken_not_the_best():
    assert rouge_scores("a cat", ["a cat", "two dogs"])["rouge1"] == pytest.approx(50)


def test_an_empty_prediction_scores_nothing_and_no_reference_is_refused():
    assert set(rouge_scores("", ["a cat"]).values()) == {0.0}
    with pytest.raises(ValueError):
        rouge_scores("a cat", [])


def test_a_system_is_the_mean_over_examples():
    found = score_summaries(["", ""], [["a cat"], ["a dog"]], ["a cat", "one two three four"])
    assert found["examples"] == 2
    assert found["rougeL"]["mean"] == pytest.approx(50)
    assert found["rougeL"]["low"] == 0 and found["rougeL"]["high"] == 100
    assert found["words"] == 3
    assert "content_true" not in found


def count_words_of_story(story: str, summary: str) -> tuple[int, int, int, int]:
    words = summary.split()
    return sum(word in story.split() for word in words), len(words), len(words) // 2, len(story.split())


def test_content_is_a_ratio_of_sums():
    found = score_summaries(
        ["a b c d", "x y"], [["a"], ["x"]], ["a", "x q r s"], content=count_words_of_story
    )  # 1 of 1 and 1 of 4 words true; 0 of 4 and 2 of 2 facts said
    assert found["content_true"]["mean"] == pytest.approx(100 * 2 / 5)
    assert found["content_covered"]["mean"] == pytest.approx(100 * 2 / 6)


def test_a_share_of_nothing_is_left_out():
    found = score_summaries(["a b"], [["a"]], [""], content=count_words_of_story)
    assert "content_true" not in found
    assert found["content_covered"]["mean"] == 0


def test_the_ceiling_is_each_reference_against_the_others():
    ceiling = reference_ceiling([["a cat", "a dog", "a cat"], ["only one"]])
    assert ceiling is not None
    assert ceiling["examples"] == 1
    # "a cat" scores (50 + 100) / 2 twice, "a dog" scores 50.
    assert ceiling["rouge1"]["mean"] == pytest.approx((75 + 50 + 75) / 3)
    assert reference_ceiling([["one"], ["two"]]) is None


def test_comparison_has_the_rows_that_a_headline_needs():
    found = compare_systems(STORIES, REFERENCES, PREDICTIONS, count_words_of_story)
    assert list(found["systems"]) == ["model", "lead-1", "lead-3", "knows-all", "references"]
    assert found["examples"] == 3
    assert found["settings"]["use_stemmer"] is True
    systems = found["systems"]
    assert systems["lead-1"]["content_true"]["mean"] == 100
    firsts = ["Mia wanted a red kite.", "Tom was afraid of the dark.", "The boat was broken."]
    expected = [rouge_scores(first, of_one)["rougeL"] for first, of_one in zip(firsts, REFERENCES, strict=True)]
    assert systems["lead-1"]["rougeL"]["mean"] == pytest.approx(np.mean(expected))
    assert systems["knows-all"]["rouge2"]["mean"] == pytest.approx(
        np.mean([rouge_scores(first, others)["rouge2"] for first, *others in REFERENCES])
    )
    text = json.dumps(found, allow_nan=False)
    assert json.loads(text) == found


def test_one_reference_leaves_no_ceiling():
    found = compare_systems(STORIES, [refs[:1] for refs in REFERENCES], PREDICTIONS)
    assert "references" not in found["systems"]
    assert found["systems"]["knows-all"]["rougeL"]["mean"] == pytest.approx(100)
    assert not any(math.isnan(system["rouge1"]["mean"]) for system in found["systems"].values())
