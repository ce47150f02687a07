"""How good summaries are: ROUGE and true content words, of a model and of what it has to beat."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib import metadata

import numpy as np
from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenizers import DefaultTokenizer, Tokenizer

from rot5.evaluate.baselines import knows_all, lead, sentences
from rot5.evaluate.intervals import RESAMPLES, interval, ratio_interval

ROUGE = ("rouge1", "rouge2", "rougeL", "rougeLsum")
USE_STEMMER = True

Content = Callable[[str, str], tuple[int, int, int, int]]
"""(story, summary) -> (true words, content words, covered facts, facts): words of the summary, facts of the story."""


class _RememberingTokenizer(Tokenizer):
    """rouge-score's own words; each text is stemmed once, though it meets several references and measures."""

    def __init__(self):
        self._words = lru_cache(maxsize=1 << 14)(DefaultTokenizer(USE_STEMMER).tokenize)

    def tokenize(self, text: str) -> list[str]:
        return self._words(text)


@lru_cache(maxsize=1)
def _scorer() -> RougeScorer:
    return RougeScorer(ROUGE, tokenizer=_RememberingTokenizer())


def settings() -> dict[str, object]:
    """How the figures of this module come about, to be kept beside them."""
    return {
        "rouge": f"rouge-score {metadata.version('rouge-score')}, F measure x 100, mean over the references",
        "use_stemmer": USE_STEMMER,
        "sentences": "rougeLsum takes each sentence as a line; double quotations are not cut",
        "intervals": f"95 % percentile bootstrap over examples, {RESAMPLES} resamples",
    }


def rouge_scores(prediction: str, references: Sequence[str]) -> dict[str, float]:
    """F measure x 100 of ROUGE-1, -2, -L and -Lsum (Lin 2004), each the mean over the references.

    The mean, not the best match, which would rise with the number of references. Words are stemmed (Porter), and for
    Lsum both texts are split into sentences. Raises ValueError where there is no reference.
    """
    if not references:
        raise ValueError("no reference to score against")
    lines = _lines(prediction)
    scored = [_scorer().score(_lines(reference), lines) for reference in references]
    return {name: 100 * sum(score[name].fmeasure for score in scored) / len(scored) for name in ROUGE}


@lru_cache(maxsize=1 << 14)
def _lines(text: str) -> str:
    return "\n".join(sentences(text))


def score_summaries(
    inputs: Sequence[str],
    references: Sequence[Sequence[str]],
    predictions: Sequence[str],
    content: Content | None = None,
) -> dict:
    """The figures of one system: one prediction per input, each with its references.

    `examples`, `words` (mean words of a prediction) and, as `{"mean", "low", "high"}` with 95 % intervals over
    examples: `rouge1`, `rouge2`, `rougeL`, `rougeLsum` (0 to 100) and, given `content`, `content_true` (per cent of the
    content words said that are true of the story) and `content_covered` (per cent of the story's facts that are
    said). A share of nothing is left out: `content_true` of a system that says no content word at all.
    """
    rouge = [rouge_scores(text, of_one) for text, of_one in zip(predictions, references, strict=True)]
    return _figures(rouge, inputs, [[text] for text in predictions], content)


def reference_ceiling(
    references: Sequence[Sequence[str]], inputs: Sequence[str] = (), content: Content | None = None
) -> dict | None:
    """The figures of the references themselves: each against the others of its example, then the mean.

    What a system can reach that writes like the writers of the references. Examples with one reference are left out;
    None where all are such. `inputs` are needed only with `content`.
    """
    chosen = [n for n, of_one in enumerate(references) if len(of_one) > 1]
    if not chosen:
        return None
    rouge = []
    for n in chosen:
        texts = references[n]
        each = [rouge_scores(text, [*texts[:i], *texts[i + 1 :]]) for i, text in enumerate(texts)]
        rouge.append({name: sum(scores[name] for scores in each) / len(each) for name in ROUGE})
    stories = [inputs[n] for n in chosen] if content else []
    return _figures(rouge, stories, [references[n] for n in chosen], content)


def compare_systems(
    inputs: Sequence[str],
    references: Sequence[Sequence[str]],
    predictions: Sequence[str],
    content: Content | None = None,
) -> dict:
    """The model beside what it has to beat: `{"settings", "examples", "systems"}`, the `summaries` of eval.json.

    The systems are `model`, `lead-1` and `lead-3` (first sentences), `knows-all` (the first reference judged by the
    others; by itself, and so 100, where it is the only one) and, where examples have several, `references`
    (see `reference_ceiling`).
    """
    known, others = knows_all(references)
    systems = {
        "model": score_summaries(inputs, references, predictions, content),
        "lead-1": score_summaries(inputs, references, [lead(story, 1) for story in inputs], content),
        "lead-3": score_summaries(inputs, references, [lead(story, 3) for story in inputs], content),
        "knows-all": score_summaries(inputs, others, known, content),
    }
    ceiling = reference_ceiling(references, inputs, content)
    if ceiling:
        systems["references"] = ceiling
    return {"settings": settings(), "examples": len(predictions), "systems": systems}


def _figures(
    rouge: Sequence[dict[str, float]],
    inputs: Sequence[str],
    texts: Sequence[Sequence[str]],
    content: Content | None,
) -> dict:
    """Figures from the scores of each example and from its texts, of which it may have several."""
    figures: dict = {"examples": len(rouge)}
    for name in ROUGE:
        figures[name] = interval([scores[name] for scores in rouge])._asdict()
    figures["words"] = float(np.mean([len(text.split()) for of_one in texts for text in of_one]))
    if content:
        counts = np.array(
            [
                np.sum([content(story, text) for text in of_one], axis=0)
                for story, of_one in zip(inputs, texts, strict=True)
            ]
        )
        true_words, content_words, covered, facts = counts.T
        if content_words.sum():
            figures["content_true"] = ratio_interval(100 * true_words, content_words)._asdict()
        if facts.sum():
            figures["content_covered"] = ratio_interval(100 * covered, facts)._asdict()
    return figures
