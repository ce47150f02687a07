"""What a student learns of a teacher, against the same computed by PyTorch or by hand, in value and gradient."""

import pytest
import torch
from tolerances import OTHER_CUT, PARITY
from torch.nn import functional as F

from rot5.train import distilling
from rot5.train.distilling import (
    CHUNKS,
    IDS,
    LOG_PROBS,
    METHODS,
    NO_CHUNK,
    DistillingLoss,
    Lesson,
    binary_divergence,
    log1mexp,
)
from rot5.train.losses import backward_step

V, ROWS, LENGTH = 50, 3, 9


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(distilling, "CHUNK", 8)


def drawn(top_k: int, temperature: float = 1.0) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Fields of a batch whose last cells are padding, and the teacher's log-probabilities of all tokens."""
    torch.manual_seed(0)
    labels = torch.randint(0, V, (ROWS, LENGTH))
    labels[:, -2:] = -100
    whole = (3 * torch.randn(ROWS, LENGTH, V, dtype=torch.float64) / temperature).log_softmax(-1)
    best = whole.topk(top_k, dim=-1)
    rest = whole.scatter(-1, best.indices, -torch.inf).logsumexp(-1, keepdim=True).clamp(min=-1e4)
    return {"labels": labels, IDS: best.indices, LOG_PROBS: torch.cat((best.values, rest), -1).float()}, whole


def student() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    return (torch.randn(ROWS * LENGTH, 8) / 2).requires_grad_(), torch.randn(V, 8, requires_grad=True)


def with_gradients(value: torch.Tensor, *parameters: torch.Tensor) -> list[torch.Tensor]:
    return [value.detach(), *torch.autograd.grad(value * 0.3, parameters)]


def assert_equal(found: list[torch.Tensor], expected: list[torch.Tensor]) -> None:
    for own, other in zip(found, expected, strict=True):
        torch.testing.assert_close(own, other, rtol=PARITY, atol=PARITY * float(other.abs().max()))


@pytest.mark.parametrize("method", ["forward_kl", "reverse_kl"])
@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_with_all_tokens_it_is_the_divergence_of_pytorch(method, temperature):
    fields, whole = drawn(V, temperature)
    hidden, weight = student()
    found = with_gradients(METHODS[method](hidden, weight, fields, temperature), hidden, weight)
    valid = fields["labels"].flatten() != -100
    own, teacher = ((hidden @ weight.T).double() / temperature).log_softmax(-1)[valid], whole.flatten(0, 1)[valid]
    pair = (own, teacher) if method == "forward_kl" else (teacher, own)
    expected = F.kl_div(*pair, reduction="sum", log_target=True) * temperature**2
    assert_equal(found, with_gradients(expected.float(), hidden, weight))


@pytest.mark.parametrize("method", ["forward_kl", "reverse_kl"])
@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_all_other_tokens_count_as_one(method, temperature):
    fields, whole = drawn(7, temperature)
    hidden, weight = student()
    found = with_gradients(METHODS[method](hidden, weight, fields, temperature), hidden, weight)

    def buckets(probs, ids):
        named = probs[ids]
        return torch.cat((named, 1 - named.sum()[None]))

    own = ((hidden @ weight.T).double() / temperature).softmax(-1)
    expected = torch.zeros((), dtype=torch.float64)
    for cell, label in enumerate(fields["labels"].flatten().tolist()):
        if label == -100:
            continue
        ids = fields[IDS].flatten(0, 1)[cell]
        p, q = buckets(whole.flatten(0, 1)[cell].exp(), ids), buckets(own[cell], ids)
        p, q = (p, q) if method == "forward_kl" else (q, p)
        expected = expected + (p * (p / q).log()).sum() * temperature**2
    assert_equal(found, with_gradients(expected.float(), hidden, weight))


def chunked(begins: list[list[int]]) -> dict[str, torch.Tensor]:
    fields, _ = drawn(1)
    chunks = torch.full((ROWS, LENGTH), NO_CHUNK)
    for row, places in enumerate(begins):
        chunks[row, places] = -3 * torch.rand(len(places))
    chunks[:, -2:] = 0  # as padding is laid
    return {"labels": fields["labels"], CHUNKS: chunks}


@pytest.mark.parametrize("temperature", [1.0, 4.0])
@pytest.mark.parametrize("begins", [[list(range(7))] * 3, [[0, 2, 3], [0], [0, 1, 5, 6]]], ids=["tokens", "chunks"])
def test_pieces_of_text_are_compared_by_their_likelihoods(begins, temperature):
    fields = chunked(begins)
    hidden, weight = student()
    found = with_gradients(METHODS["likelihood"](hidden, weight, fields, temperature), hidden, weight)
    own = (hidden @ weight.T).double().log_softmax(-1).view(ROWS, LENGTH, V)
    expected = torch.zeros((), dtype=torch.float64)
    for row, places in enumerate(begins):
        for first, stop in zip(places, [*places[1:], LENGTH - 2], strict=True):
            log_q = sum(own[row, cell, fields["labels"][row, cell]] for cell in range(first, stop)) / temperature
            log_p = fields[CHUNKS][row, first].double() / temperature
            p, q = log_p.exp(), log_q.exp()
            expected = expected + p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()
    assert_equal(found, [each.float() for each in with_gradients(expected, hidden, weight)])


def test_certain_and_impossible_pieces_have_a_finite_loss_and_gradient():
    p = torch.tensor([0.0, 0.0, -1e-7, -200.0, -0.5, -90.0])
    q = torch.tensor([0.0, -90.0, -200.0, 0.0, 0.0, -90.0], requires_grad=True)
    loss = binary_divergence(p, q)
    loss.sum().backward()
    assert loss.isfinite().all() and q.grad is not None and q.grad.isfinite().all()
    assert loss[0] == 0 and loss[1].item() == pytest.approx(90, rel=1e-3) and loss[4] > 1
    x = torch.tensor([-1e-6, -0.1, -0.7, -5.0, -20.0], dtype=torch.float64)
    torch.testing.assert_close(log1mexp(x.float()).double(), (1 - x.exp()).log(), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("experts", [0, 4])
@pytest.mark.parametrize("method", METHODS)
def test_the_cut_into_micro_batches_does_not_change_the_gradient(tiny_model, method, experts):
    """Of a model without dropout, and without a balance loss, which depends on the cut."""
    model = tiny_model(vocab_size=V, dropout_rate=0.0, num_experts=experts, router_aux_loss_coef=0.0).train()
    rows, length = 4, 12
    torch.manual_seed(2)
    labels = torch.randint(3, V, (rows, length))
    ends = torch.tensor([12, 3, 8, 5])
    segments = (torch.arange(length) < ends[:, None]).long()
    labels[segments == 0] = -100
    places = {"positions": torch.arange(length).expand(rows, -1), "segment_ids": segments}
    fields = {f"{side}_{name}": value for side in ("encoder", "decoder") for name, value in places.items()}
    fields |= {"labels": labels, "input_ids": labels.clamp(min=0), "decoder_input_ids": labels.clamp(min=0).roll(1, 1)}
    best = torch.randn(rows, length, V).log_softmax(-1).topk(5, dim=-1)
    fields |= {IDS: best.indices, LOG_PROBS: torch.cat((best.values, torch.full((rows, length, 1), -1.0)), -1)}
    fields[CHUNKS] = torch.where(torch.arange(length) % 3 == 0, -1.5, NO_CHUNK).expand(rows, -1).contiguous()
    wanted = (CHUNKS,) if method == "likelihood" else (IDS, LOG_PROBS)
    fields = {key: value for key, value in fields.items() if not key.startswith("teacher_") or key in wanted}
    distilled = DistillingLoss(Lesson(method=method, temperature=2.0, gold=0.25), model.lm_head)
    loss = distilled(model, model.device, "float32")
    found = []
    for size in (4, 2, 1):
        model.zero_grad()
        value = backward_step(loss, fields, size, int(ends.sum()))
        gradient = torch.cat([each.grad.flatten() for each in model.parameters() if each.grad is not None])
        found.append((value, distilled.observe()["train/teacher_loss"], gradient))
        distilled.after_update()
    for value, taught, gradient in found[1:]:
        torch.testing.assert_close(value, found[0][0], rtol=OTHER_CUT, atol=0)
        assert taught == pytest.approx(found[0][1], rel=OTHER_CUT)
        assert (gradient - found[0][2]).norm() / found[0][2].norm() < OTHER_CUT


def test_gold_alone_is_the_loss_of_tuning(tiny_model):
    from rot5.train.losses import language_model_loss

    model = tiny_model(vocab_size=V, dropout_rate=0.0).train()
    fields, _ = drawn(5)
    words = torch.randint(3, V, (ROWS, LENGTH))
    fields |= {"input_ids": words, "decoder_input_ids": words}
    plain = {key: value for key, value in fields.items() if not key.startswith("teacher_")}
    count = torch.tensor(21.0)
    expected = language_model_loss(model, model.device, "float32")(plain, count)
    for gold in (1.0, 0.3):
        lesson = DistillingLoss(Lesson(method="forward_kl", temperature=1.0, gold=gold), model.lm_head)
        found = lesson(model, model.device, "float32")(fields, count)
        torch.testing.assert_close(found.reported, expected.reported)
        taught = lesson.observe()["train/teacher_loss"]
        assert found.objective.item() == pytest.approx(gold * expected.reported.item() + (1 - gold) * taught, rel=1e-5)
