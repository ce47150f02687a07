"""transformers' T5 in a process of its own, which allocates as anybody's does: steps on demand, and its peak.

The process is started with a file that says what to train, and says when it is ready. Each line of its input asks for
a step on the next batch and is answered with its seconds; the end of the input is answered with the most bytes it had.
"""

import contextlib
import json
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from itertools import cycle
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch

from rot5 import runtime
from rot5.bench.one_shape import folded
from rot5.bench.peers import PaddedBatch, PeerStep, t5_of
from rot5.bench.steps import peak_bytes
from rot5.model.configuration_rot5 import Rot5Config


@dataclass(frozen=True, kw_only=True)
class Peer:
    """What to train: a shape of ours, and how transformers does it."""

    shape: dict[str, Any]
    """A `Rot5Config` as a dict; ids of the batches are folded into its vocabulary."""
    attention: str
    dropout: bool = False
    """Whether T5 drops out as it does by default."""
    checkpointing: bool = False
    """Whether activations are computed again in the backward pass."""


class PeerProcess:
    """The process, ready to take steps: a context that ends it."""

    def __init__(self, peer: Peer, batches: list[PaddedBatch]):
        """Raises RuntimeError, as all that asks does, if the process dies."""
        self._folder = tempfile.TemporaryDirectory(prefix="rot5-bench-")
        task, self._log = Path(self._folder.name) / "task.npz", Path(self._folder.name) / "log"
        write_task(task, peer, batches)
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "rot5.bench.one_peer", str(task)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self._answer()

    def __enter__(self) -> "PeerProcess":
        return self

    def __exit__(self, *_: object) -> None:
        with self._process:  # closes its pipes and waits for it
            self._process.kill()
        self._folder.cleanup()

    def step(self) -> float:
        """Seconds of a step on the next batch."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write("\n")
            self._process.stdin.flush()
        return float(self._answer())

    def finish(self) -> int:
        """The most bytes that the process had."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        return int(self._answer())

    def _answer(self) -> str:
        assert self._process.stdout is not None
        if answer := self._process.stdout.readline():
            return answer
        raise RuntimeError(f"transformers' T5 died: {self._log.read_text()[-2000:]}")


def write_task(path: Path, peer: Peer, batches: list[PaddedBatch]) -> None:
    """Write a file that tells `main` what to do."""
    arrays = {
        f"{number}/{name}": tensor.cpu().numpy()
        for number, batch in enumerate(batches)
        for name, tensor in batch.fields.items()
    }
    np.savez(path, peer=json.dumps(asdict(peer)), **arrays)  # type: ignore[arg-type]


def main(task: str, asked: IO[str]) -> None:
    """Answer what is asked, line by line; behind the last batch comes the first."""
    batches: dict[str, dict[str, np.ndarray]] = {}
    with np.load(task) as saved:
        peer = Peer(**json.loads(str(saved["peer"])))
        for key in saved.files[1:]:
            number, name = key.split("/")
            batches.setdefault(number, {})[name] = saved[key]
    shape = Rot5Config.from_dict(peer.shape)
    model = t5_of(shape, peer.attention, dropout=peer.dropout)
    if peer.checkpointing:
        model.gradient_checkpointing_enable()
    step = PeerStep(model, shape)
    print("ready", flush=True)
    for fields, _ in zip(cycle(batches.values()), asked, strict=False):
        print(step.turn(_batch(fields, shape.vocab_size)).seconds, flush=True)
    print(peak_bytes())


def _batch(fields: dict[str, Any], vocab_size: int) -> PaddedBatch:
    tensors = {name: torch.from_numpy(array).to(runtime.device()) for name, array in folded(fields, vocab_size).items()}
    sides = (fields["attention_mask"].sum(1), (fields["labels"] >= 0).sum(1))
    return PaddedBatch(tensors, *sides, story_tokens=0)


if __name__ == "__main__":
    main(sys.argv[1], sys.stdin)
