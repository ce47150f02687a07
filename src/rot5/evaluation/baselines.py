"""Summaries that need no model: first sentences, nothing, another story's summary, and one that knows the answer."""

import re
from collections.abc import Sequence

import numpy as np

from rot5.data.order import permutation

_PARAGRAPH = re.compile(r"""\n\s*\n|(?<=[.!?\u2026])\s*\n\s*|(?<=[.!?\u2026]["'\u201d\u2019)\]])\s*\n\s*""")
_END = re.compile(r"""[.!?\u2026]+["'\u201d\u2019)\]]*(?=\s)""")
_ABBREVIATION = re.compile(r"""(?:^|[\s"'\u201c\u2018(])(?:Mr|Mrs|Ms|Dr|St|Jr|Sr|Prof|vs|etc|e\.g|i\.e|[A-Z])\.$""")
_SPEAKER = re.compile(
    r"""\s+(?:[A-Z][\w'\u2019-]*|(?:The|His|Her|Their|My|One)\s(?:\w+\s)?\w+)\s
        (?:said|says|asked|asks|cried|called|shouted|yelled|whispered|answered|replied|exclaimed|laughed|screamed)\b""",
    re.VERBOSE,
)
_QUOTES = re.compile(r"""["\u201c\u201d]""")


def sentences(text: str) -> list[str]:
    """Split English prose into sentences, white space made single.

    A sentence ends at . ! ? or … with the closing quotes that follow it, before white space and anything but a small
    letter. What stands between double quotes is not cut, and speech stays with its speaker. A paragraph, which
    ends at a blank line or at a line that ends a sentence, is cut by itself, so that one forgotten quote does no more
    harm.

    >>> sentences('"Go away. I am busy!" Tom said. Mr. Fox left.')
    ['"Go away. I am busy!" Tom said.', 'Mr. Fox left.']
    """
    found = []
    for paragraph in _PARAGRAPH.split(text):
        found += _sentences_of_paragraph(" ".join(paragraph.split()))
    return found


def _sentences_of_paragraph(text: str) -> list[str]:
    quotes = [match.start() for match in _QUOTES.finditer(text)]
    if len(quotes) % 2:
        quotes = []
    found, start = [], 0
    for match in _END.finditer(text):
        end = match.end()
        in_quotation = sum(quote < end for quote in quotes) % 2
        ends_quotation = match.group()[-1] in "\"'\u201d\u2019"
        if (
            in_quotation
            or text[end + 1 : end + 2].islower()
            or _ABBREVIATION.search(text, start, end)
            or (ends_quotation and match.group()[0] != "." and _SPEAKER.match(text, end))
        ):
            continue
        found.append(text[start:end].strip())
        start = end
    last = text[start:].strip()
    return [*found, last] if last else found


def lead(story: str, k: int) -> str:
    """The first `k` sentences of the story: what a reader gets who stops early."""
    return " ".join(sentences(story)[:k])


def empty(count: int) -> list[str]:
    """Nothing at all, `count` times: what a figure is worth that a system gets for being silent."""
    return [""] * count


def random_reference(references: Sequence[Sequence[str]], seed: int = 0) -> list[str]:
    """The first reference of another example: what a figure is worth that well-made but unrelated text gets.

    A fixed shuffle of the examples sets them in a ring and each gets the text of the next, so that none gets its own
    and each text is given once. Raises ValueError for fewer than two examples, which have no other.
    """
    count = len(references)
    if count < 2:
        raise ValueError(f"{count} example: a reference of another one needs two")
    ring = permutation(seed, 0, np.arange(count), count)
    chosen = [""] * count
    for place, following in zip(ring, np.roll(ring, -1), strict=True):
        chosen[place] = references[following][0]
    return chosen


def knows_all(references: Sequence[Sequence[str]]) -> tuple[list[str], list[list[str]]]:
    """A writer who knows every fact: the first reference of each example, and the references to judge it by.

    Those are the other references. Where there is only one, the text is judged by itself and its score is 100, which
    says nothing about the task.
    """
    predictions = [of_one[0] for of_one in references]
    return predictions, [list(of_one[1:]) or [of_one[0]] for of_one in references]
