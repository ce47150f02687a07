"""StoryWorld as a list, and a text as a denoiser shows it to a model."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import NamedTuple, overload

import numpy as np
from transformers import PreTrainedTokenizerFast

from rot5.data.denoise import LEAST_PIECE_LIMIT, DenoiseConfig, Denoised, DenoiserConfig, problems, sentinels_needed
from rot5.data.order import Order
from rot5.data.ragged import Ragged
from rot5.data.sources import SPLITS
from rot5.data.spans import POSITION_BITS
from rot5.data.storyworld import Record, nth
from rot5.data.storyworld import StoryWorld as Endless
from rot5.data.tokenizer import SpecialIds, build_tokenizer, special_ids, text_encoder
from rot5.errors import UserError, nearest

MIXTURE = {denoiser.name: denoiser for denoiser in DenoiseConfig().denoisers}
"""The denoisers that pretraining mixes where nothing else is asked for."""


class StoryWorld(Sequence[Record]):
    """The first `size` records of a split of StoryWorld: stories with three gold summaries and all their facts.

    `split` is train, test or held_out, whose compositions occur in neither of the others. Record n is a pure function
    of (seed, split, n), made when it is asked for. Raises UserError for an unknown split.

    >>> world = StoryWorld(seed=0, split="held_out", size=1000)
    >>> len(world), len(world[:3]), world[-1] == world[999]
    (1000, 3, True)
    >>> record = world[0]
    >>> all(word in record.story for word in record.words)
    True
    >>> record.facts[0]
    Fact(subject='Maria', relation='had', object='old basket')
    """

    def __init__(self, seed: int = 0, split: str = "train", size: int = 10_000):
        if split not in SPLITS:
            raise UserError(f"unknown split {split!r}: {nearest(split, SPLITS)}")
        if size < 0:
            raise UserError(f"size {size} must not be negative")
        self.seed, self.split = seed, split
        self._world = Endless(seed, held_out=split == "held_out")
        self._numbers = range(size)

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> "StoryWorld": ...
    def __getitem__(self, index: int | slice) -> "Record | StoryWorld":
        if isinstance(index, int):
            return self._world[nth(self.split, self._numbers[index])]
        part = StoryWorld(self.seed, self.split)
        part._numbers = self._numbers[index]
        return part

    def __repr__(self) -> str:
        return f"<{len(self)} records of StoryWorld: seed {self.seed}, {self.split}>"


class Example(NamedTuple):
    """What a model reads and what it is to write, as text with all special tokens."""

    input: str
    target: str


def denoise(
    text: str, denoiser: str | DenoiserConfig = "R", seed: int = 0, tokenizer: PreTrainedTokenizerFast | None = None
) -> Example:
    """A text as one of UL2's denoisers shows it to a model while it is pretrained.

    `denoiser` is R (short spans masked), X (long ones or many), S (a text to go on with), X32 or X64 of the default
    mixture, of which X is the first, or settings of your own. `tokenizer` is one made by rot5, Mistral's by default.
    Raises UserError for an unknown denoiser, an empty text, and one that needs more sentinels than the tokenizer has.

    >>> shown = denoise("Tom lost the red kite, and Mia found it by the pond.", "R", seed=1)
    >>> shown.input
    '[R] Tom lost the red kite,[MASK-0] found it by the pond.</s>'
    >>> shown.target
    '[MASK-0] and Mia</s>'
    >>> denoise("Tom lost the red kite.", "S")
    Example(input='[S] Tom lost the red', target='kite.</s>')
    """
    config = DenoiseConfig(denoisers=(replace(_denoiser(denoiser), probability=1.0),))
    tokenizer = tokenizer or _mistral()
    specials = special_ids(tokenizer)
    ids = np.array(text_encoder(tokenizer).encode(text, add_special_tokens=False).ids, np.int64)
    _check(ids, config, specials)
    order = Order([ids.size], max(ids.size, LEAST_PIECE_LIMIT), seed, shuffle=False)
    examples = Denoised(_OneDocument(ids), order, specials, config, seed)
    inputs, targets = examples.materialise(examples.plan([0]), np.array([0]))
    shown, asked = (tokenizer.decode(rows.row(0), skip_special_tokens=False) for rows in (inputs, targets))
    return Example(str(shown), str(asked))


@cache
def _mistral() -> PreTrainedTokenizerFast:
    return build_tokenizer()


def _denoiser(chosen: str | DenoiserConfig) -> DenoiserConfig:
    """A denoiser by its name in the default mixture or by its kind, of which it is then the first."""
    if isinstance(chosen, DenoiserConfig):
        return chosen
    known = {denoiser.kind: denoiser for denoiser in reversed(MIXTURE.values())} | MIXTURE
    if chosen not in known:
        raise UserError(f"unknown denoiser {chosen!r}: {nearest(chosen, known)}")
    return known[chosen]


def _check(ids: np.ndarray, config: DenoiseConfig, specials: SpecialIds) -> None:
    if not ids.size:
        raise UserError("the text is empty: give some words")
    longest = 2**POSITION_BITS - 1
    if ids.size > longest:
        raise UserError(f"the text has {ids.size} tokens, and denoising takes {longest}: cut it")
    found = problems(config, encoder_length=longest // 2, decoder_length=longest // 2, num_sentinels=longest)
    if (needed := sentinels_needed(config, ids.size)) > specials.num_sentinels:
        found.append(f"the text needs {needed} sentinels, and the tokenizer has {specials.num_sentinels}: cut the text")
    if found:
        raise UserError("; ".join(found))


class _OneDocument:
    """A corpus of one document, which is read whole."""

    def __init__(self, ids: np.ndarray):
        self._ids = ids

    def read(self, documents: np.ndarray, starts: np.ndarray, stops: np.ndarray) -> Ragged:
        assert (documents.tolist(), starts.tolist(), stops.tolist()) == ([0], [0], [self._ids.size])
        return Ragged(self._ids, np.array([0, self._ids.size]))
