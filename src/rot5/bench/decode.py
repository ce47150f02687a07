"""New tokens per second of greedy decoding, ours beside transformers' `generate()` and CTranslate2."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

import torch
from transformers import PreTrainedTokenizerFast, T5ForConditionalGeneration
from transformers.utils import logging

from rot5.bench.ceilings import Ceilings, wait
from rot5.bench.ctranslate2_peer import CTranslate2Peer, is_installed
from rot5.bench.figures import Figures
from rot5.bench.peers import t5_of
from rot5.bench.steps import take_turns
from rot5.build.models import new_model
from rot5.config import BenchConfig
from rot5.data import sources
from rot5.data.corpus import Corpus, documents
from rot5.data.tokenizer import build_tokenizer
from rot5.errors import UserError
from rot5.generate.answers import Engine
from rot5.generate.settings import PRECISIONS, GenerateConfig
from rot5.loading import load
from rot5.model.modeling_rot5 import Rot5ForConditionalGeneration
from rot5.model.settings import ModelConfig
from rot5.report.charts import Chart, Series
from rot5.report.tables import Column, Table

STORIES = 256
"""Inputs; a round takes `ROUND` of them, and the next round the next."""
ROUND = 64
BATCH = 32
NEW_TOKENS = 64

BATCHES = (1, 2, 4, 8, 16, 32, 64)
"""Batch sizes of the chart."""
SHORT, LONG = 8, 24
"""New tokens of the two answers whose difference is the decoder's time alone."""

ABOUT = (
    f"Greedy decoding of stories, {BATCH} at a time, just {NEW_TOKENS} new tokens each: nobody may end an answer "
    "before. A second holds everything from token ids to token ids, the encoder too. Each round all alternatives take "
    f"the same {ROUND} stories; transformers gets those of like length together, as the others put them by themselves. "
    "transformers and CTranslate2 run T5 with the same width, depth, heads, feed-forward and vocabulary, but a "
    "relative bias and no grouped queries, which T5 does not know; transformers' weights are of the named precision. "
    "int8 is 8-bit weights times 8-bit activations in both. Ratios are medians over rounds."
)
COLUMNS = (
    Column("variant", "Variant", text=True),
    Column("new_tokens_per_second", "New\ntokens/s", digits=0),
    Column("slowest", "Slowest", digits=0),
    Column("fastest", "Fastest", digits=0),
    Column("to_float32", "To transformers\nfloat32", digits=2),
    Column("to_bf16", "To transformers\nbf16", digits=2),
    Column("to_ctranslate2", "To the best\nCTranslate2", digits=2),
)
AGREEMENT_COLUMNS = (
    Column("variant", "Variant", text=True),
    Column("equal", "Equal\nanswers, %", scale=100),
    Column("before", "Tokens before\nthe first other, %", scale=100),
)
AGREEMENT_ABOUT = (
    f"Our answers to {BATCH} stories, with an end where the model puts it, beside those of transformers' loop with the "
    "same model in float32. Once a token differs, what follows is another text."
)

EXACT = GenerateConfig(max_new_tokens=NEW_TOKENS, min_new_tokens=NEW_TOKENS, batch_size=BATCH)
FREE = GenerateConfig(max_new_tokens=NEW_TOKENS, batch_size=BATCH)

Ids = list[int]


class Subject(NamedTuple):
    """What is decoded: a model, its tokenizer, and the inputs."""

    model: Rot5ForConditionalGeneration
    tokenizer: PreTrainedTokenizerFast
    inputs: list[Ids]


def measure(config: BenchConfig, ceilings: Ceilings) -> Figures:
    """Time all alternatives in turns, compare our precisions, and vary the batch."""
    logging.disable_progress_bar()
    subject = _subject(config)
    engines = {each: Engine(subject.model, each) for each in _precisions(subject.model)}
    writers = _peers(subject) | {
        f"rot5, {precision}": lambda inputs, engine=engine: sum(map(len, engine(inputs, EXACT)))
        for precision, engine in engines.items()
    }
    rounds = [_taken(subject.inputs, number) for number in range(config.rounds)]
    for write in writers.values():
        write(rounds[0][:2])
    speeds = take_turns(
        {name: lambda inputs, write=write: _speed(write, inputs, subject.model) for name, write in writers.items()},
        rounds,
    )
    lengths = [len(each) for each in subject.inputs]
    title = (
        f"{config.model or config.preset} ({subject.model.num_parameters():,} parameters), stories of "
        f"{statistics.mean(lengths):.0f} tokens, {config.rounds} rounds"
    )
    agreement = Table("Agreement with float32", _agreement(subject, engines), AGREEMENT_COLUMNS, AGREEMENT_ABOUT)
    notes = "" if is_installed() else "CTranslate2 is not installed here."
    return Figures(
        "Decoding",
        ABOUT,
        [Table(title, _rows(speeds), COLUMNS, notes), agreement],
        [_by_batch(subject, engines)],
        {"rounds": speeds},
    )


def _subject(config: BenchConfig) -> Subject:
    if config.model:
        loaded = load(config.model)
        if not isinstance(loaded.model, Rot5ForConditionalGeneration):
            raise UserError(f"model {config.model} is a {loaded.model.config.model_type}: name a run of rot5")
        model, tokenizer, prefix = loaded.model, loaded.tokenizer, loaded.prefix
    else:
        tokenizer = Corpus.open(config.corpus).tokenizer() if config.corpus else build_tokenizer()
        model, prefix = new_model(ModelConfig(preset=config.preset), tokenizer, seed=0).eval(), ""
    storyworld = sources.SourceConfig(name="storyworld", limit=STORIES, split="held_out")
    texts = documents(Corpus.open(config.corpus)) if config.corpus else sources.Documents(storyworld)
    return Subject(model, tokenizer, [tokenizer(prefix + text).input_ids for text in islice(texts, STORIES)])


def _precisions(model: Rot5ForConditionalGeneration) -> list[str]:
    return [each for each in PRECISIONS if each != "int8" or model.device.type == "cpu"]


def _peers(subject: Subject) -> dict[str, Callable[[Sequence[Ids]], int]]:
    """What writes new tokens for inputs and tells how many, by name."""
    theirs = t5_of(subject.model.config).eval()
    low = t5_of(subject.model.config).eval().to(torch.bfloat16)  # type: ignore[arg-type]
    writers: dict[str, Callable[[Sequence[Ids]], int]] = {
        f"transformers, {precision}": lambda inputs, model=model: _generate(model, inputs)
        for precision, model in (("float32", theirs), ("bf16", low))
    }
    if is_installed():
        for compute_type in ("float32", "int8") if subject.model.device.type == "cpu" else ("float16",):
            peer = CTranslate2Peer(theirs, subject.tokenizer, compute_type)
            writers[f"CTranslate2, {compute_type}"] = lambda inputs, peer=peer: peer.write(inputs, BATCH, NEW_TOKENS)
    return writers


def _middle(inputs: Sequence[Ids], count: int = BATCH) -> list[Ids]:
    """So many of middle length."""
    first = max(0, (len(inputs) - count) // 2)
    return sorted(inputs, key=len)[first : first + count]


def _taken(inputs: list[Ids], number: int) -> list[Ids]:
    """The inputs of a round."""
    first = number * ROUND % len(inputs)
    return (inputs + inputs)[first : first + min(ROUND, len(inputs))]


@torch.inference_mode()
def _generated(
    model: T5ForConditionalGeneration | Rot5ForConditionalGeneration, inputs: list[Ids], **settings
) -> list[Ids]:
    """What transformers' loop writes, padding behind the ends included."""
    width, pad = max(map(len, inputs)), model.config.pad_token_id
    ids = torch.tensor([each + [pad] * (width - len(each)) for each in inputs], device=model.device)
    mask = torch.tensor([[1] * len(each) + [0] * (width - len(each)) for each in inputs], device=model.device)
    output = model.generate(  # type: ignore[operator]
        input_ids=ids, attention_mask=mask, max_new_tokens=NEW_TOKENS, do_sample=False, **settings
    )
    return output[:, 1:].tolist()


def _generate(model: T5ForConditionalGeneration, inputs: Sequence[Ids]) -> int:
    by_length = sorted(inputs, key=len, reverse=True)
    batches = (by_length[first : first + BATCH] for first in range(0, len(by_length), BATCH))
    return sum(len(row) for batch in batches for row in _generated(model, batch, min_new_tokens=NEW_TOKENS))


def _speed(write: Callable[[Sequence[Ids]], int], inputs: Sequence[Ids], model: Rot5ForConditionalGeneration) -> float:
    began = time.perf_counter()
    count = write(inputs)
    wait(model.device)
    return count / (time.perf_counter() - began)


def _rows(speeds: Mapping[str, Sequence[float]]) -> list[dict]:
    medians = {name: statistics.median(each) for name, each in speeds.items()}
    theirs = [name for name in speeds if name.startswith("CTranslate2")]
    peers = {
        "to_float32": "transformers, float32",
        "to_bf16": "transformers, bf16",
        "to_ctranslate2": max(theirs, key=medians.__getitem__) if theirs else "",
    }
    rows = []
    for name, each in speeds.items():
        row = {"variant": name, "new_tokens_per_second": medians[name], "slowest": min(each), "fastest": max(each)}
        for key, peer in peers.items():
            if peer:
                row[key] = statistics.median(own / other for own, other in zip(each, speeds[peer], strict=True))
        rows.append(row)
    return rows


def _agreement(subject: Subject, engines: Mapping[str, Engine]) -> list[dict]:
    """How far the answers of each precision are those of the slow loop."""
    inputs, rows = _middle(subject.inputs), []
    expected = _generated(subject.model, inputs)
    for precision, engine in engines.items():
        found = engine(inputs, FREE)
        shares = [_share_before(one, other[: len(one)]) for one, other in zip(found, expected, strict=True)]
        rows.append(
            {
                "variant": precision,
                "equal": statistics.mean(share == 1 for share in shares),
                "before": statistics.mean(shares),
            }
        )
    return rows


def _share_before(one: Ids, other: Ids) -> float:
    """The share of the tokens that stand before the first difference."""
    return next(
        (place for place, pair in enumerate(zip(one, other, strict=True)) if pair[0] != pair[1]), len(one)
    ) / len(one)


def _by_batch(subject: Subject, engines: Mapping[str, Engine]) -> Chart:
    """Milliseconds of the decoder for a new token, over the size of the batch."""
    lines = []
    for style, (precision, engine) in enumerate(engines.items()):
        points = []
        for size in BATCHES:
            inputs = _middle(subject.inputs, size)
            seconds = [min(_seconds(engine, inputs, count) for _ in range(2)) for count in (SHORT, LONG)]
            points.append((size, 1e3 * (seconds[1] - seconds[0]) / ((LONG - SHORT) * size)))
        lines.append(Series(precision, points, style))
    return Chart("Decoder's time for a new token", "ms", lines, along="batch", log_along=True, log=True)


def _seconds(engine: Engine, inputs: Sequence[Ids], count: int) -> float:
    config = GenerateConfig(max_new_tokens=count, min_new_tokens=count, batch_size=len(inputs))
    began = time.perf_counter()
    engine(inputs, config)
    return time.perf_counter() - began
