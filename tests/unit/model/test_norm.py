"""The norm in front of matrix products against PyTorch's own, in value and gradient."""

import pytest
import torch
from tolerances import BF16, PARITY

from rot5.model.norm import RmsNorm


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e3])
def test_values_and_gradients(scale):
    torch.manual_seed(0)
    x, weight, gradient = scale * torch.randn(2, 7, 24), torch.randn(24), torch.randn(2, 7, 24)
    found = []
    for norm in (RmsNorm(24, eps=1e-6), torch.nn.RMSNorm(24, eps=1e-6)):
        norm.weight.data.copy_(weight)
        own = x.clone().requires_grad_()
        normed = norm(own)
        normed.backward(gradient)
        assert own.grad is not None
        found.append((normed.detach(), own.grad * scale, norm.weight.grad))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=PARITY, atol=PARITY)


def test_autocast_converts_once():
    norm, x = RmsNorm(24, eps=1e-6), torch.randn(3, 24)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        lower = norm(x)
    assert lower.dtype == torch.bfloat16 and norm(x).dtype == torch.float32
    torch.testing.assert_close(lower.float(), norm(x), rtol=BF16, atol=BF16)


def test_other_precisions_are_pytorchs():
    norm, x = RmsNorm(24, eps=1e-6).bfloat16(), torch.randn(3, 24).bfloat16()
    torch.testing.assert_close(norm(x), torch.nn.functional.rms_norm(x, (24,), norm.weight, 1e-6), rtol=0, atol=0)
