"""The same run on one, two and three ranks, sharded or not, and taken up on another number of them.

    python -m distributed.matrix --steps 50     (in tests/)

Prints, as JSON, the greatest relative difference of any step's loss from that of one rank, run by run.
"""

import argparse
import json
import os
import shlex
import shutil
import socket
import tempfile
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

from forked import start

DATA = (
    "prepare storyworld --source.limit 300 --prune true --num_sentinels 64 --out stories",
    "prepare storyworld --source.limit 12 --source.split test --tokenizer stories --out validation",
)
RUN = (
    "pretrain --corpus ../stories --validation ../validation --model.preset smoke --pack.encoder_length 256 "
    "--pack.decoder_length 160 --train.batch_rows 6 --train.micro_batch_rows 1 --train.precision float32 "
    "--train.log_every 1 --train.evaluation_examples 7 --train.keep_checkpoints 99"
)


def together(words: list[str], folder: Path, count: int) -> list[int]:
    """Call `rot5` on so many ranks; their exit codes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": str(count)}
    children = [start(words, folder, {**meeting, "RANK": str(n), "LOCAL_RANK": str(n)}) for n in range(count)]
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


def losses(run: Path) -> dict[str, list[float]]:
    """Losses of training and of evaluation, in the order of steps."""
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    keys = ("train/loss", "optim/gradient_norm", "eval/loss")
    found = {key: [record[key] for record in records if key in record] for key in keys}
    return found | {"final": [json.loads((run / "eval.json").read_text())["likelihood"]["overall"]["loss"]["mean"]]}


def furthest(expected: dict[str, list[float]], found: dict[str, list[float]]) -> float:
    """The greatest relative difference of two runs' losses."""
    return max(
        abs(a - b) / abs(a)
        for key in expected
        if key != "optim/gradient_norm"
        for a, b in zip(expected[key], found[key], strict=True)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--most", type=int, default=3)
    parser.add_argument("--settings", default="--train.optimizer.name adamw --train.optimizer.lr 1e-3")
    chosen = parser.parse_args()
    half = chosen.steps // 2
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for line in DATA:
            assert together(shlex.split(line), place, 1) == [0], (place / "log.txt").read_text()

        def run(name: str, count: int, more: str) -> dict[str, list[float]]:
            inside = place / name
            inside.mkdir(exist_ok=True)
            every = f"--train.steps {chosen.steps} --train.evaluate_every {half} --train.checkpoint_every {half}"
            codes = together(shlex.split(f"{RUN} {every} {chosen.settings} --out run {more}"), inside, count)
            assert codes == [0] * count, (inside / "log.txt").read_text()[-4000:]
            return losses(inside / "run")

        alone = run("alone", 1, "")
        found = {}
        for how in ("ddp", "fsdp"):
            for count in range(2, chosen.most + 1):
                name = f"{how} on {count}"
                found[name] = furthest(alone, run(name, count, f"--train.parallel {how}"))
        for count in (1, *range(3, chosen.most + 1)):
            name = f"fsdp on 2, then on {count}"
            shutil.copytree(place / "fsdp on 2", place / name)
            shutil.rmtree(place / name / "run" / "checkpoints" / f"step-{chosen.steps:08d}")
            found[name] = furthest(alone, run(name, count, "--train.parallel fsdp --resume"))
    print(json.dumps({"steps": chosen.steps, "settings": chosen.settings, "furthest": found}))


if __name__ == "__main__":
    main()
