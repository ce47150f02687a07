"""What an expert finds by trying: the attention and the batch size at which transformers' T5 trains fastest here."""

from typing import NamedTuple

from transformers import T5ForConditionalGeneration

from rot5.bench.peers import ATTENTIONS, PeerStep, bucketed_batches, t5_of
from rot5.bench.steps import memory_bytes, peak_bytes, together
from rot5.data.batches import Examples
from rot5.model.configuration_rot5 import Rot5Config
from rot5.report.tables import Column, Table

SIZES = (8, 16, 32, 64)
"""Examples of the batches that are tried, in this order, for as long as they get faster and fit."""

STRETCH = 32
"""Examples that bucketed batches are timed on, at least, so that long and short ones are among them."""

GAIN = 1.02
"""How much faster a larger batch must be to be taken."""

COLUMNS = (
    Column("attention", "Attention", text=True),
    Column("batch", "Batch"),
    Column("story_tokens_per_second", "Story tokens/s", digits=0),
)


class Tuned(NamedTuple):
    """What was found, and all that was tried."""

    attention: str
    size: int
    tried: Table


def stretch(size: int) -> int:
    """How many batches of a size are timed as one turn."""
    return -(-STRETCH // size)


def tune(shape: Rot5Config, examples: Examples, pad: int) -> Tuned:
    """Try attentions at the smallest batch, then larger batches with the faster one, on bucketed batches."""
    rows: list[dict] = []

    def speed(model: T5ForConditionalGeneration, size: int) -> float:
        step, batches = PeerStep(model, shape, tuned=True), bucketed_batches(examples, pad, size)
        step.turn(next(batches))
        found = together(step.turn(next(batches)) for _ in range(stretch(size))).speed
        attention = model.config._attn_implementation
        rows.append({"attention": attention, "batch": size, "story_tokens_per_second": found})
        return found

    speeds = {attention: speed(t5_of(shape, attention), SIZES[0]) for attention in ATTENTIONS}
    attention = max(speeds, key=lambda name: speeds[name])
    model, size, best = t5_of(shape, attention), SIZES[0], speeds[attention]
    for larger in SIZES[1:]:
        if 2 * peak_bytes() > memory_bytes() or (found := speed(model, larger)) < GAIN * best:
            break
        size, best = larger, found
    return Tuned(attention, size, Table("What the expert tried, not compiled", rows, COLUMNS))
