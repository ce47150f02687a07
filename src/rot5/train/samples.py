"""Samples of what a model writes, one JSON object per line."""

import json
from collections.abc import Iterable
from pathlib import Path

from rot5.folders import write_text


def write_samples(path: Path, samples: Iterable[dict]) -> None:
    """Write `samples` so that the file is whole or unchanged."""
    write_text(path, "".join(json.dumps(sample, ensure_ascii=False) + "\n" for sample in samples))
