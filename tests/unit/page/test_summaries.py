"""Summaries side by side: which words are marked, what is told of them, and what is refused."""

from html import escape

import pytest

from rot5.errors import UserError
from rot5.evaluation.facts import judged_words
from rot5.page.summaries import (
    MOST_CHARACTERS,
    MOST_NUMBER,
    check_text,
    columns_html,
    known_record,
    marked,
    settings_of,
    story,
    verdict,
)
from rot5.page.writing import Column

TOLD = "Tom had a red kite. Mia took the red kite. Tom was sad. Mia was happy."


def test_false_words_are_marked_and_told():
    summary = "Mia took the blue kite & Ben laughed."
    judged = judged_words(TOLD, summary)
    html = marked(summary, judged)
    assert '<mark class="false">blue<span class="unseen"> (not in the story)</span></mark>' in html
    assert "kite &amp; " in html and ">kite<" not in html
    assert verdict(judged) == ("3 of 6 content words are true of the story. Not in the story: blue, Ben, laughed.")
    assert "Not true as said: Mia, sad." in verdict(judged_words(TOLD, "Mia was sad."))
    assert verdict([]) == "It has no content word."


def test_a_word_that_comes_twice_is_marked_where_it_is_false():
    summary = "Mia took the red kite. In the end, Mia was sad."
    html = marked(summary, judged_words(TOLD, summary))
    before, _, behind = html.partition("end")
    assert "<mark" not in before and '<mark class="false">Mia<' in behind


def test_columns_are_judged_once_they_are_done():
    record = story("test", 0)
    writing = Column("<b>", text="Zoe flew", seconds=1.0)
    html = columns_html([writing, Column("other", error="It is full.", done=True)], record)
    assert "Writing: 1 of 2 done." in html and "<mark" not in html and "&lt;b&gt;" in html and "It is full." in html
    writing.done, writing.tokens = True, 4
    html = columns_html([writing], record)
    assert "1.00 s, 4 tokens, 4 tokens/s" in html and "<mark" in html and "ROUGE-L 0.0" in html
    assert all(escape(text) in html for text in record.summaries)
    assert "<mark" not in columns_html([writing], None) and "Gold" not in columns_html([writing], None)
    assert "(nothing)" in columns_html([Column("a", done=True)], None)


def test_stories_are_found_by_split_and_number():
    assert story("test", 2).index == 7 and story("train", 1).index == 2 and story("held_out", 3).split == "held_out"
    record = story("test", 1)
    assert known_record(f" {record.story}\n", "test", 1) == record
    assert known_record(record.story, "test", 2) is None and known_record(record.story, "test", None) is None
    for number in (-1, 0.5, MOST_NUMBER + 1, None):
        with pytest.raises(UserError, match="choose a whole number"):
            story("test", number)


def test_what_cannot_be_worked_on_is_refused():
    assert check_text(" a \n") == "a"
    with pytest.raises(UserError, match="no text"):
        check_text(" \n")
    with pytest.raises(UserError, match="shorten it"):
        check_text("a" * (MOST_CHARACTERS + 1))
    assert settings_of(True, 0.5, 64.0, None).temperature == 0.5
    with pytest.raises(UserError, match="temperature"):
        settings_of(True, 0, 64, 1)
