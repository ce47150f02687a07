"""The loss of a step, independent of how its batch is cut."""

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from rot5.runtime import autocast

Fields = dict[str, torch.Tensor]
LossFunction = Callable[[Fields, torch.Tensor], torch.Tensor]


def to_tensors(fields: dict[str, np.ndarray], device: torch.device) -> Fields:
    """Arrays of a packed batch as tensors on the device."""
    return {name: torch.from_numpy(array).to(device, non_blocking=True) for name, array in fields.items()}


def micro_batches(fields: Fields, rows: int) -> list[Fields]:
    """Cut a batch into parts of `rows` rows."""
    parts = {name: tensor.split(rows) for name, tensor in fields.items()}
    return [dict(zip(parts, values, strict=True)) for values in zip(*parts.values(), strict=True)]


def language_model_loss(model: nn.Module, device: torch.device, precision: str) -> LossFunction:
    """A function (fields of a micro-batch, targets in the whole step) -> its share of the step's mean loss."""

    def loss(fields: Fields, num_targets: torch.Tensor) -> torch.Tensor:
        with autocast(device, precision):
            return model(**fields, num_items_in_batch=num_targets, use_cache=False).loss

    return loss


def backward_step(loss: LossFunction, fields: Fields, micro_batch_rows: int, num_targets: int) -> torch.Tensor:
    """Add the gradient of the step's mean loss, part by part, and return that loss (nats per target, detached)."""
    total = torch.zeros((), device=fields["labels"].device)
    count = torch.tensor(float(num_targets), device=total.device)
    for part in micro_batches(fields, micro_batch_rows):
        share = loss(part, count)
        share.backward()
        total += share.detach()
    return total
