"""Root-mean-square norms in front of matrix products.

Shape suffixes: T tokens, D features.
"""

import torch
from torch import nn
from torch.nn import functional as F

from rot5.model.precision import product_dtype


class _RmsNorm(torch.autograd.Function):
    """The norm of float32 vectors, given in `dtype`: a few passes over memory where PyTorch's takes a dozen."""

    @staticmethod
    def forward(ctx, x_TD: torch.Tensor, weight_D: torch.Tensor, eps: float, dtype: torch.dtype) -> torch.Tensor:
        D = x_TD.shape[-1]
        inverse_T1 = torch.linalg.vector_norm(x_TD, dim=-1, keepdim=True).square().div(D).add(eps).rsqrt()
        ctx.save_for_backward(x_TD, weight_D, inverse_T1)
        return (x_TD * inverse_T1 * weight_D).to(dtype)

    @staticmethod
    def backward(ctx, *output_gradients: torch.Tensor):
        x_TD, weight_D, inverse_T1 = ctx.saved_tensors
        gradient_TD = output_gradients[0].float()
        product_TD = gradient_TD * x_TD
        weight_gradient_D = (product_TD * inverse_T1).flatten(0, -2).sum(0) if ctx.needs_input_grad[1] else None
        share_T1 = (product_TD @ weight_D)[..., None] * inverse_T1.square() / x_TD.shape[-1]
        return (gradient_TD * weight_D).sub_(x_TD * share_T1).mul_(inverse_T1), weight_gradient_D, None, None


class RmsNorm(nn.RMSNorm):
    """RMSNorm (arXiv:1910.07467) whose output is in the precision that matrix products will want, converted once."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normed vectors of `x`; in the precision of autocast where it is on."""
        dtype = product_dtype(x)
        if x.device.type == "cpu" and x.dtype == torch.float32:
            assert self.eps is not None
            return _RmsNorm.apply(x, self.weight, self.eps, dtype)  # type: ignore[return-value]
        return F.rms_norm(x, self.normalized_shape, self.weight, self.eps).to(dtype)
