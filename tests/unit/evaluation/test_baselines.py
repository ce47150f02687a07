"""Baselines: where sentences end, and what each baseline says."""

import pytest

from rot5.evaluation.baselines import empty, knows_all, lead, random_reference, sentences


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Tom ran. He fell! Did he cry? No", ["Tom ran.", "He fell!", "Did he cry?", "No"]),
        ('"Go home," said Tom. He left.', ['"Go home," said Tom.', "He left."]),
        ('"Go home!" said Tom. He left.', ['"Go home!" said Tom.', "He left."]),
        ('"Go home!" Tom said. He left.', ['"Go home!" Tom said.', "He left."]),
        ('"Who is it?" the old cat asked. "Me."', ['"Who is it?" the old cat asked.', '"Me."']),
        ('"Who is it?" The old cat asked twice.', ['"Who is it?" The old cat asked twice.']),
        ('"Help!" Tom ran home.', ['"Help!"', "Tom ran home."]),
        ('He said, "I am lost. Help me." Mia came.', ['He said, "I am lost. Help me."', "Mia came."]),
        ("Mr. Fox met Dr. A. Bear. They ate 3.5 cakes.", ["Mr. Fox met Dr. A. Bear.", "They ate 3.5 cakes."]),
        ("He ran... and ran. Then he slept…", ["He ran... and ran.", "Then he slept…"]),
        (
            "One line\nthat goes on.\nAnother.\n\nA title\n\nThe end.",
            ["One line that goes on.", "Another.", "A title", "The end."],
        ),
        (
            'A "forgotten quote. Next one. End.\n"Whole. Quote." Yes.',
            ['A "forgotten quote.', "Next one.", "End.", '"Whole. Quote."', "Yes."],
        ),
        ("", []),
        (" \n ", []),
    ],
)
def test_sentences(text, expected):
    assert sentences(text) == expected


def test_curly_quotes_are_quotes():
    curly = str.maketrans({"{": "\u201c", "}": "\u201d", "<": "\u2018", ">": "\u2019"})
    found = sentences("{One. Two.} Three. <Four.> Five. {Go!} Tom said.".translate(curly))
    assert found == [text.translate(curly) for text in ("{One. Two.}", "Three.", "<Four.>", "Five.", "{Go!} Tom said.")]


def test_sentences_lose_no_word():
    text = 'One. "Two! Three?" said Tom.\n\nFour... five "six\nSeven. 8. (Nine.) Ten'
    assert " ".join(sentences(text)).split() == text.split()


def test_lead_takes_the_first_sentences_and_no_more_than_there_are():
    story = "One is here. Two is there. Three."
    assert lead(story, 1) == "One is here."
    assert lead(story, 2) == "One is here. Two is there."
    assert lead(story, 9) == story
    assert lead("", 3) == ""


def test_knows_all_is_judged_by_the_other_references():
    predictions, references = knows_all([["a", "b", "c"], ["d"]])
    assert predictions == ["a", "d"]
    assert references == [["b", "c"], ["d"]]


def test_empty_says_nothing_as_often_as_asked():
    assert empty(3) == ["", "", ""]
    assert empty(0) == []


@pytest.mark.parametrize("count", [2, 3, 4, 5, 17, 400])
def test_random_gives_each_reference_once_and_none_to_its_own_example(count):
    references = [[f"first of {n}", f"second of {n}"] for n in range(count)]
    found = random_reference(references)
    assert sorted(found) == sorted(of_one[0] for of_one in references)
    assert not any(text in of_one for text, of_one in zip(found, references, strict=True))
    assert found == random_reference(references)
    if count > 3:
        assert found != random_reference(references, seed=1)


@pytest.mark.parametrize("references", [[], [["only"]]])
def test_random_needs_another_example(references):
    with pytest.raises(ValueError, match="needs two"):
        random_reference(references)
