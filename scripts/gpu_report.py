"""Is a GPU right, and how fast is it? Checks first, then speeds, in one go of eight minutes at most.

    python scripts/gpu_report.py --corpus data/train --validation data/valid --out gpu.json
    python scripts/gpu_report.py --device cpu --smoke        # without a GPU: the checks at a tiny size, and a note

Needs torch 2.11 or newer and transformers 5.17 or newer, scipy, rich and jsonargparse, and `src` of this project on
PYTHONPATH or the package installed; a C++ compiler and Triton for what is compiled. `--corpus` and `--validation` are
folders that `rot5 prepare` wrote: carry them to a machine without network. Without them StoryWorld is prepared, for
which mistral-common is needed. Models take the vocabulary of the corpus; prepared without `--prune` it is the one that
the presets' sizes speak of.

Each part is a process of its own with a limit of time, to which is added what those before it left over. What it
found before it failed, crashed or ran out of time is kept, with the traceback or the end of its log, and the next part
begins.
No GPU has run this script yet: all that it says of GPUs is new.
"""

import argparse
import importlib
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from gpu_checks import Record, check_decoding, check_grouped_products, check_packed_rows
from rich.console import Console

from rot5.bench import ceilings
from rot5.bench.figures import Figures
from rot5.bench.peers import PeerStep, people_batches, t5_of
from rot5.bench.run import BENCHES
from rot5.bench.steps import TrainingStep, rows_of
from rot5.build.models import new_model, shape
from rot5.config import BenchConfig
from rot5.data import sources
from rot5.data.corpus import Corpus
from rot5.data.preparing import prepare
from rot5.data.tokenizer import build_tokenizer, special_ids
from rot5.folders import write_json
from rot5.model.settings import ModelConfig
from rot5.report.tables import Column, cell, text_table

WARM_UP = 3
LARGE = 8192
"""Rows and columns of the matrices whose product is the ceiling on a GPU; smaller ones do not fill it."""

STORIES = {"train": 3000, "test": 300}
PADDED_TO_A_ROW = 4
"""Stories of a padded batch for each packed row of ours: about as many as it holds."""

COLUMNS = (
    Column("part", "Part", text=True),
    Column("what", "What", text=True),
    Column("value", "Figure", digits=4),
    Column("unit", "Unit", text=True),
    Column("allowed", "Allowed", digits=4),
    Column("of_ceiling", "Of the\nceiling,\u00a0%", scale=100),
    Column("verdict", "Verdict", text=True),
    Column("note", "Note", text=True),
)

TRAINED = {
    "rot5, sdpa": ("sdpa", False),
    "rot5, varlen": ("varlen", False),
    "rot5, sdpa, compiled": ("sdpa", True),
    "rot5, varlen, compiled": ("varlen", True),
    "rot5, flex_attention, compiled": ("flex_attention", True),
}
"""Attention of packed rows, and whether the loss is compiled."""


def settings(options: argparse.Namespace, **own: Any) -> BenchConfig:
    """Settings of a benchmark on the corpora at hand."""
    sizes = {"rounds": 1, "batch_rows": 2} if options.smoke else {"rounds": options.rounds, "batch_rows": options.rows}
    known = {"corpus": options.corpus, "validation": options.validation, "out": options.scratch}
    return BenchConfig(**{**known, **sizes, **own})


def correctness(options: argparse.Namespace) -> Iterator[Record]:
    """Everything that is computed, against float32 on the CPU."""
    device = torch.device(options.device)
    compiled = device.type == "cuda" and not options.smoke
    if device.type == "cpu":
        yield {"what": "no GPU", "note": "The checks compare the CPU with itself: they show that the script works."}
    corpus = Corpus.open(Path(options.corpus))
    specials = special_ids(corpus.tokenizer())
    batch = rows_of(corpus, settings(options)).rows(0, 2)
    torch.manual_seed(0)
    dense, mixture = (
        shape(ModelConfig(preset="smoke" if options.smoke else "mini", num_experts=each), specials) for each in (0, 4)
    )
    yield from check_packed_rows(dense, batch, device, compiled)
    yield from check_decoding(dense, batch, device)
    yield from check_packed_rows(mixture, batch, device, compiled)
    yield from check_grouped_products(device)


def training(options: argparse.Namespace, preset: str) -> Iterator[Record]:
    """Whole optimizer steps: ours by each attention, eager and compiled, and transformers' T5 beside."""
    config = settings(options, preset="smoke" if options.smoke else preset)
    if torch.cuda.is_available():
        ceilings.SIZE = LARGE
    best = ceilings.measure_ceilings().matmul_bf16
    yield {"what": "bf16 matrix products", "value": best / 1e12, "unit": "TFLOP/s"}
    corpus = Corpus.open(Path(options.corpus))
    rows, tokenizer = rows_of(corpus, config), corpus.tokenizer()
    ours = [rows.rows(step * config.batch_rows, config.batch_rows) for step in range(config.rounds + WARM_UP)]

    def make(backend: str, compiled: bool) -> TrainingStep:
        model = new_model(ModelConfig(preset=config.preset, attention_backend=backend), tokenizer, seed=0).train()
        return TrainingStep(model, config, compiled=compiled)

    for name, (backend, compiled) in TRAINED.items():
        if not (compiled and options.smoke):
            yield _speed(name, lambda backend=backend, compiled=compiled: make(backend, compiled), ours, best)
    size = PADDED_TO_A_ROW * config.batch_rows
    padded = people_batches(rows.examples, rows.specials.pad, size)
    theirs = [next(padded) for _ in ours]
    plain = shape(ModelConfig(preset=config.preset), special_ids(tokenizer))
    for compiled in (False,) if options.smoke else (False, True):
        name = f"transformers' T5, {size} stories padded{', compiled' if compiled else ''}"
        yield _speed(name, lambda compiled=compiled: PeerStep(t5_of(plain), plain, compiled=compiled), theirs, best)


def _speed(name: str, make: Callable[[], Any], batches: Sequence, ceiling: float) -> Record:
    try:
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        step = make()
        first, *turns = [step.turn(batch) for batch in batches]
        turns = turns[WARM_UP - 1 :]
        note = f"first step {first.seconds:.1f} s"
        if torch.cuda.is_available():
            note += f", peak {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB"
        return {
            "what": name,
            "value": statistics.median(turn.speed for turn in turns),
            "unit": "story tokens/s",
            "of_ceiling": statistics.median(turn.flops / turn.seconds for turn in turns) / ceiling,
            "note": note,
        }
    except Exception:
        return {"what": name, "verdict": "failed", "note": traceback.format_exc()}


def bench(options: argparse.Namespace, what: str, **own: Any) -> Iterator[Record]:
    """The tables of one of `rot5 bench`."""
    module = importlib.import_module(BENCHES[what])
    config = settings(options, **{"what": what, "preset": "smoke" if options.smoke else "mini", **own})
    yield from told(module.measure(config, ceilings.measure_ceilings()))


def racing(options: argparse.Namespace) -> Iterator[Record]:
    """`rot5 bench time-to-loss`, eager: compiling each of its models would take longer than training it."""
    own = {"minutes": 0.01} if options.smoke else {"minutes": options.minutes, "preset": "10m"}
    yield from bench(options, "time-to-loss", seeds=1, **own)


def told(figures: Figures) -> Iterator[Record]:
    """The tables of a benchmark as records, a row each; the first column names it."""
    for table in figures.tables:
        first, *others = table.columns
        for row in table.rows:
            shown = {column.heading: cell(row.get(column.key), column).value for column in others}
            note = "; ".join(f"{heading} {value}" for heading, value in shown.items() if value)
            yield {"what": str(row[first.key]), "note": note.replace("\n", " "), "row": dict(row)}


PARTS: dict[str, tuple[int, Callable[[argparse.Namespace], Iterator[Record]]]] = {
    "correctness": (100, correctness),
    "training mini": (100, lambda options: training(options, "mini")),
    "training base": (90, lambda options: training(options, "base-gqa")),
    "experts": (40, lambda options: bench(options, "moe")),
    "decoding": (60, lambda options: bench(options, "decode")),
    "time to loss": (80, racing),
}
"""Seconds of each part, and what it does."""


def work(options: argparse.Namespace) -> None:
    """In a part's process: write each record as soon as it is found."""
    with Path(options.records).open("a", encoding="utf-8") as file:

        def keep(record: Record) -> None:
            file.write(json.dumps(record, default=float) + "\n")
            file.flush()

        try:
            for record in PARTS[options.part][1](options):
                keep(record)
        except Exception:
            keep({"what": options.part, "verdict": "failed", "note": traceback.format_exc()})


def run_part(part: str, limit: float, options: argparse.Namespace) -> list[Record]:
    """A part in a process of its own, which is ended with all that it started when its time is over."""
    records, log = (Path(options.scratch) / f"{part.replace(' ', '-')}.{ending}" for ending in ("jsonl", "log"))
    words = [sys.executable, __file__, "--part", part, "--records", str(records), "--scratch", options.scratch]
    words += ["--device", options.device, "--corpus", options.corpus, "--validation", options.validation]
    words += ["--rounds", str(options.rounds), "--rows", str(options.rows), "--minutes", str(options.minutes)]
    words += ["--smoke"] * options.smoke
    environment = {**os.environ, **({"TORCHDYNAMO_DISABLE": "1"} if PARTS[part][1] is racing else {})}
    began, ended = time.monotonic(), ""
    with log.open("w") as output:
        process = subprocess.Popen(
            words, stdout=output, stderr=subprocess.STDOUT, env=environment, start_new_session=True
        )
        try:
            if code := process.wait(max(limit, 1.0)):
                ended = f"ended with code {code}"
        except subprocess.TimeoutExpired:
            ended = f"out of time after {limit:.0f} s"
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    found = [json.loads(line) for line in records.read_text().splitlines()] if records.is_file() else []
    if ended:
        found.append({"what": ended, "verdict": "failed", "note": log.read_text(errors="replace")[-2000:]})
    print(f"{part}: {len(found)} records in {time.monotonic() - began:.0f} s", flush=True)
    return [{"part": part, **record} for record in found]


def corpora(options: argparse.Namespace) -> None:
    """Prepare StoryWorld where no corpus is named."""
    if options.corpus and options.validation:
        return
    tokenizer = build_tokenizer()
    folders = {"train": "corpus", "test": "validation"}
    for split, name in folders.items():
        limit = 100 if options.smoke else STORIES[split]
        stories = sources.Documents(sources.SourceConfig(name="storyworld", limit=limit, split=split))
        folder = Path(options.scratch) / name
        prepare(stories, tokenizer, folder, source="storyworld")
        setattr(options, name, str(folder))


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--corpus", default="", help="prepared corpus to train on")
    parser.add_argument("--validation", default="", help="prepared corpus to score on")
    parser.add_argument("--parts", nargs="*", choices=tuple(PARTS), help="default: all; on a CPU the checks alone")
    parser.add_argument("--seconds", type=float, default=480.0, help="for everything")
    parser.add_argument("--rounds", type=int, default=8, help="timed steps of each model")
    parser.add_argument("--rows", type=int, default=32, help="packed rows of a step")
    parser.add_argument("--minutes", type=float, default=0.5, help="of the original's recipe in the time to loss")
    parser.add_argument("--smoke", action="store_true", help="tiny models")
    parser.add_argument("--out", default="", help="JSON file to write")
    for name in ("--part", "--records", "--scratch"):
        parser.add_argument(name, default="", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Run the parts, print the table, write the JSON; the exit code says whether every check held."""
    options = read_options()
    if options.part:
        work(options)
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))  # not without ending the part
    parts = options.parts or (tuple(PARTS) if options.device == "cuda" else ("correctness",))
    deadline, found = time.monotonic() + options.seconds, []
    with tempfile.TemporaryDirectory(prefix="rot5-gpu-") as options.scratch:
        corpora(options)
        for number, part in enumerate(parts):
            later = sum(PARTS[other][0] for other in parts[number + 1 :])
            share = PARTS[part][0] / (PARTS[part][0] + later)
            left = deadline - time.monotonic()
            found += run_part(part, max(left - later, left * share), options)
    console = Console(width=200)
    shown = [{**record, "note": (record.get("note") or "").strip().rpartition("\n")[2]} for record in found]
    console.print(text_table(shown, COLUMNS, "What the device computes, and how fast"))
    bad = [record for record in found if record.get("verdict") in ("wrong", "failed")]
    print(f"{len(bad)} of {len(found)} records are wrong or failed")
    if options.out:
        told = {
            "device": torch.cuda.get_device_name() if torch.cuda.is_available() else platform.platform(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "records": found,
        }
        write_json(Path(options.out), told)
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
