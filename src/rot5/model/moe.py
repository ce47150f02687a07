"""A mixture of experts in place of the feed-forward network: each token goes to a few of many (arXiv:2101.03961).

Shape suffixes: B batch, T positions, N tokens (B * T), K choices of a token, M assignments (N * K: a token with one of
its choices), E experts, D d_model, F expert width.

No shape depends on the data and nothing is read back from the device. The grouped matrix product is one kernel in
bfloat16 on CUDA, a loop inside torch elsewhere; it compiles in bfloat16 only. It wants rows of whole 16 bytes: D and F
multiples of 8 in bfloat16, of 4 in float32.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from rot5.model.configuration_rot5 import Rot5Config
from rot5.model.feed_forward import ACTIVATION_FUNCTIONS, FeedForward
from rot5.model.precision import product_dtype

LOGIT_STD = 0.4
"""Of logits at the start, for inputs of unit variance: the first probabilities are close to uniform."""


class Routing(NamedTuple):
    """Where the tokens of one layer go; everything but the choices is float32 or bool.

    A gate is what the output of a choice is multiplied by: its probability among all experts times the scaling factor,
    0 for padding and for what was dropped. Gates are not renormalised over the choices: a single one would always be 1
    and the router would learn nothing from the output.
    """

    experts_NK: torch.Tensor
    """The chosen experts (int64), best first; for padding too."""

    gates_NK: torch.Tensor
    probs_NE: torch.Tensor
    logits_NE: torch.Tensor

    kept_NK: torch.Tensor
    """False for padding and for what found its expert full."""

    real_N: torch.Tensor
    """False for padding."""


def count_load(routing: Routing) -> torch.Tensor:
    """How many real assignments each expert was chosen for [E], before any are dropped."""
    experts_E = torch.arange(routing.probs_NE.shape[1], device=routing.experts_NK.device)
    chosen_NKE = routing.experts_NK[..., None] == experts_E
    return (chosen_NKE & routing.real_N[:, None, None]).sum(dim=(0, 1))


def mean_over_real(values_NX: torch.Tensor, real_N: torch.Tensor) -> torch.Tensor:
    """Mean [X] over the tokens that are not padding; 0 if there are none."""
    return values_NX.masked_fill(~real_N[:, None], 0).sum(0) / real_N.sum().clamp(min=1)


def balance_loss(routing: Routing) -> torch.Tensor:
    """Switch's balance loss, E * sum of f P over the experts: 1 if all are used alike, E if only one (eq. 4 to 6).

    f is an expert's share of the real assignments, counted before dropping; P its mean probability over real tokens.
    """
    load_E = count_load(routing)
    share_E = load_E / load_E.sum().clamp(min=1)
    return len(load_E) * (share_E * mean_over_real(routing.probs_NE, routing.real_N)).sum()


def z_loss(routing: Routing) -> torch.Tensor:
    """Mean over real tokens of the logits' squared logsumexp, which keeps them small (arXiv:2202.08906, eq. 5)."""
    return mean_over_real(routing.logits_NE.logsumexp(dim=1, keepdim=True).square(), routing.real_N)[0]


class Router(nn.Module):
    """Chooses experts for each token, in float32 whatever the precision around it, and counts what was chosen.

    Logits are scaled by d_model**-0.5 and weights begin larger by its inverse: the same small logits, from weights
    whose relative change in an update of Adam is that of all other matrices. Unscaled, ten updates move them further
    than where they began, and all tokens to one expert.

    `selection_bias` is added to the logits for the choice, never for the gates: it balances without a loss
    (arXiv:2408.15664). The tallies count what was recorded since the last `end_step`.
    """

    selection_bias: torch.Tensor
    load_E: torch.Tensor
    tokens: torch.Tensor
    dropped: torch.Tensor
    entropy: torch.Tensor

    def __init__(self, config: Rot5Config):
        super().__init__()
        self.choices = config.num_experts_per_tok
        self.scaling = config.router_scaling_factor
        self.jitter = config.router_jitter_noise
        self.capacity_factor = config.expert_capacity_factor
        self.logit_scale = config.d_model**-0.5
        self.weight = nn.Parameter(torch.empty(config.num_experts, config.d_model))
        nn.init.normal_(self.weight, std=LOGIT_STD)
        self.register_buffer("selection_bias", torch.zeros(config.num_experts, dtype=torch.float32))
        self.register_buffer("load_E", torch.zeros(config.num_experts, dtype=torch.int64), persistent=False)
        self.register_buffer("tokens", torch.zeros((), dtype=torch.int64), persistent=False)
        self.register_buffer("dropped", torch.zeros((), dtype=torch.int64), persistent=False)
        self.register_buffer("entropy", torch.zeros((), dtype=torch.float32), persistent=False)

    def _apply(self, fn, recurse=True):
        """Move the buffers with the module, but leave them float32: bfloat16 would swallow every small step."""
        before = {name: getattr(self, name) for name in ("selection_bias", "entropy")}
        super()._apply(fn, recurse)
        for name, buffer in before.items():
            moved = getattr(self, name)
            if moved.dtype != torch.float32:
                setattr(self, name, buffer.to(moved.device))
        return self

    def forward(self, x_ND: torch.Tensor, real_N: torch.Tensor) -> Routing:
        """Choose for each token; `real_N` is False for padding."""
        with torch.autocast(x_ND.device.type, enabled=False):
            x_ND = x_ND.float()
            if self.training and self.jitter:
                x_ND = x_ND * torch.empty_like(x_ND).uniform_(1 - self.jitter, 1 + self.jitter)
            logits_NE = F.linear(x_ND, self.weight.float()) * self.logit_scale
            probs_NE = logits_NE.softmax(dim=-1)
            experts_NK = (logits_NE.detach() + self.selection_bias).topk(self.choices, dim=-1).indices
            kept_NK = self._within_capacity(experts_NK, real_N)
            gates_NK = (probs_NE.gather(1, experts_NK) * self.scaling).masked_fill(~kept_NK, 0)
        return Routing(experts_NK, gates_NK, probs_NE, logits_NE, kept_NK, real_N)

    def _within_capacity(self, experts_NK: torch.Tensor, real_N: torch.Tensor) -> torch.Tensor:
        """Which assignments their expert has room for, in order of position.

        A capacity binds while training alone: what a trained model gives must depend neither on the rest of the batch
        nor on how many tokens it is fed at once. Second choices do not queue behind the first ones of later tokens: a
        decoder would learn from tokens to come.
        """
        N, K = experts_NK.shape
        if self.capacity_factor is None or not self.training:
            return real_N[:, None].expand(N, K)
        E = len(self.selection_bias)
        capacity = (real_N.sum() * self.capacity_factor * K / E).ceil()
        experts_M = experts_NK.flatten()
        real_M = real_N.repeat_interleave(K)
        chosen_ME = (experts_M[:, None] == torch.arange(E, device=experts_M.device)) & real_M[:, None]
        place_M = chosen_ME.cumsum(0).gather(1, experts_M[:, None]).flatten()
        return ((place_M <= capacity) & real_M).view(N, K)

    @torch.no_grad()
    def record(self, routing: Routing) -> None:
        """Add what was chosen to the tallies."""
        padding_N1 = ~routing.real_N[:, None]
        self.load_E += count_load(routing)
        self.tokens += routing.real_N.sum()
        self.dropped += (~routing.kept_NK & ~padding_N1).sum()
        self.entropy += torch.special.entr(routing.probs_NE).masked_fill(padding_N1, 0).sum()

    def metrics(self) -> dict[str, float]:
        """What the tallies say (waits for the device); all 0 when nothing was recorded.

        `max_load` and `min_load` in units of the mean load, `entropy` of a token's probabilities in units of log E,
        `dropped` as a share of the assignments, `dead_experts` the number with less than a tenth of the mean load.
        """
        load_E = self.load_E.tolist()
        total, E = sum(load_E), len(load_E)
        return {
            "max_load": max(load_E) * E / max(total, 1),
            "min_load": min(load_E) * E / max(total, 1),
            "entropy": float(self.entropy) / (max(int(self.tokens), 1) * math.log(E)),
            "dropped": int(self.dropped) / max(total, 1),
            "dead_experts": float(sum(10 * E * load < total for load in load_E)),
        }

    @torch.no_grad()
    def end_step(self, rate: float, add_up: Callable[[torch.Tensor], torch.Tensor] = lambda own: own) -> None:
        """Raise the bias of experts below the mean load by `rate`, lower that of those above; then count anew.

        `add_up` sums the loads over ranks.
        """
        if rate:
            load_E = add_up(self.load_E.float())
            self.selection_bias += rate * (load_E.mean() - load_E).sign()
        for tally in (self.load_E, self.tokens, self.dropped, self.entropy):
            tally.zero_()


class Reorder(torch.autograd.Function):
    """`x_MD[order_M]` of a permutation whose inverse is known: the gradient is gathered too, which is deterministic."""

    @staticmethod
    def forward(ctx, x_MD: torch.Tensor, order_M: torch.Tensor, inverse_M: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(inverse_M)
        return x_MD.index_select(0, order_M)

    @staticmethod
    def backward(ctx, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (inverse_M,) = ctx.saved_tensors
        return gradients[0].index_select(0, inverse_M), None, None


class Experts(nn.Module):
    """Feed-forward networks side by side, each applied to the tokens that chose it."""

    def __init__(self, config: Rot5Config):
        super().__init__()
        E, D, width = config.num_experts, config.d_model, config.d_ff
        self.up_proj = nn.Parameter(torch.empty(E, width, D))
        self.gate_proj = nn.Parameter(torch.empty(E, width, D)) if config.is_gated else None
        self.down_proj = nn.Parameter(torch.empty(E, D, width))
        for weight in self.parameters():
            nn.init.normal_(weight, std=weight.shape[-1] ** -0.5)
        self.dropout = nn.Dropout(config.dropout_rate)
        self.activation = ACTIVATION_FUNCTIONS[config.activation]

    def forward(self, x_ND: torch.Tensor, routing: Routing) -> torch.Tensor:
        """The gated sum of the chosen experts' outputs, in the precision of `x_ND`; 0 for padding.

        Assignments are sorted by expert, those of padding behind all. The last expert's group takes padding in: what
        lies in no group would be left uninitialised.
        """
        (N, K), E = routing.experts_NK.shape, len(self.up_proj)
        device = x_ND.device
        key_M = routing.experts_NK.masked_fill(~routing.real_N[:, None], E).flatten()
        sorted_M, order_M = key_M.sort(stable=True)
        inverse_M = torch.empty_like(order_M).scatter_(0, order_M, torch.arange(N * K, device=device))
        ends_E = torch.searchsorted(
            sorted_M.clamp(max=E - 1), torch.arange(E, device=device), right=True, out_int32=True
        )

        dtype = product_dtype(x_ND)

        def project(rows_M: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
            return F.grouped_mm(rows_M, weight.to(dtype).transpose(1, 2), offs=ends_E)

        x_MD = Reorder.apply(x_ND.to(dtype)[:, None].expand(-1, K, -1).flatten(0, 1), order_M, inverse_M)
        inner_MF = project(x_MD, self.up_proj)
        if self.gate_proj is None:
            inner_MF = self.activation(inner_MF)
        else:
            inner_MF = self.activation(project(x_MD, self.gate_proj)) * inner_MF
        y_MD = Reorder.apply(project(self.dropout(inner_MF), self.down_proj), inverse_M, order_M)
        return (y_MD.view(N, K, x_ND.shape[1]) * routing.gates_NK[..., None]).sum(1).to(x_ND.dtype)


class MixtureOfExperts(nn.Module):
    """The experts a token is sent to, plus one that all tokens go through: as wide as `num_shared_experts` of them."""

    def __init__(self, config: Rot5Config):
        super().__init__()
        self.router = Router(config)
        self.experts = Experts(config)
        shared = config.num_shared_experts
        self.shared_expert = FeedForward(config, shared * config.d_ff) if shared else None

    def forward(self, x_BTD: torch.Tensor, real_BT: torch.Tensor | None) -> tuple[torch.Tensor, Routing]:
        """The output and where the tokens went; `real_BT` is False for padding, None if there is none."""
        x_ND = x_BTD.flatten(0, 1)
        real_N = torch.ones_like(x_ND[:, 0], dtype=torch.bool) if real_BT is None else real_BT.flatten()
        routing = self.router(x_ND, real_N)
        y_BTD = self.experts(x_ND, routing).view_as(x_BTD)
        return (y_BTD if self.shared_expert is None else y_BTD + self.shared_expert(x_BTD)), routing
