"""Muon for stacks of matrices, as experts hold them.

Shape suffixes: E matrices of a stack, N rows, M columns, S the shorter of both, L the longer.
"""

import torch

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic iteration (kellerjordan.github.io/posts/muon): steepest at zero, so that few rounds do."""

ROUNDS = 5
SMALLEST_NORM = 1e-7
RMS_OF_ADAMW = 0.2
"""Root mean square of AdamW's steps, in units of its rate (arXiv:2502.16982)."""


class StackedMuon(torch.optim.Optimizer):
    """What torch.optim.Muon with `match_rms_adamw` does to a matrix, done to every matrix of each tensor [E, N, M].

    Nesterov's momentum is orthogonalised matrix by matrix in bfloat16, in one batch of products for a tensor, and
    scaled to the root mean square of AdamW's steps; decay is decoupled. State is `momentum_buffer` in the dtype of the
    weights. An expert that saw few tokens moves as far as its fellows: only its gradient's direction counts.
    """

    def __init__(self, parameters: list[torch.nn.Parameter], *, lr: float, weight_decay: float, momentum: float):
        assert all(parameter.ndim == 3 for parameter in parameters)
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Move every parameter that has a gradient. A closure is for `Together` to call, whose part this is."""
        assert closure is None
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._move(parameter, parameter.grad, group)

    def _move(self, stack_ENM: torch.Tensor, gradient_ENM: torch.Tensor, group: dict) -> None:
        state = self.state[stack_ENM]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(gradient_ENM)
        mean_ENM = state["momentum_buffer"].lerp_(gradient_ENM, 1 - group["momentum"])
        update_ENM = orthogonalised(gradient_ENM.lerp(mean_ENM, group["momentum"]))
        stack_ENM.mul_(1 - group["lr"] * group["weight_decay"])
        stack_ENM.add_(update_ENM, alpha=-group["lr"] * RMS_OF_ADAMW * max(stack_ENM.shape[1:]) ** 0.5)


def orthogonalised(stack_ENM: torch.Tensor) -> torch.Tensor:
    """The orthogonal matrix near each of a stack [E, N, M], in bfloat16: singular values become roughly 1."""
    a, b, c = COEFFICIENTS
    upright = stack_ENM.shape[1] > stack_ENM.shape[2]
    x_ESL = stack_ENM.bfloat16()
    x_ESL = x_ESL.transpose(1, 2) if upright else x_ESL
    x_ESL = x_ESL / torch.linalg.vector_norm(x_ESL, dim=(1, 2), keepdim=True).clamp(min=SMALLEST_NORM)
    for _ in range(ROUNDS):
        gram_ESS = torch.bmm(x_ESL, x_ESL.transpose(1, 2))
        x_ESL = torch.baddbmm(x_ESL, torch.baddbmm(gram_ESS, gram_ESS, gram_ESS, beta=b, alpha=c), x_ESL, beta=a)
    return x_ESL.transpose(1, 2) if upright else x_ESL
