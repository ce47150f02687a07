"""One shape's peak memory and step times, in a process of its own: run with a preset, a file of batches and rows."""

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


def main(preset_name: str, batches_file: str, batch_rows: int) -> None:
    """Take a step on each batch, ids folded into the preset's vocabulary; print peak bytes and seconds as JSON."""
    runtime.keep_freed_memory()
    preset = find_preset(preset_name)
    shape = Rot5Config(
        vocab_size=preset.vocab_size, pad_token_id=0, eos_token_id=1, decoder_start_token_id=2, **preset.shape
    )
    with np.load(batches_file) as saved:
        fields = dict(saved)
    for name in IDS:
        fields[name] = np.where(fields[name] == IGNORED, IGNORED, fields[name] % preset.vocab_size)
    model = Rot5ForConditionalGeneration(shape).train().to(runtime.device())  # type: ignore[arg-type]
    step = TrainingStep(model, BenchConfig(batch_rows=batch_rows))
    empty = np.zeros((batch_rows, 1), np.int64)
    seconds = []
    for first in range(0, len(fields["labels"]), batch_rows):
        rows = {name: array[first : first + batch_rows] for name, array in fields.items()}
        batch = Batch(rows, empty, empty, 0)
        seconds.append(step.gradient(batch) + step.update())
    print(json.dumps({"peak_bytes": peak_bytes(), "seconds": seconds[WARM_UP:]}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
