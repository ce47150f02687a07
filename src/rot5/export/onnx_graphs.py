"""A model as two ONNX graphs, encoder and decoder, each held against the model before it is kept; the one file that
knows ONNX Runtime.

The decoder reads the whole answer so far and keeps no cache. Shape suffixes: B batch, T answer, S input, D d_model.
"""

import copy
import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.export import Dim
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

from rot5.errors import UserError
from rot5.model.modeling_rot5 import Rot5ForConditionalGeneration

ENCODER, DECODER = "encoder.onnx", "decoder.onnx"
TOLERANCE = 1e-4
"""Largest difference of a vector's entry or a logit that is let pass, in float32."""
CHECKED = ((1, 1, 1), (1, 9, 2), (3, 40, 17), (2, 333, 1))
"""Rows, input and answer lengths at which graphs are held against the model; all but the first row end earlier."""
TRACED = (2, 11, 5)
"""The same of what the graphs are traced with: unlike each other, and none of them 1, which is taken for fixed."""

_INPUT, _ANSWER = {0: "batch", 1: "input_length"}, {0: "batch", 1: "answer_length"}


class _Encoder(nn.Module):
    """Ids and mask [B, S] to vectors [B, S, D]."""

    def __init__(self, model: Rot5ForConditionalGeneration) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        found = self.model.encoder(input_ids, attention_mask).last_hidden_state
        assert found is not None
        return found


class _Decoder(nn.Module):
    """Answers so far [B, T], the encoder's vectors [B, S, D] and the inputs' mask [B, S] to logits [B, T, V]."""

    def __init__(self, model: Rot5ForConditionalGeneration) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, decoder_input_ids: torch.Tensor, encoder_hidden_states: torch.Tensor, attention_mask: torch.Tensor
    ) -> torch.Tensor:
        return self.model(
            encoder_outputs=BaseModelOutput(last_hidden_state=encoder_hidden_states),  # type: ignore[arg-type]
            attention_mask=attention_mask,
            decoder_input_ids=decoder_input_ids,
            use_cache=False,
        ).logits


def check_onnx(model: PreTrainedModel) -> Rot5ForConditionalGeneration:
    """The model, of which graphs can be written.

    Raises UserError, before anything is written, for a model that has none and where libraries are missing.
    """
    if not isinstance(model, Rot5ForConditionalGeneration):
        raise UserError(
            f"onnx is for models of ours, and this is a {model.config.model_type} model: the library optimum exports it"
        )
    if model.config.num_experts:
        raise UserError(
            "onnx is for dense models, and this one has experts, whose grouped matrix products PyTorch traces in "
            "bfloat16 alone: leave --onnx out"
        )
    try:
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise UserError(f"onnx needs the extra onnx: pip install 'rot5[onnx]' ({error})") from None
    return model


def write_onnx(model: Rot5ForConditionalGeneration, folder: Path) -> None:
    """Write both graphs, float32, with batch and lengths open.

    Raises UserError where a graph gives something else than the model at any of the lengths of `CHECKED`.
    """
    model = copy.deepcopy(model).to("cpu", torch.float32).eval()  # type: ignore[arg-type]
    model.config.attention_backend = "sdpa"
    encoder, decoder = _Encoder(model).eval(), _Decoder(model).eval()
    ids, mask, answer = _batch(model, *TRACED)
    with torch.inference_mode():
        memory = encoder(ids, mask).clone()
    inputs = {"input_ids": ids, "attention_mask": mask}
    _write(encoder, inputs, [_INPUT, _INPUT], "encoder_hidden_states", folder / ENCODER)
    inputs = {"decoder_input_ids": answer, "encoder_hidden_states": memory, "attention_mask": mask}
    _write(decoder, inputs, [_ANSWER, _INPUT, _INPUT], "logits", folder / DECODER)
    for lengths in CHECKED:
        if (found := _difference(model, folder, lengths)) > TOLERANCE:
            raise UserError(
                f"onnx: the graphs differ from the model by {found:.1e} at {lengths[1]} and {lengths[2]} tokens, more "
                f"than {TOLERANCE:.0e}: leave --onnx out"
            )


def _write(
    module: nn.Module, inputs: dict[str, torch.Tensor], axes: Sequence[dict[int, str]], output: str, path: Path
) -> None:
    """Trace and write one graph; a module traced by the exporter itself fixes what it cannot compare."""
    dims = {name: Dim(name) for each in axes for name in each.values()}
    opened = tuple({axis: dims[name] for axis, name in each.items()} for each in axes)
    noise = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = noise.level
    noise.setLevel(logging.ERROR)  # of libraries for pictures, which are not installed
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # of deprecations inside of torch
            program = torch.export.export(module, tuple(inputs.values()), dynamic_shapes=opened)
            graph = torch.onnx.export(
                program,
                dynamo=True,
                input_names=list(inputs),
                output_names=[output],
                dynamic_shapes=tuple(axes),
                verbose=False,
            )
    except torch.onnx.errors.OnnxExporterError as error:
        raise UserError(f"onnx: PyTorch cannot write this model: {str(error).splitlines()[0]}") from error
    finally:
        noise.setLevel(level)
    assert graph is not None
    graph.save(path)


def _batch(model: Rot5ForConditionalGeneration, rows: int, inputs: int, answers: int) -> tuple[torch.Tensor, ...]:
    """Any ids [rows, inputs], their mask, which hides the end of all rows but the first, and answers."""
    generator = torch.Generator().manual_seed(inputs)
    ids, answer = (
        torch.randint(model.config.vocab_size, (rows, length), generator=generator) for length in (inputs, answers)
    )
    lengths = inputs - torch.arange(rows)[:, None] * (inputs // (rows + 1))
    return ids, (torch.arange(inputs) < lengths).long(), answer


def _difference(model: Rot5ForConditionalGeneration, folder: Path, lengths: tuple[int, int, int]) -> float:
    """Largest difference between what the graphs and the model give of a batch, what is read of padding aside."""
    ids, mask, answer = _batch(model, *lengths)
    with torch.inference_mode():
        memory = _Encoder(model)(ids, mask)
        logits = _Decoder(model)(answer, memory, mask)
    found_memory = _run(folder / ENCODER, input_ids=ids, attention_mask=mask)
    found_logits = _run(
        folder / DECODER, decoder_input_ids=answer, encoder_hidden_states=found_memory, attention_mask=mask
    )
    gaps = (found_memory - memory)[mask.bool()].abs().max(), (found_logits - logits).abs().max()
    return max(float(torch.nan_to_num(gap, nan=torch.inf)) for gap in gaps)


def _run(path: Path, **inputs: torch.Tensor) -> torch.Tensor:
    """What a graph gives, on the CPU."""
    from onnxruntime import InferenceSession

    session = InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found: Any = session.run(None, {name: value.numpy() for name, value in inputs.items()})
    return torch.from_numpy(found[0])
