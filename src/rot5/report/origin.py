"""Where a model comes from, as far as its folders still tell: the run that made it, those before it, their data."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from rot5.data.manifest import data_fingerprint, read_manifest
from rot5.data.mixture import corpus_folders
from rot5.errors import UserError
from rot5.report.runs import Run
from rot5.train.run_folder import RunFolder


@dataclass(frozen=True)
class Data:
    """Prepared text or pairs that a run was trained on; what is not known any more is None."""

    name: str
    """Of its folder."""
    source: str | None = None
    licence: str | None = None
    documents: int | None = None
    """Texts, or pairs."""
    tokens: int | None = None
    bytes: int | None = None
    fingerprint: str | None = None


@dataclass(frozen=True)
class Stage:
    """One run of those that made a model, the last of which may have gone on from others."""

    run: Run

    @property
    def kind(self) -> str:
        """The verb that trained it."""
        config = self.run.config
        return "distill" if "teacher" in config else "finetune" if "pairs" in config else "pretrain"

    @property
    def init(self) -> str:
        """What it began with; empty for a new model."""
        return str(self.run.config.get("init") or "")

    @cached_property
    def data(self) -> list[Data]:
        """What it was trained on."""
        config = self.run.config
        folders = [Path(config["pairs"])] if "pairs" in config else corpus_folders(str(config.get("corpus", "")))
        return [data_of(folder) for folder in folders]

    @property
    def seconds(self) -> float | None:
        """Time of training."""
        return self.run.last("seconds")


def stages_of(model: str) -> list[Stage]:
    """The runs that made `model`, a run folder, the first before the last; none where it is no run's.

    A run whose beginning is no run, or is there no more, is the first that is told of.
    """
    return list(_backwards(Path(model)))[::-1]


def _backwards(folder: Path) -> Iterator[Stage]:
    seen = set()
    folder = _run_of(folder)
    while RunFolder(folder).exists() and folder.resolve() not in seen:
        seen.add(folder.resolve())
        stage = Stage(Run(folder.resolve().name, RunFolder(folder)))
        yield stage
        if not stage.init:
            return
        folder = _run_of(Path(stage.init))


def _run_of(folder: Path) -> Path:
    """The run folder that `folder` is the export of, or itself."""
    run = RunFolder(folder.parent)
    return run.path if run.exists() and run.export == folder else folder


def data_of(folder: Path) -> Data:
    """What the manifest in `folder` tells; its name alone where there is none."""
    try:
        manifest = read_manifest(folder)
    except UserError:
        return Data(folder.name)
    halves = [manifest[half] for half in ("inputs", "targets") if isinstance(manifest.get(half), dict)] or [manifest]
    return Data(
        name=folder.name,
        source=manifest["source"],
        licence=manifest["licence"],
        documents=manifest.get("pairs", manifest.get("documents")),
        tokens=_sum(halves, "tokens"),
        bytes=_sum(halves, "bytes"),
        fingerprint=data_fingerprint(folder),
    )


def _sum(manifests: list[dict[str, Any]], key: str) -> int | None:
    found = [manifest[key] for manifest in manifests if isinstance(manifest.get(key), int)]
    return sum(found) if len(found) == len(manifests) else None
