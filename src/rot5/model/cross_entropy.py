"""Cross-entropy of a linear head without ever holding the logits of a whole batch.

Shape suffixes: N targets, D d_model, V vocabulary.
"""

import torch
from torch.nn import functional as F

from rot5.model.precision import product_dtype

CHUNK = 1024
"""Targets whose logits exist at a time."""

IGNORED = -100
"""Label that counts for nothing, as everywhere in PyTorch."""


class _ChunkedCrossEntropy(torch.autograd.Function):
    """Sum of the cross-entropy, its gradients made chunk by chunk while the logits are at hand."""

    @staticmethod
    def forward(ctx, hidden_ND: torch.Tensor, weight_VD: torch.Tensor, labels_N: torch.Tensor) -> torch.Tensor:
        total = hidden_ND.new_zeros((), dtype=torch.float32)
        hidden_gradients = []
        needs_gradients = ctx.needs_input_grad[0] or ctx.needs_input_grad[1]
        weight_gradient_VD = torch.zeros_like(weight_VD, dtype=torch.float32) if needs_gradients else None
        for hidden_CD, labels_C in zip(hidden_ND.split(CHUNK), labels_N.split(CHUNK), strict=True):
            logits_CV = hidden_CD @ weight_VD.T
            valid_C = labels_C != IGNORED
            index_C1 = labels_C.clamp(min=0)[:, None]
            target_C, top_C = logits_CV.gather(1, index_C1)[:, 0].float(), logits_CV.amax(dim=1).float()
            # The softmax sums in float32 whatever its precision; its largest entry is one over the sum.
            probs_CV = logits_CV.softmax(dim=1)
            log_sum_C = top_C - probs_CV.amax(dim=1).float().log()
            total = total + ((log_sum_C - target_C) * valid_C).sum()
            if weight_gradient_VD is not None:
                probs_CV[torch.arange(len(labels_C), device=labels_C.device), index_C1[:, 0]] -= 1
                hidden_gradients.append((probs_CV @ weight_VD) * valid_C[:, None])
                weight_gradient_VD += probs_CV.T @ (hidden_CD * valid_C[:, None])
        if weight_gradient_VD is not None:
            ctx.save_for_backward(torch.cat(hidden_gradients), weight_gradient_VD)
        return total

    @staticmethod
    def backward(ctx, *output_gradients: torch.Tensor):
        hidden_gradient_ND, weight_gradient_VD = ctx.saved_tensors
        (scale,) = output_gradients
        return (hidden_gradient_ND * scale).to(hidden_gradient_ND.dtype), weight_gradient_VD * scale, None


def linear_cross_entropy_sum(hidden_ND: torch.Tensor, weight_VD: torch.Tensor, labels_N: torch.Tensor) -> torch.Tensor:
    """Sum over labels that are not -100 of the cross-entropy (nats, float32) of `hidden_ND @ weight_VD.T`.

    Under autocast the products run in its precision, the softmax sums in float32.
    """
    dtype = product_dtype(hidden_ND)
    hidden_ND, weight_VD = hidden_ND.to(dtype), weight_VD.to(dtype)
    with torch.autocast(hidden_ND.device.type, enabled=False):
        return _ChunkedCrossEntropy.apply(hidden_ND, weight_VD, labels_N)


def token_cross_entropy(logits_BTV: torch.Tensor, labels_BT: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of each target [B, T] in nats, float32; 0 where the label is -100."""
    return F.cross_entropy(logits_BTV.float().transpose(1, 2), labels_BT, reduction="none", ignore_index=IGNORED)
