"""How good summaries are: ROUGE, true content words and measures of text, of a model and of what it has to beat."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib import metadata

import numpy as np
from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenizers import DefaultTokenizer, Tokenizer

from rot5.evaluate import text_measures
from rot5.evaluate.baselines import empty, knows_all, lead, random_reference, sentences
from rot5.evaluate.intervals import RESAMPLES, interval, paired_difference, ratio_interval

ROUGE = ("rouge1", "rouge2", "rougeL", "rougeLsum")
USE_STEMMER = True
UNSTEMMED = "unstemmed/"
"""What opens the keys of ROUGE figures whose words are taken as they are written."""
NOVEL = (1, 2, 3, 4)
DISTINCT = (1, 2, 3)

Content = Callable[[str, str], tuple[int, int, int, int]]
"""(story, summary) -> (true words, content words, covered facts, facts): words of the summary, facts of the story."""


class _RememberingTokenizer(Tokenizer):
    """rouge-score's own words; each text is stemmed once, though it meets several references and measures."""

    def __init__(self, stem: bool):
        self._words = lru_cache(maxsize=1 << 14)(DefaultTokenizer(stem).tokenize)

    def tokenize(self, text: str) -> list[str]:
        return self._words(text)


@lru_cache(maxsize=2)
def _scorer(stem: bool) -> RougeScorer:
    return RougeScorer(ROUGE, tokenizer=_RememberingTokenizer(stem))


def settings() -> dict[str, object]:
    """How the figures of this module come about, to be kept beside them."""
    return {
        "rouge": f"rouge-score {metadata.version('rouge-score')}, F measure x 100, mean over the references",
        "use_stemmer": USE_STEMMER,
        "unstemmed": f"figures whose names begin with {UNSTEMMED} are of words as they are written",
        "sentences": "rougeLsum takes each sentence as a line; double quotations are not cut",
        "intervals": f"95 % percentile bootstrap over examples, {RESAMPLES} resamples",
        **text_measures.settings(),
    }


def rouge_scores(prediction: str, references: Sequence[str], stem: bool = USE_STEMMER) -> dict[str, float]:
    """F measure x 100 of ROUGE-1, -2, -L and -Lsum (Lin 2004), each the mean over the references.

    The mean, not the best match, which would rise with the number of references. With `stem`, words are stemmed
    (Porter); for Lsum both texts are split into sentences. Raises ValueError where there is no reference.
    """
    if not references:
        raise ValueError("no reference to score against")
    scored = [_f_measures(reference, prediction, stem) for reference in references]
    return {name: 100 * sum(each) / len(scored) for name, each in zip(ROUGE, zip(*scored, strict=True), strict=True)}


@lru_cache(maxsize=1 << 14)
def _f_measures(reference: str, prediction: str, stem: bool) -> tuple[float, ...]:
    scores = _scorer(stem).score(_lines(reference), _lines(prediction))
    return tuple(scores[name].fmeasure for name in ROUGE)


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

    `examples`, `words` (mean words of a prediction), `distinct/1` to `/3` (per cent, of all predictions together; a
    bootstrap, which says examples twice, would judge it too low, and so it has no interval) and, as `{"mean", "low",
    "high"}` with 95 % intervals over examples:

    - `rouge1`, `rouge2`, `rougeL`, `rougeLsum` (0 to 100), and each as `unstemmed/...`;
    - given `content`, `content_true` (per cent of the content words said that are true of the story) and
      `content_covered` (per cent of the story's facts that are said);
    - `bleu` and `chrf` (0 to 100, of all examples at once), `exact_match` (per cent), `length_ratio` (words by the mean
      words of the references);
    - of the input: `coverage` (per cent) and `density` (words) of extractive fragments, `copied` (per cent of the words
      that lie in a run of 4 of the input), `novel/1` to `/4` (per cent of the n-grams);
    - `repetition` (per cent of the runs of 4 words that the same text said before).

    `coverage` and `density` are means over examples, an empty text counting 0; the other shares are of all examples
    together, and a share of nothing is left out: `content_true` of a system that says no content word at all.
    """
    judged = [[(text, of_one)] for text, of_one in zip(predictions, references, strict=True)]
    return _figures(judged, inputs, content)


def reference_ceiling(
    references: Sequence[Sequence[str]], inputs: Sequence[str] = (), content: Content | None = None
) -> dict | None:
    """The figures of the references themselves: each against the others of its example, then the mean.

    What a system can reach that writes like the writers of the references. Examples with one reference are left out;
    None where all are such. Without `inputs`, which `content` needs, what is measured by them is left out;
    `distinct` is of the first reference of each example, so that it can be compared.
    """
    chosen = [n for n, of_one in enumerate(references) if len(of_one) > 1]
    if not chosen:
        return None
    judged = []
    for n in chosen:
        texts = references[n]
        judged.append([(text, [*texts[:i], *texts[i + 1 :]]) for i, text in enumerate(texts)])
    return _figures(judged, [inputs[n] for n in chosen] if inputs else (), content)


def compare_systems(
    inputs: Sequence[str],
    references: Sequence[Sequence[str]],
    predictions: Sequence[str],
    content: Content | None = None,
) -> dict:
    """The model beside what it has to beat: `{"settings", "examples", "systems"}`, the `summaries` of eval.json.

    The systems are `model`, `empty` (no word), `random` (a reference of another example, where there is one), `lead-1`
    and `lead-3` (first sentences), `knows-all` (the first reference judged by the others; by itself, and so 100, where
    it is the only one) and, where examples have several, `references` (see `reference_ceiling`).
    """
    written = {"model": predictions, "empty": empty(len(predictions))}
    if len(references) > 1:
        written["random"] = random_reference(references)
    written |= {f"lead-{k}": [lead(story, k) for story in inputs] for k in (1, 3)}
    systems = {name: score_summaries(inputs, references, texts, content) for name, texts in written.items()}
    known, others = knows_all(references)
    systems["knows-all"] = score_summaries(inputs, others, known, content)
    ceiling = reference_ceiling(references, inputs, content)
    if ceiling:
        systems["references"] = ceiling
    return {"settings": settings(), "examples": len(predictions), "systems": systems}


def compare_predictions(
    a: Sequence[str],
    b: Sequence[str],
    references: Sequence[Sequence[str]],
    inputs: Sequence[str] = (),
    content: Content | None = None,
) -> dict:
    """How much better system `a` is than `b` on the same examples; it wins where `low` is above 0.

    `examples`, and the mean over examples of a - b as `{"mean", "low", "high"}` with paired 95 % intervals: `rougeL`
    (of 100), `exact_match` (per cent) and, given `content` and `inputs`, `content_true` (per cent of each example's
    content words; a text without any counts 0, so that silence gains nothing). Raises ValueError for unequal lengths
    and where there is no example.
    """

    def difference(score: Callable[[int, str], float]) -> dict:
        of_a, of_b = ([score(n, text) for n, text in enumerate(texts)] for texts in (a, b))
        return paired_difference(of_a, of_b)._asdict()

    lengths = {len(a), len(b), len(references), *([len(inputs)] if content else [])}
    if len(lengths) > 1:
        raise ValueError(f"unequal numbers of examples: {', '.join(map(str, sorted(lengths)))}")
    found: dict = {
        "examples": len(references),
        "rougeL": difference(lambda n, text: rouge_scores(text, references[n])["rougeL"]),
        "exact_match": difference(lambda n, text: 100.0 * text_measures.exact_match(text, references[n])),
    }
    if content:

        def share(n: int, text: str) -> float:
            true_words, content_words, _, _ = content(inputs[n], text)
            return 100 * true_words / content_words if content_words else 0.0

        found["content_true"] = difference(share)
    return found


Judged = Sequence[Sequence[tuple[str, Sequence[str]]]]
"""For each example its texts, each with the references that it is judged by."""
Counts = Sequence[Sequence[tuple[float, float]]]
"""For each example the counts (part, whole) of each of its texts."""


def _figures(judged: Judged, inputs: Sequence[str], content: Content | None) -> dict:
    """Figures of the texts of each example, of which it may have several; `inputs` may be none without `content`."""
    texts = [[text for text, _ in of_one] for of_one in judged]
    figures: dict = {"examples": len(judged)}
    for opening, stem in (("", True), (UNSTEMMED, False)):
        scores = [[rouge_scores(text, others, stem) for text, others in of_one] for of_one in judged]
        for name in ROUGE:
            figures[opening + name] = _mean([[each[name] for each in of_one] for of_one in scores])
    figures["words"] = float(np.mean([len(text.split()) for of_one in texts for text in of_one]))
    if content:
        counts = [[content(story, text) for text in of_one] for story, of_one in zip(inputs, texts, strict=True)]
        figures |= _share("content_true", [[(true, said) for true, said, _, _ in of_one] for of_one in counts])
        figures |= _share("content_covered", [[(told, facts) for _, _, told, facts in of_one] for of_one in counts])
    return figures | _figures_by_references(judged) | _figures_by_inputs(inputs, texts) | _figures_of_texts(texts)


def _figures_by_references(judged: Judged) -> dict:
    figures = {}
    for name, statistics, score in (
        ("bleu", text_measures.bleu_statistics, text_measures.bleu),
        ("chrf", text_measures.chrf_statistics, text_measures.chrf),
    ):
        rows = [np.sum([statistics(*each) for each in of_one], axis=0) for of_one in judged]
        figures[name] = text_measures.score_interval(rows, score)._asdict()
    figures["exact_match"] = _mean([[100.0 * text_measures.exact_match(*each) for each in of_one] for of_one in judged])
    lengths = [[text_measures.length_ratio(*each) for each in of_one] for of_one in judged]
    return figures | _share("length_ratio", lengths, scale=1)


def _figures_by_inputs(inputs: Sequence[str], texts: Sequence[Sequence[str]]) -> dict:
    if not inputs:
        return {}
    pairs = [[(story, text) for text in of_one] for story, of_one in zip(inputs, texts, strict=True)]
    figures = {
        "coverage": _mean([[100 * text_measures.coverage(*each) for each in of_one] for of_one in pairs]),
        "density": _mean([[text_measures.density(*each) for each in of_one] for of_one in pairs]),
    }
    figures |= _share("copied", [[text_measures.copied(*each) for each in of_one] for of_one in pairs])
    for n in NOVEL:
        counts = [[text_measures.novel_ngrams(*each, n) for each in of_one] for of_one in pairs]
        figures |= _share(f"novel/{n}", counts)
    return figures


def _figures_of_texts(texts: Sequence[Sequence[str]]) -> dict:
    figures: dict = _share("repetition", [[text_measures.repetition(text) for text in of_one] for of_one in texts])
    for n in DISTINCT:
        figures[f"distinct/{n}"] = 100 * text_measures.distinct([of_one[0] for of_one in texts], n)
    return figures


def _mean(scores: Sequence[Sequence[float]]) -> dict:
    """The mean over examples of the mean of each, with its interval."""
    return interval([sum(of_one) / len(of_one) for of_one in scores])._asdict()


def _share(name: str, counts: Counts, scale: float = 100) -> dict:
    """The share under its name, with its interval; nothing where it would be a share of nothing."""
    parts, wholes = np.array([np.sum(of_one, axis=0) for of_one in counts], dtype=np.float64).T
    return {name: ratio_interval(scale * parts, wholes)._asdict()} if wholes.sum() else {}
