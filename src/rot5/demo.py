"""`rot5 demo`: from nothing to a model that summarizes stories it has never seen, and a report about it.

It only calls the other verbs; the commands it prints are all there is.
"""

import shlex
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from rot5.config import DemoConfig, EvaluateConfig, FinetuneConfig, PrepareConfig, PretrainConfig
from rot5.errors import UserError, nearest
from rot5.recipes import read
from rot5.report.page import write_report
from rot5.runtime import peak_memory_bytes
from rot5.verbs import evaluate, finetune, prepare, pretrain

VERBS = {
    "prepare": (PrepareConfig, prepare.run),
    "pretrain": (PretrainConfig, pretrain.run),
    "finetune": (FinetuneConfig, finetune.run),
    "evaluate": (EvaluateConfig, evaluate.run),
}


FILES = {"data", "pretrain", "finetune", "report.html"}
"""What a demo's folder holds; a folder with anything else in it is never replaced."""


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much of everything a demo takes."""

    preset: str
    pairs: int
    stories: int
    pretrain_steps: int
    finetune_steps: int
    batch_rows: int
    summaries: int


SIZES = {
    "full": Size(
        preset="demo",
        pairs=40_000,
        stories=30_000,
        pretrain_steps=200,
        finetune_steps=350,
        batch_rows=16,
        summaries=400,
    ),
    "smoke": Size(
        preset="smoke",
        pairs=400,
        stories=400,
        pretrain_steps=12,
        finetune_steps=12,
        batch_rows=4,
        summaries=12,
    ),
}


def commands(size: Size, out: Path) -> list[list[str]]:
    """The command lines of a demo, without `rot5` before each."""
    data = out / "data"
    common = f"--model.preset {size.preset} --pack.encoder_length 512 --train.batch_rows {size.batch_rows} "
    common += f"--train.micro_batch_rows {size.batch_rows} --train.evaluate_every 200 "
    lines = [
        f"prepare storyworld --pairs true --source.limit {size.pairs} --prune true --num_sentinels 64 "
        f"--out {data}/pairs",
        f"prepare storyworld --pairs true --source.limit {size.summaries} --source.split held_out "
        f"--tokenizer {data}/pairs --out {data}/held-out-pairs",
        f"prepare storyworld --source.limit {size.stories} --tokenizer {data}/pairs --out {data}/stories",
        f"prepare storyworld --source.limit 500 --source.split test --tokenizer {data}/pairs "
        f"--out {data}/validation-stories",
        f"pretrain --corpus {data}/stories --validation {data}/validation-stories --out {out}/pretrain {common}"
        f"--pack.decoder_length 312 --train.steps {size.pretrain_steps}",
        f"finetune --init {out}/pretrain --pairs {data}/pairs --validation {data}/held-out-pairs --out {out}/finetune "
        f"{common}--pack.decoder_length 144 --train.steps {size.finetune_steps} --summaries {size.summaries}",
    ]
    return [shlex.split(line) for line in lines]


def run(config: DemoConfig) -> None:
    """Run every command, then write a report over both runs and say where everything is."""
    if config.size not in SIZES:
        raise UserError(f"unknown demo size {config.size!r}: {nearest(config.size, SIZES)}")
    out = Path(config.out)
    if out.exists() and not config.overwrite:
        raise UserError(f"{out} already exists: replace it with --overwrite true or choose another --out")
    if out.is_file() or (out.is_dir() and {path.name for path in out.iterdir()} - FILES):
        raise UserError(f"{out} exists and is not a demo: choose another --out")
    shutil.rmtree(out, ignore_errors=True)
    began = time.perf_counter()
    for line in commands(SIZES[config.size], out):
        print(f"\n$ rot5 {shlex.join(line)}", flush=True)
        settings, handler = VERBS[line[0]]
        arguments = [f"--source.name={line[1]}", *line[2:]] if line[0] == "prepare" else line[1:]
        handler(read(settings, line[0], arguments))
    report = write_report(out)
    minutes = (time.perf_counter() - began) / 60
    print(f"\nDone in {minutes:.1f} minutes, with at most {peak_memory_bytes() / 2**30:.1f} GiB of memory.")
    print(f"Report: {report}")
    print(f"Try it: rot5 summarize examples/stories.txt --model {out}/finetune")
