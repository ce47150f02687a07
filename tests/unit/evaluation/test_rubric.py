"""The rubric: prompts that hold what they must, answers read however they are wrapped, figures over openings."""

import json
import math
from pathlib import Path

import pytest

from rot5.errors import UserError
from rot5.evaluation.rubric import (
    AGE_GROUPS,
    DIMENSIONS,
    KINDS,
    Grades,
    Opening,
    fingerprint,
    parse,
    question,
    question_again,
    read_openings,
    summarize,
)

OPENINGS = Path(__file__).parents[3] / "examples" / "prompts" / "story_openings.jsonl"
GOOD = {"grammar": 8, "creativity": 6, "consistency": 7, "plot": 5, "age": "C"}
NAMES = tuple(DIMENSIONS)


def test_our_openings_can_be_read_and_hold_every_kind():
    openings = read_openings(OPENINGS)
    assert len(openings) == len({opening.text for opening in openings}) == 20
    assert {opening.kind for opening in openings} == {"", *KINDS}


@pytest.mark.parametrize(
    "answer",
    [
        "{}",
        "```json\n{}\n```",
        "Here are my grades:\n\n{}\n\nThe writer {{has}} a fine ear.",
        '{{"grammar": "1-10"}} is the form, and so: {}',
        'I thought of {{"grammar": 1, "creativity": 1, "consistency": 1, "plot": 1, "age": "A"}} first. {}',
        '{{"grades": {}}}',
        "{{{{{{ {}",
    ],
)
def test_an_answer_is_read_however_it_is_wrapped(answer):
    found = parse(answer.format(json.dumps(GOOD, indent=1)), NAMES)
    assert found == Grades({"grammar": 8, "creativity": 6, "consistency": 7, "plot": 5}, "C")


@pytest.mark.parametrize(
    "changes",
    [
        {"grammar": "8/10", "creativity": 6.0, "plot": " 5 "},
        {"age": "c"},
        {"age": "C: 6-7"},
        {"age": "(C) 6-7 years", "remark": {"a": [1]}},
    ],
)
def test_small_liberties_are_understood(changes):
    assert parse(json.dumps(GOOD | changes), NAMES) == parse(json.dumps(GOOD), NAMES)
    assert parse(json.dumps({key.upper(): value for key, value in GOOD.items()}), NAMES) is not None


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "8, 6, 7, 5, C",
        json.dumps(GOOD)[:-1],
        *(json.dumps(GOOD | {"plot": bad}) for bad in (0, 11, -3, True, None, "good", [5], "5/5", math.nan, math.inf)),
        *(json.dumps(GOOD | {"age": bad}) for bad in ("G", "Children", 7, None, "")),
        json.dumps({key: value for key, value in GOOD.items() if key != "consistency"}),
        '{"a":' * 5000,
        '{"grammar": ' + "9" * 6000 + "}",
    ],
    ids=lambda answer: answer[:60],
)
def test_anything_else_is_unreadable(answer):
    assert parse(answer, NAMES) is None


def test_the_plot_is_graded_where_there_is_an_instruction():
    free = Opening("A dog ran.")
    told = Opening("A dog ran.", "Words: kite, share", "words")
    assert "plot" not in free.dimensions and told.dimensions == NAMES
    assert (free.given, told.given) == ("A dog ran.", "Words: kite, share\nStory: A dog ran.")
    asked, asked_told = (question(opening, "It {fell} down.")[-1]["content"] for opening in (free, told))
    assert "It {fell} down." in asked and "A dog ran." in asked
    assert "plot" not in asked and "instruction" not in asked.lower()
    assert "- plot:" in asked_told and "Words: kite, share" in asked_told
    assert all(f"{letter} ({years})" in asked for letter, years in AGE_GROUPS.items())
    again = question_again(question(free, "Yes."), "Well…")
    assert [message["role"] for message in again] == ["system", "user", "assistant", "user"]
    assert len(fingerprint()) == 64


def grades(score: float, age: str = "A") -> Grades:
    return Grades({"grammar": score}, age)


def test_all_samples_of_an_opening_are_drawn_together():
    apart = summarize([[grades(2)] * 10, [grades(8)] * 10])
    assert apart["grades"]["grammar"]["mean"] == 5
    assert (apart["grades"]["grammar"]["low"], apart["grades"]["grammar"]["high"]) == (2, 8)
    alike = summarize([[grades(2)] * 5 + [grades(8)] * 5] * 2)
    assert (alike["grades"]["grammar"]["low"], alike["grades"]["grammar"]["high"]) == (5, 5)


def test_figures_count_what_was_read_and_what_was_not():
    found = summarize([[grades(4, "B"), None], [None, None], [grades(7, "C"), grades(10, "C")]])
    assert (found["openings"], found["judged"], found["unreadable"]) == (3, 3, 3)
    assert found["grades"]["grammar"]["mean"] == 7
    assert found["grades"]["grammar"] | {"answers": 3, "openings": 2} == found["grades"]["grammar"]
    assert list(found["ages"]) == list(AGE_GROUPS)
    assert found["ages"]["C"]["mean"] == pytest.approx(2 / 3)
    assert "plot" not in found["grades"]
    nothing = summarize([[None], [None]])
    assert (nothing["judged"], nothing["grades"], nothing["ages"]) == (0, {}, {})


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("\n", "no openings"),
        ('{"opening": "A"}\n\n{"opening": \n', "line 3: not valid JSON"),
        ('{"opening": "A"}\n["A"]\n', "line 2: not a JSON object"),
        ('{"opening": 3}\n', "line 1: not a JSON object of texts"),
        ('{"kind": "words", "instruction": "Words: a"}\n', "line 1: no `opening`"),
        ('{"opening": "A", "kind": "words"}\n', "line 1: `kind` and `instruction`"),
        ('{"opening": "A", "kind": "word", "instruction": "Words: a"}\n', "did you mean words?"),
        ('{"openning": "A"}\n', "did you mean opening?"),
    ],
)
def test_a_malformed_line_is_told_by_its_number(tmp_path, text, phrase):
    (tmp_path / "prompts.jsonl").write_text(text)
    with pytest.raises(UserError, match=r"prompts\.jsonl") as caught:
        read_openings(tmp_path / "prompts.jsonl")
    assert phrase in str(caught.value)


def test_missing_prompts_are_told(tmp_path):
    with pytest.raises(UserError, match="cannot read the prompts"):
        read_openings(tmp_path / "nowhere.jsonl")
