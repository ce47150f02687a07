"""A few commands killed on the way; `make faults` kills hundreds."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("verbs", "kills"),
    [("pretrain", 2), pytest.param("prepare,pretrain,finetune,evaluate", 8, marks=pytest.mark.slow)],
)
def test_commands_that_were_killed_end_as_if_nothing_had_happened(verbs, kills):
    words = [sys.executable, "-m", "faults.crashes", "--kills", str(kills), "--seed", "1", "--verbs", verbs]
    tests = Path(__file__).parents[1]
    done = subprocess.run(words, cwd=tests, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr[-3000:]
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["failed"] == []
    assert sum(result["kills"].values()) >= kills and set(result["kills"]) == set(verbs.split(","))
