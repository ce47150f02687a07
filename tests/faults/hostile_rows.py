"""Settings of denoising and packing, with documents of any length."""

from random import Random
from typing import NamedTuple

import numpy as np
from faults import hostile
from faults.world import World

from rot5.data import denoise, packing
from rot5.data.batches import PackedRows
from rot5.data.denoise import DenoiseConfig, Denoised, DenoiserConfig
from rot5.data.order import Order
from rot5.data.packing import PackConfig
from rot5.data.ragged import Ragged
from rot5.data.tokenizer import (
    SpecialIds,
)
from rot5.errors import UserError


class Rows(NamedTuple):
    """Settings of rows and denoisers, and the lengths of documents."""

    denoise: DenoiseConfig
    pack: PackConfig
    num_sentinels: int
    lengths: list[int]
    seed: int


def make_rows(world: World, draw: Random) -> Rows:
    def share() -> float:
        return draw.choice(hostile.FLOATS) if draw.random() < 0.03 else draw.uniform(0.02, 0.98)

    def count(most: int) -> int:
        return draw.choice(hostile.NUMBERS) if draw.random() < 0.03 else draw.randint(1, most)

    kinds = [draw.choice("RXS") for _ in range(draw.randint(1, 3))]
    denoisers = tuple(
        DenoiserConfig(
            name=f"d{0 if draw.random() < 0.02 else n}",
            kind=draw.choice(("", "s", kind)) if draw.random() < 0.02 else kind,  # type: ignore[arg-type]
            probability=share() if draw.random() < 0.05 else 1 / len(kinds),
            mean_span=share() if draw.random() < 0.05 else draw.uniform(1, 9),
            density=share(),
            **dict(zip(("shortest_prefix", "longest_prefix"), sorted((share(), share())), strict=True)),
        )
        for n, kind in enumerate(kinds)
    )
    pack = PackConfig(encoder_length=count(120), decoder_length=count(120), look_ahead=count(20), window=count(30))
    lengths = [draw.choice((0, 1, 2, draw.randint(0, 40), draw.randint(0, 400))) for _ in range(draw.randint(0, 8))]
    mixture = DenoiseConfig(denoisers=denoisers, mode_tokens=draw.random() < 0.7)
    return Rows(mixture, pack, draw.randint(1, 200), lengths, count(99))


class Numbered:
    """Documents in which every token is another one."""

    def __init__(self, lengths: list[int]) -> None:
        self.lengths = np.asarray(lengths, np.int64)
        self.offsets = np.cumsum([0, *lengths])

    def read(self, documents: np.ndarray, starts: np.ndarray, stops: np.ndarray) -> Ragged:
        assert ((starts >= 0) & (starts < stops) & (stops <= self.lengths[documents])).all()
        first = self.offsets[documents]
        rows = [np.arange(*ends) for ends in zip(first + starts, first + stops, strict=True)]
        return Ragged(np.concatenate([np.zeros(0, np.int64), *rows]), np.cumsum([0, *(stops - starts)]))


def check_rows(world: World, case: Rows) -> None:
    """Settings are refused, or every token of every document comes once, in rows that keep their lengths."""
    sides = {"encoder_length": case.pack.encoder_length, "decoder_length": case.pack.decoder_length}
    found = packing.problems(case.pack) + denoise.problems(case.denoise, num_sentinels=case.num_sentinels, **sides)
    if found:
        raise UserError("; ".join(found))
    texts, tokens = Numbered(case.lengths), sum(case.lengths)
    sentinels = range(tokens, tokens + case.num_sentinels)
    eos, pad, start, *modes = range(sentinels.stop, sentinels.stop + 6)
    ids = SpecialIds(
        pad=pad,
        eos=eos,
        decoder_start=start,
        modes=dict(zip("RSX", modes, strict=True)),
        first_sentinel=tokens,
        num_sentinels=case.num_sentinels,
        vocab_size=sentinels.stop + 6,
    )
    longest = denoise.longest_piece(case.denoise, **sides)
    order = Order(case.lengths, longest, case.seed)
    examples = Denoised(texts, order, ids, case.denoise, case.seed)
    rows = PackedRows(examples, case.pack, ids, limit=len(examples))
    batch = rows.rows(0, rows.num_rows)
    assert sorted(batch.segment_examples[batch.segment_examples >= 0].tolist()) == list(range(len(examples)))
    seen = []
    for side, ids_of in (("encoder", "input_ids"), ("decoder", "labels")):
        segments, values = batch.fields[f"{side}_segment_ids"], batch.fields[ids_of]
        assert segments.shape == values.shape == (rows.num_rows, sides[f"{side}_length"])
        filled = values[segments > 0]
        assert ((filled >= 0) & (filled < ids.vocab_size) & (filled != pad)).all()
        assert (values[segments == 0] == (pad if side == "encoder" else -100)).all()
        assert (np.diff(segments, axis=1, prepend=0).max(initial=0)) <= 1
        seen += filled[filled < tokens].tolist()
    assert sorted(seen) == list(range(tokens)), "a token is lost or told twice"
    assert batch.story_tokens == tokens
