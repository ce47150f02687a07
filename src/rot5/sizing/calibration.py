"""The rates of the machine at hand, out of a minute of matrix products and training steps of small probes."""

import os
import statistics
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import nnls

from rot5 import runtime
from rot5.model.configuration_rot5 import Rot5Config
from rot5.model.modeling_rot5 import Rot5ForConditionalGeneration
from rot5.sizing.compute import Load
from rot5.sizing.time import Hardware, Rates, Work, step_work

TOKENS = 2048
"""Rows of the matrices that are multiplied, as of a micro-batch."""

MATRICES = ((64, 64), (64, 256), (256, 64), (192, 512), (512, 512), (512, 128), (1024, 1024), (2048, 2048))
"""Inputs and outputs of the products that are timed."""

ROUNDS = 5


class Probe(NamedTuple):
    """A small model and the documents it is timed on."""

    width: int
    layers: int
    heads: int
    inner: int
    vocabulary: int
    rows: int
    documents: int
    """Of each row, all of one length."""


PROBES = (
    Probe(128, 1, 4, 256, 512, 4, 3),
    Probe(320, 1, 5, 768, 512, 4, 3),
    Probe(160, 4, 5, 256, 512, 1, 3),
    Probe(128, 1, 8, 256, 512, 4, 1),
    Probe(128, 1, 4, 256, 16384, 2, 3),
    Probe(448, 2, 7, 1536, 8192, 1, 3),
    Probe(256, 2, 8, 256, 2048, 4, 4),
)
"""Each is rich in another kind of work. None has the shape of a preset."""

ENCODER, DECODER = 480, 288
"""Tokens of a probe's rows."""


def _median(measure: Callable[[], object], device: torch.device) -> float:
    seconds = []
    for _ in range(ROUNDS + 1):
        began = time.perf_counter()
        measure()
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[1:])


def _matmul_rates(device: torch.device) -> tuple[float, float]:
    """Seconds per operation and per byte that best explain products of all widths, by relative error."""
    rows, seconds = [], []
    for inputs, outputs in MATRICES:
        x = torch.randn(TOKENS, inputs, device=device, dtype=torch.bfloat16)
        w = torch.randn(inputs, outputs, device=device, dtype=torch.bfloat16)
        seconds.append(_median(lambda x=x, w=w: torch.mm(x, w), device))
        moved = 2 * (TOKENS * (inputs + outputs) + inputs * outputs)
        rows.append([2 * TOKENS * inputs * outputs, moved])
    weight = 1 / np.array(seconds)
    found, _ = nnls(np.array(rows) * weight[:, None] * SCALE[:2], np.ones(len(rows)))
    return tuple(float(each) for each in found * SCALE[:2])  # type: ignore[return-value]


SCALE = np.array([1e-12, 1e-10, 1e-10, 1e-9, 1e-9, 1e-9, 1e-3])
"""Rough sizes of `Rates`, so that the equations are solved in numbers near 1."""


def _probe_step(probe: Probe, device: torch.device) -> tuple[Work, Callable[[], None]]:
    """The work of a probe's step by the closed form, and a function that does it."""
    shape = Rot5Config(
        vocab_size=probe.vocabulary,
        d_model=probe.width,
        d_kv=probe.width // probe.heads,
        d_ff=probe.inner,
        num_layers=probe.layers,
        num_heads=probe.heads,
        num_key_value_heads=1,
        feed_forward_proj="gated-gelu",
        pad_token_id=0,
        eos_token_id=1,
        decoder_start_token_id=2,
    )
    model = Rot5ForConditionalGeneration(shape).train().to(device)  # type: ignore[arg-type]
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    fields = {}
    for side, length in (("encoder", ENCODER), ("decoder", DECODER)):
        each = length // probe.documents
        segments = torch.arange(1, probe.documents + 1).repeat_interleave(each)
        fields[f"{side}_segment_ids"] = segments.repeat(probe.rows, 1).to(device)
        fields[f"{side}_positions"] = torch.arange(each).repeat(probe.rows, probe.documents).to(device)
    ids = torch.arange(ENCODER * probe.rows).view(probe.rows, -1).to(device) % (probe.vocabulary - 3) + 3
    fields |= {"input_ids": ids, "decoder_input_ids": ids[:, :DECODER], "labels": ids[:, :DECODER]}

    def step() -> None:
        with runtime.autocast(device, "bf16"):
            loss = model(**fields, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    e, d, documents = ENCODER // probe.documents, DECODER // probe.documents, probe.documents * probe.rows
    load = Load(
        probe.rows * ENCODER, probe.rows * DECODER, documents * e * e, documents * e * d, documents * d * d, documents
    )
    return step_work(shape, probe.rows, load, masked=device.type == "cuda"), step


def share_out(works: Sequence[Work], seconds: Sequence[float], flop: float, byte: float) -> Rates:
    """Rates that best explain measured steps (least squares of relative errors, none negative), matmuls' being known.

    Of a step that seems to take no longer than its matrix products, a twentieth is taken to be other work.
    """
    taken, work = np.array(seconds), np.array(works)
    left = np.maximum(taken - work[:, 0] * flop - work[:, 1] * byte, taken / 20)
    found, _ = nnls(work[:, 2:] * SCALE[2:] / taken[:, None], left / taken)
    return Rates(flop, byte, *(float(each) for each in found * SCALE[2:]))


def calibrate() -> Hardware:
    """Measure this machine: matrix products of several widths, then training steps of probes, taking turns.

    What the steps take beyond their matrix products is shared out among the other kinds of work. It takes some ten
    seconds on one core; on a machine that does other things besides, the rates are those of what it leaves.
    """
    runtime.keep_freed_memory()
    device = runtime.device()
    flop, byte = _matmul_rates(device)
    probes = [_probe_step(probe, device) for probe in PROBES]
    taken: list[list[float]] = [[] for _ in probes]
    for _ in range(ROUNDS + 1):
        for times, (_, step) in zip(taken, probes, strict=True):
            began = time.perf_counter()
            step()
            if device.type == "cuda":
                torch.cuda.synchronize()
            times.append(time.perf_counter() - began)
    seconds = [statistics.median(times[1:]) for times in taken]
    rates = share_out([amounts for amounts, _ in probes], seconds, flop, byte)
    cuda = device.type == "cuda"
    memory = (
        torch.cuda.get_device_properties(device).total_memory
        if cuda
        else os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    )
    return Hardware(
        name="here",
        matmul_flops=1 / flop,
        memory=float(memory),
        bandwidth=1 / max(rates.kept_byte, 1e-15),
        utilisation=1.0,
        cuda=cuda,
        measured=rates,
    )
