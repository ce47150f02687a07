"""Samples of what a model writes, one JSON object per line."""

import json
from collections.abc import Iterable
from pathlib import Path


def write_samples(path: Path, samples: Iterable[dict]) -> None:
    """Write `samples` so that the file is whole or unchanged."""
    partial = path.with_name(f"partial-{path.name}")
    partial.write_text("".join(json.dumps(sample, ensure_ascii=False) + "\n" for sample in samples), encoding="utf-8")
    partial.replace(path)
