"""Input from strangers, by the million: each is taken or refused in one line, and nothing else happens.

    python -m faults.fuzz --minutes 30 --seed 0 --out fuzz.json     (in tests/)
    python -m faults.fuzz --seed 0 --replay tables:1234

Case n of a target is a pure function of (seed, target, n). The targets take turns in one process, which may use so much
memory and time per case, and no more; if it dies all the same, the case it died of is noted and another one goes on.
The last line of output is JSON.
"""

import argparse
import contextlib
import json
import mmap
import os
import platform
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
from faults.targets import TARGETS
from faults.world import Target, World
from transformers.utils import logging

from rot5.errors import LONGEST, UserError

SECONDS = 10.0
"""That a case may take."""
MEMORY = 4 * 2**30
"""Bytes that a case may take, beyond what the process has."""
TURN = 0.5
"""Seconds of a target before the next one has its turn."""
TOLD = 3
"""Failures of one kind that are told."""

INPUTS, ACCEPTED, REFUSED, FAILED, MICROSECONDS = range(5)


class Hanging(BaseException):
    """A case takes too long."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--inputs", type=int, default=sys.maxsize, help="end after so many, if the minutes allow")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--targets", nargs="+", choices=TARGETS, default=list(TARGETS))
    parser.add_argument("--replay", metavar="TARGET:NUMBER", help="show one input and what comes of it")
    parser.add_argument("--out", type=Path)
    settings = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=_memory_disk()) as folder:
        world = World(Path(folder))
        if settings.replay:
            replay(world, settings.seed, *settings.replay.split(":"))
            return
        targets = {name: TARGETS[name] for name in settings.targets}
        found = fuzz(world, targets, settings.seed, 60 * settings.minutes, settings.inputs)
    if settings.out:
        settings.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(found))
    sys.exit(bool(found["failed"]))


def _memory_disk() -> str | None:
    """A place for files that no disk slows down, where there is one."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def attempt(world: World, target: Target, name: str, seed: int, number: int) -> bool:
    """Try case `number` of a target: whether it is taken, or else refused. Raises whatever is a failure."""
    given = target.make(world, Random(f"{seed} {name} {number}"))
    try:
        target.check(world, given)
    except UserError as refusal:
        check_refusal(str(refusal))
        return False
    except OSError as refusal:  # the command line tells it in one line, with the file
        if refusal.strerror is None or refusal.filename is None:
            raise
        return False
    return True


def check_refusal(words: str) -> None:
    """A complaint is one line that can be read."""
    assert len(words.splitlines()) == 1 and words.strip(), f"no line: {words[:200]!r}"
    assert len(words) <= LONGEST + 2, f"{len(words)} characters: {words[:200]!r}"


def replay(world: World, seed: int, name: str, number: str) -> None:
    """Print an input and what comes of it."""
    print(TARGETS[name].make(world, Random(f"{seed} {name} {number}")))
    with _limits():
        print("taken" if attempt(world, TARGETS[name], name, seed, int(number)) else "refused")


def fuzz(
    world: World, targets: Mapping[str, Target], seed: int, seconds: float, inputs: int = sys.maxsize
) -> dict[str, Any]:
    """Try cases of all targets for so long, or so many; what was tried, and what failed."""
    shared = mmap.mmap(-1, 8 * (1 + 5 * len(targets)))
    busy = np.frombuffer(shared, np.int64, 1)
    tally = np.frombuffer(shared, np.int64, offset=8).reshape(len(targets), 5)
    log = world.folder / "failures.jsonl"
    log.touch()
    end = time.monotonic() + seconds
    began = time.monotonic()
    while time.monotonic() < end and tally[:, INPUTS].sum() < inputs:
        child = os.fork()
        if not child:
            _work(world, targets, seed, end, inputs, busy, tally, log)
        if how := _outcome(child, tally):
            name, row = list(targets)[busy[0]], tally[busy[0]]
            row[FAILED] += 1
            _note(log, name, seed, int(row[INPUTS]) - 1, how)
    told = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    return {
        "seed": seed,
        "minutes": round((time.monotonic() - began) / 60, 2),
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        "inputs": int(tally[:, INPUTS].sum()),
        "failed": int(tally[:, FAILED].sum()),
        "targets": {name: _told(row) for name, row in zip(targets, tally.tolist(), strict=True)},
        "failures": told,
    }


def _told(row: list[int]) -> dict[str, int]:
    """The figures of a target."""
    names = ("inputs", "accepted", "refused", "failed")
    return dict(zip(names, row, strict=False)) | {"per_second": round(1e6 * row[INPUTS] / max(1, row[MICROSECONDS]))}


def _outcome(child: int, tally: np.ndarray) -> str:
    """What a process died of; nothing if it came to its end. One that stands still is killed."""
    before, since = tally[:, INPUTS].sum(), time.monotonic()
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            code = os.waitstatus_to_exitcode(status)
            return "" if not code else f"the process died: {signal.Signals(-code).name if code < 0 else f'exit {code}'}"
        if (now := tally[:, INPUTS].sum()) != before:
            before, since = now, time.monotonic()
        elif time.monotonic() - since > 3 * SECONDS:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.05)


def _work(world, targets, seed, end, inputs, busy, tally, log) -> None:
    """Try cases, target by target, until time or inputs are over; ends the process."""
    try:
        logging.set_verbosity_error()
        logging.disable_progress_bar()
        warnings.simplefilter("ignore")
        kinds: Counter[str] = Counter()
        with _silence(), _limits():
            while time.monotonic() < end and tally[:, INPUTS].sum() < inputs:
                for place, (name, target) in enumerate(targets.items()):
                    busy[0] = place
                    began = time.monotonic()
                    while time.monotonic() < began + TURN and tally[:, INPUTS].sum() < inputs:
                        number = int(tally[place, INPUTS])
                        tally[place, INPUTS] += 1
                        try:
                            with _in_time():
                                taken = attempt(world, target, name, seed, number)
                            tally[place, ACCEPTED if taken else REFUSED] += 1
                        except BaseException as failure:
                            tally[place, FAILED] += 1
                            kinds[kind := _kind(failure)] += 1
                            if kinds[kind] <= TOLD:
                                _note(log, name, seed, number, "".join(traceback.format_exception(failure)))
                    tally[place, MICROSECONDS] += int(1e6 * (time.monotonic() - began))
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def _kind(failure: BaseException) -> str:
    """Failures of one type at one place are of one kind."""
    frames = traceback.extract_tb(failure.__traceback__)
    ours = [frame for frame in frames if "rot5" in frame.filename or "faults" in frame.filename] or frames
    return f"{type(failure).__name__} {ours[-1].filename}:{ours[-1].lineno}"


def _note(log: Path, name: str, seed: int, number: int, how: str) -> None:
    """Keep a failure, with the last lines of how it came."""
    lines = [line[:300] for line in how.strip().splitlines()[-12:]]
    with log.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"target": name, "seed": seed, "number": number, "failure": lines}) + "\n")


@contextlib.contextmanager
def _limits() -> Iterator[None]:
    """Little memory beyond what there is, and an end to what hangs."""
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Nothing is read from the terminal and nothing written to it."""
    nothing, kept = os.open(os.devnull, os.O_RDWR), [os.dup(stream) for stream in range(3)]
    for stream in range(3):
        os.dup2(nothing, stream)
    try:
        yield
    finally:
        for stream, before in enumerate(kept):
            os.dup2(before, stream)


@contextlib.contextmanager
def _in_time() -> Iterator[None]:
    """Raise `Hanging` where the block takes too long."""

    def hang(signum, frame) -> None:
        raise Hanging

    signal.signal(signal.SIGALRM, hang)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


if __name__ == "__main__":
    main()
