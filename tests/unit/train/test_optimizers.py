"""Optimizers: each does what its name says, takes every parameter once, learns, and goes on bit by bit after a stop."""

from dataclasses import replace

import pytest
import torch
from stopping import train_until
from tolerances import PARITY
from torch import nn

from rot5.build.pretraining import pretraining
from rot5.config import PretrainConfig
from rot5.data.packing import PackConfig
from rot5.errors import UserError
from rot5.model.settings import ModelConfig
from rot5.train.muon import StackedMuon
from rot5.train.optimizers import OPTIMIZERS, build_optimizer, set_rate
from rot5.train.settings import OPTIMIZER_NAMES, OptimizerConfig, TrainConfig, problems
from rot5.verbs import pretrain

RATES = {"adamw": 2e-3, "adamw_rms": 2e-2, "adafactor": 1e-2, "muon": 2e-3}
"""A peak rate that suits each."""


@pytest.fixture
def settings(corpora, tmp_path) -> PretrainConfig:
    return PretrainConfig(
        corpus=str(corpora / "stories"),
        validation=str(corpora / "validation"),
        out=str(tmp_path / "run"),
        model=ModelConfig(preset="smoke"),
        pack=PackConfig(encoder_length=256, decoder_length=160),
        train=TrainConfig(
            steps=4,
            batch_rows=2,
            micro_batch_rows=2,
            evaluate_every=0,
            evaluation_examples=2,
            checkpoint_every=2,
            compile="off",
        ),
    )


def small_model(make):
    """With all kinds of parameters: tables, norms, routers, experts, matrices and a head of its own."""
    return make(position_encoding="relative_bias", tie_word_embeddings=False, num_experts=4, decoder_sparse_step=2)


def gradients(model, steps: int):
    """The same gradients for whoever asks, as large as clipped ones are."""
    generator = torch.Generator().manual_seed(1)
    for _ in range(steps):
        yield {
            name: 1e-2 * torch.randn(parameter.shape, generator=generator)
            for name, parameter in model.named_parameters()
        }


def move(model, optimizer, steps: int = 3) -> dict[str, torch.Tensor]:
    for step in gradients(model, steps):
        for name, parameter in model.named_parameters():
            parameter.grad = step[name]
        optimizer.step()
        optimizer.zero_grad()
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def decays(name: str, parameter: torch.Tensor) -> bool:
    return parameter.ndim >= 2 and name != "shared.weight" and "relative_bias" not in name


def test_the_names_are_those_of_the_settings():
    assert tuple(OPTIMIZERS) == OPTIMIZER_NAMES


@pytest.mark.parametrize("name", OPTIMIZER_NAMES)
def test_every_parameter_is_in_one_group_and_only_matrices_decay(tiny_model, name):
    model = small_model(tiny_model)
    optimizer = build_optimizer(model, OptimizerConfig(name=name, weight_decay=0.3))
    found = [id(parameter) for group in optimizer.param_groups for parameter in group["params"]]
    assert sorted(found) == sorted(id(parameter) for parameter in model.parameters())
    decay = {id(parameter): group["weight_decay"] for group in optimizer.param_groups for parameter in group["params"]}
    for key, parameter in model.named_parameters():
        assert decay[id(parameter)] == (0.3 if decays(key, parameter) else 0.0), key


def test_muon_takes_the_matrices_inside_the_layers(tiny_model):
    model = small_model(tiny_model)
    muon, experts, *rest = build_optimizer(model, OptimizerConfig(name="muon", momentum=0.9)).param_groups
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    taken = {names[id(parameter)] for parameter in muon["params"]}
    assert taken == {name for name in names.values() if "_proj.weight" in name}
    stacked = {names[id(parameter)] for parameter in experts["params"]}
    assert stacked == {name for name in names.values() if "experts" in name} and stacked
    left = [{names[id(parameter)] for parameter in group["params"]} for group in rest]
    assert left[0] == {name for name in names.values() if "router" in name or name == "lm_head.weight"}
    assert left[1] == {name for name in names.values() if "norm" in name or "bias" in name or name == "shared.weight"}
    assert (muon["momentum"], muon["adjust_lr_fn"]) == (0.9, "match_rms_adamw")
    assert experts["momentum"] == 0.9 and all("momentum" not in group for group in rest)


@pytest.mark.parametrize("shape", [(3, 24, 16), (3, 16, 24), (2, 8, 8)], ids=str)
def test_muon_moves_every_expert_as_torch_moves_a_matrix(shape):
    """But for the rounding of bfloat16, which depends on the order of sums: one product for all or one for each."""
    start = torch.randn(shape)
    stack, apart = nn.Parameter(start.clone()), [nn.Parameter(each.clone()) for each in start]
    ours = StackedMuon([stack], lr=1e-2, weight_decay=0.1, momentum=0.9)
    theirs = torch.optim.Muon(apart, lr=1e-2, weight_decay=0.1, momentum=0.9, adjust_lr_fn="match_rms_adamw")
    for _ in range(3):
        stack.grad = torch.randn(shape) * torch.tensor([1e-4, 1.0, 100.0][: shape[0]])[:, None, None]
        for each, gradient in zip(apart, stack.grad, strict=True):
            each.grad = gradient.clone()
        ours.step()
        theirs.step()
    moved = (torch.stack([each.data for each in apart]) - start).abs().max()
    assert (stack.data - torch.stack([each.data for each in apart])).abs().max() < 0.02 * moved


def test_an_expert_that_saw_nothing_stays():
    stack = nn.Parameter(torch.randn(2, 8, 4))
    before, stack.grad = stack.detach().clone(), torch.zeros_like(stack)
    stack.grad[0] = 1.0
    StackedMuon([stack], lr=1e-2, weight_decay=0.0, momentum=0.9).step()
    assert torch.equal(stack[1], before[1]) and not torch.equal(stack[0], before[0])


def test_muon_without_more_matrices_has_no_empty_group(tiny_model):
    groups = build_optimizer(tiny_model(), OptimizerConfig(name="muon")).param_groups
    assert len(groups) == 2 and all(group["params"] for group in groups)


def test_muon_moves_its_matrices_as_far_as_adamw_does(tiny_model):
    """That is what lets both share a rate: 0.2 to 0.4 of it in root mean square (arXiv:2502.16982)."""
    model = small_model(tiny_model)
    optimizer = build_optimizer(model, OptimizerConfig(name="muon", lr=1e-3, weight_decay=0.0))
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    after = move(model, optimizer, 1)
    for name in before:
        if "_proj" in name:
            distance = (after[name] - before[name]).square().mean().sqrt()
            assert 0.1e-3 < distance < 0.4e-3, name


def test_adamw_is_that_of_torch(tiny_model):
    """Bit by bit: its groups, its order and its fused kernel decide what a trained run is."""
    model, other = small_model(tiny_model), small_model(tiny_model)
    config = OptimizerConfig(name="adamw", lr=3e-3, weight_decay=0.3, beta1=0.8, beta2=0.9, epsilon=1e-6)
    named = dict(other.named_parameters())
    theirs = torch.optim.AdamW(
        [
            {"params": [p for name, p in named.items() if decays(name, p)], "weight_decay": 0.3},
            {"params": [p for name, p in named.items() if not decays(name, p)], "weight_decay": 0.0},
        ],
        lr=3e-3,
        betas=(0.8, 0.9),
        eps=1e-6,
        fused=True,
    )
    optimizer = build_optimizer(model, config)
    assert type(optimizer) is torch.optim.AdamW
    assert optimizer.state_dict()["param_groups"] == theirs.state_dict()["param_groups"]
    found, expected = move(model, optimizer), move(other, theirs)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_adamw_rms_by_hand(tiny_model):
    """In float64, one tensor at a time; a table of zeros and a norm of 3 show both ends of the scale."""
    model = small_model(tiny_model)
    with torch.no_grad():
        model.get_parameter("encoder.norm.weight").fill_(3.0)
        model.get_parameter("encoder.relative_bias.weight").zero_()
    lr, decay, beta1, beta2, epsilon = 2e-2, 0.3, 0.8, 0.9, 1e-6
    expected = {name: parameter.detach().double().clone() for name, parameter in model.named_parameters()}
    for name, weight in expected.items():
        mean, square = torch.zeros_like(weight), torch.zeros_like(weight)
        for t, step in enumerate(gradients(model, 3), start=1):
            gradient = step[name].double()
            mean = beta1 * mean + (1 - beta1) * gradient
            square = beta2 * square + (1 - beta2) * gradient**2
            scale = max(1e-3, float((weight**2).mean() ** 0.5))
            shrink = lr * decay * weight if decays(name, weight) else 0.0
            root = (square / (1 - beta2**t)).sqrt() + epsilon
            weight = weight - shrink - lr * scale * mean / (1 - beta1**t) / root
        expected[name] = weight
    config = OptimizerConfig(name="adamw_rms", lr=lr, weight_decay=decay, beta1=beta1, beta2=beta2, epsilon=epsilon)
    found = move(model, build_optimizer(model, config))
    for name, weight in expected.items():
        torch.testing.assert_close(found[name].double(), weight, rtol=PARITY, atol=PARITY * 1e-3)


def test_adafactor_by_hand(tiny_model):
    """As the paper has it (its epsilon_1 is added, ours a floor: both far below these gradients), with decay."""
    model = small_model(tiny_model)
    lr, decay = 1e-2, 0.3
    expected = {name: parameter.detach().double().clone() for name, parameter in model.named_parameters()}
    for name, weight in expected.items():
        square: torch.Tensor | float = 0.0
        rows: torch.Tensor | float = 0.0
        columns: torch.Tensor | float = 0.0
        for t, step in enumerate(gradients(model, 3), start=1):
            gradient = step[name].double()
            keep = 1 - t**-0.8
            if weight.ndim == 1:
                square = keep * square + (1 - keep) * gradient**2
            else:
                rows = keep * rows + (1 - keep) * (gradient**2).mean(-1, keepdim=True)
                columns = keep * columns + (1 - keep) * (gradient**2).mean(-2, keepdim=True)
                square = rows * columns / rows.mean(-2, keepdim=True)
            update = gradient / square**0.5
            update = update / max(1.0, float((update**2).mean() ** 0.5))
            scale = max(1e-3, float((weight**2).mean() ** 0.5))
            shrink = lr * decay * weight if decays(name, weight) else 0.0
            weight = weight - shrink - min(lr, t**-0.5) * scale * update
        expected[name] = weight
    found = move(model, build_optimizer(model, OptimizerConfig(name="adafactor", lr=lr, weight_decay=decay)))
    for name, weight in expected.items():
        torch.testing.assert_close(found[name].double(), weight, rtol=PARITY, atol=PARITY * 1e-3)


def test_the_size_of_gradients_does_not_matter_to_adafactor(tiny_model):
    """Clipped gradients of a large model are small; torch's own floor of their mean square would be far above them."""
    found = []
    for size in (1.0, 2**-10):
        model = small_model(tiny_model)
        optimizer = build_optimizer(model, OptimizerConfig(name="adafactor", lr=1e-2))
        for step in gradients(model, 3):
            for name, parameter in model.named_parameters():
                gradient = step[name]
                if gradient.ndim > 1:
                    gradient[..., 1:, :] *= 1e-2
                parameter.grad = size * gradient
            optimizer.step()
        found.append(torch.cat([parameter.detach().flatten() for parameter in model.parameters()]))
    torch.testing.assert_close(found[1], found[0], rtol=0, atol=PARITY * 1e-1)


@pytest.mark.parametrize("name", OPTIMIZER_NAMES)
def test_a_rate_reaches_every_parameter(tiny_model, name):
    model = small_model(tiny_model)
    optimizer = build_optimizer(model, OptimizerConfig(name=name, lr=1e-2))
    before = {key: parameter.detach().clone() for key, parameter in model.named_parameters()}
    set_rate(optimizer, 0.0)
    still = move(model, optimizer, 1)
    assert all(torch.equal(before[key], still[key]) for key in before)
    set_rate(optimizer, 1e-2)
    moved = move(model, optimizer, 1)
    assert not any(torch.equal(before[key], moved[key]) for key in before)
    optimizer.load_state_dict(optimizer.state_dict())
    set_rate(optimizer, 0.0)
    again = move(model, optimizer, 1)
    assert all(torch.equal(moved[key], again[key]) for key in before)


@pytest.mark.parametrize("name", OPTIMIZER_NAMES)
def test_pretraining_learns_and_a_stop_does_not_change_it(settings, tmp_path, name):
    """Half the run, a checkpoint, a new process's worth of objects, the other half: the same bits as the whole."""
    optimizer = OptimizerConfig(name=name, lr=RATES[name])
    train = replace(
        settings.train,
        steps=12,
        batch_rows=2,
        micro_batch_rows=2,
        checkpoint_every=6,
        log_every=2,
        optimizer=optimizer,
    )
    settings = replace(settings, train=train, model=ModelConfig(preset="smoke", num_experts=2, dropout_rate=0.1))
    whole = pretraining(settings, resume=False, overwrite=False)
    whole.trainer.train()
    losses = [record["train/loss"] for record in whole.run.metrics() if "train/loss" in record]
    assert losses[-1] < losses[0] - 0.2

    stopped = replace(settings, out=str(tmp_path / "stopped"))
    job = pretraining(stopped, resume=False, overwrite=False)
    train_until(job, 8)
    again = pretraining(stopped, resume=True, overwrite=False)
    assert again.trainer.resume().name == "step-00000006"
    again.trainer.train()
    expected, found = whole.model.state_dict(), again.model.state_dict()
    assert all(torch.equal(expected[key], found[key]) for key in expected)
    one, other = whole.trainer.optimizer.state_dict(), again.trainer.optimizer.state_dict()
    assert one["param_groups"] == other["param_groups"]
    for index, state in one["state"].items():
        assert state.keys() == other["state"][index].keys()
        assert all(
            torch.equal(torch.as_tensor(state[key]), torch.as_tensor(other["state"][index][key])) for key in state
        )


def test_settings_that_cannot_work_are_told(settings):
    train = replace(settings.train, optimizer=OptimizerConfig(name="adamw_rsm", momentum=1.0))
    assert problems(train) == [
        "train.optimizer.name 'adamw_rsm' is unknown: did you mean adamw_rms?",
        "train.optimizer.momentum 1.0 must be at least 0 and below 1",
    ]
    with pytest.raises(UserError) as caught:
        pretrain.run(replace(settings, train=replace(settings.train, optimizer=OptimizerConfig(name="sgd"))))
    assert str(caught.value) == "train.optimizer.name 'sgd' is unknown: known: adafactor, adamw, adamw_rms, muon"
