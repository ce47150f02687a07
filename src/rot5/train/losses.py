"""The loss of a step, independent of how its batch is cut."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from rot5 import ranks
from rot5.model.cross_entropy import token_cross_entropy
from rot5.runtime import autocast

Fields = dict[str, torch.Tensor]


class Loss(NamedTuple):
    """A micro-batch's share of the step's loss: what is minimised, and the part of it that is reported as the loss."""

    objective: torch.Tensor
    reported: torch.Tensor


LossFunction = Callable[[Fields, torch.Tensor], Loss]


def host_tensors(fields: dict[str, np.ndarray], device: torch.device) -> Fields:
    """Arrays of a packed batch as tensors still beside the device: in pinned memory, from which a GPU copies while the
    program goes on; on a CPU the arrays' own memory."""
    tensors = {name: torch.from_numpy(array) for name, array in fields.items()}
    return {name: tensor.pin_memory() for name, tensor in tensors.items()} if device.type == "cuda" else tensors


def to_device(fields: Fields, device: torch.device) -> Fields:
    """The tensors of `host_tensors` on the device; nobody waits for them but its kernels."""
    return {name: tensor.to(device, non_blocking=True) for name, tensor in fields.items()}


def to_tensors(fields: dict[str, np.ndarray], device: torch.device) -> Fields:
    """Arrays of a packed batch as tensors on the device."""
    return to_device(host_tensors(fields, device), device)


def micro_batches(fields: Fields, rows: int) -> list[Fields]:
    """Cut a batch into parts of `rows` rows."""
    parts = {name: tensor.split(rows) for name, tensor in fields.items()}
    return [dict(zip(parts, values, strict=True)) for values in zip(*parts.values(), strict=True)]


def language_model_loss(model: nn.Module, device: torch.device, precision: str) -> LossFunction:
    """A function (fields of a micro-batch, targets in the whole step) -> its share of the step's mean loss."""

    def loss(fields: Fields, num_targets: torch.Tensor) -> Loss:
        with autocast(device, precision):
            output = model(**fields, num_items_in_batch=num_targets, use_cache=False)
        return Loss(output.loss, output.lm_loss)

    return loss


def padded_loss(model: nn.Module, device: torch.device, precision: str) -> LossFunction:
    """As `language_model_loss`, for any sequence-to-sequence model: the decoder's inputs are made by the model itself,
    the loss is ours, as models take the mean of a micro-batch or of something else."""
    prepare = getattr(model, "prepare_decoder_input_ids_from_labels", None)

    def loss(fields: Fields, num_targets: torch.Tensor) -> Loss:
        labels = fields["labels"]
        decoder = {"labels": labels} if prepare is None else {"decoder_input_ids": prepare(labels=labels)}
        with autocast(device, precision):
            logits = model(
                input_ids=fields["input_ids"], attention_mask=fields["attention_mask"], use_cache=False, **decoder
            ).logits
        share = token_cross_entropy(logits, labels).sum() / num_targets
        return Loss(share, share)

    return loss


def backward_step(
    loss: LossFunction,
    fields: Fields,
    micro_batch_rows: int,
    num_targets: int,
    unsynced: Callable[[], AbstractContextManager] = nullcontext,
) -> torch.Tensor:
    """Add the gradient of the step's objective, part by part; return the reported loss (nats per target, detached).

    `num_targets` are those of the step on all ranks, whose gradients are averaged behind the last part: here they are
    multiplied by the number of ranks, and the loss is this rank's share. `unsynced` is entered for all but that part.
    """
    total = torch.zeros((), device=fields["labels"].device)
    count = torch.full_like(total, num_targets)
    parts = micro_batches(fields, micro_batch_rows)
    for number, part in enumerate(parts, start=1):
        with nullcontext() if number == len(parts) else unsynced():
            share = loss(part, count)
            (share.objective * ranks.world_size()).backward()
        total += share.reported.detach()
    return total
