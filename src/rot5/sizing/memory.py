"""Memory of training in closed form: weights, gradients, optimizer state, what autograd keeps, and the loss.

Everything is in bytes. Weights, gradients and optimizer state are float32; matrix products run in bfloat16 under
autocast. What autograd keeps was read off the modules of `rot5.model` one by one, and a test counts it.
"""

import math
from typing import NamedTuple

from rot5.errors import UserError, nearest
from rot5.model.configuration_rot5 import Rot5Config
from rot5.model.costs import parameter_counts
from rot5.model.cross_entropy import CHUNK
from rot5.sizing.compute import Load, masked_load, products

FULL, HALF = 4, 2
"""Bytes of a float32 and of a bfloat16."""

HEAP_HOLES = 0.4
"""Share of the activations that glibc's heap loses to holes when it keeps what is freed (`runtime.keep_freed_memory`):
measured on CPUs, 0.15 to 0.3 for the same documents in every step and about twice that for real rows, not derived. The
caching allocator of CUDA is taken to lose a tenth, unmeasured."""

CUDA_HOLES = 0.1

PROCESS = 550e6
"""Resident memory of a process that trains, without tensors, on a CPU: 400 MB are there after the imports, the rest is
what measured peaks of small models leave over."""

CUDA_CONTEXT = 600e6
"""Device memory of a CUDA context and its libraries' work spaces; an assumption."""


class Memory(NamedTuple):
    """Bytes on one device at the peak, by what they are for."""

    weights: float
    gradients: float
    optimizer: float
    activations: float
    """What autograd keeps for the backward pass of one micro-batch, the bfloat16 copies of weights included."""
    loss: float
    """Logits of one chunk and the gradient of the head, beside the activations."""
    gathered: float
    """Sharded: weights of two layers and the token tables, which are whole while they are worked with."""
    overhead: float
    """The process without tensors, and what the allocator loses."""
    total: float
    """The peak: gradients of a step of one micro-batch come when its activations go, so it is less than the sum."""


def _attention_kept(
    shape: Rot5Config, queries: float, keys: float, pairs: float, masked: bool, crossed: bool = False
) -> float:
    """Bytes that one attention keeps, without the norm before it; `crossed` reads keys from a stream of their own."""
    width, heads = shape.d_model, shape.num_heads
    query_width, key_width = heads * shape.d_kv, (shape.num_key_value_heads or heads) * shape.d_kv
    kept = HALF * (queries * width + (keys * width if crossed else 0) + queries * query_width)
    if shape.qk_norm:
        kept += FULL * 2 * (queries * query_width + keys * key_width)
    if masked:
        # The fused kernel keeps queries, keys and values of all heads, and a float32 per query and head.
        return kept + HALF * query_width * (queries + 2 * keys) + FULL * heads * queries
    kept += HALF * (queries * query_width + 2 * keys * key_width) + HALF * heads * pairs
    return kept + (2 * HALF * heads * pairs if shape.dropout_rate else 0)


def _feed_forward_kept(shape: Rot5Config, tokens: float, inner: int) -> float:
    """Bytes that one feed-forward keeps, without the norm before it."""
    wide = 4 if shape.is_gated else 1 if shape.activation == "relu" else 2
    dropped = HALF * tokens * inner if shape.dropout_rate else 0
    return HALF * tokens * (shape.d_model + wide * inner) + dropped


def _experts_kept(shape: Rot5Config, tokens: float) -> float:
    """Bytes that a mixture of experts keeps: what is sorted, the experts' insides, and float32 for the router."""
    sent = tokens * shape.num_experts_per_tok
    kept = _feed_forward_kept(shape, sent, shape.d_ff)
    kept += HALF * sent * shape.d_model + FULL * tokens * (shape.d_model + 4 * shape.num_experts)
    if shape.num_shared_experts:
        kept += _feed_forward_kept(shape, tokens, shape.num_shared_experts * shape.d_ff)
    return kept


def _layer_kept(shape: Rot5Config, load: Load, decoder: bool, index: int, masked: bool) -> float:
    tokens = load.decoder_tokens if decoder else load.encoder_tokens
    pairs = load.decoder_pairs if decoder else load.encoder_pairs
    attentions = _attention_kept(shape, tokens, tokens, pairs, masked)
    if decoder:
        attentions += _attention_kept(shape, tokens, load.encoder_tokens, load.cross_pairs, masked, crossed=True)
    if shape.is_sparse(decoder, index):
        inner = _experts_kept(shape, tokens)
    else:
        inner = _feed_forward_kept(shape, tokens, shape.d_ff)
    sublayers = 3 if decoder else 2
    dropped = HALF * sublayers * tokens * shape.d_model if shape.dropout_rate else 0
    norms = sublayers * FULL * tokens * (shape.d_model + 1)
    return attentions + inner + dropped + norms


def _last_norm_kept(shape: Rot5Config, tokens: float, masked: bool) -> float:
    """The norm behind a stack is PyTorch's: on a CPU it keeps its normalised input beside its input."""
    return FULL * tokens * shape.d_model * (1 if masked else 2)


def activations(shape: Rot5Config, load: Load, *, masked: bool = False, checkpointing: bool = False) -> float:
    """Bytes that autograd keeps between forward and backward of a micro-batch, without the loss.

    `masked` is attention under a mask by fused kernels, as on a GPU, where `load` says how many pairs that is; else
    document by document, as on a CPU. With `checkpointing` each layer keeps its input, and the dearest layer is made
    again.
    """
    decoder_layers = shape.num_decoder_layers or shape.num_layers
    layers = [_layer_kept(shape, load, False, index, masked) for index in range(shape.num_layers)]
    layers += [_layer_kept(shape, load, True, index, masked) for index in range(decoder_layers)]
    tokens = load.encoder_tokens + load.decoder_tokens
    kept = sum(layers)
    if checkpointing:
        inputs = shape.num_layers * load.encoder_tokens + decoder_layers * load.decoder_tokens
        kept = max(layers) + FULL * shape.d_model * (inputs + load.encoder_tokens)
    kept += 2 * FULL * tokens * shape.d_model if shape.dropout_rate else 0
    kept += _last_norm_kept(shape, tokens, masked) + HALF * load.decoder_tokens * shape.d_model
    pairs = load.encoder_pairs + load.cross_pairs + load.decoder_pairs
    if shape.position_encoding == "rope":
        tables = 2 if shape.cross_position_encoding != "none" else 1
        kept += tables * 2 * HALF * shape.d_kv * tokens + HALF * pairs
    else:
        kept += FULL * shape.num_heads * (load.encoder_pairs + load.decoder_pairs) + HALF * load.cross_pairs
    return kept + HALF * parameter_counts(shape).non_embedding


def loss_peak(shape: Rot5Config, targets: float) -> float:
    """Bytes that the chunked cross-entropy holds at its peak beside the activations (`rot5.model.cross_entropy`).

    From the second chunk on the former one's probabilities are still there while the next are made of their logits: 6
    bytes per logit, 4 for a single chunk. Besides, the head in bfloat16, its gradient in float32, and a chunk's part of
    that in bfloat16.
    """
    logits = min(targets, CHUNK) * shape.vocab_size
    return logits * HALF * (3 if targets > CHUNK else 2) + (FULL + 2 * HALF) * shape.vocab_size * shape.d_model


class Matrix(NamedTuple):
    """A matrix of a layer, or as many of that size as experts have."""

    rows: int
    columns: int
    stored: int


def layer_matrices(shape: Rot5Config) -> list[list[Matrix]]:
    """The matrices of each layer."""
    nobody = Load(0, 0, 0, 0, 0, 0)
    return [
        [Matrix(each.inputs, each.outputs, each.stored) for each in layer] for layer in products(shape, nobody)[:-1]
    ]


def optimizer_state(shape: Rot5Config, name: str) -> tuple[float, float]:
    """Bytes that an optimizer of `rot5.train.optimizers` keeps, and those that one step takes besides.

    AdamW keeps two numbers per weight; RMS-scaled AdamW as well, and makes two more for the group it moves; Adafactor a
    row and a column per matrix, and one for what is no matrix; Muon one for the matrices inside layers, and AdamW's two
    for the rest. Raises UserError for an unknown name.
    """
    counts, layers = parameter_counts(shape), [size for layer in layer_matrices(shape) for size in layer]
    matrices = sum(rows * columns * stored for rows, columns, stored in layers)
    table = shape.vocab_size * shape.d_model
    largest = max(table, *(rows * columns * stored for rows, columns, stored in layers))
    factors = sum((rows + columns) * stored for rows, columns, stored in layers)
    factors += counts.embedding // table * (shape.vocab_size + shape.d_model)
    found = {
        "adamw": (2 * counts.total, 0),
        "adamw_rms": (2 * counts.total, 2 * max(matrices, counts.total - matrices)),
        "adafactor": (factors + counts.non_embedding - matrices, 2 * largest),
        "muon": (matrices + 2 * (counts.total - matrices), 2 * max(math.prod(each) for each in layers)),
    }
    if name not in found:
        raise UserError(f"optimizer {name!r} is unknown: {nearest(name, found)}")
    kept, besides = found[name]
    return float(FULL * kept), float(FULL * besides)


def training_memory(
    shape: Rot5Config,
    rows: int,
    load: Load,
    *,
    optimizer: str,
    devices: int = 1,
    cuda: bool = False,
    checkpointing: bool = False,
    accumulates: bool = False,
) -> Memory:
    """The peak of one device's training steps, whose micro-batch is `rows` rows that come to `load`.

    The peak is where most is alive: at the loss (weights, state, activations, logits), at the start of the backward
    pass, at its end (all gradients, and those of the token tables still apart), or in the optimizer's step. With more
    than one of `devices` weights, gradients and state are cut into as many parts (FSDP); the token tables and two
    layers are whole while they are worked with, activations are not cut. `cuda` attends under a mask, and counts
    device memory. `accumulates` says that a step has several micro-batches: gradients then outlive the first.
    """
    counts = parameter_counts(shape)
    table = shape.vocab_size * shape.d_model
    met = masked_load(load, rows) if cuda else load
    kept = activations(shape, met, masked=cuda, checkpointing=checkpointing)
    weights = FULL * counts.total / devices
    state, besides = (part / devices for part in optimizer_state(shape, optimizer))
    gathered = 0.0
    if devices > 1:
        largest = max(sum(a * b * stored for a, b, stored in layer) for layer in layer_matrices(shape))
        gathered = float(FULL * (counts.embedding + 2 * largest))
    gradients = FULL * counts.total / devices
    carried = gradients if accumulates else 0.0
    at_loss = loss_peak(shape, load.decoder_tokens)
    backward_starts = (2 * FULL + HALF) * table
    moments = {
        "loss": carried + kept + at_loss + gathered,
        "backward starts": carried + kept + backward_starts + gathered,
        "backward ends": gradients + 2 * FULL * table + gathered,
        "update": gradients + besides,
    }
    peak = max(moments.values())
    holes = (CUDA_HOLES if cuda else HEAP_HOLES) * kept
    overhead = (CUDA_CONTEXT if cuda else PROCESS) + holes
    return Memory(
        weights,
        gradients,
        state,
        kept,
        max(at_loss, backward_starts),
        gathered,
        overhead,
        weights + state + peak + overhead,
    )
