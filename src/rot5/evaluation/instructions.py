"""Instructions of TinyStories-Instruct: which of them a text keeps, as far as that can be checked without a judge.

Words: each must stand in the text, in any form that has the same base form ("ran" for "run"). Random sentence: it must
stand in the text, capitals and white space aside. Features: Dialogue asks for something said between double quotes.
The other features (BadEnding, Conflict, Foreshadowing, MoralValue, Twist) and the summary are matters of opinion: they
are counted as not checked, never guessed.
"""

import re
from typing import NamedTuple

from rot5.data.instruct import InstructRecord, parse_instruct
from rot5.evaluation.text_measures import one_line, words
from rot5.evaluation.word_forms import base_form

_SAID = re.compile(r"""(?<!\w)["\u201c][^"\u201c\u201d\n]*[^\W\d_][^"\u201c\u201d\n]*["\u201d]""")


class Kept(NamedTuple):
    """What was asked for, as `Words: kite`: what the text keeps, what it does not, and what was not checked."""

    kept: tuple[str, ...]
    broken: tuple[str, ...]
    unchecked: tuple[str, ...]


def kept_instructions(record: InstructRecord, text: str) -> Kept:
    """Each required word, sentence and feature of a record, checked on a text: its own story or another one.

    >>> kept_instructions(parse_instruct("Words: run, kite\\nFeatures: Dialogue, Twist"), 'Tom ran. "Hi!" he said.')
    Kept(kept=('Words: run', 'Features: Dialogue'), broken=('Words: kite',), unchecked=('Features: Twist',))
    """
    checked: dict[str, bool] = {f"Words: {word}": _has_word(text, word) for word in record.words}
    if record.random_sentence:
        there = one_line(record.random_sentence).lower() in one_line(text).lower()
        checked[f"Random sentence: {record.random_sentence}"] = there
    unchecked = []
    for feature in record.features:
        if feature == "Dialogue":
            checked["Features: Dialogue"] = bool(_SAID.search(text))
        else:
            unchecked.append(f"Features: {feature}")
    if record.summary:
        unchecked.append(f"Summary: {record.summary}")
    return Kept(
        tuple(asked for asked, there in checked.items() if there),
        tuple(asked for asked, there in checked.items() if not there),
        tuple(unchecked),
    )


def kept_by_completion(instruction: str, opening: str, completion: str) -> Kept:
    """The same of a completed story; what the opening keeps already is left out, being nobody's merit."""
    record = parse_instruct(instruction)
    before, after = kept_instructions(record, opening), kept_instructions(record, f"{opening} {completion}")
    return Kept(tuple(asked for asked in after.kept if asked not in before.kept), after.broken, after.unchecked)


def _has_word(text: str, word: str) -> bool:
    there = {_base(said) for said in words(text)}
    return all(_base(part) in there for part in words(word))


def _base(word: str) -> str:
    return base_form(re.sub(r"['\u2019]s?$", "", word))
