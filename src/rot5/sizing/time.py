"""Time of training from the work of a step and the rates of a machine, known from a data sheet or measured."""

from dataclasses import dataclass
from typing import NamedTuple

from rot5.model.configuration_rot5 import Rot5Config
from rot5.model.costs import parameter_counts
from rot5.sizing.compute import PASSES, Load, masked_load, products
from rot5.sizing.memory import HALF, activations, layer_matrices


class Rates(NamedTuple):
    """Seconds that a machine takes for each kind of a step's work."""

    matmul_flop: float
    """For an operation of a large matrix product in bfloat16."""
    matmul_byte: float
    """For a byte that a matrix product reads or writes: what makes narrow ones slow."""
    kept_byte: float
    """For all that is done element by element, per byte that autograd keeps."""
    score: float
    """For a pair of query and key in one head, softmax and all, forward and backward."""
    logit: float
    """For a target's chance of one id, softmax and gradient."""
    weight: float
    """For a weight in the update, and for its copy and its gradient."""
    layer: float
    """For starting the kernels of one layer, forward and backward."""


class Work(NamedTuple):
    """What a step does of each kind, in the order of `Rates`."""

    matmul_flops: float
    matmul_bytes: float
    kept_bytes: float
    scores: float
    logits: float
    weights: float
    layers: float


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """A machine with one device or several of one kind."""

    name: str
    matmul_flops: float
    """Operations per second of dense bfloat16 matrix products, one device, by the data sheet."""
    memory: float
    """Bytes of one device."""
    bandwidth: float
    """Bytes per second between a device and its memory."""
    price_per_hour: float = 0.0
    """Of one device."""
    utilisation: float = 0.6
    """Share of `matmul_flops` that large matrix products reach; an assumption where nothing was measured."""
    cuda: bool = True
    """Whether it attends under a mask by fused kernels; a CPU attends document by document."""
    measured: Rates | None = None
    """What calibration found; None to work from the data sheet."""

    def rates(self) -> Rates:
        """What was measured, or what the data sheet allows: a model of traffic, checked on no such device here."""
        if self.measured is not None:
            return self.measured
        byte = 1 / (self.bandwidth * STREAMED)
        return Rates(
            matmul_flop=1 / (self.matmul_flops * self.utilisation),
            matmul_byte=0.0,
            kept_byte=TOUCHES * byte,
            score=0.0,
            logit=TOUCHES_OF_A_LOGIT * byte,
            weight=TOUCHES_OF_A_WEIGHT * byte,
            layer=KERNELS_OF_A_LAYER * LAUNCH,
        )


STREAMED = 0.8
"""Share of the bandwidth that element-wise kernels reach."""
TOUCHES = 4
"""Times that a byte kept by autograd goes to or from memory: written and read in each direction."""
TOUCHES_OF_A_LOGIT = 24
"""Bytes: logits in bfloat16 and float32, their softmax and gradient, read and written."""
TOUCHES_OF_A_WEIGHT = 44
"""Bytes: weight, gradient and two moments read and written, the norm, and the bfloat16 copy."""
KERNELS_OF_A_LAYER = 150
LAUNCH = 5e-6
"""Seconds that the host takes to start one kernel without compiling."""
MUON_ITERATIONS = 5
"""Each multiplies a matrix by its transpose, that by itself, and the matrix by both."""

HARDWARE = {
    each.name: each
    for each in (
        Hardware(name="A100-80GB", matmul_flops=312e12, memory=80e9, bandwidth=2.039e12),
        Hardware(name="H100-SXM", matmul_flops=989e12, memory=80e9, bandwidth=3.35e12),
        Hardware(name="H200", matmul_flops=989e12, memory=141e9, bandwidth=4.8e12),
        Hardware(name="RTX-4090", matmul_flops=165.2e12, memory=24e9, bandwidth=1.008e12),
        Hardware(name="L4", matmul_flops=121e12, memory=24e9, bandwidth=0.3e12),
    )
}
"""Public figures of the makers: dense bfloat16 with float32 sums, no sparsity."""


def step_work(shape: Rot5Config, rows: int, load: Load, *, masked: bool = False, micro_batches: int = 1) -> Work:
    """What one step on `micro_batches` of `rows` rows, each of which comes to `load`, does of each kind.

    Under a mask whole rows are attended (`masked`); what a fused kernel computes there counts as matrix products.
    """
    met = masked_load(load, rows) if masked else load
    flops = moved = 0.0
    for layer in products(shape, load):
        for each in layer:
            weights = each.inputs * each.outputs * each.stored
            flops += 2 * each.tokens * each.inputs * each.outputs
            moved += HALF * (each.tokens * (each.inputs + each.outputs) + weights)
    decoder_layers = shape.num_decoder_layers or shape.num_layers
    pairs = shape.num_layers * met.encoder_pairs + decoder_layers * (met.cross_pairs + met.decoder_pairs)
    flops += 4 * pairs * shape.num_heads * shape.d_kv
    total = parameter_counts(shape).total
    kept = activations(shape, met, masked=masked) - HALF * parameter_counts(shape).non_embedding
    return Work(
        matmul_flops=micro_batches * PASSES * flops,
        matmul_bytes=micro_batches * PASSES * moved,
        kept_bytes=micro_batches * kept,
        scores=micro_batches * pairs * shape.num_heads,
        logits=micro_batches * load.decoder_tokens * shape.vocab_size,
        weights=float(total),
        layers=float(micro_batches * (shape.num_layers + 1.5 * decoder_layers)),
    )


def seconds_of(work: Work, rates: Rates) -> float:
    """Seconds of one step: each kind of work after the other."""
    return sum(amount * rate for amount, rate in zip(work, rates, strict=True))


def update_flops(shape: Rot5Config, optimizer: str) -> float:
    """Operations of the matrix products in an update: Muon's iterations on every matrix inside the layers."""
    if optimizer != "muon":
        return 0.0
    flops = 0
    for rows, columns, stored in (each for layer in layer_matrices(shape) for each in layer):
        short, long = sorted((rows, columns))
        flops += stored * (4 * short**2 * long + 2 * short**3)
    return float(MUON_ITERATIONS * flops)


def step_seconds(
    shape: Rot5Config,
    rows: int,
    load: Load,
    hardware: Hardware,
    *,
    optimizer: str,
    micro_batches: int = 1,
    checkpointing: bool = False,
) -> float:
    """Seconds of one step of one device. Checkpointing makes the forward pass of all layers twice."""
    rates = hardware.rates()
    work = step_work(shape, rows, load, masked=hardware.cuda, micro_batches=micro_batches)
    updated = work.weights * rates.weight
    learnt = seconds_of(work, rates) - updated
    if checkpointing:
        learnt *= (PASSES + 1) / PASSES
    return learnt + update_seconds(shape, hardware, optimizer)


def update_seconds(shape: Rot5Config, hardware: Hardware, optimizer: str) -> float:
    """Seconds of one update on one device that holds everything."""
    rates = hardware.rates()
    return parameter_counts(shape).total * rates.weight + update_flops(shape, optimizer) * rates.matmul_flop
