"""What tasks ask of a story and what they hold to be right, by StoryWorld's own knowledge of it."""

import re
from random import Random

import pytest

from rot5.data.tasks.categories import CATEGORIES, GAP, evidence, sentences
from rot5.data.tasks.records import Question, RecordsConfig, StoryRecord, story_records
from rot5.data.tasks.templates import check, fill, final_answer, shipped

RECORDS = list(story_records(RecordsConfig(name="storyworld", limit=150)))


def items(category: str):
    for number, record in enumerate(RECORDS):
        for item in CATEGORIES[category](record, Random(f"{category} {number}")):
            yield record, item


@pytest.mark.parametrize("category", CATEGORIES)
def test_every_template_can_be_filled_and_answers_are_found_again(category):
    templates = shipped()[category]
    found = list(items(category))
    assert len(found) >= 100
    for _, item in found:
        check(templates, item, category)
        assert item["answer"] in item["answers"] and all(item["answers"])
        for template in templates.rationales:
            assert final_answer(fill(template, item)) == final_answer(item["answer"])
            assert item["evidence"] in fill(template, item)
    assert len({fill(text, found[0][1]) for text in templates.inputs}) == len(templates.inputs) >= 2


def test_there_are_templates_for_all_and_no_others():
    assert shipped().keys() == {*CATEGORIES, "given"}
    assert len(CATEGORIES) >= 12


def test_gaps_and_endings_put_the_story_together_again():
    for record, item in items("missing-sentence"):
        assert item["gapped"].replace(GAP, item["answer"]) == record.story
        assert item["gapped"].count(GAP) == 1
    for record, item in items("ending"):
        assert re.sub(r"\s+", " ", f"{item['beginning']} {item['answer']}") == re.sub(r"\s+", " ", record.story)


def test_the_first_of_two_sentences_comes_first():
    answers = []
    for record, item in items("order"):
        first, second = (item["a"], item["b"]) if item["answer"] == "A" else (item["b"], item["a"])
        assert record.story.index(first) < record.story.index(second)
        assert item["evidence"] == first
        answers.append(item["answer"])
    assert 0.3 < answers.count("A") / len(answers) < 0.7


def test_true_and_false_are_what_the_record_knows():
    answers = []
    for record, item in items("true-or-false"):
        known = dict(record.questions)
        assert (item["told"] in known[item["question"]]) == (item["answer"] == "yes")
        answers.append(item["answer"])
    assert 0.3 < answers.count("yes") / len(answers) < 0.7


def test_words_are_in_the_story_or_not():
    answers = []
    for record, item in items("word"):
        inside = re.search(rf"\b{item['word']}\b", record.story, re.IGNORECASE)
        assert bool(inside) == (item["answer"] == "yes")
        if inside:
            assert item["word"] in item["evidence"].lower()
        answers.append(item["answer"])
    assert 0.3 < answers.count("yes") / len(answers) < 0.7


def test_quotes_and_possessives_are_no_words_of_their_own():
    """FairytaleQA's tales are full of both."""
    record = StoryRecord("'Where is the king's cheese?' said Tom's dog. 'Gone!' The bird flew home 'and' sang loudly.")
    found = [item for seed in range(60) for item in CATEGORIES["word"](record, Random(seed))]
    assert all((item["evidence"] != "No sentence has it.") == (item["answer"] == "yes") for item in found)
    asked = {item["word"] for item in found}
    assert not [each for each in asked if each.strip("'") != each]
    assert {"king", "cheese"} & {item["word"] for item in found if item["answer"] == "no"} == set()


def test_another_hero_takes_the_place_of_the_first():
    for record, item in items("another-hero"):
        assert item["name"] not in record.story
        assert not re.search(rf"\b{record.hero}\b", item["answer"])
        assert re.sub(rf"\b{item['name']}\b", record.hero, item["answer"]) == record.story


def test_who_and_other_questions_are_all_there_is():
    asked = sorted(item["question"] for name in ("who", "question") for _, item in items(name))
    assert asked == sorted(each.question for record in RECORDS for each in record.questions)
    assert all(item["question"].startswith("Who ") for _, item in items("who"))


def test_evidence_mostly_says_the_answer():
    found = [str(item["answer"]).lower() in str(item["evidence"]).lower() for _, item in items("who")]
    assert sum(found) / len(found) > 0.85
    story = "Tim ran home. The pond was cold. Ella laughed."
    assert evidence(story, "Where was it cold?", "pond") == "The pond was cold."
    assert evidence(story, "Who?", "nobody") == "Ella laughed."


def test_a_record_that_knows_nothing_has_few_tasks():
    bare = StoryRecord("One day it rained. The dog got wet. It ran home. Mom dried it.")
    have = {name for name, derive in CATEGORIES.items() if list(derive(bare, Random(0)))}
    assert have == {"ending", "missing-sentence", "order", "word"}
    asked = StoryRecord("It rained.", questions=(Question("What fell?", ("rain", "water")),))
    (item,) = CATEGORIES["question"](asked, Random(0))
    assert item["answers"] == ("rain", "water")


def test_sentences_are_whole():
    for record in RECORDS[:40]:
        assert "".join("".join(sentences(record.story)).split()) == "".join(record.story.split())
