"""How good summaries are: ROUGE, true content words and measures of text, of a model and of what it has to beat."""

from collections.abc import Callable, Sequence

import numpy as np

from rot5.evaluation import rouge, text_measures
from rot5.evaluation.baselines import empty, knows_all, lead, random_reference
from rot5.evaluation.claims import KINDS
from rot5.evaluation.facts import ContentScore
from rot5.evaluation.intervals import RESAMPLES, interval, paired_difference, ratio_interval
from rot5.evaluation.rouge import ORIGINAL, ROUGE, UNSTEMMED, Words, rouge_scores

NOVEL = (1, 2, 3, 4)
DISTINCT = (1, 2, 3)

Content = Callable[[str, str], ContentScore]
"""(story, summary) -> how much of the summary is true of the story, and how much of the story it tells."""


def settings(original_rouge: bool = False) -> dict[str, object]:
    """How the figures of this module come about, to be kept beside them."""
    return {
        **rouge.settings(original_rouge),
        "intervals": f"95 % percentile bootstrap over examples, {RESAMPLES} resamples",
        **text_measures.settings(),
    }


def score_summaries(
    inputs: Sequence[str],
    references: Sequence[Sequence[str]],
    predictions: Sequence[str],
    content: Content | None = None,
    original_rouge: bool = False,
) -> dict:
    """The figures of one system: one prediction per input, each with its references.

    `examples`, `words` (mean words of a prediction), `distinct/1` to `/3` (per cent, of all predictions together; a
    bootstrap, which says examples twice, would judge it too low, and so it has no interval) and, as `{"mean", "low",
    "high"}` with 95 % intervals over examples:

    - `rouge1`, `rouge2`, `rougeL`, `rougeLsum` (0 to 100), and each as `unstemmed/...`;
    - given `content`, `content_true` (per cent of the content words said that are true of the story),
      `content_covered` (per cent of the story's facts that are said), `content_invented` (per cent of the content
      words that the story has nowhere; other false words are in the wrong place) and `true/characters`, `true/actions`
      and so on (per cent of the words of each kind of claim that are true);
    - with `original_rouge`, `original/rougeL` and its like (see `rouge_scores`);
    - `bleu` and `chrf` (0 to 100, of all examples at once), `exact_match` (per cent), `length_ratio` (words by the mean
      words of the references);
    - of the input: `coverage` (per cent) and `density` (words) of extractive fragments, `copied` (per cent of the words
      that lie in a run of 4 of the input), `novel/1` to `/4` (per cent of the n-grams);
    - `repetition` (per cent of the runs of 4 words that the same text said before).

    `coverage` and `density` are means over examples, an empty text counting 0; the other shares are of all examples
    together, and a share of nothing is left out: `content_true` of a system that says no content word at all.
    """
    judged = [[(text, of_one)] for text, of_one in zip(predictions, references, strict=True)]
    return _figures(judged, inputs, content, original_rouge)


def reference_ceiling(
    references: Sequence[Sequence[str]],
    inputs: Sequence[str] = (),
    content: Content | None = None,
    original_rouge: bool = False,
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
    return _figures(judged, [inputs[n] for n in chosen] if inputs else (), content, original_rouge)


def compare_systems(
    inputs: Sequence[str],
    references: Sequence[Sequence[str]],
    predictions: Sequence[str],
    content: Content | None = None,
    original_rouge: bool = False,
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
    judged = {name: (references, texts) for name, texts in written.items()}
    known, others = knows_all(references)
    judged["knows-all"] = (others, known)
    systems = {
        name: score_summaries(inputs, by, texts, content, original_rouge) for name, (by, texts) in judged.items()
    }
    ceiling = reference_ceiling(references, inputs, content, original_rouge)
    if ceiling:
        systems["references"] = ceiling
    return {"settings": settings(original_rouge), "examples": len(predictions), "systems": systems}


def compare_predictions(
    a: Sequence[str],
    b: Sequence[str],
    references: Sequence[Sequence[str]],
    inputs: Sequence[str] = (),
    content: Content | None = None,
) -> dict:
    """How much better system `a` is than `b` on the same examples; it wins where `low` is above 0.

    `examples`, and a - b as `{"mean", "low", "high"}` with paired 95 % intervals over examples: `rougeL` (of 100) and
    `exact_match` (per cent), means over examples, and, given `content` and `inputs`, `content_true`: the difference of
    the two figures of that name of `score_summaries`, each of all content words together, and left out like them where
    a system says none at all (in a resample its share counts 0). Raises ValueError for unequal lengths and where there
    is no example.
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
        counts = [
            [
                n
                for score in (content(story, of_a), content(story, of_b))
                for n in (score.true_words, score.content_words)
            ]
            for story, of_a, of_b in zip(inputs, a, b, strict=True)
        ]
        if all(np.sum(counts, axis=0)[1::2]):
            found["content_true"] = text_measures.score_interval(counts, _difference_of_shares)._asdict()
    return found


def _difference_of_shares(sums: np.ndarray) -> float:
    """Per cent of a less per cent of b, out of (part of a, whole of a, part of b, whole of b)."""
    of_a, of_b = (100 * part / whole if whole else 0.0 for part, whole in sums.reshape(2, 2).tolist())
    return of_a - of_b


Judged = Sequence[Sequence[tuple[str, Sequence[str]]]]
"""For each example its texts, each with the references that it is judged by."""
Counts = Sequence[Sequence[tuple[float, float]]]
"""For each example the counts (part, whole) of each of its texts."""


def _figures(judged: Judged, inputs: Sequence[str], content: Content | None, original_rouge: bool) -> dict:
    """Figures of the texts of each example, of which it may have several; `inputs` may be none without `content`."""
    texts = [[text for text, _ in of_one] for of_one in judged]
    figures: dict = {"examples": len(judged)}
    ways: dict[str, Words] = {"": "stemmed", UNSTEMMED: "written"}
    if original_rouge:
        ways[ORIGINAL] = "lemmas"
    for opening, words in ways.items():
        scores = [[rouge_scores(text, others, words) for text, others in of_one] for of_one in judged]
        for name in ROUGE:
            figures[opening + name] = _mean([[each[name] for each in of_one] for of_one in scores])
    figures["words"] = float(np.mean([len(text.split()) for of_one in texts for text in of_one]))
    if content:
        counts = [[content(story, text) for text in of_one] for story, of_one in zip(inputs, texts, strict=True)]
        figures |= _share("content_true", [[(c.true_words, c.content_words) for c in of_one] for of_one in counts])
        figures |= _share("content_covered", [[(c.covered, c.facts) for c in of_one] for of_one in counts])
        figures |= _share("content_invented", [[(c.invented, c.content_words) for c in of_one] for of_one in counts])
        for kind in KINDS:
            figures |= _share(f"true/{kind}", [[c.kinds.get(kind, (0, 0)) for c in of_one] for of_one in counts])
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
