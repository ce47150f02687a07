"""Commands that are killed on the way and taken up again must end as if nothing had happened.

    python -m faults.crashes --kills 200 --seed 0     (in tests/)

Every case is a fresh folder in which a verb is called as a user calls it, in a process of its own that gets a signal at
a random moment, perhaps several times; called once more with --resume it is let run to its end, and what it left is
compared with what the same command leaves undisturbed: bit by bit, but for times. The last line of output is JSON.
"""

import argparse
import hashlib
import json
import os
import random
import shlex
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ["TQDM_DISABLE"] = "1"

from forked import call
from safetensors.numpy import load_file

from rot5.data import preparing

TIMED = ("seconds", "speed/story_tokens_per_second", "speed/model_flops_per_second", "data/wait_share")
UNLIKE = ("environment.json", "report.html")
"""Files that tell times and places of their making."""
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
MOST_KILLS = 3
"""Of one case."""


class Case(NamedTuple):
    """A command, relative to its folder, and what it writes there."""

    verb: str
    words: str
    out: str


MODEL = "--model.preset smoke --pack.encoder_length 256 --pack.decoder_length 160 --train.batch_rows 2"
LOOP = (
    "--train.micro_batch_rows 1 --train.evaluate_every 3 --train.evaluation_examples 4 --train.log_every 2 "
    "--train.checkpoint_every 2"
)
CASES = (
    Case("prepare", "text.txt --prune true --num_sentinels 64 --out corpus", "corpus"),
    Case("prepare", "text.txt --tokenizer ../data/stories --out corpus --parts.number 3 --parts.workers 2", "corpus"),
    Case("prepare", "storyworld --pairs true --source.limit 400 --tokenizer ../data/stories --out pairs", "pairs"),
    Case(
        "pretrain",
        f"--corpus ../data/stories --validation ../data/validation --out run {MODEL} {LOOP} --train.steps 7 "
        "--model.dropout_rate 0.1",
        "run",
    ),
    Case(
        "pretrain",
        f"--corpus ../data/stories --validation ../data/validation --out run {MODEL} {LOOP} --train.steps 5 "
        "--model.num_experts 4 --model.router_bias_update_rate 0.1 --train.optimizer.name adamw",
        "run",
    ),
    Case(
        "finetune",
        f"--init ../data/model --pairs ../data/pairs --validation ../data/held-out --out run {MODEL} {LOOP} "
        "--train.steps 5 --summaries 3 --max_new_tokens 12",
        "run",
    ),
    Case("evaluate", "../data/model --data ../data/held-out --summaries 4 --max_new_tokens 16 --out found", "found"),
    Case("study", "study.yaml --out study --runs runs", "runs"),
)

STUDY = """
about: two optimizers
pretrain:
  corpus: ../data/stories
  validation: ../data/validation
  model: {preset: smoke}
  pack: {encoder_length: 256, decoder_length: 160}
  train: {steps: 4, batch_rows: 2, micro_batch_rows: 2, evaluation_examples: 4, checkpoint_every: 1}
variants:
  muon: {}
  adamw: {pretrain: {train: {optimizer: {name: adamw, lr: 0.002}}}}
seeds: [0]
baseline: muon
"""


def begin(folder: Path) -> None:
    """What a case finds in its folder."""
    folder.mkdir()
    shutil.copy(folder.parent / "data" / "text.txt", folder)
    (folder / "study.yaml").write_text(STUDY)


def outcome(folder: Path) -> dict[str, str]:
    """Every file below a folder and a digest of what in it must not differ."""
    return dict(sorted(_digests(folder)))


def _digests(folder: Path) -> Iterator[tuple[str, str]]:
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_dir() or path.name in UNLIKE or "/logs/" in f"/{name}":
            continue
        data = path.read_bytes()
        if path.name == "metrics.jsonl":
            data = "\n".join(json.dumps(_timeless(json.loads(line))) for line in data.splitlines()).encode()
        elif path.name == "state.json":
            state = json.loads(data)
            state["loop"] = {key: value for key, value in state["loop"].items() if not _is_time(key)}
            data = json.dumps(state).encode()
        elif path.suffix == ".safetensors":
            data = repr(sorted(_tensors(path))).encode()
        elif path.name == "manifest.json" and path.parent.name.startswith("step-"):
            data = json.dumps(sorted(json.loads(data))).encode()
        yield name, hashlib.sha256(data).hexdigest()


def _tensors(path: Path) -> Iterator[tuple]:
    """Of each tensor its name, type, shape and bytes; in a file they may stand in any order."""
    for name, tensor in load_file(path).items():
        yield name, str(tensor.dtype), tensor.shape, hashlib.sha256(tensor.tobytes()).hexdigest()


def _timeless(record: dict) -> dict:
    return {key: value for key, value in record.items() if key not in TIMED}


def _is_time(key: str) -> bool:
    return key in ("seconds", "window_seconds", "window_wait")


def differences(expected: dict[str, str], found: dict[str, str], by_request: bool) -> list[str]:
    """Files that differ, are missing, or should not be there.

    Where a command was stopped `by_request` it has saved a step that is none of the usual ones.
    """
    names = expected.keys() | found.keys()
    if by_request:
        steps = {f"/{name}".partition("/checkpoints/")[2].partition("/")[0] for name in names}
        last = max(steps)
        names = {name for name in names if "checkpoints/" not in name or f"/{last}/" in name}
    return sorted(name for name in names if expected.get(name) != found.get(name))


class Harness:
    """A place with data and a model, and what every case leaves there undisturbed."""

    def __init__(self, place: Path):
        self.place = place
        self.expected: dict[Case, dict[str, str]] = {}
        self.seconds: dict[Case, float] = {}
        data = place / "data"
        data.mkdir(parents=True)
        prepared = (
            "prepare storyworld --source.limit 200 --prune true --num_sentinels 64 --out stories",
            "prepare storyworld --source.limit 30 --source.split test --tokenizer stories --out validation",
            "prepare storyworld --pairs true --source.limit 40 --tokenizer stories --out pairs",
            "prepare storyworld --pairs true --source.limit 6 --source.split held_out --tokenizer stories "
            "--out held-out",
            "stories 300 --out text.txt",
            f"pretrain --corpus stories --validation validation --out model {MODEL} {LOOP} --train.steps 1",
        )
        for line in prepared:
            code, _ = call(shlex.split(line), data)
            assert code == 0, (data / "log.txt").read_text()

    def _waits_for_another(self, folder: Path) -> bool:
        """Whether a run that a killed study has left behind is still at work."""
        return "is held by" in (folder / "log.txt").read_text().splitlines()[-1]

    def measure(self, case: Case) -> None:
        """Run a case undisturbed."""
        folder = self.place / f"undisturbed-{len(self.expected)}"
        begin(folder)
        code, self.seconds[case] = call([case.verb, *shlex.split(case.words)], folder)
        assert code == 0, (folder / "log.txt").read_text()
        self.expected[case] = outcome(folder / case.out)

    def disturb(self, case: Case, number: int, draw: random.Random) -> dict:
        """Run a case, kill it once or several times, take it up, and compare."""
        folder = self.place / f"case-{number}"
        begin(folder)
        words, kills, codes = [case.verb, *shlex.split(case.words)], 0, []
        by_request = False
        for turn in range(draw.randint(1, MOST_KILLS)):
            by = draw.choice(SIGNALS)
            again = ["--resume"] if turn else []
            code, _ = call(words + again, folder, draw.uniform(0, 1.05 * self.seconds[case]), by)
            if code == 2 and self._waits_for_another(folder):
                break
            codes.append(code)
            if not code:
                break
            kills += 1
            by_request |= by != signal.SIGKILL
        code, _ = call([*words, "--resume"], folder)
        while code == 2 and self._waits_for_another(folder):
            time.sleep(0.2)
            code, _ = call([*words, "--resume"], folder)
        found = outcome(folder / case.out) if (folder / case.out).is_dir() else {}
        wrong = differences(self.expected[case], found, by_request)
        left = [path.name for path in folder.rglob("*") if path.name.startswith(("partial-", "old-", "lock"))]
        unlike = [each for each in codes if each not in (0, -signal.SIGKILL, 128 + signal.SIGTERM, 128 + signal.SIGINT)]
        result = {"verb": case.verb, "kills": kills, "codes": codes}
        if code or wrong or left or unlike:
            log = (folder / "log.txt").read_text()[-2000:]
            return result | {"code": code, "wrong": wrong, "left": left, "log": log}
        shutil.rmtree(folder)
        return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--verbs", default="prepare,pretrain,finetune,evaluate")
    settings = parser.parse_args()
    preparing._TOKENS_PER_NOTE = 3000
    preparing._CHARACTERS_PER_BATCH = 8000
    draw = random.Random(settings.seed)
    kills: Counter[str] = Counter()
    failed: list[dict] = []
    cases = 0
    with tempfile.TemporaryDirectory() as folder:
        harness = Harness(Path(folder) / "place")
        verbs = settings.verbs.split(",")
        chosen = [case for case in CASES if case.verb in verbs]
        for case in chosen:
            harness.measure(case)
        while (sum(kills.values()) < settings.kills or len(kills) < len(verbs)) and len(failed) < 5:
            case = chosen[cases % len(chosen)]
            result = harness.disturb(case, cases, draw)
            cases += 1
            if result["kills"]:
                kills[result["verb"]] += result["kills"]
            if "wrong" in result:
                failed.append(result)
                print(json.dumps(result, indent=1), file=sys.stderr, flush=True)
    print(json.dumps({"cases": cases, "kills": dict(kills), "failed": failed}))


if __name__ == "__main__":
    main()
