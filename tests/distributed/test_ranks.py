"""Several ranks train what one trains, whatever each of them holds."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
SAME = 1e-5
"""Greatest relative difference of a step's loss between numbers of ranks, in float32."""


def matrix(*words: str) -> dict[str, float]:
    command = [sys.executable, "-m", "distributed.matrix", *words]
    done = subprocess.run(command, cwd=TESTS, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])["furthest"]


ADAMW = "--train.optimizer.name adamw --train.optimizer.lr 1e-3"
EXPERTS = f"{ADAMW} --model.num_experts 4 --model.router_bias_update_rate 0.01"


def test_two_ranks_train_what_one_trains_and_one_takes_up_what_two_have_saved():
    """With experts, whose selection biases move by the loads of all rows and stay the same on every rank."""
    found = matrix("--steps", "4", "--most", "2", "--settings", EXPERTS)
    assert set(found) == {"ddp on 2", "fsdp on 2", "fsdp on 2, then on 1"}
    assert max(found.values()) < SAME, found


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["muon", "muon --model.num_experts 4", "adamw_rms"])
def test_other_optimizers_know_sharded_tensors(optimizer):
    """Muon's iterations are in bfloat16, whose rounding depends on the parts that sums are made of."""
    found = matrix("--steps", "6", "--most", "2", "--settings", f"--train.optimizer.name {optimizer}")
    assert max(found.values()) < (1e-4 if optimizer.startswith("muon") else SAME), found


@pytest.mark.slow
def test_one_two_and_three_ranks_agree_over_fifty_steps():
    found = matrix("--steps", "50", "--most", "3")
    assert len(found) == 6 and max(found.values()) < SAME, found
