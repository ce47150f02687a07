"""Does pretraining pay? Tunes a pretrained and a new model on the same few pairs, over numbers of pairs and seeds.

    python scripts/pretraining_pays.py --data DIR --pretrained RUN --out DIR --workers 2

The page it writes names the commands that make the data and the pretrained run.
Runs what is missing (a run with an `eval.json` is done), then writes `pretraining.md` and `.json` in `docs/results`.
Both models get the same pairs, updates, batches and learning rate; they differ in where their weights start.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rot5.evaluation.facts import content
from rot5.evaluation.summaries import reference_ceiling, score_summaries
from rot5.train.run_folder import RunFolder

STEPS = 500
HEADLINE = 300
HEADLINE_SEEDS = (0, 1, 2)
SIZES = (100, 1000, 10_000)
SEEDS = (0,)
STARTS = ("pretrained", "new")
MEASURES = ("content_true", "content_covered", "rougeL")
RESULTS = Path(__file__).resolve().parent.parent / "docs" / "results"


def preparations(data: Path) -> list[list[str]]:
    """What makes the folder `data`: pairs to tune on and to be judged by, and stories to pretrain on and to score."""
    lines = [
        f"--pairs true --source.limit 40000 --prune true --num_sentinels 64 --out {data}/pairs",
        f"--pairs true --source.limit 500 --source.split held_out --tokenizer {data}/pairs --out {data}/held-out-pairs",
        f"--source.limit 160000 --tokenizer {data}/pairs --out {data}/stories",
        f"--source.limit 500 --source.split test --tokenizer {data}/pairs --out {data}/validation-stories",
    ]
    return [["prepare", "storyworld", *line.split()] for line in lines]


def command(start: str, pairs: int, seed: int, options: argparse.Namespace, out: Path) -> list[str]:
    """One tuning run."""
    words = ["finetune", "--pairs", f"{options.data}/pairs", "--validation", f"{options.data}/held-out-pairs"]
    words += ["--out", str(out), "--model.preset", "demo", "--limit", str(pairs), "--seed", str(seed)]
    words += ["--pack.encoder_length", "512", "--pack.decoder_length", "144"]
    words += ["--train.steps", str(STEPS), "--train.batch_rows", "4", "--train.micro_batch_rows", "4"]
    words += ["--train.optimizer.name", "adamw", "--train.optimizer.lr", "2e-3", "--train.schedule.name", "linear"]
    words += ["--train.schedule.warmup_fraction", "0.1", "--train.evaluate_every", "0"]
    words += ["--train.checkpoint_every", str(STEPS), "--train.keep_checkpoints", "1", "--summaries", "300"]
    if start == "pretrained":
        words += ["--init", str(options.pretrained)]
    return words


def run(start: str, pairs: int, seed: int, options: argparse.Namespace) -> dict:
    """Tune if it was not done yet, and return what its summaries are worth."""
    out = options.out / f"{start}-{pairs}-{seed}"
    if "summaries" not in RunFolder(out).evaluation():
        words = [sys.executable, "-m", "rot5.cli", *command(start, pairs, seed, options, out), "--overwrite"]
        with (options.out / f"{out.name}.log").open("w") as log:
            threads = {**os.environ, "OMP_NUM_THREADS": str(max(1, len(os.sched_getaffinity(0)) // options.workers))}
            subprocess.run(words, check=True, stdout=log, stderr=subprocess.STDOUT, env=threads)
        print(out.name, flush=True)
    samples = RunFolder(out).samples()
    figures = score_summaries(
        [sample["input"] for sample in samples],
        [sample["references"] for sample in samples],
        [sample["prediction"] for sample in samples],
        content,
    )
    return {"start": start, "pairs": pairs, "seed": seed, **{key: figures[key] for key in MEASURES}}


def spread(values: list[float]) -> str:
    """Mean and range over seeds."""
    if len(values) == 1:
        return f"{values[0]:.1f}"
    return f"{statistics.mean(values):.1f} ({min(values):.1f} to {max(values):.1f})"


def table(results: list[dict]) -> str:
    """Rows of pairs and start, means over seeds with their ranges."""
    lines = [
        "| pairs | start | content words true, % | facts covered, % | ROUGE-L |",
        "| ---: | --- | ---: | ---: | ---: |",
    ]
    for pairs in sorted({result["pairs"] for result in results}):
        for start in STARTS:
            chosen = [result for result in results if (result["pairs"], result["start"]) == (pairs, start)]
            if chosen:
                cells = (spread([result[key]["mean"] for result in chosen]) for key in MEASURES)
                lines.append(f"| {pairs:,} | {start} | {' | '.join(cells)} |")
    return "\n".join(lines)


def page(results: list[dict], options: argparse.Namespace) -> str:
    """The text of `docs/results/pretraining.md`."""
    pretrained = json.loads((options.pretrained / "eval.json").read_text())["likelihood"]["overall"]
    last = json.loads((options.pretrained / "metrics.jsonl").read_text().splitlines()[-1])
    environment = json.loads((options.pretrained / "environment.json").read_text())
    samples = RunFolder(options.out / f"new-{HEADLINE}-{HEADLINE_SEEDS[0]}").samples()
    ceiling = reference_ceiling([sample["references"] for sample in samples])
    assert ceiling is not None
    example = " ".join(["rot5", *command("pretrained", 300, 0, options, Path("OUT"))])
    return f"""# Pretraining pays

Written by `scripts/pretraining_pays.py`. Measured on {environment["device"]}, torch {environment["torch"]}.

The `demo` preset is pretrained once on StoryWorld stories without their summaries, with the default UL2 mixture:
{last["story_tokens"]:,} story tokens in {last["seconds"] / 60:.0f} minutes on one core,
{pretrained["bits_per_byte"]["mean"]:.3f} bits per byte on test stories. It and a new model of the same shape are then
tuned on the same labelled pairs: the same {STEPS} updates of 4 packed rows, the same rates, the same mode token `[S]`.
Figures are means (lowest to highest) over seeds, {len(HEADLINE_SEEDS)} at {HEADLINE} pairs and one elsewhere,
on 300 stories whose compositions (plot with side event, plot with hero, plot with object) neither model has met.
References score {ceiling["rougeL"]["mean"]:.1f} ROUGE-L against each other.

{table(results)}

The data, the pretraining run and one tuning run:

```bash
{chr(10).join(" ".join(["rot5", *words]) for words in preparations(options.data))}
{" ".join(environment["command"])}
{example}
```

The learning rate was chosen between 1e-3 and 2e-3 for the new model, on seed 0, 300 pairs and the same held-out
stories, and used for both: what selection there was favours the new model.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with pairs/ and held-out-pairs/")
    parser.add_argument("--pretrained", type=Path, required=True, help="run folder of the pretrained model")
    parser.add_argument("--out", type=Path, required=True, help="folder for the tuning runs")
    parser.add_argument("--workers", type=int, default=2, help="runs at a time")
    parser.add_argument("--starts", nargs="+", default=STARTS, choices=STARTS)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    cases = [(start, HEADLINE, seed) for seed in HEADLINE_SEEDS for start in options.starts]
    cases += [(start, pairs, seed) for seed in SEEDS for pairs in SIZES for start in options.starts]
    with ThreadPoolExecutor(options.workers) as pool:
        results = list(pool.map(lambda case: run(*case, options), cases))
    if set(options.starts) == set(STARTS):
        (RESULTS / "pretraining.json").write_text(json.dumps(results, indent=1) + "\n")
        (RESULTS / "pretraining.md").write_text(page(results, options))
        print(table(results))


if __name__ == "__main__":
    main()
