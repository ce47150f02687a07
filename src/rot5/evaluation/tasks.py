"""How well tasks are done: each by the measure of its answers, with an interval, and their mean."""

import re
import string
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from rot5.data.sources import Pair
from rot5.data.tasks.templates import final_answer
from rot5.evaluation.intervals import Interval, interval
from rot5.evaluation.rouge import rouge_scores

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalized(text: str) -> str:
    """Small letters, no punctuation, no articles, single spaces: as SQuAD compares answers (arXiv:1606.05250).

    Other than there, a text of nothing but articles keeps them: it may be the letter of a choice.

    >>> normalized("The pond."), normalized("A.")
    ('pond', 'a')
    """
    words = text.lower().translate(_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", words).split() or words.split())


def exact(answer: str, answers: Sequence[str]) -> float:
    """100 if the answer is one of those that are right, else 0."""
    return 100.0 * (normalized(answer) in map(normalized, answers))


def f1(answer: str, answers: Sequence[str]) -> float:
    """F measure x 100 of the answer's words by those of the right answer that is nearest.

    >>> f1("at the pond", ["pond", "lake"])
    66.66666666666667
    """
    return max(_f1(normalized(answer).split(), normalized(each).split()) for each in answers)


def _f1(words: list[str], right: list[str]) -> float:
    shared = sum((Counter(words) & Counter(right)).values())
    return 200 * shared / (len(words) + len(right)) if words or right else 100.0


def _rouge(answer: str, answers: Sequence[str]) -> float:
    return rouge_scores(answer, answers)["rougeL"]


MEASURES: dict[str, Callable[[str, Sequence[str]], float]] = {"rouge": _rouge, "exact": exact, "f1": f1}
"""By the metric of a task: (what was answered, all that is right) -> 0 to 100."""


def score_tasks(pairs: Sequence[Pair], predictions: Sequence[str]) -> dict[str, dict]:
    """For each task, in order of name: `metric`, `examples` and `score` with its 95 % interval over examples.

    An answer behind a rationale counts without it.
    """
    scores: dict[tuple[str, str], list[float]] = {}
    for pair, prediction in zip(pairs, predictions, strict=True):
        found = MEASURES[pair.metric](final_answer(prediction), pair.references)
        scores.setdefault((pair.task, pair.metric), []).append(found)
    return {
        task: {"metric": metric, "examples": len(found), "score": _told(interval(found))}
        for (task, metric), found in sorted(scores.items())
    }


def mean_score(tasks: Mapping[str, dict]) -> float:
    """The mean over tasks of what `score_tasks` gives, every task counting the same."""
    return sum(each["score"]["mean"] for each in tasks.values()) / len(tasks)


def _told(found: Interval) -> dict[str, float]:
    return found._asdict()
