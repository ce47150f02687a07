"""Summaries of prepared pairs by one model: written, scored beside the baselines, and kept as samples."""

import time
from collections.abc import Callable

from rot5.data.corpus import PairCorpus
from rot5.evaluate.facts import content
from rot5.evaluate.summaries import compare_systems
from rot5.generate import GenerateConfig, write_texts
from rot5.load import Loaded


def evaluate_summaries(
    loaded: Loaded,
    pairs: PairCorpus,
    count: int,
    settings: GenerateConfig,
    progress: Callable[[int], None] | None = None,
) -> tuple[dict, list[dict]]:
    """Score the model's summaries of the first `count` pairs.

    Returns the entry `summaries` of `eval.json` and the samples. Content words are judged where the text is
    StoryWorld's, whose facts can be read.
    """
    chosen = [pair for _, pair in zip(range(count), pairs.references(), strict=False)]
    began = time.perf_counter()
    predictions = write_texts(loaded, [pair.input for pair in chosen], settings, progress)
    seconds = time.perf_counter() - began
    judged = content if pairs.manifest["source"] == "storyworld" else None
    table = compare_systems(
        [pair.input for pair in chosen],
        [pair.references for pair in chosen],
        predictions,
        content=judged,
    )
    table["seconds_to_write"] = round(seconds, 2)
    samples = []
    for pair, prediction in zip(chosen, predictions, strict=True):
        sample = {
            "index": pair.index,
            "input": pair.input,
            "references": list(pair.references),
            "prediction": prediction,
        }
        if judged is not None:
            true, total, _, _ = judged(pair.input, prediction)
            sample["content_true"] = 100 * true / total if total else 0.0
        samples.append(sample)
    return table, samples
