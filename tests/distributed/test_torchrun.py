"""Jobs as users start them: torchrun on one host and on two, a rank that dies, and a signal to all."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from tolerances import OTHER_CUT

pytestmark = pytest.mark.slow

TORCHRUN = [sys.executable, "-m", "torch.distributed.run"]
PRETRAIN = (
    "-m rot5.cli pretrain --corpus {corpora}/stories --validation {corpora}/validation --model.preset smoke "
    "--pack.encoder_length 256 --pack.decoder_length 160 --train.batch_rows 4 --train.micro_batch_rows 2 "
    "--train.precision float32 --train.log_every 1 --train.checkpoint_every 20 --train.evaluate_every 0 "
    "--train.evaluation_examples 4 --train.optimizer.name adamw --train.optimizer.lr 1e-3 --resume"
)


def begin(words: str, place: Path, before: list[str] | None = None) -> subprocess.Popen:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with (place / "log.txt").open("ab") as log:
        return subprocess.Popen(
            [*(before or []), *TORCHRUN, *shlex.split(words)], cwd=place, stdout=log, stderr=log, env=environment
        )


def records(run: Path) -> list[dict]:
    path = run / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def losses(run: Path) -> list[float]:
    return [record["train/loss"] for record in records(run) if "train/loss" in record]


def wait_for(condition: Callable[[], bool], *jobs: subprocess.Popen) -> None:
    until = time.monotonic() + 180
    while not condition():
        assert all(job.poll() is None for job in jobs) and time.monotonic() < until
        time.sleep(0.05)


@pytest.fixture(scope="module")
def expected(corpora, tmp_path_factory) -> list[float]:
    """Losses of 60 steps on one rank."""
    place = tmp_path_factory.mktemp("alone")
    words = f"--nproc-per-node 1 {PRETRAIN.format(corpora=corpora)} --out run --train.steps 60"
    assert begin(words, place).wait(300) == 0, (place / "log.txt").read_text()[-3000:]
    return losses(place / "run")


@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_a_rank_that_dies_is_started_again_and_nothing_is_lost(corpora, tmp_path, expected, parallel):
    words = f"--nproc-per-node 2 --max-restarts 2 {PRETRAIN.format(corpora=corpora)} --out run --train.steps 60"
    job = begin(f"{words} --train.parallel {parallel}", tmp_path)
    wait_for(lambda: len(losses(tmp_path / "run")) > 25, job)
    ranks = [child for child in psutil.Process(job.pid).children() if "rot5.cli" in " ".join(child.cmdline())]
    assert len(ranks) == 2
    ranks[1].send_signal(signal.SIGKILL)
    assert job.wait(300) == 0, (tmp_path / "log.txt").read_text()[-3000:]
    found = losses(tmp_path / "run")
    assert found == pytest.approx(expected, rel=OTHER_CUT)
    assert [record["step"] for record in records(tmp_path / "run") if "train/loss" in record] == list(range(1, 61))


def test_a_rank_that_dies_takes_the_job_with_it_in_bounded_time(corpora, tmp_path):
    words = f"--nproc-per-node 2 {PRETRAIN.format(corpora=corpora)} --out run --train.steps 4000"
    job = begin(words, tmp_path)
    wait_for(lambda: len(losses(tmp_path / "run")) > 2, job)
    ranks = [child for child in psutil.Process(job.pid).children() if "rot5.cli" in " ".join(child.cmdline())]
    began = time.monotonic()
    ranks[1].send_signal(signal.SIGKILL)
    assert job.wait(60) != 0 and time.monotonic() - began < 45
    assert "the other processes are gone" in (tmp_path / "log.txt").read_text()


def test_a_signal_to_the_job_saves_one_step_on_all_ranks(corpora, tmp_path):
    words = f"--nproc-per-node 2 {PRETRAIN.format(corpora=corpora)} --out run --train.steps 4000"
    job = begin(f"{words} --train.parallel fsdp", tmp_path)
    wait_for(lambda: len(losses(tmp_path / "run")) > 2, job)
    job.send_signal(signal.SIGTERM)
    assert job.wait(60) != 0
    step = records(tmp_path / "run")[-1]["step"]
    assert f"rot5: step {step} is saved: go on with --resume" in (tmp_path / "log.txt").read_text()
    saved = [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()]
    assert max(saved) == f"step-{step:08d}"


HOSTS = ("rot5-test-a", "rot5-test-b")


@pytest.fixture
def hosts() -> Iterator[tuple[list[str], list[str]]]:
    """What to put before a command that is to run on either of two hosts, which a cable joins."""
    if os.geteuid() or not shutil.which("ip"):
        pytest.skip("network namespaces cannot be made here")
    lines = [f"netns add {name}" for name in HOSTS]
    lines += [f"link add rot5-a netns {HOSTS[0]} type veth peer name rot5-b netns {HOSTS[1]}"]
    for name, link, number in ((HOSTS[0], "rot5-a", 1), (HOSTS[1], "rot5-b", 2)):
        lines += [f"-n {name} addr add 10.77.0.{number}/24 dev {link}", f"-n {name} link set {link} up"]
        lines += [f"-n {name} link set lo up"]
    try:
        for line in lines:
            if subprocess.run(["ip", *line.split()], capture_output=True).returncode:
                pytest.skip(f"ip {line} is not allowed here")
        yield tuple(["ip", "netns", "exec", name] for name in HOSTS)
    finally:
        for name in HOSTS:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)


def test_two_hosts_train_what_one_rank_trains(corpora, tmp_path, expected, hosts):
    """Each in a network of its own, with nothing in common but a cable and the file system."""
    meet = "--nnodes 2 --nproc-per-node 1 --rdzv-backend c10d --rdzv-endpoint 10.77.0.1:29411 --rdzv-id test"
    words = f"{meet} {PRETRAIN.format(corpora=corpora)} --out run --train.steps 60 --train.parallel fsdp"
    jobs = []
    for number, (host, link) in enumerate(zip(hosts, ("rot5-a", "rot5-b"), strict=True), start=1):
        environment = ["env", f"GLOO_SOCKET_IFNAME={link}"]
        own = f"--local-addr 10.77.0.{number} --rdzv-conf is_host={int(number == 1)}"
        jobs.append(begin(f"{own} {words}", tmp_path, [*host, *environment]))
    codes = [job.wait(300) for job in jobs]
    assert codes == [0, 0], (tmp_path / "log.txt").read_text()[-3000:]
    assert losses(tmp_path / "run") == pytest.approx(expected, rel=OTHER_CUT)


def test_tuning_and_evaluation_are_shared_out(corpora, tmp_path):
    """Two ranks tune what one tunes, and the evaluation of a model by two is that by one, to the last digit."""
    tune = (
        f"-m rot5.cli finetune --pairs {corpora}/pairs --validation {corpora}/held-out --model.preset smoke "
        "--pack.encoder_length 256 --pack.decoder_length 160 --train.steps 3 --train.batch_rows 4 "
        "--train.micro_batch_rows 2 --train.precision float32 --train.log_every 1 --summaries 5 --max_new_tokens 12 "
        "--train.optimizer.name adamw"
    )
    for count, how in ((1, "ddp"), (2, "fsdp")):
        words = f"--nproc-per-node {count} {tune} --out tuned-{count} --train.parallel {how}"
        assert begin(words, tmp_path).wait(200) == 0, (tmp_path / "log.txt").read_text()[-3000:]
    assert losses(tmp_path / "tuned-2") == pytest.approx(losses(tmp_path / "tuned-1"), rel=OTHER_CUT)
    found = []
    for count in (1, 2):
        words = f"--nproc-per-node {count} -m rot5.cli evaluate tuned-1 --data {corpora}/held-out --summaries 7"
        job = begin(f"{words} --max_new_tokens 12 --out found-{count}", tmp_path)
        assert job.wait(200) == 0, (tmp_path / "log.txt").read_text()[-3000:]
        found.append([(tmp_path / f"found-{count}" / name).read_text() for name in ("eval.json", "samples.jsonl")])
    assert found[0] == found[1] and found[0][1].count("\n") == 7
