"""One shape's peak memory and step times, in a process of its own: run with a preset, a file of batches and rows.

A fourth argument, `checkpointed`, makes activations again in the backward pass.
"""

import json
import sys

import numpy as np

from rot5 import runtime
from rot5.bench.steps import WARM_UP, TrainingStep, peak_bytes
from rot5.config import BenchConfig
from rot5.data.batches import IGNORED, Batch
from rot5.model.configuration_rot5 import Rot5Config
from rot5.model.modeling_rot5 import Rot5ForConditionalGeneration
from rot5.model.presets import find_preset

IDS = ("input_ids", "decoder_input_ids", "labels")


def main(preset_name: str, batches_file: str, batch_rows: int, *, checkpointing: bool) -> None:
    """Take a step on each batch; print peak bytes and seconds as JSON."""
    runtime.keep_freed_memory()
    shape = shape_of(preset_name)
    with np.load(batches_file) as saved:
        fields = folded(dict(saved), shape.vocab_size)
    model = Rot5ForConditionalGeneration(shape).train().to(runtime.device())  # type: ignore[arg-type]
    if checkpointing:
        model.gradient_checkpointing_enable()
    step = TrainingStep(model, BenchConfig(batch_rows=batch_rows))
    empty = np.zeros((batch_rows, 1), np.int64)
    seconds = []
    for first in range(0, len(fields["labels"]), batch_rows):
        rows = {name: array[first : first + batch_rows] for name, array in fields.items()}
        batch = Batch(rows, empty, empty, 0, int((rows["labels"] != IGNORED).sum()))
        seconds.append(step.gradient(batch) + step.update())
    print(json.dumps({"peak_bytes": peak_bytes(), "seconds": seconds[WARM_UP:]}))


def shape_of(preset_name: str) -> Rot5Config:
    """A preset with the vocabulary that it speaks of."""
    preset = find_preset(preset_name)
    return Rot5Config(
        vocab_size=preset.vocab_size, pad_token_id=0, eos_token_id=1, decoder_start_token_id=2, **preset.shape
    )


def folded(fields: dict[str, np.ndarray], vocab_size: int) -> dict[str, np.ndarray]:
    """The fields with ids folded into a vocabulary."""
    return fields | {
        name: np.where(fields[name] == IGNORED, IGNORED, fields[name] % vocab_size) for name in IDS if name in fields
    }


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), checkpointing=sys.argv[4:] == ["checkpointed"])
