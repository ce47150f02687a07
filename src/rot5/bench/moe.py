"""What experts cost: the training step of a mixture beside that of the dense model with the same active parameters."""

import statistics

from rot5.bench.ceilings import Ceilings
from rot5.bench.figures import Figures
from rot5.bench.steps import WARM_UP, TrainingStep, batches_of, corpus_of, take_turns
from rot5.build.models import new_model
from rot5.config import BenchConfig
from rot5.data.batches import Batch
from rot5.errors import UserError
from rot5.model.costs import parameter_counts
from rot5.model.presets import preset
from rot5.model.settings import ModelConfig
from rot5.report.tables import Column, Table

EXPERTS = 8
VARIANTS = {
    "dense": {"num_experts": 0},
    "experts, balance loss": {"num_experts": EXPERTS},
    "experts, selection bias": {"num_experts": EXPERTS, "router_aux_loss_coef": 0.0, "router_bias_update_rate": 0.02},
    "experts, capacity 1.25": {"num_experts": EXPERTS, "expert_capacity_factor": 1.25},
}
ABOUT = (
    "The training step of a mixture of experts, each token going to one of them in every layer, beside that of "
    "the dense model with as many active parameters. Gradient is forward and backward, whose work is that of the "
    "active parameters; update is clipping and AdamW, whose work is that of all of them. Ratios are to the dense "
    "step on the same batch: their median, and the lowest and the highest of them."
)
COLUMNS = (
    Column("variant", "Variant", text=True),
    Column("active", "Active parameters", digits=0),
    Column("total", "Parameters", digits=0),
    Column("gradient_ms", "Gradient, ms", digits=0),
    Column("update_ms", "Update, ms", digits=0),
    Column("gradient_ratio", "Gradient, ratio", digits=2),
    Column("step_ratio", "Step, ratio", digits=2),
    Column("lowest_ratio", "Lowest", digits=2),
    Column("highest_ratio", "Highest", digits=2),
)


def measure(config: BenchConfig, ceilings: Ceilings) -> Figures:
    """Time steps of all variants on the same real rows, taking turns."""
    shape = preset(config.preset)
    if shape.get("num_experts"):
        raise UserError(f"preset {config.preset} has experts already: name a dense one")
    with corpus_of(config) as corpus:
        batches, tokenizer = batches_of(corpus, config), corpus.tokenizer()
    steps = {
        name: TrainingStep(new_model(ModelConfig(preset=config.preset, **own), tokenizer, seed=0).train(), config)
        for name, own in VARIANTS.items()
    }

    def seconds(step: TrainingStep, batch: Batch) -> tuple[float, float]:
        return step.gradient(batch), step.update()

    measured = take_turns(
        {name: lambda batch, step=step: seconds(step, batch) for name, step in steps.items()}, batches
    )
    measured = {name: values[WARM_UP:] for name, values in measured.items()}
    table = []
    for name, values in measured.items():
        counts = parameter_counts(steps[name].model.config)
        ratios = [sum(own) / sum(dense) for own, dense in zip(values, measured["dense"], strict=True)]
        table.append(
            {
                "variant": name,
                "active": counts.active,
                "total": counts.total,
                "gradient_ms": 1e3 * statistics.median(gradient for gradient, _ in values),
                "update_ms": 1e3 * statistics.median(update for _, update in values),
                "gradient_ratio": statistics.median(
                    own[0] / dense[0] for own, dense in zip(values, measured["dense"], strict=True)
                ),
                "step_ratio": statistics.median(ratios),
                "lowest_ratio": min(ratios),
                "highest_ratio": max(ratios),
            }
        )
    title = (
        f"Steps of {config.preset} dense and with {EXPERTS} experts, {config.batch_rows} rows of "
        f"{config.pack.encoder_length}/{config.pack.decoder_length}, {config.rounds} rounds"
    )
    return Figures("Experts", ABOUT, [Table(title, table, COLUMNS)])
