"""`rot5 plan`: what a shape costs before anything is trained."""

import dataclasses
import math
from pathlib import Path

from rich.console import Console

from rot5.config import PlanConfig
from rot5.data import packing
from rot5.data.tokenizer import padded_vocab_size
from rot5.errors import UserError, nearest
from rot5.model.configuration_rot5 import Rot5Config
from rot5.model.costs import forward_flops, parameter_counts
from rot5.model.presets import PRESETS, Preset, find_preset
from rot5.progress import shown
from rot5.report.tables import Column, text_table
from rot5.sizing.calibration import calibrate
from rot5.sizing.cluster import Cluster, fleet
from rot5.sizing.compute import working_parameters
from rot5.sizing.estimate import Estimate, estimate
from rot5.sizing.laws import CHINCHILLA, Law, Optimum, ParametricLaw, PowerLaw, budget, optimal, read_laws
from rot5.sizing.memory import Memory
from rot5.sizing.time import HARDWARE, Hardware
from rot5.train.settings import OPTIMIZER_NAMES

EVERY = "all"
HERE = "here"
WIDTH = 128
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
    """Print what one preset costs, with its vocabulary as it is and padded, or what every preset costs.

    With `tokens`, what training the preset takes instead; without a preset, or with `flops`, which size is best.
    """
    if found := problems(config):
        raise UserError("; ".join(found))
    console = Console(width=max(Console().width, WIDTH))
    if config.flops or (config.tokens and config.preset == EVERY):
        _print_sizes(config, console)
        return
    if config.tokens:
        _print_training(config, console)
        return
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
    found += [
        f"{name} {getattr(config, name)} must be at least 1"
        for name in ("devices", "batch_rows", "document_length")
        if getattr(config, name) < 1
    ]
    found += [
        f"{name} {getattr(config, name):g} must be a number that is not negative"
        for name in ("tokens", "flops", "price_per_hour")
        if not 0 <= getattr(config, name) < math.inf
    ]
    if config.tokens and config.flops:
        found.append("tokens and flops are both given: one follows from the other, so give one")
    if config.flops and config.preset != EVERY:
        found.append(f"flops looks for a size and preset {config.preset} has one: give tokens instead of flops")
    if config.law != "chinchilla" and config.preset != EVERY:
        found.append(f"law {config.law} is for finding a size and preset {config.preset} has one: leave one out")
    if config.hardware not in (*HARDWARE, HERE):
        found.append(f"hardware {config.hardware!r} is unknown: {nearest(config.hardware, [*HARDWARE, HERE])}")
    if config.optimizer not in OPTIMIZER_NAMES:
        found.append(f"optimizer {config.optimizer!r} is unknown: {nearest(config.optimizer, OPTIMIZER_NAMES)}")
    return found + packing.problems(config.pack)


def costs(preset: Preset, vocab_size: int, config: PlanConfig) -> dict[str, int | float]:
    """What `COSTS` shows of a preset with so many ids: parameters, and millions of operations."""
    shape = Rot5Config(vocab_size=vocab_size, **preset.shape)
    flops = forward_flops(shape, config.encoder_length, config.decoder_length)
    return parameter_counts(shape)._asdict() | {key: value / 1e6 for key, value in flops._asdict().items()}


LAW_COLUMNS = (
    Column("law", "Law", text=True),
    Column("flops", "Training\noperations", text=True),
    Column("parameters", "Parameters", digits=0),
    Column("tokens", "Story tokens", digits=0),
    Column("loss", "Loss to\nexpect", digits=3),
    Column("nearest", "Nearest presets", text=True),
)
LAW_NAMES = {"parametric": "fitted loss", "isoflop": "fitted to equal budgets", "power": "power law"}


def _laws(config: PlanConfig) -> dict[str, Law]:
    """The borrowed law, and those of a file, by the names that the table shows."""
    found: dict[str, Law] = {"chinchilla": CHINCHILLA}
    if config.law != "chinchilla":
        found |= {LAW_NAMES[kind]: law for kind, law in read_laws(Path(config.law)).items()}
    return found


def _print_sizes(config: PlanConfig, console: Console) -> None:
    """The best use of a budget, or the budget for an amount of text, by each law."""
    rows = []
    for name, law in _laws(config).items():
        flops = config.flops or budget(law, config.tokens)
        best = optimal(law, flops)
        rows.append(
            {
                "law": name,
                "flops": f"{flops:.2e}",
                "parameters": round(best.parameters),
                "tokens": round(best.tokens),
                "loss": float(law.loss(*best)) if isinstance(law, ParametricLaw) else None,
                "nearest": ", ".join(_nearest_presets(best, isinstance(law, PowerLaw))),
            }
        )
    console.print(text_table(rows, LAW_COLUMNS))
    print(
        "\nParameters: those of Chinchilla's law are all, as in the experiment that borrowed it; those of fitted laws "
        "are\nat work on a token, of token tables the head alone. Operations: forward and backward."
    )


def _nearest_presets(best: Optimum, whole: bool, most: int = 2) -> list[str]:
    """The presets whose size is nearest by ratio, with that size."""
    sizes = {}
    for name, preset in PRESETS.items():
        shape = Rot5Config(vocab_size=preset.vocab_size, **preset.shape)
        counts = parameter_counts(shape)
        sizes[name] = counts.total if whole else working_parameters(shape)
    order = sorted(sizes, key=lambda name: abs(math.log(sizes[name] / best.parameters)))
    return [f"{name} ({sizes[name] / 1e6:,.1f} M)" for name in order[:most]]


def _print_training(config: PlanConfig, console: Console) -> None:
    """Operations, time, money and memory of training one preset."""
    preset = find_preset(config.preset)
    hardware = _hardware(config)
    vocabulary = padded_vocab_size(config.vocab_size or preset.vocab_size)
    found = estimate(
        Rot5Config(vocab_size=vocabulary, **preset.shape),
        config.tokens,
        hardware,
        devices=config.devices,
        batch_rows=config.batch_rows,
        pack=config.pack,
        optimizer=config.optimizer,
        checkpointing=config.checkpointing,
        document=config.document_length,
    )
    print(f"{config.preset}: {preset.about}; {vocabulary:,} ids")
    rows = [{"what": what, "value": value} for what, value in _training_figures(found, config).items()]
    console.print(text_table(rows, (Column("what", "Training", text=True), Column("value", "", text=True))))
    memories = {"whole": found.memory} | ({"sharded": found.sharded} if found.sharded else {})
    columns = [Column("what", "Memory of one device, GB", text=True)]
    columns += [Column(name, name.capitalize(), digits=2, scale=1e-9) for name in memories]
    rows = [
        {"what": part, **{name: getattr(memory, part) for name, memory in memories.items()}} for part in Memory._fields
    ]
    console.print(text_table(rows, columns))
    for name, memory in memories.items():
        if memory.total > hardware.memory:
            print(
                f"{name}: {memory.total / 1e9:.1f} GB are more than the {hardware.memory / 1e9:.1f} GB that there are"
            )
    if config.devices > Cluster().devices_of_a_node:
        _print_cluster(Rot5Config(vocab_size=vocabulary, **preset.shape), found, hardware, config, console)
    basis = "measured here" if hardware.measured else "a data sheet, unmeasured"
    print(
        f"\n{hardware.name}: rates from {basis}; Hours is without what devices tell each other. total is the peak: "
        "not all\nparts are there at once. Sharded weights, gradients and optimizer state are cut over all devices; "
        "gathered are the\ntoken tables and two layers, whole while they are worked with."
    )


def _print_cluster(
    shape: Rot5Config, found: Estimate, hardware: Hardware, config: PlanConfig, console: Console
) -> None:
    """What so many devices add: the network, checkpoints and failures."""
    cluster = Cluster()
    each = fleet(shape, found, config.tokens, hardware, config.devices, config.optimizer, cluster)
    rows = {
        "Weights and gradients through the network, GB a step": f"{each.sent / 1e9:,.0f}",
        "Seconds of that": f"{each.sending:.2f}",
        "Seconds of a step without it": f"{each.computing:.2f}",
        "Seconds of a step": f"{each.step:.2f}",
        "Checkpoint, GB": f"{each.checkpoint / 1e9:,.0f}",
        "Seconds in which it stops training": f"{each.copying:.2f}",
        "Seconds until it is written": f"{each.writing:.1f}",
        "Failures a day": f"{each.failures_a_day:.2f}",
        "Minutes from one checkpoint to the next": f"{each.interval / 60:.1f}",
        "Lost to copies, repeated work and restarts": f"{100 * each.lost:.2f} %",
        "Lost work a day, hours": f"{24 * each.lost:.2f}",
        "Tokens read, MB/s": f"{each.read / 1e6:,.1f}",
        "Days in all": f"{each.days:,.1f}",
    }
    table = [{"what": what, "value": value} for what, value in rows.items()]
    columns = (Column("what", f"{config.devices} devices, sharded", text=True), Column("value", "", text=True))
    console.print(text_table(table, columns))
    print(
        f"Nodes of {cluster.devices_of_a_node}; {cluster.outside * 8 / 1e9:.0f} Gb/s for each device between nodes, of "
        f"which {cluster.reached:.0%} are reached; a device fails every {cluster.between_failures / 3600:,.0f} hours, "
        f"and {cluster.restart / 60:.0f} minutes\nlater the run goes on; {cluster.storage / 1e9:.0f} GB/s to the disk. "
        "None of it is measured here."
    )


def _hardware(config: PlanConfig) -> Hardware:
    if config.hardware == HERE:
        with shown("measuring this machine"):
            found = calibrate()
    else:
        found = HARDWARE[config.hardware]
    return dataclasses.replace(found, price_per_hour=config.price_per_hour)


def _training_figures(found: Estimate, config: PlanConfig) -> dict[str, str]:
    work = found.work
    return {
        "Story tokens": f"{config.tokens:,.0f}",
        "Encoder tokens": f"{work.encoder_tokens:,.0f}",
        "Decoder tokens": f"{work.decoder_tokens:,.0f}",
        "Parameters at work on a token": f"{work.parameters:,}",
        "Operations": f"{work.flops:.3e}",
        "6 N D, for comparison": f"{work.six_n_d:.3e}",
        f"Steps of {config.devices} x {config.batch_rows} rows": f"{found.steps:,.0f}",
        "Story tokens per second": f"{found.story_tokens_per_second:,.0f}",
        "Hours": f"{found.seconds / 3600:,.2f}",
        **({"Cost": f"{found.cost:,.2f}"} if config.price_per_hour else {}),
    }
