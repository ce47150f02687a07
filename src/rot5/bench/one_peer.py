"""Peak memory and step times of transformers' T5, in a process of its own: run with a file that says what to train."""

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rot5 import runtime
from rot5.bench.one_shape import folded, shape_of
from rot5.bench.peers import PaddedBatch, PeerStep, t5_of
from rot5.bench.steps import peak_bytes


@dataclass(frozen=True, kw_only=True)
class Peer:
    """What to train: the shape of a preset, and how transformers does it."""

    preset: str
    attention: str
    checkpointing: bool = False
    """Whether activations are computed again in the backward pass."""


def write_task(path: Path, peer: Peer, batches: list[PaddedBatch]) -> None:
    """Write a file that tells `main` what to do."""
    arrays = {
        f"{number}/{name}": tensor.cpu().numpy()
        for number, batch in enumerate(batches)
        for name, tensor in batch.fields.items()
    }
    np.savez(path, peer=json.dumps(asdict(peer)), **arrays)  # type: ignore[arg-type]


def main(task: str) -> None:
    """Take a step on each batch, ids folded into the preset's vocabulary; print peak bytes and seconds as JSON."""
    batches: dict[str, dict[str, np.ndarray]] = {}
    with np.load(task) as saved:
        peer = Peer(**json.loads(str(saved["peer"])))
        for key in saved.files[1:]:
            number, name = key.split("/")
            batches.setdefault(number, {})[name] = saved[key]
    shape = shape_of(peer.preset)
    model = t5_of(shape, peer.attention)
    if peer.checkpointing:
        model.gradient_checkpointing_enable()
    step = PeerStep(model, shape)
    seconds = [step.turn(_batch(fields, shape.vocab_size)).seconds for fields in batches.values()]
    print(json.dumps({"peak_bytes": peak_bytes(), "seconds": seconds[1:]}))


def _batch(fields: dict[str, Any], vocab_size: int) -> PaddedBatch:
    tensors = {name: torch.from_numpy(array).to(runtime.device()) for name, array in folded(fields, vocab_size).items()}
    sides = (fields["attention_mask"].sum(1), (fields["labels"] >= 0).sum(1))
    return PaddedBatch(tensors, *sides, story_tokens=0)


if __name__ == "__main__":
    main(sys.argv[1])
