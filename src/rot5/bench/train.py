"""Story tokens per second of packed training beside transformers' T5 and what the machine's matrix products allow."""

import statistics
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import islice
from typing import NamedTuple

from rot5 import runtime
from rot5.bench.ceilings import Ceilings
from rot5.bench.expert import stretch, tune
from rot5.bench.figures import Figures
from rot5.bench.one_peer import Peer, PeerProcess
from rot5.bench.peers import (
    ATTENTIONS,
    PEOPLE_BATCH,
    PaddedBatch,
    PeerStep,
    bucketed_batches,
    padded_flops,
    people_batches,
    t5_of,
    t5_shape,
)
from rot5.bench.steps import WARM_UP, TrainingStep, Turn, corpus_of, rows_of, take_turns, together
from rot5.build.models import new_model
from rot5.config import BenchConfig
from rot5.data.batches import Batch, PackedRows
from rot5.model.configuration_rot5 import Rot5Config
from rot5.model.modeling_rot5 import Rot5ForConditionalGeneration
from rot5.model.settings import ModelConfig
from rot5.report.tables import Column, Table
from rot5.train.trainer import compiles

OURS, PEOPLE, EXPERT = "rot5", "T5 as people run it", "T5 tuned"

ABOUT = (
    "Whole optimizer steps on the same examples: forward, backward, clipping and fused AdamW under bf16 autocast, all "
    "alternatives taking turns. rot5 packs the examples into rows. transformers' T5 has the same width, depth, heads, "
    "feed-forward and vocabulary, but a relative bias and no grouped queries, which it does not know. As people run "
    f"it, batches are {PEOPLE_BATCH} examples as they come, padded to the longest, and dropout is its default, in a "
    "process where the C library manages memory as it does for anybody; tuned, examples of like length share a batch, "
    "its unused cache and dropout are off, attention and batch size are the fastest that were found, and freed memory "
    "is kept for the next step, as rot5 keeps it; compiled are its blocks, for any length. "
    "Ratios are medians over rounds, to the faster alternative of each kind. The share of the ceiling counts the "
    "operations that each model's own matrix products need, padding and masked attention left out."
)
COLUMNS = (
    Column("variant", "Variant", text=True),
    Column("batch", "Batch", text=True),
    Column("story_tokens_per_second", "Story\ntokens/s", digits=0),
    Column("slowest", "Slowest", digits=0),
    Column("fastest", "Fastest", digits=0),
    Column("to_people", "To T5 as\npeople run it", digits=2),
    Column("to_expert", "To T5\ntuned", digits=2),
    Column("of_ceiling", "Of the\nceiling,\u00a0%", scale=100),
    Column("first_step_seconds", "First\nstep, s", digits=1),
)


class Contestant(NamedTuple):
    """One way to train."""

    kind: str
    batch: str
    turn: Callable[[], Turn]
    """A step on the next batch."""
    steps: int
    """Steps of a round."""


def measure(config: BenchConfig, ceilings: Ceilings) -> Figures:
    """Time whole optimizer steps of ours and of transformers' T5, taking turns."""
    with corpus_of(config) as corpus, ExitStack() as processes:
        rows = rows_of(corpus, config)
        model = new_model(ModelConfig(preset=config.preset), corpus.tokenizer(), seed=0).train()
        tuned = tune(model.config, rows.examples, rows.specials.pad)
        contestants = _ours(model, rows, config)
        for attention in ATTENTIONS:
            batches = list(islice(people_batches(rows.examples, rows.specials.pad), WARM_UP + config.rounds))
            peer = Peer(shape=model.config.to_dict(), attention=attention, dropout=True)
            turn = _people(processes.enter_context(PeerProcess(peer, batches)), t5_shape(model.config), batches)
            contestants[f"{PEOPLE}, {attention} attention"] = Contestant(PEOPLE, str(PEOPLE_BATCH), turn, 1)
        contestants |= _tuned(model.config, rows, tuned.attention, tuned.size)
        first = {}
        for name, contestant in contestants.items():
            first[name] = contestant.turn().seconds
            together(contestant.turn() for _ in range(1, WARM_UP))
        turns = take_turns(
            {
                name: lambda _, each=each: together(each.turn() for _ in range(each.steps))
                for name, each in contestants.items()
            },
            range(config.rounds),
        )
        document = float(corpus.lengths.mean())
    speeds = {name: [turn.speed for turn in each] for name, each in turns.items()}
    best = {kind: _fastest(kind, contestants, speeds) for kind in (PEOPLE, EXPERT)}
    table = [
        {
            "variant": name,
            "batch": contestants[name].batch,
            "story_tokens_per_second": statistics.median(speeds[name]),
            "slowest": min(speeds[name]),
            "fastest": max(speeds[name]),
            "to_people": _ratio(speeds[name], speeds[best[PEOPLE]]),
            "to_expert": _ratio(speeds[name], speeds[best[EXPERT]]),
            "of_ceiling": statistics.median(turn.flops / turn.seconds for turn in turns[name]) / ceilings.matmul_bf16,
            "first_step_seconds": first[name],
        }
        for name in contestants
    ]
    title = (
        f"{config.preset} ({model.num_parameters():,} parameters), rows of "
        f"{config.pack.encoder_length}/{config.pack.decoder_length}, {config.rounds} rounds"
    )
    facts = {"document_tokens": document, "turns": {name: [turn._asdict() for turn in turns[name]] for name in turns}}
    return Figures("Training", ABOUT, [Table(title, table, COLUMNS), tuned.tried], facts=facts)


def _ours(model: Rot5ForConditionalGeneration, rows: PackedRows, config: BenchConfig) -> dict[str, Contestant]:
    found = {}
    for compiled in (False, True) if compiles("auto") else (False,):
        step, batches = TrainingStep(model, config, compiled=compiled), _packed_batches(rows, config.batch_rows)
        name = f"{OURS}, compiled" if compiled else OURS
        found[name] = Contestant(OURS, f"{config.batch_rows} rows", _turns(step, batches), 1)
    return found


def _packed_batches(rows: PackedRows, batch_rows: int) -> Iterator[Batch]:
    first = 0
    while True:
        yield rows.rows(first, batch_rows)
        first += batch_rows


def _people(process: PeerProcess, shape: Rot5Config, batches: list[PaddedBatch]) -> Callable[[], Turn]:
    coming = iter(batches)

    def turn() -> Turn:
        batch = next(coming)
        return Turn(process.step(), batch.story_tokens, padded_flops(shape, batch))

    return turn


def _tuned(shape: Rot5Config, rows: PackedRows, attention: str, size: int) -> dict[str, Contestant]:
    examples, pad = rows.examples, rows.specials.pad
    found = {}
    for compiled in (False, True) if runtime.has_compiler() else (False,):
        step = PeerStep(t5_of(shape, attention), shape, tuned=True, compiled=compiled)
        turn = _turns(step, bucketed_batches(examples, pad, size))
        name = f"{EXPERT}, compiled" if compiled else EXPERT
        found[name] = Contestant(EXPERT, str(size), turn, stretch(size))
    return found


def _turns(step, batches: Iterator) -> Callable[[], Turn]:
    return lambda: step.turn(next(batches))


def _fastest(kind: str, contestants: dict[str, Contestant], speeds: dict[str, list[float]]) -> str:
    names = [name for name, each in contestants.items() if each.kind == kind]
    return max(names, key=lambda name: statistics.median(speeds[name]))


def _ratio(own: list[float], other: list[float]) -> float:
    return statistics.median(one / two for one, two in zip(own, other, strict=True))
