"""The mixture of experts against a loop over tokens and Switch Transformers; what its losses and tallies say."""

import math
from fractions import Fraction

import pytest
import torch
from tolerances import BF16, PARITY
from torch._subclasses import FakeTensorMode
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException
from torch.nn import functional as F
from transformers import SwitchTransformersConfig
from transformers.models.switch_transformers.modeling_switch_transformers import (
    SwitchTransformersSparseMLP,
    load_balancing_loss_func,
    router_z_loss_func,
)

from rot5.model.configuration_rot5 import Rot5Config
from rot5.model.moe import MixtureOfExperts, Router, Routing, balance_loss, count_load, z_loss

ACTIVATIONS = {"relu": F.relu, "silu": F.silu, "gated-gelu": lambda x: F.gelu(x, approximate="tanh")}


def make_config(**settings) -> Rot5Config:
    shape = {"d_model": 16, "d_ff": 24, "num_experts": 4, "feed_forward_proj": "gated-gelu"}
    return Rot5Config(**{**shape, **settings})


def make_layer(**settings) -> MixtureOfExperts:
    """A layer whose router has clear preferences."""
    torch.manual_seed(0)
    layer = MixtureOfExperts(make_config(**settings))
    torch.nn.init.normal_(layer.router.weight, std=2.0)
    return layer


def make_routing(experts_NK: list[list[int]], probs_NE: torch.Tensor, kept_NK=None, real_N=None) -> Routing:
    experts = torch.tensor(experts_NK)
    real = torch.ones(len(experts), dtype=torch.bool) if real_N is None else torch.tensor(real_N)
    kept = real[:, None].expand_as(experts) if kept_NK is None else torch.tensor(kept_NK)
    return Routing(experts, probs_NE.gather(1, experts) * kept, probs_NE, probs_NE.log(), kept, real)


def assert_close(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=0, atol=PARITY)


def assert_same_gradients(actual: torch.Tensor, expected: torch.Tensor, leaves: list[torch.Tensor]):
    direction = torch.randn_like(actual)
    for own, other in zip(
        torch.autograd.grad(actual, leaves, direction, retain_graph=True),
        torch.autograd.grad(expected, leaves, direction, retain_graph=True),
        strict=True,
    ):
        assert own.abs().max() > 0
        assert_close(own, other)


def feed_forward(proj: str, up: torch.Tensor, gate: torch.Tensor | None, down: torch.Tensor, x: torch.Tensor):
    inner = ACTIVATIONS[proj](up @ x) if gate is None else ACTIVATIONS[proj](gate @ x) * (up @ x)
    return down @ inner


def oracle(layer: MixtureOfExperts, config: Rot5Config, x_ND: torch.Tensor, real: list[bool]) -> torch.Tensor:
    """The layer's output, token by token and choice by choice."""
    E, K, experts = config.num_experts, config.num_experts_per_tok, layer.experts
    logits = [layer.router.weight @ x * config.d_model**-0.5 for x in x_ND]
    probs = [torch.softmax(each, dim=0) for each in logits]
    bias = layer.router.selection_bias
    ranked = [sorted(range(E), key=lambda e, each=each: -(each[e] + bias[e]).item())[:K] for each in logits]
    capacity = math.inf
    if config.expert_capacity_factor is not None:
        capacity = math.ceil(Fraction(str(config.expert_capacity_factor)) * sum(real) * K / E)
    taken, outputs = [0] * E, [torch.zeros_like(x) for x in x_ND]
    for n, x in enumerate(x_ND):
        for e in ranked[n]:
            if real[n] and taken[e] < capacity:
                taken[e] += 1
                gate = None if experts.gate_proj is None else experts.gate_proj[e]
                y = feed_forward(config.feed_forward_proj, experts.up_proj[e], gate, experts.down_proj[e], x)
                outputs[n] = outputs[n] + y * probs[n][e] * config.router_scaling_factor
    if layer.shared_expert is not None:
        shared = layer.shared_expert
        gate = None if shared.gate_proj is None else shared.gate_proj.weight
        for n, x in enumerate(x_ND):
            y = feed_forward(config.feed_forward_proj, shared.up_proj.weight, gate, shared.down_proj.weight, x)
            outputs[n] = outputs[n] + y
    return torch.stack(outputs)


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"num_experts_per_tok": 2},
        {"feed_forward_proj": "relu"},
        {"feed_forward_proj": "silu", "num_experts_per_tok": 3},
        {"num_shared_experts": 2},
        {"expert_capacity_factor": 1.0},
        {"expert_capacity_factor": 0.75, "num_experts_per_tok": 2, "feed_forward_proj": "silu"},
        {"router_scaling_factor": 2.5, "num_experts_per_tok": 2},
        {"bias": [0.0, 0.4, -0.3, 0.0], "num_experts_per_tok": 2, "num_shared_experts": 1},
    ],
    ids=lambda settings: ",".join(f"{name}={value}" for name, value in settings.items()) or "default",
)
def test_outputs_and_gradients_equal_a_loop_over_tokens(settings, padded):
    settings = dict(settings)
    bias = settings.pop("bias", None)
    layer = make_layer(**settings)
    if bias is not None:
        layer.router.selection_bias.copy_(torch.tensor(bias))
    x_BTD = torch.randn(3, 7, 16, requires_grad=True)
    real_BT = torch.rand(3, 7) < 0.6 if padded else torch.ones(3, 7, dtype=torch.bool)
    actual, routing = layer(x_BTD, real_BT if padded else None)
    expected = oracle(layer, make_config(**settings), x_BTD.flatten(0, 1), real_BT.flatten().tolist())
    assert_close(actual.flatten(0, 1), expected)
    assert_same_gradients(actual, expected.view_as(actual), [x_BTD, *layer.parameters()])
    assert torch.equal(routing.real_N, real_BT.flatten())
    if "expert_capacity_factor" in settings:
        assert (routing.real_N[:, None] & ~routing.kept_NK).any(), "the capacity was meant to bind"


@pytest.mark.parametrize("capacity_factor", [None, 1.0])
def test_one_choice_equals_switch_transformers(capacity_factor):
    layer = make_layer(feed_forward_proj="relu", expert_capacity_factor=capacity_factor)
    capacity = 1000 if capacity_factor is None else 6
    switch = SwitchTransformersSparseMLP(
        SwitchTransformersConfig(
            d_model=16, d_ff=24, num_experts=4, expert_capacity=capacity, router_jitter_noise=0.0, dropout_rate=0.0
        )
    )
    with torch.no_grad():
        switch.router.classifier.weight.copy_(layer.router.weight * 16**-0.5)
        for e in range(4):
            switch.experts[f"expert_{e}"].wi.weight.copy_(layer.experts.up_proj[e])
            switch.experts[f"expert_{e}"].wo.weight.copy_(layer.experts.down_proj[e])
    x_BTD = torch.randn(1, 24, 16, requires_grad=True)
    actual, routing = layer(x_BTD, None)
    expected = switch(x_BTD)
    assert routing.kept_NK.all() == (capacity_factor is None)
    assert_close(actual, expected)
    assert_same_gradients(actual, expected, [x_BTD])
    direction = torch.randn_like(actual)
    (own,) = torch.autograd.grad(actual, layer.router.weight, direction)
    (other,) = torch.autograd.grad(expected, switch.router.classifier.weight, direction)
    assert_close(own, other * 16**-0.5)


def test_losses_equal_switch_transformers():
    _, routing = make_layer()(torch.randn(1, 24, 16), None)
    assert_close(z_loss(routing), router_z_loss_func(routing.logits_NE[None]))
    assert_close(balance_loss(routing), load_balancing_loss_func(routing.probs_NE[None], routing.experts_NK.T))


def test_the_output_alone_teaches_the_router_with_one_choice():
    layer = make_layer(num_experts_per_tok=1)
    x_BTD = torch.randn(2, 6, 16)
    y_BTD, routing = layer(x_BTD, None)
    direction = torch.randn_like(y_BTD)
    (learned,) = torch.autograd.grad(y_BTD, layer.router.weight, direction, retain_graph=True)
    assert learned.norm() > 0.1
    renormalised = routing._replace(gates_NK=routing.gates_NK / routing.gates_NK.sum(1, keepdim=True))
    y_ND = layer.experts(x_BTD.flatten(0, 1), renormalised)
    (nothing,) = torch.autograd.grad(y_ND, layer.router.weight, direction.flatten(0, 1))
    assert nothing.norm() < PARITY * learned.norm()


@pytest.mark.parametrize("capacity_factor", [None, 0.75])
@pytest.mark.parametrize("num_shared_experts", [0, 1])
def test_padding_changes_nothing_and_takes_no_place(capacity_factor, num_shared_experts):
    layer = make_layer(
        num_experts_per_tok=2, expert_capacity_factor=capacity_factor, num_shared_experts=num_shared_experts
    )
    x_1TD, padding_1TD = torch.randn(1, 10, 16), 50 * torch.randn(1, 30, 16)
    real_1T = torch.zeros(1, 40, dtype=torch.bool)
    real_1T[:, 15:25] = True
    padded_1TD = torch.cat([padding_1TD[:, :15], x_1TD, padding_1TD[:, 15:]], dim=1)
    alone, routing = layer(x_1TD, None)
    among, padded = layer(padded_1TD, real_1T)
    assert_close(among[:, 15:25], alone)
    assert torch.equal(padded.kept_NK[15:25], routing.kept_NK)
    assert_close(balance_loss(padded), balance_loss(routing))
    assert_close(z_loss(padded), z_loss(routing))
    assert not padded.kept_NK[~padded.real_N].any()
    assert not padded.gates_NK[~padded.real_N].any()
    shared = torch.zeros_like(padded_1TD) if layer.shared_expert is None else layer.shared_expert(padded_1TD)
    torch.testing.assert_close(among[~real_1T], shared[~real_1T], rtol=PARITY, atol=PARITY)
    direction = torch.randn_like(alone)
    for weight in (layer.router.weight, *layer.experts.parameters()):
        (own,) = torch.autograd.grad(among[:, 15:25], weight, direction, retain_graph=True)
        (other,) = torch.autograd.grad(alone, weight, direction, retain_graph=True)
        assert_close(own, other)


def test_a_batch_of_nothing_but_padding_is_finite():
    layer = make_layer(expert_capacity_factor=1.0)
    x_BTD = torch.randn(2, 4, 16)
    y_BTD, routing = layer(x_BTD, torch.zeros(2, 4, dtype=torch.bool))
    assert not y_BTD.any()
    assert balance_loss(routing) == 0 and z_loss(routing) == 0
    (y_BTD.sum() + balance_loss(routing) + z_loss(routing)).backward()
    assert all(weight.grad is not None and not weight.grad.any() for weight in layer.parameters())


def test_no_tokens_at_all_are_no_error():
    layer = make_layer(expert_capacity_factor=1.0, num_experts_per_tok=2)
    y_BTD, routing = layer(torch.randn(0, 4, 16), None)
    (y_BTD.sum() + balance_loss(routing)).backward()
    assert y_BTD.shape == (0, 4, 16)


def test_jitter_acts_on_the_router_alone_and_only_in_training():
    config = make_config(d_model=8, num_experts=8, router_jitter_noise=0.1)
    layer = MixtureOfExperts(config)
    layer.router.weight = torch.nn.Parameter(torch.eye(8) * 8**0.5)
    x_BTD = torch.randn(2, 6, 8)
    x_before, real_N = x_BTD.clone(), torch.ones(12, dtype=torch.bool)
    y_BTD, jittered = layer(x_BTD, None)
    assert torch.equal(x_BTD, x_before)
    factors = jittered.logits_NE / x_BTD.flatten(0, 1)
    assert 0.9 <= factors.min() < 0.93 and 1.07 < factors.max() <= 1.1
    assert_close(layer.experts(x_before.flatten(0, 1), jittered).view_as(y_BTD), y_BTD)
    assert_close(layer.eval().router(x_BTD.flatten(0, 1), real_N).logits_NE, x_BTD.flatten(0, 1))


@pytest.mark.parametrize("feed_forward_proj", ["silu", "gated-gelu"])
def test_autocast_leaves_the_routing_exact(feed_forward_proj):
    layer = make_layer(num_experts_per_tok=2, num_shared_experts=1, feed_forward_proj=feed_forward_proj)
    x_BTD = torch.randn(2, 16, 16, requires_grad=True)
    exact, routing = layer(x_BTD, None)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough, rough_routing = layer(x_BTD, None)
        losses = balance_loss(rough_routing), z_loss(rough_routing)
    assert rough.dtype == torch.float32
    for name, tensor in rough_routing._asdict().items():
        assert tensor.dtype == getattr(routing, name).dtype
        assert torch.equal(tensor, getattr(routing, name)), name
    assert [loss.dtype for loss in losses] == [torch.float32] * 2
    assert_close(torch.stack(losses), torch.stack([balance_loss(routing), z_loss(routing)]))
    assert 0 < (rough - exact).norm() < BF16 * exact.norm()
    direction = torch.randn_like(exact)
    for leaf in (x_BTD, *layer.parameters()):
        (own,) = torch.autograd.grad(rough, leaf, direction, retain_graph=True)
        (other,) = torch.autograd.grad(exact, leaf, direction, retain_graph=True)
        assert (own - other).norm() < BF16 * other.norm()


def test_a_bfloat16_layer_routes_in_float32():
    layer = make_layer(num_shared_experts=1)
    layer.router.selection_bias.fill_(0.1234567)
    layer.bfloat16()
    assert layer.experts.up_proj.dtype == torch.bfloat16
    assert layer.router.selection_bias.dtype == layer.router.entropy.dtype == torch.float32
    assert torch.equal(layer.router.selection_bias, torch.full((4,), 0.1234567))
    x_BTD = torch.randn(2, 16, 16, dtype=torch.bfloat16)
    rough, routing = layer(x_BTD, None)
    rough.sum().backward()
    assert rough.dtype == torch.bfloat16
    assert [routing.logits_NE.dtype, routing.probs_NE.dtype, routing.gates_NK.dtype] == [torch.float32] * 3
    exact, same = layer.float()(x_BTD.float(), None)
    assert torch.equal(routing.logits_NE, same.logits_NE)
    assert (rough.float() - exact).norm() < BF16 * exact.norm()


def loop_over_experts(layer: MixtureOfExperts, x_ND: torch.Tensor, routing: Routing) -> torch.Tensor:
    y_ND = torch.zeros_like(x_ND)
    for e in range(4):
        chosen_N = routing.experts_NK[:, 0] == e
        y_ND[chosen_N] = x_ND[chosen_N] @ layer.experts.up_proj[e].T @ layer.experts.down_proj[e].T
    return y_ND


def test_nothing_is_read_back_from_the_device():
    with FakeTensorMode(), torch.autocast("cpu", dtype=torch.bfloat16):
        layer = make_layer(
            num_experts_per_tok=2, expert_capacity_factor=1.25, router_jitter_noise=0.1, num_shared_experts=1
        )
        x_BTD = torch.randn(2, 16, 16, requires_grad=True)
        y_BTD, routing = layer(x_BTD, torch.ones(2, 16, dtype=torch.bool))
        layer.router.record(routing)
        (y_BTD.sum() + balance_loss(routing) + z_loss(routing)).backward()
        layer.router.end_step(0.001)
        assert all(weight.grad is not None for weight in layer.parameters())
        with pytest.raises(DynamicOutputShapeException):
            loop_over_experts(layer, x_BTD.flatten(0, 1), routing)
        with pytest.raises(DataDependentOutputException):
            layer.router.metrics()


def test_balance_loss_is_one_when_even_and_the_number_of_experts_when_collapsed():
    even = make_routing([[0, 1], [2, 3], [1, 0], [3, 2]], torch.full((4, 4), 0.25))
    assert_close(balance_loss(even), torch.tensor(1.0))
    collapsed = make_routing([[2], [2], [2]], F.one_hot(torch.tensor([2, 2, 2]), 4).float())
    assert_close(balance_loss(collapsed), torch.tensor(4.0))


def test_balance_loss_counts_what_was_dropped_and_not_padding():
    probs_NE = torch.tensor([[0.7, 0.3], [0.6, 0.4], [0.2, 0.8], [0.1, 0.9]])
    routing = make_routing(
        [[0], [0], [1], [1]], probs_NE, [[True], [False], [True], [False]], [True, True, True, False]
    )
    expected = 2 * (2 / 3 * (0.7 + 0.6 + 0.2) / 3 + 1 / 3 * (0.3 + 0.4 + 0.8) / 3)
    assert_close(balance_loss(routing), torch.tensor(expected))


def test_z_loss_is_the_mean_over_real_tokens():
    logits_NE = torch.tensor([[0.0, 0.0, 0.0], [1.0, 2.0, 3.0], [9.0, 9.0, 9.0]])
    routing = make_routing([[0], [2], [1]], logits_NE.softmax(-1), real_N=[True, True, False])
    second = math.log(sum(math.exp(logit) for logit in (1, 2, 3)))
    expected = (math.log(3) ** 2 + second**2) / 2
    assert_close(z_loss(routing._replace(logits_NE=logits_NE)), torch.tensor(expected))


def test_tallies_add_up_and_start_anew():
    router = Router(make_config(num_experts=4))
    assert set(router.metrics().values()) == {0.0}
    even_NE, sure_NE = torch.full((3, 4), 0.25), torch.eye(4)[:2]
    router.record(make_routing([[0], [0], [1]], even_NE, [[True], [True], [False]], [True, True, False]))
    router.record(make_routing([[0], [1]], sure_NE, [[True], [False]]))
    assert router.load_E.tolist() == [3, 1, 0, 0]
    expected = {"max_load": 3.0, "min_load": 0.0, "entropy": 2 / 4, "dropped": 1 / 4, "dead_experts": 2.0}
    assert router.metrics() == pytest.approx(expected)
    router.end_step(0.125)
    assert router.selection_bias.tolist() == [-0.125, 0.0, 0.125, 0.125]
    assert set(router.metrics().values()) == {0.0}
    router.end_step(0.125)
    assert router.selection_bias.tolist() == [-0.125, 0.0, 0.125, 0.125], "no tokens, no step"
    router.record(make_routing([[0], [0], [1]], even_NE))
    router.end_step(0.0)
    assert router.selection_bias.tolist() == [-0.125, 0.0, 0.125, 0.125]
    assert router.load_E.tolist() == [0, 0, 0, 0]
    assert set(router.state_dict()) == {"weight", "selection_bias"}


def test_an_expert_is_dead_below_a_tenth_of_the_mean_load():
    router = Router(make_config(num_experts=4))
    router.load_E.copy_(torch.tensor([100, 20, 4, 3]))
    assert router.metrics()["dead_experts"] == 1


def test_the_bias_changes_the_choice_and_not_the_gates():
    layer = make_layer(router_scaling_factor=2.0).requires_grad_(False)
    x_ND, real_N = torch.randn(12, 16), torch.ones(12, dtype=torch.bool)
    before = layer.router(x_ND, real_N)
    layer.router.selection_bias[2] = 10.0
    after = layer.router(x_ND, real_N)
    assert len(before.experts_NK.unique()) > 1 and (after.experts_NK == 2).all()
    assert torch.equal(after.probs_NE, before.probs_NE)
    assert_close(after.gates_NK[:, 0], 2 * before.probs_NE[:, 2])


def test_the_bias_evens_out_the_load():
    layer = make_layer().requires_grad_(False)
    layer.router.weight[:, 0] = torch.tensor([12.0, 0.0, 0.0, -12.0])
    x_ND, real_N = torch.randn(256, 16), torch.ones(256, dtype=torch.bool)
    x_ND[:, 0] = 1
    uneven = count_load(layer.router(x_ND, real_N)).max()
    for _ in range(200):
        layer.router.record(layer.router(x_ND, real_N))
        layer.router.end_step(0.05)
    assert uneven > 160 and count_load(layer.router(x_ND, real_N)).max() < 80


@pytest.mark.parametrize("factor", [0.3, 0.5, 1, 1.25])
@pytest.mark.parametrize("tokens", [13, 64])
def test_a_full_expert_keeps_exactly_its_capacity_in_order_of_position(factor, tokens):
    router = make_layer(num_experts_per_tok=2, expert_capacity_factor=factor).router
    router.selection_bias[0] = 1.5
    real_N = torch.rand(tokens) < 0.8
    routing = router(torch.randn(tokens, 16), real_N)
    capacity = math.ceil(Fraction(str(factor)) * int(real_N.sum()) * 2 / 4)
    overfull = 0
    for e in range(4):
        queue = [(n, k) for n in range(tokens) for k in range(2) if real_N[n] and routing.experts_NK[n, k] == e]
        kept = [(n, k) for n, k in queue if routing.kept_NK[n, k]]
        assert kept == queue[:capacity]
        overfull += len(queue) > capacity
    assert overfull
    dropped_NK = ~routing.kept_NK
    assert not routing.gates_NK[dropped_NK].any() and (routing.gates_NK[routing.kept_NK] > 0).all()


@pytest.mark.parametrize("num_experts_per_tok", [1, 2])
def test_a_capacity_binds_in_training_alone_and_shows_no_token_what_comes(num_experts_per_tok):
    layer = make_layer(num_experts_per_tok=num_experts_per_tok, expert_capacity_factor=0.75)
    x_1TD = torch.randn(1, 40, 16)
    other_1TD = torch.cat((x_1TD[:, :-1], torch.randn(1, 1, 16)), dim=1)
    whole, routing = layer(x_1TD, None)
    assert not routing.kept_NK.all()
    assert_close(layer(other_1TD, None)[0][:, :-1], whole[:, :-1])
    assert layer.eval()(x_1TD, None)[1].kept_NK.all()


@pytest.mark.parametrize("num_experts_per_tok", [1, 2])
def test_permuted_tokens_give_permuted_outputs(num_experts_per_tok):
    layer = make_layer(num_experts_per_tok=num_experts_per_tok)
    x_1TD, order_T = torch.randn(1, 33, 16), torch.randperm(33)
    assert_close(layer(x_1TD[:, order_T], None)[0], layer(x_1TD, None)[0][:, order_T])


def test_dropout_acts_inside_the_experts():
    layer = make_layer(dropout_rate=0.5)
    x_BTD = torch.randn(2, 8, 16)
    training, evaluating = layer(x_BTD, None)[0], layer.eval()(x_BTD, None)[0]
    assert not torch.allclose(training, evaluating)
    assert_close(evaluating, make_layer()(x_BTD, None)[0])
