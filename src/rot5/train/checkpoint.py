"""Checkpoints: all that changes during training, complete or absent, never a pickle.

Tensors are kept in the safetensors format, which torch.distributed.checkpoint reads on any number of ranks; numbers in
`state.json`; `manifest.json`, written last, holds every file's size and sha256. What is saved is copied at once and
written while training goes on.
"""

import errno
import hashlib
import json
import shutil
import warnings
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import nn
from torch.distributed.checkpoint import state_dict_loader, state_dict_saver
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader, HuggingFaceStorageWriter
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_optimizer_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor

from rot5 import ranks
from rot5.errors import UserError
from rot5.folders import complete_or_absent, remove, settle, unfinished, write_json

FLAT = StateDictOptions(flatten_optimizer_state_dict=True)
MANIFEST = "manifest.json"

warnings.filterwarnings("ignore", message="torch.distributed is disabled")


class CheckpointWriter:
    """Writes checkpoints `folder/step-…` behind the training's back, one at a time, and keeps the newest `keep`.

    Of a model that is `sharded` every rank writes its part, else the first one writes all.
    """

    def __init__(self, folder: Path, keep: int, *, sharded: bool):
        self.folder = folder
        self.keep = keep
        self._group: Any = dist.new_group(backend="gloo") if sharded else None
        self._copies: dict[str, torch.Tensor] = {}
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="rot5-checkpoint")
        self._coming: Future[None] | None = None

    def save(self, step: int, model: nn.Module, optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
        """Copy what is to be kept and have it written; `state` must be plain JSON. Raises as `wait` does."""
        self.wait()
        if not (self._group or ranks.is_main()):
            return
        for name, tensor in _tensors(model, optimizer)[0].items():
            if name not in self._copies:
                self._copies[name] = _room_for(tensor)
            _local(self._copies[name]).copy_(_local(tensor), non_blocking=True)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        target = self.folder / f"step-{step:08d}"
        self._coming = self._worker.submit(_write, target, self._copies, state, self.keep, self._group)

    @property
    def busy(self) -> bool:
        """Whether a checkpoint is being written at this moment."""
        return self._coming is not None and not self._coming.done()

    def wait(self) -> None:
        """Return when the last checkpoint is on the disk. Raises UserError if there was no room for it, or the like."""
        if self._coming is None:
            return
        coming, self._coming = self._coming, None
        try:
            coming.result()
        except (OSError, SafetensorError, CheckpointException) as error:
            saved = checkpoints(self.folder)
            there = f"{saved[-1].name} is whole: go on with --resume behind that" if saved else "there is none yet"
            reason = "no space left on the device" if _disk_full(error) else str(error).strip().splitlines()[0]
            raise UserError(f"a checkpoint cannot be written to {self.folder}: {reason}; {there}") from error

    def close(self) -> None:
        """Let the thread end behind its work."""
        self._worker.shutdown()


def _room_for(tensor: torch.Tensor) -> torch.Tensor:
    """An empty tensor of the same kind beside the device: a part where `tensor` is a part of one."""
    local = _local(tensor)
    room = torch.empty_like(local, device="cpu", pin_memory=local.device.type == "cuda")
    if not isinstance(tensor, DTensor):
        return room
    mesh = tensor.device_mesh if local.is_cpu else init_device_mesh("cpu", (tensor.device_mesh.size(),))
    return DTensor.from_local(
        room, mesh, tensor.placements, run_check=False, shape=tensor.shape, stride=tensor.stride()
    )


def _local(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def _write(
    target: Path, tensors: dict[str, torch.Tensor], state: dict[str, Any], keep: int, group: dist.ProcessGroup | None
) -> None:
    """Write a checkpoint; with a `group`, this rank's part of it. The first rank makes the folder and seals it."""
    if not ranks.is_main():
        dist.barrier(group)
        _save_tensors(tensors, unfinished(target), group)
        return
    with complete_or_absent(target) as partial:
        if group:
            dist.barrier(group)
        _save_tensors(tensors, partial, group)
        write_json(partial / "state.json", state)
        files = sorted(partial.iterdir())
        write_json(partial / MANIFEST, {path.name: _seal(path) for path in files})
    for old in checkpoints(target.parent)[:-keep]:
        remove(old)


def _save_tensors(tensors: dict[str, torch.Tensor], folder: Path, group: dist.ProcessGroup | None) -> None:
    """Parts through torch.distributed.checkpoint; whole tensors by safetensors itself, at a third of the work."""
    if group is None:
        save_file(tensors, folder / "model.safetensors")
        return
    writer = HuggingFaceStorageWriter(path=str(folder), save_distributed=True)
    state_dict_saver.save(tensors, storage_writer=writer, process_group=group)


def _disk_full(error: BaseException) -> bool:
    return (isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)) or "No space left" in str(error)


def _tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Every tensor to be kept, by name, and the optimizer's whole state in the form that can be set again."""
    moments = get_optimizer_state_dict(model, optimizer, options=FLAT)
    trained = ((name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad)
    tensors = {f"model.{name}": parameter.detach() for name, parameter in trained}
    kept = model.state_dict().keys()
    tensors |= {f"model.{name}": buffer for name, buffer in model.named_buffers() if name in kept}
    tensors |= {f"optimizer.{name}": value for name, value in moments.items() if isinstance(value, torch.Tensor)}
    return tensors, moments


def _seal(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def checkpoints(folder: Path) -> list[Path]:
    """Complete checkpoints, oldest first."""
    return sorted(path.parent for path in folder.glob(f"step-*/{MANIFEST}"))


def leftovers(folder: Path) -> list[Path]:
    """What a killed run left beside its checkpoints."""
    whole = set(checkpoints(folder))
    found = [path for word in ("partial-", "old-", "") for path in folder.glob(f"{word}step-*") if path.is_dir()]
    return sorted(path for path in found if path not in whole)


def sweep(folder: Path) -> None:
    """Clear away what a killed run left; nobody else may be writing there."""
    for path in leftovers(folder):
        settle(folder / path.name.removeprefix("old-"))
    for path in leftovers(folder):
        shutil.rmtree(path)


def damage(checkpoint: Path) -> str:
    """The first file of a checkpoint that is not as it was written; empty if all are."""
    try:
        manifest = json.loads((checkpoint / MANIFEST).read_text(encoding="utf-8"))
        for name, seal in manifest.items():
            path = checkpoint / name
            outside = path.parent != checkpoint
            if outside or not path.is_file() or path.stat().st_size != seal["bytes"] or _seal(path) != seal:
                return name
        whole = "state.json" in manifest and any(name.endswith(".safetensors") for name in manifest)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        whole = False
    return "" if whole else MANIFEST


def newest(folder: Path) -> Path | None:
    """The newest checkpoint. Raises UserError if it is damaged, and names the one before it that is not."""
    saved = checkpoints(folder)
    if not saved or not (file := damage(saved[-1])):
        return saved[-1] if saved else None
    whole = next((path.name for path in reversed(saved[:-1]) if not damage(path)), None)
    remedy = f"delete {saved[-1]} to resume from {whole}, which is whole" if whole else "begin anew with --overwrite"
    raise UserError(f"checkpoint file {saved[-1] / file} is damaged: {remedy}")


def load_checkpoint(checkpoint: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Set model and optimizer from a checkpoint, and return its `state`."""
    tensors, moments = _tensors(model, optimizer)
    alone = not any(isinstance(tensor, DTensor) for tensor in tensors.values())
    state_dict_loader.load(tensors, storage_reader=HuggingFaceStorageReader(path=str(checkpoint)), no_dist=alone)
    moments |= {
        name.removeprefix("optimizer."): value for name, value in tensors.items() if name.startswith("optimizer.")
    }
    set_optimizer_state_dict(model, optimizer, moments, options=FLAT)
    return json.loads((checkpoint / "state.json").read_text(encoding="utf-8"))
