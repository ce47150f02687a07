"""Summaries: rouge-score's own numbers, cases worked out by hand, and what each row of the comparison means."""

import io
import json
import math
import re

import numpy as np
import pytest
import sacrebleu
import simplemma
from rich.console import Console
from rouge_score.rouge_scorer import RougeScorer
from stop_words import get_stop_words

from rot5.evaluation.baselines import sentences
from rot5.evaluation.facts import ContentScore, content
from rot5.evaluation.summaries import (
    ROUGE,
    compare_predictions,
    compare_systems,
    reference_ceiling,
    rouge_scores,
    score_summaries,
    settings,
)
from rot5.report.tables import SUMMARY_COLUMNS, TEXT_COLUMNS, present, summary_rows, text_rows, text_table

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


@pytest.mark.parametrize("stem", [True, False])
@pytest.mark.parametrize("name", ROUGE)
def test_scores_are_those_of_rouge_score(name, stem):
    theirs = RougeScorer([name], use_stemmer=stem)
    for prediction, references in zip(PREDICTIONS, REFERENCES, strict=True):
        expected = np.mean(
            [
                theirs.score("\n".join(sentences(reference)), "\n".join(sentences(prediction)))[name].fmeasure
                for reference in references
            ]
        )
        words = "stemmed" if stem else "written"
        assert rouge_scores(prediction, references, words)[name] == pytest.approx(100 * expected, abs=1e-9)


def test_scores_worked_out_by_hand():
    # 3 of 4 words and 2 of 3 pairs are shared; the longest common subsequence is "the cat sat".
    scores = rouge_scores("the cat sat here", ["the cat sat there"])
    assert scores == pytest.approx({"rouge1": 75, "rouge2": 200 / 3, "rougeL": 75, "rougeLsum": 75})
    # Sentences in another order: the longest subsequence keeps one of them, Lsum finds both.
    scores = rouge_scores("Tom ran. Mia sang.", ["Mia sang. Tom ran."])
    assert scores == pytest.approx({"rouge1": 100, "rouge2": 200 / 3, "rougeL": 50, "rougeLsum": 100})


def test_words_are_stemmed_and_case_and_marks_ignored():
    assert rouge_scores("JUMPING cats!", ["jumped, cat"])["rouge1"] == 100
    assert rouge_scores("JUMPING cats!", ["jumping, cat"], "written")["rouge1"] == 50


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


def count_words_of_story(story: str, summary: str) -> ContentScore:
    words = summary.split()
    true = sum(word in story.split() for word in words)
    return ContentScore(true, len(words), len(words) // 2, len(story.split()), 0, {"others": (true, len(words))})


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
    assert list(found["systems"]) == ["model", "empty", "random", "lead-1", "lead-3", "knows-all", "references"]
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


def test_both_ways_to_take_words_are_stored_and_the_settings_say_so():
    found = score_summaries(STORIES, REFERENCES, PREDICTIONS)
    for name in ROUGE:
        for key, words in ((name, "stemmed"), (f"unstemmed/{name}", "written")):
            scores = [rouge_scores(*each, words)[name] for each in zip(PREDICTIONS, REFERENCES, strict=True)]
            assert found[key]["mean"] == pytest.approx(np.mean(scores))
    assert found["unstemmed/rouge1"]["mean"] < found["rouge1"]["mean"]
    assert "unstemmed/" in str(settings()["unstemmed"])


def test_figures_of_the_whole_are_those_of_sacrebleu():
    found = score_summaries(STORIES, REFERENCES, PREDICTIONS)
    columns = list(map(list, zip(*REFERENCES, strict=True)))
    assert found["bleu"]["mean"] == pytest.approx(sacrebleu.corpus_bleu(PREDICTIONS, columns).score)
    assert found["chrf"]["mean"] == pytest.approx(sacrebleu.corpus_chrf(PREDICTIONS, columns).score)


def test_measures_of_text_are_means_or_ratios_of_sums():
    stories = ["Tom ran home in the rain.", "Mia sang."]
    predictions = ["Tom ran home in a car.", "Mia"]
    found = score_summaries(stories, [["Tom ran home in a car."], ["Mia sang a song."]], predictions)
    assert found["exact_match"]["mean"] == 50
    assert found["length_ratio"]["mean"] == pytest.approx(7 / 10)
    assert found["coverage"]["mean"] == pytest.approx(100 * (4 / 6 + 1) / 2)
    assert found["density"]["mean"] == pytest.approx((16 / 6 + 1) / 2)
    assert found["copied"]["mean"] == pytest.approx(100 * 4 / 7)
    assert [found[f"novel/{n}"]["mean"] for n in (1, 2, 3, 4)] == pytest.approx([200 / 7, 40, 50, 200 / 3])
    assert found["repetition"]["mean"] == 0
    assert found["distinct/2"] == pytest.approx(100 * 5 / 7)
    assert all(value["low"] <= value["mean"] <= value["high"] for value in found.values() if isinstance(value, dict))


def test_the_order_of_examples_and_white_space_change_nothing():
    def means(chosen, spread=lambda text: text):
        picked = [[column[n] for n in chosen] for column in (STORIES, REFERENCES, PREDICTIONS)]
        found = score_summaries(picked[0], picked[1], list(map(spread, picked[2])), count_words_of_story)
        return {key: value["mean"] if isinstance(value, dict) else value for key, value in found.items()}

    straight = means([0, 1, 2])
    assert means([2, 0, 1]) == pytest.approx(straight)
    assert means([0, 1, 2], lambda text: f" {text.replace(' ', '  ')}\n") == pytest.approx(straight)


def test_silence_scores_zero_and_its_shares_are_left_out():
    found = compare_systems(STORIES, REFERENCES, PREDICTIONS, content)["systems"]["empty"]
    zero = (*ROUGE, *(f"unstemmed/{name}" for name in ROUGE), "bleu", "chrf", "exact_match", "length_ratio")
    for name in (*zero, "coverage", "density"):
        assert found[name] == {"mean": 0, "low": 0, "high": 0}, name
    assert found["distinct/1"] == found["words"] == 0
    assert {"content_true", "copied", "repetition", "novel/1"}.isdisjoint(found)


def test_one_example_has_no_other_to_take_a_text_of():
    found = compare_systems(STORIES[:1], REFERENCES[:1], PREDICTIONS[:1])
    assert "random" not in found["systems"] and "empty" in found["systems"]


def test_the_ceiling_measures_copying_where_it_has_the_inputs():
    with_inputs = reference_ceiling(REFERENCES, STORIES)
    without = reference_ceiling(REFERENCES)
    assert with_inputs is not None and without is not None
    by_inputs = {"coverage", "density", "copied", "novel/1", "novel/2", "novel/3", "novel/4"}
    assert set(with_inputs) - set(without) == by_inputs
    assert without["bleu"]["mean"] > 0 and without["exact_match"]["mean"] == 0


FACTS = (
    "Kate had a red kite. Kate and Tom were at the park. Kate lost the red kite. She cried. "
    "Tom found the red kite under a bench and gave it back to Kate. Kate felt glad. Ann was at the park too."
)
RIGHT = "Kate lost the red kite at the park. Tom found the red kite and gave it back to Kate. Kate felt glad."


def test_a_wrong_name_costs_truth_and_hardly_any_rouge():
    wrong = RIGHT.replace("Tom found", "Ann found")
    right, other = (score_summaries([FACTS], [[RIGHT]], [text], content) for text in (RIGHT, wrong))
    assert other["content_true"]["mean"] < right["content_true"]["mean"] - 15
    assert other["rougeL"]["mean"] > right["rougeL"]["mean"] - 6
    found = compare_predictions([RIGHT] * 4, [wrong] * 4, [[RIGHT]] * 4, [FACTS] * 4, content)
    assert found["examples"] == 4
    assert found["content_true"]["low"] > 15 and 0 < found["rougeL"]["high"] < 6
    assert found["exact_match"] == {"mean": 100, "low": 100, "high": 100}


def test_a_paired_difference_turns_its_sign_and_is_nothing_for_the_same_system():
    other = [texts[1] for texts in REFERENCES]
    one_way = compare_predictions(other, PREDICTIONS, REFERENCES)
    back = compare_predictions(PREDICTIONS, other, REFERENCES)
    assert set(one_way) == {"examples", "rougeL", "exact_match"}
    assert one_way["rougeL"]["mean"] == pytest.approx(-back["rougeL"]["mean"])
    figures = [score_summaries(STORIES, REFERENCES, texts)["rougeL"]["mean"] for texts in (other, PREDICTIONS)]
    assert one_way["rougeL"]["mean"] == pytest.approx(figures[0] - figures[1])
    assert one_way["rougeL"]["low"] > 0 > back["rougeL"]["high"]
    same = compare_predictions(other, other, REFERENCES)
    assert same["rougeL"] == same["exact_match"] == {"mean": 0, "low": 0, "high": 0}
    silent = compare_predictions([""] * 3, [""] * 3, REFERENCES, STORIES, content)
    assert "content_true" not in silent and silent["rougeL"]["mean"] == 0


def test_the_difference_of_truth_is_that_of_the_two_columns():
    # Of 1 + 10 words 1 + 4 are true, and of 2 + 2 words 0 + 2: 45.5 less 50, though the mean over examples favours a.
    stories = ["a b c d e", "f g h i j"]
    of_a = ["a", "f g h i q r s t u v"]
    of_b = ["q r", "f g"]
    columns = [
        score_summaries(stories, [["a"], ["f"]], texts, content=count_words_of_story)["content_true"]["mean"]
        for texts in (of_a, of_b)
    ]
    found = compare_predictions(of_a, of_b, [["a"], ["f"]], stories, count_words_of_story)["content_true"]
    assert found["mean"] == pytest.approx(columns[0] - columns[1]) == pytest.approx(100 * (5 / 11 - 2 / 4))
    # Drawn twice, the first example gives 100 - 0 and the second 40 - 100.
    assert (found["low"], found["high"]) == (pytest.approx(-60), pytest.approx(100))
    back = compare_predictions(of_b, of_a, [["a"], ["f"]], stories, count_words_of_story)["content_true"]
    assert back["mean"] == pytest.approx(-found["mean"])


def test_the_difference_is_paired_and_bears_a_text_that_says_nothing():
    stories, references = ["a b", "a b", "a b"], [["a"], ["a"], ["a"]]
    of_a = ["a q", "a b", ""]
    same = compare_predictions(of_a, of_a, references, stories, count_words_of_story)["content_true"]
    assert same == {"mean": 0, "low": 0, "high": 0}
    found = compare_predictions(of_a, ["a", "a", "a"], references, stories, count_words_of_story)["content_true"]
    assert found["mean"] == pytest.approx(75 - 100) and found["low"] == -100


def test_systems_of_unequal_length_are_not_compared():
    with pytest.raises(ValueError, match="unequal numbers of examples: 2, 3"):
        compare_predictions(PREDICTIONS, PREDICTIONS[:2], REFERENCES)
    with pytest.raises(ValueError, match="unequal numbers of examples: 0, 3"):
        compare_predictions(PREDICTIONS, PREDICTIONS, REFERENCES, content=content)


def test_a_second_table_has_the_figures_of_texts_where_there_are_any():
    found = compare_systems(STORIES, REFERENCES, PREDICTIONS)
    rows = text_rows(found)
    assert present(rows, TEXT_COLUMNS) == list(TEXT_COLUMNS)
    assert [row["system"] for row in rows] == list(found["systems"])
    console = Console(width=90, record=True, file=io.StringIO())
    console.print(text_table(rows, TEXT_COLUMNS, intervals=False))
    printed = console.export_text()
    assert "BLEU" in printed and "references" in printed and "\u2026" not in printed
    kept = ("examples", "words", *ROUGE)
    old = {"systems": {"model": {key: found["systems"]["model"][key] for key in kept}}}
    assert text_rows(old) == text_rows({}) == []
    assert "ROUGE-L" in [column.heading for column in present(summary_rows(old), SUMMARY_COLUMNS)]


def test_the_figures_of_the_first_rot5_are_of_lemmas_without_stop_words():
    stop = set(get_stop_words("en"))

    def simplified(text: str) -> str:
        said = re.findall(r"[a-z0-9]+(?:'[a-z]+)*", text.lower())
        return " ".join(simplemma.lemmatize(word, lang="en") for word in said if word not in stop).lower()

    theirs = RougeScorer(["rouge1", "rougeL"], use_stemmer=False)
    found = score_summaries(STORIES, REFERENCES, PREDICTIONS, original_rouge=True)
    for name in ("rouge1", "rougeL"):
        expected = [
            np.mean([theirs.score(simplified(other), simplified(text))[name].fmeasure for other in others])
            for text, others in zip(PREDICTIONS, REFERENCES, strict=True)
        ]
        assert found[f"original/{name}"]["mean"] == pytest.approx(100 * np.mean(expected))
    assert found["original/rougeL"]["mean"] != pytest.approx(found["rougeL"]["mean"])
    assert rouge_scores("The kites were broken.", ["a broken kite"], "lemmas")["rouge1"] == 100


def test_the_figures_of_the_first_rot5_come_on_request_and_are_named():
    without, asked = (compare_systems(STORIES, REFERENCES, PREDICTIONS, original_rouge=on) for on in (False, True))
    assert not any("original" in key for key in (*without["settings"], *without["systems"]["model"]))
    assert all("original/rougeL" in figures for figures in asked["systems"].values())
    assert "simplemma 2" in asked["settings"]["original"] and "stop-words 2018" in asked["settings"]["original"]
    headings = [column.heading for column in present(summary_rows(asked), SUMMARY_COLUMNS)]
    assert headings[-1] == "Words" and "ROUGE-L of lemmas" in headings
