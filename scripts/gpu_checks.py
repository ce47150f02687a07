"""Whether a device computes what float32 on a CPU computes: packed rows by every attention, experts, greedy decoding.

Each check is an error and what is allowed. In float32 that is a constant; in bfloat16 it is twice the error of
bfloat16 on the CPU by the definition of attention, so that no tolerance has to be guessed for a shape.
"""

import traceback
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch.nn import functional as F

from rot5.data.batches import IGNORED, Batch
from rot5.generate.answers import generate
from rot5.generate.settings import GenerateConfig
from rot5.model.configuration_rot5 import Rot5Config
from rot5.model.modeling_rot5 import Rot5ForConditionalGeneration
from rot5.runtime import autocast
from rot5.train.losses import to_tensors

FLOAT32_ERROR = 1e-4
BF16_ERRORS = {"loss": 1e-3, "logits": 1e-2, "gradient": 1e-2}
"""Errors in bfloat16 that are allowed whatever the CPU's own."""

NEW_TOKENS = 24

Record = dict[str, Any]
CPU = torch.device("cpu")


class Found(NamedTuple):
    """What is compared, in float32 on the CPU: the loss, logits [targets, V], all gradients end to end."""

    loss: torch.Tensor
    logits: torch.Tensor | None
    gradient: torch.Tensor


def distance(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Norm of the difference as a share of the expected norm."""
    return float((found - expected).norm() / expected.norm())


def guarded(name: str, check: Callable[[], Iterator[Record]]) -> Iterator[Record]:
    """The records of a check; where it fails, a record with the traceback, and whoever asked goes on."""
    try:
        yield from check()
    except Exception:
        yield {"what": name, "verdict": "failed", "note": traceback.format_exc()}


def compared(name: str, error: float, allowed: float) -> Record:
    """One check."""
    verdict = "ok" if error <= allowed else "wrong"
    return {"what": name, "value": error, "unit": "relative error", "allowed": allowed, "verdict": verdict}


def check_packed_rows(shape: Rot5Config, batch: Batch, device: torch.device, compiled: bool) -> Iterator[Record]:
    """Loss, logits and gradients of packed rows by every backend, eager and, where asked for, compiled."""
    weights = Rot5ForConditionalGeneration(shape).state_dict()
    exact = _measure(_model(shape, weights, "eager", CPU), batch, "float32")
    rough = _measure(_model(shape, weights, "eager", CPU), batch, "bf16")
    backends = ["sdpa"] if shape.num_experts else ["sdpa", "flex_attention", "varlen"]
    kind = "experts" if shape.num_experts else "packed rows"
    for backend in backends:
        for precision in ("float32", "bf16"):
            if (backend, precision) == ("varlen", "float32") and device.type == "cuda":
                continue  # a kernel of half precision
            for compiles in (False, True) if compiled and precision == "bf16" else (False,):
                name = f"{kind}, {backend}, {precision}{', compiled' if compiles else ''}"

                def check(name=name, backend=backend, precision=precision, compiles=compiles) -> Iterator[Record]:
                    found = _measure(_model(shape, weights, backend, device), batch, precision, compiles)
                    for what in Found._fields:
                        own, expected = getattr(found, what), getattr(exact, what)
                        if own is not None:
                            usual = distance(getattr(rough, what), expected)
                            allowed = FLOAT32_ERROR if precision == "float32" else max(2 * usual, BF16_ERRORS[what])
                            yield compared(f"{name}: {what}", distance(own, expected), allowed)

                yield from guarded(name, check)


def _model(shape: Rot5Config, weights: dict, backend: str, device: torch.device) -> Rot5ForConditionalGeneration:
    own = Rot5Config(**{**shape.to_diff_dict(), "attention_backend": backend})
    model = Rot5ForConditionalGeneration(own)
    model.load_state_dict(weights)
    return model.to(device)  # type: ignore[arg-type]


def _measure(model: Rot5ForConditionalGeneration, batch: Batch, precision: str, compiles: bool = False) -> Found:
    fields = to_tensors(batch.fields, model.device)
    unlabelled = {name: tensor for name, tensor in fields.items() if name != "labels"}
    logits = None
    if not compiles:
        with torch.inference_mode(), autocast(model.device, precision):
            logits = model.eval()(**unlabelled, use_cache=False).logits
        logits = logits[fields["labels"] != IGNORED].float().cpu()

    def loss() -> torch.Tensor:
        with autocast(model.device, precision):
            return model(**fields, use_cache=False).loss

    model.train()
    value = (torch.compile(loss, dynamic=False) if compiles else loss)()
    value.backward()
    gradients = [weight.grad.flatten().float().cpu() for weight in model.parameters() if weight.grad is not None]
    return Found(value.detach().float().cpu(), logits, torch.cat(gradients))


def check_grouped_products(device: torch.device) -> Iterator[Record]:
    """The matrix products of experts, one of which has no token, with their gradients."""

    def check() -> Iterator[Record]:
        torch.manual_seed(0)
        ends = torch.tensor([40, 40, 64, 128], dtype=torch.int32)
        x, w = torch.randn(128, 64), torch.randn(4, 64, 96)
        exact = _grouped(x, w, ends)
        rough = _grouped(x.bfloat16(), w.bfloat16(), ends)
        found = _grouped(x.to(device).bfloat16(), w.to(device).bfloat16(), ends.to(device))
        for what, own, near, expected in zip(("product", "d tokens", "d experts"), found, rough, exact, strict=True):
            allowed = 2 * distance(near, expected)
            yield compared(f"grouped products, bf16: {what}", distance(own, expected), allowed)

    yield from guarded("grouped products", check)


def _grouped(x: torch.Tensor, w: torch.Tensor, ends: torch.Tensor) -> list[torch.Tensor]:
    x, w = x.requires_grad_(), w.requires_grad_()
    product = F.grouped_mm(x, w, offs=ends)
    gradients = torch.autograd.grad(product.float().square().sum(), (x, w))
    return [each.detach().float().cpu() for each in (product, *gradients)]


def check_decoding(shape: Rot5Config, batch: Batch, device: torch.device) -> Iterator[Record]:
    """Greedy answers in float32, by our engine and by transformers', against transformers' on the CPU."""
    weights = Rot5ForConditionalGeneration(shape).state_dict()
    ids, segments = batch.fields["input_ids"][0], batch.fields["encoder_segment_ids"][0]
    inputs = [ids[segments == segment].tolist() for segment in range(1, int(segments.max()) + 1)]
    expected = _answers(_model(shape, weights, "auto", CPU).eval(), inputs)
    model = _model(shape, weights, "auto", device).eval()
    config = GenerateConfig(max_new_tokens=NEW_TOKENS, precision="float32")
    ways: dict[str, Callable[[], list[list[int]]]] = {
        "by transformers": lambda: _answers(model, inputs),
        "by our engine": lambda: generate(model, inputs, shape.pad_token_id or 0, config),
    }
    for name, way in ways.items():

        def check(name=name, way=way) -> Iterator[Record]:
            wrong = sum(own != other for own, other in zip(way(), expected, strict=True))
            yield compared(f"greedy answers {name}: share that differs", wrong / len(expected), 0.0)

        yield from guarded(f"greedy answers {name}", check)


def _answers(model: Rot5ForConditionalGeneration, inputs: list[list[int]]) -> list[list[int]]:
    end, answers = model.config.eos_token_id, []
    for each in inputs:
        ids = torch.tensor([each], device=model.device)
        with torch.inference_mode():
            row = model.generate(input_ids=ids, max_new_tokens=NEW_TOKENS, do_sample=False)[0, 1:].tolist()  # type: ignore[operator]
        answers.append(row[: row.index(end) + 1] if end in row else row)
    return answers
