"""Instructions: what a story was asked to hold is found in it, and in no other."""

import io

import pytest

from rot5.data.instruct import parse_instruct
from rot5.data.storyworld import StoryWorld, write_instruct
from rot5.evaluation.instructions import Kept, kept_by_completion, kept_instructions


@pytest.fixture(scope="module")
def records():
    file = io.StringIO()
    write_instruct([StoryWorld(3)[n] for n in range(120)], file)
    return [parse_instruct(text.strip("\n")) for text in file.getvalue().split("<|endoftext|>") if text.strip()]


def test_stories_keep_their_own_instructions(records):
    assert len(records) == 120
    found = [kept_instructions(record, record.story) for record in records]
    assert sum(len(each.kept) for each in found) > 350
    assert [each.broken for each in found if each.broken] == []


def test_stories_do_not_keep_the_instructions_of_others(records):
    shifted = zip(records, records[1:] + records[:1], strict=True)
    found = [kept_instructions(record, other.story) for record, other in shifted]
    assert sum(len(each.kept) for each in found) < 0.5 * sum(len(each.kept) + len(each.broken) for each in found)


@pytest.mark.parametrize(
    ("instruction", "text", "kept"),
    [
        ("Words: kite", "Two kites flew.", True),
        ("Words: run", "She was running.", True),
        ("Words: ran", "She runs.", True),
        ("Words: Mom", "mom's hat", True),
        ("Words: kite", "A kitten sat.", False),
        ("Words: art", "They part.", False),
        ("Words: ice cream", "The cream was as cold as ice.", True),
        ("Words: ice cream", "The ice was cold.", False),
        ("Random sentence: It rained.", "And then  it\nrained. It was wet.", True),
        ("Random sentence: It rained.", "It rained all day.", False),
        ("Features: Dialogue", 'Tom said, "Hello!"', True),
        ("Features: Dialogue", "\u201cHello,\u201d said Tom.", True),
        ("Features: Dialogue", 'Tom said "', False),
        ("Features: Dialogue", 'A 3" pipe and a 4" one.', False),
        ("Features: Dialogue", "Don't say 'no'.", False),
    ],
)
def test_what_is_kept(instruction, text, kept):
    found = kept_instructions(parse_instruct(instruction), text)
    assert (len(found.kept), len(found.broken)) == (int(kept), int(not kept)), found


def test_what_nobody_can_check_is_said_so():
    asked = parse_instruct("Features: Twist, BadEnding\nSummary: Tom ran.")
    found = kept_instructions(asked, "Tom ran.")
    assert found == Kept((), (), ("Features: Twist", "Features: BadEnding", "Summary: Tom ran."))


def test_what_the_opening_keeps_is_no_merit_of_the_completion():
    found = kept_by_completion("Words: kite, dog, ball", "Tom had a kite.", "A dog came.")
    assert found == Kept(("Words: dog",), ("Words: ball",), ())
