"""Do all experts work? Trains a mixture of experts without balancing, with the balance loss, and with selection biases.

    python scripts/experts_balance.py --data runs/tinystories/data --out runs/experts --workers 2

`--data` holds `train` and `valid`, prepared from TinyStories as the README shows. Runs what is missing (a run with an
`eval.json` is done), then writes `experts.md` and `.json` in `docs/results`.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rot5.train.run_folder import RunFolder, read_jsonl

STEPS = 300
LAST_LINES = 5
"""Lines of metrics, ten steps apart, that the figures are means of."""
EXPERTS = 8
METHODS = {
    "none": "--model.router_aux_loss_coef 0 --model.router_z_loss_coef 0",
    "balance loss": "--model.router_aux_loss_coef 0.3 --model.router_z_loss_coef 0.001",
    "selection bias": "--model.router_aux_loss_coef 0 --model.router_z_loss_coef 0.001 "
    "--model.router_bias_update_rate 0.02",
}
RESULTS = Path(__file__).resolve().parent.parent / "docs" / "results"


def folder(method: str, out: Path) -> Path:
    return out / method.replace(" ", "-")


def command(method: str, data: Path, out: Path) -> list[str]:
    """One run."""
    words = f"pretrain --corpus {data}/train --validation {data}/valid --out {folder(method, out)} --model.preset 5m "
    words += f"--model.num_experts {EXPERTS} {METHODS[method]} --train.steps {STEPS} --train.batch_rows 8 "
    words += "--train.micro_batch_rows 8 --train.optimizer.name adamw --train.optimizer.lr 2e-3 "
    words += "--train.schedule.name cosine --train.evaluate_every 100 "
    words += f"--train.evaluation_examples 300 --train.checkpoint_every {STEPS} --train.keep_checkpoints 1"
    return words.split()


def run(method: str, options: argparse.Namespace) -> None:
    """Train if it was not done yet."""
    run_folder = folder(method, options.out)
    if "likelihood" in RunFolder(run_folder).evaluation():
        return
    words = [sys.executable, "-m", "rot5.cli", *command(method, options.data, options.out), "--overwrite"]
    with run_folder.with_suffix(".log").open("w") as log:
        threads = {**os.environ, "OMP_NUM_THREADS": str(max(1, len(os.sched_getaffinity(0)) // options.workers))}
        subprocess.run(words, check=True, stdout=log, stderr=subprocess.STDOUT, env=threads)
    print(method, flush=True)


def figures(method: str, out: Path) -> dict:
    """Loads of each layer at the end (means of the last lines of metrics), and the losses."""
    run_folder = RunFolder(folder(method, out))
    lines = [line for line in read_jsonl(run_folder.metrics_file) if "train/loss" in line][-LAST_LINES:]
    layers = sorted({key.split("/")[1] for key in lines[0] if key.startswith("router/")})

    def mean(layer: str, name: str) -> float:
        return statistics.mean(line[f"router/{layer}/{name}"] for line in lines)

    return {
        "method": method,
        "layers": {layer: {name: mean(layer, name) for name in ("max_load", "min_load", "entropy", "dead_experts")}
                   for layer in layers},
        "train_loss": statistics.mean(line["train/loss"] for line in lines),
        "bits_per_byte": run_folder.evaluation()["likelihood"]["overall"]["bits_per_byte"],
    }  # fmt: skip


def page(results: list[dict], options: argparse.Namespace) -> str:
    """The text of `docs/results/experts.md`."""
    environment = json.loads((folder("none", options.out) / "environment.json").read_text())
    last = read_jsonl(RunFolder(folder("none", options.out)).metrics_file)[-1]
    lines = [
        "| balancing | highest load, worst layer | highest load, mean | lowest load, worst layer | idle experts |"
        " bits per byte |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for result in results:
        layers = result["layers"].values()
        score = result["bits_per_byte"]
        lines.append(
            f"| {result['method']} | {max(each['max_load'] for each in layers):.2f}"
            f" | {statistics.mean(each['max_load'] for each in layers):.2f}"
            f" | {min(each['min_load'] for each in layers):.2f}"
            f" | {sum(each['dead_experts'] for each in layers):.1f} of {EXPERTS * len(layers)}"
            f" | {score['mean']:.3f} ({score['low']:.3f} to {score['high']:.3f}) |"
        )
    table = "\n".join(lines)
    commands = "\n".join(" ".join(["rot5", *command(method, options.data, options.out)]) for method in METHODS)
    return f"""# Experts at work

Written by `scripts/experts_balance.py`. Measured on {environment["device"]}, torch {environment["torch"]}.

The `5m` preset with {EXPERTS} experts, top-1, in every layer of both stacks, {STEPS} steps on TinyStories
({last["story_tokens"]:,} story tokens), one seed. Loads are in units of the mean load, so that 1 is even and {EXPERTS}
is one expert doing all the work; they are means over the last {LAST_LINES} lines of metrics, each of one step. An idle
expert has less than a tenth of the mean load. Bits per byte are of the validation set, with 95 % intervals over
documents.

{table}

What this shows: without balancing some experts do most of the work of a layer and others none; either method keeps all
of them at work. What it does not show: which is better for the loss. {STEPS} steps of one seed are too few for that: so
early, the collapsed model is not yet the worse one.

```bash
{commands}
```
"""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", type=Path, default=Path("runs/tinystories/data"))
    options.add_argument("--out", type=Path, default=Path("runs/experts"))
    options.add_argument("--workers", type=int, default=2)
    chosen = options.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(chosen.workers) as pool:
        list(pool.map(lambda method: run(method, chosen), METHODS))
    results = [figures(method, chosen.out) for method in METHODS]
    (RESULTS / "experts.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    (RESULTS / "experts.md").write_text(page(results, chosen), encoding="utf-8")
    print(RESULTS / "experts.md")


if __name__ == "__main__":
    main()
