"""ROUGE of a text by its references: the standard figures, unstemmed ones, and those of the ROT5 of 2024."""

from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from importlib import metadata
from typing import Literal

import simplemma
from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenizers import DefaultTokenizer, Tokenizer
from stop_words import get_stop_words

from rot5.evaluation import text_measures
from rot5.evaluation.baselines import sentences

ROUGE = ("rouge1", "rouge2", "rougeL", "rougeLsum")
UNSTEMMED = "unstemmed/"
"""What opens the keys of figures whose words are taken as they are written."""
ORIGINAL = "original/"
"""What opens the keys of figures whose words are lemmas, stop words left out."""

Words = Literal["stemmed", "written", "lemmas"]


def settings(original: bool = False) -> dict[str, object]:
    """How the figures come about, to be kept beside them."""
    found: dict[str, object] = {
        "rouge": f"rouge-score {metadata.version('rouge-score')}, F measure x 100, mean over the references",
        "use_stemmer": True,
        "unstemmed": f"figures whose names begin with {UNSTEMMED} are of words as they are written",
        "sentences": "rougeLsum takes each sentence as a line; double quotations are not cut",
    }
    if original:
        found["original"] = (
            f"figures whose names begin with {ORIGINAL} are of words in small letters, without the stop words of "
            f"stop-words {metadata.version('stop-words')}, the others as lemmas of simplemma "
            f"{metadata.version('simplemma')}: not the libraries of the ROT5 of 2024, but its way"
        )
    return found


class _RememberingTokenizer(Tokenizer):
    """A way to cut texts into words; each text is cut once, though it meets several references and measures."""

    def __init__(self, words: Callable[[str], list[str]]):
        self._words = lru_cache(maxsize=1 << 14)(words)

    def tokenize(self, text: str) -> list[str]:
        return self._words(text)


@cache
def _stop_words() -> frozenset[str]:
    return frozenset(get_stop_words("en"))


@lru_cache(maxsize=1 << 14)
def _lemma(word: str) -> str:
    return simplemma.lemmatize(word, lang="en").lower()


def lemmas(text: str) -> list[str]:
    """The words of a text in small letters as lemmas, stop words left out.

    >>> lemmas("The kites weren't flying, but Tom was happy.")
    ['kite', 'fly', 'tom', 'happy']
    """
    said = (word.replace("\u2019", "'") for word in text_measures.words(text))
    return [_lemma(word) for word in said if word not in _stop_words()]


@cache
def _scorer(words: Words) -> RougeScorer:
    cuts = {
        "stemmed": DefaultTokenizer(True).tokenize,
        "written": DefaultTokenizer(False).tokenize,
        "lemmas": lemmas,
    }
    return RougeScorer(ROUGE, tokenizer=_RememberingTokenizer(cuts[words]))


def rouge_scores(prediction: str, references: Sequence[str], words: Words = "stemmed") -> dict[str, float]:
    """F measure x 100 of ROUGE-1, -2, -L and -Lsum (Lin 2004), each the mean over the references.

    The mean, not the best match, which would rise with the number of references. Words are stemmed (Porter), taken as
    written, or lemmas without stop words; for Lsum both texts are split into sentences. Raises ValueError where there
    is no reference.
    """
    if not references:
        raise ValueError("no reference to score against")
    scored = [_f_measures(reference, prediction, words) for reference in references]
    return {name: 100 * sum(each) / len(scored) for name, each in zip(ROUGE, zip(*scored, strict=True), strict=True)}


@lru_cache(maxsize=1 << 14)
def _f_measures(reference: str, prediction: str, words: Words) -> tuple[float, ...]:
    scores = _scorer(words).score(_lines(reference), _lines(prediction))
    return tuple(scores[name].fmeasure for name in ROUGE)


@lru_cache(maxsize=1 << 14)
def _lines(text: str) -> str:
    return "\n".join(sentences(text))
