"""The machine that a run meets: what a precision is on it, and what becomes of memory that is freed."""

import platform
import subprocess
import sys

import pytest
import torch

from rot5.errors import UserError
from rot5.runtime import autocast, resolved_precision

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("able", "expected"),
    [
        ({"avx512_f": True, "avx512_bf16": False, "amx_bf16": False, "architecture": "x86_64"}, "float32"),
        ({"avx512_bf16": True}, "bf16"),
        ({"avx512_bf16": False, "amx_bf16": True}, "bf16"),
        ({"architecture": "aarch64", "bf16": True}, "bf16"),
        ({}, "float32"),
    ],
)
def test_auto_is_bf16_where_the_cpu_multiplies_in_it(monkeypatch, able, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    assert resolved_precision("auto", CPU) == expected
    assert resolved_precision("auto", torch.device("cuda")) == "bf16"
    with autocast(CPU, "auto"):
        assert torch.is_autocast_enabled("cpu") == (expected == "bf16")


def test_a_precision_that_is_named_is_what_it_says(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {})
    assert resolved_precision("bf16", CPU) == "bf16" and resolved_precision("float32", CPU) == "float32"
    with pytest.raises(UserError, match="unknown precision 'fp32'"):
        resolved_precision("fp32", CPU)


FREED = """
import torch
from rot5 import runtime

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 2**20

runtime.give_back_freed_memory()
torch.empty(4 * 2**20).fill_(1)  # by itself glibc would keep blocks of this size from now on: 148 MiB
before = resident()
blocks = [torch.empty(2**19 + 2**12 * n).fill_(1) for n in range(60)]
pinned = torch.ones(300)
del blocks
print(resident() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="asks glibc")
def test_freed_memory_goes_back():
    done = subprocess.run([sys.executable, "-c", FREED], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 16, "MiB"
