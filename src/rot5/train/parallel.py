"""One model on many ranks: a copy on each (DDP), or a part on each (FSDP2). Gradients are averaged over ranks."""

import contextlib
import warnings

import torch
from torch import nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from rot5 import ranks
from rot5.model.modeling_rot5 import Rot5ForConditionalGeneration


def spread(model: nn.Module, how: str) -> nn.Module:
    """What is called in training in place of `model`, by `how`: ddp or fsdp; the model itself on a single rank."""
    if ranks.world_size() == 1:
        return model
    if how == "ddp":
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="`broadcast_buffers` is deprecated")  # 2.11 knows no other name
            return DistributedDataParallel(model, broadcast_buffers=False)
    assert isinstance(model, Rot5ForConditionalGeneration), "others are trained by one process"
    mesh = init_device_mesh(model.device.type, (ranks.world_size(),))
    for layer in [*model.encoder.layers, *model.decoder.layers]:
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)
    return model


def unsynced(module: nn.Module) -> contextlib.AbstractContextManager:
    """Gradients of a backward pass within stay on their ranks, as others are still to be added."""
    return module.no_sync() if isinstance(module, DistributedDataParallel) else contextlib.nullcontext()


def gathered_weights(model: nn.Module) -> dict[str, torch.Tensor]:
    """The state of a model, whole and beside the device on the first rank, where it may be spread over all."""
    if not isinstance(model, FSDPModule):
        return model.state_dict()
    found = get_model_state_dict(model, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
    own = {name for name, _ in (*model.named_parameters(), *model.named_buffers())}  # tied ones once
    return {name: tensor for name, tensor in found.items() if name in own and isinstance(tensor, torch.Tensor)}


def reshard(model: nn.Module) -> None:
    """Behind a forward pass without a backward one: let go of what was gathered and would otherwise be kept for it."""
    if isinstance(model, FSDPModule):
        model.reshard()


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor that may be spread over ranks, gathered."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
