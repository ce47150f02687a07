"""Signals: a training run finishes its step, saves and says so; everything else ends at once; nothing is lost."""

import json
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PRETRAIN = (
    "pretrain --corpus {corpora}/stories --validation {corpora}/validation --out run --model.preset smoke "
    "--pack.encoder_length 256 --pack.decoder_length 160 --train.steps 4000 --train.batch_rows 2 "
    "--train.micro_batch_rows 2 --train.log_every 1 --train.checkpoint_every 9999 --train.evaluation_examples 4"
)


def begin(words: str, folder: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "rot5.cli", *shlex.split(words)], cwd=folder, stderr=subprocess.PIPE, text=True,
        stdout=subprocess.DEVNULL, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip


def records(folder: Path) -> list[dict]:
    path = folder / "run" / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def wait_for(condition, process: subprocess.Popen) -> None:
    until = time.monotonic() + 120
    while not condition():
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("by", "code"), [(signal.SIGTERM, 143), pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow)]
)
def test_a_run_is_saved_when_it_is_stopped_and_lets_no_second_one_in(corpora, tmp_path, rot5, monkeypatch, by, code):
    words = PRETRAIN.format(corpora=corpora)
    monkeypatch.chdir(tmp_path)
    with begin(words, tmp_path) as run:
        wait_for(lambda: len(records(tmp_path)) > 2, run)
        refused = rot5(*shlex.split(words), "--resume")
        assert refused.code == 2 and f"is held by process {run.pid} on " in refused.err
        assert rot5("doctor", "run").out.rstrip().endswith("wait: the run goes on")
        run.send_signal(by)
        assert run.wait(60) == code
        assert run.stderr is not None
        told = run.stderr.read().splitlines()[-1]
    last = records(tmp_path)[-1]["step"]
    assert told == f"rot5: step {last} is saved: go on with --resume"
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == [f"step-{last:08d}"]
    assert not (tmp_path / "run" / "lock").exists()
