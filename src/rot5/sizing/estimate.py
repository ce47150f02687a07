"""What training a shape on so much text takes on given machines: operations, steps, time, money and memory."""

from typing import NamedTuple

from rot5.data.denoise import DenoiseConfig, longest_piece
from rot5.data.packing import PackConfig
from rot5.model.configuration_rot5 import Rot5Config
from rot5.sizing.compute import DOCUMENT, Training, packed_load, story_share, training
from rot5.sizing.memory import Memory, training_memory
from rot5.sizing.time import Hardware, step_seconds


class Estimate(NamedTuple):
    """A whole training run on `devices` of one kind, each taking `batch_rows` rows in every step."""

    work: Training
    steps: float
    story_tokens_per_second: float
    """Of all devices together; what they tell each other is taken to cost no time."""
    seconds: float
    cost: float
    memory: Memory
    """Of one device that holds everything."""
    sharded: Memory | None
    """Of one device where weights, gradients and state are cut over all of them; None for a single one."""


def estimate(
    shape: Rot5Config,
    story_tokens: float,
    hardware: Hardware,
    *,
    devices: int = 1,
    batch_rows: int = 16,
    pack: PackConfig | None = None,
    optimizer: str,
    checkpointing: bool = False,
    document: int = DOCUMENT,
) -> Estimate:
    """Training on `story_tokens` in packed rows of documents of `document` tokens under the default mixture.

    Documents longer than what rows take are cut, as training cuts them.
    """
    pack, mixture = pack or PackConfig(), DenoiseConfig()
    lengths = (pack.encoder_length, pack.decoder_length)
    document = min(document, longest_piece(mixture, *lengths))
    load = packed_load(batch_rows, *lengths, mixture, document)
    a_step = devices * batch_rows * story_share(mixture, *lengths, document)
    each = step_seconds(shape, batch_rows, load, hardware, optimizer=optimizer, checkpointing=checkpointing)
    steps = story_tokens / a_step
    memories = [
        training_memory(
            shape,
            batch_rows,
            load,
            optimizer=optimizer,
            devices=parts,
            cuda=hardware.cuda,
            checkpointing=checkpointing,
        )
        for parts in (1, devices)
    ]
    return Estimate(
        work=training(shape, story_tokens, mixture, document),
        steps=steps,
        story_tokens_per_second=a_step / each,
        seconds=steps * each,
        cost=steps * each / 3600 * devices * hardware.price_per_hour,
        memory=memories[0],
        sharded=memories[1] if devices > 1 else None,
    )
