"""Figures about models and about texts."""

from collections.abc import Sequence
from pathlib import Path

from rot5.api.models import Model
from rot5.config import EvaluateConfig
from rot5.errors import UserError
from rot5.evaluation.intervals import Interval
from rot5.evaluation.summaries import score_summaries
from rot5.verbs import evaluate as verb


def evaluate(
    model: Model | str | Path,
    data: str | Path = "",
    *,
    summaries: int = 300,
    max_new_tokens: int = 96,
    num_beams: int = 1,
    precision: str = "",
    original_rouge: bool = False,
    objective: str | Path = "",
    out: str | Path = "",
) -> dict:
    """What `rot5 evaluate` writes to eval.json: `likelihood` and, of pairs, `summaries`.

    `data` is a folder of prepared text or pairs, by default the run's own validation data; `precision` that of writing
    the summaries, by default the model's. Nothing is written unless a folder `out` is given. The other settings are the
    verb's. Raises UserError as it does.

    >>> figures = evaluate("runs/mine/tuned", "runs/mine/data/test", summaries=2, max_new_tokens=8)
    >>> sorted(figures["likelihood"]["overall"]["bits_per_byte"])
    ['high', 'low', 'mean']
    >>> list(figures["summaries"]["systems"])
    ['model', 'empty', 'random', 'lead-1', 'lead-3', 'knows-all', 'references']
    """
    name, loaded, own = (model.name, model.loaded, model.precision) if isinstance(model, Model) else (model, None, "")
    config = EvaluateConfig(
        model=str(name),
        data=str(data),
        summaries=summaries,
        max_new_tokens=max_new_tokens,
        num_beams=num_beams,
        precision=precision or own or EvaluateConfig().precision,
        original_rouge=original_rouge,
        objective=str(objective),
        out=str(out),
    )
    return (verb.write if out else verb.measure)(config, loaded).tables


def score(
    predictions: Sequence[str],
    references: Sequence[str | Sequence[str]],
    inputs: Sequence[str] = (),
    *,
    original_rouge: bool = False,
) -> dict[str, Interval]:
    """How good texts are by their references: each figure with its 95 % interval over examples.

    A prediction has one reference or several. ROUGE of stemmed words (`rouge1`, `rouge2`, `rougeL`, `rougeLsum`) and of
    words as they are written (`unstemmed/...`), `bleu`, `chrf`, `exact_match`, `length_ratio`, `repetition`; with
    `inputs` how much was copied from them; with `original_rouge` that of the ROT5 of 2024 (`original/...`). Raises
    UserError for unequal lengths, and where there is no example.

    >>> found = score(["Tom lost the kite."], ["Tom lost his kite."])
    >>> round(found["rougeL"].mean, 1), found["exact_match"].mean
    (75.0, 0.0)
    """
    lengths = {len(predictions), len(references), *([len(inputs)] if inputs else [])}
    if len(lengths) > 1 or not predictions:
        raise UserError(
            f"{len(predictions)} predictions, {len(references)} references: give as many of both, from 1 on"
        )
    several = [[each] if isinstance(each, str) else list(each) for each in references]
    if empty := [n for n, texts in enumerate(several, start=1) if not texts]:
        raise UserError(f"prediction {empty[0]} has no reference: give at least one")
    figures = score_summaries(inputs, several, predictions, original_rouge=original_rouge)
    return {name: Interval(**value) for name, value in figures.items() if isinstance(value, dict)}
