"""The processes of a command that torchrun starts, on one machine or many: who this one is, what all do together."""

import contextlib
import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from rot5.errors import UserError

Value = TypeVar("Value")


class Told(UserError):
    """A mistake that the first process finds for all, and tells."""


TIMEOUT = timedelta(minutes=10)
"""How long a process waits for the others before it gives up."""


def world_size() -> int:
    """How many processes work together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """The number of this one, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def is_main() -> bool:
    """Whether this is the process that writes."""
    return rank() == 0


def local_rank() -> int:
    """The number of this process on its machine, from 0."""
    return int(os.environ.get("LOCAL_RANK", "0"))


@contextlib.contextmanager
def joined() -> Iterator[None]:
    """Within the block this process works with the others; alone if there are none."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    backend = "gloo"
    if torch.cuda.is_available():
        torch.cuda.set_device(local_rank())
        backend = "cpu:gloo,cuda:nccl"
    store, number, size = next(rendezvous("env://", timeout=TIMEOUT))
    dist.init_process_group(
        backend, store=PrefixStore(_attempt(), store), rank=number, world_size=size, timeout=TIMEOUT
    )
    yield
    dist.destroy_process_group()  # not behind an exception: the others may be gone, and would be waited for


def _attempt() -> str:
    """What tells the addresses of these processes from those of their dead predecessors.

    On a single machine torchrun restarts them with the same store. On several it makes a new one, and each machine
    counts restarts of its own, so that the count is no name there.
    """
    alone = os.environ.get("GROUP_WORLD_SIZE", "1") == "1"
    return f"attempt-{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}" if alone else "attempt"


def on_main(action: Callable[[], Value]) -> Value:
    """What `action` gives in the first process, which alone performs it; a UserError there is raised in all."""
    if world_size() == 1:
        return action()
    outcome: list = [None, None]
    if is_main():
        try:
            outcome[0] = action()
        except UserError as error:
            outcome[1] = str(error)
    dist.broadcast_object_list(outcome, src=0)
    if outcome[1] is not None:
        raise UserError(outcome[1]) if is_main() else Told(outcome[1])
    return outcome[0]


def from_all(value: Value) -> list[Value]:
    """The values of all processes, in their order."""
    if world_size() == 1:
        return [value]
    values: list = [None] * world_size()
    dist.all_gather_object(values, value)
    return values


def highest(value: int) -> int:
    """The highest of the values of all processes."""
    if world_size() == 1:
        return value
    tensor = torch.tensor(value)
    dist.all_reduce(tensor, dist.ReduceOp.MAX)
    return int(tensor)


def add_up(tensor: torch.Tensor) -> torch.Tensor:
    """Make `tensor` the sum of those of all processes, in place."""
    if world_size() > 1:
        dist.all_reduce(tensor)
    return tensor
