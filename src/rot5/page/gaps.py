"""What the tab of denoising shows: a text masked as in training, and what the model fills in beside the truth.

Models of ours mask by their own tokenizer. For T5 and its kin the masks of our full tokenizer are spelled as text and
read by theirs, with their sentinels.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from transformers import PreTrainedTokenizerFast

from rot5.build.scoring import objective_of
from rot5.data.denoise import LEAST_PIECE_LIMIT, DenoiseConfig, Denoised, DenoiserConfig, sentinels_needed
from rot5.data.order import Order
from rot5.data.ragged import Ragged
from rot5.data.tokenizer import MODES, build_tokenizer, special_ids, text_encoder
from rot5.errors import UserError
from rot5.evaluation.spelled import Reader, SpelledExample, spell
from rot5.generate.settings import GenerateConfig
from rot5.loading import Loaded
from rot5.report.html import Html, element, join
from rot5.report.tables import Column, html_table
from rot5.serve.models import Served
from rot5.train.run_folder import RunFolder

MOST_TOKENS = 512
"""Of a text that is masked."""
ROOM = 16
"""Tokens that an answer may have beyond the target's."""


class Masked(NamedTuple):
    """A text under one denoiser, as text and as the model reads it."""

    denoiser: DenoiserConfig
    parts: tuple[str, ...]
    """Alternately kept and masked, the first one kept and perhaps empty."""
    source: list[int]
    target: list[int]
    sentinels: list[int]
    """Ids of the model's sentinels, as many as there are gaps; none under S."""

    @property
    def truth(self) -> list[str]:
        """The text of each gap; under S the one continuation."""
        return list(self.parts[1::2])


class OneText:
    """A corpus of one document."""

    def __init__(self, tokens: Sequence[int]):
        self._tokens = np.asarray(tokens, np.int64)

    def read(self, documents: np.ndarray, starts: np.ndarray, stops: np.ndarray) -> Ragged:
        """Its tokens from each start to each stop, end to end."""
        parts = [self._tokens[start:stop] for start, stop in zip(starts, stops, strict=True)]
        return Ragged(np.concatenate(parts), np.cumsum([0, *map(len, parts)]))


def is_ours(tokenizer: PreTrainedTokenizerFast) -> bool:
    """Whether a tokenizer has our mode tokens."""
    return all(f"[{mode}]" in tokenizer.get_added_vocab() for mode in MODES)


def denoisers_of(name: str, loaded: Loaded) -> tuple[DenoiseConfig, str]:
    """The mixture that a model of that folder or name was trained on, and one sentence on whose it is."""
    run = RunFolder(Path(name))
    objective = objective_of(run.config()) if run.exists() else None
    if objective is not None:
        return objective.denoise, "These are the denoisers that the model was trained with."
    if not is_ours(loaded.tokenizer):
        return DenoiseConfig(), (
            "The model fills gaps by its own sentinels and knows no modes; the default denoisers mask the text."
        )
    if loaded.prefix:
        return DenoiseConfig(), (
            "The model was tuned to a task and may have forgotten how to fill gaps; default denoisers mask the text."
        )
    return DenoiseConfig(), "The model does not say what it was trained with; the default denoisers mask the text."


def in_words(denoiser: DenoiserConfig) -> str:
    """A denoiser's settings for a choice."""
    if denoiser.kind == "S":
        shares = f"{100 * denoiser.shortest_prefix:.0f} to {100 * denoiser.longest_prefix:.0f} %"
        return f"{denoiser.name}: go on behind {shares} of the text"
    return f"{denoiser.name}: {100 * denoiser.density:g} % masked, in gaps of {denoiser.mean_span:g} tokens"


def mask(loaded: Loaded, mixture: DenoiseConfig, name: str, text: str, seed: int) -> Masked:
    """The text under the denoiser of that name. Raises UserError for a text that cannot be masked so."""
    denoiser = next((each for each in mixture.denoisers if each.name == name), None)
    if denoiser is None:
        raise UserError("Choose how the text is masked.")
    ours = is_ours(loaded.tokenizer)
    tokenizer = loaded.tokenizer if ours else _full_tokenizer()
    tokens = text_encoder(tokenizer).encode(text, add_special_tokens=False).ids
    if not 2 <= len(tokens) <= MOST_TOKENS:
        raise UserError(f"The text has {len(tokens):,} tokens, and 2 to {MOST_TOKENS} can be masked.")
    alone = replace(mixture, denoisers=(replace(denoiser, probability=1.0),))
    specials, longest = special_ids(tokenizer), max(len(tokens), LEAST_PIECE_LIMIT)
    reader = Reader(loaded.tokenizer, mixture.mode_tokens)
    needed = sentinels_needed(alone, longest)
    if needed and not reader.sentinels:
        raise UserError("The model has no sentinels and so fills no gaps: let it go on with a text.")
    if needed > min(specials.num_sentinels, len(reader.sentinels)):
        raise UserError(
            f"The text can take {needed} gaps, and the model has {len(reader.sentinels)} sentinels: shorten it."
        )
    examples = Denoised(OneText(tokens), Order([len(tokens)], longest, seed), specials, alone, seed)
    numbers = np.zeros(1, np.int64)
    spelled: SpelledExample = spell(examples, tokenizer, numbers)[0]
    if ours:
        inputs, targets = examples.materialise(examples.plan(numbers), numbers)
        source, target = inputs.row(0).tolist(), targets.row(0).tolist()
    else:
        source, target = reader.example(spelled, denoiser.kind)
    gaps = 0 if denoiser.kind == "S" else len(spelled.parts) // 2
    return Masked(denoiser, spelled.parts, source, target, reader.sentinels[:gaps])


class Filled(NamedTuple):
    """What a model wrote for a masked text: in each gap, or as the continuation, "" where nothing; and all of it."""

    gaps: list[str]
    answer: list[int]


def fill(served: Served, masked: Masked) -> Filled:
    """The model's filling by greedy decoding. Raises as `Served.ask_ids` and `Answer.result` do."""
    [answer] = served.ask_ids([masked.source], GenerateConfig(max_new_tokens=len(masked.target) + ROOM))
    answer.result()
    return Filled(fillings(served.loaded.tokenizer, answer.tokens, masked.sentinels), answer.tokens)


def text_of(tokenizer: PreTrainedTokenizerFast, ids: Sequence[int], special: bool = False) -> str:
    """The text of ids, with special tokens where they are asked for."""
    text = tokenizer.decode(list(ids), skip_special_tokens=not special)
    assert isinstance(text, str)
    return text


def fillings(tokenizer: PreTrainedTokenizerFast, answer: Sequence[int], sentinels: Sequence[int]) -> list[str]:
    """The text behind each sentinel of an answer, up to the next one; all of it where there are no sentinels.

    What stands behind a sentinel that comes again, or before the first, fills no gap.
    """
    if not sentinels:
        return [text_of(tokenizer, answer)]
    found: dict[int, list[int]] = {}
    current: list[int] = []
    for token in answer:
        if token in sentinels:
            current = []
            if token not in found:
                found[token] = current
        else:
            current.append(token)
    return [text_of(tokenizer, found.get(sentinel, [])) for sentinel in sentinels]


def page(loaded: Loaded, masked: Masked, filled: Filled | None) -> Html:
    """All of it; without fillings while the model is at work."""
    gaps = None if filled is None else filled.gaps
    return join([masked_html(masked), filled_html(masked, gaps), as_tokens(loaded, masked, filled)])


def masked_html(masked: Masked) -> Html:
    """The input: the mode, the text that is kept, and each gap by its number."""
    shown: list[str] = []
    for n, part in enumerate(masked.parts):
        kept = n % 2 == 0
        gap = "what follows" if masked.denoiser.kind == "S" else f"gap {n // 2 + 1}"
        shown.append((part if n else part.lstrip()) if kept else element("mark", gap, class_="gap"))
    return element(
        "section",
        element("h2", "Input"),
        element("p", *shown, class_="read", dir="auto"),
        aria_label="Input",
    )


def filled_html(masked: Masked, filled: Sequence[str] | None) -> Html:
    """Every gap with the truth and, once there, the model's filling."""
    continues = masked.denoiser.kind == "S"
    rows = []
    for n, truth in enumerate(masked.truth):
        row = {"gap": "What follows" if continues else f"Gap {n + 1}", "truth": truth.strip() or "(a space)"}
        if filled is not None:
            row |= {"model": filled[n].strip() or "(nothing)", "same": "yes" if _same(truth, filled[n]) else "no"}
        rows.append(row)
    columns = [
        Column("gap", "Gap", text=True),
        Column("truth", "Target", text=True),
        Column("model", "The model fills in", text=True),
        Column("same", "Same", text=True),
    ]
    told = "The model is at work." if filled is None else _in_short(masked, filled)
    table = html_table(rows, columns, "Each gap with what stood there, and what the model puts there")
    return join([element("p", told, class_="note", role="status"), table])


def as_tokens(loaded: Loaded, masked: Masked, filled: Filled | None) -> Html:
    """Input, target and answer with their special tokens, as the model reads, is to write and wrote them."""
    parts, texts = [], [("Input", masked.source), ("Target", masked.target)]
    for title, ids in [*texts, *([] if filled is None else [("Answer", filled.answer)])]:
        text = text_of(loaded.tokenizer, ids, special=True)
        parts.append(element("p", element("strong", f"{title}, {len(ids)} tokens: "), text, class_="tokens"))
    return element("details", element("summary", "With special tokens"), *parts)


def _same(truth: str, filled: str) -> bool:
    return truth.split() == filled.split()


def _in_short(masked: Masked, filled: Sequence[str]) -> str:
    if masked.denoiser.kind == "S":
        return "Done: the text as it goes on, and as the model goes on."
    if not any(each.strip() for each in filled):
        return "Done: the model wrote none of the gaps; what it wrote instead stands below, with special tokens."
    same = sum(map(_same, masked.truth, filled))
    gaps = len(filled)
    return f"Done: {same} of {gaps} gap{'s' if gaps > 1 else ''} filled word for word."


@cache
def _full_tokenizer() -> PreTrainedTokenizerFast:
    return build_tokenizer()
