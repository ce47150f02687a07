"""`rot5 plan`: what a shape costs before anything is trained."""

from rich.console import Console

from rot5.config import PlanConfig
from rot5.data.tokenizer import padded_vocab_size
from rot5.errors import UserError
from rot5.model.configuration_rot5 import Rot5Config
from rot5.model.costs import forward_flops, parameter_counts
from rot5.model.presets import PRESETS, Preset, find_preset
from rot5.report.tables import Column, text_table

EVERY = "all"
WIDTH = 120
"""Columns that the table of all presets takes; narrower terminals wrap it, and lose no digits."""

COSTS = (
    Column("total", "Parameters"),
    Column("active", "Active"),
    Column("non_embedding", "Non-embedding"),
    Column("active_non_embedding", "Active\nnon-embedding"),
    Column("encoder_token", "MFLOPs per\nencoder token", digits=3),
    Column("decoder_token", "MFLOPs per\ndecoder token", digits=3),
)


def run(config: PlanConfig) -> None:
    """Print what one preset costs, with its vocabulary as it is and padded, or what every preset costs."""
    if found := problems(config):
        raise UserError("; ".join(found))
    console = Console(width=max(Console().width, WIDTH))
    if config.preset == EVERY:
        rows = [
            {"preset": name, "vocab_size": ids, **costs(preset, ids, config)}
            for name, preset in PRESETS.items()
            for ids in [config.vocab_size or preset.vocab_size]
        ]
        columns = (Column("preset", "Preset", text=True), Column("vocab_size", "Vocabulary"), *COSTS)
        console.print(text_table(rows, columns))
    else:
        preset = find_preset(config.preset)
        ids = config.vocab_size or preset.vocab_size
        padded = padded_vocab_size(ids)
        sizes = [ids] if padded == ids else [ids, padded]
        columns = [Column(str(size), f"{size:,} ids" if size == ids else f"padded to {size:,}", 3) for size in sizes]
        found = {str(size): costs(preset, size, config) for size in sizes}
        rows = [
            {"cost": cost.heading.replace("\n", " "), **{size: values[cost.key] for size, values in found.items()}}
            for cost in COSTS
        ]
        print(f"{config.preset}: {preset.about}")
        console.print(text_table(rows, (Column("cost", "Vocabulary", text=True), *columns)))
    print(
        f"\nActive: what one token touches. FLOPs: forward, {config.encoder_length:,} encoder and "
        f"{config.decoder_length:,} decoder tokens.\nTraining pads the vocabulary to a multiple of 128."
    )


def problems(config: PlanConfig) -> list[str]:
    """What is wrong with the settings, apart from the name of the preset."""
    found = [
        f"{name} {getattr(config, name)} must be at least 1"
        for name in ("encoder_length", "decoder_length")
        if getattr(config, name) < 1
    ]
    if config.vocab_size < 0:
        found.append(f"vocab_size {config.vocab_size} must be at least 1, or 0 for the preset's own")
    return found


def costs(preset: Preset, vocab_size: int, config: PlanConfig) -> dict[str, int | float]:
    """What `COSTS` shows of a preset with so many ids: parameters, and millions of operations."""
    shape = Rot5Config(vocab_size=vocab_size, **preset.shape)
    flops = forward_flops(shape, config.encoder_length, config.decoder_length)
    return parameter_counts(shape)._asdict() | {key: value / 1e6 for key, value in flops._asdict().items()}
