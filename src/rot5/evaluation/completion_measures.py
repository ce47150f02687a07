"""Completed stories measured without a judge: repetition, names, words, instructions, and what training had shown.

None of these is a grammar checker: those found for Python need Java, a download or a server. The share of unknown words
says something of spelling alone.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from importlib import metadata

import numpy as np
import simplemma

from rot5.evaluation import reading_words
from rot5.evaluation.instructions import kept_by_completion
from rot5.evaluation.intervals import RESAMPLES, ratio_interval
from rot5.evaluation.overlap import RUN, overlaps
from rot5.evaluation.phrases import tokens_of
from rot5.evaluation.rubric import Opening
from rot5.evaluation.text_measures import cut_words, distinct, repetition

_ENDS = frozenset(".!?\n:;\"'\u2018-\u2013\u2014")
"""Marks, with openings of quotations, behind which a capital says nothing."""
_KIN = frozenset(("mom", "mommy", "mama", "mum", "mummy", "mother", "grandma", "granny", "nana", "aunt")) | frozenset(
    ("dad", "daddy", "papa", "father", "grandpa", "uncle")
)
_POSSESSIVES = frozenset(("my", "your", "his", "her", "its", "our", "their", "'s"))
_CALLED = frozenset(("named", "called"))
_NO_NAMES = reading_words.CAPITALS | reading_words.PRONOUNS
_SOMEBODY = reading_words.KINDS | reading_words.PEOPLE

Counts = tuple[float, float]
"""(part, whole), to be summed before they are divided."""


def names_told(opening: str, completion: str) -> tuple[int, int]:
    """(names of the completion that are in the opening or introduced, names of the completion), each name once.

    A name is a word of two or more letters with a capital, met at least once where no sentence, no quotation and no
    dash is before it; days, months, titles, pronouns ("I'm") and words all in capitals ("TV") aside. It is introduced
    where its first mention stands behind "named", "called", "name is", "name was" or a word for somebody ("her friend
    Tom", "the dog, Spot"), before "was a" or "is a", or where it says whose mother or uncle it is ("his Mommy"). So
    the figure knows neither names that only ever open sentences nor introductions in other words.

    >>> names_told("Tom ran.", "He met Ben and a girl named Mia. Mia saw Tom.")
    (2, 3)
    """
    before, tokens = tokens_of(opening), tokens_of(f"{opening} {completion}")
    start = _length_of_opening(opening, completion)
    known = set(before)
    first: dict[str, int] = {}
    names = set()
    for at in range(start, len(tokens)):
        name = tokens[at].partition("'")[0]
        if name[:1].isupper() and not name.isupper() and name.lower() not in _NO_NAMES:
            first.setdefault(name, at)
            if at and tokens[at - 1] not in _ENDS:
                names.add(name)
    return sum(name in known or _introduced(tokens, first[name]) for name in names), len(names)


def _length_of_opening(opening: str, completion: str) -> int:
    """Tokens of the opening inside the story; the end of its last line is none there."""
    behind = len(tokens_of(completion))
    return max(0, len(tokens_of(f"{opening} {completion}")) - behind)


def _introduced(tokens: Sequence[str], at: int) -> bool:
    before = [token.lower() for token in tokens[max(0, at - 2) : at]]
    behind = [token.lower() for token in tokens[at + 1 : at + 3]]
    last = before[-1] if before else ""
    if last == "," and len(before) > 1:
        last = before[0]
    if last in _POSSESSIVES and tokens[at].lower() in _KIN:
        return True
    named = before in (["name", "was"], ["name", "is"])
    return named or last in _CALLED or last in _SOMEBODY or behind in (["was", "a"], ["is", "a"])


def unknown_words(opening: str, completion: str) -> tuple[int, int]:
    """(words of the completion that no dictionary knows, words): of letters alone; words that the opening has, or
    that stand somewhere with a capital, as names do, are left out.

    The dictionary is the English one that simplemma ships.
    """
    there = set(cut_words(opening))
    capitals = {token.lower() for token in tokens_of(completion) if token[0].isupper()}
    said = [word for word in cut_words(completion) if word.isalpha() and word not in there and word not in capitals]
    return sum(not _is_word(word) for word in said), len(said)


@lru_cache(maxsize=1 << 15)
def _is_word(word: str) -> bool:
    return simplemma.is_known(word, lang="en")


def measure_completions(
    openings: Sequence[Opening], texts: Sequence[Sequence[str]], training: Iterable[str] | None = None
) -> dict:
    """The `offline` of judge.json: all completions of each opening, with 95 % intervals over openings.

    In per cent: `repetition` (runs of 4 words that the same completion said before), `names_told` and `unknown_words`
    (see these functions), `instructions_kept` (of the instructions that can be checked) and, given the documents of a
    `training` corpus, `in_training` (runs of 8 words that it has as well). Then `words` and `longest_in_training`
    (words, means over completions), `distinct/1` to `/3` (per cent, of all completions together, without an interval),
    and how many instructions were checked and how many no program can check. A share of nothing is left out.
    """
    found: dict = {"completions": sum(map(len, texts)), "settings": _settings(training is not None)}
    asked = [
        [kept_by_completion(opening.instruction, opening.text, text) for text in of_one]
        for opening, of_one in zip(openings, texts, strict=True)
    ]
    counts: dict[str, list[list[Counts]]] = {
        "words": [[(len(text.split()) / 100, 1) for text in of_one] for of_one in texts],
        "repetition": [[repetition(text) for text in of_one] for of_one in texts],
        "names_told": _of_each(names_told, openings, texts),
        "unknown_words": _of_each(unknown_words, openings, texts),
        "instructions_kept": [[(len(k.kept), len(k.kept) + len(k.broken)) for k in of_one] for of_one in asked],
    }
    if training is not None:
        shared = iter(overlaps([text for of_one in texts for text in of_one], training))
        of_text = [[next(shared) for _ in of_one] for of_one in texts]
        counts["in_training"] = [[(each.found, each.runs) for each in of_one] for of_one in of_text]
        counts["longest_in_training"] = [[(each.longest / 100, 1) for each in of_one] for of_one in of_text]
        found["longest_in_training_of_all"] = max((each.longest for of_one in of_text for each in of_one), default=0)
    for name, of_all in counts.items():
        parts, wholes = np.array([np.sum(of_one, axis=0) for of_one in of_all], dtype=np.float64).T
        if wholes.sum():
            found[name] = ratio_interval(100 * parts, wholes)._asdict()
    for n in (1, 2, 3):
        found[f"distinct/{n}"] = 100 * distinct([text for of_one in texts for text in of_one], n)
    kept = [each for of_one in asked for each in of_one]
    found["instructions_checked"] = sum(len(each.kept) + len(each.broken) for each in kept)
    found["instructions_unchecked"] = sum(len(each.unchecked) for each in kept)
    return found


def _of_each(measure, openings: Sequence[Opening], texts: Sequence[Sequence[str]]) -> list[list[Counts]]:
    return [[measure(opening.text, text) for text in of_one] for opening, of_one in zip(openings, texts, strict=True)]


def _settings(training: bool) -> dict[str, str]:
    told = {
        "intervals": f"95 % percentile bootstrap over openings, {RESAMPLES} resamples",
        "unknown_words": f"dictionary of simplemma {metadata.version('simplemma')}",
    }
    return told | ({"in_training": f"runs of {RUN} words, small letters, without punctuation"} if training else {})
