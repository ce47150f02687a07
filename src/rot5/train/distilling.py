"""What a student learns of its teacher's probabilities, beside the targets themselves.

Shape suffixes: N cells of the decoder's rows, C those of a chunk, D d_model, V vocabulary, K the teacher's likeliest
tokens.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from rot5.model.cross_entropy import CHUNK, IGNORED
from rot5.model.precision import product_dtype
from rot5.runtime import autocast
from rot5.train.losses import Fields, Loss, LossFunction

IDS, LOG_PROBS, CHUNKS = "teacher_ids", "teacher_log_probs", "teacher_chunks"
"""Fields of a batch: the ids int64[rows, length, K] that the teacher holds likeliest for each target, their
log-probabilities float32[rows, length, K + 1], with that of all others together behind them; or, float32[rows, length],
the log-probability of the chunk of text that begins with a target, and `NO_CHUNK` where none begins."""

NO_CHUNK = 1.0
"""What no log-probability is."""

EPSILON = 1e-6
"""How far log-probabilities of chunks are kept below 0, where their complement has no logarithm."""


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """What is learned of the teacher."""

    method: str
    """One of `METHODS`."""
    temperature: float
    """Of both distributions."""
    gold: float
    """Weight of the cross-entropy of the targets; the teacher's part has the rest."""


class DistillingLoss:
    """The loss of a student; `observe` tells the teacher's part of the update under way, in nats per target."""

    def __init__(self, lesson: Lesson, head: nn.Linear) -> None:
        self.lesson = lesson
        self._head = head
        self._seen = torch.zeros((), device=head.weight.device)

    def __call__(self, model: nn.Module, device: torch.device, precision: str) -> LossFunction:
        """As `language_model_loss`, for batches with the teacher's fields.

        The sum of the teacher's part is divided by the targets of the step, as that of the cross-entropy is. The
        cross-entropy alone is reported: it is what runs with and without a teacher have in common.
        """
        lesson, head, seen = self.lesson, self._head, self._seen
        part = METHODS[lesson.method]

        def loss(fields: Fields, num_targets: torch.Tensor) -> Loss:
            own = {name: tensor for name, tensor in fields.items() if not name.startswith("teacher_")}
            with autocast(device, precision):
                output = model(**own, num_items_in_batch=num_targets, use_cache=False)
                hidden_ND = output.decoder_last_hidden_state.flatten(0, 1)
                taught = part(hidden_ND, head.weight, fields, lesson.temperature) / num_targets
            seen.add_(taught.detach())
            return Loss(output.loss + (1 - lesson.gold) * (taught - output.lm_loss), output.lm_loss)

        return loss

    def observe(self) -> dict[str, float]:
        """Metrics of the update that was just made."""
        return {"train/teacher_loss": self._seen.item()}

    def after_update(self) -> None:
        """Begin anew."""
        self._seen.zero_()


def log1mexp(x: torch.Tensor) -> torch.Tensor:
    """log(1 - exp(x)) for x below 0, exact near both ends (Maechler, "Accurately computing log(1 - exp(-|a|))")."""
    return torch.where(x > -math.log(2), (-torch.expm1(x)).log(), (-x.exp()).log1p())


def binary_divergence(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    """KL divergence of the Bernoulli distributions whose successes have these log-probabilities, elementwise."""
    p, q = p - EPSILON, q - EPSILON
    failure_p, failure_q = log1mexp(p), log1mexp(q)
    return p.exp() * (p - q) + failure_p.exp() * (failure_p - failure_q)


def forward_divergence(teacher: torch.Tensor, student: torch.Tensor) -> torch.Tensor:
    """KL(teacher, student) of log-probabilities along the last axis."""
    return (teacher.exp() * (teacher - student)).sum(-1)


def reverse_divergence(teacher: torch.Tensor, student: torch.Tensor) -> torch.Tensor:
    """KL(student, teacher) of log-probabilities along the last axis."""
    return forward_divergence(student, teacher)


def token_divergence(
    hidden_ND: torch.Tensor,
    weight_VD: torch.Tensor,
    fields: Fields,
    temperature: float,
    divergence: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
) -> torch.Tensor:
    """Sum over targets of the divergence of the next token, times the temperature's square (Hinton et al.,
    arXiv:1503.02531): over the teacher's likeliest tokens and, as one, all others."""
    ids_NK, log_probs_NK1 = (fields[name].flatten(0, 1) for name in (IDS, LOG_PROBS))
    valid_N = fields["labels"].flatten() != IGNORED

    def part(logits_CV, ids_CK, log_probs_CK1, valid_C):
        student = _named_and_rest(logits_CV / temperature, ids_CK)
        teacher = log_probs_CK1[:, : student.shape[1]].log_softmax(1)
        return (divergence(teacher, student) * valid_C).sum()

    parts = _by_chunks(part, hidden_ND, weight_VD, ids_NK, log_probs_NK1, valid_N)
    return torch.stack(parts).sum() * temperature**2


def _named_and_rest(logits_CV: torch.Tensor, ids_CK: torch.Tensor) -> torch.Tensor:
    """Log-probabilities of the named tokens and of all others together, float32 [C, K + 1]; [C, K] if all are named."""
    total_C1 = logits_CV.logsumexp(1, keepdim=True)
    named_CK = logits_CV.gather(1, ids_CK) - total_C1
    if ids_CK.shape[1] == logits_CV.shape[1]:
        return named_CK
    rest_C1 = logits_CV.scatter(1, ids_CK, -math.inf).logsumexp(1, keepdim=True) - total_C1
    return torch.cat((named_CK, rest_C1), dim=1)


def chunk_divergence(
    hidden_ND: torch.Tensor, weight_VD: torch.Tensor, fields: Fields, temperature: float
) -> torch.Tensor:
    """Sum over chunks of the target texts of the binary divergence of their likelihoods, to the power of 1 /
    temperature (approximate likelihood matching: Minixhofer et al., arXiv:2503.20083)."""
    labels_N, teacher_N = fields["labels"].flatten(), fields[CHUNKS].flatten()
    valid_N = labels_N != IGNORED
    begins_N = valid_N & (teacher_N != NO_CHUNK)

    def part(logits_CV, labels_C):
        return logits_CV.log_softmax(1).gather(1, labels_C[:, None])[:, 0]

    log_probs_N = torch.cat(_by_chunks(part, hidden_ND, weight_VD, labels_N.clamp(min=0)))
    cell_N = torch.arange(len(labels_N), device=labels_N.device)
    chunk_N = torch.where(begins_N, cell_N, 0).cummax(0).values
    student_N = torch.zeros_like(log_probs_N).index_add(0, chunk_N, log_probs_N * valid_N)
    taken = (torch.where(begins_N, each, -1.0) / temperature for each in (teacher_N, student_N))
    return (binary_divergence(*taken) * begins_N).sum()


METHODS = {
    "forward_kl": partial(token_divergence, divergence=forward_divergence),
    "reverse_kl": partial(token_divergence, divergence=reverse_divergence),
    "likelihood": chunk_divergence,
}
"""How a student is compared with its teacher."""


def _by_chunks(
    part: Callable[..., torch.Tensor], hidden_ND: torch.Tensor, weight_VD: torch.Tensor, *others_N: torch.Tensor
) -> list[torch.Tensor]:
    """`part` of the head's logits (float32) and the other tensors, chunk by chunk: logits are made again for the
    backward pass, so that those of one chunk exist at a time. Products run in autocast's precision."""
    hidden_ND = hidden_ND.to(product_dtype(hidden_ND))

    def taken(hidden_CD: torch.Tensor, weight_VD: torch.Tensor, *others_C: torch.Tensor) -> torch.Tensor:
        return part((hidden_CD @ weight_VD.to(hidden_CD.dtype).T).float(), *others_C)

    with torch.autocast(hidden_ND.device.type, enabled=False):
        chunks = zip(*(each.split(CHUNK) for each in (hidden_ND, *others_N)), strict=True)
        return [
            checkpoint(taken, hidden_CD, weight_VD, *others_C, use_reentrant=False, preserve_rng_state=False)
            for hidden_CD, *others_C in chunks
        ]
