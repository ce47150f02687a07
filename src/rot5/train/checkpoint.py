"""Checkpoints: all that changes during training, complete or absent, never a pickle.

Tensors go through torch.distributed.checkpoint in the safetensors format; numbers into `state.json`; `manifest.json`,
written last, holds every file's size and sha256.
"""

import hashlib
import json
import shutil
import warnings
from pathlib import Path

import torch
from torch import nn
from torch.distributed.checkpoint import state_dict_loader, state_dict_saver
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader, HuggingFaceStorageWriter
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_optimizer_state_dict,
    set_optimizer_state_dict,
)

from rot5.errors import UserError
from rot5.folders import complete_or_absent, write_json

FLAT = StateDictOptions(flatten_optimizer_state_dict=True)


def _tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[dict, dict]:
    """Every tensor to be kept, by name, and the optimizer's whole state in the form that can be set again."""
    moments = get_optimizer_state_dict(model, optimizer, options=FLAT)
    tensors = {f"model.{name}": parameter.detach() for name, parameter in model.named_parameters()}
    kept = model.state_dict().keys()
    tensors |= {f"model.{name}": buffer for name, buffer in model.named_buffers() if name in kept}
    tensors |= {f"optimizer.{name}": value for name, value in moments.items() if isinstance(value, torch.Tensor)}
    tensors["rng.cpu"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors["rng.cuda"] = torch.cuda.get_rng_state()
    return tensors, moments


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def save_checkpoint(
    folder: Path, step: int, model: nn.Module, optimizer: torch.optim.Optimizer, state: dict, keep: int
) -> Path:
    """Write `folder/step-…` and then drop all but the newest `keep`. `state` must be plain JSON."""
    target = folder / f"step-{step:08d}"
    with complete_or_absent(target) as partial:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="torch.distributed is disabled")
            state_dict_saver.save(
                _tensors(model, optimizer)[0], storage_writer=HuggingFaceStorageWriter(path=str(partial))
            )
        write_json(partial / "state.json", state)
        files = sorted(path for path in partial.iterdir())
        manifest = {path.name: {"bytes": path.stat().st_size, "sha256": _sha256(path)} for path in files}
        write_json(partial / "manifest.json", manifest)
    for old in checkpoints(folder)[:-keep]:
        shutil.rmtree(old)
    return target


def checkpoints(folder: Path) -> list[Path]:
    """Complete checkpoints, oldest first."""
    return sorted(path.parent for path in folder.glob("step-*/manifest.json"))


def load_checkpoint(checkpoint: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> dict:
    """Set model, optimizer and random state from a checkpoint, and return its `state`.

    Raises UserError if a file's size or sha256 is not the manifest's, or the model has another shape.
    """
    manifest = json.loads((checkpoint / "manifest.json").read_text(encoding="utf-8"))
    for name, entry in manifest.items():
        path = checkpoint / name
        if not path.is_file() or path.stat().st_size != entry["bytes"] or _sha256(path) != entry["sha256"]:
            raise UserError(f"checkpoint file {path} is damaged; delete {checkpoint} to resume from the one before")
    tensors, moments = _tensors(model, optimizer)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")
        state_dict_loader.load(tensors, storage_reader=HuggingFaceStorageReader(path=str(checkpoint)))
    moments |= {
        name.removeprefix("optimizer."): value for name, value in tensors.items() if name.startswith("optimizer.")
    }
    set_optimizer_state_dict(model, optimizer, moments, options=FLAT)
    torch.set_rng_state(tensors["rng.cpu"])
    if torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["rng.cuda"])
    return json.loads((checkpoint / "state.json").read_text(encoding="utf-8"))
