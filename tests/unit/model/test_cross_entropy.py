"""The chunked loss against PyTorch's own, in value and gradient."""

import pytest
import torch
from tolerances import BF16, PARITY
from torch.nn import functional as F

from rot5.model import cross_entropy
from rot5.model.cross_entropy import linear_cross_entropy_sum


@pytest.mark.parametrize("targets", [1, 7, 16, 33])
def test_sum_and_gradients(monkeypatch, targets):
    monkeypatch.setattr(cross_entropy, "CHUNK", 16)
    torch.manual_seed(0)
    labels = torch.randint(0, 50, (targets,))
    labels[::5] = -100
    losses, gradients = [], []
    for function in (
        linear_cross_entropy_sum,
        lambda h, w, y: F.cross_entropy(h @ w.T, y, ignore_index=-100, reduction="sum"),
    ):
        torch.manual_seed(1)
        hidden = torch.randn(targets, 8, requires_grad=True)
        weight = torch.randn(50, 8, requires_grad=True)
        loss = function(hidden, weight, labels)
        (loss * 0.3).backward()
        losses.append(loss.detach())
        gradients.append((hidden.grad, weight.grad))
    torch.testing.assert_close(losses[0], losses[1], rtol=PARITY, atol=PARITY)
    for own, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(own, expected, rtol=0, atol=PARITY)


def test_under_autocast():
    torch.manual_seed(0)
    hidden, weight, labels = torch.randn(20, 32), torch.randn(50, 32, requires_grad=True), torch.randint(0, 50, (20,))
    expected = F.cross_entropy(hidden @ weight.T, labels, reduction="sum")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = linear_cross_entropy_sum(hidden, weight, labels)
    assert found.dtype == torch.float32
    assert abs(found - expected) / expected < BF16
    found.backward()
    assert weight.grad.dtype == torch.float32
