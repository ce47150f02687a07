"""Measures of texts by their words alone: BLEU, chrF, exact match, length, copying from the input, novelty, repetition.

Copying, novelty, repetition and distinctness are counted in small letters and without punctuation: a word is a run of
letters, digits and underscores, with apostrophes inside ("don't" is one). Shares come as counts (part, whole) of one
text, so that they can be summed over texts before they are divided.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from importlib import metadata

import numpy as np
from numpy.typing import ArrayLike
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from rot5.evaluation.intervals import LEVEL, RESAMPLES, Interval

COPIED_RUN = 4
"""Words in a row that the input must have as well for them to count as copied."""
REPEATED_NGRAM = 4
"""Words in a row that make a repetition when a text says them again."""

_WORD = re.compile(r"\w+(?:['\u2019]\w+)*")
_BLEU = BLEU()
_CHRF = CHRF()
_REMEMBERED = 1 << 14


def settings() -> dict[str, str]:
    """How the figures come about that others measure otherwise, to be kept beside them."""
    version = metadata.version("sacrebleu")
    return {
        "bleu": f"sacrebleu {version}, of all examples at once, 13a words, exp smoothing, all references of an example",
        "chrf": f"sacrebleu {version}, of all examples at once, 6 characters, beta 2, best reference of an example",
        "copying": "coverage and density of extractive fragments; words in small letters, without punctuation",
    }


@lru_cache(maxsize=_REMEMBERED)
def words(text: str) -> tuple[str, ...]:
    """The words of a text in small letters, without punctuation.

    >>> words("Don't go, Tom!")
    ("don't", 'go', 'tom')
    """
    return tuple(cut_words(text))


def cut_words(text: str) -> list[str]:
    """As `words`, for texts that are met once: nothing is remembered."""
    return _WORD.findall(text.lower())


def _ngrams(text: str, n: int) -> list[tuple[str, ...]]:
    said = words(text)
    return list(zip(*(said[start:] for start in range(n)), strict=False))


def one_line(text: str) -> str:
    """The text with all white space folded into single blanks, and none at its ends."""
    return " ".join(text.split())


def bleu_statistics(prediction: str, references: Sequence[str]) -> list[int]:
    """sacrebleu's counts of one example, to be summed over examples and given to `bleu`: int[10].

    Words of the prediction, words of the reference nearest in length, matches of 1 to 4 words, and how many there are.
    Each text is made one line, as sacrebleu reads them. Raises ValueError where there is no reference.
    """
    return _statistics(_BLEU, prediction, references)


def chrf_statistics(prediction: str, references: Sequence[str]) -> list[int]:
    """sacrebleu's counts of one example, to be summed over examples and given to `chrf`: int[18].

    For 1 to 6 characters: of the prediction, of the reference that suits it best, and of both. Raises ValueError where
    there is no reference.
    """
    return _statistics(_CHRF, prediction, references)


def _statistics(metric: BLEU | CHRF, prediction: str, references: Sequence[str]) -> list[int]:
    """What `corpus_score` of the metric sums; a number of references of its own for each example costs no padding."""
    if not references:
        raise ValueError("no reference to score against")
    lines = [metric._preprocess_segment(one_line(text)) for text in (prediction, *references)]
    return metric._compute_segment_statistics(lines[0], metric._extract_reference_info(lines[1:]))


def bleu(statistics: ArrayLike) -> float:
    """BLEU (Papineni et al. 2002, as sacrebleu has it: Post 2018), 0 to 100, from summed `bleu_statistics`."""
    return _BLEU._compute_score_from_stats(np.asarray(statistics).tolist()).score


def chrf(statistics: ArrayLike) -> float:
    """chrF2 (Popović 2015), 0 to 100, from summed `chrf_statistics`."""
    return _CHRF._compute_score_from_stats(np.asarray(statistics).tolist()).score


def score_interval(
    statistics: ArrayLike, score: Callable[[np.ndarray], float], seed: int = 0, resamples: int = RESAMPLES
) -> Interval:
    """`score` of the summed rows of `statistics` float[N, K], one per example, with its 95 % interval.

    Percentile bootstrap over examples, as Koehn (2004) has it for BLEU: examples are drawn with replacement and their
    counts summed anew. Raises ValueError where there is no example.
    """
    rows = np.asarray(statistics)
    if not len(rows):
        raise ValueError("no interval: there is no example")
    random = np.random.default_rng(seed)
    found = []
    for _ in range(resamples):
        times = np.bincount(random.integers(len(rows), size=len(rows)), minlength=len(rows))
        found.append(score(times @ rows))
    low, high = np.quantile(found, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(score(rows.sum(axis=0)), float(low), float(high))


def exact_match(prediction: str, references: Iterable[str]) -> bool:
    """Whether the prediction is one of the references, white space folded.

    >>> exact_match(" Tom  ran.", ["Tom ran."])
    True
    """
    return one_line(prediction) in {one_line(reference) for reference in references}


def length_ratio(prediction: str, references: Sequence[str]) -> tuple[int, float]:
    """(words of the prediction, mean words of a reference), cut at white space; no reference is a ValueError."""
    if not references:
        raise ValueError("no reference to measure by")
    return len(prediction.split()), sum(len(text.split()) for text in references) / len(references)


@lru_cache(maxsize=_REMEMBERED)
def fragments(source: str, prediction: str) -> tuple[int, ...]:
    """Lengths in words of the extractive fragments: the longest runs that the source has too, found from the left.

    At each word of the prediction the longest run of words that starts there and stands somewhere in the source is
    taken and stepped over; a word that the source has not is passed by. Grusky, Naaman and Artzi, "Newsroom", 2018
    (arXiv:1804.11283), figure 3; there punctuation counts as words, here it does not.

    >>> fragments("Tom found a red kite in the park.", "Tom found a kite. In the park Tom sang.")
    (3, 4, 1)
    """
    there, said = words(source), words(prediction)
    places: dict[str, list[int]] = {}
    for place, word in enumerate(there):
        places.setdefault(word, []).append(place)
    lengths, start = [], 0
    while start < len(said):
        longest = 0
        for place in places.get(said[start], ()):
            length = 1
            while said[start + length : start + length + 1] == there[place + length : place + length + 1] != ():
                length += 1
            longest = max(longest, length)
        if longest:
            lengths.append(longest)
        start += max(longest, 1)
    return tuple(lengths)


def coverage(source: str, prediction: str) -> float:
    """Extractive fragment coverage: the share of the prediction's words in `fragments`, 0 to 1; 0 without words."""
    said = len(words(prediction))
    return sum(fragments(source, prediction)) / said if said else 0.0


def density(source: str, prediction: str) -> float:
    """Extractive fragment density: the mean over the prediction's words of the length in words of their fragment.

    A text that is one run of the source has its own length, a text without any word of it 0, and so has an empty one.
    """
    said = len(words(prediction))
    return sum(length**2 for length in fragments(source, prediction)) / said if said else 0.0


def copied(source: str, prediction: str, run: int = COPIED_RUN) -> tuple[int, int]:
    """(words of the prediction that lie in a run of at least `run` words that the source has too, words).

    >>> copied("Tom found a red kite in the park.", "Tom found a red ball in the park.")
    (4, 8)
    """
    there = set(_ngrams(source, run))
    lies = [False] * len(words(prediction))
    for start, ngram in enumerate(_ngrams(prediction, run)):
        if ngram in there:
            lies[start : start + run] = [True] * run
    return sum(lies), len(lies)


def novel_ngrams(source: str, prediction: str, n: int) -> tuple[int, int]:
    """(n-grams of the prediction that the source has not, n-grams), each as often as it is said.

    See, Liu and Manning, "Get To The Point", 2017 (arXiv:1704.04368), figure 6.
    """
    there, said = set(_ngrams(source, n)), _ngrams(prediction, n)
    return sum(ngram not in there for ngram in said), len(said)


def repetition(text: str, n: int = REPEATED_NGRAM) -> tuple[int, int]:
    """(n-grams of the text that it has said before, n-grams).

    >>> repetition("He ran and ran and ran and ran.")
    (2, 5)
    """
    said = _ngrams(text, n)
    return len(said) - len(set(said)), len(said)


def distinct(texts: Iterable[str], n: int) -> float:
    """distinct-n: different n-grams of all texts together, by the number of their words, 0 to 1; 0 without words.

    Li et al., "A Diversity-Promoting Objective Function", 2016 (arXiv:1510.03055). It falls with the number of texts:
    compare only sets of like size.
    """
    different, total = set(), 0
    for text in texts:
        different.update(_ngrams(text, n))
        total += len(words(text))
    return len(different) / total if total else 0.0
