"""Summaries of prepared pairs, written by a model or read from a file: scored beside the baselines, kept as samples."""

import time
from collections.abc import Callable, Sequence

from rot5 import ranks
from rot5.data.corpus import PairCorpus
from rot5.data.manifest import data_fingerprint
from rot5.data.sources import Pair
from rot5.evaluation.facts import content
from rot5.evaluation.summaries import compare_predictions, compare_systems, score_summaries
from rot5.evaluation.tasks import score_tasks
from rot5.generate.answers import write_texts
from rot5.generate.settings import GenerateConfig
from rot5.loading import Loaded


def first_pairs(pairs: PairCorpus, count: int) -> list[Pair]:
    """The first `count` pairs as text, or all where there are fewer."""
    return [pair for _, pair in zip(range(count), pairs.references(), strict=False)]


def evaluate_summaries(
    loaded: Loaded,
    pairs: PairCorpus,
    count: int,
    settings: GenerateConfig,
    progress: Callable[[int], None] | None = None,
) -> tuple[dict, list[dict], float]:
    """Write summaries of the first `count` pairs and score them: as `score_predictions`, and the seconds of writing.

    The time is no part of the table: two evaluations of one model are equal.
    """
    chosen = first_pairs(pairs, count)
    predictions, seconds = timed_summaries(loaded, chosen, settings, progress)
    return *score_predictions(pairs, chosen, predictions), seconds


def timed_summaries(
    loaded: Loaded, chosen: Sequence[Pair], settings: GenerateConfig, progress: Callable[[int], None] | None = None
) -> tuple[list[str], float]:
    """The model's summaries of the pairs' inputs, and the seconds they took; each rank writes its share."""
    began, turn = time.perf_counter(), ranks.world_size()
    own = write_texts(loaded, [pair.input for pair in chosen[ranks.rank() :: turn]], settings, progress)
    written = ranks.from_all(own)
    predictions = [written[n % turn][n // turn] for n in range(len(chosen))]
    return predictions, round(time.perf_counter() - began, 2)


def score_predictions(
    pairs: PairCorpus,
    chosen: Sequence[Pair],
    predictions: Sequence[str],
    against: Sequence[str] = (),
    original_rouge: bool = False,
) -> tuple[dict, list[dict]]:
    """Score one text for each of the chosen pairs, by whomever it was written.

    Returns the entry `summaries` of `eval.json` and the samples. Content words are judged where the text is
    StoryWorld's, whose facts can be read. Texts `against` become a system of that name, and `compared` then holds the
    paired differences.
    """
    inputs, references = [pair.input for pair in chosen], [pair.references for pair in chosen]
    judged = content if pairs.manifest["source"] == "storyworld" else None
    table = compare_systems(inputs, references, predictions, judged, original_rouge)
    table["settings"] |= {"data": str(pairs.folder), "data_fingerprint": data_fingerprint(pairs.folder)}
    if all(pair.task for pair in chosen):
        table["tasks"] = score_tasks(chosen, predictions)
    if against:
        figures = score_summaries(inputs, references, against, judged, original_rouge)
        table["systems"] = {"model": table["systems"]["model"], "against": figures, **table["systems"]}
        table["compared"] = compare_predictions(predictions, against, references, inputs, judged)
    samples = []
    for pair, prediction in zip(chosen, predictions, strict=True):
        sample = {
            "index": pair.index,
            "input": pair.input,
            "references": list(pair.references),
            "prediction": prediction,
        }
        if judged is not None:
            score = judged(pair.input, prediction)
            sample["content_true"] = 100 * score.true_words / score.content_words if score.content_words else 0.0
        samples.append(sample)
    return table, samples
