"""How the training step grows: story tokens per second over the length of rows and over the size of the model."""

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from rot5.bench.ceilings import Ceilings
from rot5.bench.figures import Figures
from rot5.bench.one_shape import folded, shape_of
from rot5.bench.steps import WARM_UP, TrainingStep, Turn, corpus_of, rows_of, take_turns
from rot5.build.models import new_model
from rot5.config import BenchConfig
from rot5.data.batches import Batch, PackedRows
from rot5.data.corpus import Corpus
from rot5.data.denoise import DenoiseConfig, Denoised, longest_piece
from rot5.data.order import Order
from rot5.data.ragged import Ragged
from rot5.data.spans import starts_of
from rot5.data.tokenizer import special_ids
from rot5.model.configuration_rot5 import Rot5Config
from rot5.model.costs import parameter_counts
from rot5.model.modeling_rot5 import Rot5ForConditionalGeneration
from rot5.model.settings import ModelConfig
from rot5.report.charts import Chart, Series
from rot5.report.tables import Column, Table
from rot5.runtime import device

LENGTHS = (256, 512, 1024, 2048, 4096)
"""Encoder lengths of the rows; the decoder's are in the proportion of the rows that are set."""

SIZES = ("1m", "2m", "5m", "10m", "mini", "base-gqa")
"""Presets, each with the vocabulary that its count of parameters speaks of."""

HALF = "base-gqa"
"""The preset that is also taken with half its layers, as there is none of its size."""

MOST_WORK = 5e7
"""Parameters up to which a step has all its rows; larger models get as many fewer as they are larger."""

STORIES, LONG = "stories", "documents as long as a row"

ABOUT = (
    "Whole optimizer steps of rot5 alone, not compiled, the settings taking turns. Rows grow while the tokens of a "
    "step stay: of the stories as they are, and of documents as long as a row can take whole, which are stories end to "
    "end. Models grow on the same rows, fewer of them in a step where the model is large. The share of the ceiling "
    "counts the operations of the model's own matrix products, attention inside documents."
)
SPEED = (
    Column("story_tokens_per_second", "Story\ntokens/s", digits=0),
    Column("slowest", "Slowest", digits=0),
    Column("fastest", "Fastest", digits=0),
    Column("of_ceiling", "Of the\nceiling,\u00a0%", scale=100),
)
LENGTH_COLUMNS = (
    Column("documents", "Documents", text=True),
    Column("encoder_length", "Encoder row"),
    Column("rows", "Rows"),
    *SPEED,
    Column("encoder_fill", "Encoder\nfilled,\u00a0%", scale=100),
    Column("decoder_fill", "Decoder\nfilled,\u00a0%", scale=100),
)
SIZE_COLUMNS = (
    Column("model", "Model", text=True),
    Column("parameters", "Parameters"),
    Column("rows", "Rows"),
    *SPEED,
)


class Setting(NamedTuple):
    """One point of a curve: a step, its batches, and what the table says of it."""

    step: TrainingStep
    batches: Sequence[Batch]
    about: dict[str, Any]


class EndToEnd:
    """A corpus as documents of one length: its own end to end, what is left over dropped."""

    def __init__(self, corpus: Corpus, length: int) -> None:
        everything = np.arange(corpus.num_documents)
        tokens = corpus.read(everything, np.zeros_like(everything), corpus.lengths).values
        self.documents = tokens[: tokens.size // length * length].reshape(-1, length)

    def read(self, documents: np.ndarray, starts: np.ndarray, stops: np.ndarray) -> Ragged:
        """The tokens from start to stop of each document."""
        parts = [self.documents[n, start:stop] for n, start, stop in zip(documents, starts, stops, strict=True)]
        return Ragged(np.concatenate(parts), starts_of(stops - starts))


def measure(config: BenchConfig, ceilings: Ceilings) -> Figures:
    """Time steps over lengths of rows, then over sizes of models."""
    with corpus_of(config) as corpus:
        lengths = _timed(list(_over_lengths(corpus, config)), config.rounds, ceilings)
        sizes = _timed(list(_over_sizes(corpus, config)), config.rounds, ceilings)
    tokens = config.batch_rows * config.pack.encoder_length
    tables = [
        Table(f"{config.preset} over the length of rows, {tokens:,} encoder tokens a step", lengths, LENGTH_COLUMNS),
        Table(f"Models on rows of {config.pack.encoder_length}/{config.pack.decoder_length}", sizes, SIZE_COLUMNS),
    ]
    lines = [
        Series(
            name, [(r["encoder_length"], r["story_tokens_per_second"]) for r in lengths if r["documents"] == name], n
        )
        for n, name in enumerate((STORIES, LONG))
    ]
    shares = [(row["parameters"] / 1e6, 100 * row["of_ceiling"]) for row in sizes]
    charts = [
        Chart(
            "Training over the length of rows",
            "story tokens/s",
            lines,
            along="encoder tokens of a row",
            log_along=True,
            zero=True,
            form=",.0f",
        ),
        Chart(
            "Training over the size of the model",
            "% of the ceiling of matrix products",
            [Series("rot5", shares)],
            along="million parameters",
            log_along=True,
            zero=True,
            form=".1f",
        ),
    ]
    return Figures("Growth of training", ABOUT, tables, charts)


def _over_lengths(corpus: Corpus, config: BenchConfig) -> Iterator[Setting]:
    """Rows of each length under one model, of stories and of long documents."""
    tokenizer = corpus.tokenizer()
    specials, mixture = special_ids(tokenizer), DenoiseConfig()
    model = new_model(ModelConfig(preset=config.preset), tokenizer, seed=0).train()
    tokens = config.batch_rows * config.pack.encoder_length
    step = TrainingStep(model, replace(config, batch_rows=max(1, tokens // min(LENGTHS))))
    for length in LENGTHS:
        decoder_length = round(length * config.pack.decoder_length / config.pack.encoder_length)
        pack = replace(config.pack, encoder_length=length, decoder_length=decoder_length)
        count = max(1, tokens // length)
        whole = longest_piece(mixture, length, decoder_length)
        joined = EndToEnd(corpus, whole)
        order = Order(np.full(len(joined.documents), whole), whole, seed=0)
        long = PackedRows(Denoised(joined, order, specials, mixture, seed=0), pack, specials)
        for name, rows in ((STORIES, rows_of(corpus, replace(config, pack=pack))), (LONG, long)):
            batches = _batches(rows, count, config.rounds)
            about = {
                "documents": name,
                "encoder_length": length,
                "rows": count,
                "encoder_fill": statistics.mean(batch.encoder_fill for batch in batches),
                "decoder_fill": statistics.mean(batch.decoder_fill for batch in batches),
            }
            yield Setting(step, batches, about)


def _over_sizes(corpus: Corpus, config: BenchConfig) -> Iterator[Setting]:
    """Models of each size, ids folded into their vocabularies."""
    rows = rows_of(corpus, config)
    shapes = {name: shape_of(name) for name in SIZES}
    layers = shapes[HALF].num_layers // 2
    half = Rot5Config.from_dict({**shapes[HALF].to_dict(), "num_layers": layers, "num_decoder_layers": layers})
    shapes[f"{HALF}, half the layers"] = half
    for name, shape in sorted(shapes.items(), key=lambda each: parameter_counts(each[1]).total):
        parameters = parameter_counts(shape).total
        count = max(1, min(config.batch_rows, round(config.batch_rows * MOST_WORK / parameters)))
        batches = [
            replace(batch, fields=folded(batch.fields, shape.vocab_size))
            for batch in _batches(rows, count, config.rounds)
        ]
        model = Rot5ForConditionalGeneration(shape).train().to(device())  # type: ignore[arg-type]
        step = TrainingStep(model, replace(config, batch_rows=count))
        yield Setting(step, batches, {"model": name, "parameters": parameters, "rows": count})


def _batches(rows: PackedRows, count: int, rounds: int) -> list[Batch]:
    return [rows.rows(step * count, count) for step in range(WARM_UP + rounds)]


def _timed(settings: list[Setting], rounds: int, ceilings: Ceilings) -> list[dict[str, Any]]:
    """A row of the table for each setting."""

    def turn(number: int, setting: Setting) -> Turn:
        return setting.step.turn(setting.batches[number])

    turns = take_turns(
        {str(n): partial(turn, setting=setting) for n, setting in enumerate(settings)}, range(WARM_UP + rounds)
    )
    found = []
    for setting, measured in zip(settings, turns.values(), strict=True):
        speeds = [each.speed for each in measured[WARM_UP:]]
        share = statistics.median(each.flops / each.seconds for each in measured[WARM_UP:]) / ceilings.matmul_bf16
        figures = {
            "story_tokens_per_second": statistics.median(speeds),
            "slowest": min(speeds),
            "fastest": max(speeds),
            "of_ceiling": share,
        }
        found.append(setting.about | figures)
    return found
