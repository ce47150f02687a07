"""Matrix products with weights that are made ready once: packed by oneDNN, in 8 bits, or as they are.

Shape suffixes: N rows (tokens), I features in, O features out.
"""

import warnings
from collections.abc import Callable

import torch
from torch.nn import functional as F

from rot5.runtime import PRECISIONS

Product = Callable[[torch.Tensor], torch.Tensor]
"""Rows [N, I] to rows [N, O]: float32 or bfloat16 goes in, what comes out is of the product's own precision."""

ROWS = 32
"""Rows that packed weights are laid out for; other counts work too."""


def product(weight_OI: torch.Tensor, precision: str) -> Product:
    """The product with a matrix in a precision: float32, bf16 or int8."""
    weight_OI = weight_OI.detach()
    if precision == "int8":
        return _quantized(weight_OI.float())
    dtype = PRECISIONS[precision]
    weight_OI = weight_OI.to(dtype).contiguous()
    if weight_OI.device.type == "cpu" and _packs(dtype):
        packed = torch.ops.mkldnn._reorder_linear_weight(weight_OI, ROWS)
        return lambda x_NI: torch.ops.mkldnn._linear_pointwise(x_NI.to(dtype), packed, None, "none", [], "")
    return lambda x_NI: F.linear(x_NI.to(dtype), weight_OI)


def _packs(dtype: torch.dtype) -> bool:
    """Whether oneDNN multiplies with packed weights here: half again as fast with few rows, and never slower."""
    if not torch.backends.mkldnn.is_available() or not hasattr(torch.ops.mkldnn, "_reorder_linear_weight"):
        return False
    return dtype == torch.float32 or torch.ops.mkldnn._is_mkldnn_bf16_supported()


def _quantized(weight_OI: torch.Tensor) -> Product:
    """8-bit weights with a scale per output, multiplied with rows quantized by their own largest feature.

    Rows are divided by that before and multiplied by it behind, so that one fixed scale serves them all and none
    depends on its company. Without VNNI pairs of products are added up in 16 bits, where 7 bits of a row have room.
    """
    scale_O = weight_OI.abs().amax(dim=1).clamp(min=torch.finfo(torch.float32).tiny) / 127
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # quantized tensors are to leave torch one day, but their kernel is the fastest
        quantized = torch.quantize_per_channel(
            weight_OI, scale_O.double(), torch.zeros(len(scale_O), dtype=torch.long), 0, torch.qint8
        )
        packed = torch.ops.quantized.linear_prepack(quantized, None)
    levels = 127 if torch.cpu._is_vnni_supported() else 63

    def multiply(x_NI: torch.Tensor) -> torch.Tensor:
        x_NI = x_NI.float()
        largest_N1 = torch.maximum(x_NI.amax(dim=1, keepdim=True), x_NI.amin(dim=1, keepdim=True).neg_())
        largest_N1 = largest_N1.clamp_(min=torch.finfo(torch.float32).tiny)
        y_NO = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32(
            x_NI / largest_N1, 1 / levels, 128, packed
        )
        return y_NO.mul_(largest_N1)

    return multiply
