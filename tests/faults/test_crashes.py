"""A few commands killed on the way; `make faults` kills hundreds."""

import json
import subprocess
import sys
from pathlib import Path


def test_commands_that_were_killed_end_as_if_nothing_had_happened():
    words = [sys.executable, "-m", "faults.crashes", "--kills", "8", "--seed", "1"]
    tests = Path(__file__).parents[1]
    done = subprocess.run(words, cwd=tests, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr[-3000:]
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["failed"] == []
    assert sum(result["kills"].values()) >= 8 and len(result["kills"]) == 4
