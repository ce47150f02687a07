"""The machine a run meets: device, precision, seeds, and what to write down about it."""

import contextlib
import ctypes
import platform
import resource
import shutil
import sys
from importlib import metadata

import torch

from rot5 import __version__, ranks
from rot5.errors import UserError, nearest

PRECISIONS = {"bf16": torch.bfloat16, "float32": torch.float32}
FAST_BF16 = ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16")
"""What `torch.cpu.get_capabilities` calls instructions that multiply in bfloat16; without them it costs two to three
times what float32 does."""

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -2, -3, -4, -8
"""Options of glibc's mallopt (malloc.h)."""


def device() -> torch.device:
    """The accelerator if there is one (of several, that of this rank), else the CPU."""
    return torch.device("cuda", ranks.local_rank()) if torch.cuda.is_available() else torch.device("cpu")


def resolved_precision(precision: str, on: torch.device) -> str:
    """What a precision is on a device: `auto` is bf16 on a GPU and on CPUs that multiply in it, else float32.

    Raises UserError for an unknown name.
    """
    if precision == "auto":
        able = torch.cpu.get_capabilities() if on.type == "cpu" else {"bf16": True}
        return "bf16" if any(able.get(name) for name in FAST_BF16) else "float32"
    if precision not in PRECISIONS:
        raise UserError(f"unknown precision {precision!r}: {nearest(precision, ['auto', *PRECISIONS])}")
    return precision


def autocast(on: torch.device, precision: str) -> contextlib.AbstractContextManager:
    """Mixed precision by name: weights stay float32, matrix products run in `precision`.

    Raises UserError for an unknown name.
    """
    precision = resolved_precision(precision, on)
    return torch.autocast(on.type, dtype=PRECISIONS[precision], enabled=precision != "float32")


def seed_everything(seed: int) -> None:
    """Fix the random numbers of initialisation and dropout. The data never draws from them."""
    torch.manual_seed(seed)


def keep_freed_memory() -> None:
    """Tell glibc to keep freed blocks for the next step instead of giving them back and faulting them in again.

    A training step on a CPU allocates the same large tensors every time. Nothing happens on other C libraries.
    """
    _mallopt({M_MMAP_MAX: 0, M_TRIM_THRESHOLD: 2**31 - 1, M_TOP_PAD: 2**28})


def give_back_freed_memory() -> None:
    """Tell glibc to give freed blocks of a megabyte back at once, so that what is resident is what is in use.

    A server's tensors change their shapes with the requests that meet, and blocks that were kept rarely fit again.
    Nothing happens on other C libraries.
    """
    _mallopt({M_MMAP_THRESHOLD: 2**20, M_TRIM_THRESHOLD: 2**24, M_ARENA_MAX: 2})


def _mallopt(options: dict[int, int]) -> None:
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        for option, value in options.items():
            library.mallopt(option, value)


def has_compiler() -> bool:
    """Whether `torch.compile` can build kernels here: a GPU, or a C++ compiler for the CPU."""
    return torch.cuda.is_available() or shutil.which("g++") is not None or shutil.which("clang++") is not None


def peak_memory_bytes() -> int:
    """The most resident memory that this process has used, in bytes.

    Linux starts getrusage's figure at the parent's peak; the status file's is the process's own.
    """
    with contextlib.suppress(OSError), open("/proc/self/status", encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def environment() -> dict:
    """Versions and hardware, for the run folder."""
    packages = ("torch", "transformers", "tokenizers", "numpy", "datasets", "rouge-score")
    return {
        "rot5": __version__,
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in packages},
        "platform": platform.platform(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else _processor(),
        "threads": torch.get_num_threads(),
    }


def _processor() -> str:
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
