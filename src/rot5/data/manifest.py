"""Manifests of prepared data: what there is, and how to tell that it is as it was written."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rot5.errors import UserError
from rot5.folders import write_json

FORMAT = 1
MANIFEST = "manifest.json"
UNKNOWN_LICENCE = "unknown"
"""Of data of which nobody said one."""
SETTINGS = "settings"
"""Of a manifest: what the data were made with, as far as their maker said it."""
SEAL = "seal"
"""Of a manifest: the sha256 of all else in it."""


def data_fingerprint(folder: Path) -> str:
    """A fingerprint of prepared text or pairs: of tokens and tokenizer, wherever they lie and came from."""

    def without_origin(found: dict) -> dict:
        return {key: value for key, value in found.items() if key not in ("source", "licence", SETTINGS, SEAL)}

    found = json.loads((folder / MANIFEST).read_text(encoding="utf-8"), object_hook=without_origin)
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()[:16]


def merged(folder: Path, parts: Sequence[str]) -> dict[str, Any]:
    """The manifest of what prepared texts in subfolders are together, one behind the other, with a tokenizer beside."""
    manifests = [open_manifest(folder / part, "documents") for part in parts]
    files = {
        f"{part}/{name}": seal
        for part, manifest in zip(parts, manifests, strict=True)
        for name, seal in manifest["files"].items()
        if not name.startswith("tokenizer/")
    }
    files |= {f"tokenizer/{path.name}": seal_of(path) for path in sorted((folder / "tokenizer").iterdir())}
    sums = {key: sum(manifest[key] for manifest in manifests) for key in ("documents", "tokens", "bytes")}
    return {key: value for key, value in manifests[0].items() if key != SEAL} | sums | {"files": files}


def write_sealed(folder: Path, manifest: dict[str, Any]) -> dict[str, Any]:
    """Write a manifest with its seal, and return it."""
    manifest = manifest | {SEAL: _digest(manifest)}
    write_json(folder / MANIFEST, manifest)
    return manifest


def _digest(manifest: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def open_manifest(folder: Path, kind: str) -> dict[str, Any]:
    """The manifest of a folder of that kind whose files are all there in full length."""
    path = folder / MANIFEST
    if not path.is_file():
        raise UserError(f"no corpus at {folder}: prepare one")
    manifest = read_manifest(folder)
    found, told = (manifest["kind"], manifest["format"]), manifest.get(SEAL)
    if found[0] != kind:
        wanted = "true" if kind == "pairs" else "false"
        raise UserError(f"{folder} holds {found[0]}, not {kind}: give a folder that was prepared with --pairs {wanted}")
    if found[1] != FORMAT:
        raise UserError(f"{folder} is in format {found[1]}, not {FORMAT}: prepare it again")
    if told and told != _digest({key: value for key, value in manifest.items() if key != SEAL}):
        raise UserError(f"the corpus at {folder} is damaged: {MANIFEST} has changed; prepare it again")
    for name, seal in manifest["files"].items():
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise UserError(f"{path} names {name}, which is outside of its folder: prepare it again")
        if not (folder / name).is_file() or (folder / name).stat().st_size != seal["size"]:
            raise UserError(f"the corpus at {folder} is incomplete: {name} is missing or cut short; prepare it again")
    return manifest


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of prepared text or pairs. Raises UserError if it is none."""
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        manifest = None
    if not (isinstance(manifest, dict) and _is_manifest(manifest)):
        raise UserError(f"{path} is no manifest of prepared data: prepare it again")
    return manifest


def _is_manifest(found: dict[str, Any]) -> bool:
    """Whether all that is read of a manifest is there and of its type."""
    counts = {"documents": ("documents", "tokens", "bytes", "vocab_size"), "pairs": ("pairs",)}
    kind, files = found.get("kind"), found.get("files")
    if not (
        isinstance(kind, str) and kind in counts and isinstance(files, dict) and isinstance(found.get("format"), int)
    ):
        return False
    numbers = [found.get(key) for key in counts[kind]]
    sealed = all(
        isinstance(seal, dict) and isinstance(seal.get("size"), int) and isinstance(seal.get("sha256"), str)
        for seal in files.values()
    )
    texts = [found.get(key) for key in ("tokenizer", "source", "licence")]
    counted = all(isinstance(number, int) and 0 <= number < 2**63 for number in numbers)
    told = isinstance(found.get(SETTINGS, {}), dict) and all(isinstance(text, str) for text in texts)
    return sealed and counted and told


def verify_files(folder: Path, manifest: dict[str, Any]) -> None:
    """Read every file and raise UserError if one is not as it was written."""
    for name, seal in manifest["files"].items():
        if seal_of(folder / name) != seal:
            raise UserError(f"the corpus at {folder} is damaged: {name} has changed; prepare it again")


def seal_of(path: Path) -> dict[str, Any]:
    """Size and sha256 of a file."""
    with open(path, "rb") as file:
        return {"size": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
